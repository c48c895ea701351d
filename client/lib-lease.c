/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases and their descriptors */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "errors.h"
#include "lib.h"
#include "paths.h"

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -EBADF;
}

static int copy_fd(int borrowed_fd) {
        /* Not below 3: who closed stdin shall not find a device there. */
        int fd = fcntl(borrowed_fd, F_DUPFD_CLOEXEC, 3);

        return fd < 0 ? -errno : fd;
}

/* What follows @prefix in @role, NULL if it is not one of those. */
static const char *role_tail(const char *role, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(role, prefix, n) == 0 ? role + n : NULL;
}

static int64_t group_number(const char *digits) {
        int64_t number = 0;

        if (!*digits)
                return -EBADMSG;

        for (const char *p = digits; *p; p++) {
                if (*p < '0' || *p > '9')
                        return -EBADMSG;
                number = number * 10 + (*p - '0');
                if (number > INT32_MAX)
                        return -EBADMSG;
        }

        return number;
}

/* The ids of devices go into messages and command lines: letters, digits and :.-_@,+ are what the service lets through
 * of the kernel's names. */
static bool is_device_id(const char *id) {
        return *id && strlen(id) <= 64 &&
               id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:.-_@,+")] == '\0';
}

static bool role_is_known(const char *role) {
        const char *tail;

        if (strcmp(role, VFB_ROLE_CONTAINER) == 0)
                return true;

        tail = role_tail(role, VFB_ROLE_DEVICE);
        if (tail)
                return is_device_id(tail);

        tail = role_tail(role, VFB_ROLE_GROUP);
        return tail && group_number(tail) >= 0;
}

static Descriptor *find_role(const vfb_lease *lease, const char *role) {
        for (size_t i = 0; i < lease->n_descriptors; i++)
                if (strcmp(lease->descriptors[i].role, role) == 0)
                        return &lease->descriptors[i];

        return NULL;
}

static Descriptor *find_nth(const vfb_lease *lease, const char *prefix, size_t n) {
        for (size_t i = 0; i < lease->n_descriptors; i++)
                if (role_tail(lease->descriptors[i].role, prefix) && n-- == 0)
                        return &lease->descriptors[i];

        return NULL;
}

static size_t count(const vfb_lease *lease, const char *prefix) {
        size_t n = 0;

        for (size_t i = 0; i < lease->n_descriptors; i++)
                if (role_tail(lease->descriptors[i].role, prefix))
                        n++;

        return n;
}

static int descriptor_fd(const Descriptor *descriptor) {
        return descriptor ? descriptor->fd : -ENOENT;
}

int lease_new(vfb_lease **ret, vfb *connection, const char *path) {
        _cleanup_(freep) char *id = NULL, *path_copy = NULL;
        vfb_lease *lease;
        int r;

        r = sd_bus_path_decode_many(path, LEASE_TEMPLATE, &id);
        if (r < 0)
                return r;
        if (r == 0 || !*id)
                return -EBADMSG;

        path_copy = strdup(path);
        lease = calloc(1, sizeof(*lease));
        if (!path_copy || !lease) {
                free(lease);
                return -ENOMEM;
        }

        lease->id = TAKE_PTR(id);
        lease->path = TAKE_PTR(path_copy);
        lease->lifeline = -EBADF;
        lease->connection = connection;
        LIST_INSERT_HEAD(&connection->leases, lease, entry);
        *ret = lease;
        return 0;
}

int lease_add(vfb_lease *lease, const char *role, int borrowed_fd, Descriptor **ret_descriptor) {
        _cleanup_(freep) char *role_copy = NULL;
        Descriptor *descriptors, *last;
        int fd;

        if (!role_is_known(role) || find_role(lease, role))
                return -EBADMSG;

        role_copy = strdup(role);
        if (!role_copy)
                return -ENOMEM;

        descriptors = reallocarray(lease->descriptors, lease->n_descriptors + 1, sizeof(*descriptors));
        if (!descriptors)
                return -ENOMEM;
        lease->descriptors = descriptors;

        fd = copy_fd(borrowed_fd);
        if (fd < 0)
                return fd;

        last = &descriptors[lease->n_descriptors++];
        *last = (Descriptor){ .role = TAKE_PTR(role_copy), .fd = fd };
        *ret_descriptor = last;
        return 0;
}

