/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lease */

#include <assert.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "core/device.h"
#include "core/group.h"
#include "core/lease.h"

/* From (row) to (column). A lease may end (be freed) while preparing, after cleaning, and as failed. */
static const bool moves[_LEASE_STATE_MAX][_LEASE_STATE_MAX] = {
        [LEASE_PREPARING] = { [LEASE_ACTIVE] = true, [LEASE_LINGERING] = true },
        [LEASE_ACTIVE] = { [LEASE_REVOKING] = true, [LEASE_LINGERING] = true },
        [LEASE_REVOKING] = { [LEASE_LINGERING] = true },
        [LEASE_LINGERING] = { [LEASE_CLEANING] = true, [LEASE_FAILED] = true },
        [LEASE_CLEANING] = { [LEASE_FAILED] = true },
};

static int compare_ids(const void *a, const void *b) {
        return strcmp(a, b);
}

/* The tree holds the ids, which live in the leases. */
static Lease *lease_of_id(char *const *node) {
        return node ? (Lease *) (*node - offsetof(Lease, id)) : NULL;
}

/* "l-7f3k2m": short enough to type, without letters that make words or are mistaken. */
static int lease_pick_id(Lease *lease, const LeaseList *leases) {
        static const char alphabet[] = "0123456789bcdfghjkmnpqrstvwxz";
        uint8_t random[6];

        do {
                if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
                        return -EIO;
                for (size_t i = 0; i < sizeof(random); i++)
                        lease->id[2 + i] = alphabet[random[i] % (sizeof(alphabet) - 1)];
                memcpy(lease->id, "l-", 2);
        } while (lease_find(leases, lease->id));

        return 0;
}

static int lease_set_id(Lease *lease, const LeaseList *leases, const char *id) {
        if (strlen(id) >= sizeof(lease->id))
                return -EINVAL;
        if (lease_find(leases, id))
                return -EEXIST;

        strcpy(lease->id, id);
        return 0;
}

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

static int lease_allocate(Lease *lease, unsigned n_devices) {
        /* One piece of memory for all three: of thousands of leases most have one device. */
        lease->devices = calloc(n_devices,
                                sizeof(*lease->devices) + sizeof(*lease->groups) + sizeof(*lease->group_fds));
        if (!lease->devices)
                return -ENOMEM;

        lease->groups = (Group **) (lease->devices + n_devices);
        lease->group_fds = (int *) (lease->groups + n_devices);
        for (unsigned i = 0; i < n_devices; i++)
                lease->group_fds[i] = -EBADF;
        lease->n_devices_max = n_devices;
        return 0;
}

int lease_new(Lease **ret, LeaseList *leases, User *user, unsigned n_devices, const char *id) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        int r;

        lease = calloc(1, sizeof(*lease));
        if (!lease)
                return -ENOMEM;

        lease->container_fd = -EBADF;
        lease->created_usec = now_usec();

        r = lease_allocate(lease, n_devices);
        if (r < 0)
                return r;

        r = id ? lease_set_id(lease, leases, id) : lease_pick_id(lease, leases);
        if (r < 0)
                return r;

        if (!tsearch(lease->id, &leases->by_id, compare_ids))
                return -ENOMEM;
        TAILQ_INSERT_TAIL(&leases->queue, lease, all);
        leases->n++;
        lease->list = leases;
        lease->user = user;

        *ret = TAKE_PTR(lease);
        return 0;
}

static void lease_unlink(Lease *lease) {
        tdelete(lease->id, &lease->list->by_id, compare_ids);
        TAILQ_REMOVE(&lease->list->queue, lease, all);
        lease->list->n--;
}

Lease *lease_free(Lease *lease) {
        if (!lease)
                return NULL;

        sd_event_source_disable_unref(lease->timer);
        lifeline_free(lease->lifeline);
        lifeline_free(lease->process);
        term_free(lease->term);
        offer_free(lease->offer);
        revocation_free(lease->revocation);
        lease_close_groups(lease);
        closep(&lease->container_fd);

        for (unsigned i = 0; i < lease->n_groups; i++)
                lease->groups[i]->lease = NULL;

        lease_clear_mappings(lease);
        if (lease->user)
                user_discharge(lease->user);
        if (lease->list)
                lease_unlink(lease);
        free(lease->devices); /* and what lies behind them */
        free(lease->unit);
        free(lease->invocation);
        free(lease->label);
        free(lease->sender);
        free(lease);
        return NULL;
}

Lease *lease_find(const LeaseList *leases, const char *id) {
        return lease_of_id(tfind(id, &leases->by_id, compare_ids));
}

const char *lease_label(const Lease *lease) {
        return lease->label ?: "";
}

int lease_set_label(Lease *lease, const char *label) {
        _cleanup_(freep) char *copy = NULL;

        if (*label) {
                copy = strdup(label);
                if (!copy)
                        return -ENOMEM;
        }

        free(lease->label);
        lease->label = TAKE_PTR(copy);
        return 0;
}

static unsigned lease_add_group(Lease *lease, Group *group) {
        for (unsigned i = 0; i < lease->n_groups; i++)
                if (lease->groups[i] == group)
                        return i;

        assert(!group->lease);
        group->lease = lease;
        lease->groups[lease->n_groups] = group;
        return lease->n_groups++;
}

