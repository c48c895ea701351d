/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Record */

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "core/group.h"
#include "core/journal.h"
#include "core/record.h"
#include "core/term.h"

#define SENDER_MAX 255 /* of the bus */
#define UNIT_MAX   255 /* of systemd */

static void jsonp(json_object **object) {
        if (*object)
                json_object_put(*object);
}

/* Writing: json-c takes what it is given, also if that is NULL for want of memory. */

static bool add(json_object *object, const char *key, json_object *value) {
        if (value && json_object_object_add(object, key, value) == 0)
                return true;

        json_object_put(value);
        return false;
}

static bool add_text(json_object *object, const char *key, const char *text) {
        return add(object, key, json_object_new_string(text));
}

static bool add_number(json_object *object, const char *key, uint64_t number) {
        return add(object, key, json_object_new_uint64(number));
}

static bool add_flag(json_object *object, const char *key, bool flag) {
        return !flag || add(object, key, json_object_new_boolean(true));
}

static int take_text(json_object *object, char **ret) {
        const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static json_object *json_of_device(const Lease *lease, const LeaseDevice *device) {
        json_object *object = json_object_new_object();

        if (object && add_text(object, "id", device->id) &&
            add_number(object, "group", lease->groups[device->group]->number) &&
            (!device->token[0] || add_text(object, "token", device->token)) &&
            (!device->device || add_number(object, "instance", device->device->facts.instance)) &&
            add_flag(object, "gone", !device->device) && add_flag(object, "token-made", device->token_made))
                return object;

        json_object_put(object);
        return NULL;
}

static bool add_devices(json_object *object, const Lease *lease) {
        json_object *devices = json_object_new_array();

        if (!add(object, "devices", devices))
                return false;

        for (unsigned i = 0; i < lease->n_devices; i++) {
                json_object *device = json_of_device(lease, &lease->devices[i]);

                if (!device || json_object_array_add(devices, device) < 0) {
                        json_object_put(device);
                        return false;
                }
        }
        return true;
}

static json_object *json_of_mapping(const Mapping *mapping) {
        json_object *object = json_object_new_object();

        if (object && add_number(object, "iova", mapping->iova) && add_number(object, "size", mapping->size))
                return object;

        json_object_put(object);
        return NULL;
}

static bool add_mappings(json_object *object, const Mappings *mappings) {
        json_object *array;

        if (mappings->n == 0)
                return true;

        array = json_object_new_array();
        if (!add(object, "mappings", array))
                return false;

        for (unsigned i = 0; i < mappings->n; i++) {
                json_object *mapping = json_of_mapping(&mappings->items[i]);

                if (!mapping || json_object_array_add(array, mapping) < 0) {
                        json_object_put(mapping);
                        return false;
                }
        }
        return true;
}

static bool add_term(json_object *object, const Lease *lease) {
        return lease->until_usec == 0 ||
               (add_number(object, "duration", lease->duration_usec) && add_number(object, "until", lease->until_usec));
}

static bool add_revocation(json_object *object, const Lease *lease) {
        return !lease->revocation || add(object, "revocation", revocation_to_json(lease->revocation));
}

int record_of_lease(const Lease *lease, char **ret) {
        _cleanup_(jsonp) json_object *object = json_object_new_object();

        if (!object || !add_text(object, "id", lease->id) ||
            !add_text(object, "state", lease_state_name(lease->state)) ||
            !add_text(object, "mode", lease_mode_name(lease->mode)) ||
            !add_text(object, "bound-to", lease_bond_name(lease->bond)) ||
            (lease->restore != ORIGIN_PREVIOUS && !add_text(object, "restore", origin_restore_name(lease->restore))) ||
            (lease->unit && !add_text(object, "unit", lease->unit)) ||
            (lease->invocation && !add_text(object, "invocation", lease->invocation)) ||
            (lease->reset != RESET_POLICY_UNSET && !add_text(object, "reset", reset_policy_name(lease->reset))) ||
            !add_flag(object, "one-time", lease->one_time) ||
            !add_text(object, "end", lease_end_name(lease->end)) || !add_number(object, "uid", lease->user->uid) ||
            !add_number(object, "pid", (uint64_t) lease->pid) || !add_text(object, "sender", lease->sender ?: "") ||
            !add_text(object, "label", lease_label(lease)) || !add_number(object, "created", lease->created_usec) ||
            !add_number(object, "model", lease->model) || !add_number(object, "handed-out", lease->n_handed_out) ||
            (lease->n_hands > 0 && !add_number(object, "hands", lease->n_hands)) ||
            !add_term(object, lease) || !add_revocation(object, lease) || !add_devices(object, lease) ||
            !add_mappings(object, &lease->mappings))
                return -ENOMEM;

        return take_text(object, ret);
}

int record_of_device(const Device *device, char **ret) {
        _cleanup_(jsonp) json_object *object = NULL;

        if (!device->quarantine && !device->hooks_due && !device->unclean && !device->reset_works &&
            !device->reset_fails && !device->bus_works && !device->origin && !device->vf_token[0] &&
            !serial_must_be_kept(device)) {
                *ret = NULL;
                return 0;
        }

        object = json_object_new_object();
        if (!object || !add_text(object, "modalias", device->facts.modalias) ||
            !add_number(object, "instance", device->facts.instance) ||
            (device->quarantine && !add_text(object, "quarantine", device->quarantine)) ||
            !add_flag(object, "hooks-due", device->hooks_due) || !add_flag(object, "unclean", device->unclean) ||
            !add_flag(object, "reset-works", device->reset_works) ||
            !add_flag(object, "reset-fails", device->reset_fails) ||
            !add_flag(object, "bus-works", device->bus_works) ||
            (device->bus_reset[0] && !add_text(object, "bus-reset", device->bus_reset)) ||
            (device->unclean && !add_number(object, "last-uid", device->last_uid)) ||
            (serial_must_be_kept(device) && !add(object, "serial", serial_to_json(device))) ||
            (device->vf_token[0] && !add_text(object, "vf-token", device->vf_token)) ||
            (device->origin && !add(object, "origin", origin_to_json(device->origin))))
                return -ENOMEM;

        return take_text(object, ret);
}

/* Reading */

static json_object *get(json_object *object, const char *key, json_type type) {
        json_object *value;

        return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, type) ? value : NULL;
}

