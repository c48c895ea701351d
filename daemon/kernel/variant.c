/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Variant */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "folder.h"
#include "sysfs.h"
#include "text.h"
#include "variant.h"

/* The driver of each bus. Modules that ask for a device by driver_override only say so by aliases of their own, on
 * the buses whose tables of ids know that. */
typedef struct VariantBus {
        const char *name;
        const char *driver, *module;
        const char *aliases; /* NULL: none */
} VariantBus;

static const VariantBus buses[] = {
        { "pci", "vfio-pci", "vfio_pci", "vfio_pci:" },
        { "platform", "vfio-platform", "vfio_platform", NULL },
        { "fsl-mc", "vfio-fsl-mc", "vfio_fsl_mc", NULL },
        { "cdx", "vfio-cdx", "vfio_cdx", "vfio_cdx:" },
        { "amba", "vfio-amba", "vfio_amba", NULL },
};

/* One line of the list that is about the device. Returns true to go on. */
typedef bool (*VariantFound)(const char *pattern, const char *module, void *userdata);

typedef struct Best {
        char module[VARIANT_NAME_MAX];
        unsigned wildcards;
} Best;

typedef struct Named {
        int sys;
        const VariantBus *bus;
        const char *driver;
        bool found;
} Named;

static const VariantBus *find_bus(const char *name) {
        for (size_t i = 0; i < sizeof(buses) / sizeof(*buses); i++)
                if (strcmp(buses[i].name, name) == 0)
                        return &buses[i];
        return NULL;
}

/* "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci" */
static bool parse_alias(const VariantBus *bus, const char *line, char pattern[256], char module[VARIANT_NAME_MAX]) {
        return take_text(&line, "alias ") && take_text(&line, bus->aliases) &&
               sscanf(line, "%240s %63s", pattern, module) == 2 && !strchr(module, '/');
}

static void each_match(const char *root, const VariantBus *bus, const char *modalias, VariantFound found,
                       void *userdata) {
        char path[PATH_MAX], line[512], pattern[256], module[VARIANT_NAME_MAX];
        _cleanup_(filep) FILE *file = NULL;
        size_t n = strlen(bus->name);
        struct utsname name;

        if (!bus->aliases || strncmp(modalias, bus->name, n) != 0 || modalias[n] != ':' || uname(&name) < 0)
                return;
        snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.alias", root, name.release);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (parse_alias(bus, line, pattern, module) && fnmatch(pattern, modalias + n + 1, 0) == 0 &&
                    !found(pattern, module, userdata))
                        return;
}

/* A module and its driver are spelt alike, but for hyphens, and only mostly: its own folder says how. */
static int driver_of_module(int sys, const VariantBus *bus, const char *module, char ret[VARIANT_NAME_MAX]) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        size_t n = strlen(bus->name);
        char path[PATH_MAX];
        struct dirent *entry;
        int r;

        snprintf(path, sizeof(path), "module/%s/drivers", module);
        r = folder_open(&dir, sys, path);
        if (r < 0)
                return r;

        while ((entry = readdir(dir)))
                if (strncmp(entry->d_name, bus->name, n) == 0 && entry->d_name[n] == ':' &&
                    strlen(entry->d_name + n + 1) < VARIANT_NAME_MAX) {
                        strcpy(ret, entry->d_name + n + 1);
                        return 0;
                }
        return -ENOENT;
}

static bool is_loaded(int sys, const VariantBus *bus, const char *driver) {
        char path[160];

        snprintf(path, sizeof(path), "bus/%s/drivers/%s", bus->name, driver);
        return sysfs_exists(sys, path);
}

static bool keep_best(const char *pattern, const char *module, void *userdata) {
        Best *best = userdata;
        unsigned wildcards = 0;

        for (const char *c = pattern; *c; c++)
                wildcards += *c == '*';
        if (!best->module[0] || wildcards < best->wildcards) {
                snprintf(best->module, sizeof(best->module), "%s", module);
                best->wildcards = wildcards;
        }
        return true;
}

const char *variant_plain(const char *name) {
        const VariantBus *bus = find_bus(name);

        return bus ? bus->driver : NULL;
}

int variant_find(const char *root, int sys, const char *name, const char *modalias, char ret_driver[VARIANT_NAME_MAX],
                 char ret_module[VARIANT_NAME_MAX]) {
        const VariantBus *bus = find_bus(name);
        Best best = {};

        if (!bus)
                return -EINVAL;

        each_match(root, bus, modalias, keep_best, &best);
        if (!best.module[0] || strcmp(best.module, bus->module) == 0) {
                strcpy(ret_module, bus->module);
                strcpy(ret_driver, bus->driver);
                return is_loaded(sys, bus, bus->driver) ? 0 : -ENOENT;
        }

        strcpy(ret_module, best.module);
        if (driver_of_module(sys, bus, best.module, ret_driver) == 0 && is_loaded(sys, bus, ret_driver))
                return 0;
        strcpy(ret_driver, best.module);
        return -ENOENT;
}

static bool is_named(const char *pattern, const char *module, void *userdata) {
        char driver[VARIANT_NAME_MAX];
        Named *named = userdata;

        named->found = driver_of_module(named->sys, named->bus, module, driver) == 0 &&
                       strcmp(driver, named->driver) == 0;
        return !named->found;
}

int variant_check(const char *root, int sys, const char *name, const char *modalias, const char *driver) {
        const VariantBus *bus = find_bus(name);
        Named named = { .sys = sys, .bus = bus, .driver = driver };

        if (!bus || !*driver || strlen(driver) >= VARIANT_NAME_MAX || strchr(driver, '/') || strcmp(driver, "..") == 0)
                return -EINVAL;

        named.found = strcmp(driver, bus->driver) == 0;
        if (!named.found)
                each_match(root, bus, modalias, is_named, &named);
        if (!named.found)
                return -EINVAL;
        return is_loaded(sys, bus, driver) ? 0 : -ENOENT;
}

const char *variant_explain(const char *bus, int error, const char **ret_fix) {
        static const struct {
                const char *bus;
                int error;
                const char *why, *fix;
        } reasons[] = {
                { "platform", ENOENT, "it knows no reset for the device, and was told to want one",
                  "accept that nothing clears the device between its users: load vfio_platform with reset_required=0" },
                { "platform", EINVAL, "the device has neither an ACPI id nor a \"compatible\" in a device tree",
                  "vfio-platform takes devices that the firmware describes, and no others" },
        };

        for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
                if (strcmp(reasons[i].bus, bus) == 0 && reasons[i].error == error) {
                        *ret_fix = reasons[i].fix;
                        return reasons[i].why;
                }
        return NULL;
}
