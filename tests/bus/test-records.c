/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records that are lost, torn, damaged, of another version or contradict each other: what the kernel confirms is kept. */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define SHARED "0000:06:0d.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .keep = true });
}

/* Whatever happened in between, in the end nothing is kept of it. */
static void end_world(void) {
        await_nothing_kept(world);
        world = world_stop(world);
}

/* The file of a lease's record, as the tree names it; to be freed. */
static char *record_of(const Grant *grant) {
        _cleanup_(freep) char *id = NULL;
        const char *text = ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Id");
        char *name;

        id = strdup(text);
        ck_assert_int_gt(asprintf(&name, "run/lease-%s", id), 0);
        return name;
}

static void damage_nothing(const char *path) {
        ck_assert_int_eq(unlink(path), 0);
}

static void damage_end(const char *path) {
        ck_assert_int_eq(truncate(path, 100), 0);
}

static void damage_byte(const char *path) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        char c;

        ck_assert_int_eq(pread(fd, &c, 1, 80), 1);
        c ^= 1;
        ck_assert_int_eq(pwrite(fd, &c, 1, 80), 1);
        close(fd);
}

static void damage_version(const char *path) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        ck_assert_int_eq(pwrite(fd, "9", 1, strlen("vfio-broker-state ")), 1);
        close(fd);
}

static void damage_all(const char *path) {
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        close(fd);
}

static void damage_kind(const char *path) {
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink("/etc/passwd", path), 0);
}

static void (*const damages[])(const char *) = { damage_nothing, damage_end,  damage_byte,
                                                 damage_version, damage_all, damage_kind };

START_TEST(group_that_no_record_explains_is_nobodys_before_the_kernel_says_so) {
        Grant *grant = must_acquire(world->bus, NVME);
        _cleanup_(freep) char *record = record_of(grant), *path = NULL;
        unsigned n;

        ck_assert_int_gt(asprintf(&path, "%s/%s", tree_root(world->tree), record), 0);
        world_end_daemon(world);
        damages[_i](path);
        world_start_daemon(world);

        ck_assert_uint_eq(daemon_logged(world, "is not used"), _i > 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Uid"), "4294967295");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        n = vfio_resets(world, NVME);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_eq(vfio_resets(world, NVME), n + 1);
        ck_assert_uint_eq(count_kept(world, "lease-"), 0);
}
END_TEST

START_TEST(one_group_has_one_lease_whatever_the_records_say) {
        Grant *grant = must_acquire(world->bus, NVME);
        _cleanup_(freep) char *name = record_of(grant), *record = world_read(world, name), *copy = NULL, *text = NULL;
        char *id;

        /* a record of the same group under another id is not sealed, and one that is does not fit its name */
        world_end_daemon(world);
        ck_assert_int_ge(tree_write(world->tree, "run/lease-l-zzzzzz", record), 0);
        copy = strdup(record);
        id = strstr(copy, "\"l-");
        ck_assert_ptr_nonnull(id);
        memcpy(id, "\"l-yyyyyy", 9);
        ck_assert_int_ge(tree_write(world->tree, "run/lease-l-yyyyyy", copy), 0);
        ck_assert_int_ge(tree_write(world->tree, "run/lease-l-xxxxxx.new", "torn"), 0);
        ck_assert_int_ge(tree_write(world->tree, "run/lifeline-l-xxxxxx", ""), 0);
        ck_assert_int_ge(tree_write(world->tree, "run/somebody elses", "file"), 0);
        world_start_daemon(world);

        ck_assert_uint_eq(daemon_logged(world, "is not used"), 2);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(count_kept(world, "l"), 2);
        text = world_read(world, "run/somebody elses");
        ck_assert_str_eq(text, "file");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(damaged_record_of_a_device_is_no_way_out_of_quarantine) {
        _cleanup_(freep) char *path = NULL;

        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "broken", UINT64_C(0)), "");
        ck_assert_int_gt(asprintf(&path, "%s/run/device-" NVME, tree_root(world->tree)), 0);
        for (unsigned i = 1; i < sizeof(damages) / sizeof(*damages); i++) {
                world_end_daemon(world);
                damages[i](path);
                world_start_daemon(world);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
                ck_assert_uint_eq(count_kept(world, "device-"), 1);
        }
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        ck_assert(is_free(world, NVME));
}
END_TEST