/* Borrowed from the object; NULL: not there, or with a NUL in it. */
static const char *get_text(json_object *object, const char *key, size_t max) {
        json_object *value = get(object, key, json_type_string);
        const char *text = value ? json_object_get_string(value) : NULL;

        if (!text || strlen(text) != (size_t) json_object_get_string_len(value) || strlen(text) > max)
                return NULL;
        return text;
}

static bool get_number(json_object *object, const char *key, uint64_t max, uint64_t *ret) {
        json_object *value = get(object, key, json_type_int);
        uint64_t number;

        if (!value || json_object_get_int64(value) < 0)
                return false;
        number = json_object_get_uint64(value);
        if (number > max)
                return false;
        *ret = number;
        return true;
}

static bool get_flag(json_object *object, const char *key) {
        json_object *value = get(object, key, json_type_boolean);

        return value && json_object_get_boolean(value);
}

/* The value whose name @text is, -1 for none. */
static int find_name(const char *text, const char *(*name)(int), int n) {
        for (int i = 0; text && i < n; i++)
                if (strcmp(name(i), text) == 0)
                        return i;

        return -1;
}

static const char *state_name(int i) {
        return lease_state_name((LeaseState) i);
}

static const char *mode_name(int i) {
        return lease_mode_name((LeaseMode) i);
}

static const char *end_name(int i) {
        return lease_end_name((LeaseEnd) i);
}

static int parse(const char *text, json_object **ret) {
        json_object *object;

        object = json_tokener_parse(text);
        if (!object || !json_object_is_type(object, json_type_object)) {
                json_object_put(object);
                return -EBADMSG;
        }
        *ret = object;
        return 0;
}

static bool id_is_valid(const char *id) {
        return id && strncmp(id, "l-", 2) == 0 && strlen(id) > 2 &&
               strspn(id + 2, "0123456789abcdefghijklmnopqrstuvwxyz") == strlen(id + 2);
}

static int read_device(json_object *object, LeaseRecord *record) {
        RecordDevice *device = &record->devices[record->n_devices];
        const char *id, *token;
        uint64_t group;

        if (!json_object_is_type(object, json_type_object))
                return -EBADMSG;

        id = get_text(object, "id", sizeof(device->id) - 1);
        token = get_text(object, "token", sizeof(device->token) - 1);
        if (!id || !*id || strchr(id, '/') || !get_number(object, "group", INT_MAX, &group))
                return -EBADMSG;
        for (unsigned i = 0; i < record->n_devices; i++)
                if (strcmp(record->devices[i].id, id) == 0)
                        return -EBADMSG;

        strcpy(device->id, id);
        strcpy(device->token, token ?: "");
        device->group = (unsigned) group;
        (void) get_number(object, "instance", UINT64_MAX, &device->instance);
        device->gone = get_flag(object, "gone");
        device->token_made = get_flag(object, "token-made");
        record->n_devices++;
        return 0;
}

