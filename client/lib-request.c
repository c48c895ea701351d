/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib.h"

#define ACQUIRE_TIMEOUT_USEC (10 * 60 * UINT64_C(1000000))

int vfb_request_new(vfb_request **ret) {
        vfb_request *request = calloc(1, sizeof(*request));

        if (!request)
                return -ENOMEM;

        request->pidfd = -EBADF;
        request->near_cpu = -1;
        request->timeout_usec = ACQUIRE_TIMEOUT_USEC;
        *ret = request;
        return 0;
}

static void close_pidfd(vfb_request *request) {
        if (request->pidfd >= 0)
                close(request->pidfd);
}

vfb_request *vfb_request_free(vfb_request *request) {
        if (!request)
                return NULL;

        for (size_t i = 0; i < request->n_wants; i++) {
                free(request->wants[i].selector);
                free(request->wants[i].vf_token);
        }
        free(request->wants);
        free(request->mode);
        free(request->label);
        free(request->lifetime);
        free(request->unit);
        close_pidfd(request);
        free(request->reset);
        free(request->companions);
        free(request->on_host_use);
        free(request->restore);
        free(request);
        return NULL;
}

int vfb_request_add_device(vfb_request *request, const char *selector, const char *vf_token) {
        _cleanup_(freep) char *selector_copy = NULL, *token_copy = NULL;
        Want *wants;

        if (!selector || !*selector)
                return -EINVAL;

        selector_copy = strdup(selector);
        if (vf_token)
                token_copy = strdup(vf_token);
        if (!selector_copy || (vf_token && !token_copy))
                return -ENOMEM;

        wants = reallocarray(request->wants, request->n_wants + 1, sizeof(*wants));
        if (!wants)
                return -ENOMEM;

        request->wants = wants;
        wants[request->n_wants].selector = TAKE_PTR(selector_copy);
        wants[request->n_wants].vf_token = TAKE_PTR(token_copy);
        request->n_wants++;
        return 0;
}

static int replace_string(char **string, const char *value) {
        char *copy = NULL;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }

        free(*string);
        *string = copy;
        return 0;
}

int vfb_request_set_mode(vfb_request *request, const char *mode) {
        return replace_string(&request->mode, mode);
}

int vfb_request_set_label(vfb_request *request, const char *label) {
        return replace_string(&request->label, label);
}

int vfb_request_set_lifetime(vfb_request *request, const char *lifetime) {
        return replace_string(&request->lifetime, lifetime);
}

int vfb_request_set_unit(vfb_request *request, const char *unit) {
        return replace_string(&request->unit, unit);
}

int vfb_request_set_pidfd(vfb_request *request, int pidfd) {
        int copy = -EBADF;

        if (pidfd >= 0) {
                copy = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
                if (copy < 0)
                        return -errno;
        }

        close_pidfd(request);
        request->pidfd = copy;
        return 0;
}

int vfb_request_set_reset(vfb_request *request, const char *policy) {
        return replace_string(&request->reset, policy);
}

int vfb_request_set_companions(vfb_request *request, const char *companions) {
        return replace_string(&request->companions, companions);
}

int vfb_request_set_on_host_use(vfb_request *request, const char *on_host_use) {
        return replace_string(&request->on_host_use, on_host_use);
}

int vfb_request_set_restore(vfb_request *request, const char *restore) {
        return replace_string(&request->restore, restore);
}

void vfb_request_set_near_cpu(vfb_request *request, int cpu) {
        request->near_cpu = cpu;
}

void vfb_request_set_one_time(vfb_request *request, bool one_time) {
        request->one_time = one_time;
}

void vfb_request_set_duration(vfb_request *request, uint64_t usec) {
        request->duration_usec = usec;
}

void vfb_request_set_interactive(vfb_request *request, bool interactive) {
        request->interactive = interactive;
}

void vfb_request_set_timeout(vfb_request *request, uint64_t usec) {
        request->timeout_usec = usec;
}

static int append_option(sd_bus_message *m, const char *key, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_want(sd_bus_message *m, const Want *want) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", want->selector);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = append_option(m, "vf-token", want->vf_token);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_options(sd_bus_message *m, const vfb_request *request) {
        const struct {
                const char *key, *value;
        } words[] = {
                { "mode", request->mode },
                { "label", request->label },
                { "lifetime", request->lifetime },
                { "unit", request->unit },
                { "reset", request->reset },
                { "companions", request->companions },
                { "on-host-use", request->on_host_use },
                { "restore", request->restore },
        };
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        for (size_t i = 0; r >= 0 && i < sizeof(words) / sizeof(*words); i++)
                r = append_option(m, words[i].key, words[i].value);
        if (r >= 0 && request->pidfd >= 0)
                r = sd_bus_message_append(m, "{sv}", "pidfd", "h", request->pidfd);
        if (r >= 0 && request->near_cpu >= 0)
                r = sd_bus_message_append(m, "{sv}", "near-cpu", "u", (uint32_t) request->near_cpu);
        if (r >= 0 && request->duration_usec > 0)
                r = sd_bus_message_append(m, "{sv}", "duration-usec", "t", request->duration_usec);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int request_append(const vfb_request *request, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(sa{sv})");
        for (size_t i = 0; r >= 0 && i < request->n_wants; i++)
                r = append_want(m, &request->wants[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : append_options(m, request);
}
