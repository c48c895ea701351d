/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ask */

#include <check.h>
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"

#define TEXTS    32
#define TEXT_MAX (4 * 1024 * 1024)

typedef struct Text {
        char *data;
        size_t size;
} Text;

static Text texts[TEXTS];
static unsigned next_text;
static char message[1024];

/* The oldest of the texts, empty */
static Text *text_next(void) {
        Text *text = &texts[next_text++ % TEXTS];

        if (!text->data)
                text->data = calloc(1, TEXT_MAX);
        if (!text->data)
                abort();
        text->data[0] = '\0';
        text->size = 0;
        return text;
}

__attribute__((format(printf, 2, 3)))
static void text_add(Text *text, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        text->size += vsnprintf(text->data + text->size, TEXT_MAX - text->size, format, arguments);
        va_end(arguments);
        if (text->size >= TEXT_MAX)
                abort();
}

static int text_add_basic(Text *text, sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
                int h;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r <= 0)
                return r;

        switch (type) {
        case 'b':
                text_add(text, "%s", value.b ? "yes" : "no");
                break;
        case 'y':
                text_add(text, "%u", value.y);
                break;
        case 'q':
                text_add(text, "%u", value.q);
                break;
        case 'i':
                text_add(text, "%" PRIi32, value.i);
                break;
        case 'u':
                text_add(text, "%" PRIu32, value.u);
                break;
        case 't':
                text_add(text, "%" PRIu64, value.t);
                break;
        case 's':
        case 'o':
        case 'g':
                text_add(text, "%s", value.s);
                break;
        case 'h':
                text_add(text, "h");
                break;
        default:
                text_add(text, "%c?", type);
        }
        return 1;
}

static int text_add_rest(Text *text, sd_bus_message *m) {
        const char *contents;
        bool first = true;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
                if (!first)
                        text_add(text, " ");
                first = false;
                if (!strchr("avre", type)) {
                        r = text_add_basic(text, m, type);
                        if (r < 0)
                                return r;
                        continue;
                }

                r = sd_bus_message_enter_container(m, type, contents);
                if (r < 0)
                        return r;
                text_add(text, "%s", type == 'a' ? "[" : type == 'r' ? "(" : type == 'e' ? "{" : "");
                r = text_add_rest(text, m);
                if (r < 0)
                        return r;
                text_add(text, "%s", type == 'a' ? "]" : type == 'r' ? ")" : type == 'e' ? "}" : "");
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

unsigned ask_mark(void) {
        return next_text;
}

void ask_forget_since(unsigned mark) {
        next_text = mark;
}

const char *ask_dump(sd_bus_message *m) {
        Text *text = text_next();

        if (sd_bus_message_rewind(m, true) < 0 || text_add_rest(text, m) < 0)
                abort();
        return text->data;
}

const char *ask_message(void) {
        return message;
}

static const char *refusal_text(const sd_bus_error *error) {
        Text *text = text_next();

        snprintf(message, sizeof(message), "%s", error->message ? error->message : "");
        text_add(text, "!%s", error->name);
        return text->data;
}

static const char *ask_v(sd_bus *bus, const char *service, const char *path, const char *interface, const char *method,
                         const char *types, va_list arguments) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_methodv(bus, service, path, interface, method, &error, &reply, types, arguments);
        if (r < 0 && !sd_bus_error_is_set(&error))
                sd_bus_error_set_errno(&error, r);
        return r < 0 ? refusal_text(&error) : ask_dump(reply);
}

const char *ask_at(sd_bus *bus, const char *service, const char *path, const char *interface, const char *method,
                   const char *types, ...) {
        va_list arguments;
        const char *text;

        va_start(arguments, types);
        text = ask_v(bus, service, path, interface, method, types, arguments);
        va_end(arguments);
        return text;
}

const char *ask(sd_bus *bus, const char *path, const char *interface, const char *method, const char *types, ...) {
        va_list arguments;
        const char *text;

        va_start(arguments, types);
        text = ask_v(bus, VFB_BUS_NAME, path, interface, method, types, arguments);
        va_end(arguments);
        return text;
}

const char *ask_property(sd_bus *bus, const char *path, const char *interface, const char *name) {
        return ask(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name);
}

