/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ask
 *
 * Calls to the daemon and what comes back, as text where text will do: basic values with a space between them,
 * arrays in [], structs in (), entries in {}, descriptors as "h". A refusal is "!" and the error's name.
 *
 * What these functions return as text is theirs, and good for 31 further calls.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "names.h"

#define REFUSED(code) "!org.vfiobroker1.Error." code
#define DENIED        "!org.freedesktop.DBus.Error.AccessDenied"
#define INVALID_ARGS  "!org.freedesktop.DBus.Error.InvalidArgs"

#define GRANT_FDS_MAX 64

/* An Acquire that is not sent yet */
typedef struct Request {
        const char *wants; /* selectors, with commas between them */
        const char *token; /* for each of them */
        const char *mode, *label, *reset, *lifetime, *companions, *restore, *on_host_use;
        const char *unknown;      /* an option of that name */
        const char *want_unknown; /* the same for the first device */
        const char *unit;
        int pidfd; /* 0: none */
        bool near; /* to this processor */
        uint32_t near_cpu;
        uint64_t duration_usec;
        uint64_t flags;
        bool interactive;
} Request;

typedef struct GrantFd {
        char role[64];
        char attributes[128]; /* "reset flr" */
        int fd;
} GrantFd;

typedef struct Grant {
        char lease[128];
        int lifeline;
        GrantFd fds[GRANT_FDS_MAX];
        unsigned n_fds;
        bool complete;
} Grant;

/* An Acquire that waits for its answer */
typedef struct Pending {
        bool answered;
        char refusal[128]; /* "" is yes */
        Grant *grant;
        sd_bus_slot *slot;
} Pending;

const char *ask(sd_bus *bus, const char *path, const char *interface, const char *method, const char *types, ...);
const char *ask_at(sd_bus *bus, const char *service, const char *path, const char *interface, const char *method,
                   const char *types, ...);
/* Any message that a test has put together itself */
const char *ask_message_call(sd_bus *bus, sd_bus_message *m);
const char *ask_property(sd_bus *bus, const char *path, const char *interface, const char *name);
/* Who asks the same again and again gives the texts back: they count once, however long it takes. */
unsigned ask_mark(void);
void ask_forget_since(unsigned mark);
/* The sentence that came with the last refusal */
const char *ask_message(void);
const char *ask_dump(sd_bus_message *m);

/* "", or the refusal. */
const char *grant_acquire(Grant **ret, sd_bus *bus, const Request *request);
/* Claims with the token, likewise. */
const char *grant_claim(Grant **ret, sd_bus *bus, const char *token);
/* The same for plain wants: must succeed, or must not, which is returned. */
Grant *must_acquire(sd_bus *bus, const char *wants);
const char *refusal_of(sd_bus *bus, const Request *request);
/* Further descriptors; @roles with commas between them, "" for the next. */
const char *grant_get_fds(Grant *grant, sd_bus *bus, const char *roles);
/* NULL if there is none. */
GrantFd *grant_find(Grant *grant, const char *role);
/* Closes whatever it has. */
void grant_close_fds(Grant *grant);
void grant_close_lifeline(Grant *grant);
Grant *grant_free(Grant *grant);
DEFINE_CLEANUP(Grant, grant_free)

/* Explain's answer: "yes [(code severity device text data) ...]" */
const char *request_explain(sd_bus *bus, const Request *request);
/* The first two arguments of both */
int request_append_wants(sd_bus_message *m, const Request *request);
int request_append_options(sd_bus_message *m, const Request *request);
sd_bus_message *request_new(sd_bus *bus, const Request *request);
void pending_start(Pending *pending, sd_bus *bus, const Request *request);
/* Forgets the answer, and what has come of it. */
void pending_end(Pending *pending);

/* The object of a device; good for ever. */
const char *device_path(const char *address);
const char *lease_state(sd_bus *bus, const char *lease);
