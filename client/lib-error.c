/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Errors as objects */

#include <errno.h>
#include <string.h>

#include "errors.h"
#include "lib.h"

struct vfb_error {
        char *name;
        char *text;
        int number;
        int exit_code;
        const char *hint; /* static storage */
};

static bool starts_with(const char *string, const char *prefix) {
        return strncmp(string, prefix, strlen(prefix)) == 0;
}

/* How the bus says that nobody has the name, or that who should have taken it did not start. */
static bool means_not_running(const char *name) {
        return strcmp(name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0 ||
               strcmp(name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) == 0 ||
               starts_with(name, "org.freedesktop.DBus.Error.Spawn.") ||
               starts_with(name, "org.freedesktop.systemd1.");
}

static void error_classify(vfb_error *error) {
        const VfbErrorInfo *info = vfb_error_info(vfb_error_from_name(error->name));

        error->exit_code = 1;
        if (info) {
                error->number = info->number;
                error->exit_code = info->exit_code;
                error->hint = info->hint;
        } else if (means_not_running(error->name)) {
                error->number = EHOSTUNREACH;
                error->exit_code = 9;
                error->hint = "Start the service: systemctl start vfio-broker";
        } else if (strcmp(error->name, SD_BUS_ERROR_NO_REPLY) == 0) {
                error->number = ETIMEDOUT;
                error->exit_code = 9;
                error->hint = "See what became of the service: journalctl -u vfio-broker";
        } else {
                error->number = sd_bus_error_get_errno(&SD_BUS_ERROR_MAKE_CONST(error->name, error->text));
        }

        if (error->number <= 0)
                error->number = EIO;
}

/* The service's own words are about the very case; the table's are second best. */
static const char *default_text(const char *name) {
        const VfbErrorInfo *info = vfb_error_info(vfb_error_from_name(name));

        if (info)
                return info->text;
        if (means_not_running(name))
                return "The service is not running";

        return name;
}

int vfb_error_new(vfb_error **ret, const char *name, const char *text) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;

        if (!name)
                return -EINVAL;
        if (!text || !*text || means_not_running(name))
                text = default_text(name);

        error = calloc(1, sizeof(*error));
        if (!error)
                return -ENOMEM;

        error->name = strdup(name);
        error->text = strdup(text);
        if (!error->name || !error->text)
                return -ENOMEM;

        error_classify(error);
        *ret = TAKE_PTR(error);
        return 0;
}

vfb_error *vfb_error_free(vfb_error *error) {
        if (!error)
                return NULL;

        free(error->name);
        free(error->text);
        free(error);
        return NULL;
}

int error_local(vfb_error **ret_error, int r, const char *text) {
        _cleanup_(freep) char *name = NULL;
        const char *symbol = strerrorname_np(-r);

        if (ret_error && symbol && asprintf(&name, "System.Error.%s", symbol) >= 0)
                (void) vfb_error_new(ret_error, name, text ?: strerrordesc_np(-r));

        return r;
}

int error_protocol(vfb_error **ret_error, const char *text) {
        return error_local(ret_error, -EBADMSG, text);
}

const char *vfb_error_name(const vfb_error *error) {
        return error->name;
}

int vfb_error_number(const vfb_error *error) {
        return error->number;
}

const char *vfb_error_text(const vfb_error *error) {
        return error->text;
}

const char *vfb_error_hint(const vfb_error *error) {
        return error->hint;
}

int vfb_error_exit_code(const vfb_error *error) {
        return error->exit_code;
}