const char *ask_message_call(sd_bus *bus, sd_bus_message *m) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call(bus, m, 0, &error, &reply);
        return r < 0 ? refusal_text(&error) : ask_dump(reply);
}

const char *device_path(const char *address) {
        static struct {
                char address[64], path[160];
        } known[128];
        char *path;
        size_t i = 0;

        while (i < 127 && known[i].address[0] && strcmp(known[i].address, address) != 0)
                i++;
        if (!known[i].address[0]) {
                const char *name = strchr(address, ':'), *kind = isalpha((unsigned char) address[0]) ? address : "pci";

                /* "mdev:NAME", but for PCI */
                name = kind == address ? name + 1 : address;
                if (sd_bus_path_encode("/", name, &path) < 0)
                        abort();
                snprintf(known[i].address, sizeof(known[i].address), "%s", address);
                snprintf(known[i].path, sizeof(known[i].path), VFB_PATH_DEVICE "/%.*s%s%.100s", (int) strcspn(kind, ":"), kind,
                         kind == address ? "_" : "", path + 1);
                free(path);
                path = strchr(known[i].path, '-'); /* of "fsl-mc": names have none any more */
                if (path)
                        *path = '_';
        }
        return known[i].path;
}

const char *lease_state(sd_bus *bus, const char *lease) {
        return ask_property(bus, lease, VFB_INTERFACE_LEASE, "State");
}

static int append_option(sd_bus_message *m, const char *key, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

/* One (sa{sv}); the list is cut at its commas. */
static int append_want(sd_bus_message *m, const Request *request, const char *selector, bool first) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", selector);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_option(m, "vf-token", request->token);
        if (r >= 0 && first)
                r = append_option(m, request->want_unknown, request->want_unknown);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int request_append_wants(sd_bus_message *m, const Request *request) {
        _cleanup_(freep) char *wants = strdup(request->wants);
        char *rest = NULL;
        bool first = true;
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sa{sv})");
        for (char *word = strtok_r(wants, ",", &rest); word && r >= 0; word = strtok_r(NULL, ",", &rest)) {
                r = append_want(m, request, word, first);
                first = false;
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int request_append_options(sd_bus_message *m, const Request *request) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_option(m, "mode", request->mode);
        if (r >= 0)
                r = append_option(m, "label", request->label);
        if (r >= 0)
                r = append_option(m, "reset", request->reset);
        if (r >= 0)
                r = append_option(m, "companions", request->companions);
        if (r >= 0)
                r = append_option(m, "restore", request->restore);
        if (r >= 0)
                r = append_option(m, "on-host-use", request->on_host_use);
        if (r >= 0)
                r = append_option(m, "lifetime", request->lifetime);
        if (r >= 0)
                r = append_option(m, request->unknown, request->unknown);
        if (r >= 0)
                r = append_option(m, "unit", request->unit);
        if (r >= 0 && request->near)
                r = sd_bus_message_append(m, "{sv}", "near-cpu", "u", request->near_cpu);
        if (r >= 0 && request->pidfd)
                r = sd_bus_message_append(m, "{sv}", "pidfd", "h", request->pidfd);
        if (r >= 0 && request->duration_usec)
                r = sd_bus_message_append(m, "{sv}", "duration-usec", "t", request->duration_usec);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

const char *request_explain(sd_bus *bus, const Request *request) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Explain"), 0);
        ck_assert_int_ge(request_append_wants(m, request), 0);
        ck_assert_int_ge(request_append_options(m, request), 0);
        ck_assert_int_ge(sd_bus_message_set_allow_interactive_authorization(m, request->interactive), 0);
        return ask_message_call(bus, m);
}

sd_bus_message *request_new(sd_bus *bus, const Request *request) {
        sd_bus_message *m = NULL;

        if (sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire") < 0 ||
            request_append_wants(m, request) < 0 || request_append_options(m, request) < 0 ||
            sd_bus_message_append(m, "t", request->flags) < 0 ||
            sd_bus_message_set_allow_interactive_authorization(m, request->interactive) < 0)
                abort();
        return m;
}

static int grant_read_fds(Grant *grant, sd_bus_message *m) {
        const char *role;
        GrantFd *next;
        int fd, r;

        r = sd_bus_message_enter_container(m, 'a', "(sha{sv})");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'r', "sha{sv}")) > 0) {
                Text *attributes = text_next();

                if (grant->n_fds == GRANT_FDS_MAX)
                        return -ENOBUFS;
                r = sd_bus_message_read(m, "sh", &role, &fd);
                if (r < 0)
                        return r;
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
                if (r >= 0)
                        r = text_add_rest(attributes, m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
                next = &grant->fds[grant->n_fds++];
                snprintf(next->role, sizeof(next->role), "%s", role);
                snprintf(next->attributes, sizeof(next->attributes), "%s", attributes->data);
                next->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static Grant *grant_new(sd_bus_message *m) {
        Grant *grant = calloc(1, sizeof(*grant));
        const char *lease;
        int lifeline, complete;

        if (!grant || sd_bus_message_read(m, "oh", &lease, &lifeline) < 0 || grant_read_fds(grant, m) < 0 ||
            sd_bus_message_read(m, "b", &complete) < 0)
                abort();
        snprintf(grant->lease, sizeof(grant->lease), "%s", lease);
        grant->lifeline = fcntl(lifeline, F_DUPFD_CLOEXEC, 3);
        grant->complete = complete;
        return grant;
}

const char *grant_acquire(Grant **ret, sd_bus *bus, const Request *request) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = request_new(bus, request), *reply = NULL;
        int r;

        r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r < 0)
                return refusal_text(&error);
        *ret = grant_new(reply);
        return "";
}

