/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/device.h"
#include "core/group.h"
#include "core/lease.h"
#include "core/record.h"
#include "suite.h"

#define TOKEN "12345678-9abc-def0-1234-56789abcdef0"

static DeviceList devices;
static GroupList groups;
static LeaseList leases;
static struct UserList users;
static Lease *lease;
static Device *first, *second;

static Device *make_device(const char *id, unsigned number) {
        DeviceFacts facts = { .driver = "vfio-pci", .vfio_driver = true, .reset_methods = "flr", .modalias = "pci:v00001234d000011E8", .instance = UINT64_C(0x700000123) };
        Device *device;
        Group *group;

        strcpy(facts.id, id);
        ck_assert_int_eq(device_new(&device, &devices, &facts), 0);
        ck_assert_int_eq(group_get(&group, &groups, number), 0);
        device_join(device, group);
        return device;
}

static void make_world(void) {
        User *user;

        TAILQ_INIT(&devices.queue);
        TAILQ_INIT(&groups.queue);
        TAILQ_INIT(&leases.queue);
        LIST_INIT(&users);
        first = make_device("0000:06:0d.0", 26);
        second = make_device("0000:03:00.0", 14);
        ck_assert_int_eq(user_get(&user, &users, 1000), 0);
        ck_assert_int_eq(user_charge(user, 1), 0);
        ck_assert_int_eq(lease_new(&lease, &leases, user, 3, NULL), 0);
        lease_add_device(lease, first, NULL);
        lease_add_device(lease, second, TOKEN);
        lease_advance(lease, LEASE_ACTIVE);
        lease->mode = LEASE_MODE_LEGACY_RAW;
        lease->pid = 4321;
        lease->sender = strdup(":1.42");
        lease->label = strdup("näme \"\\ \x01");
        lease->model = 3;
        lease->n_handed_out = 5;
        lease->reset = RESET_POLICY_REQUIRED;
        lease->one_time = true;
        lease->bond = LEASE_BOND_UNIT;
        lease->unit = strdup("a.service");
        lease->invocation = strdup("0123");
        lease->duration_usec = 60000000;
        lease->until_usec = 123456789;
        ck_assert_int_eq(lease_add_mapping(lease, UINT64_C(0xfffffffffffff000), 0x1000, 2, 0x3000), 0);
        ck_assert_int_eq(lease_add_mapping(lease, 0, 0x2000, 2, 0x3000), 0);
}

static void end_world(void) {
        lease_free(lease);
        device_free(first);
        device_free(second);
        while (!TAILQ_EMPTY(&groups.queue))
                group_free(TAILQ_FIRST(&groups.queue));
}

/* To be freed */
static char *text_of_lease(void) {
        char *text;

        ck_assert_int_eq(record_of_lease(lease, &text), 0);
        return text;
}

START_TEST(a_lease_is_read_as_it_was_written) {
        char *text = text_of_lease();
        LeaseRecord record;

        ck_assert_int_eq(record_read_lease(text, &record), 0);
        ck_assert_str_eq(record.id, lease->id);
        ck_assert_int_eq(record.state, LEASE_ACTIVE);
        ck_assert_int_eq(record.mode, LEASE_MODE_LEGACY_RAW);
        ck_assert_int_eq(record.end, LEASE_END_NONE);
        ck_assert_uint_eq(record.uid, 1000);
        ck_assert_int_eq(record.pid, 4321);
        ck_assert_str_eq(record.sender, ":1.42");
        ck_assert_str_eq(record.label, lease->label);
        ck_assert_uint_eq(record.created_usec, lease->created_usec);
        ck_assert_uint_eq(record.model, 3);
        ck_assert_uint_eq(record.n_handed_out, 5);
        ck_assert_uint_eq(record.n_devices, 2);
        ck_assert_str_eq(record.devices[0].id, "0000:06:0d.0");
        ck_assert_str_eq(record.devices[0].token, "");
        ck_assert_uint_eq(record.devices[0].group, 26);
        ck_assert(!record.devices[0].gone);
        ck_assert_str_eq(record.devices[1].token, TOKEN);
        ck_assert_uint_eq(record.devices[1].group, 14);
        ck_assert_int_eq(record.reset, RESET_POLICY_REQUIRED);
        ck_assert(record.one_time);
        ck_assert_int_eq(record.bond, LEASE_BOND_UNIT);
        ck_assert_str_eq(record.unit, "a.service");
        ck_assert_str_eq(record.invocation, "0123");
        ck_assert_uint_eq(record.duration_usec, 60000000);
        ck_assert_uint_eq(record.until_usec, 123456789);
        ck_assert_uint_eq(record.n_mappings, 2);
        ck_assert_uint_eq(record.mappings[0].iova, 0);
        ck_assert_uint_eq(record.mappings[0].size, 0x2000);
        ck_assert_uint_eq(record.mappings[1].iova, UINT64_C(0xfffffffffffff000));
        lease_record_done(&record);
        free(text);
}
END_TEST

