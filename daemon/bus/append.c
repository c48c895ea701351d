/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Append */

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/append.h"
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

const Device *device_of_path(const Broker *broker, const char *path) {
        char prefix[64], id[DEVICE_ID_MAX];

        for (unsigned kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                _cleanup_(freep) char *copy = NULL, *name = NULL;

                path_prefix(kind, prefix);
                if (strncmp(path, prefix, strlen(prefix)) != 0)
                        continue;
                if (asprintf(&copy, "/x/%s", path + strlen(prefix)) < 0 || sd_bus_path_decode(copy, "/x", &name) <= 0)
                        return NULL;

                device_id_make(id, kind, name);
                return broker_find_device(broker, id);
        }

        return NULL;
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

struct Paths {
        unsigned n, max;
        char **items; /* NULL-terminated */
};

int paths_new(Paths **ret, unsigned max) {
        _cleanup_(paths_freep) Paths *paths = NULL;

        paths = calloc(1, sizeof(*paths));
        if (!paths)
                return -ENOMEM;

        paths->max = max;
        paths->items = calloc(max + 1, sizeof(*paths->items));
        if (!paths->items)
                return -ENOMEM;

        *ret = TAKE_PTR(paths);
        return 0;
}

Paths *paths_free(Paths *paths) {
        if (!paths)
                return NULL;

        for (unsigned i = 0; paths->items && i < paths->n; i++)
                free(paths->items[i]);
        free(paths->items);
        free(paths);
        return NULL;
}

int paths_add(Paths *paths, const char *path) {
        if (paths->n == paths->max)
                return -ENOSPC;

        paths->items[paths->n] = strdup(path);
        if (!paths->items[paths->n])
                return -ENOMEM;

        paths->n++;
        return 0;
}

char **paths_steal(Paths *paths) {
        char **items = TAKE_PTR(paths->items);

        paths_free(paths);
        return items;
}

static int append_datum(sd_bus_message *m, const char *key, const char *value) {
        if (!value || !*value)
                return 0;

        return sd_bus_message_append(m, "{sv}", key, "s", value);
}

/* a{sv} */
static int append_data(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_datum(m, "fix", finding->fix);
        if (r >= 0)
                r = append_datum(m, "device", finding->culprit);
        if (r >= 0)
                r = append_datum(m, "driver", finding->driver);
        if (r >= 0)
                r = append_datum(m, "lease", finding->lease);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int append_finding(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssssa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssss", finding->code, severity_name(finding->severity), finding->device,
                                          finding->text);
        if (r >= 0)
                r = append_data(m, finding);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int append_blocker(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", finding->code, finding->text);
        if (r >= 0)
                r = append_data(m, finding);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_findings(sd_bus_message *m, const Findings *findings) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ssssa{sv})");
        for (size_t i = 0; r >= 0 && i < findings->n; i++)
                r = append_finding(m, &findings->items[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_blockers(sd_bus_message *m, const Findings *findings) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ssa{sv})");
        for (size_t i = 0; r >= 0 && i < findings->n; i++)
                r = append_blocker(m, &findings->items[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_words(sd_bus_message *m, const char *words) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t n; r >= 0 && *words; words += n + (words[n] == ' ')) {
                char word[32];

                n = strcspn(words, " ");
                snprintf(word, sizeof(word), "%.*s", (int) n, words);
                r = sd_bus_message_append(m, "s", word);
        }
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}
