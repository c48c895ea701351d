/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One attribute of a function or a group, which the first byte picks, says whatever it likes. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "kernel/scan.h"
#include "tree.h"

#define FUNCTION "sys/bus/pci/devices/0000:01:00.0/"
#define GROUP    "sys/kernel/iommu_groups/12/"

static const struct {
        const char *path, *value; /* what it says otherwise */
} attributes[] = {
        { FUNCTION "uevent", "DRIVER=vfio-pci\nPCI_CLASS=FF00\nPCI_ID=1234:11E8\nPCI_SUBSYS_ID=1AF4:1100\nPCI_SLOT_NAME=0000:01:00.0\n" },
        { FUNCTION "resource", "0x00000000fe000000 0x00000000fe0fffff 0x0000000000040200\n" },
        { FUNCTION "reset_method", "flr bus\n" },
        { FUNCTION "numa_node", "0\n" },
        { FUNCTION "boot_vga", "1\n" },
        { GROUP "reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n" },
        { GROUP "type", "DMA-FQ\n" },
};

#define N_ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

static Tree *tree;
static int root = -EBADF, sys = -EBADF;

static void write_attribute(const char *path, const void *data, size_t size) {
        _cleanup_(closep) int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        must(fd >= 0 && write(fd, data, size) == (ssize_t) size);
}

static void remove_tree(void) {
        tree = tree_free(tree);
}

static void make_tree(void) {
        const TreePci pci = { .address = "0000:01:00.0", .driver = "vfio-pci", .vendor = 0x1234, .device = 0x11e8, .group = 12 };

        must(tree_new(&tree) == 0);
        atexit(remove_tree);
        must(tree_add_pci(tree, &pci) == 0);
        root = open(tree_root(tree), O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(root >= 0);
        sys = openat(root, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(sys >= 0);
        for (size_t i = 0; i < N_ATTRIBUTES; i++)
                write_attribute(attributes[i].path, attributes[i].value, strlen(attributes[i].value));
}

static void check_text(const char *text, size_t size) {
        must(memchr(text, '\0', size));
        for (; *text; text++)
                must(*text >= 0x20 && *text <= 0x7e);
}

static void check_facts(const PciFacts *facts) {
        must(strcmp(facts->address, "0000:01:00.0") == 0);
        check_text(facts->driver, sizeof(facts->driver));
        check_text(facts->modalias, sizeof(facts->modalias));
        check_text(facts->reset_methods, sizeof(facts->reset_methods));
        must(facts->class <= 0xffffff);
        must(facts->n_bars <= PCI_BARS_MAX);
        for (unsigned i = 0; i < facts->n_bars; i++)
                must(facts->bars[i].index < PCI_BARS_MAX);
}

static void read_all(void) {
        ReservedRegion regions[4];
        PciFacts facts;
        char type[32];
        int n;

        if (scan_pci(sys, "0000:01:00.0", &facts) == 0)
                check_facts(&facts);
        (void) scan_pci_boot_vga(sys, "0000:01:00.0");

        n = scan_group_reserved(sys, 12, regions, 4);
        for (int i = 0; i < n && i < 4; i++)
                check_text(regions[i].kind, sizeof(regions[i].kind));
        if (scan_group_type(sys, 12, type, sizeof(type)) == 0)
                check_text(type, sizeof(type));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t which;

        if (size == 0)
                return 0;
        if (!tree)
                make_tree();

        which = data[0] % N_ATTRIBUTES;
        write_attribute(attributes[which].path, data + 1, size - 1);
        read_all();
        write_attribute(attributes[which].path, attributes[which].value, strlen(attributes[which].value));
        return 0;
}
