/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Array */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "array.h"

int array_read(sd_bus_message *m, const char *element, ArrayElement function, void *userdata) {
        char type = element[0] == '{' ? SD_BUS_TYPE_DICT_ENTRY : SD_BUS_TYPE_STRUCT, contents[ARRAY_ELEMENT_MAX];
        int r;

        assert(strlen(element) <= ARRAY_ELEMENT_MAX);
        snprintf(contents, sizeof(contents), "%.*s", (int) strlen(element) - 2, element + 1);

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, element);
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, type, contents)) > 0) {
                r = function(m, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

int variant_read_string(sd_bus_message *m, const char **ret) {
        const char *contents;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        if (strcmp(contents, "s") == 0)
                return sd_bus_message_read(m, "v", "s", ret);

        r = sd_bus_message_skip(m, "v");
        return r < 0 ? r : 0;
}
