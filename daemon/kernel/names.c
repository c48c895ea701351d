/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel/folder.h"
#include "kernel/names.h"
#include "kernel/sysfs.h"

/* "0d.0" of "0000:06:0d.0" */
static const char *slot_of(const char *address) {
        return strrchr(address, ':') + 1;
}

static unsigned bus_of(const char *address) {
        return (unsigned) strtoul(strchr(address, ':') + 1, NULL, 16);
}

/* "pci0000:00": a host bridge. Below another one it is VMD's, whose number depends on what was there before it. */
static bool is_root(const char *name) {
        return strncmp(name, "pci", 3) == 0 && strlen(name) <= 3 + 8 + 3 && strlen(name) >= 3 + 4 + 3;
}

typedef struct PathBuilder {
        char text[NAMES_PATH_MAX];
        size_t n;
        unsigned n_slots;
} PathBuilder;

/* @address is a bridge on the way, or the function itself. */
static int path_add(PathBuilder *path, const char *address) {
        size_t left = sizeof(path->text) - path->n;
        int n;

        if (path->n_slots++ == 0)
                n = snprintf(path->text + path->n, left, "pci-%s", address);
        else
                n = snprintf(path->text + path->n, left, "/%s", slot_of(address));
        if (n < 0 || (size_t) n >= left)
                return -EFBIG;

        path->n += (size_t) n;
        return 0;
}

/* A VF may have a bus of its own that no bridge is for: then it is counted from the PF's, where the folder is, too. */
static int path_add_last(PathBuilder *path, const char *address, const char *physfn) {
        unsigned bus = bus_of(address), own = *physfn ? bus_of(physfn) : bus;
        char name[PCI_ADDRESS_MAX];
        int r, n;

        if (bus < own)
                return -EBADMSG;
        snprintf(name, sizeof(name), "%.*s:%02x:%s", (int) strcspn(address, ":"), address, own & 0xff,
                 slot_of(address));
        r = path_add(path, name);
        if (r < 0 || bus == own)
                return r;

        n = snprintf(path->text + path->n, sizeof(path->text) - path->n, "+%u", bus - own);
        return (size_t) n < sizeof(path->text) - path->n ? 0 : -EFBIG;
}

int names_path(int sysfs, const char *address, const char *physfn, char *ret, size_t size) {
        char syspath[PATH_MAX], *save = NULL;
        bool below = false, found = false;
        PathBuilder path = {};
        int r;

        if (*physfn && !pci_address_is_valid(physfn))
                return -EBADMSG;
        r = scan_pci_syspath(sysfs, address, syspath, sizeof(syspath));
        if (r < 0)
                return r;

        /* "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0"; platforms have more before the host bridge. */
        for (char *name = strtok_r(syspath, "/", &save); name && r == 0; name = strtok_r(NULL, "/", &save)) {
                below |= is_root(name);
                if (!below || is_root(name))
                        continue;
                if (found || !pci_address_is_valid(name))
                        return -EBADMSG;
                found = strcmp(name, address) == 0;
                r = found ? path_add_last(&path, name, physfn) : path_add(&path, name);
        }
        if (r < 0)
                return r;
        if (!found)
                return -EBADMSG;
        if (strlen(path.text) >= size)
                return -EFBIG;

        strcpy(ret, path.text);
        return 0;
}

static bool is_serial_character(char c) {
        return isascii((unsigned char) c) && (isalnum((unsigned char) c) || (c && strchr(".:+-_", c)));
}

/* -ENODATA: nothing is left of it. */
static int clean_serial(const char *text, char ret[NAMES_SERIAL_MAX]) {
        size_t n;

        /* controllers fill their field with spaces */
        text += strspn(text, " ");
        n = strlen(text);
        while (n > 0 && text[n - 1] == ' ')
                n--;
        if (n >= NAMES_SERIAL_MAX)
                return -ENODATA;

        for (size_t i = 0; i < n; i++)
                ret[i] = is_serial_character(text[i]) ? text[i] : '_';
        ret[n] = '\0';
        return strspn(ret, "0:_.-") == n ? -ENODATA : 0; /* nobody has filled it in */
}

