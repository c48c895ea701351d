/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reset policy
 *
 * What has to be proved of a device's reset before anybody else may have it, and whether it is for one use only. The
 * configuration has rules for all devices and for those that a selector matches; a caller may ask for more than
 * that and never for less. Values; rules own nothing.
 */

#include <stdbool.h>

#include "core/selector.h"

#define RESET_RULES_MAX 64

/* The stricter the later. */
typedef enum ResetPolicy {
        RESET_POLICY_UNSET,
        RESET_POLICY_NONE,      /* it is not reset between two leases, and anybody may have it */
        RESET_POLICY_PREFERRED, /* what has a reset that works is reset; what has none stays with its last user */
        RESET_POLICY_REQUIRED,  /* without a reset that was proved nobody may have it */
        _RESET_POLICY_MAX,
} ResetPolicy;

/* "none", "preferred", "required". RESET_POLICY_UNSET: it is none of them. */
ResetPolicy reset_policy_from_name(const char *name);
const char *reset_policy_name(ResetPolicy policy);

static inline ResetPolicy reset_policy_stricter(ResetPolicy a, ResetPolicy b) {
        return a > b ? a : b;
}

typedef struct ResetRule {
        char text[SELECTOR_MAX + 1]; /* "" for all devices */
        Selector selector;
        ResetPolicy policy; /* RESET_POLICY_UNSET: it says nothing about it */
        int one_time;       /* -1: likewise */
} ResetRule;

typedef struct ResetRules {
        ResetRule rules[RESET_RULES_MAX];
        unsigned n;
} ResetRules;

/* The rule that the next setting belongs to: the last one if that has this text, otherwise a new one.
 * VFB_ERROR_INVALID_SELECTOR. -E2BIG: there are too many. */
int reset_rules_take(ResetRules *rules, const char *text, ResetRule **ret);

/* A rule with a selector counts for more than one for all devices, and a later one for more than an earlier one.
 * Without any: preferred, and for any number of uses. */
void reset_rules_apply(const ResetRules *rules, const Device *device, ResetPolicy *ret_policy, bool *ret_one_time);
