/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Append */

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/append.h"
#include "bus/paths.h"

int append_device(sd_bus_message *m, const Device *device) {
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        return sd_bus_message_append(m, "o", path);
}

static int append_datum(sd_bus_message *m, const char *key, const char *value) {
        if (!value || !*value)
                return 0;

        return sd_bus_message_append(m, "{sv}", key, "s", value);
}

/* a{sv} */
static int append_data(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_datum(m, "fix", finding->fix);
        if (r >= 0)
                r = append_datum(m, "device", finding->culprit);
        if (r >= 0)
                r = append_datum(m, "driver", finding->driver);
        if (r >= 0)
                r = append_datum(m, "lease", finding->lease);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int append_finding(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssssa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssss", finding->code, severity_name(finding->severity), finding->device,
                                          finding->text);
        if (r >= 0)
                r = append_data(m, finding);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int append_blocker(sd_bus_message *m, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", finding->code, finding->text);
        if (r >= 0)
                r = append_data(m, finding);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_findings(sd_bus_message *m, const Findings *findings) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ssssa{sv})");
        for (size_t i = 0; r >= 0 && i < findings->n; i++)
                r = append_finding(m, &findings->items[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_blockers(sd_bus_message *m, const Findings *findings) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ssa{sv})");
        for (size_t i = 0; r >= 0 && i < findings->n; i++)
                r = append_blocker(m, &findings->items[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int append_words(sd_bus_message *m, const char *words) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t n; r >= 0 && *words; words += n + (words[n] == ' ')) {
                char word[32];

                n = strcspn(words, " ");
                snprintf(word, sizeof(word), "%.*s", (int) n, words);
                r = sd_bus_message_append(m, "s", word);
        }
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}