START_TEST(a_revocation_is_kept_with_what_was_done) {
        LeaseRecord record;
        char *text;

        ck_assert_int_eq(revocation_new(&lease->revocation, "wärtung"), 0);
        ck_assert_int_eq(revocation_add_step(lease->revocation, "asked: the holder has 1 s"), 0);
        ck_assert_int_eq(revocation_add_step(lease->revocation, "deadline: somebody still has it"), 0);
        lease->revocation->until_usec = 77;
        lease->revocation->stage = REVOCATION_KILL;
        lease_advance(lease, LEASE_REVOKING);
        text = text_of_lease();
        ck_assert_int_eq(record_read_lease(text, &record), 0);
        ck_assert_int_eq(record.state, LEASE_REVOKING);
        ck_assert_ptr_nonnull(record.revocation);
        ck_assert_str_eq(record.revocation->reason, "wärtung");
        ck_assert_uint_eq(record.revocation->until_usec, 77);
        ck_assert_uint_eq(record.revocation->n_steps, 2);
        ck_assert_str_eq(record.revocation->steps[1], "deadline: somebody still has it");
        ck_assert_int_eq(record.revocation->stage, REVOCATION_ASKED); /* force begins anew */
        lease_record_done(&record);

        /* one that makes no sense makes no lease */
        memcpy(strstr(text, "\"until\":77"), "\"until\":-7", strlen("\"until\":-7"));
        ck_assert_int_eq(record_read_lease(text, &record), -EBADMSG);
        memcpy(strstr(text, "\"until\":-7"), "\"untie\":77", strlen("\"untie\":77"));
        ck_assert_int_eq(record_read_lease(text, &record), -EBADMSG);
        free(text);
}
END_TEST

START_TEST(every_state_end_and_loss_comes_back) {
        LeaseRecord record;

        ck_assert_int_eq(lease_drop_device(lease, first), 0);
        for (int state = 0; state < _LEASE_STATE_MAX; state++)
                for (int end = 0; end < _LEASE_END_MAX; end++) {
                        char *text;

                        lease->state = (LeaseState) state;
                        lease->end = (LeaseEnd) end;
                        text = text_of_lease();
                        ck_assert_int_eq(record_read_lease(text, &record), 0);
                        ck_assert_int_eq(record.state, state);
                        ck_assert_int_eq(record.end, end);
                        ck_assert(record.devices[0].gone && !record.devices[1].gone);
                        lease_record_done(&record);
                        free(text);
                }
}
END_TEST

/* Replaces @what by @by in a good record. */
static const struct {
        const char *what, *by;
} spoils[] = {
        { "{\"id\":\"l-", "{\"id\":\"x-" },
        { "{\"id\":\"l-", "{\"id\":\"../../l-" },
        { "\"state\":\"active\"", "\"state\":\"asleep\"" },
        { "\"state\":\"active\"", "\"state\":1" },
        { "\"mode\":\"legacy-raw\"", "\"mode\":\"raw\"" },
        { "\"end\":\"\"", "\"end\":null" },
        { "\"uid\":1000", "\"uid\":-1" },
        { "\"uid\":1000", "\"uid\":4294967296" },
        { "\"uid\":1000", "\"uid\":\"root\"" },
        { "\"pid\":4321", "\"pid\":99999999999" },
        { "\"sender\":\":1.42\"", "\"sender\":[]" },
        { "\"sender\":\":1.42\"", "\"sender\":\"\\u0000\"" },
        { "\"handed-out\":5", "\"handed-out\":100000" },
        { "\"bound-to\":\"unit\"", "\"bound-to\":\"hope\"" },
        { "\"unit\":\"a.service\"", "\"unit\":0" },
        { "\"until\":123456789", "\"until\":-1" },
        { "\"duration\":60000000", "\"dur\":60000000" },
        { "\"size\":4096", "\"size\":4097" }, /* beyond the last address */
        { "\"size\":8192", "\"size\":0" },
        { "\"mappings\":[", "\"mappings\":[1," },
        { "\"model\":3", "\"mod\":3" },
        { "\"devices\":[", "\"devices\":[[]," },
        { "\"devices\":[", "\"devs\":[" },
        { "\"group\":26", "\"group\":-26" },
        { "0000:06:0d.0", "0000:03:00.0" }, /* one twice */
        { "0000:06:0d.0", "../0000:06:0d.0" },
        { "0000:06:0d.0", "" },
        { "0000:06:0d.0", "0000:06:0d.000000000000000000000000000000000000000000000000000000000000" },
        { "}]}", "}]" },
};

