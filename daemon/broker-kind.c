/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: what can be done about the driver of a device, by its kind
 *
 * Bind goes by driver_override, on each bus that has it and a driver of VFIO: kernel/variant.c has the list. Kinds that
 * are not in it are told what to do by hand. On the bus fsl-mc objects (dpni.1) are in containers (dprc.2): the driver
 * of a container makes and removes them, so they go with it, and come anew. The first container is the machine's own.
 */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "broker-kind.h"
#include "errors.h"
#include "kernel/variant.h"
#include "log.h"

#define TEXT_MAX   320
#define NESTED_MAX 16

bool broker_is_container(DeviceKind kind, const char *name) {
        return kind == DEVICE_KIND_FSL_MC && strncmp(name, "dprc.", strlen("dprc.")) == 0;
}

static bool is_container(const Device *device) {
        return broker_is_container(device->facts.kind, device_bus_name(device));
}

const Device *broker_container_to_bind(const Device *device) {
        const Device *container;

        if (!device->facts.container[0] || is_container(device))
                return NULL;
        container = device_find(device->list, device->facts.container);
        return container && !container->facts.vfio_driver ? container : NULL;
}

static const Device *root_container(const Device *device) {
        const Device *container = is_container(device) ? device : broker_container_to_bind(device);

        return container && !container->facts.container[0] ? container : NULL;
}

/* Those of kinds without a driver_override, or with one that leads to no driver of VFIO. */
static bool describe_kind(const Device *device, char ret_why[TEXT_MAX], char ret_fix[TEXT_MAX]) {
        const char *id = device_id(device), *name = device_bus_name(device);

        switch (device->facts.kind) {
        case DEVICE_KIND_PCI:
        case DEVICE_KIND_PLATFORM:
        case DEVICE_KIND_FSL_MC:
        case DEVICE_KIND_CDX:
        case DEVICE_KIND_AMBA:
        case _DEVICE_KIND_MAX:
                return false;
        case DEVICE_KIND_MDEV:
                snprintf(ret_why, TEXT_MAX, "%s is of kind mdev: its driver takes it when it is made, or never", id);
                snprintf(ret_fix, TEXT_MAX, "make it anew: mdevctl stop --uuid=%1$s; mdevctl start --uuid=%1$s", name);
                return true;
        case DEVICE_KIND_AP:
                snprintf(ret_why, TEXT_MAX,
                         "%s is of kind ap: a program has such a queue as part of a mediated device only", id);
                snprintf(ret_fix, TEXT_MAX,
                         "give its card to vfio_ap, and make that device: echo -0x%.2s >/sys/bus/ap/apmask; "
                         "mdevctl start --uuid=UUID --parent=matrix --type=vfio_ap-passthrough", name);
                return true;
        case DEVICE_KIND_CCW:
                snprintf(ret_why, TEXT_MAX,
                         "%s is of kind ccw: a program has it as a mediated device of its subchannel only", id);
                snprintf(ret_fix, TEXT_MAX,
                         "give the subchannel (lscss says which) to vfio_ccw, and make that device: "
                         "driverctl --bus css set-override SUBCHANNEL vfio_ccw; "
                         "mdevctl start --uuid=UUID --parent=SUBCHANNEL --type=vfio_ccw-io");
                return true;
        }
        return false;
}

/* Why nobody gets its driver changed, whatever state it is in, and what may be done instead. */
static bool describe_unbindable(const Device *device, char ret_why[TEXT_MAX], char ret_fix[TEXT_MAX]) {
        const Device *root = root_container(device);

        *ret_fix = '\0';
        if (describe_kind(device, ret_why, ret_fix))
                return true;

        if (device->facts.class >> 8 == 0x0604) {
                snprintf(ret_why, TEXT_MAX, "%s is a bridge, which no VFIO driver takes", device_id(device));
                return true;
        }
        if (root) {
                snprintf(ret_why, TEXT_MAX, "%s is %sthe machine's own container, which stays with the host",
                         device_id(device), root == device ? "" : "in ");
                snprintf(ret_fix, TEXT_MAX,
                         "put what is wanted into a container of its own, and bind that: restool dprc create %1$s; "
                         "restool dprc assign %1$s --object=OBJECT --child=CONTAINER --plugged=1",
                         device_bus_name(root));
                return true;
        }
        return false;
}

