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
        const char *hint; /* static storage, or in text, or NULL */
};

/* What the bus says, in its own words or for want of a service, instead of the service. */
static const VfbErrorInfo bus_errors[] = {
        { SD_BUS_ERROR_SERVICE_UNKNOWN, EHOSTUNREACH, 9,
          "The service is not running",
          "Start it: systemctl start vfio-broker" },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, EHOSTUNREACH, 9,
          "The service is not running",
          "Start it: systemctl start vfio-broker" },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, ENOENT, 3,
          "The lease has ended",
          "vfio-broker leases shows what there is" },
        { SD_BUS_ERROR_NO_REPLY, ETIMEDOUT, 9,
          "The service gave no answer",
          "See what became of it: systemctl status vfio-broker" },
        { SD_BUS_ERROR_DISCONNECTED, ENOTCONN, 9,
          "The connection to the system bus is lost",
          "See whether D-Bus is running: systemctl status dbus" },
        { SD_BUS_ERROR_NO_SERVER, EHOSTDOWN, 9,
          "The system bus cannot be reached",
          "See whether D-Bus is running: systemctl status dbus" },
};

static bool starts_with(const char *string, const char *prefix) {
        return strncmp(string, prefix, strlen(prefix)) == 0;
}

static const VfbErrorInfo *bus_error_info(const char *name) {
        /* Who should have taken the name did not start; there are dozens of reasons. */
        if (starts_with(name, "org.freedesktop.DBus.Error.Spawn.") ||
            starts_with(name, "org.freedesktop.systemd1."))
                name = SD_BUS_ERROR_SERVICE_UNKNOWN;

        for (size_t i = 0; i < sizeof(bus_errors) / sizeof(*bus_errors); i++)
                if (strcmp(bus_errors[i].name, name) == 0)
                        return &bus_errors[i];

        return NULL;
}

/* The service's own words are about the very case; those of the table are second best. */
static const char *choose_text(const char *name, const char *text) {
        const VfbErrorInfo *info = bus_error_info(name);

        if (!info && text && *text)
                return text;
        if (!info)
                info = vfb_error_info(vfb_error_from_name(name));

        return info ? info->text : name;
}

static void error_classify(vfb_error *error) {
        const VfbErrorInfo *info = bus_error_info(error->name)
                                           ?: vfb_error_info(vfb_error_from_name(error->name));

        if (info) {
                error->number = info->number;
                error->exit_code = info->exit_code;
                error->hint = info->hint;
                return;
        }

        error->exit_code = 1;
        error->number = sd_bus_error_get_errno(&SD_BUS_ERROR_MAKE_CONST(error->name, error->text));
        if (error->number <= 0)
                error->number = EIO;
}

/* What the service says to do about the very case comes behind "; ", and is better than the table's hint. */
static void error_split(vfb_error *error) {
        char *hint = vfb_error_from_name(error->name) != VFB_ERROR_NONE ? strstr(error->text, "; ") : NULL;

        if (!hint)
                return;

        *hint = '\0';
        error->hint = hint + 2;
}

int vfb_error_new(vfb_error **ret, const char *name, const char *text) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;

        if (!name)
                return -EINVAL;

        error = calloc(1, sizeof(*error));
        if (!error)
                return -ENOMEM;

        error->name = strdup(name);
        error->text = strdup(choose_text(name, text));
        if (!error->name || !error->text)
                return -ENOMEM;

        error_classify(error);
        error_split(error);
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

int error_named(vfb_error **ret_error, const char *name, const char *text) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        int r;

        r = vfb_error_new(&error, name, text);
        if (r < 0)
                return r;

        r = -error->number;
        if (ret_error)
                *ret_error = TAKE_PTR(error);
        return r;
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