START_TEST(what_this_program_could_not_have_written_is_not_believed) {
        char *text = text_of_lease(), *at = strstr(text, spoils[_i].what), *spoiled;
        LeaseRecord record;

        ck_assert_ptr_nonnull(at);
        ck_assert_int_gt(asprintf(&spoiled, "%.*s%s%s", (int) (at - text), text, spoils[_i].by, at + strlen(spoils[_i].what)), 0);
        ck_assert_msg(record_read_lease(spoiled, &record) == -EBADMSG, "%s", spoiled);
        free(spoiled);
        free(text);
}
END_TEST

START_TEST(what_a_later_version_adds_is_passed_over) {
        char *text = text_of_lease(), *more;
        LeaseRecord record;

        ck_assert_int_gt(asprintf(&more, "{\"colour\":{\"red\":[1,2]},%s", text + 1), 0);
        ck_assert_int_eq(record_read_lease(more, &record), 0);
        ck_assert_str_eq(record.id, lease->id);
        lease_record_done(&record);
        free(more);
        free(text);
}
END_TEST

START_TEST(of_a_device_that_is_as_it_should_be_there_is_nothing_to_keep) {
        char *text = (char *) "";

        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_ptr_null(text);
}
END_TEST

/* With a host driver the serial number can be read again. */
START_TEST(a_serial_is_kept_as_long_as_nobody_could_read_it_again) {
        static const char *const wrong[] = {
                "{\"serial\":1}", "{\"serial\":{}}", "{\"serial\":{\"text\":\"a b\",\"instance\":1}}", "{\"serial\":{\"text\":\"\",\"instance\":1}}",
                "{\"serial\":{\"text\":\"a\"}}", "{\"serial\":{\"text\":\"a\",\"instance\":\"1\"}}", "{\"serial\":{\"text\":\"a\\u0000b\",\"instance\":1}}",
                "{\"serial\":{\"text\":\"0123456789012345678901234567890123456789012345678901234567890123456789\",\"instance\":1}}",
        };
        DeviceRecord record;
        char *text;

        strcpy(first->names.serial, "52:54:00:12:34:56");
        first->facts.instance = UINT64_C(1) << 40;
        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_int_eq(record_read_device(text, &record), 0);
        ck_assert_str_eq(record.serial.text, "52:54:00:12:34:56");
        ck_assert_uint_eq(record.serial.instance, UINT64_C(1) << 40);
        free(text);

        /* It is of that device and no other. */
        serial_give_back(&record.serial, second);
        ck_assert_str_eq(second->names.serial, "");
        second->facts.instance = UINT64_C(1) << 40;
        serial_give_back(&record.serial, second);
        ck_assert_str_eq(second->names.serial, "52:54:00:12:34:56");

        first->facts.vfio_driver = false;
        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_ptr_null(text);

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_msg(record_read_device(wrong[i], &record) == -EBADMSG, "%s", wrong[i]);
}
END_TEST

START_TEST(a_device_is_read_as_it_was_written) {
        DeviceRecord record;
        char *text;

        ck_assert_int_eq(device_set_quarantine(first, "bröken \"x\""), 0);
        device_note_reset(first, true);
        device_note_bus_reset(first, 2);
        first->unclean = true;
        first->hooks_due = true;
        first->last_uid = (uid_t) -1;
        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_int_eq(record_read_device(text, &record), 0);
        ck_assert_str_eq(record.modalias, "pci:v00001234d000011E8");
        ck_assert_uint_eq(record.instance, UINT64_C(0x700000123));
        ck_assert_str_eq(record.quarantine, "bröken \"x\"");
        ck_assert(record.unclean && record.reset_works && !record.reset_fails && record.bus_works && record.hooks_due);
        ck_assert_uint_eq(record.last_uid, (uid_t) -1);
        ck_assert_str_eq(record.bus_reset, "bus (scope: 2 devices)");
        device_record_done(&record);
        free(text);

        first->hooks_due = false;
        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_int_eq(record_read_device(text, &record), 0);
        ck_assert(!record.hooks_due);
        device_record_done(&record);
        free(text);

        ck_assert_int_eq(record_read_device("{\"unclean\":true}", &record), -EBADMSG); /* whose? */
        ck_assert_int_eq(record_read_device("{\"quarantine\":1}", &record), -EBADMSG);
        ck_assert_int_eq(record_read_device("[]", &record), -EBADMSG);
}
END_TEST

