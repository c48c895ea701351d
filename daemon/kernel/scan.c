/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scan
 *
 * The order of the reads in scan_pci() is an order of need: a function without a sensible "uevent" costs four
 * system calls and no more. Strings that go on to clients are plain ASCII or dropped, since one bad
 * byte makes a D-Bus message invalid.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "folder.h"
#include "scan-bus.h"
#include "scan.h"
#include "sysfs.h"
#include "text.h"

#define ATTRIBUTE_MAX 4097 /* a page, and one to see that there is no more */
#define FUNCTIONS_MAX 65536

static bool is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool pci_address_is_valid(const char *address) {
        const char *rest;
        size_t domain = 0;

        while (domain < 9 && is_hex(address[domain]))
                domain++;
        /* The kernel writes at least four digits, and never a zero before more: one name for one function. */
        if (domain < 4 || domain > 8 || (domain > 4 && address[0] == '0'))
                return false;

        rest = address + domain;
        return rest[0] == ':' && is_hex(rest[1]) && is_hex(rest[2]) &&
               rest[3] == ':' && (rest[4] == '0' || rest[4] == '1') && is_hex(rest[5]) &&
               rest[6] == '.' && rest[7] >= '0' && rest[7] <= '7' && rest[8] == '\0';
}

/* "8086:100E" */
static bool parse_ids(const char *s, uint16_t *ret_vendor, uint16_t *ret_device) {
        uint64_t vendor, device;

        if (!take_number(&s, 16, UINT16_MAX, &vendor) || !take_text(&s, ":") ||
            !parse_number(s, 16, UINT16_MAX, &device))
                return false;
        *ret_vendor = vendor;
        *ret_device = device;
        return true;
}

enum {
        SEEN_CLASS = 1 << 0,
        SEEN_ID    = 1 << 1,
        SEEN_SLOT  = 1 << 2,
        SEEN_ALL   = SEEN_CLASS | SEEN_ID | SEEN_SLOT,
};

/* One line of "uevent". Keys that are not ours are none of our business. */
static bool parse_line(const char *line, PciFacts *facts, unsigned *seen) {
        uint64_t class;

        if (take_text(&line, "DRIVER="))
                return copy_plain(facts->driver, sizeof(facts->driver), line);
        if (take_text(&line, "PCI_CLASS=")) {
                *seen |= SEEN_CLASS;
                if (!parse_number(line, 16, 0xffffff, &class))
                        return false;
                facts->class = class;
                return true;
        }
        if (take_text(&line, "PCI_ID=")) {
                *seen |= SEEN_ID;
                return parse_ids(line, &facts->vendor, &facts->device);
        }
        if (take_text(&line, "PCI_SUBSYS_ID="))
                return parse_ids(line, &facts->subsystem_vendor, &facts->subsystem_device);
        if (take_text(&line, "PCI_SLOT_NAME=")) {
                *seen |= SEEN_SLOT;
                return strcmp(line, facts->address) == 0;
        }
        if (take_text(&line, "MODALIAS="))
                return copy_plain(facts->modalias, sizeof(facts->modalias), line);
        return true;
}

static int parse_uevent(char *text, PciFacts *facts) {
        char *line, *end;
        unsigned seen = 0;

        for (line = text; line; line = end) {
                end = strchr(line, '\n');
                if (end)
                        *end++ = '\0';
                if (!parse_line(line, facts, &seen))
                        return -EBADMSG;
        }
        return seen == SEEN_ALL ? 0 : -EBADMSG;
}

static void pci_path(char ret[PATH_MAX], const char *address, const char *attribute) {
        snprintf(ret, PATH_MAX, "bus/pci/devices/%s/%s", address, attribute);
}

static int read_pci(int sysfs, const char *address, const char *attribute, char *ret, size_t size) {
        char path[PATH_MAX];

        pci_path(path, address, attribute);
        return sysfs_read(sysfs, path, ret, size);
}

