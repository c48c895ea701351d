/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: who has what of a lease
 *
 * A search is a job of its own and no task of the lease: a process that does not let itself be looked at must not
 * hold up the lease's end. So it keeps the lease's id, not the lease, and its child has nothing of the
 * lease but a copy of the container, which keeps nothing busy.
 */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "kernel/holders.h"
#include "kernel/job.h"

/* Each is a process that reads all of /proc. */
#define SEARCHES_MAX 8

struct Search {
        LIST_ENTRY(Search) all;
        Broker *broker;
        char lease[LEASE_ID_MAX];
        Job *job;
        BrokerSearched done; /* NULL: nobody waits any more */
        void *userdata;
};

Search *search_free(Search *search) {
        if (!search)
                return NULL;

        job_free(search->job);
        search->broker->n_searches--;
        LIST_REMOVE(search, all);
        free(search);
        return NULL;
}

static void add_word(char *ret, size_t size, const char *word) {
        size_t n = strlen(ret);

        snprintf(ret + n, size - n, "%s%s", n > 0 ? " " : "", word);
}

static void describe(const Holder *holder, BrokerHolder *ret) {
        static const struct {
                unsigned bit;
                const char *word;
        } words[] = {
                { HOLDER_DEVICE, "device" },       { HOLDER_MAPPING, "mapping" },     { HOLDER_RING, "io-uring" },
                { HOLDER_GROUP, "group" },         { HOLDER_CONTAINER, "container" }, { HOLDER_LIFELINE, "lifeline" },
                { HOLDER_NODE, "node" },
        };

        *ret = (BrokerHolder){
                .pid = (pid_t) holder->pid,
                .keeps = holder->what & HOLDER_KEEPS,
                .signalled = holder->signalled,
        };
        snprintf(ret->name, sizeof(ret->name), "%s", holder->name);
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (holder->what & words[i].bit)
                        add_word(ret->what, sizeof(ret->what), words[i].word);
}

void broker_name_holders(const BrokerHolders *holders, bool all, char *ret, size_t size) {
        size_t n = 0;

        *ret = '\0';
        for (unsigned i = 0; i < holders->n && n < size; i++)
                if (all || holders->items[i].keeps)
                        n += (size_t) snprintf(ret + n, size - n, "%sprocess %d (%s)", n > 0 ? ", " : "",
                                               (int) holders->items[i].pid, holders->items[i].name);
}

static void search_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const HoldersResult *result = data;
        BrokerHolders holders = {};
        Search *search = userdata;
        Broker *broker = search->broker;
        BrokerSearched done = search->done;
        void *done_userdata = search->userdata;
        char lease[LEASE_ID_MAX];

        search->job = NULL;
        memcpy(lease, search->lease, sizeof(lease));
        search_free(search);
        if (!done)
                return;

        if (r == 0 && result->error != 0)
                r = -result->error;
        for (unsigned i = 0; r == 0 && i < result->n; i++)
                describe(&result->items[holders.n++], &holders.items[i]);
        holders.more = r == 0 && result->more;

        done(r, lease_find(&broker->leases, lease), &holders, done_userdata);
}

/* Whose devices are searched for: @lease's groups, or @group. */
typedef struct Subject {
        const Lease *lease;
        const Group *group;
        bool at_rest; /* see broker_search_group() */
} Subject;

static bool subject_has(const Subject *subject, const Device *device) {
        if (!device->group)
                return false;
        return subject->group ? device->group == subject->group : device->group->lease == subject->lease;
}

/* All VFIO devices: first those of the subject's groups, since who has the group can have all of these. */
static unsigned list_suspects(const Broker *broker, const Subject *subject, bool ours, SuspectAddress *ret) {
        const Device *device;
        unsigned n = 0;

        /* Of one whose driver is being changed nothing can be read without waiting for that: it is left out, and so
         * nothing is concluded from what the others are. Who has its group is found all the same. */
        TAILQ_FOREACH(device, &broker->devices.queue, all)
                if (device->facts.kind == DEVICE_KIND_PCI && device->facts.vfio_driver &&
                    subject_has(subject, device) == ours && (!device->moving || (ours && subject->at_rest)))
                        snprintf(ret[n++], sizeof(*ret), "%.*s", (int) sizeof(*ret) - 1, device_id(device));
        return n;
}

