/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker offer */

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/syscall.h>

#include "ctl.h"

/* A name or a number. */
static int find_user(const char *text, uint32_t *ret) {
        const struct passwd *entry = getpwnam(text);
        unsigned long number;
        char *end;

        if (entry) {
                *ret = entry->pw_uid;
                return 0;
        }
        if (*text < '0' || *text > '9')
                return -ENOENT;

        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || *end || number >= UINT32_MAX)
                return -ENOENT;

        *ret = (uint32_t) number;
        return 0;
}

static int append_to_whom(sd_bus_message *m, const Ctl *ctl, uint32_t uid) {
        int r, pidfd;

        if (!ctl->pid)
                return sd_bus_message_append(m, "{sv}", "uid", "u", uid);

        pidfd = (int) syscall(SYS_pidfd_open, (pid_t) strtol(ctl->pid, NULL, 10), 0);
        if (pidfd < 0)
                return -errno;

        r = sd_bus_message_append(m, "{sv}", "pidfd", "h", pidfd);
        close(pidfd);
        return r;
}

static int append_options(sd_bus_message *m, const Ctl *ctl, uint32_t uid) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = append_to_whom(m, ctl, uid);
        if (r >= 0 && ctl->timeout_usec > 0)
                r = sd_bus_message_append(m, "{sv}", "timeout-usec", "t", ctl->timeout_usec);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int offer(sd_bus *bus, const char *path, const Ctl *ctl, uint32_t uid, char **ret_token, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *token;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, VFB_INTERFACE_LEASE, "Offer");
        if (r >= 0)
                r = append_options(m, ctl, uid);
        if (r < 0)
                return r;

        r = bus_call(bus, m, /* timeout_usec= */ 0, "s", &reply, ret_error);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &token);
        if (r < 0)
                return r;

        *ret_token = strdup(token);
        return *ret_token ? 0 : -ENOMEM;
}

static void print_token(const Ctl *ctl, const char *lease, const char *token) {
        _cleanup_(json_putp) json_object *object = NULL;

        if (!ctl->json) {
                say(stdout, "%s\n", token);
                return;
        }

        object = json_object_new_object();
        json_object_object_add(object, "lease", json_object_new_string(lease));
        json_object_object_add(object, "token", json_object_new_string(token));
        print_json_line(object);
}

int ctl_offer(Ctl *ctl, char **args) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(freep) char *path = NULL, *token = NULL;
        uint32_t uid = 0;
        int r;

        if (!ctl->uid == !ctl->pid)
                return fail_usage(ctl, "offer needs: --uid USER, or --pid NUMBER");
        if (ctl->uid && find_user(ctl->uid, &uid) < 0)
                return fail_usage(ctl, "--uid=%s: no such user", ctl->uid);

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = bus_manager_get(bus, "GetLease", args[0], &path, &error);
        if (r >= 0)
                r = offer(bus, path, ctl, uid, &token, &error);
        if (r < 0)
                return fail(ctl, r, error);

        print_token(ctl, args[0], token);
        return EXIT_SUCCESS;
}
