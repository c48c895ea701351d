/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plain
 *
 * What the daemon is compared with: as little of a service as hands out descriptors over sd-bus. It asks nobody and
 * keeps nothing.
 *
 *   Open() -> h           /dev/null, opened in the handler
 *   OpenByJob() -> hhh    the same three times, opened in a job's child as the daemon does it
 */

#include <fcntl.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <signal.h>

#include "cleanup.h"
#include "job.h"

static int method_open(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(closep) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        return fd < 0 ? -errno : sd_bus_reply_method_return(m, "h", fd);
}

static void open_three(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        while (*n_fds < 3)
                fds[(*n_fds)++] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void on_opened(int r, const void *result, int *fds, size_t n_fds, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (r < 0 || n_fds != 3)
                sd_bus_reply_method_errnof(m, r < 0 ? r : -EIO, "The job failed");
        else
                sd_bus_reply_method_return(m, "hhh", fds[0], fds[1], fds[2]);
}

static int method_open_by_job(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Job *job;
        int r;

        r = job_start(&job, userdata, &(JobSpec){ .work = open_three, .done = on_opened, .userdata = m });
        if (r < 0)
                return r;
        sd_bus_message_ref(m);
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Open", "", "h", method_open, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("OpenByJob", "", "hhh", method_open_by_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int main(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);

        if (sd_event_default(&event) < 0 || sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0 ||
            sd_bus_open_system(&bus) < 0 || sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, "/test", "test.Plain", vtable, event) < 0 ||
            sd_bus_request_name(bus, "test.Plain", 0) < 0)
                return EXIT_FAILURE;

        sd_notify(0, "READY=1");
        return sd_event_loop(event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