static const struct {
        const char *what, *by;
} origin_spoils[] = {
        { "\"driver\":\"e1000\"", "\"driver\":\"../e1000\"" },
        { "\"driver\":\"e1000\"", "\"driver\":\"..\"" },
        { "\"driver\":\"e1000\"", "\"driver\":1" },
        { "\"wanted\":\"vfio-pci\"", "\"wanted\":\"\"" },
        { "\"wanted\":\"vfio-pci\"", "\"wanted\":\"a/b\"" },
        { "\"step\":\"restoring\"", "\"step\":\"resting\"" },
        { "\"override\":\"a b\"", "\"over\":\"a b\"" },
        { "\"lease\":\"l-abc\"", "\"lease\":\"x\"" },
        { "\"restore\":\"keep\"", "\"restore\":\"perhaps\"" },
        { "\"restore\":\"keep\"", "\"re\":\"keep\"" },
        { "\"origin\":{", "\"origin\":1,\"or\":{" },
};

static const struct {
        const char *what, *by;
} functions_spoils[] = {
        { "\"count\":3", "\"count\":-1" },
        { "\"count\":3", "\"count\":65536" },
        { "\"count\":3", "\"count\":4294967299" },
        { "\"count\":3", "\"count\":\"3\"" },
        { "\"count\":3", "\"number\":3" },
        { "\"autoprobe\":0", "\"autoprobe\":2" },
        { "\"autoprobe\":0", "\"autoprobe\":-2" },
        { "\"functions\":{", "\"functions\":3,\"f\":{" },
        { "\"functions\":{", "\"f\":{" }, /* without a driver it would be the origin of nothing */
        { "\"set\":{", "\"set\":[],\"s\":{" },
};

static void check_origin(const Origin *origin, const void *table, size_t n) {
        const struct {
                const char *what, *by;
        } *each = table;
        DeviceRecord record;
        char *text;

        first->origin = calloc(1, sizeof(*first->origin));
        *first->origin = *origin;
        ck_assert_int_eq(record_of_device(first, &text), 0);
        ck_assert_int_eq(record_read_device(text, &record), 0);
        ck_assert(record.has_origin);
        ck_assert_mem_eq(&record.origin, first->origin, sizeof(record.origin));
        device_record_done(&record);

        for (size_t i = 0; i < n; i++) {
                char *at = strstr(text, each[i].what), *spoiled;

                ck_assert_msg(at != NULL, "%s in %s", each[i].what, text);
                ck_assert_int_gt(asprintf(&spoiled, "%.*s%s%s", (int) (at - text), text, each[i].by,
                                          at + strlen(each[i].what)), 0);
                ck_assert_msg(record_read_device(spoiled, &record) == -EBADMSG, "%s", spoiled);
                free(spoiled);
        }
        free(text);
}

/* What the device was before its driver, or the number of its virtual functions, was changed */
START_TEST(an_origin_is_read_as_it_was_written_or_not_at_all) {
        static const Origin bound = { "e1000", "a b", "auto", "vfio-pci", ORIGIN_RESTORING, "l-abc", ORIGIN_KEEP, { 0 }, { 0 } };
        static const Origin set = { .driver = "nvme", .step = ORIGIN_SETTING, .functions = { 1, 3, 0 }, .set = { 1, 64, -1 } };

        check_origin(&bound, origin_spoils, sizeof(origin_spoils) / sizeof(*origin_spoils));
        free(TAKE_PTR(first->origin));
        check_origin(&set, functions_spoils, sizeof(functions_spoils) / sizeof(*functions_spoils));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("record");
        TCase *tcase = suite_add_case(suite, "record", make_world, end_world);

        tcase_add_test(tcase, a_lease_is_read_as_it_was_written);
        tcase_add_test(tcase, a_revocation_is_kept_with_what_was_done);
        tcase_add_test(tcase, every_state_end_and_loss_comes_back);
        tcase_add_loop_test(tcase, what_this_program_could_not_have_written_is_not_believed, 0,
                            sizeof(spoils) / sizeof(*spoils));
        tcase_add_test(tcase, what_a_later_version_adds_is_passed_over);
        tcase_add_test(tcase, of_a_device_that_is_as_it_should_be_there_is_nothing_to_keep);
        tcase_add_test(tcase, a_serial_is_kept_as_long_as_nobody_could_read_it_again);
        tcase_add_test(tcase, a_device_is_read_as_it_was_written);
        tcase_add_test(tcase, an_origin_is_read_as_it_was_written_or_not_at_all);
        return suite_run(suite);
}
