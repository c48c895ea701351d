/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command
 *
 * What the subcommands of vfio-broker share. Each subcommand is a function ctl_NAME() in a file of its
 * own that returns the exit status. Text that came from the bus may have been written by anybody (labels
 * are), so it reaches a terminal through say() or a table only: both defuse control characters.
 */

#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdbool.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "names.h"
#include "vfio-broker.h"

/* Exit status besides those of the table of errors. */
#define EXIT_USAGE 2

/* What a human may need to find a password. */
#define INTERACTIVE_TIMEOUT_USEC (10 * 60 * UINT64_C(1000000))

/* The command line. Strings are borrowed from argv. */
typedef struct Ctl {
        const char *command; /* its name; NULL as long as that is not read */
        bool json;
        bool json_wanted; /* the same before all options are read, for what is wrong with them */
        bool color;       /* of the standard output */
        bool full;        /* do not cut table cells off at the terminal's edge */
        bool interactive; /* polkit may ask */
        bool keep_lifeline;
        bool verbose;
        uint64_t grace_usec;   /* of revoke */
        const char *on_revoke; /* a command for sh, or NULL */
        const char *mode;
        const char *label;
        const char *reset;
        bool one_time;
        char *vf_token; /* ours */
        const char *reason;
        const char *driver;     /* VFIO driver */
        const char *restore;    /* after the lease */
        int near_cpu;           /* -1: wherever */
        const char *companions; /* as in the option of Bind and Acquire */
        const char *on_host_use; /* likewise */
        uint64_t duration_usec; /* 0: not said */
        const char *lifetime;   /* as in the option */
        const char *lease;      /* of log */
        uint64_t since_usec;    /* since the epoch; 0: not said */
        size_t n_lines;         /* 0: all */
        bool follow;
        const char *uid, *pid;  /* of offer: to whom */
        uint64_t timeout_usec;
        const char *token;      /* of claim */
        const char **devices; /* of -d */
        size_t n_devices;
} Ctl;

/* The inventory: each member is an object of objects. Keys are ids, and numbers for groups. */
typedef struct Inventory {
        json_object *devices;
        json_object *groups;
        json_object *leases;
} Inventory;

static inline void json_putp(json_object **object) {
        json_object_put(*object);
}

DEFINE_FREEP(vfb, vfb_free)
DEFINE_FREEP(vfb_error, vfb_error_free)
DEFINE_FREEP(vfb_lease, vfb_lease_free)
DEFINE_FREEP(vfb_request, vfb_request_free)

static inline void table_unrefp(struct libscols_table **table) {
        scols_unref_table(*table);
}

/* Subcommands. @args ends with NULL. */
int ctl_acquire(Ctl *ctl, char **args);
int ctl_bind(Ctl *ctl, char **args);
int ctl_claim(Ctl *ctl, char **args);
int ctl_explain(Ctl *ctl, char **args);
int ctl_leases(Ctl *ctl, char **args);
int ctl_list(Ctl *ctl, char **args);
int ctl_log(Ctl *ctl, char **args);
int ctl_monitor(Ctl *ctl, char **args);
int ctl_offer(Ctl *ctl, char **args);
int ctl_quarantine(Ctl *ctl, char **args);
int ctl_release(Ctl *ctl, char **args);
int ctl_renew(Ctl *ctl, char **args);
int ctl_pools(Ctl *ctl, char **args);
int ctl_restore(Ctl *ctl, char **args);
int ctl_revoke(Ctl *ctl, char **args);
int ctl_run(Ctl *ctl, char **args);
int ctl_show(Ctl *ctl, char **args);
int ctl_tree(Ctl *ctl, char **args);
int ctl_unquarantine(Ctl *ctl, char **args);
int ctl_vfs(Ctl *ctl, char **args);