START_TEST(all_groups_of_a_lost_lease_are_nobodys) {
        Grant *grant = must_acquire(world->bus, NVME "," SHARED);
        _cleanup_(freep) char *record = record_of(grant), *path = NULL;

        ck_assert_int_gt(asprintf(&path, "%s/%s", tree_root(world->tree), record), 0);
        world_end_daemon(world);
        damage_end(path);
        for (int times = 0; times < 2; times++) {
                world_start_daemon(world);
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
                ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = SHARED }), REFUSED("Leased"));
                if (times == 0)
                        world_end_daemon(world);
        }
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME) && is_free(world, SHARED));
}
END_TEST

static void close_role(Grant *grant, const char *role) {
        GrantFd *fd = grant_find(grant, role);

        ck_assert_ptr_nonnull(fd);
        closep(&fd->fd);
        fd->fd = -EBADF;
}

/* Nobody knows any more that the holder has the group itself. */
START_TEST(lost_lease_is_not_over_while_its_holder_has_a_group) {
        Grant *grant = NULL;
        _cleanup_(freep) char *record = NULL, *path = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .mode = "legacy-raw" }), "");
        record = record_of(grant);
        ck_assert_int_gt(asprintf(&path, "%s/%s", tree_root(world->tree), record), 0);
        close_role(grant, "device:" NVME);
        close_role(grant, "container");
        world_end_daemon(world);
        damage_end(path);
        vfio_forget(world);
        world_start_daemon(world);
        WAIT_FOR(world, vfio_called(world, "group-14 open 16") >= 20);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        ck_assert_uint_eq(vfio_called(world, NVME " open"), 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(descriptors_without_names_do_not_cost_a_lease) {
        Grant *grant = must_acquire(world->bus, NVME);

        world->spec.keep_no_names = true;
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(lease_is_kept_in_the_first_of_two_directories) {
        Grant *grant = must_acquire(world->bus, NVME);

        world->spec.keep_list = true;
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(daemon_logged(world, "cannot be used"), 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

/* Nothing is kept from then on, but what was kept is not kept for ever. */
START_TEST(place_for_records_that_is_lost_leaves_no_group_taken) {
        Grant *grant = must_acquire(world->bus, NVME);

        world->spec.keep_no_state = true;
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
        WAIT_FOR(world, keeper_count(world->keeper, "") == 0);
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, is_free(world, NVME));
        world->spec.keep_no_state = false;
        world_crash_daemon(world);
}
END_TEST

/* The file that cannot be written stands for a file system that is full. */
START_TEST(claim_that_cannot_be_written_down_changes_nothing) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        sd_bus *other = world_connect(world, world_user());
        _cleanup_(freep) char *name = record_of(grant), *path = NULL;
        char token[64];

        ck_assert_int_gt(asprintf(&path, "%s/%s.new", tree_root(world->tree), name), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        snprintf(token, sizeof(token), "%s", ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "u", (uint32_t) world_user()));
        for (int i = 0; i < 2; i++) /* that the token is used up is the same as ever */
                ck_assert_str_eq(grant_claim(&claimed, other, token), i == 0 ? "!System.Error.EISDIR" : "!org.freedesktop.DBus.Error.AccessDenied");
        ck_assert_uint_eq(count_kept(world, "lifeline-"), 1);
        ck_assert_int_eq(rmdir(path), 0);

        /* The old holder's in every way, and in the eyes of the next daemon */
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), "");
        other = sd_bus_flush_close_unref(other);
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("records");
        TCase *tcase = suite_add_case(suite, "records", make_world, end_world);

        tcase_add_loop_test(tcase, group_that_no_record_explains_is_nobodys_before_the_kernel_says_so, 0,
                            sizeof(damages) / sizeof(*damages));
        tcase_add_test(tcase, all_groups_of_a_lost_lease_are_nobodys);
        tcase_add_test(tcase, lost_lease_is_not_over_while_its_holder_has_a_group);
        tcase_add_test(tcase, descriptors_without_names_do_not_cost_a_lease);
        tcase_add_test(tcase, lease_is_kept_in_the_first_of_two_directories);
        tcase_add_test(tcase, place_for_records_that_is_lost_leaves_no_group_taken);
        tcase_add_test(tcase, one_group_has_one_lease_whatever_the_records_say);
        tcase_add_test(tcase, damaged_record_of_a_device_is_no_way_out_of_quarantine);
        tcase_add_test(tcase, claim_that_cannot_be_written_down_changes_nothing);
        return suite_run(suite);
}
