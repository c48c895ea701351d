/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: virtual functions */

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio-bind.h"
#include "vfio-sriov.h"
#include "vfio-state.h"

#define DEVICES "sys/bus/pci/devices"
#define GROUPS  "sys/kernel/iommu_groups"

/* Of VFs, so that the tree's own are others. */
#define FIRST_GROUP 1000

typedef struct Function {
        const char *pf;
        char address[32];
        char folder[PATH_MAX / 2]; /* "/tmp/root/sys/devices/pci0000:00/0000:03:00.1" */
        unsigned index, group;
} Function;

bool sriov_is_about(const char *path) {
        const char *name = strrchr(path, '/');

        return strncmp(path, "sys/devices/", strlen("sys/devices/")) == 0 && strcmp(name, "/sriov_numvfs") == 0;
}

/* The VFs are behind their PF, in the order of their index. */
static void function_name(Function *function, const char *pf, unsigned index) {
        unsigned domain = 0, bus = 0, slot = 0, number = 0, place;
        char path[PATH_MAX], real[PATH_MAX];

        if (sscanf(pf, "%x:%x:%x.%u", &domain, &bus, &slot, &number) != 4)
                abort();
        place = slot * 8 + number + 1 + index;
        *function = (Function) { .pf = pf, .index = index, .group = FIRST_GROUP + bus * 256 + place };
        snprintf(function->address, sizeof(function->address), "%04x:%02x:%02x.%u", domain, bus, place / 8, place % 8);

        state_path(path, DEVICES "/%s", pf);
        if (!realpath(path, real))
                abort();
        snprintf(function->folder, sizeof(function->folder), "%.*s/%s", (int) (strrchr(real, '/') - real), real, function->address);
}