void lease_add_gone(Lease *lease, const char *id, Group *group) {
        LeaseDevice *added = &lease->devices[lease->n_devices];

        assert(lease->n_devices < lease->n_devices_max);

        snprintf(added->id, sizeof(added->id), "%s", id);
        added->group = lease_add_group(lease, group);
        lease->n_devices++;
}

void lease_add_device(Lease *lease, Device *device, const char *token) {
        LeaseDevice *added = &lease->devices[lease->n_devices];

        lease_add_gone(lease, device_id(device), device->group);
        snprintf(added->token, sizeof(added->token), "%s", token ?: "");
        added->device = device;
}

const LeaseDevice *lease_find_device(const Lease *lease, const Device *device) {
        for (unsigned i = 0; i < lease->n_devices; i++)
                if (lease->devices[i].device == device)
                        return &lease->devices[i];

        return NULL;
}

bool lease_has_device(const Lease *lease, const Device *device) {
        return lease_find_device(lease, device) != NULL;
}

int lease_drop_device(Lease *lease, Device *device) {
        for (unsigned i = 0; i < lease->n_devices; i++)
                if (lease->devices[i].device == device) {
                        lease->devices[i].device = NULL;
                        return (int) i;
                }

        return -1;
}

unsigned lease_n_present(const Lease *lease) {
        unsigned n = 0;

        for (unsigned i = 0; i < lease->n_devices; i++)
                n += lease->devices[i].device != NULL;

        return n;
}

void lease_advance(Lease *lease, LeaseState state) {
        assert(moves[lease->state][state]);
        lease->state = state;
}

void lease_hold_by(Lease *lease, Lifeline *lifeline) {
        assert(!lease->lifeline);
        lease->lifeline = lifeline;
}

int lease_add_mapping(Lease *lease, uint64_t iova, uint64_t size, unsigned user_max, uint64_t user_bytes_max) {
        int r;

        r = user_charge_memory(lease->user, size, user_max, user_bytes_max);
        if (r != 0)
                return r;

        r = mappings_add(&lease->mappings, iova, size);
        if (r != 0)
                user_discharge_memory(lease->user, 1, size);
        return r;
}

void lease_remove_mapping(Lease *lease, Mapping *mapping) {
        user_discharge_memory(lease->user, 1, mapping->size);
        mappings_remove(&lease->mappings, mapping);
}

int lease_charge_mappings(const Lease *lease, User *user, unsigned max, uint64_t bytes_max) {
        uint64_t bytes = 0;
        int r;

        for (unsigned i = 0; i < lease->mappings.n; i++) {
                r = user_charge_memory(user, lease->mappings.items[i].size, max, bytes_max);
                if (r != 0) {
                        user_discharge_memory(user, i, bytes);
                        return r;
                }
                bytes += lease->mappings.items[i].size;
        }

        return 0;
}

void lease_clear_mappings(Lease *lease) {
        if (lease->mappings.n > 0)
                user_discharge_memory(lease->user, lease->mappings.n, lease->mappings.bytes);
        mappings_clear(&lease->mappings);
}

void lease_close_groups(Lease *lease) {
        for (unsigned i = 0; i < lease->n_groups; i++) {
                closep(&lease->group_fds[i]);
                lease->group_fds[i] = -EBADF;
        }
}

const char *lease_state_name(LeaseState state) {
        static const char *const names[_LEASE_STATE_MAX] = {
                [LEASE_PREPARING] = "preparing",
                [LEASE_ACTIVE] = "active",
                [LEASE_REVOKING] = "revoking",
                [LEASE_LINGERING] = "lingering",
                [LEASE_CLEANING] = "cleaning",
                [LEASE_FAILED] = "failed",
        };

        return names[state];
}

const char *lease_mode_name(LeaseMode mode) {
        static const char *const names[_LEASE_MODE_MAX] = {
                [LEASE_MODE_LEGACY] = "legacy",
                [LEASE_MODE_LEGACY_RAW] = "legacy-raw",
                [LEASE_MODE_MEDIATED] = "mediated",
        };

        return names[mode];
}

static const char *const bonds[_LEASE_BOND_MAX] = {
        [LEASE_BOND_LIFELINE] = "lifeline",
        [LEASE_BOND_BUS] = "bus",
        [LEASE_BOND_PIDFD] = "pidfd",
        [LEASE_BOND_UNIT] = "unit",
};

const char *lease_bond_name(LeaseBond bond) {
        return bonds[bond];
}

int lease_bond_from_name(const char *name, LeaseBond *ret) {
        for (size_t i = 0; i < _LEASE_BOND_MAX; i++)
                if (strcmp(bonds[i], name) == 0) {
                        *ret = (LeaseBond) i;
                        return 0;
                }

        return -EINVAL;
}

const char *lease_end_name(LeaseEnd end) {
        static const char *const names[_LEASE_END_MAX] = {
                [LEASE_END_NONE] = "",
                [LEASE_END_RELEASED] = "released",
                [LEASE_END_HOLDER_GONE] = "holder-gone",
                [LEASE_END_EXPIRED] = "expired",
                [LEASE_END_REVOKED] = "revoked",
                [LEASE_END_REMOVED] = "removed",
                [LEASE_END_FAILED] = "failed",
        };

        return names[end];
}

bool lease_is_noiommu(const Lease *lease) {
        for (unsigned i = 0; i < lease->n_groups; i++)
                if (lease->groups[i]->noiommu)
                        return true;

        return false;
}