bool broker_is_never_bound(const Device *device) {
        char why[TEXT_MAX], fix[TEXT_MAX];

        return describe_unbindable(device, why, fix);
}

bool broker_is_bindable(const Device *device) {
        return !broker_is_never_bound(device) && (!device->facts.container[0] || is_container(device));
}

int broker_find_unbindable(const Device *device, Findings *findings) {
        char why[TEXT_MAX], fix[TEXT_MAX];
        Finding *finding;
        int r;

        if (!describe_unbindable(device, why, fix))
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, device_id(device), "%s", why);
        return r < 0 ? r : finding_set_fix(finding, "%s", *fix ? fix : "bind the devices behind it");
}

int broker_find_in_container(const Device *device, Findings *findings) {
        const Device *container = broker_container_to_bind(device);
        Finding *finding;
        int r;

        if (!container)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, device_id(device),
                               "%s is in container %s, and goes to VFIO and back with that", device_id(device),
                               device_id(container));
        return r < 0 ? r : finding_set_fix(finding, "bind the container: vfio-broker bind %s", device_id(container));
}

static bool is_inside(const Device *device, const Device *container) {
        const char *id = device->facts.container;

        /* The depth of what is in /sys has an end, and so has this if it should not. */
        for (unsigned depth = 0; id[0] && depth < NESTED_MAX; depth++) {
                const Device *next = device_find(device->list, id);

                if (next == container)
                        return true;
                id = next ? next->facts.container : "";
        }
        return false;
}

const Device *broker_leased_inside(const Device *container) {
        const Device *device;

        if (!is_container(container))
                return NULL;

        TAILQ_FOREACH(device, &container->list->queue, all)
                if (device->group && device->group != container->group && device->group->lease &&
                    is_inside(device, container))
                        return device;
        return NULL;
}

int broker_find_inside(const Device *container, Findings *findings) {
        const Device *device = broker_leased_inside(container);
        const Lease *lease = device ? device->group->lease : NULL;
        Finding *finding;
        int r;

        if (!device)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_LEASED, device_id(container),
                               "%s, which is in %s, is leased: %s, uid %u, %s", device_id(device), device_id(container),
                               lease->id, (unsigned) lease->user->uid, lease_state_name(lease->state));
        if (r < 0)
                return r;

        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
        snprintf(finding->lease, sizeof(finding->lease), "%s", lease->id);
        return finding_set_fix(finding, "wait until it is released, or take it back: vfio-broker revoke %s", lease->id);
}

static void refresh(Broker *broker, const char *id) {
        int r;

        r = broker_refresh(broker, id);
        if (r < 0)
                log_line(LOG_WARNING, "Cannot look at %s: %s", id, strerror(-r));
}

/* Its objects have gone with it, and others of their names have come. */
static void refresh_objects(Broker *broker, const char *container, DeviceKind kind) {
        Device *device, *next;
        int r;

        for (device = TAILQ_FIRST(&broker->devices.queue); device; device = next) {
                next = TAILQ_NEXT(device, all);
                if (strcmp(device->facts.container, container) == 0)
                        refresh(broker, device_id(device)); /* may free it */
        }

        r = broker_scan_kind(broker, kind);
        if (r < 0)
                log_line(LOG_WARNING, "Cannot look at the objects of %s: %s", container, strerror(-r));
}

int broker_refresh_with_objects(Broker *broker, const char *id) {
        const char *name;
        DeviceKind kind = device_id_split(id, &name);
        int r;

        r = broker_refresh_moved(broker, id);
        if (broker_is_container(kind, name))
                refresh_objects(broker, id, kind);
        return r;
}

int broker_fix_driver(const Device *device, Finding *finding) {
        const Device *container = broker_container_to_bind(device);
        char why[TEXT_MAX], fix[TEXT_MAX];

        if (describe_unbindable(device, why, fix))
                return finding_set_fix(finding, "%s", *fix ? fix : "it stays with the host");
        if (!device->group)
                return finding_set_fix(finding, "first it needs an IOMMU group; then: vfio-broker bind %s",
                                       device_id(device));
        if (container)
                return finding_set_fix(finding, "bind its container: vfio-broker bind %s", device_id(container));
        return finding_set_fix(finding, "bind it: vfio-broker bind %s", device_id(device));
}