/* ctl-output.c: text without control characters, in colour or not, objects as JSON, failures. */
bool output_has_colors(void);
int set_color(Ctl *ctl, const char *when); /* "auto", "always", "never"; -EINVAL */
void say(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_in_color(const Ctl *ctl, const char *sequence, const char *word);
void print_json(const Ctl *ctl, json_object *object);
void print_json_line(json_object *object);

/* "a b c" of words with NULL at the end. */
char *join_words(char **words);

/* Says what failed and what to do, and returns the exit status. @error may be NULL: then @r is all there is. */
int fail(const Ctl *ctl, int r, const vfb_error *error);

/* NULL for one that is of no use to who types a command: it is about methods and properties. */
const char *hint_for_people(const char *hint);

/* Likewise for what the call was like: exit status 2. */
int fail_usage(const Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * ctl-table.c. Names of columns, NULL at the end: one that begins with '>' is aligned to the right, the
 * first holds the tree if @tree, the last is cut off where the terminal is too narrow.
 */
int table_new(struct libscols_table **ret, const Ctl *ctl, bool tree, const char *const *columns);
int table_add(struct libscols_table *table, struct libscols_line *parent, const char *const *values,
              struct libscols_line **ret);

/* The lines; where there is none, @nothing on the standard error. */
int table_print(struct libscols_table *table, const char *nothing);

/* Colours the cell by what state its text names. */
void table_color_state(struct libscols_line *line, size_t column);

/* ctl-bus.c: calls on a connection of our own, and values as JSON. */
int bus_call(sd_bus *bus, sd_bus_message *m, uint64_t timeout_usec, const char *signature,
             sd_bus_message **ret_reply, vfb_error **ret_error);
int bus_manager_get(sd_bus *bus, const char *method, const char *argument, char **ret_path,
                    vfb_error **ret_error);
int bus_act(const Ctl *ctl, const char *getter, const char *object, const char *interface, const char *method,
            const char *text);
int bus_open(const Ctl *ctl, sd_bus **ret);

/* "device", "group" or "lease", with the id of the object at @path; NULL if it is none of these. */
const char *kind_of_path(const char *path, char **ret_id);

/* A number for groups, a string for all others. */
json_object *json_from_id(const char *kind, const char *id);

/* The next complete value of @m. Objects of ours become ids or numbers, "/" null. */
int json_from_bus(json_object **ret, sd_bus_message *m);

/* @value, which is taken, with members in place of its structs' positions if @property has such. */
json_object *json_name_structs(const char *property, json_object *value);

/* The properties at @m, "a{sv}", added to @object under the names that --json has for them. */
int json_add_properties(json_object *object, sd_bus_message *m);

/* Text of a member, "" if there is none. Borrowed. */
const char *json_text(json_object *object, const char *key);

/* How many items, 0 if it is no array. */
size_t json_length(json_object *array);

/* ctl-inventory.c */
int inventory_load(Inventory *ret, sd_bus *bus, vfb_error **ret_error);
void inventory_done(Inventory *inventory);

/* The members of @objects in the order of their keys, NULL at the end. Borrowed members, own array. */
json_object **objects_sorted(json_object *objects);

/* ctl-holders.c: adds the holders to the lease, null if they are not for us to see; and as text, an own string. */
int holders_load(const Ctl *ctl, sd_bus *bus, json_object *lease);
char *holders_text(json_object *lease);

/* ctl-request.c: what acquire, run and explain have in common. */
int request_new_from(vfb_request **ret, const Ctl *ctl, char **args);

/* A copy, to be freed, of what nobody may read in our arguments from here on. */
char *take_secret(char *argument);

/* Acquires, or claims with a token. Returns an exit status. */
int acquire_lease(const Ctl *ctl, vfb *connection, const vfb_request *request, vfb_lease **ret);

/* ctl-remind.c: says on a terminal, once and after a second, what it is that takes so long. */
void remind_begin(const char *text);
void remind_end(void);

/* ctl-hold.c */

/* The signals that end or concern what we hold come through the descriptor from now on. */
int hold_signals(int *ret_signal_fd);

/* Waits for the next signal and answers events meanwhile. The signal's number; 0 after events; or negative. */
int hold_wait(vfb *connection, int signal_fd, bool *ret_from_terminal);

/* ctl-agent.c: a text agent for polkit while the object lives, where nobody else would ask the user. */
pid_t agent_open(const Ctl *ctl);
void agent_close(pid_t *agent);

