/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 4: how long others wait while polkit thinks
 *
 * 64 Acquires wait for a polkit that is silent: 8 on each of 8 connections, since a connection may have 8 questions
 * open and a user 16. Pings and property reads then, against the same with nobody waiting, in turns.
 */

#include "bench.h"

#define ROUNDS      15
#define CALLS       21
#define CONNECTIONS 8
#define QUESTIONS   8 /* of each connection */

/* The bus lets only those in who have an entry in /etc/passwd; everybody has these. */
static const uid_t users[] = { OTHER, 2, 3, USER };

typedef struct Crowd {
        World *world;
        sd_bus *buses[CONNECTIONS];
        Pending pending[CONNECTIONS][QUESTIONS];
} Crowd;

static bool crowd_is_answered(Crowd *crowd) {
        bool answered = true;

        for (size_t i = 0; i < CONNECTIONS; i++) {
                while (sd_bus_process(crowd->buses[i], NULL) > 0)
                        ;
                for (size_t k = 0; k < QUESTIONS; k++)
                        answered = answered && crowd->pending[i][k].answered;
        }
        return answered;
}

static void crowd_begin(Crowd *crowd) {
        for (size_t i = 0; i < CONNECTIONS; i++)
                for (size_t k = 0; k < QUESTIONS; k++)
                        pending_start(&crowd->pending[i][k], crowd->buses[i], &(Request){ .wants = stage_address(0) });
        WAIT_FOR(crowd->world, polkit_waiting(crowd->world) == CONNECTIONS * QUESTIONS);
}

static void crowd_end(Crowd *crowd) {
        polkit_set(crowd->world, "AnswerWaiting", "s", "no");
        WAIT_FOR(crowd->world, crowd_is_answered(crowd));
        for (size_t i = 0; i < CONNECTIONS; i++)
                for (size_t k = 0; k < QUESTIONS; k++)
                        pending_end(&crowd->pending[i][k]);
}

static sd_bus_message *new_call(sd_bus *bus, bool ping) {
        const char *interface = ping ? "org.freedesktop.DBus.Peer" : "org.freedesktop.DBus.Properties";
        sd_bus_message *m;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, interface, ping ? "Ping" : "Get"), 0);
        if (!ping)
                ck_assert_int_ge(sd_bus_message_append(m, "ss", VFB_INTERFACE_MANAGER, "NLeases"), 0);
        return m;
}

static double measure(sd_bus *bus, bool ping) {
        double usec[CALLS];

        for (size_t i = 0; i < CALLS; i++)
                sd_bus_message_unref(timed_call(bus, new_call(bus, ping), &usec[i]));
        return median(usec, CALLS);
}

START_TEST(nobody_waits_for_those_who_wait_for_polkit) {
        Crowd crowd = { .world = stage_new(4) };
        double idle[2][ROUNDS], waiting[2][ROUNDS];
        pid_t daemon = program_start(crowd.world, PROGRAM_DAEMON_NO_VFIO, UNDER_NOTHING, NULL);

        for (size_t i = 0; i < CONNECTIONS; i++)
                crowd.buses[i] = world_connect(crowd.world, users[i / 2]);
        polkit_set(crowd.world, "SetAnswer", "s", "silent");

        for (size_t round = 0; round < ROUNDS; round++) {
                for (int ping = 0; ping < 2; ping++)
                        idle[ping][round] = measure(crowd.world->bus, ping);
                crowd_begin(&crowd);
                for (int ping = 0; ping < 2; ping++)
                        waiting[ping][round] = measure(crowd.world->bus, ping);
                ck_assert_uint_eq(polkit_waiting(crowd.world), CONNECTIONS * QUESTIONS);
                crowd_end(&crowd);
        }

        row_print(&(Row){ .name = "4 Ping while 64 wait / Ping", .measured = median_ratio(waiting[1], idle[1], ROUNDS),
                          .goal = 8, .bound = 8, .stand_in = "4" });
        row_print(&(Row){ .name = "4 NLeases while 64 wait / NLeases", .measured = median_ratio(waiting[0], idle[0], ROUNDS),
                          .goal = 8, .bound = 8, .stand_in = "4" });

        for (size_t i = 0; i < CONNECTIONS; i++)
                sd_bus_flush_close_unref(crowd.buses[i]);
        program_stop(crowd.world, daemon);
        world_stop(crowd.world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("waiting", (const TTest *const[]){ nobody_waits_for_those_who_wait_for_polkit }, 1, true);
}