__attribute__((format(printf, 3, 4)))
static void put(const Function *function, const char *name, const char *format, ...) {
        char path[PATH_MAX], text[STATE_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        snprintf(path, sizeof(path), "%s/%s", function->folder, name);
        text_write(path, text);
}

__attribute__((format(printf, 2, 3)))
static void make_folder(bool must, const char *format, ...) {
        char path[PATH_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(path, sizeof(path), format, arguments);
        va_end(arguments);
        if (mkdir(path, 0755) < 0 && must)
                abort();
}

static void make_link(const char *target, const char *path) {
        if (symlink(target, path) < 0)
                abort();
}

/* "../" for each level of @folder below sys/ */
static void up(const char *folder, char ret[256]) {
        char root[PATH_MAX];

        state_path(root, "sys");
        ret[0] = '\0';
        for (const char *c = folder + strlen(root); *c; c++)
                if (*c == '/')
                        strcat(ret, "../");
}

/* As the PF's, but for its driver and its name. */
static void copy_attributes(const Function *function) {
        static const char *const names[] = { "class", "vendor", "device", "subsystem_vendor", "subsystem_device", "revision",
                                             "resource", "numa_node", "reset_method" };
        char path[PATH_MAX], text[STATE_MAX], name[96];
        char *line, *slot, *rest;

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                state_path(path, DEVICES "/%s/%s", function->pf, names[i]);
                text_read(path, text);
                if (path_exists(path))
                        put(function, names[i], "%s", text);
        }
        state_path(path, DEVICES "/%s/uevent", function->pf);
        text_read(path, text);
        line = strstr(text, "PCI_CLASS=");
        slot = strstr(text, "PCI_SLOT_NAME=");
        rest = strchr(slot, '\n');
        *slot = '\0';
        put(function, "uevent", "%sPCI_SLOT_NAME=%s%s", line, function->address, rest);
        put(function, "driver_override", "(null)\n");
        put(function, "enable", "0\n");
        make_folder(true, "%s/power", function->folder);
        put(function, "power/control", "on\n");
        snprintf(name, sizeof(name), "native-%s", function->address);
        state_write(name, "");
}

static void make_group(const Function *function) {
        char path[PATH_MAX], target[PATH_MAX], levels[256], root[PATH_MAX];

        up(function->folder, levels);
        state_path(path, GROUPS "/%u", function->group);
        make_folder(true, "%s", path);
        make_folder(true, "%s/devices", path);
        state_path(path, GROUPS "/%u/type", function->group);
        text_write(path, "DMA-FQ\n");
        state_path(path, GROUPS "/%u/reserved_regions", function->group);
        text_write(path, "0x00000000fee00000 0x00000000feefffff msi\n");

        state_path(root, "%s", "");
        snprintf(target, sizeof(target), "../../../../../%s", function->folder + strlen(root));
        state_path(path, GROUPS "/%u/devices/%s", function->group, function->address);
        make_link(target, path);
        snprintf(target, sizeof(target), "%skernel/iommu_groups/%u", levels, function->group);
        snprintf(path, sizeof(path), "%s/iommu_group", function->folder);
        make_link(target, path);
}

static void make_function(const Function *function) {
        char path[PATH_MAX], target[PATH_MAX], root[PATH_MAX];

        make_folder(true, "%s", function->folder);
        copy_attributes(function);
        make_group(function);

        snprintf(target, sizeof(target), "../%s", function->pf);
        snprintf(path, sizeof(path), "%s/physfn", function->folder);
        make_link(target, path);
        snprintf(target, sizeof(target), "../%s", function->address);
        state_path(path, DEVICES "/%s/virtfn%u", function->pf, function->index);
        make_link(target, path);

        state_path(root, "sys");
        snprintf(target, sizeof(target), "../../..%s", function->folder + strlen(root));
        state_path(path, DEVICES "/%s", function->address);
        make_link(target, path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static void remove_function(const Function *function) {
        char path[PATH_MAX];

        state_path(path, "fake/device-%s", function->address);
        while (state_is_open(path))
                usleep(1000); /* its driver's unbind waits for that */

        state_path(path, DEVICES "/%s", function->address);
        (void) unlink(path);
        state_path(path, DEVICES "/%s/virtfn%u", function->pf, function->index);
        (void) unlink(path);
        state_path(path, "dev/vfio/%u", function->group);
        (void) unlink(path);
        state_path(path, GROUPS "/%u", function->group);
        (void) nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        (void) nftw(function->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static unsigned read_number(const char *pf, const char *name) {
        char path[PATH_MAX], text[STATE_MAX];

        state_path(path, DEVICES "/%s/%s", pf, name);
        text_read(path, text);
        return (unsigned) strtoul(text, NULL, 10);
}

static void write_count(const char *pf, unsigned count) {
        char path[PATH_MAX], text[32];

        state_path(path, DEVICES "/%s/sriov_numvfs", pf);
        snprintf(text, sizeof(text), "%u\n", count);
        text_write(path, text);
}

/* Those of a PF on VFIO are for that driver. */
static void offer_function(const Function *function, const char *driver, bool vfio) {
        if (vfio)
                put(function, "driver_override", "%s\n", driver);
        if (read_number(function->pf, "sriov_drivers_autoprobe"))
                (void) bind_to_driver(driver, function->address);
}

static bool is_on_vfio(const char *address) {
        char path[PATH_MAX];

        state_path(path, DEVICES "/%s/vfio-dev", address);
        return path_exists(path);
}

static bool may_make(const char *pf, const char *driver) {
        char path[PATH_MAX], text[STATE_MAX];

        if (!is_on_vfio(pf))
                return *driver;

        state_path(path, "sys/module/vfio_pci/parameters/enable_sriov");
        text_read(path, text);
        return *text == 'Y';
}

/* The number comes first, so that whoever comes after a death in between knows how many there may be. */
static int set_count(const char *pf, unsigned count) {
        char driver[64], path[PATH_MAX], text[STATE_MAX];
        unsigned current = read_number(pf, "sriov_numvfs");
        Function function;

        if (count > read_number(pf, "sriov_totalvfs"))
                return -ERANGE;
        if (count == current)
                return 0;
        bind_read_driver(pf, driver);
        if (!may_make(pf, driver))
                return -ENOENT;
        if (count > 0 && current > 0)
                return -EBUSY;

        state_path(path, "fail/%s/fewer-functions", pf);
        text_read(path, text);
        if (count > 0 && *text)
                count = (unsigned) strtoul(text, NULL, 10);

        for (unsigned i = 0; i < current; i++) {
                function_name(&function, pf, i);
                remove_function(&function);
        }
        write_count(pf, count);
        for (unsigned i = 0; i < count; i++) {
                function_name(&function, pf, i);
                fault_delay(pf, "function");
                fault_delay(function.address, "function");
                make_function(&function);
                offer_function(&function, driver, is_on_vfio(pf));
        }
        return 0;
}

int sriov_write(const char *path, const char *data, size_t size) {
        char value[32], address[64], copy[PATH_MAX];
        int r;

        close(state_lock()); /* makes the folder */
        snprintf(value, sizeof(value), "%.*s", (int) (size < 30 ? size : 30), data);
        snprintf(copy, sizeof(copy), "%s", path);
        *strrchr(copy, '/') = '\0';
        snprintf(address, sizeof(address), "%.63s", strrchr(copy, '/') + 1);

        fault_delay(address, "numvfs");
        r = fault_errno(address, "numvfs");
        if (r == 0)
                r = set_count(address, (unsigned) strtoul(value, NULL, 10));
        call_log(address, "numvfs", r);
        return r;
}

static bool has_open_function(const char *pf) {
        char path[PATH_MAX];
        Function function;

        for (unsigned i = 0; i < read_number(pf, "sriov_numvfs"); i++) {
                function_name(&function, pf, i);
                state_path(path, "fake/device-%s", function.address);
                if (state_is_open(path))
                        return true;
        }
        return false;
}

static int compare_token(const char *given, const char *token) {
        return given && strcasecmp(given, token) == 0 ? 0 : -EACCES;
}

/* The PF's first user sets it, unless a VF is in use, and whoever comes after that must know it. */
int sriov_check_token(const char *address, const char *argument) {
        static const char word[] = " vf_token=";
        const char *given = strstr(argument, word);
        char path[PATH_MAX], token[STATE_MAX], name[96], pf[64] = "";

        given = given ? given + strlen(word) : NULL;
        state_path(path, "fail/%s/vf-token", address);
        text_read(path, token);
        token[strcspn(token, "\n")] = '\0';
        if (*token)
                return compare_token(given, token);

        bind_read_link(address, "physfn", pf);
        if (*pf && is_on_vfio(pf)) {
                snprintf(name, sizeof(name), "vf-token-%s", pf);
                state_read(name, token);
                return compare_token(given, token);
        }

        state_path(path, DEVICES "/%s/sriov_totalvfs", address);
        if (!path_exists(path))
                return given ? -EINVAL : 0;

        snprintf(name, sizeof(name), "vf-token-%s", address);
        state_read(name, token);
        if (has_open_function(address))
                return compare_token(given, token);
        if (given)
                state_write(name, given);
        return 0;
}