int lease_set_lifeline(vfb_lease *lease, int borrowed_fd) {
        int fd = copy_fd(borrowed_fd);

        if (fd < 0)
                return fd;

        close_fd(&lease->lifeline);
        lease->lifeline = fd;
        return 0;
}

int descriptor_add_attribute(Descriptor *descriptor, const char *key, const char *value) {
        _cleanup_(freep) char *key_copy = strdup(key), *value_copy = strdup(value);
        char **attributes;

        if (!key_copy || !value_copy)
                return -ENOMEM;

        attributes = reallocarray(descriptor->attributes, descriptor->n_attributes + 2, sizeof(*attributes));
        if (!attributes)
                return -ENOMEM;

        descriptor->attributes = attributes;
        attributes[descriptor->n_attributes++] = TAKE_PTR(key_copy);
        attributes[descriptor->n_attributes++] = TAKE_PTR(value_copy);
        return 0;
}

bool lease_is_sound(const vfb_lease *lease, const char *mode) {
        bool mediated = mode && strcmp(mode, VFB_MODE_MEDIATED) == 0;

        return lease->lifeline >= 0 && !find_role(lease, VFB_ROLE_CONTAINER) == mediated &&
               (find_nth(lease, VFB_ROLE_DEVICE, 0) || find_nth(lease, VFB_ROLE_GROUP, 0));
}

static void descriptor_done(Descriptor *descriptor) {
        close_fd(&descriptor->fd);
        for (size_t i = 0; i < descriptor->n_attributes; i++)
                free(descriptor->attributes[i]);
        free(descriptor->attributes);
        free(descriptor->role);
}

vfb_lease *vfb_lease_free(vfb_lease *lease) {
        if (!lease)
                return NULL;

        if (lease->connection)
                LIST_REMOVE(lease, entry);

        /* The lifeline comes last: the service, told by it, then finds every device closed. */
        for (size_t i = 0; i < lease->n_descriptors; i++)
                descriptor_done(&lease->descriptors[i]);
        close_fd(&lease->lifeline);

        free(lease->descriptors);
        free(lease->id);
        free(lease->path);
        free(lease);
        return NULL;
}

/* @with_flags: the method takes flags. */
static int lease_call_end(vfb_lease *lease, const char *method, bool with_flags, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        vfb *connection = lease->connection;
        int r;

        if (!connection)
                return error_local(ret_error, -ENOTCONN,
                                   "The connection that the lease came through is closed");

        r = sd_bus_message_new_method_call(connection->bus, &m, VFB_BUS_NAME, lease->path,
                                           VFB_INTERFACE_LEASE, method);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        if (with_flags)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return error_local(ret_error, r, NULL);

        return connection_call(connection, m, /* timeout_usec= */ 0, "", &reply, ret_error);
}

static bool means_ended(const vfb_error *error) {
        const char *name = vfb_error_name(error);

        return vfb_error_from_name(name) == VFB_ERROR_NO_SUCH_LEASE ||
               strcmp(name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0;
}

static int lease_let_go(vfb_lease *lease, const char *method, bool with_flags, vfb_error **ret_error) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        int r;

        /* Devices first, so that the lease need not linger. */
        for (size_t i = 0; i < lease->n_descriptors; i++)
                close_fd(&lease->descriptors[i].fd);

        r = lease_call_end(lease, method, with_flags, &error);
        close_fd(&lease->lifeline);
        if (r >= 0 || (error && means_ended(error)))
                return 0;

        if (ret_error)
                *ret_error = TAKE_PTR(error);
        return r;
}

int vfb_lease_release(vfb_lease *lease, vfb_error **ret_error) {
        return lease_let_go(lease, "Release", /* with_flags= */ true, ret_error);
}

int vfb_lease_revoke_complete(vfb_lease *lease, vfb_error **ret_error) {
        return lease_let_go(lease, "RevokeComplete", /* with_flags= */ false, ret_error);
}

