/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: drivers */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "vfio-bind.h"
#include "vfio-objects.h"
#include "vfio-state.h"

static const char *last_part(const char *path) {
        return strrchr(path, '/') + 1;
}

static bool ends_with(const char *path, const char *a, const char *b) {
        return strcmp(last_part(path), a) == 0 || strcmp(last_part(path), b) == 0;
}

/* "sys/bus/BUS/drivers_probe", "sys/bus/BUS/drivers/DRIVER/bind", "sys/devices/.../driver_override" */
bool bind_is_about(const char *path) {
        const char *rest;

        if (strncmp(path, "sys/devices/", strlen("sys/devices/")) == 0)
                return ends_with(path, "driver_override", "control");
        if (strncmp(path, "sys/bus/", strlen("sys/bus/")) != 0)
                return false;
        rest = strchr(path + strlen("sys/bus/"), '/');
        return rest && (strcmp(rest, "/drivers_probe") == 0 ||
                        (strncmp(rest, "/drivers/", strlen("/drivers/")) == 0 && ends_with(rest, "bind", "unbind")));
}

/* No two buses of a tree have a device of one name. */
static const char *bus_of(const char *address) {
        static const char *const buses[] = { "platform", "mdev", "fsl-mc", "cdx", "amba" };
        char path[PATH_MAX];

        for (size_t i = 0; i < sizeof(buses) / sizeof(*buses); i++) {
                state_path(path, "sys/bus/%s/devices/%s", buses[i], address);
                if (path_exists(path))
                        return buses[i];
        }
        return "pci";
}

void bind_device_path(char ret[PATH_MAX], const char *address, const char *name) {
        state_path(ret, "sys/bus/%s/devices/%s%s%s", bus_of(address), address, *name ? "/" : "", name);
}

