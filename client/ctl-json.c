/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Values from the bus as JSON */

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "ctl.h"
#include "paths.h"

/* Properties whose structs get named members, in the order in which the contract has them. */
static const struct {
        const char *property;
        const char *members[3];
} structs[] = {
        { "Bars", { "index", "size", "flags" } },
        { "Blockers", { "code", "text", "data" } },
        { "HostUses", { "kind", "text" } },
        { "ReservedRegions", { "first", "last", "kind" } },
};

const char *kind_of_path(const char *path, char **ret_id) {
        if (device_id_of_path(path, ret_id) > 0)
                return "device";
        if (sd_bus_path_decode_many(path, GROUP_TEMPLATE, ret_id) > 0)
                return "group";
        if (sd_bus_path_decode_many(path, LEASE_TEMPLATE, ret_id) > 0)
                return "lease";

        return NULL;
}

json_object *json_from_id(const char *kind, const char *id) {
        char *end;
        long number;

        if (strcmp(kind, "group") == 0) {
                number = strtol(id, &end, 10);
                if (end != id && *end == '\0')
                        return json_object_new_int64(number);
        }

        return json_object_new_string(id);
}

static json_object *json_from_path(const char *path) {
        _cleanup_(freep) char *id = NULL;
        const char *kind = kind_of_path(path, &id);

        if (kind)
                return json_from_id(kind, id);

        return strcmp(path, "/") == 0 ? NULL : json_object_new_string(path);
}

static int json_from_basic(json_object **ret, sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;

        switch (type) {
        case SD_BUS_TYPE_BYTE:
                *ret = json_object_new_int(value.y);
                return 0;
        case SD_BUS_TYPE_BOOLEAN:
                *ret = json_object_new_boolean(value.b);
                return 0;
        case SD_BUS_TYPE_INT16:
                *ret = json_object_new_int(value.n);
                return 0;
        case SD_BUS_TYPE_UINT16:
                *ret = json_object_new_int(value.q);
                return 0;
        case SD_BUS_TYPE_INT32:
                *ret = json_object_new_int(value.i);
                return 0;
        case SD_BUS_TYPE_UINT32:
                *ret = json_object_new_int64(value.u);
                return 0;
        case SD_BUS_TYPE_INT64:
                *ret = json_object_new_int64(value.x);
                return 0;
        case SD_BUS_TYPE_UINT64:
                *ret = json_object_new_uint64(value.t);
                return 0;
        case SD_BUS_TYPE_DOUBLE:
                *ret = json_object_new_double(value.d);
                return 0;
        case SD_BUS_TYPE_OBJECT_PATH:
                *ret = json_from_path(value.s);
                return 0;
        case SD_BUS_TYPE_STRING:
        case SD_BUS_TYPE_SIGNATURE:
                *ret = json_object_new_string(value.s);
                return 0;
        default: /* descriptors have no place in an inventory */
                *ret = NULL;
                return 0;
        }
}

static int json_from_dict(json_object *object, sd_bus_message *m, const char *contents) {
        _cleanup_(json_putp) json_object *key = NULL, *value = NULL;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, contents);
        if (r < 0)
                return r;

        r = json_from_bus(&key, m);
        if (r < 0)
                return r;

        r = json_from_bus(&value, m);
        if (r < 0)
                return r;

        json_object_object_add(object, json_object_get_string(key) ?: "", TAKE_PTR(value));
        return sd_bus_message_exit_container(m);
}

static int json_from_container(json_object **ret, sd_bus_message *m, char type, const char *contents) {
        _cleanup_(json_putp) json_object *all = NULL, *item = NULL;
        _cleanup_(freep) char *entry = NULL;
        bool dict = type == SD_BUS_TYPE_ARRAY && contents[0] == SD_BUS_TYPE_DICT_ENTRY_BEGIN;
        int r;

        if (dict) {
                entry = strndup(contents + 1, strlen(contents) - 2);
                if (!entry)
                        return -ENOMEM;
        }

        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;

        all = dict ? json_object_new_object() : json_object_new_array();
        while ((r = sd_bus_message_at_end(m, /* complete= */ false)) == 0) {
                if (dict) {
                        r = json_from_dict(all, m, entry);
                } else {
                        r = json_from_bus(&item, m);
                        if (r >= 0)
                                json_object_array_add(all, TAKE_PTR(item));
                }
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(all);
        return sd_bus_message_exit_container(m);
}

static int json_from_variant(json_object **ret, sd_bus_message *m, const char *contents) {
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r < 0)
                return r;

        r = json_from_bus(ret, m);
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

int json_from_bus(json_object **ret, sd_bus_message *m) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;

        if (type == SD_BUS_TYPE_VARIANT)
                return json_from_variant(ret, m, contents);
        if (type == SD_BUS_TYPE_ARRAY || type == SD_BUS_TYPE_STRUCT)
                return json_from_container(ret, m, type, contents);

        return json_from_basic(ret, m, type);
}

/* "NumaNode" is "numa_node", "ExpiresUSec" is "expires_usec". */
static char *json_key(const char *property) {
        char *key = malloc(2 * strlen(property) + 1), *p = key;

        if (!key)
                return NULL;

        for (const char *q = property; *q; q++) {
                if (isupper((unsigned char) *q) && q > property && islower((unsigned char) q[-1]))
                        *p++ = '_';
                *p++ = (char) tolower((unsigned char) *q);
        }
        *p = '\0';
        return key;
}

size_t json_length(json_object *array) {
        return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* An array of arrays becomes an array of objects. */
static json_object *name_members(json_object *rows, const char *const members[static 3]) {
        json_object *named = json_object_new_array();

        for (size_t i = 0; i < json_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i), *object = json_object_new_object();

                for (size_t j = 0; j < 3 && j < json_length(row); j++)
                        json_object_object_add(object, members[j],
                                               json_object_get(json_object_array_get_idx(row, j)));
                json_object_array_add(named, object);
        }

        json_object_put(rows);
        return named;
}

json_object *json_name_structs(const char *property, json_object *value) {
        for (size_t i = 0; i < sizeof(structs) / sizeof(*structs); i++)
                if (strcmp(structs[i].property, property) == 0 && json_object_is_type(value, json_type_array))
                        return name_members(value, structs[i].members);

        return value;
}

int json_add_properties(json_object *object, sd_bus_message *m) {
        _cleanup_(json_putp) json_object *properties = NULL;
        int r;

        r = json_from_bus(&properties, m);
        if (r < 0)
                return r;
        if (!json_object_is_type(properties, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(properties, property, value) {
                _cleanup_(freep) char *key = json_key(property);

                if (!key)
                        return -ENOMEM;
                json_object_object_add(object, key, json_name_structs(property, json_object_get(value)));
        }

        return 0;
}

const char *json_text(json_object *object, const char *key) {
        json_object *value = json_object_object_get(object, key);

        return value ? json_object_get_string(value) : "";
}
