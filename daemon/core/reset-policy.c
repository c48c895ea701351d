/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reset policy */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/reset-policy.h"
#include "errors.h"
#include "names.h"

static const char *const names[_RESET_POLICY_MAX] = {
        [RESET_POLICY_UNSET] = "",
        [RESET_POLICY_NONE] = VFB_RESET_NONE,
        [RESET_POLICY_PREFERRED] = VFB_RESET_PREFERRED,
        [RESET_POLICY_REQUIRED] = VFB_RESET_REQUIRED,
};

ResetPolicy reset_policy_from_name(const char *name) {
        for (ResetPolicy policy = RESET_POLICY_NONE; policy < _RESET_POLICY_MAX; policy++)
                if (strcmp(names[policy], name) == 0)
                        return policy;

        return RESET_POLICY_UNSET;
}

const char *reset_policy_name(ResetPolicy policy) {
        return names[policy];
}

int reset_rules_take(ResetRules *rules, const char *text, ResetRule **ret) {
        ResetRule rule = { .one_time = -1 };
        int r;

        if (rules->n > 0 && strcmp(rules->rules[rules->n - 1].text, text) == 0) {
                *ret = &rules->rules[rules->n - 1];
                return 0;
        }

        if (strlen(text) > SELECTOR_MAX)
                return VFB_ERROR_INVALID_SELECTOR;
        if (*text) {
                r = selector_parse(&rule.selector, text);
                if (r != 0)
                        return r;
                /* A rule that holds only while something is known is none. */
                if (!selector_is_lasting(&rule.selector))
                        return VFB_ERROR_INVALID_SELECTOR;
        }
        if (rules->n == RESET_RULES_MAX)
                return -E2BIG;

        strcpy(rule.text, text);
        rules->rules[rules->n] = rule;
        *ret = &rules->rules[rules->n++];
        return 0;
}

void reset_rules_apply(const ResetRules *rules, const Device *device, ResetPolicy *ret_policy, bool *ret_one_time) {
        ResetPolicy policy = RESET_POLICY_PREFERRED;
        bool one_time = false;

        /* first those for all devices, so that the others come after them */
        for (int with_selector = 0; with_selector < 2; with_selector++)
                for (unsigned i = 0; i < rules->n; i++) {
                        const ResetRule *rule = &rules->rules[i];

                        if ((rule->text[0] != '\0') != with_selector)
                                continue;
                        if (with_selector && !selector_matches(&rule->selector, device))
                                continue;
                        if (rule->policy != RESET_POLICY_UNSET)
                                policy = rule->policy;
                        if (rule->one_time >= 0)
                                one_time = rule->one_time;
                }

        *ret_policy = policy;
        *ret_one_time = one_time;
}