static int read_identity(int sysfs, const char *address, PciFacts *facts) {
        char text[ATTRIBUTE_MAX], path[PATH_MAX], name[16];
        uint64_t group;
        int r;

        r = read_pci(sysfs, address, "uevent", text, sizeof(text));
        if (r == -ENOENT)
                return -ENODEV;
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        r = parse_uevent(text, facts);
        if (r < 0)
                return r;

        pci_path(path, address, "iommu_group");
        if (sysfs_readlink_name(sysfs, path, name, sizeof(name)) == 0 && parse_number(name, 10, INT_MAX, &group))
                facts->group = group;

        /* vfio-dev/ belongs to the binding, so without a driver there is nothing to ask */
        if (facts->driver[0]) {
                pci_path(path, address, "vfio-dev");
                facts->vfio_driver = sysfs_exists(sysfs, path);
        }
        return 0;
}

/* "0x00000000fe000000 0x00000000fe0fffff 0x0000000000040200" */
static bool take_resource(const char **s, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_flags) {
        return take_text(s, "0x") && take_number(s, 16, UINT64_MAX, ret_first) && take_text(s, " 0x") &&
               take_number(s, 16, UINT64_MAX, ret_last) && take_text(s, " 0x") &&
               take_number(s, 16, UINT64_MAX, ret_flags) && (take_text(s, "\n") || **s == '\0');
}

static void parse_bars(const char *text, PciFacts *facts) {
        uint64_t first, last, flags;

        /* Lines after the ROM's are of SR-IOV and of bridges. */
        for (unsigned i = 0; i < PCI_BARS_MAX && take_resource(&text, &first, &last, &flags); i++) {
                if (flags == 0 || last < first || last - first == UINT64_MAX)
                        continue;
                facts->bars[facts->n_bars++] =
                        (PciBar){ .index = i, .start = first, .size = last - first + 1, .flags = flags };
        }
}

int scan_pci_instance(int sysfs, const char *address, uint64_t *ret) {
        return pci_address_is_valid(address) ? scan_bus_instance(sysfs, "pci", address, ret) : -ENODEV;
}

static int scan_identity(int sysfs, const char *address, uint64_t instance, PciFacts *ret) {
        PciFacts facts = { .instance = instance, .group = -1, .numa_node = -1 };
        int r;

        memcpy(facts.address, address, strlen(address) + 1);
        r = read_identity(sysfs, address, &facts);
        if (r < 0)
                return r;

        *ret = facts;
        return 0;
}

int scan_pci_identity(int sysfs, const char *address, PciFacts *ret) {
        uint64_t instance;
        int r;

        /* Before all else: if another one comes meanwhile, the news of it tell that this one is no more. */
        r = scan_pci_instance(sysfs, address, &instance);
        return r < 0 ? r : scan_identity(sysfs, address, instance, ret);
}

static int scan_in_full(int sysfs, const char *address, uint64_t instance, PciFacts *ret) {
        char text[ATTRIBUTE_MAX];
        PciFacts facts;
        uint64_t node;
        int r;

        r = scan_identity(sysfs, address, instance, &facts);
        if (r < 0)
                return r;

        if (read_pci(sysfs, address, "numa_node", text, sizeof(text)) == 0 && parse_number(text, 10, INT_MAX, &node))
                facts.numa_node = node;
        if (read_pci(sysfs, address, "reset_method", text, sizeof(text)) == 0)
                copy_plain(facts.reset_methods, sizeof(facts.reset_methods), text);
        if (read_pci(sysfs, address, "resource", text, sizeof(text)) == 0)
                parse_bars(text, &facts);

        *ret = facts;
        return 0;
}

int scan_pci(int sysfs, const char *address, PciFacts *ret) {
        uint64_t instance;
        int r;

        r = scan_pci_instance(sysfs, address, &instance);
        return r < 0 ? r : scan_in_full(sysfs, address, instance, ret);
}

