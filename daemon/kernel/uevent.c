/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Uevent
 *
 * The monitor takes a socket's ENOBUFS for itself and goes on, so losses are seen in another way: the kernel
 * counts the messages that found no room. The count is compared whenever a message arrives, and when
 * the socket has an error, for which a copy of its descriptor is watched: that one is dispatched before
 * the monitor, and takes the error away. If the loop knew of a message before there was an error the monitor is faster,
 * so the count is compared once more when it has read everything.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-device.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "scan-bus.h"
#include "scan.h"
#include "uevent.h"

/* Room for what a machine with thousands of functions says at once; only used when needed. */
#define RECEIVE_BUFFER (16U * 1024U * 1024U)

struct Uevent {
        sd_device_monitor *monitor;
        sd_event_source *error_source, *rest_source;
        UeventHandler handler;
        void *userdata;
        uint32_t n_lost;
        int fd; /* the monitor's socket, a copy */
};

DEFINE_CLEANUP(Uevent, uevent_free)

static UeventAction translate_action(sd_device_action_t action) {
        if (action == SD_DEVICE_ADD)
                return UEVENT_ADD;
        if (action == SD_DEVICE_REMOVE)
                return UEVENT_REMOVE;
        return UEVENT_CHANGE; /* also for one that is younger than this program: a look at /sys does no harm */
}

static void look_for_losses(Uevent *uevent) {
        uint32_t info[SK_MEMINFO_VARS] = { 0 };
        socklen_t size = sizeof(info);

        if (getsockopt(uevent->fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 || info[SK_MEMINFO_DROPS] == uevent->n_lost)
                return;
        uevent->n_lost = info[SK_MEMINFO_DROPS];
        uevent->handler(UEVENT_LOST, NULL, uevent->userdata);
}

static int uevent_on_error(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        socklen_t size = sizeof(int);
        int error;

        (void) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        look_for_losses(userdata);
        return 0;
}

static int uevent_on_rest(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        look_for_losses(userdata);
        return 0;
}

#define ID_MAX (BUS_NAME_MAX + 16)

static bool make_id(char ret[ID_MAX], const char *bus, const char *name) {
        if (strcmp(bus, "pci") == 0)
                return pci_address_is_valid(name) && snprintf(ret, ID_MAX, "%s", name) < ID_MAX;
        return bus_name_is_valid(name) && snprintf(ret, ID_MAX, "%s:%s", bus, name) < ID_MAX;
}

/* "/sys/devices/pci0000:00/0000:00:08.0/0000:01:00.0/vfio-dev/vfio3", of which the function is wanted */
static bool find_function(const char *syspath, char ret[ID_MAX]) {
        char path[PATH_MAX], *end, *name;

        if (snprintf(path, sizeof(path), "%s", syspath) >= (int) sizeof(path))
                return false;
        end = strstr(path, "/vfio-dev/");
        if (!end)
                return false;
        *end = '\0';
        name = strrchr(path, '/');
        return name && make_id(ret, "pci", name + 1);
}

/* What is no PCI function's says by itself which bus it is on. */
static bool find_parent(sd_device *device, char ret[ID_MAX]) {
        const char *syspath, *bus, *name;
        sd_device *parent;

        if (sd_device_get_syspath(device, &syspath) < 0)
                return false;
        if (find_function(syspath, ret))
                return true;
        return sd_device_get_parent(device, &parent) >= 0 && sd_device_get_subsystem(parent, &bus) >= 0 &&
               sd_device_get_sysname(parent, &name) >= 0 && make_id(ret, bus, name);
}

/* The kernel tells it before it waits for who has the device open (6.6), or when nobody has any more. */
static void uevent_on_vfio_device(Uevent *uevent, sd_device *device, sd_device_action_t action) {
        char id[ID_MAX];

        if (action == SD_DEVICE_REMOVE && find_parent(device, id))
                uevent->handler(UEVENT_LEAVING, id, uevent->userdata);
}

static int uevent_on_device(sd_device_monitor *monitor, sd_device *device, void *userdata) {
        const char *name, *subsystem;
        sd_device_action_t action;
        Uevent *uevent = userdata;
        char id[ID_MAX];

        look_for_losses(uevent);
        if (sd_device_get_sysname(device, &name) < 0 || sd_device_get_subsystem(device, &subsystem) < 0 ||
            sd_device_get_action(device, &action) < 0)
                return 0;
        if (strcmp(subsystem, "vfio-dev") == 0)
                uevent_on_vfio_device(uevent, device, action);
        else if (make_id(id, subsystem, name))
                uevent->handler(translate_action(action), id, uevent->userdata);
        return 0;
}

/* Its turn comes when the monitor has read everything. An event loop takes a descriptor once, so it is another copy. */
static int watch_rest(Uevent *uevent, sd_event *event, int64_t priority) {
        _cleanup_(closep) int fd = fcntl(uevent->fd, F_DUPFD_CLOEXEC, 3);
        int r;

        if (fd < 0)
                return -errno;
        r = sd_event_add_io(event, &uevent->rest_source, fd, EPOLLIN, uevent_on_rest, uevent);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(uevent->rest_source, true);
        if (r < 0)
                return r;

        TAKE_FD(fd);
        return sd_event_source_set_priority(uevent->rest_source, priority);
}

static int watch_errors(Uevent *uevent, sd_event *event) {
        sd_event_source *source;
        int64_t priority;
        int fd, r;

        source = sd_device_monitor_get_event_source(uevent->monitor);
        fd = sd_event_source_get_io_fd(source);
        if (fd < 0)
                return fd;
        uevent->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (uevent->fd < 0)
                return -errno;

        r = sd_event_source_get_priority(source, &priority);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &uevent->error_source, uevent->fd, EPOLLERR, uevent_on_error, uevent);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(uevent->error_source, priority - 1);
        if (r < 0)
                return r;

        return watch_rest(uevent, event, priority + 1);
}

static int add_filters(sd_device_monitor *monitor) {
        int r;

        r = sd_device_monitor_filter_add_match_subsystem_devtype(monitor, "pci", NULL);
        if (r >= 0)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(monitor, "vfio-dev", NULL);
        for (size_t i = 0; r >= 0 && scan_buses[i]; i++)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(monitor, scan_buses[i], NULL);
        return r;
}

int uevent_new(Uevent **ret, sd_event *event, UeventHandler handler, void *userdata) {
        _cleanup_(uevent_freep) Uevent *uevent = NULL;
        int r;

        uevent = calloc(1, sizeof(*uevent));
        if (!uevent)
                return -ENOMEM;
        uevent->handler = handler;
        uevent->userdata = userdata;
        uevent->fd = -EBADF;

        r = sd_device_monitor_new(&uevent->monitor);
        if (r < 0)
                return r;
        (void) sd_device_monitor_set_receive_buffer_size(uevent->monitor, RECEIVE_BUFFER);
        r = add_filters(uevent->monitor);
        if (r < 0)
                return r;
        r = sd_device_monitor_attach_event(uevent->monitor, event);
        if (r < 0)
                return r;
        r = sd_device_monitor_start(uevent->monitor, uevent_on_device, uevent);
        if (r < 0)
                return r;
        r = watch_errors(uevent, event);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(uevent);
        return 0;
}

Uevent *uevent_free(Uevent *uevent) {
        if (!uevent)
                return NULL;
        sd_event_source_disable_unref(uevent->rest_source);
        sd_event_source_disable_unref(uevent->error_source);
        closep(&uevent->fd);
        sd_device_monitor_unref(uevent->monitor);
        free(uevent);
        return NULL;
}
