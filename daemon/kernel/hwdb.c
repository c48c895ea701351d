/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hwdb */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-hwdb.h>

#include "cleanup.h"
#include "hwdb.h"

struct Hwdb {
        sd_hwdb *database; /* NULL: there is none, or nobody has asked yet */
        bool tried;

        /* What was found last. Devices that are alike come together, and are asked about for vendor and for model. */
        char modalias[128], vendor[256], model[256];
};

int hwdb_new(Hwdb **ret) {
        Hwdb *hwdb;

        hwdb = calloc(1, sizeof(*hwdb));
        if (!hwdb)
                return -ENOMEM;
        *ret = hwdb;
        return 0;
}

Hwdb *hwdb_free(Hwdb *hwdb) {
        if (!hwdb)
                return NULL;
        sd_hwdb_unref(hwdb->database);
        free(hwdb);
        return NULL;
}

static void copy_text(char *ret, size_t size, const char *value) {
        size_t n = strnlen(value, size - 1);

        /* Not within a character: half of one makes a D-Bus message invalid. */
        if (value[n] != '\0')
                while (n > 0 && ((unsigned char) value[n] & 0xc0) == 0x80)
                        n--;
        memcpy(ret, value, n);
        ret[n] = '\0';
}

static void look_up(Hwdb *hwdb, const char *modalias, const char *key, char *ret, size_t size) {
        const char *value;

        ret[0] = '\0';
        if (hwdb->database && sd_hwdb_get(hwdb->database, modalias, key, &value) >= 0)
                copy_text(ret, size, value);
}

static void find(Hwdb *hwdb, const char *modalias) {
        if (strcmp(modalias, hwdb->modalias) == 0)
                return;
        look_up(hwdb, modalias, "ID_VENDOR_FROM_DATABASE", hwdb->vendor, sizeof(hwdb->vendor));
        look_up(hwdb, modalias, "ID_MODEL_FROM_DATABASE", hwdb->model, sizeof(hwdb->model));
        copy_text(hwdb->modalias, sizeof(hwdb->modalias), strlen(modalias) < sizeof(hwdb->modalias) ? modalias : "");
}

void hwdb_lookup(Hwdb *hwdb, const char *modalias, char *ret_vendor, size_t vendor_size, char *ret_model,
                 size_t model_size) {
        if (!hwdb->tried) {
                hwdb->tried = true;
                if (sd_hwdb_new(&hwdb->database) < 0)
                        hwdb->database = NULL;
        }
        find(hwdb, modalias);
        if (vendor_size > 0)
                copy_text(ret_vendor, vendor_size, hwdb->vendor);
        if (model_size > 0)
                copy_text(ret_model, model_size, hwdb->model);
}
