/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "core/group.h"
#include "core/selector.h"
#include "errors.h"
#include "fuzz.h"

static void check_selector(const Selector *selector, const char *text) {
        Device device = { .facts = { .id = "0000:06:0d.0", .driver = "vfio-pci", .class = 0x010802, .vendor = 0x8086 }, .is_vf = -1 };
        Selector again;

        must(strlen(text) <= SELECTOR_MAX);
        must(selector->n_terms > 0 && selector->n_terms <= 14);
        must(!selector_is_group(selector) || !selector_is_address(selector));
        must((selector->class & ~selector->class_mask) == 0 && selector->class_mask <= 0xffffff);
        must(selector->vendor <= 0xffff && selector->device <= 0xffff);
        must(memchr(selector->address, '\0', sizeof(selector->address)));
        must(memchr(selector->driver, '\0', sizeof(selector->driver)));
        must(memchr(selector->path, '\0', sizeof(selector->path)) && memchr(selector->serial, '\0', sizeof(selector->serial)));
        must(memchr(selector->alias, '\0', sizeof(selector->alias)) && memchr(selector->pool, '\0', sizeof(selector->pool)) && memchr(selector->pf, '\0', sizeof(selector->pf)));
        must(selector->vf_index <= 0xffff && selector->numa_node <= 0xffff && selector->numa_node >= -2);
        must((selector->pf_by == SELECTOR_PF_ANY) == (selector->pf[0] == '\0'));
        (void) selector_is_lasting(selector);
        (void) selector_matches(selector, &device);

        /* An address comes out as it goes in. */
        if (selector->address[0]) {
                must(selector_parse(&again, selector->address) == 0);
                must(strcmp(again.address, selector->address) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Selector selector;
        char *text;
        int r;

        text = malloc(size + 1);
        must(text);
        memcpy(text, data, size);
        text[size] = '\0';

        r = selector_parse(&selector, text);
        must(r == 0 || r == VFB_ERROR_INVALID_SELECTOR);
        if (r == 0)
                check_selector(&selector, text);

        free(text);
        return 0;
}
