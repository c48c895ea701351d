/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Selector */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/group.h"
#include "core/selector.h"
#include "errors.h"

static const struct {
        const char *name;
        uint32_t class, mask;
} class_names[] = {
        { "storage", 0x010000, 0xff0000 },
        { "nvme", 0x010802, 0xffffff },
        { "network", 0x020000, 0xff0000 },
        { "ethernet", 0x020000, 0xffff00 },
        { "display", 0x030000, 0xff0000 },
        { "gpu", 0x030000, 0xff0000 },
        { "multimedia", 0x040000, 0xff0000 },
        { "audio", 0x040300, 0xffff00 },
        { "memory", 0x050000, 0xff0000 },
        { "bridge", 0x060000, 0xff0000 },
        { "serial", 0x070000, 0xff0000 },
        { "usb", 0x0c0300, 0xffff00 },
        { "crypto", 0x100000, 0xff0000 },
        { "accelerator", 0x120000, 0xff0000 },
};

/* Exactly the whole of @text, at most @digits hexadecimal digits, without sign, space or prefix. */
static bool parse_hex(const char *text, size_t digits, uint32_t *ret) {
        uint32_t value = 0;
        size_t n = strlen(text);

        if (n == 0 || n > digits)
                return false;

        for (size_t i = 0; i < n; i++) {
                if (!isxdigit((unsigned char) text[i]))
                        return false;
                value = value << 4 |
                        (uint32_t) (isdigit((unsigned char) text[i]) ? text[i] - '0' : tolower(text[i]) - 'a' + 10);
        }

        *ret = value;
        return true;
}