static int search_start(Search *search, const Subject *subject, HoldersPlan *plan) {
        const Broker *broker = search->broker;
        _cleanup_(freep) SuspectAddress *ours = NULL, *others = NULL;
        int keep[4];
        size_t n_keep = 0;

        ours = calloc(broker->devices.n + 1, sizeof(*ours));
        others = calloc(broker->devices.n + 1, sizeof(*others));
        if (!ours || !others)
                return -ENOMEM;

        plan->ours = ours;
        plan->n_ours = list_suspects(broker, subject, true, ours);
        plan->others = others;
        plan->n_others = list_suspects(broker, subject, false, others);

        keep[n_keep++] = plan->proc = broker->proc_fd;
        keep[n_keep++] = plan->sys = broker->sys_fd;
        keep[n_keep++] = plan->dev = broker->dev_fd;
        if (plan->container >= 0)
                keep[n_keep++] = plan->container;

        return job_start(&search->job, broker->event, &(JobSpec){
                .work = plan->signal > 0 ? holders_signal : holders_find,
                .plan = plan,
                .keep = keep,
                .n_keep = n_keep,
                .result_size = sizeof(HoldersResult),
                .done = search_on_done,
                .userdata = search,
        });
}

static int broker_search_subject(Broker *broker, const Subject *subject, HoldersPlan *plan, BrokerSearched done,
                                 void *userdata) {
        Search *search;
        int r;

        if (broker->n_searches >= SEARCHES_MAX)
                return VFB_ERROR_RATE_LIMITED;

        plan->self = getpid();
        plan->spared = broker->spared;
        search = calloc(1, sizeof(*search));
        if (!search)
                return -ENOMEM;
        search->broker = broker;
        search->done = done;
        search->userdata = userdata;
        if (subject->lease)
                memcpy(search->lease, subject->lease->id, sizeof(search->lease));
        LIST_INSERT_HEAD(&broker->searches, search, all);
        broker->n_searches++;

        r = search_start(search, subject, plan);
        if (r < 0)
                search_free(search);
        return r;
}

int broker_search(Broker *broker, const Lease *lease, int signal, BrokerSearched done, void *userdata) {
        HoldersPlan plan = { .container = lease->container_fd, .signal = signal };

        if (lease->lifeline)
                lifeline_identity(lease->lifeline, &plan.lifeline_dev, &plan.lifeline_ino);
        plan.n_groups = lease->n_groups;
        for (unsigned i = 0; i < lease->n_groups; i++)
                plan.groups[i] = lease->groups[i]->number;

        return broker_search_subject(broker, &(Subject){ .lease = lease }, &plan, done, userdata);
}

int broker_search_group(Broker *broker, const Group *group, const Nodes *nodes, bool at_rest, BrokerSearched done,
                        void *userdata) {
        HoldersPlan plan = { .container = -EBADF, .n_groups = 1, .groups = { group->number } };

        if (nodes)
                plan.nodes = *nodes;
        return broker_search_subject(broker, &(Subject){ .group = group, .at_rest = at_rest }, &plan, done, userdata);
}

int broker_list_holders(Broker *broker, const Lease *lease, BrokerSearched done, void *userdata) {
        return broker_search(broker, lease, /* signal= */ 0, done, userdata);
}

void broker_abandon_searches(Broker *broker, void *userdata) {
        Search *search;

        LIST_FOREACH(search, &broker->searches, all)
                if (search->userdata == userdata)
                        search->done = NULL;
}

void broker_spare(Broker *broker, pid_t pid) {
        broker->spared = pid;
}
