/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings */

#include <errno.h>
#include <ini.h>
#include <string.h>

#include "core/settings.h"

typedef struct Reader {
        FILE *file;
        unsigned n_lines;
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

        return reader->found(reader->userdata, reader->n_lines, section, key, value);
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

        *ret_fault = (SettingsFault){ r > 0 ? (unsigned) r : reader.n_lines, r == 0 };
        return -EINVAL;
}
