/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inventory and findings */

#include <errno.h>
#include <string.h>

#include "array.h"
#include "lib.h"

static int list_message(vfb *connection, const char *selector, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(connection->bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER,
                                           "ListDevices");
        if (r < 0)
                return r;

        if (selector)
                r = sd_bus_message_append(m, "a{sv}", 1, "selector", "s", selector);
        else
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

int vfb_list_devices(vfb *connection,
                     const char *selector,
                     void (*callback)(const vfb_device_info *device, void *userdata),
                     void *userdata,
                     vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        vfb_device_info info;
        const char *path;
        int r;

        r = list_message(connection, selector, &m);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = connection_call(connection, m, /* timeout_usec= */ 0, "a(sosss)", &reply, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(sosss)");
        if (r < 0)
                return error_local(ret_error, r, NULL);

        while ((r = sd_bus_message_read(reply, "(sosss)", &info.id, &path, &info.driver, &info.availability,
                                        &info.why)) > 0)
                if (callback)
                        callback(&info, userdata);

        return r < 0 ? error_local(ret_error, r, NULL) : 0;
}

static const char **finding_string(vfb_finding *finding, const char *key) {
        if (strcmp(key, "fix") == 0)
                return &finding->fix;
        if (strcmp(key, "device") == 0)
                return &finding->culprit;
        if (strcmp(key, "driver") == 0)
                return &finding->driver;
        if (strcmp(key, "lease") == 0)
                return &finding->lease;

        return NULL;
}

/* One entry of a finding's data; what is not known, or not of the type it should have, is left out. */
static int read_datum(sd_bus_message *m, void *userdata) {
        const char *key, *contents, **string;
        vfb_finding *finding = userdata;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(m, "s", &key);
        if (r < 0)
                return r;

        string = finding_string(finding, key);
        if (string)
                return variant_read_string(m, string);

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        if (strcmp(key, "uid") != 0 || strcmp(contents, "u") != 0)
                return sd_bus_message_skip(m, "v");

        r = sd_bus_message_read(m, "v", "u", &uid);
        if (r >= 0)
                finding->uid = uid;
        return r;
}

typedef struct FindingReader {
        void (*callback)(const vfb_finding *finding, void *userdata);
        void *userdata;
} FindingReader;

static int read_finding(sd_bus_message *m, void *userdata) {
        vfb_finding finding = { .uid = -1 };
        FindingReader *reader = userdata;
        int r;

        r = sd_bus_message_read(m, "ssss", &finding.code, &finding.severity, &finding.device, &finding.text);
        if (r >= 0)
                r = array_read(m, "{sv}", read_datum, &finding);
        if (r >= 0 && reader->callback)
                reader->callback(&finding, reader->userdata);
        return r;
}

int vfb_explain(vfb *connection,
                const vfb_request *request,
                void (*callback)(const vfb_finding *finding, void *userdata),
                void *userdata,
                vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        FindingReader reader = { callback, userdata };
        int r, ok;

        r = sd_bus_message_new_method_call(connection->bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER,
                                           "Explain");
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = request_append(request, m);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = connection_call(connection, m, /* timeout_usec= */ 0, "ba(ssssa{sv})", &reply, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "b", &ok);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = array_read(reply, "(ssssa{sv})", read_finding, &reader);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        return ok ? 1 : 0;
}
