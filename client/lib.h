/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Library
 *
 * What the files of libvfio-broker share. Whatever comes from the bus is read as if an enemy had sent it:
 * types, counts and names are checked, signals count only when the service's own connection sent them
 * (on a system bus everybody may send signals to everybody).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "names.h"
#include "vfio-broker.h"

LIST_HEAD(LeaseHead, vfb_lease);

/* Made by vfb_open(), freed by vfb_free(). Leases are linked, not owned. */
struct vfb {
        sd_bus *bus;
        vfb_listener listener;
        void *userdata;
        char *owner;            /* the service's unique name, NULL while it is not known to run */
        bool told;              /* the listener knows that the service or the bus has gone */
        bool lost;              /* the bus has gone: nothing works any more */
        bool waiting;           /* for an answer: signals are put aside meanwhile */
        bool dispatching;       /* the listener may be at it, and must not wait */
        sd_bus_message **aside; /* they go back into the queue afterwards */
        size_t n_aside;
        struct LeaseHead leases;
};

typedef struct Want {
        char *selector;
        char *vf_token; /* or NULL */
} Want;

struct vfb_request {
        Want *wants;
        size_t n_wants;
        char *mode;
        char *label;
        char *reset;
        char *companions;
        char *on_host_use;
        char *restore;
        int near_cpu; /* -1: wherever */
        bool one_time;
        uint64_t duration_usec;
        char *lifetime;
        char *unit;
        int pidfd; /* ours; negative: none */
        bool interactive;
        uint64_t timeout_usec;
};

typedef struct Descriptor {
        char *role;
        int fd;            /* -EBADF once taken or closed */
        char **attributes; /* key, value, key, value; those with string values */
        size_t n_attributes;
} Descriptor;

/* Made by vfb_acquire(), freed by vfb_lease_free(). Owns its descriptors and the lifeline. */
struct vfb_lease {
        LIST_ENTRY(vfb_lease) entry;
        vfb *connection; /* NULL after vfb_free() */
        char *path;
        char *id;
        int lifeline;
        Descriptor *descriptors;
        size_t n_descriptors;
};

DEFINE_FREEP(vfb_error, vfb_error_free)
DEFINE_FREEP(vfb_request, vfb_request_free)
DEFINE_FREEP(vfb_lease, vfb_lease_free)

/* Makes *@ret_error, if that is wanted, for the negative errno @r, with @text if not NULL. Returns @r. */
int error_local(vfb_error **ret_error, int r, const char *text);

/* Likewise for the D-Bus error @name, whose errno it returns. */
int error_named(vfb_error **ret_error, const char *name, const char *text);

/* Likewise for an answer that does not follow the protocol. Returns -EBADMSG. */
int error_protocol(vfb_error **ret_error, const char *text);

/* Calls the service with @m. 0 and the answer, whose signature is @signature, or a negative errno. */
int connection_call(vfb *connection,
                    sd_bus_message *m,
                    uint64_t timeout_usec,
                    const char *signature,
                    sd_bus_message **ret_reply,
                    vfb_error **ret_error);

/* Appends wants and options as Acquire and Explain take them. */
int request_append(const vfb_request *request, sd_bus_message *m);

/* An empty lease for the object @path, linked to @connection. -EBADMSG if @path is no lease's. */
int lease_new(vfb_lease **ret, vfb *connection, const char *path);

/* The lease's copy of a descriptor that the message still owns. -EBADMSG: no such role can be, or twice. */
int lease_add(vfb_lease *lease, const char *role, int borrowed_fd, Descriptor **ret_descriptor);
int lease_set_lifeline(vfb_lease *lease, int borrowed_fd);
int descriptor_add_attribute(Descriptor *descriptor, const char *key, const char *value);

/* Whether the roles are those of a lease that can be used, in that mode (NULL: whatever the service chose). */
bool lease_is_sound(const vfb_lease *lease, const char *mode);