const char *grant_claim(Grant **ret, sd_bus *bus, const char *token) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim", &error, &reply, "sa{sv}t", token, 0,
                               UINT64_C(0));
        if (r < 0)
                return refusal_text(&error);
        *ret = grant_new(reply);
        return "";
}

Grant *must_acquire(sd_bus *bus, const char *wants) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, bus, &(Request) { .wants = wants }), "");
        return grant;
}

const char *refusal_of(sd_bus *bus, const Request *request) {
        _cleanup_(grant_freep) Grant *grant = NULL;

        return grant_acquire(&grant, bus, request);
}

const char *grant_get_fds(Grant *grant, sd_bus *bus, const char *roles) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(freep) char *words = strdup(roles);
        char *rest = NULL;
        int complete, r;

        if (sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, grant->lease, VFB_INTERFACE_LEASE, "GetFds") < 0 ||
            sd_bus_message_open_container(m, 'a', "s") < 0)
                abort();
        for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
                sd_bus_message_append(m, "s", word);
        if (sd_bus_message_close_container(m) < 0 || sd_bus_message_append(m, "t", UINT64_C(0)) < 0)
                abort();

        r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r < 0)
                return refusal_text(&error);
        if (grant_read_fds(grant, reply) < 0 || sd_bus_message_read(reply, "b", &complete) < 0)
                abort();
        grant->complete = complete;
        return "";
}

GrantFd *grant_find(Grant *grant, const char *role) {
        for (unsigned i = 0; i < grant->n_fds; i++)
                if (strcmp(grant->fds[i].role, role) == 0)
                        return &grant->fds[i];
        return NULL;
}

void grant_close_fds(Grant *grant) {
        for (unsigned i = 0; i < grant->n_fds; i++)
                close(grant->fds[i].fd);
        grant->n_fds = 0;
}

void grant_close_lifeline(Grant *grant) {
        closep(&grant->lifeline);
        grant->lifeline = -EBADF;
}

Grant *grant_free(Grant *grant) {
        if (!grant)
                return NULL;
        grant_close_fds(grant);
        grant_close_lifeline(grant);
        free(grant);
        return NULL;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Pending *pending = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                snprintf(pending->refusal, sizeof(pending->refusal), "%s", refusal_text(sd_bus_message_get_error(m)));
        else
                pending->grant = grant_new(m);
        pending->answered = true;
        return 0;
}

void pending_start(Pending *pending, sd_bus *bus, const Request *request) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = request_new(bus, request);

        *pending = (Pending) {};
        if (sd_bus_call_async(bus, &pending->slot, m, on_answer, pending, 0) < 0 || sd_bus_flush(bus) < 0)
                abort();
}

void pending_end(Pending *pending) {
        pending->slot = sd_bus_slot_unref(pending->slot);
        pending->grant = grant_free(pending->grant);
}
