/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker world */

#include <check.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "broker-world.h"

Tree *tree;
sd_event *event;
Broker *broker;
Findings findings;
char seen[4096];

__attribute__((format(printf, 1, 2)))
static void note(const char *format, ...) {
        size_t n = strlen(seen);
        va_list ap;

        va_start(ap, format);
        vsnprintf(seen + n, sizeof(seen) - n, format, ap);
        va_end(ap);
}

static void on_device_new(const Device *device, void *userdata) {
        ck_assert_ptr_eq(userdata, seen);
        note("+%s ", device_id(device));
}

static void on_device_removed(const Device *device, void *userdata) {
        note("-%s ", device_id(device));
}

static void on_device_changed(const Device *device, void *userdata) {
        note("~%s ", device_id(device));
}

static void on_group_new(const Group *group, void *userdata) {
        note("+g%u ", group->number);
}

static void on_group_removed(const Group *group, void *userdata) {
        note("-g%u ", group->number);
}

static void on_group_changed(const Group *group, void *userdata) {
        note("~g%u ", group->number);
}

static void on_lease_new(const Lease *lease, void *userdata) {
        note("+lease ");
}

static void on_lease_changed(const Lease *lease, void *userdata) {
        note("~%s ", lease_state_name(lease->state));
}

static void on_lease_removed(const Lease *lease, void *userdata) {
        note("-lease:%s ", lease_end_name(lease->end));
}

static void on_n_leases_changed(unsigned n, void *userdata) {
        ck_assert_uint_eq(broker_leases(broker)->n, n);
        note("%u ", n);
}

static void on_lease_lost_device(const Lease *lease, const Device *device, const char *cause, void *userdata) {
        note("!%s:%s ", device_id(device), cause);
}

static const BrokerObserver observer = {
        .device_new = on_device_new,
        .device_removed = on_device_removed,
        .device_changed = on_device_changed,
        .group_new = on_group_new,
        .group_removed = on_group_removed,
        .group_changed = on_group_changed,
        .lease_new = on_lease_new,
        .lease_changed = on_lease_changed,
        .lease_removed = on_lease_removed,
        .n_leases_changed = on_n_leases_changed,
        .lease_lost_device = on_lease_lost_device,
};

void broker_world_begin(void) {
        Config config = { .leases_max = 10, .leases_per_user_max = 5, .devices_per_lease_max = 3 };
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        ck_assert_int_eq(broker_new(&broker, event, &config, tree_root(tree)), 0);
        ck_assert_int_eq(broker_start(broker), 0);
        broker_observe(broker, &observer, seen);
}

void broker_world_end(void) {
        findings_done(&findings);
        broker = broker_free(broker);
        tree = tree_free(tree);
        event = sd_event_unref(event);
}

Device *find(const char *id) {
        const Device *device = broker_find_device(broker, id);

        ck_assert_msg(device, "%s is not there", id);
        return (Device *) device;
}

Lease *lease_out(const char *id, uid_t uid) {
        User *user;
        Lease *lease;

        ck_assert_int_eq(user_get(&user, &broker->users, uid), 0);
        ck_assert_int_eq(user_charge(user, 100), 0);
        ck_assert_int_eq(lease_new(&lease, &broker->leases, user, 3, NULL), 0);
        lease_add_device(lease, find(id), NULL);
        lease_advance(lease, LEASE_ACTIVE);
        return lease;
}

void check_seen(const char *expected) {
        ck_assert_str_eq(seen, expected);
        seen[0] = '\0';
}
