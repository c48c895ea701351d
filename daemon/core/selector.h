/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Selector
 *
 * How a person names devices: "0000:06:0d.0", "06:0d.0", "group:26", "class=nvme vendor=8086", or by names that
 * survive a new card: "path:pci-0000:00:03.1/00.0", "serial:test", "alias:lab-nic"; "pool:lab-vf" is any free one of
 * several. Terms are separated by spaces and must all hold. Parsed into a value; owns nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"

#define SELECTOR_MAX 256 /* characters */

#define SELECTOR_NAME_MAX 33 /* of an alias or a pool */

/* What "pf=" names the physical function by */
typedef enum SelectorPf {
        SELECTOR_PF_ANY,
        SELECTOR_PF_ADDRESS,
        SELECTOR_PF_PATH,
        SELECTOR_PF_INTERFACE, /* of the network; only the kernel knows whose it is */
} SelectorPf;

typedef struct Selector {
        char address[DEVICE_ID_MAX]; /* "" for any; always with its domain */
        char driver[64];             /* "" for any; "none" is a device without one */
        int64_t group;               /* -1 for any */
        int32_t vendor, device;      /* -1 for any */
        int is_vf;                   /* -1 for any */
        uint32_t class, class_mask;
        char path[DEVICE_PATH_MAX];     /* "" for any */
        char serial[DEVICE_SERIAL_MAX]; /* likewise */
        char alias[SELECTOR_NAME_MAX];  /* likewise */
        char pool[SELECTOR_NAME_MAX];   /* likewise */
        SelectorPf pf_by;
        char pf[DEVICE_PATH_MAX];
        int32_t vf_index;  /* -1 for any */
        int32_t numa_node; /* -1 is a device without one, -2 any */
        unsigned n_terms;
} Selector;

/* VFB_ERROR_INVALID_SELECTOR */
int selector_parse(Selector *ret, const char *text);

/* It is "group:N" and nothing else: the whole group is meant. */
bool selector_is_group(const Selector *selector);

/* It names an address and nothing else. */
bool selector_is_address(const Selector *selector);

/* What it says does not depend on the configuration, nor on what is known of a device only while its host driver has
 * it: no alias, no pool, no serial, no network interface. */
bool selector_is_lasting(const Selector *selector);

/* Letters, digits and "-_.", 32 at most: what an alias or a pool may be called. */
bool selector_name_is_valid(const char *name);

/* All but alias, pool and network interface, which are for whoever knows about these: the first two are passed over,
 * and no device has the third. */
bool selector_matches(const Selector *selector, const Device *device);
