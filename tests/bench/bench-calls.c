/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 1: what an Acquire by a user takes, counted
 *
 * Bus messages as a monitor sees them, and system calls of the daemon, from the one that brings the call to the one
 * that sends the reply. The job's child is counted for itself: VFIO's part is there.
 */

#include <stdio.h>

#include "bench.h"
#include "trace.h"

#define GOAL_MESSAGES 2
#define GOAL_CALLS    20

/* What the daemon sends: questions before its reply, signals behind it */
typedef struct Messages {
        const char *daemon; /* its unique name */
        uint64_t cookie;    /* the call's */
        bool called, replied;
        unsigned asked, sent_later;
        char text[2048];
} Messages;

static void messages_add(Messages *messages, const char *word, const char *what) {
        size_t size = strlen(messages->text);

        snprintf(messages->text + size, sizeof(messages->text) - size, " %s:%s", word, what);
}

static void messages_take(Messages *messages, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m), *sender = sd_bus_message_get_sender(m);
        uint64_t cookie;

        if (member && strcmp(member, "Acquire") == 0) {
                sd_bus_message_get_cookie(m, &messages->cookie);
                messages->called = true;
        } else if (messages->called && sender && strcmp(sender, messages->daemon) == 0) {
                if (messages->replied && member) {
                        messages->sent_later++;
                        messages_add(messages, "later", member);
                } else if (messages->replied) {
                        /* the answer to what we asked last */
                } else if (!member && sd_bus_message_get_reply_cookie(m, &cookie) >= 0 && cookie == messages->cookie) {
                        messages->replied = true;
                } else {
                        messages->asked++;
                        messages_add(messages, "before", member ? member : "reply");
                }
        }
}

static sd_bus *monitor_new(World *world) {
        sd_bus *bus = NULL;

        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_address(bus, world->address), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, true), 0);
        ck_assert_int_ge(sd_bus_set_monitor(bus, true), 0);
        ck_assert_int_ge(sd_bus_negotiate_fds(bus, true), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        ck_assert_int_ge(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring",
                                            "BecomeMonitor", NULL, NULL, "asu", 0, 0), 0);
        return bus;
}

/* True if the reply has been seen. A monitor's messages go to no handler. */
static bool messages_read(Messages *messages, sd_bus *monitor) {
        sd_bus_message *m;

        while (sd_bus_process(monitor, &m) > 0) {
                if (m)
                        messages_take(messages, m);
                sd_bus_message_unref(m);
        }
        return messages->replied;
}

static void print_count(const char *name, unsigned count, unsigned goal, const char *stand_in) {
        row_print(&(Row){ .name = name, .measured = count, .goal = goal, .bound = goal, .stand_in = stand_in });
}

static void measure_messages(World *world, sd_bus *user, bool first) {
        Messages messages = { .daemon = ask_at(world->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                               "GetNameOwner", "s", VFB_BUS_NAME) };
        sd_bus *monitor = monitor_new(world);
        Held held;

        timed_acquire(&held, user, 1, NULL);
        /* The bus hands out in order: when this has been answered, what the daemon sent before has been seen. */
        WAIT_FOR(world, messages_read(&messages, monitor) && count_children(world->daemon_pid) == 0);
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases");
        messages_read(&messages, monitor);
        print_count(first ? "1 messages before the reply, a connection's first Acquire" : "1 messages before the reply",
                    messages.asked, GOAL_MESSAGES, "2");
        row_print(&(Row){ .name = "1 messages after the reply", .measured = messages.sent_later, .stand_in = "0" });
        printf("   these are:%s\n", messages.text);
        sd_bus_flush_close_unref(monitor);
        held_end(world, &held, 0);
}

static void print_calls(const Trace *trace) {
        size_t call, reply, begin;
        char *text;

        call = trace_find(trace, trace->pid, 0, "Acquire");
        reply = trace_find(trace, trace->pid, call, "SCM_RIGHTS");
        while (reply < trace->n && strncmp(trace->lines[reply], "sendmsg", 7) != 0)
                reply = trace_find(trace, trace->pid, reply + 1, "SCM_RIGHTS");
        ck_assert_uint_lt(reply, trace->n);
        begin = trace_find_back(trace, trace->pid, call, "epoll_");
        ck_assert_uint_lt(begin, trace->n);

        print_count("1 system calls of the daemon, from the call to the reply", trace_count(trace, trace->pid, begin, reply + 1, ""),
                    GOAL_CALLS, "14, without a job");
        text = trace_summary(trace, trace->pid, begin, reply + 1);
        printf("   these are: %s\n", text);
        free(text);
        row_print(&(Row){ .name = "1 of these, to look at /sys", .measured = trace_count(trace, trace->pid, begin, reply + 1, "/sys"),
                          .stand_in = "0" });
        row_print(&(Row){ .name = "1 of these, to start the job",
                          .measured = trace_count(trace, trace->pid, trace_find(trace, trace->pid, begin, "socketpair("),
                                                  trace_find(trace, trace->pid, begin, "sendto(") + 1, ""),
                          .stand_in = "0" });
        row_print(&(Row){ .name = "1 system calls of the job's child", .measured = trace_count(trace, 0, begin, reply + 1, ""),
                          .stand_in = "none" });
        text = trace_summary(trace, 0, begin, reply + 1);
        printf("   these are: %s\n", text);
        free(text);
        row_print(&(Row){ .name = "1 system calls of the daemon after the reply", .measured = trace_count(trace, trace->pid, reply + 1, trace->n, ""),
                          .stand_in = "none" });
        for (size_t i = begin; getenv("BENCH_VERBOSE") && i < trace->n; i++)
                printf("%d %.160s\n", trace->pids[i], trace->lines[i]);
}

static void measure_calls(World *world, sd_bus *user) {
        Trace trace;
        Held held;

        trace_begin(&trace, world, world->daemon_pid);
        timed_acquire(&held, user, 1, NULL);
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
        trace_end(&trace, world);
        print_calls(&trace);
        trace_done(&trace);
        held_end(world, &held, 0);
}

START_TEST(acquire_takes_few_messages_and_system_calls) {
        World *world = stage_new(8);
        sd_bus *user = world_connect(world, USER);

        world->daemon_pid = program_start(world, PROGRAM_DAEMON_NO_VFIO, UNDER_NOTHING, NULL);
        measure_messages(world, user, true);
        measure_messages(world, user, false);
        measure_calls(world, user);

        sd_bus_flush_close_unref(user);
        program_stop(world, TAKE(world->daemon_pid, 0));
        world_stop(world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("calls", (const TTest *const[]){ acquire_takes_few_messages_and_system_calls }, 1, true);
}
