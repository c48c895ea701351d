/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * World
 *
 * What a bus test lives in: a Tree, a dbus-daemon of its own, the fake polkit and the real daemon with the
 * fake VFIO preloaded, each a process. Made by a checked fixture, so every test has its own. Everything here
 * fails the test rather than return an error.
 *
 * The end of a world is a test too: the daemon's descriptors are back to what they were, SIGTERM
 * ends it with status 0, and no sanitizer had anything to say.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "ask.h"
#include "keeper.h"
#include "tree.h"
#include "vfio.h"

#define ROOT  0U
#define USER  65534U /* who most tests are; where they do not run as root, whoever runs them */
#define OTHER 1U

typedef struct WorldSpec {
        int (*build)(Tree *tree); /* NULL: tree_add_document */
        const char *config;
        bool no_polkit;
        bool no_daemon; /* for the fakes' own test */
        bool notify;    /* as systemd starts it: with a NOTIFY_SOCKET */
        bool keep;      /* and with a runtime directory ("run") and an fd store */
        bool keep_list;     /* the first of two such directories */
        bool keep_no_state; /* without any */
        bool keep_no_names; /* what is in the fd store comes without its names */
} WorldSpec;

typedef struct World {
        Tree *tree;
        sd_bus *bus; /* the user's connection; its signals are kept */
        pid_t bus_pid, polkit_pid, systemd_pid, daemon_pid;
        size_t n_fds; /* the daemon's, after its start */
        int notify_fd;
        Keeper *keeper;
        WorldSpec spec;
        char address[PATH_MAX];
        char *signals;
        size_t n_signals; /* their length */
} World;

void world_start(World **ret, const WorldSpec *spec);
World *world_stop(World *world);

/* Tests of several users and of uevents need it. */
bool world_is_root(void);
uid_t world_user(void);

/* A new connection as @uid, to be closed with sd_bus_flush_close_unref(). */
sd_bus *world_connect(World *world, uid_t uid);
/* Closes it, and returns when the daemon knows that who had it has gone. */
void world_leave(World *world, sd_bus *bus);

/* Lets the world's connection work for some milliseconds. */
void world_tick(World *world);
uint64_t world_now(void);

/* How long something may take that does come: far more than it needs, since the machine may be a busy one. */
#define PATIENCE (60 * UINT64_C(1000000))

/* What is left of it. A machine that stands still for a while, as virtual ones do, has not been waited for: whatever the
 * clock says, no two looks are more than a second apart. Begins with {}. */
typedef struct Patience {
        uint64_t seen, spent;
} Patience;

bool patience_lasts(Patience *patience);

/* Waits until @condition holds. What it asks counts once among the texts of ask(). */
#define WAIT_FOR(world, condition)                                                              \
        do {                                                                                    \
                Patience patience_ = {};                                                        \
                unsigned mark_ = ask_mark();                                                    \
                while (!(condition)) {                                                          \
                        ck_assert_msg(patience_lasts(&patience_), "Waited in vain for: %s", #condition); \
                        world_tick(world);                                                      \
                        ask_forget_since(mark_);                                                \
                }                                                                               \
        } while (0)

/* How many of the daemon's signals seen so far, as "PATH MEMBER ARGUMENTS", hold @what; and forget them. */
unsigned world_signals(World *world, const char *what);
void world_forget_signals(World *world);

void world_start_polkit(World *world);
void world_end_polkit(World *world);
void world_start_systemd(World *world);
void world_end_systemd(World *world);

/* A program, "sleep", that holds a copy of @fd and nothing else of the test's. */
pid_t world_spawn_holder(int fd);
/* A program that acquires as @uid and keeps what it got. Returns when it has, with the lease, to be freed. */
pid_t world_spawn_peer(World *world, uid_t uid, const char *wants, char **ret_lease);
/* Returns the status as waitpid() has it. */
int world_kill(pid_t pid, int signal);
/* SIGTERM; checks the end of the daemon but for its descriptors. */
void world_end_daemon(World *world);

/* Ends the daemon by SIGKILL, and starts the next one as the first was. */
void world_crash_daemon(World *world);
/* Starts it again after world_end_daemon(). */
void world_start_daemon(World *world);

/* A text file below the root, to be freed; "" if there is none. */
char *world_read(World *world, const char *name);
/* How many lines of @text hold @what. */
unsigned count_lines(const char *text, const char *what);