static const char *skip_prefix(const char *text, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool parse_id(const char *text, int32_t *ret) {
        uint32_t value;

        if (!parse_hex(skip_prefix(text, "0x") ?: text, 4, &value))
                return false;

        *ret = (int32_t) value;
        return true;
}

static bool parse_class(Selector *selector, const char *text) {
        uint32_t value;
        size_t n;

        for (size_t i = 0; i < sizeof(class_names) / sizeof(*class_names); i++)
                if (strcmp(class_names[i].name, text) == 0) {
                        selector->class = class_names[i].class;
                        selector->class_mask = class_names[i].mask;
                        return true;
                }

        /* The first two, four or six digits of the code. */
        text = skip_prefix(text, "0x") ?: text;
        n = strlen(text);
        if (n % 2 != 0 || !parse_hex(text, 6, &value))
                return false;

        selector->class = value << (24 - 4 * n);
        selector->class_mask = 0xffffffU << (24 - 4 * n) & 0xffffffU;
        return true;
}

static bool parse_group(Selector *selector, const char *text) {
        char *end;
        long value;

        if (!isdigit((unsigned char) text[0]))
                return false;

        errno = 0;
        value = strtol(text, &end, 10);
        if (errno != 0 || *end || value > INT_MAX)
                return false;

        selector->group = value;
        return true;
}

static bool parse_address(Selector *selector, const char *text) {
        char domain[9] = "0000", bus[3], slot[3], function[2];
        uint32_t value;
        int end = -1;

        if (sscanf(text, "%8[^:]:%2[^:]:%2[^.].%1[0-7]%n", domain, bus, slot, function, &end) != 4 || text[end]) {
                end = -1;
                strcpy(domain, "0000");
                if (sscanf(text, "%2[^:]:%2[^.].%1[0-7]%n", bus, slot, function, &end) != 3 || text[end])
                        return false;
        }

        /* %n keeps its -1 where the text ended early. */
        if (end < 0 || strlen(domain) < 4 || strlen(bus) != 2 || strlen(slot) != 2 ||
            !parse_hex(domain, 8, &value) || !parse_hex(bus, 2, &value) || !parse_hex(slot, 2, &value) || value > 0x1f)
                return false;

        snprintf(selector->address, sizeof(selector->address), "%s:%s:%s.%s", domain, bus, slot, function);
        for (char *p = selector->address; *p; p++)
                *p = (char) tolower((unsigned char) *p);
        return true;
}

static bool parse_flag(const char *text, int *ret) {
        if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
                return false;

        *ret = text[0] == 'y';
        return true;
}

/* Plain characters, and none of those. Whatever is in a selector is shown again, to others as well. */
static bool is_word(const char *text, const char *forbidden) {
        for (const char *p = text; *p; p++)
                if (*p <= ' ' || *p > '~' || strchr(forbidden, *p))
                        return false;
        return *text;
}

/* "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" */
static bool parse_other_bus(Selector *selector, const char *text) {
        const char *name;

        if (device_id_split(text, &name) == DEVICE_KIND_PCI || !is_word(name, "") ||
            strlen(text) >= sizeof(selector->address))
                return false;

        strcpy(selector->address, text);
        return true;
}

static bool parse_driver(Selector *selector, const char *text) {
        if (!is_word(text, "/") || strlen(text) >= sizeof(selector->driver))
                return false;

        strcpy(selector->driver, text);
        return true;
}

/* Hexadecimal digits as the kernel writes them, and what stands between them. */
static bool parse_path(const char *text, char ret[DEVICE_PATH_MAX]) {
        size_t n = strlen(text);

        if (n >= DEVICE_PATH_MAX || !skip_prefix(text, "pci-") || n == strlen("pci-") ||
            strspn(text + strlen("pci-"), "0123456789abcdef:./+") != n - strlen("pci-"))
                return false;

        strcpy(ret, text);
        return true;
}

static bool parse_serial(Selector *selector, const char *text) {
        size_t n = strlen(text);

        for (const char *p = text; *p; p++)
                if (!isascii((unsigned char) *p) || (!isalnum((unsigned char) *p) && !strchr(".:+-_", *p)))
                        return false;
        if (n == 0 || n >= sizeof(selector->serial))
                return false;

        strcpy(selector->serial, text);
        return true;
}

bool selector_name_is_valid(const char *name) {
        size_t n = strlen(name);

        for (const char *p = name; *p; p++)
                if (!isascii((unsigned char) *p) || (!isalnum((unsigned char) *p) && !strchr("-_.", *p)))
                        return false;
        return n > 0 && n < SELECTOR_NAME_MAX && name[0] != '.';
}

static bool parse_name(const char *text, char ret[SELECTOR_NAME_MAX]) {
        if (!selector_name_is_valid(text))
                return false;

        strcpy(ret, text);
        return true;
}

/* An address, a path, or else the name of a network interface, as the kernel allows it. */
static bool parse_pf(Selector *selector, const char *text) {
        Selector address = {};

        if (skip_prefix(text, "pci-")) {
                selector->pf_by = SELECTOR_PF_PATH;
                return parse_path(text, selector->pf);
        }
        if (parse_address(&address, text)) {
                selector->pf_by = SELECTOR_PF_ADDRESS;
                strcpy(selector->pf, address.address);
                return true;
        }
        if (!is_word(text, "/:") || strlen(text) > 15 || text[0] == '.')
                return false;

        selector->pf_by = SELECTOR_PF_INTERFACE;
        strcpy(selector->pf, text);
        return true;
}

/* Decimal, and without anything that strtol() would pass over. */
static bool parse_index(const char *text, int32_t *ret) {
        size_t n = strlen(text);

        if (n == 0 || n > 5 || strspn(text, "0123456789") != n)
                return false;

        *ret = (int32_t) strtol(text, NULL, 10);
        return *ret <= UINT16_MAX;
}

static bool parse_node(const char *text, int32_t *ret) {
        if (strcmp(text, "none") != 0)
                return parse_index(text, ret);

        *ret = -1;
        return true;
}

/* Names that stay, and terms about what a device is part of. */
static bool parse_further_term(Selector *selector, const char *term) {
        const char *value;

        if ((value = skip_prefix(term, "path:")))
                return !selector->path[0] && parse_path(value, selector->path);
        if ((value = skip_prefix(term, "serial:")))
                return !selector->serial[0] && parse_serial(selector, value);
        if ((value = skip_prefix(term, "alias:")))
                return !selector->alias[0] && parse_name(value, selector->alias);
        if ((value = skip_prefix(term, "pool:")))
                return !selector->pool[0] && parse_name(value, selector->pool);
        if ((value = skip_prefix(term, "pf=")))
                return selector->pf_by == SELECTOR_PF_ANY && parse_pf(selector, value);
        if ((value = skip_prefix(term, "vf=")))
                return selector->vf_index < 0 && parse_index(value, &selector->vf_index);
        if ((value = skip_prefix(term, "numa=")))
                return selector->numa_node < -1 && parse_node(value, &selector->numa_node);
        return !selector->address[0] && (parse_other_bus(selector, term) || parse_address(selector, term));
}

/* A term that is there twice is refused: all must hold, and the last of two would win. */
static bool parse_term(Selector *selector, const char *term) {
        const char *value;

        if ((value = skip_prefix(term, "group:")) || (value = skip_prefix(term, "group=")))
                return selector->group < 0 && parse_group(selector, value);
        if ((value = skip_prefix(term, "class=")))
                return selector->class_mask == 0 && parse_class(selector, value);
        if ((value = skip_prefix(term, "vendor=")))
                return selector->vendor < 0 && parse_id(value, &selector->vendor);
        if ((value = skip_prefix(term, "device=")))
                return selector->device < 0 && parse_id(value, &selector->device);
        if ((value = skip_prefix(term, "driver=")))
                return !selector->driver[0] && parse_driver(selector, value);
        if ((value = skip_prefix(term, "is-vf=")))
                return selector->is_vf < 0 && parse_flag(value, &selector->is_vf);
        return parse_further_term(selector, term);
}

int selector_parse(Selector *ret, const char *text) {
        Selector selector = {
                .group = -1, .vendor = -1, .device = -1, .is_vf = -1, .vf_index = -1, .numa_node = -2
        };
        char copy[SELECTOR_MAX + 1], *save = NULL;

        if (strlen(text) > SELECTOR_MAX)
                return VFB_ERROR_INVALID_SELECTOR;
        strcpy(copy, text);

        for (char *term = strtok_r(copy, " ", &save); term; term = strtok_r(NULL, " ", &save), selector.n_terms++)
                if (!parse_term(&selector, term))
                        return VFB_ERROR_INVALID_SELECTOR;
        if (selector.n_terms == 0)
                return VFB_ERROR_INVALID_SELECTOR;

        *ret = selector;
        return 0;
}

bool selector_is_group(const Selector *selector) {
        return selector->n_terms == 1 && selector->group >= 0;
}

bool selector_is_address(const Selector *selector) {
        return selector->n_terms == 1 && selector->address[0];
}

bool selector_is_lasting(const Selector *selector) {
        return !selector->serial[0] && !selector->alias[0] && !selector->pool[0] &&
               selector->pf_by != SELECTOR_PF_INTERFACE;
}

static bool matches_pf(const Selector *selector, const Device *device) {
        const char *physfn = device->is_vf > 0 ? device->physfn : "";
        const Device *pf;

        switch (selector->pf_by) {
        case SELECTOR_PF_ANY:
                return true;
        case SELECTOR_PF_ADDRESS:
                return strcmp(selector->pf, physfn) == 0;
        case SELECTOR_PF_PATH:
                pf = physfn[0] ? device_find(device->list, physfn) : NULL;
                return pf && strcmp(selector->pf, pf->names.path) == 0;
        case SELECTOR_PF_INTERFACE:
                break;
        }
        return false;
}

static bool matches_names(const Selector *selector, const Device *device) {
        const DeviceNames *names = &device->names;

        if (selector->path[0] && strcmp(selector->path, names->path) != 0)
                return false;
        if (selector->serial[0] && strcasecmp(selector->serial, names->serial) != 0)
                return false;
        if (selector->vf_index >= 0 && selector->vf_index != device->vf_index)
                return false;
        if (selector->numa_node >= -1 && selector->numa_node != device->facts.numa_node)
                return false;
        return matches_pf(selector, device);
}

bool selector_matches(const Selector *selector, const Device *device) {
        const DeviceFacts *facts = &device->facts;

        if (selector->address[0] && strcmp(selector->address, facts->id) != 0)
                return false;
        if (selector->driver[0] && strcmp(selector->driver, facts->driver[0] ? facts->driver : "none") != 0)
                return false;
        if (selector->group >= 0 && (!device->group || device->group->number != selector->group))
                return false;
        if (selector->vendor >= 0 && facts->vendor != selector->vendor)
                return false;
        if (selector->device >= 0 && facts->device != selector->device)
                return false;
        if (selector->is_vf >= 0 && device->is_vf != selector->is_vf)
                return false;
        if ((facts->class & selector->class_mask) != selector->class)
                return false;
        return matches_names(selector, device);
}
