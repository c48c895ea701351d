/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Selector
 *
 * How a person names devices: "0000:06:0d.0", "06:0d.0", "group:26", "class=nvme vendor=8086". Terms are
 * separated by spaces and must all hold. Parsed into a value; owns nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"

#define SELECTOR_MAX 256 /* characters */

typedef struct Selector {
        char address[DEVICE_ID_MAX]; /* "" for any; always with its domain */
        char driver[64];             /* "" for any; "none" is a device without one */
        int64_t group;               /* -1 for any */
        int32_t vendor, device;      /* -1 for any */
        int is_vf;                   /* -1 for any */
        uint32_t class, class_mask;
        unsigned n_terms;
} Selector;

/* VFB_ERROR_INVALID_SELECTOR */
int selector_parse(Selector *ret, const char *text);

/* It is "group:N" and nothing else: the whole group is meant. */
bool selector_is_group(const Selector *selector);

/* It names an address and nothing else. */
bool selector_is_address(const Selector *selector);

bool selector_matches(const Selector *selector, const Device *device);