/* The last part of what a link of the device leads to; "" for none. */
void bind_read_link(const char *address, const char *name, char ret[64]) {
        char path[PATH_MAX], target[PATH_MAX];
        ssize_t n;

        bind_device_path(path, address, name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        snprintf(ret, 64, "%.63s", n > 0 ? last_part(target) : "");
}

static void read_attribute(const char *address, const char *name, char ret[STATE_MAX]) {
        char path[PATH_MAX];

        bind_device_path(path, address, name);
        text_read(path, ret);
        ret[strcspn(ret, "\n")] = '\0';
        if (strcmp(ret, "(null)") == 0)
                ret[0] = '\0';
}

static void write_attribute(const char *address, const char *name, const char *text) {
        char path[PATH_MAX];

        bind_device_path(path, address, name);
        text_write(path, text);
}

/* "DRIVER=" is the first line, if there is one. Who reads meanwhile sees the old file or the new one. */
static void write_uevent(const char *address, const char *driver) {
        char path[PATH_MAX], fresh[PATH_MAX], text[STATE_MAX], all[STATE_MAX + 128], *rest = text;

        bind_device_path(path, address, "uevent");
        state_path(fresh, "fake/uevent-%s", address);
        text_read(path, text);
        if (strncmp(text, "DRIVER=", 7) == 0)
                rest = strchr(text, '\n') + 1;
        snprintf(all, sizeof(all), "%s%s%s%s", *driver ? "DRIVER=" : "", driver, *driver ? "\n" : "", rest);
        text_write(fresh, all);
        if (rename(fresh, path) < 0)
                abort();
}

/* Calls for each entry of a folder below the root that is not hidden; true if one of them says so. */
static bool any_entry(const char *folder, bool (*is_it)(const char *folder, const char *name)) {
        struct dirent *entry;
        DIR *dir = opendir(folder);
        bool found = false;

        while (dir && !found && (entry = readdir(dir)))
                found = entry->d_name[0] != '.' && is_it(folder, entry->d_name);
        if (dir)
                closedir(dir);
        return found;
}

static bool has_vfio(const char *folder, const char *name) {
        char path[PATH_MAX + 300];

        snprintf(path, sizeof(path), "%s/%s/vfio-dev", folder, name);
        return path_exists(path);
}

static bool remove_folder(const char *folder, const char *name) {
        char path[PATH_MAX + 300];

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        (void) rmdir(path);
        return false;
}

/* The node is there while one of the group's devices is on a VFIO driver. */
static void update_group(const char *address) {
        char group[64], devices[PATH_MAX], node[PATH_MAX];

        bind_read_link(address, "iommu_group", group);
        if (!*group)
                return;
        state_path(devices, "sys/kernel/iommu_groups/%s/devices", group);
        state_path(node, "dev/vfio/%s", group);
        if (!any_entry(devices, has_vfio))
                (void) unlink(node);
        else if (!path_exists(node))
                text_write(node, "");
}

/* "../../../devices/..." of the device's link in bus/BUS/devices has as many levels above it as "driver" needs. */
static void make_driver_link(const char *address, const char *driver) {
        char path[PATH_MAX], real[PATH_MAX], root[PATH_MAX], target[PATH_MAX] = "";

        state_path(root, "sys");
        bind_device_path(path, address, "");
        if (!realpath(path, real))
                abort();
        for (const char *c = real + strlen(root); *c; c++)
                if (*c == '/')
                        strcat(target, "../");
        snprintf(target + strlen(target), sizeof(target) - strlen(target), "bus/%s/drivers/%s", bus_of(address), driver);
        bind_device_path(path, address, "driver");
        if (symlink(target, path) < 0)
                abort();
}

static void bind_device(const char *address, const char *driver) {
        char path[PATH_MAX];

        make_driver_link(address, driver);
        if (strncmp(driver, "vfio-", 5) == 0 || strstr(driver, "-vfio-")) {
                bind_device_path(path, address, "vfio-dev");
                (void) mkdir(path, 0755);
                bind_device_path(path, address, "vfio-dev/vfio0");
                (void) mkdir(path, 0755);
                if (strcmp(bus_of(address), "pci") == 0)
                        write_attribute(address, "power/control", "auto\n");
        }
        write_uevent(address, driver);
        update_group(address);
        objects_come(address);
}

static int unbind(const char *driver, const char *address) {
        char path[PATH_MAX], current[64];
        bool vfio;

        fault_delay(address, "unbind");

        bind_read_link(address, "driver", current);
        if (strcmp(current, driver) != 0)
                return -ENODEV;
        if (fault_errno(address, "unbind") < 0)
                return -EBUSY;

        bind_device_path(path, address, "vfio-dev");
        vfio = path_exists(path);
        objects_go(address);
        if (vfio) {
                any_entry(path, remove_folder);
                (void) rmdir(path);
                if (strcmp(bus_of(address), "pci") == 0)
                        write_attribute(address, "power/control", "on\n");
        } else {
                char name[96];

                snprintf(name, sizeof(name), "native-%s", address);
                state_write(name, driver);
        }
        bind_device_path(path, address, "driver");
        (void) unlink(path);
        write_uevent(address, "");
        update_group(address);
        return 0;
}

/* By driver_override, or for want of that by the device's id. PCI's drivers are taken for such as want everything. */
static bool driver_matches(const char *driver, const char *address) {
        char text[STATE_MAX], name[96];

        if (strcmp(bus_of(address), "pci") == 0)
                return true;

        read_attribute(address, "driver_override", text);
        if (!*text) {
                snprintf(name, sizeof(name), "native-%s", address);
                state_read(name, text);
        }
        return strcmp(text, driver) == 0;
}

int bind_to_driver(const char *driver, const char *address) {
        char path[PATH_MAX], current[64];
        int r;

        bind_read_link(address, "driver", current);
        state_path(path, "sys/bus/%s/drivers/%s", bus_of(address), driver);
        if (*current || !*driver || !path_exists(path) || !driver_matches(driver, address))
                return -ENODEV;
        bind_device_path(path, address, "");
        if (!path_exists(path))
                return -ENODEV;
        r = fault_errno(address, "probe");
        if (r < 0)
                return r;
        bind_device(address, driver);
        return 0;
}

void bind_read_driver(const char *address, char ret[64]) {
        bind_read_link(address, "driver", ret);
}

/* It reports success, whatever came of it. */
static int probe(const char *address) {
        char text[STATE_MAX], name[96];

        fault_delay(address, "probe");
        read_attribute(address, "driver_override", text);
        if (!*text) {
                snprintf(name, sizeof(name), "native-%s", address);
                state_read(name, text);
        }
        (void) bind_to_driver(text, address);
        return 0;
}

/* The address is the last folder of "sys/devices/.../ADDRESS/driver_override" or ".../ADDRESS/power/control". */
static void address_of(const char *path, char ret[64]) {
        char copy[PATH_MAX], *at;

        snprintf(copy, sizeof(copy), "%s", path);
        at = strstr(copy, "/power/control");
        if (!at)
                at = strrchr(copy, '/');
        *at = '\0';
        snprintf(ret, 64, "%.63s", last_part(copy));
}

static int override(const char *address, const char *value) {
        char text[128];
        int r = fault_errno(address, "override");

        if (r < 0)
                return r;
        snprintf(text, sizeof(text), "%.100s\n", *value ? value : "(null)");
        write_attribute(address, "driver_override", text);
        return 0;
}

/* "pci" and "e1000e" of "sys/bus/pci/drivers/e1000e/bind" */
static void parse_path(const char *path, char ret_bus[64], char ret_driver[64]) {
        if (sscanf(path, "sys/bus/%63[^/]/drivers/%63[^/]/", ret_bus, ret_driver) < 1)
                abort();
}

int bind_write(const char *path, const char *data, size_t size) {
        const char *attribute = last_part(path);
        char bus[64] = "";
        char value[128], driver[64] = "", address[64];
        int r;

        close(state_lock()); /* makes the folder; a move that hangs must not have it */
        snprintf(value, sizeof(value), "%.*s", (int) (size < 100 ? size : 100), data);
        value[strcspn(value, "\n")] = '\0';
        snprintf(address, sizeof(address), "%.63s", value);

        if (strcmp(attribute, "driver_override") == 0) {
                address_of(path, address);
                r = override(address, value);
                attribute = "override";
        } else if (strcmp(attribute, "control") == 0) {
                address_of(path, address);
                strcat(value, "\n");
                write_attribute(address, "power/control", value);
                r = 0;
        } else {
                parse_path(path, bus, driver);
                if (strcmp(bus, bus_of(address)) != 0)
                        r = -ENODEV;
                else if (strcmp(attribute, "drivers_probe") == 0)
                        r = probe(address);
                else
                        r = strcmp(attribute, "bind") == 0 ? bind_to_driver(driver, address) : unbind(driver, address);
                if (strcmp(attribute, "drivers_probe") == 0)
                        attribute = "probe";
        }
        call_log(address, attribute, r);
        return r;
}
