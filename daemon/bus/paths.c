/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/paths.h"
#include "cleanup.h"
#include "names.h"

/* What sd_bus_path_encode() makes of @id, behind @prefix. Out of memory, the root object stands in. */
static void path_encode(char ret[PATH_MAX_BYTES], const char *prefix, const char *id) {
        _cleanup_(freep) char *encoded = NULL;

        if (sd_bus_path_encode("/x", id, &encoded) < 0)
                strcpy(ret, "/");
        else
                snprintf(ret, PATH_MAX_BYTES, "%s%s", prefix, encoded + strlen("/x/"));
}

/* "pci", and "mdev_" and so on: a name on another bus may begin with a letter. */
static void path_prefix(DeviceKind kind, char ret[64]) {
        snprintf(ret, 64, VFB_PATH_DEVICE "/%s%s", device_kind_name(kind), kind == DEVICE_KIND_PCI ? "" : "_");
        for (char *p = ret + strlen(VFB_PATH_DEVICE); *p; p++)
                if (*p == '-')
                        *p = '_';
}

void path_of_device(const Device *device, char ret[PATH_MAX_BYTES]) {
        char prefix[64];

        if (device) {
                path_prefix(device->facts.kind, prefix);
                path_encode(ret, prefix, device_bus_name(device));
        } else {
                strcpy(ret, "/");
        }
}

void path_of_group(const Group *group, char ret[PATH_MAX_BYTES]) {
        if (group)
                snprintf(ret, PATH_MAX_BYTES, VFB_PATH_GROUP "/%u", group->number);
        else
                strcpy(ret, "/");
}

void path_of_lease(const Lease *lease, char ret[PATH_MAX_BYTES]) {
        if (lease)
                path_encode(ret, VFB_PATH_LEASE "/", lease->id);
        else
                strcpy(ret, "/");
}

static bool decode_device(const char *path, char ret[DEVICE_ID_MAX]) {
        char prefix[64];

        for (unsigned kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                _cleanup_(freep) char *copy = NULL, *name = NULL;

                path_prefix(kind, prefix);
                if (strncmp(path, prefix, strlen(prefix)) != 0)
                        continue;
                if (asprintf(&copy, "/x/%s", path + strlen(prefix)) < 0 || sd_bus_path_decode(copy, "/x", &name) <= 0)
                        return false;

                device_id_make(ret, kind, name);
                return true;
        }

        return false;
}

/* All properties of an object are asked for one after the other, and each time with its path: what that says is found
 * out once. Who is there is not. */
const Device *device_of_path(const Broker *broker, const char *path) {
        static char last[PATH_MAX_BYTES], id[DEVICE_ID_MAX];

        if (strcmp(path, last) != 0) {
                last[0] = '\0';
                if (!decode_device(path, id))
                        return NULL;
                if (strlen(path) < sizeof(last))
                        strcpy(last, path);
        }
        return broker_find_device(broker, id);
}

const Group *group_of_path(const Broker *broker, const char *path) {
        char same[PATH_MAX_BYTES];
        const Group *group;
        unsigned number;

        if (sscanf(path, VFB_PATH_GROUP "/%u", &number) != 1)
                return NULL;

        /* A number may be written in many ways, and only one of them is the object's. */
        group = broker_find_group(broker, number);
        path_of_group(group, same);
        return strcmp(path, same) == 0 ? group : NULL;
}

const Lease *lease_of_path(const Broker *broker, const char *path) {
        _cleanup_(freep) char *id = NULL;

        if (sd_bus_path_decode(path, VFB_PATH_LEASE, &id) <= 0)
                return NULL;

        return broker_find_lease(broker, id);
}

void paths_begin(Paths *ret, unsigned max) {
        *ret = (Paths){ .items = calloc(max + 1, sizeof(*ret->items)), .max = max };
}

static void paths_fail(Paths *paths) {
        for (unsigned i = 0; i < paths->n; i++)
                free(paths->items[i]);
        free(paths->items);
        paths->items = NULL;
}

void paths_add(Paths *paths, const char *path) {
        if (!paths->items)
                return;

        if (paths->n < paths->max)
                paths->items[paths->n] = strdup(path);
        if (paths->n < paths->max && paths->items[paths->n])
                paths->n++;
        else
                paths_fail(paths);
}

int paths_end(Paths *paths, char ***ret) {
        if (!paths->items)
                return -ENOMEM;

        *ret = TAKE_PTR(paths->items);
        return 0;
}

int path_found(bool found, void *userdata, void **ret_found) {
        if (found)
                *ret_found = userdata;
        return found;
}