static int read_devices(json_object *object, LeaseRecord *record) {
        json_object *devices = get(object, "devices", json_type_array);
        size_t n = devices ? json_object_array_length(devices) : 0;
        int r;

        if (n == 0 || n > LEASE_DEVICES_MAX)
                return -EBADMSG;

        for (size_t i = 0; i < n; i++) {
                r = read_device(json_object_array_get_idx(devices, i), record);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_mappings(json_object *object, LeaseRecord *record) {
        json_object *mappings = get(object, "mappings", json_type_array);
        size_t n = mappings ? json_object_array_length(mappings) : 0;

        if (n == 0)
                return 0;

        record->mappings = calloc(n, sizeof(*record->mappings));
        if (!record->mappings)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                json_object *mapping = json_object_array_get_idx(mappings, i);
                RecordRange *range = &record->mappings[record->n_mappings++];

                if (!json_object_is_type(mapping, json_type_object) ||
                    !get_number(mapping, "iova", UINT64_MAX, &range->iova) ||
                    !get_number(mapping, "size", UINT64_MAX, &range->size) || range->size == 0 ||
                    range->size - 1 > UINT64_MAX - range->iova)
                        return -EBADMSG;
        }
        return 0;
}

static int read_names(json_object *object, LeaseRecord *record) {
        const char *id = get_text(object, "id", sizeof(record->id) - 1);
        int state = find_name(get_text(object, "state", 32), state_name, _LEASE_STATE_MAX);
        int mode = find_name(get_text(object, "mode", 32), mode_name, _LEASE_MODE_MAX);
        int end = find_name(get_text(object, "end", 32), end_name, _LEASE_END_MAX);
        const char *bond = get_text(object, "bound-to", 32), *reset, *restore;

        if (!id_is_valid(id) || state < 0 || mode < 0 || end < 0 || !bond ||
            lease_bond_from_name(bond, &record->bond) < 0)
                return -EBADMSG;

        restore = get_text(object, "restore", 32);
        if (json_object_object_get_ex(object, "restore", NULL) &&
            (!restore || origin_restore_from_name(restore, &record->restore) < 0))
                return -EBADMSG;

        strcpy(record->id, id);
        record->state = (LeaseState) state;
        record->mode = (LeaseMode) mode;
        record->end = (LeaseEnd) end;
        record->one_time = get_flag(object, "one-time");
        if (!json_object_object_get_ex(object, "reset", NULL))
                return 0;

        reset = get_text(object, "reset", 32);
        record->reset = reset ? reset_policy_from_name(reset) : RESET_POLICY_UNSET;
        if (record->reset == RESET_POLICY_UNSET)
                return -EBADMSG; /* one that is not known may be stricter than all that are */
        return 0;
}

static int read_numbers(json_object *object, LeaseRecord *record) {
        uint64_t uid, pid, model, handed_out, hands = 0;

        if (!get_number(object, "uid", UINT32_MAX, &uid) || !get_number(object, "pid", INT_MAX, &pid) ||
            !get_number(object, "created", INT64_MAX, &record->created_usec) ||
            !get_number(object, "model", UINT32_MAX, &model) ||
            !get_number(object, "handed-out", 4 * LEASE_DEVICES_MAX, &handed_out))
                return -EBADMSG;

        if (get(object, "hands", json_type_int) && !get_number(object, "hands", INT_MAX, &hands))
                return -EBADMSG;

        /* A lease without a limit has neither. */
        if (get(object, "until", json_type_int) &&
            (!get_number(object, "until", 2 * TERM_USEC_MAX, &record->until_usec) ||
             !get_number(object, "duration", TERM_USEC_MAX, &record->duration_usec)))
                return -EBADMSG;

        record->uid = (uid_t) uid;
        record->pid = (pid_t) pid;
        record->model = (unsigned) model;
        record->n_handed_out = (unsigned) handed_out;
        record->n_hands = (unsigned) hands;
        return 0;
}

static int read_revocation(json_object *object, LeaseRecord *record) {
        json_object *revocation;

        if (!json_object_object_get_ex(object, "revocation", &revocation))
                return 0;
        if (!json_object_is_type(revocation, json_type_object))
                return -EBADMSG;
        return revocation_from_json(&record->revocation, revocation);
}

static int read_texts(json_object *object, LeaseRecord *record) {
        const char *sender = get_text(object, "sender", SENDER_MAX);
        const char *label = get_text(object, "label", 4 * LEASE_LABEL_MAX);

        if (!sender || !label)
                return -EBADMSG;

        record->sender = strdup(sender);
        record->label = strdup(label);
        return record->sender && record->label ? 0 : -ENOMEM;
}

static int read_unit(json_object *object, LeaseRecord *record) {
        const char *unit = get_text(object, "unit", UNIT_MAX), *invocation = get_text(object, "invocation", UNIT_MAX);

        if (record->bond != LEASE_BOND_UNIT)
                return 0;
        if (!unit || !invocation)
                return -EBADMSG;

        record->unit = strdup(unit);
        record->invocation = strdup(invocation);
        return record->unit && record->invocation ? 0 : -ENOMEM;
}

static void lease_recordp(LeaseRecord *record) {
        lease_record_done(record);
}

int record_read_lease(const char *text, LeaseRecord *ret) {
        _cleanup_(jsonp) json_object *object = NULL;
        _cleanup_(lease_recordp) LeaseRecord record = {};
        int r;

        r = parse(text, &object);
        if (r >= 0)
                r = read_names(object, &record);
        if (r >= 0)
                r = read_numbers(object, &record);
        if (r >= 0)
                r = read_devices(object, &record);
        if (r >= 0)
                r = read_mappings(object, &record);
        if (r >= 0)
                r = read_revocation(object, &record);
        if (r >= 0)
                r = read_unit(object, &record);
        if (r >= 0)
                r = read_texts(object, &record);
        if (r < 0)
                return r;

        *ret = record;
        record = (LeaseRecord){};
        return 0;
}

int record_read_device(const char *text, DeviceRecord *ret) {
        _cleanup_(jsonp) json_object *object = NULL;
        DeviceRecord record = {};
        const char *quarantine;
        json_object *origin, *serial;
        uint64_t uid = 0;
        int r;

        r = parse(text, &object);
        if (r < 0)
                return r;

        record.hooks_due = get_flag(object, "hooks-due");
        record.unclean = get_flag(object, "unclean");
        record.reset_works = get_flag(object, "reset-works");
        record.reset_fails = get_flag(object, "reset-fails");
        record.bus_works = get_flag(object, "bus-works");
        if (record.unclean && !get_number(object, "last-uid", UINT32_MAX, &uid))
                return -EBADMSG;
        record.last_uid = (uid_t) uid;
        strcpy(record.modalias, get_text(object, "modalias", sizeof(record.modalias) - 1) ?: "");
        (void) get_number(object, "instance", UINT64_MAX, &record.instance);
        strcpy(record.bus_reset, get_text(object, "bus-reset", sizeof(record.bus_reset) - 1) ?: "");
        strcpy(record.vf_token, get_text(object, "vf-token", sizeof(record.vf_token) - 1) ?: "");

        record.has_origin = json_object_object_get_ex(object, "origin", &origin);
        if (record.has_origin && !origin_from_json(origin, &record.origin))
                return -EBADMSG;
        if (json_object_object_get_ex(object, "serial", &serial) && !serial_from_json(serial, &record.serial))
                return -EBADMSG;

        if (json_object_object_get_ex(object, "quarantine", NULL)) {
                quarantine = get_text(object, "quarantine", JOURNAL_TEXT_MAX);
                if (!quarantine)
                        return -EBADMSG;
                record.quarantine = strdup(quarantine);
                if (!record.quarantine)
                        return -ENOMEM;
        }

        *ret = record;
        return 0;
}

void lease_record_done(LeaseRecord *record) {
        free(record->sender);
        free(record->label);
        free(record->unit);
        free(record->invocation);
        free(record->mappings);
        record->revocation = revocation_free(record->revocation);
        record->sender = record->label = record->unit = record->invocation = NULL;
        record->mappings = NULL;
}

void device_record_done(DeviceRecord *record) {
        free(record->quarantine);
        record->quarantine = NULL;
}
