/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Revocation */

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "core/revocation.h"
#include "core/term.h"

int revocation_new(Revocation **ret, const char *reason) {
        Revocation *revocation;

        revocation = calloc(1, sizeof(*revocation));
        if (!revocation)
                return -ENOMEM;

        revocation->reason = strdup(reason);
        if (!revocation->reason) {
                free(revocation);
                return -ENOMEM;
        }

        *ret = revocation;
        return 0;
}

Revocation *revocation_free(Revocation *revocation) {
        if (!revocation)
                return NULL;

        term_free(revocation->deadline);
        sd_event_source_disable_unref(revocation->timer);
        for (unsigned i = 0; i < revocation->n_steps; i++)
                free(revocation->steps[i]);
        free(revocation->reason);
        free(revocation);
        return NULL;
}

int revocation_add_step(Revocation *revocation, const char *text) {
        char *step;

        step = strdup(text);
        if (!step)
                return -ENOMEM;

        if (revocation->n_steps == REVOCATION_STEPS_MAX)
                free(revocation->steps[--revocation->n_steps]);
        revocation->steps[revocation->n_steps++] = step;
        return 0;
}

static json_object *steps_to_json(const Revocation *revocation) {
        json_object *steps = json_object_new_array();

        for (unsigned i = 0; steps && i < revocation->n_steps; i++)
                if (json_object_array_add(steps, json_object_new_string(revocation->steps[i])) < 0) {
                        json_object_put(steps);
                        return NULL;
                }
        return steps;
}

json_object *revocation_to_json(const Revocation *revocation) {
        json_object *object = json_object_new_object(), *steps = steps_to_json(revocation);

        if (!object || !steps || json_object_object_add(object, "steps", steps) < 0) {
                json_object_put(steps);
                json_object_put(object);
                return NULL;
        }
        if (json_object_object_add(object, "reason", json_object_new_string(revocation->reason)) < 0 ||
            json_object_object_add(object, "until", json_object_new_uint64(revocation->until_usec)) < 0) {
                json_object_put(object);
                return NULL;
        }
        return object;
}

static const char *text_of(json_object *value, size_t max) {
        const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;

        return text && strlen(text) <= max ? text : NULL;
}

int revocation_from_json(Revocation **ret, json_object *object) {
        _cleanup_(revocation_freep) Revocation *revocation = NULL;
        json_object *steps = json_object_object_get(object, "steps");
        json_object *until = json_object_object_get(object, "until");
        const char *reason = text_of(json_object_object_get(object, "reason"), 4 * REVOCATION_REASON_MAX);
        int r;

        if (!reason || !json_object_is_type(until, json_type_int) || json_object_get_int64(until) < 0 ||
            json_object_get_int64(until) > (int64_t) (2 * TERM_USEC_MAX) ||
            !json_object_is_type(steps, json_type_array) ||
            json_object_array_length(steps) > REVOCATION_STEPS_MAX)
                return -EBADMSG;

        r = revocation_new(&revocation, reason);
        if (r < 0)
                return r;
        revocation->until_usec = json_object_get_uint64(until);

        for (size_t i = 0; i < json_object_array_length(steps); i++) {
                const char *step = text_of(json_object_array_get_idx(steps, i), 4096);

                r = step ? revocation_add_step(revocation, step) : -EBADMSG;
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(revocation);
        return 0;
}
