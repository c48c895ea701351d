/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Origin */

#include <errno.h>
#include <json-c/json.h>
#include <stddef.h>
#include <string.h>

#include "core/origin.h"

const char *origin_step_name(OriginStep step) {
        static const char *const names[_ORIGIN_STEP_MAX] = {
                [ORIGIN_BINDING] = "binding",
                [ORIGIN_BOUND] = "bound",
                [ORIGIN_RESTORING] = "restoring",
                [ORIGIN_SETTING] = "setting",
        };

        return names[step];
}

const char *origin_restore_name(OriginRestore restore) {
        static const char *const names[_ORIGIN_RESTORE_MAX] = {
                [ORIGIN_PREVIOUS] = "previous",
                [ORIGIN_KEEP] = "keep",
                [ORIGIN_NONE] = "none",
        };

        return names[restore];
}

int origin_restore_from_name(const char *name, OriginRestore *ret) {
        for (int i = 0; i < _ORIGIN_RESTORE_MAX; i++)
                if (strcmp(origin_restore_name((OriginRestore) i), name) == 0) {
                        *ret = (OriginRestore) i;
                        return 0;
                }
        return -EINVAL;
}

static bool add_value(json_object *object, const char *key, json_object *value) {
        if (value && json_object_object_add(object, key, value) == 0)
                return true;

        json_object_put(value);
        return false;
}

static bool add_text(json_object *object, const char *key, const char *text) {
        return add_value(object, key, json_object_new_string(text));
}

static bool add_functions(json_object *object, const char *key, const OriginFunctions *functions) {
        json_object *value;

        if (!functions->known)
                return true;

        value = json_object_new_object();
        if (value && add_value(value, "count", json_object_new_int((int) functions->count)) &&
            add_value(value, "autoprobe", json_object_new_int(functions->autoprobe)))
                return add_value(object, key, value);

        json_object_put(value);
        return false;
}

json_object *origin_to_json(const Origin *origin) {
        json_object *object = json_object_new_object();

        if (object && add_text(object, "driver", origin->driver) && add_text(object, "override", origin->override) &&
            add_text(object, "power", origin->power) && add_text(object, "wanted", origin->wanted) &&
            add_text(object, "step", origin_step_name(origin->step)) &&
            (!origin->lease[0] || (add_text(object, "lease", origin->lease) &&
                                   add_text(object, "restore", origin_restore_name(origin->restore)))) &&
            add_functions(object, "functions", &origin->functions) && add_functions(object, "set", &origin->set))
                return object;

        json_object_put(object);
        return NULL;
}

static bool get_text(json_object *object, const char *key, char *ret, size_t size) {
        json_object *value;
        const char *text;

        if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
                return false;

        text = json_object_get_string(value);
        if (strlen(text) >= size || strlen(text) != (size_t) json_object_get_string_len(value))
                return false;
        strcpy(ret, text);
        return true;
}

/* It goes into a path. */
static bool get_driver(json_object *object, const char *key, char ret[ORIGIN_DRIVER_MAX]) {
        return get_text(object, key, ret, ORIGIN_DRIVER_MAX) && !strchr(ret, '/') && strcmp(ret, ".") != 0 &&
               strcmp(ret, "..") != 0;
}

static bool get_step(json_object *object, OriginStep *ret) {
        char name[32];

        if (!get_text(object, "step", name, sizeof(name)))
                return false;
        for (int i = 0; i < _ORIGIN_STEP_MAX; i++)
                if (strcmp(origin_step_name((OriginStep) i), name) == 0) {
                        *ret = (OriginStep) i;
                        return true;
                }
        return false;
}

static bool get_int(json_object *object, const char *key, int min, int max, int *ret) {
        json_object *value;
        int64_t number;

        if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_int))
                return false;

        number = json_object_get_int64(value);
        if (number < min || number > max)
                return false;
        *ret = (int) number;
        return true;
}

/* Not there is as good. */
static bool get_functions(json_object *object, const char *key, OriginFunctions *ret) {
        json_object *value;
        int count;

        if (!json_object_object_get_ex(object, key, &value))
                return true;
        if (!json_object_is_type(value, json_type_object) ||
            !get_int(value, "count", 0, ORIGIN_FUNCTIONS_MAX, &count) ||
            !get_int(value, "autoprobe", -1, 1, &ret->autoprobe))
                return false;

        ret->known = true;
        ret->count = (unsigned) count;
        return true;
}

bool origin_from_json(json_object *object, Origin *ret) {
        Origin origin = {};
        char restore[32];

        if (!json_object_is_type(object, json_type_object) || !get_driver(object, "driver", origin.driver) ||
            !get_driver(object, "wanted", origin.wanted) ||
            !get_text(object, "override", origin.override, sizeof(origin.override)) ||
            !get_text(object, "power", origin.power, sizeof(origin.power)) || !get_step(object, &origin.step))
                return false;

        if (json_object_object_get_ex(object, "lease", NULL) &&
            (!get_text(object, "lease", origin.lease, sizeof(origin.lease)) || strncmp(origin.lease, "l-", 2) != 0 ||
             !get_text(object, "restore", restore, sizeof(restore)) ||
             origin_restore_from_name(restore, &origin.restore) < 0))
                return false;

        if (!get_functions(object, "functions", &origin.functions) || !get_functions(object, "set", &origin.set) ||
            (!origin.wanted[0] && !origin.functions.known))
                return false;

        *ret = origin;
        return true;
}
