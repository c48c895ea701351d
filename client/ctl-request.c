/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What acquire, run and explain have in common */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "ctl.h"

/* "lifeline", "bus", "unit", "unit:NAME" or "pid:NUMBER" */
static int set_lifetime(vfb_request *request, const char *lifetime) {
        int r, pidfd;

        if (lifetime && strncmp(lifetime, "unit:", 5) == 0) {
                r = vfb_request_set_unit(request, lifetime + 5);
                return r < 0 ? r : vfb_request_set_lifetime(request, "unit");
        }
        if (!lifetime || strncmp(lifetime, "pid:", 4) != 0)
                return vfb_request_set_lifetime(request, lifetime);

        pidfd = (int) syscall(SYS_pidfd_open, (pid_t) strtol(lifetime + 4, NULL, 10), 0);
        if (pidfd < 0)
                return -errno;
        r = vfb_request_set_pidfd(request, pidfd);
        close(pidfd);
        return r < 0 ? r : vfb_request_set_lifetime(request, "pidfd");
}

int request_new_from(vfb_request **ret, const Ctl *ctl, char **args) {
        _cleanup_(vfb_request_freep) vfb_request *request = NULL;
        int r;

        r = vfb_request_new(&request);
        if (r < 0)
                return r;

        vfb_request_set_interactive(request, ctl->interactive);
        vfb_request_set_one_time(request, ctl->one_time);
        vfb_request_set_near_cpu(request, ctl->near_cpu);
        vfb_request_set_duration(request, ctl->duration_usec);
        r = vfb_request_set_mode(request, ctl->mode);
        if (r >= 0)
                r = vfb_request_set_label(request, ctl->label);
        if (r >= 0)
                r = set_lifetime(request, ctl->lifetime);
        if (r >= 0)
                r = vfb_request_set_reset(request, ctl->reset);
        if (r >= 0)
                r = vfb_request_set_companions(request, ctl->companions);
        if (r >= 0)
                r = vfb_request_set_on_host_use(request, ctl->on_host_use);
        if (r >= 0)
                r = vfb_request_set_restore(request, ctl->restore);

        for (size_t i = 0; r >= 0 && i < ctl->n_devices; i++)
                r = vfb_request_add_device(request, ctl->devices[i], ctl->vf_token);
        for (size_t i = 0; r >= 0 && args && args[i]; i++)
                r = vfb_request_add_device(request, args[i], ctl->vf_token);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(request);
        return 0;
}

/* Everybody can read the arguments of a process for as long as it runs. */
char *take_secret(char *argument) {
        char *copy = strdup(argument);

        memset(argument, 'x', strlen(argument));
        return copy;
}

int acquire_lease(const Ctl *ctl, vfb *connection, const vfb_request *request, vfb_lease **ret) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        pid_t agent = agent_open(ctl);
        int r;

        remind_begin("waiting for authorization and for the devices");
        r = ctl->token ? vfb_claim(connection, ctl->token, request, ret, &error)
                       : vfb_acquire(connection, request, ret, &error);
        remind_end();
        agent_close(&agent);

        return r < 0 ? fail(ctl, r, error) : EXIT_SUCCESS;
}
