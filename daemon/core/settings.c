/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings */

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "core/settings.h"

typedef struct Reader {
        FILE *file;
        unsigned n_lines;
        unsigned wrong_line; /* the first whose setting was not taken */
        bool too_long;
        SettingFound found;
        void *userdata;
} Reader;

/* A long comment is passed over as a whole, and any other long line ends the file as wrong. */
static char *reader_read_line(char *ret, int size, void *userdata) {
        Reader *reader = userdata;
        int c;

        if (!fgets(ret, size, reader->file))
                return NULL;

        reader->n_lines++;
        if (strchr(ret, '\n') || feof(reader->file))
                return ret;

        while ((c = getc(reader->file)) != EOF && c != '\n')
                ;
        if (strchr("#;", ret[strspn(ret, " \t")]))
                return ret;

        reader->too_long = true;
        return NULL;
}

/* Which line it is depends on how inih was built; it reads one at a time. */
static int reader_on_setting(void *userdata, const char *section, const char *key, const char *value) {
        Reader *reader = userdata;
        int taken = reader->found(reader->userdata, reader->n_lines, section, key, value);

        if (!taken && reader->wrong_line == 0)
                reader->wrong_line = reader->n_lines;
        return taken;
}

int settings_read(FILE *file, SettingFound found, void *userdata, SettingsFault *ret_fault) {
        Reader reader = { .file = file, .found = found, .userdata = userdata };
        int r;

        r = ini_parse_stream(reader_read_line, &reader, reader_on_setting, &reader);
        if (ferror(file))
                return -EIO;
        if (r < 0)
                return -ENOMEM;
        if (r == 0 && !reader.too_long)
                return 0;

        ret_fault->line = r > 0 ? (unsigned) r : reader.n_lines;
        strcpy(ret_fault->why, r == 0                                 ? "too long a line"
                               : ret_fault->line == reader.wrong_line ? "wrong value"
                                                                      : "not an INI line");
        return -EINVAL;
}

typedef struct Loader {
        const Setting *settings;
        size_t n;
        void *object;
        SettingsFault fault; /* the first */
} Loader;

static const Setting *loader_find(const Loader *loader, const char *section, const char *key) {
        for (size_t i = 0; i < loader->n; i++)
                if (strcmp(loader->settings[i].section, section) == 0 && strcmp(loader->settings[i].key, key) == 0)
                        return &loader->settings[i];

        return NULL;
}

static int loader_on_setting(void *userdata, unsigned line, const char *section, const char *key, const char *value) {
        Loader *loader = userdata;
        const Setting *setting = loader_find(loader, section, key);
        SettingsFault *fault = &loader->fault;

        if (setting && setting->set(loader->object, value) == 0)
                return 1;
        if (fault->line > 0)
                return 0; /* the first is what the others may come from */

        fault->line = line;
        if (setting)
                snprintf(fault->why, sizeof(fault->why), "%s=%s is not %s", key, value, setting->what);
        else
                snprintf(fault->why, sizeof(fault->why), "unknown key %s in section [%s]", key, section);
        return 0;
}

int settings_load(const char *path, const Setting *settings, size_t n, void *object, SettingsFault *ret_fault) {
        Loader loader = { .settings = settings, .n = n, .object = object };
        _cleanup_(filep) FILE *file = NULL;
        int r;

        ret_fault->line = 0;
        file = fopen(path, "re");
        r = file ? settings_read(file, loader_on_setting, &loader, ret_fault) : -errno;
        if (r < 0 && ret_fault->line == 0)
                snprintf(ret_fault->why, sizeof(ret_fault->why), "%s", strerror(-r));
        else if (r < 0 && ret_fault->line == loader.fault.line)
                strcpy(ret_fault->why, loader.fault.why);
        return r;
}
