/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "paths.h"

int device_id_of_path(const char *path, char **ret) {
        static const struct {
                const char *template, *kind;
        } others[] = {
                { VFB_PATH_DEVICE "/platform_%", "platform" }, { VFB_PATH_DEVICE "/mdev_%", "mdev" },
                { VFB_PATH_DEVICE "/ap_%", "ap" },             { VFB_PATH_DEVICE "/ccw_%", "ccw" },
                { VFB_PATH_DEVICE "/fsl_mc_%", "fsl-mc" },     { VFB_PATH_DEVICE "/cdx_%", "cdx" },
                { VFB_PATH_DEVICE "/amba_%", "amba" },
        };
        int r;

        r = sd_bus_path_decode_many(path, VFB_PATH_DEVICE "/pci%", ret);
        for (size_t i = 0; r == 0 && i < sizeof(others) / sizeof(*others); i++) {
                _cleanup_(freep) char *name = NULL;

                r = sd_bus_path_decode_many(path, others[i].template, &name);
                if (r > 0 && asprintf(ret, "%s:%s", others[i].kind, name) < 0)
                        r = -ENOMEM;
        }
        return r;
}
