/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Serial */

#include <json-c/json.h>
#include <string.h>

#include "core/selector.h"
#include "core/serial.h"

bool serial_must_be_kept(const Device *device) {
        return device->names.serial[0] && (device->origin || device->facts.vfio_driver);
}

json_object *serial_to_json(const Device *device) {
        json_object *object = json_object_new_object(), *text = json_object_new_string(device->names.serial);
        json_object *instance = json_object_new_uint64(device->facts.instance);

        if (object && text && instance && json_object_object_add(object, "text", text) == 0) {
                text = NULL; /* the object's from here on */
                if (json_object_object_add(object, "instance", instance) == 0)
                        return object;
        }

        json_object_put(object);
        json_object_put(text);
        json_object_put(instance);
        return NULL;
}

bool serial_from_json(json_object *object, Serial *ret) {
        json_object *text, *instance;
        Serial serial = {};
        Selector selector;
        char term[8 + DEVICE_SERIAL_MAX] = "serial:";

        if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, "text", &text) ||
            !json_object_object_get_ex(object, "instance", &instance) ||
            !json_object_is_type(text, json_type_string) || !json_object_is_type(instance, json_type_int) ||
            json_object_get_string_len(text) >= DEVICE_SERIAL_MAX ||
            strlen(json_object_get_string(text)) != (size_t) json_object_get_string_len(text))
                return false;

        /* What nobody can ask for was none. */
        strcat(term, json_object_get_string(text));
        if (selector_parse(&selector, term) != 0 || strcmp(selector.serial, json_object_get_string(text)) != 0)
                return false;

        strcpy(serial.text, selector.serial);
        serial.instance = json_object_get_uint64(instance);
        *ret = serial;
        return true;
}

void serial_give_back(const Serial *serial, Device *device) {
        if (serial->text[0] && serial->instance == device->facts.instance && !device->names.serial[0])
                strcpy(device->names.serial, serial->text);
}
