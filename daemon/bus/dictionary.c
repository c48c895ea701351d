/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Dictionary */

#include <stdio.h>

#include "bus/dictionary.h"

int dictionary_read(sd_bus_message *m, DictionaryEntry entry, void *userdata) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = entry(m, key, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

int dictionary_read_string(sd_bus_message *m, char *ret, size_t size) {
        const char *text;
        int r;

        r = sd_bus_message_read(m, "v", "s", &text);
        if (r >= 0)
                snprintf(ret, size, "%s", text);
        return r;
}
