/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sender */

#include <search.h>
#include <stddef.h>
#include <string.h>
#include <sys/queue.h>

#include "bus/dictionary.h"
#include "bus/sender.h"

#define SENDERS_MAX 1024

typedef struct Entry Entry;
TAILQ_HEAD(EntryQueue, Entry);

struct Entry {
        TAILQ_ENTRY(Entry) all; /* the oldest first */
        Sender sender;
        char name[];
};

struct Senders {
        sd_bus *bus;
        struct EntryQueue queue;
        void *by_name; /* tsearch(3) of the names */
        unsigned n;
};

/* One question to the bus. Owned by its slot. */
typedef struct Lookup {
        Senders *senders;
        SenderKnown known;
        void *userdata;
        char name[];
} Lookup;

static int compare_names(const void *a, const void *b) {
        return strcmp(a, b);
}

static Entry *entry_find(Senders *senders, const char *name) {
        char *const *node = tfind(name, &senders->by_name, compare_names);

        return node ? (Entry *) (*node - offsetof(Entry, name)) : NULL;
}

static void entry_free(Senders *senders, Entry *entry) {
        tdelete(entry->name, &senders->by_name, compare_names);
        TAILQ_REMOVE(&senders->queue, entry, all);
        senders->n--;
        free(entry);
}

/* Failing to remember is no failure. */
static void senders_remember(Senders *senders, const char *name, const Sender *sender) {
        size_t length = strlen(name) + 1;
        Entry *entry;

        if (entry_find(senders, name))
                return;
        if (senders->n == SENDERS_MAX)
                entry_free(senders, TAILQ_FIRST(&senders->queue));

        entry = malloc(sizeof(*entry) + length);
        if (!entry)
                return;

        entry->sender = *sender;
        memcpy(entry->name, name, length);
        if (!tsearch(entry->name, &senders->by_name, compare_names)) {
                free(entry);
                return;
        }

        TAILQ_INSERT_TAIL(&senders->queue, entry, all);
        senders->n++;
}

int senders_new(Senders **ret, sd_bus *bus) {
        Senders *senders;

        senders = calloc(1, sizeof(*senders));
        if (!senders)
                return -ENOMEM;

        TAILQ_INIT(&senders->queue);
        senders->bus = bus;
        *ret = senders;
        return 0;
}

Senders *senders_free(Senders *senders) {
        if (!senders)
                return NULL;

        while (!TAILQ_EMPTY(&senders->queue))
                entry_free(senders, TAILQ_FIRST(&senders->queue));
        free(senders);
        return NULL;
}

void senders_forget(Senders *senders, const char *name) {
        Entry *entry = entry_find(senders, name);

        if (entry)
                entry_free(senders, entry);
}

typedef struct Credentials {
        uint32_t uid, pid;
        bool has_uid;
        gid_t groups[SENDER_GROUPS_MAX];
        unsigned n_groups;
} Credentials;

static int read_groups(sd_bus_message *m, Credentials *credentials) {
        const void *groups;
        size_t size;
        int r;

        _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are copied as they come");
        r = sd_bus_message_enter_container(m, 'v', "au");
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(m, 'u', &groups, &size);
        if (r < 0)
                return r;

        if (size > sizeof(credentials->groups))
                size = sizeof(credentials->groups);
        if (size > 0)
                memcpy(credentials->groups, groups, size);
        credentials->n_groups = (unsigned) (size / sizeof(gid_t));
        return sd_bus_message_exit_container(m);
}

static int read_entry(sd_bus_message *m, const char *key, void *userdata) {
        Credentials *credentials = userdata;

        if (strcmp(key, "UnixUserID") == 0) {
                credentials->has_uid = true;
                return sd_bus_message_read(m, "v", "u", &credentials->uid);
        }
        if (strcmp(key, "UnixGroupIDs") == 0)
                return read_groups(m, credentials);
        if (strcmp(key, "ProcessID") == 0)
                return sd_bus_message_read(m, "v", "u", &credentials->pid);
        return sd_bus_message_skip(m, "v");
}

/* org.freedesktop.DBus.GetConnectionCredentials */
static int read_credentials(sd_bus_message *m, Sender *ret) {
        Credentials credentials = {};
        int r;

        r = dictionary_read(m, read_entry, &credentials);
        if (r < 0)
                return r;
        if (!credentials.has_uid)
                return -EPERM;

        *ret = (Sender){ .uid = credentials.uid, .pid = (pid_t) credentials.pid, .n_groups = credentials.n_groups };
        memcpy(ret->groups, credentials.groups, sizeof(ret->groups));
        return 0;
}

static int lookup_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Lookup *lookup = userdata;
        Sender sender = {};
        int r;

        r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : read_credentials(m, &sender);
        if (r == 0)
                senders_remember(lookup->senders, lookup->name, &sender);

        lookup->known(r, &sender, lookup->userdata);
        return 1;
}

bool senders_recall(Senders *senders, const char *name, Sender *ret) {
        Entry *entry = entry_find(senders, name);

        if (entry)
                *ret = entry->sender;
        return entry != NULL;
}

int senders_lookup(Senders *senders, const char *name, Sender *ret, sd_bus_slot **ret_slot, SenderKnown known,
                   void *userdata) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        size_t length = strlen(name) + 1;
        Lookup *lookup;
        int r;

        if (senders_recall(senders, name, ret))
                return 1;

        lookup = malloc(sizeof(*lookup) + length);
        if (!lookup)
                return -ENOMEM;
        *lookup = (Lookup){ senders, known, userdata };
        memcpy(lookup->name, name, length);

        r = sd_bus_call_method_async(senders->bus, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetConnectionCredentials", lookup_on_reply, lookup, "s",
                                     name);
        if (r < 0) {
                free(lookup);
                return r;
        }

        r = sd_bus_slot_set_destroy_callback(slot, free);
        if (r < 0) {
                free(lookup);
                return r;
        }

        *ret_slot = TAKE_PTR(slot);
        return 0;
}
