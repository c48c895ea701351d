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
#include "variant.h"

#define PLAIN_MODULE "vfio_pci"
#define PLAIN_DRIVER "vfio-pci"

/* One line of the list that is about the device. Returns true to go on. */
typedef bool (*VariantFound)(const char *pattern, const char *module, void *userdata);

typedef struct Best {
        char module[VARIANT_NAME_MAX];
        unsigned wildcards;
} Best;

typedef struct Named {
        int sys;
        const char *driver;
        bool found;
} Named;

/* "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci" */
static void each_match(const char *root, const char *modalias, VariantFound found, void *userdata) {
        char path[PATH_MAX], line[512], pattern[256], module[VARIANT_NAME_MAX];
        _cleanup_(filep) FILE *file = NULL;
        struct utsname name;

        if (strncmp(modalias, "pci:", 4) != 0 || uname(&name) < 0)
                return;
        snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.alias", root, name.release);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "alias " PLAIN_MODULE ":%240s %63s", pattern, module) == 2 &&
                    fnmatch(pattern, modalias + 4, 0) == 0 && !strchr(module, '/') &&
                    !found(pattern, module, userdata))
                        return;
}

/* A module and its driver are spelt alike, but for hyphens, and only mostly: its own folder says how. */
static int driver_of_module(int sys, const char *module, char ret[VARIANT_NAME_MAX]) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        char path[PATH_MAX];
        struct dirent *entry;
        int r;

        snprintf(path, sizeof(path), "module/%s/drivers", module);
        r = folder_open(&dir, sys, path);
        if (r < 0)
                return r;

        while ((entry = readdir(dir)))
                if (strncmp(entry->d_name, "pci:", 4) == 0 && strlen(entry->d_name + 4) < VARIANT_NAME_MAX) {
                        strcpy(ret, entry->d_name + 4);
                        return 0;
                }
        return -ENOENT;
}

static bool is_loaded(int sys, const char *driver) {
        char path[160];

        snprintf(path, sizeof(path), "bus/pci/drivers/%s", driver);
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

int variant_find(const char *root, int sys, const char *modalias, char ret_driver[VARIANT_NAME_MAX],
                 char ret_module[VARIANT_NAME_MAX]) {
        Best best = {};

        each_match(root, modalias, keep_best, &best);
        if (!best.module[0] || strcmp(best.module, PLAIN_MODULE) == 0) {
                strcpy(ret_module, PLAIN_MODULE);
                strcpy(ret_driver, PLAIN_DRIVER);
                return is_loaded(sys, PLAIN_DRIVER) ? 0 : -ENOENT;
        }

        strcpy(ret_module, best.module);
        if (driver_of_module(sys, best.module, ret_driver) == 0 && is_loaded(sys, ret_driver))
                return 0;
        strcpy(ret_driver, best.module);
        return -ENOENT;
}

static bool is_named(const char *pattern, const char *module, void *userdata) {
        char driver[VARIANT_NAME_MAX];
        Named *named = userdata;

        named->found = driver_of_module(named->sys, module, driver) == 0 && strcmp(driver, named->driver) == 0;
        return !named->found;
}

int variant_check(const char *root, int sys, const char *modalias, const char *driver) {
        Named named = { .sys = sys, .driver = driver, .found = strcmp(driver, PLAIN_DRIVER) == 0 };

        if (!*driver || strlen(driver) >= VARIANT_NAME_MAX || strchr(driver, '/') || strcmp(driver, "..") == 0)
                return -EINVAL;
        if (!named.found)
                each_match(root, modalias, is_named, &named);
        if (!named.found)
                return -EINVAL;
        return is_loaded(sys, driver) ? 0 : -ENOENT;
}