/* What @attribute says, as long as @sign says @expected. */
static int serial_from(int folder, const char *name, const char *sign, const char *expected, const char *attribute,
                       char ret[NAMES_SERIAL_MAX]) {
        char path[NAME_MAX + 24], text[256];

        snprintf(path, sizeof(path), "%s/%s", name, sign);
        if (sysfs_read(folder, path, text, sizeof(text)) < 0 || strcmp(text, expected) != 0)
                return -ENODATA;
        snprintf(path, sizeof(path), "%s/%s", name, attribute);
        return sysfs_read(folder, path, text, sizeof(text)) < 0 ? -ENODATA : clean_serial(text, ret);
}

/* "nvme0": before it is live, the kernel has not asked the controller yet who it is. */
static int serial_of_nvme(int folder, const char *name, char ret[NAMES_SERIAL_MAX]) {
        return serial_from(folder, name, "state", "live", "serial", ret);
}

/* NET_ADDR_PERM: it has the address that it came with. One that somebody has set, or made up, names nothing. */
static int serial_of_interface(int folder, const char *name, char ret[NAMES_SERIAL_MAX]) {
        return serial_from(folder, name, "addr_assign_type", "0", "address", ret);
}

int names_serial(int sysfs, const char *address, char ret[NAMES_SERIAL_MAX]) {
        static const struct {
                const char *folder;
                int (*read)(int folder, const char *name, char ret[NAMES_SERIAL_MAX]);
        } kinds[] = {
                { "nvme", serial_of_nvme },
                { "net", serial_of_interface },
        };
        char path[PATH_MAX], serial[NAMES_SERIAL_MAX], first[NAMES_SERIAL_MAX] = "";
        struct dirent *entry;

        if (!pci_address_is_valid(address))
                return -ENODATA;

        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                _cleanup_(folder_closep) DIR *folder = NULL;

                snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", address, kinds[i].folder);
                if (folder_open(&folder, sysfs, path) < 0)
                        continue;
                /* Of several the one that is first as text, since the order of a folder means nothing. */
                while ((entry = readdir(folder)))
                        if (entry->d_name[0] != '.' && kinds[i].read(dirfd(folder), entry->d_name, serial) == 0 &&
                            (!first[0] || strcmp(serial, first) < 0))
                                strcpy(first, serial);
        }
        if (!first[0])
                return -ENODATA;

        strcpy(ret, first);
        return 0;
}

int names_interface_owner(int sysfs, const char *interface, char ret[PCI_ADDRESS_MAX]) {
        char path[PATH_MAX], name[PCI_ADDRESS_MAX];

        snprintf(path, sizeof(path), "class/net/%.64s/device", interface);
        if (strchr(interface, '/') || sysfs_readlink_name(sysfs, path, name, sizeof(name)) < 0 ||
            !pci_address_is_valid(name))
                return -ENODATA;

        strcpy(ret, name);
        return 0;
}

int names_cpu_node(int sysfs, unsigned cpu, int *ret) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        struct dirent *entry;
        char path[64], *end;
        long node;
        int r;

        snprintf(path, sizeof(path), "devices/system/cpu/cpu%u", cpu);
        r = folder_open(&folder, sysfs, path);
        if (r < 0)
                return r;

        while ((entry = readdir(folder))) {
                if (strncmp(entry->d_name, "node", 4) != 0 || !isdigit((unsigned char) entry->d_name[4]))
                        continue;
                errno = 0;
                node = strtol(entry->d_name + 4, &end, 10);
                if (errno != 0 || *end || node > INT_MAX)
                        continue;
                *ret = (int) node;
                return 0;
        }

        return -ENODATA;
}
