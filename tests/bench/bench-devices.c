/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 8: what a device and a uevent cost, in system calls
 *
 * A device: the daemon starts on a tree of N and on one of 2 N devices; what it does more, by N. A uevent: what
 * it does between two waits, after udev has spoken of a device.
 */

#include <stdio.h>

#include "bench.h"
#include "trace.h"

#define N 200

typedef struct Counts {
        unsigned all, identity, attributes, directories;
} Counts;

static bool has_ended(const char *trace, pid_t pid) {
        char end[64];

        snprintf(end, sizeof(end), "%-5d +++ exited", pid);
        return strstr(trace, end) != NULL;
}

static bool strace_has_ended(World *world, pid_t pid) {
        _cleanup_(freep) char *text = world_read(world, "trace");

        return has_ended(text, pid);
}

static void count_start(unsigned n_devices, Counts *ret) {
        World *world = stage_new(n_devices);
        pid_t pid = program_start(world, PROGRAM_DAEMON, UNDER_STRACE, NULL);
        Trace trace;

        program_stop(world, pid);
        WAIT_FOR(world, strace_has_ended(world, pid));
        trace_read(&trace, world, pid);
        *ret = (Counts){
                .all = trace_count(&trace, pid, 0, trace.n, ""),
                .identity = trace_count(&trace, pid, 0, trace.n, "/uevent") + trace_count(&trace, pid, 0, trace.n, "/iommu_group\"") +
                            trace_count(&trace, pid, 0, trace.n, "/vfio-dev\""),
                .attributes = trace_count(&trace, pid, 0, trace.n, "/sys/devices/") + trace_count(&trace, pid, 0, trace.n, "/iommu_group\"") +
                              trace_count(&trace, pid, 0, trace.n, "/vfio-dev\""),
                .directories = trace_count(&trace, pid, 0, trace.n, "getdents"),
        };
        trace_done(&trace);
        world_stop(world);
}

START_TEST(device_costs_few_system_calls) {
        Counts one, two;

        count_start(N, &one);
        count_start(2 * N, &two);
        row_print(&(Row){ .name = "8 system calls a device, for its identity", .measured = (double) (two.identity - one.identity) / N,
                          .goal = 5, .bound = 5, .stand_in = "4; sd-device 82 in all" });
        row_print(&(Row){ .name = "8 system calls a device, in full", .measured = (double) (two.attributes - one.attributes) / N,
                          .goal = 14, .bound = 14, .stand_in = "13" });
        row_print(&(Row){ .name = "8 system calls a device, with memory and directories", .measured = (double) (two.all - one.all) / N,
                          .goal = 14, .bound = 14.5, .stand_in = "13" });
        rows_check();
}
END_TEST

/* The last wait before the daemon hears of it, and the next one after */
static void print_uevent(const Trace *trace, const char *name, const char *address) {
        size_t first = trace_find(trace, trace->pid, 0, address), begin, end, last;
        char row[128], *text;

        ck_assert_uint_lt(first, trace->n);
        begin = trace_find_back(trace, trace->pid, first, "epoll_wait");
        end = trace_find(trace, trace->pid, first, "epoll_wait");
        last = trace_find(trace, trace->pid, first, "/uevent");
        ck_assert_uint_lt(begin, first);
        ck_assert_uint_lt(last, end);
        ck_assert_uint_lt(end, trace->n);

        snprintf(row, sizeof(row), "8 system calls for a uevent, %s", name);
        row_print(&(Row){ .name = row, .measured = trace_count(trace, trace->pid, last, end, "/sys"),
                          .goal = 6, .bound = 6, .stand_in = "4" });
        text = trace_summary(trace, trace->pid, begin, end);
        printf("   with the monitor's own: %s\n", text);
        free(text);
        snprintf(row, sizeof(row), "8 directories read for a uevent, %s", name);
        row_print(&(Row){ .name = row, .measured = trace_count(trace, trace->pid, begin, end, "getdents"),
                          .stand_in = "0" });
        ck_assert_uint_eq(trace_count(trace, trace->pid, begin, end, "getdents"), 0);
}

static void measure_uevent(World *world, const char *action) {
        Trace trace;

        trace_begin(&trace, world, world->daemon_pid);
        udev_send(world, action, stage_address(1));
        /* an answer that comes after it was looked at: the monitor is asked first */
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases");
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases");
        trace_end(&trace, world);
        print_uevent(&trace, action, stage_address(1));
        trace_done(&trace);
}

START_TEST(uevent_costs_few_system_calls) {
        World *world = stage_new(N);

        world->daemon_pid = program_start(world, PROGRAM_DAEMON, UNDER_NOTHING, NULL);
        measure_uevent(world, "change");
        measure_uevent(world, "bind");
        program_stop(world, TAKE(world->daemon_pid, 0));
        world_stop(world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("devices", (const TTest *const[]){ device_costs_few_system_calls, uevent_costs_few_system_calls }, 2, true);
}