typedef struct Entry {
        char address[PCI_ADDRESS_MAX];
        uint64_t instance;
} Entry;

/* The shorter domain is the smaller number; within one length text sorts as numbers do. */
static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;
        size_t length_x = strlen(x->address), length_y = strlen(y->address);

        if (length_x != length_y)
                return length_x < length_y ? -1 : 1;
        return strcmp(x->address, y->address);
}

static int list_entries(int sysfs, Entry **ret, size_t *ret_n) {
        _cleanup_(freep) Entry *list = NULL;
        _cleanup_(folder_closep) DIR *dir = NULL;
        size_t n = 0, n_allocated = 0;
        struct dirent *entry;
        Entry *larger;
        int r;

        r = folder_open(&dir, sysfs, "bus/pci/devices");
        if (r < 0)
                return r;

        while ((entry = readdir(dir))) {
                if (!pci_address_is_valid(entry->d_name))
                        continue;
                if (n == FUNCTIONS_MAX)
                        return -E2BIG;
                if (n == n_allocated) {
                        n_allocated = n_allocated ? n_allocated * 2 : 64;
                        larger = reallocarray(list, n_allocated, sizeof(*list));
                        if (!larger)
                                return -ENOMEM;
                        list = larger;
                }
                list[n].instance = entry->d_ino;
                memcpy(list[n++].address, entry->d_name, strlen(entry->d_name) + 1);
        }

        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}

int scan_pci_all(int sysfs, bool (*skip)(const char *address, uint64_t instance, void *userdata),
                 int (*found)(const PciFacts *facts, void *userdata), void *userdata) {
        _cleanup_(freep) Entry *list = NULL;
        size_t n = 0;
        int r;

        r = list_entries(sysfs, &list, &n);
        if (r < 0)
                return r;
        if (n > 0)
                qsort(list, n, sizeof(*list), compare_entries);

        for (size_t i = 0; i < n; i++) {
                PciFacts facts;

                if (skip && skip(list[i].address, list[i].instance, userdata))
                        continue;
                if (scan_in_full(sysfs, list[i].address, list[i].instance, &facts) < 0)
                        continue;
                r = found(&facts, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int scan_pci_physfn(int sysfs, const char *address, char ret[PCI_ADDRESS_MAX]) {
        char path[PATH_MAX], name[PCI_ADDRESS_MAX];
        int r;

        if (!pci_address_is_valid(address))
                return -ENODEV;

        pci_path(path, address, "physfn");
        r = sysfs_readlink_name(sysfs, path, name, sizeof(name));
        if (r == -ENOENT)
                return -ENODATA;
        if (r < 0)
                return r;
        if (!pci_address_is_valid(name))
                return -EBADMSG;
        memcpy(ret, name, strlen(name) + 1);
        return 0;
}

bool scan_pci_boot_vga(int sysfs, const char *address) {
        char value[4];

        return pci_address_is_valid(address) &&
               read_pci(sysfs, address, "boot_vga", value, sizeof(value)) == 0 && strcmp(value, "1") == 0;
}

int scan_pci_syspath(int sysfs, const char *address, char *ret, size_t size) {
        return pci_address_is_valid(address) ? scan_bus_syspath(sysfs, "pci", address, ret, size) : -ENODEV;
}

int scan_pci_cdev(int sysfs, const char *address, char *ret, size_t size) {
        return pci_address_is_valid(address) ? scan_bus_cdev(sysfs, "pci", address, ret, size) : -ENODEV;
}

bool scan_module_flag(int sysfs, const char *module, const char *parameter) {
        char path[PATH_MAX], value[8];

        snprintf(path, sizeof(path), "module/%s/parameters/%s", module, parameter);
        return sysfs_read(sysfs, path, value, sizeof(value)) == 0 &&
               (strcmp(value, "Y") == 0 || strcmp(value, "1") == 0);
}
