/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 7: what is told of all devices, in bytes and time
 *
 * The worst that there can be: all devices are in one group and on host drivers, so that each stands in the way of all the
 * others. The bus throws out who sends a message of more than 32 MiB.
 */

#include <stdio.h>
#include <string.h>

#include "bench.h"

#define ROUNDS 5
#define FEW    128
#define MANY   4096
#define TOO_MANY 8193
#define MESSAGE_MAX (32 * 1024 * 1024)

static size_t align(size_t size, size_t to) {
        return (size + to - 1) / to * to;
}

/* What the values up to the end of a container take in a message that has @size bytes before them. */
static size_t wire_size(sd_bus_message *m, size_t size) {
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
                const char *text;
                uint64_t value;

                if (strchr("sog", type)) {
                        ck_assert_int_gt(sd_bus_message_read_basic(m, type, &text), 0);
                        size = (type == 'g' ? size + 1 : align(size, 4) + 4) + strlen(text) + 1;
                } else if (!strchr("avre", type)) {
                        size_t width = strchr("xtd", type) ? 8 : strchr("nq", type) ? 2 : type == 'y' ? 1 : 4;

                        ck_assert_int_gt(sd_bus_message_read_basic(m, type, &value), 0);
                        size = align(size, width) + width;
                } else {
                        if (type == 'a')
                                size = align(size, 4) + 4;
                        if (type == 'v')
                                size += strlen(contents) + 2;
                        if (strchr("re", type) || (type == 'a' && strchr("({xtd", contents[0])))
                                size = align(size, 8);
                        ck_assert_int_gt(sd_bus_message_enter_container(m, type, contents), 0);
                        size = wire_size(m, size);
                        ck_assert_int_ge(sd_bus_message_exit_container(m), 0);
                }
        }
        ck_assert_int_eq(r, 0);
        return size;
}

typedef struct Answer {
        size_t size;
        double usec;
} Answer;

static void measure(sd_bus *bus, const char *interface, const char *method, Answer *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        double usec[ROUNDS];

        for (size_t i = 0; i < ROUNDS; i++) {
                sd_bus_message *m;

                ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, interface, method), 0);
                if (strcmp(method, "ListDevices") == 0)
                        ck_assert_int_ge(sd_bus_message_append(m, "a{sv}t", 0, UINT64_C(0)), 0);
                sd_bus_message_unref(reply);
                reply = timed_call(bus, m, &usec[i]);
        }
        ret->usec = median(usec, ROUNDS);
        ret->size = wire_size(reply, 0);
}

typedef struct Answers {
        Answer objects, devices, groups;
} Answers;

static void measure_all(unsigned n, bool in_one_group, Answers *ret) {
        World *world = in_one_group ? stage_new_in_one_group(n) : stage_new(n);

        world->daemon_pid = program_start(world, PROGRAM_DAEMON, UNDER_NOTHING, NULL);
        measure(world->bus, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &ret->objects);
        measure(world->bus, VFB_INTERFACE_MANAGER, "ListDevices", &ret->devices);
        measure(world->bus, VFB_INTERFACE_MANAGER, "ListGroups", &ret->groups);
        printf("%u devices, %s: GetManagedObjects %zu bytes, %.1f ms; ListDevices %zu bytes, %.1f ms; ListGroups %zu bytes, %.1f ms\n", n,
               in_one_group ? "in one group" : "each in its own",
               ret->objects.size, ret->objects.usec / 1000, ret->devices.size, ret->devices.usec / 1000, ret->groups.size,
               ret->groups.usec / 1000);
        program_stop(world, TAKE(world->daemon_pid, 0));
        world_stop(world);
}

START_TEST(group_of_thousands_fits_in_a_message) {
        Answers apart, few, many;

        measure_all(MANY, /* in_one_group= */ false, &apart);
        measure_all(FEW, /* in_one_group= */ true, &few);
        measure_all(MANY, /* in_one_group= */ true, &many);
        row_print(&(Row){ .name = "7 bytes a device of GetManagedObjects, each in its own group", .measured = (double) apart.objects.size / MANY,
                          .goal = MESSAGE_MAX / MANY, .bound = MESSAGE_MAX / MANY, .stand_in = "-" });
        row_print(&(Row){ .name = "7 bytes a device of GetManagedObjects, 4096 in one group", .measured = (double) many.objects.size / MANY,
                          .goal = MESSAGE_MAX / MANY, .bound = MESSAGE_MAX / MANY, .stand_in = "-" });
        row_print(&(Row){ .name = "7 the same with 4096 / with 128", .measured = (double) many.objects.size / MANY / ((double) few.objects.size / FEW),
                          .goal = 1.02, .bound = 1.02, .stand_in = "1" });
        row_print(&(Row){ .name = "7 bytes a device of ListDevices", .measured = (double) many.devices.size / MANY, .stand_in = "-" });
        row_print(&(Row){ .name = "7 time of ListDevices / GetManagedObjects", .measured = apart.devices.usec / apart.objects.usec,
                          .goal = 0.2, .stand_in = "0.15" });
        row_print(&(Row){ .name = "7 the same, all in one group", .measured = many.devices.usec / many.objects.usec,
                          .stand_in = "0.15" });
        row_print(&(Row){ .name = "7 time a device of GetManagedObjects, 4096 / 128",
                          .measured = many.objects.usec / MANY / (few.objects.usec / FEW), .stand_in = "1" });
        rows_check();
}
END_TEST

/* One more than are told of at once */
START_TEST(more_than_fit_are_refused_and_all_else_goes_on) {
        World *world = stage_new(TOO_MANY);
        Answer answer;

        world->daemon_pid = program_start(world, PROGRAM_DAEMON, UNDER_NOTHING, NULL);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""),
                         "!org.freedesktop.DBus.Error.LimitsExceeded");
        measure(world->bus, VFB_INTERFACE_MANAGER, "ListDevices", &answer);
        printf("%d devices: ListDevices %zu bytes\n", TOO_MANY, answer.size);
        ck_assert_uint_gt(answer.size, TOO_MANY * strlen(stage_address(0)));
        ck_assert_str_eq(ask_property(world->bus, device_path(stage_address(TOO_MANY - 1)), VFB_INTERFACE_DEVICE, "Availability"), "available");
        program_stop(world, TAKE(world->daemon_pid, 0));
        world_stop(world);
}
END_TEST

int main(void) {
        return bench_run("objects", (const TTest *const[]){ group_of_thousands_fits_in_a_message, more_than_fit_are_refused_and_all_else_goes_on },
                         2, false);
}
