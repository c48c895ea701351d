/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: handing a lease over
 *
 * The claimer gets descriptors as with GetFds, from the first one on, and a lifeline of its own. Only when they are
 * open does the lease change hands; until then it is the old holder's, whatever becomes of the claim.
 */

#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/fdstore.h"
#include "log.h"

/* Who claims. Owned by the task. */
struct Claim {
        User *user; /* charged for a lease more; NULL: it is the holder's user already */
        pid_t pid;
        char *sender;
};

Claim *claim_free(Claim *claim) {
        if (!claim)
                return NULL;

        if (claim->user)
                user_discharge(claim->user);
        free(claim->sender);
        free(claim);
        return NULL;
}
DEFINE_CLEANUP(Claim, claim_free)

static int claim_new(Claim **ret, Broker *broker, const Lease *lease, uid_t uid, pid_t pid, const char *sender) {
        _cleanup_(claim_freep) Claim *claim = NULL;
        User *user;
        int r;

        claim = calloc(1, sizeof(*claim));
        if (!claim)
                return -ENOMEM;
        claim->pid = pid;
        claim->sender = strdup(sender);
        if (!claim->sender)
                return -ENOMEM;

        if (uid != lease->user->uid) {
                r = user_get(&user, &broker->users, uid);
                if (r < 0)
                        return r;
                r = user_charge(user, broker->config.leases_per_user_max);
                if (r != 0)
                        return r;
                claim->user = user;
        }

        *ret = TAKE_PTR(claim);
        return 0;
}

static void lease_on_offer_over(void *userdata) {
        Lease *lease = userdata;

        lease->offer = offer_free(lease->offer);
}

int broker_offer(Broker *broker, const Lease *borrowed, uid_t uid, int pidfd, uint64_t timeout_usec,
                 char ret_token[OFFER_TOKEN_MAX]) {
        Lease *lease = (Lease *) borrowed;
        Offer *offer;
        int r;

        if (lease->state != LEASE_ACTIVE)
                return VFB_ERROR_NO_SUCH_LEASE;

        r = offer_new(&offer, broker->event, uid, pidfd, timeout_usec, lease_on_offer_over, lease);
        if (r < 0)
                return r;

        offer_free(lease->offer);
        lease->offer = offer;
        offer_token(offer, ret_token);
        return 0;
}

const Lease *broker_find_offer(const Broker *broker, const char *token, uid_t uid, pid_t pid) {
        const Lease *lease;

        TAILQ_FOREACH(lease, &broker->leases.queue, all)
                if (lease->offer && lease->state == LEASE_ACTIVE && offer_is_for(lease->offer, token, uid, pid))
                        return lease;

        return NULL;
}

int broker_claim(Broker *broker, const Lease *borrowed, uid_t uid, pid_t pid, const char *sender, BrokerAcquired done,
                 void *userdata) {
        _cleanup_(offer_freep) Offer *offer = NULL;
        _cleanup_(task_freep) Task *task = NULL;
        Lease *lease = (Lease *) borrowed;
        int r;

        if (lease->state != LEASE_ACTIVE)
                return VFB_ERROR_NO_SUCH_LEASE;
        if (lease->n_tasks > 0)
                return VFB_ERROR_RATE_LIMITED;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;
        r = claim_new(&task->claim, broker, lease, uid, pid, sender);
        if (r != 0)
                return r;

        /* Used once: from here on nobody else can claim it, and what fails at once gives it back. */
        offer = TAKE_PTR(lease->offer);
        r = broker_open_places(&task, NULL, 0, done, userdata);
        if (r != 0)
                lease->offer = TAKE_PTR(offer);
        return r;
}

/* Whose the lease is, and what it hangs on: all that changes with them. */
typedef struct Hands {
        User *user;
        pid_t pid;
        char *sender, *unit, *invocation;
        LeaseBond bond;
        Lifeline *lifeline, *process;
        unsigned n_handed_out;
} Hands;

/* Returns those that it was in. */
static Hands lease_swap_hands(Lease *lease, Hands hands) {
        Hands old = { lease->user, lease->pid, lease->sender, lease->unit, lease->invocation,
                      lease->bond, lease->lifeline, lease->process, lease->n_handed_out };

        lease->user = hands.user;
        lease->pid = hands.pid;
        lease->sender = hands.sender;
        lease->unit = hands.unit;
        lease->invocation = hands.invocation;
        lease->bond = hands.bond;
        lease->lifeline = hands.lifeline;
        lease->process = hands.process;
        lease->n_handed_out = hands.n_handed_out;
        return old;
}

/* All but the user. */
static void hands_done(Hands *hands) {
        lifeline_free(hands->lifeline);
        lifeline_free(hands->process);
        free(hands->sender);
        free(hands->unit);
        free(hands->invocation);
}

/* The lease has changed hands: whatever it hung on is of no use any more, and nobody pays twice. */
static void lease_drop_hands(Broker *broker, Lease *lease, Hands *old) {
        char stored[FDSTORE_NAME_MAX], kept[JOURNAL_NAME_MAX];

        if (old->user != lease->user) {
                user_discharge_memory(old->user, lease->mappings.n, lease->mappings.bytes);
                user_discharge(old->user);
        }
        hands_done(old);
        if (!broker->journal)
                return;

        fdstore_name_process(stored, lease->id);
        fdstore_remove(stored);
        lease->n_hands--;
        broker_lifeline_name(lease, kept);
        lease->n_hands++;
        journal_remove(broker->journal, kept);
}

/* It does not: nothing is left of what was made for the claimer. */
static void lease_keep_hands(Broker *broker, Lease *lease, Hands *old) {
        char kept[JOURNAL_NAME_MAX];
        Hands new;

        broker_lifeline_name(lease, kept);
        journal_remove(broker->journal, kept);
        lease->n_hands--;
        new = lease_swap_hands(lease, *old);
        hands_done(&new);
        if (new.user != lease->user)
                user_discharge_memory(new.user, lease->mappings.n, lease->mappings.bytes);
}

int broker_change_hands(Task *task, int *ret_lifeline) {
        _cleanup_(closep) int lifeline_fd = -EBADF;
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        Claim *claim = task->claim;
        Hands old;
        int r;

        /* What the old holder still waits for would count as the new one's. */
        if (lease->n_tasks > 1)
                return VFB_ERROR_RATE_LIMITED;
        if (claim->user) {
                r = lease_charge_mappings(lease, claim->user, broker->config.mappings_per_user_max,
                                          broker->config.mediated_bytes_per_user_max);
                if (r != 0)
                        return r;
        }

        old = lease_swap_hands(lease, (Hands){ .user = claim->user ?: lease->user,
                                               .pid = claim->pid,
                                               .sender = TAKE_PTR(claim->sender),
                                               .bond = LEASE_BOND_LIFELINE });
        lease->n_hands++; /* the old lifeline stays where it is until this is written down */
        r = broker_tie_lease(broker, lease, &lifeline_fd);
        if (r >= 0)
                r = broker_record_lease(broker, lease);
        if (r < 0) {
                lease_keep_hands(broker, lease, &old);
                return r;
        }

        lease_drop_hands(broker, lease, &old);
        claim->user = NULL; /* the lease's from here on */
        *ret_lifeline = TAKE_FD(lifeline_fd);
        return 0;
}

void broker_tell_claimed(Lease *lease) {
        broker_log_lease(lease, &(LogEvent){ .id = LOG_ID_CLAIMED, .priority = LOG_INFO },
                         "Lease %s is handed over to uid %u", lease->id, (unsigned) lease->user->uid);
        NOTIFY(broker_of(lease), lease_moved, lease);
}