const char *vfb_lease_id(const vfb_lease *lease) {
        return lease->id;
}

const char *vfb_lease_mode(const vfb_lease *lease) {
        if (!find_role(lease, VFB_ROLE_CONTAINER))
                return VFB_MODE_MEDIATED;

        return find_nth(lease, VFB_ROLE_GROUP, 0) ? VFB_MODE_LEGACY_RAW : VFB_MODE_LEGACY;
}

const char *vfb_lease_model(const vfb_lease *lease) {
        return vfb_lease_attribute(lease, VFB_ROLE_CONTAINER, "model");
}

int vfb_lease_container_fd(const vfb_lease *lease) {
        return vfb_lease_fd(lease, VFB_ROLE_CONTAINER);
}

int vfb_lease_lifeline_fd(const vfb_lease *lease) {
        return lease->lifeline;
}

size_t vfb_lease_n_devices(const vfb_lease *lease) {
        return count(lease, VFB_ROLE_DEVICE);
}

const char *vfb_lease_device_id(const vfb_lease *lease, size_t i) {
        Descriptor *descriptor = find_nth(lease, VFB_ROLE_DEVICE, i);

        return descriptor ? role_tail(descriptor->role, VFB_ROLE_DEVICE) : NULL;
}

int vfb_lease_device_fd(const vfb_lease *lease, size_t i) {
        return descriptor_fd(find_nth(lease, VFB_ROLE_DEVICE, i));
}

int vfb_lease_device_fd_by_id(const vfb_lease *lease, const char *device_id) {
        const char *id;

        for (size_t i = 0; (id = vfb_lease_device_id(lease, i)); i++)
                if (strcmp(id, device_id) == 0)
                        return vfb_lease_device_fd(lease, i);

        return -ENOENT;
}

size_t vfb_lease_n_groups(const vfb_lease *lease) {
        return count(lease, VFB_ROLE_GROUP);
}

int64_t vfb_lease_group(const vfb_lease *lease, size_t i) {
        Descriptor *descriptor = find_nth(lease, VFB_ROLE_GROUP, i);

        return descriptor ? group_number(descriptor->role + strlen(VFB_ROLE_GROUP)) : -ENOENT;
}

int vfb_lease_group_fd(const vfb_lease *lease, size_t i) {
        return descriptor_fd(find_nth(lease, VFB_ROLE_GROUP, i));
}

static const char *descriptor_attribute(const Descriptor *descriptor, const char *attribute) {
        for (size_t i = 0; descriptor && i < descriptor->n_attributes; i += 2)
                if (strcmp(descriptor->attributes[i], attribute) == 0)
                        return descriptor->attributes[i + 1];

        return NULL;
}

const char *vfb_lease_reset_used(const vfb_lease *lease, size_t i) {
        return descriptor_attribute(find_nth(lease, VFB_ROLE_DEVICE, i), "reset");
}

size_t vfb_lease_n_roles(const vfb_lease *lease) {
        return lease->n_descriptors;
}

const char *vfb_lease_role(const vfb_lease *lease, size_t i) {
        return i < lease->n_descriptors ? lease->descriptors[i].role : NULL;
}

const char *vfb_lease_attribute(const vfb_lease *lease, const char *role, const char *attribute) {
        return descriptor_attribute(find_role(lease, role), attribute);
}

int vfb_lease_fd(const vfb_lease *lease, const char *role) {
        if (strcmp(role, VFB_ROLE_LIFELINE) == 0)
                return lease->lifeline;

        return descriptor_fd(find_role(lease, role));
}

int vfb_lease_take_fd(vfb_lease *lease, const char *role) {
        Descriptor *descriptor = find_role(lease, role);
        int *fd, taken;

        if (strcmp(role, VFB_ROLE_LIFELINE) == 0)
                fd = &lease->lifeline;
        else if (descriptor)
                fd = &descriptor->fd;
        else
                return -ENOENT;

        taken = *fd;
        *fd = -EBADF;
        return taken;
}
