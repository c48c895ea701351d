/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What virtual functions that come at once cost the daemon, each: system calls, looks at /sys, folders, messages
 *
 * 8, 64 and 256 of them: made by somebody else, of which udev tells; gone the same way; and made by the broker, which
 * finds them when its job has ended. A function must not cost more for there being many.
 */

#include <stdio.h>

#include "bench.h"
#include "trace.h"

#define BRIDGE "0000:00:1c.0"
#define PF     "0000:40:00.0"
#define TOTAL  256

static const unsigned numbers[] = { 8, 64, TOTAL };
#define N_NUMBERS (sizeof(numbers) / sizeof(*numbers))

/* For one function */
typedef struct Cost {
        double calls, sys, folders, messages;
} Cost;

static const char *function_address(unsigned i) {
        static char address[32];
        unsigned place = i + 1;

        snprintf(address, sizeof(address), "0000:%02x:%02x.%u", 0x40 + place / 256, place / 8 % 32, place % 8);
        return address;
}

static void add_functions(World *world, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci){
                        .address = function_address(i),
                        .parent = BRIDGE,
                        .physfn = PF,
                        .class = 0x010802,
                        .vendor = 0x1b36,
                        .device = 0x0010,
                        .group = 1000 + (int) i,
                        .numa_node = -1,
                }), 0);
}

static void remove_functions(World *world, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_ge(tree_remove(world->tree, function_address(i)), 0);
}

static void tell(World *world, const char *action, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                udev_send(world, action, function_address(i));
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        unsigned *n = userdata;

        ++*n;
        return 0;
}

static void count_signals(World *world, const char *member, unsigned *n) {
        ck_assert_int_ge(sd_bus_match_signal(world->bus, NULL, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, member, on_signal, n), 0);
}

static World *start(void) {
        World *world = stage_new(8);

        ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci){ .address = BRIDGE, .driver = "pcieport", .class = 0x060400,
                                                               .group = 998, .numa_node = -1 }), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci){ .address = PF, .parent = BRIDGE, .driver = "nvme", .class = 0x010802,
                                                               .vendor = 0x1b36, .device = 0x0010, .group = 999, .numa_node = -1 }), 0);
        ck_assert_int_ge(tree_add_sriov(world->tree, PF, TOTAL), 0);
        world->daemon_pid = program_start(world, PROGRAM_DAEMON, UNDER_NOTHING, NULL);
        ask_property(world->bus, device_path(PF), VFB_INTERFACE_DEVICE, "Name"); /* the hardware database is opened once */
        return world;
}

static void count(World *world, Trace *trace, unsigned n, Cost *ret) {
        char *text;

        trace_end(trace, world);
        *ret = (Cost){
                .calls = (double) trace_count(trace, trace->pid, 0, trace->n, "") / n,
                .sys = (double) trace_count(trace, trace->pid, 0, trace->n, "/sys") / n,
                .folders = (double) trace_count(trace, trace->pid, 0, trace->n, "getdents") / n,
                .messages = (double) trace_count(trace, trace->pid, 0, trace->n, "sendmsg(") / n,
        };
        if (n == numbers[0]) {
                text = trace_summary(trace, trace->pid, 0, trace->n);
                printf("   these are: %s\n", text);
                free(text);
        }
        for (size_t i = 0; n == numbers[0] && getenv("BENCH_VERBOSE") && i < trace->n; i++)
                printf("%d %.160s\n", trace->pids[i], trace->lines[i]);
        trace_done(trace);
}

static void print_cost(const char *what, const char *which, unsigned n, double cost, double bound) {
        char name[160];

        snprintf(name, sizeof(name), "%s a function that %s, of %u", what, which, n);
        row_print(&(Row){ .name = name, .measured = cost, .goal = bound, .bound = bound, .stand_in = "none" });
}

/* @calls, @sys: the most that one function may take */
static void print_costs(const char *what, const Cost costs[N_NUMBERS], double calls, double sys) {
        char name[128];

        for (size_t i = 0; i < N_NUMBERS; i++) {
                print_cost("system calls", what, numbers[i], costs[i].calls, calls);
                print_cost("looks at /sys", what, numbers[i], costs[i].sys, sys);
                print_cost("messages", what, numbers[i], costs[i].messages, 5);
                print_cost("folders read", what, numbers[i], costs[i].folders, 16.0 / numbers[i]);
        }
        snprintf(name, sizeof(name), "system calls of one that %s, of %u / of %u", what, numbers[N_NUMBERS - 1], numbers[0]);
        row_print(&(Row){ .name = name, .measured = costs[N_NUMBERS - 1].calls / costs[0].calls, .goal = 1, .bound = 1.05, .stand_in = "none" });
}

static void measure(unsigned n, Cost *ret_told, Cost *ret_gone, Cost *ret_made) {
        unsigned n_new = 0, n_removed = 0;
        World *world = start();
        Trace trace;

        count_signals(world, "DeviceNew", &n_new);
        count_signals(world, "DeviceRemoved", &n_removed);

        add_functions(world, n);
        trace_begin(&trace, world, world->daemon_pid);
        tell(world, "add", n);
        WAIT_FOR(world, n_new == n);
        count(world, &trace, n, ret_told);

        remove_functions(world, n);
        trace_begin(&trace, world, world->daemon_pid);
        tell(world, "remove", n);
        WAIT_FOR(world, n_removed == n);
        count(world, &trace, n, ret_gone);

        /* The number is a file here, and they are there before the job says so. */
        add_functions(world, n);
        trace_begin(&trace, world, world->daemon_pid);
        ck_assert_int_eq(*ask(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", n, 0, UINT64_C(0)), '[');
        WAIT_FOR(world, n_new == 2 * n);
        count(world, &trace, n, ret_made);

        program_stop(world, TAKE(world->daemon_pid, 0));
        world_stop(world);
}

START_TEST(function_costs_the_same_among_many) {
        Cost told[N_NUMBERS], gone[N_NUMBERS], made[N_NUMBERS];

        for (size_t i = 0; i < N_NUMBERS; i++)
                measure(numbers[i], &told[i], &gone[i], &made[i]);
        print_costs("comes, told by udev", told, 50, 36);
        print_costs("goes, told by udev", gone, 16, 2);
        print_costs("the broker makes", made, 100, 70);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("storm", (const TTest *const[]){ function_costs_the_same_among_many }, 1, true);
}
