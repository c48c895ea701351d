/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scan
 *
 * What /sys says about PCI functions and IOMMU groups, as plain values. One function costs five system calls for its
 * identity and fourteen in full, and one more by itself: "uevent" gives driver, class, ids and slot in one read;
 * "config" is never read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_ADDRESS_MAX 32 /* "0000:06:0d.0"; domains of VMD have five digits and more */
#define PCI_BARS_MAX    7  /* six and the expansion ROM */

typedef struct PciBar {
        unsigned index;
        uint64_t start; /* where the host has it */
        uint64_t size;
        uint64_t flags;
} PciBar;

typedef struct PciFacts {
        char address[PCI_ADDRESS_MAX];
        uint64_t instance; /* no other has had this number, nor will it ever be used again while the machine runs */
        char driver[64]; /* "" for none */
        char modalias[128];
        uint32_t class;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        int group; /* -1: none */
        int numa_node; /* -1: unknown */
        bool vfio_driver; /* has vfio-dev/ */
        char reset_methods[64]; /* "flr bus"; "" for none, or a kernel before 5.15 */
        PciBar bars[PCI_BARS_MAX];
        unsigned n_bars;
} PciFacts;

bool pci_address_is_valid(const char *address);

/* @sysfs is a descriptor of /sys. -ENODEV: not there (any more). -EBADMSG: "uevent" makes no sense. */
int scan_pci(int sysfs, const char *address, PciFacts *ret);

/* Only what may change while it stays the same device: all but NUMA node, reset methods and BARs. */
int scan_pci_identity(int sysfs, const char *address, PciFacts *ret);

/* Which of all devices that there ever were has the address now. Waits for no lock, whatever is done with the device.
 * -ENODEV: none. */
int scan_pci_instance(int sysfs, const char *address, uint64_t *ret);

/* Calls @found for each function, in order of address. Stops at the first non-zero, and returns it. One that @skip
 * (NULL: none) says true to is not read.
 * Functions that vanish meanwhile or make no sense are passed over. -ENOENT: no PCI bus at all. */
int scan_pci_all(int sysfs, bool (*skip)(const char *address, uint64_t instance, void *userdata),
                 int (*found)(const PciFacts *facts, void *userdata), void *userdata);

/* -ENODATA: not a VF. */
int scan_pci_physfn(int sysfs, const char *address, char ret[PCI_ADDRESS_MAX]);

/* "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0". -ENODEV: not there. */
int scan_pci_syspath(int sysfs, const char *address, char *ret, size_t size);

/* false where there is no such attribute */
bool scan_pci_boot_vga(int sysfs, const char *address);

/* "vfio3" where the kernel offers a character device for it. -ENODATA: it does not. */
int scan_pci_cdev(int sysfs, const char *address, char *ret, size_t size);

/* "DMA-FQ", "identity", ...; -ENODEV: no such group. */
int scan_group_type(int sysfs, unsigned group, char *ret, size_t size);

/* VFIO has made it for a device that is behind no IOMMU. */
bool scan_group_is_noiommu(int sysfs, unsigned group);

typedef struct ReservedRegion {
        uint64_t first, last;
        char kind[24]; /* "msi", "direct", "direct-relaxable", "reserved", ... */
} ReservedRegion;

/* Returns how many there are, at most @n of them stored; negative errno on failure. */
int scan_group_reserved(int sysfs, unsigned group, ReservedRegion *ret, unsigned n);

/* A parameter of a module, "Y" or "1": true. Not loaded, or no such parameter: false. */
bool scan_module_flag(int sysfs, const char *module, const char *parameter);
