/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: taking a lease back by force
 *
 * Step by step, each of them noted in the revocation and in the journal: memory is unmapped, who keeps a device
 * gets SIGTERM and a moment later SIGKILL. Whether that was enough is not for us to say but for the kernel: the
 * lease is over, and goes the one way out (broker-end.c), on which the kernel is asked until nobody has a device. If
 * somebody has whom no search finds, it stays reserved.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-internal.h"
#include "log.h"

/* Whoever let go at the last moment is not to be searched for. */
#define FIRST_SEARCH_USEC (100 * 1000)

/* After a kill the kernel needs a moment, and who was forked meanwhile has to be found. */
#define KILL_AGAIN_USEC (1000 * 1000)
#define KILLS_MAX       3 /* then it is said to be in vain, and tried now and then */
#define KILL_LATER_USEC (UINT64_C(60) * 1000000)
#define SEARCH_LATER_USEC (1000 * 1000)

static void lease_use_force(Broker *broker, Lease *lease);

static int revoke_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Lease *lease = userdata;

        lease_use_force(broker_of(lease), lease);
        return 0;
}

static void lease_go_on_in(Broker *broker, Lease *lease, uint64_t usec) {
        Revocation *revocation = lease->revocation;
        int r;

        revocation->timer = sd_event_source_disable_unref(revocation->timer);
        r = sd_event_add_time_relative(broker->event, &revocation->timer, CLOCK_MONOTONIC, usec, 0, revoke_on_timer,
                                       lease);
        if (r < 0)
                log_line(LOG_ERR, "Cannot go on with the revocation of lease %s: %s", lease->id, strerror(-r));
}

/* Those who have a device and were spared are named, too: they are what is in the way. */
static unsigned note_holders(Lease *lease, const char *signal_word, const BrokerHolders *holders) {
        unsigned n = 0;

        for (unsigned i = 0; i < holders->n; i++) {
                const BrokerHolder *holder = &holders->items[i];

                if (!holder->keeps)
                        continue;
                n += holder->signalled;
                if (holder->signalled || !lease->revocation->told_busy)
                        broker_take_step(lease, "%s: process %d (%s), which has: %s",
                                         holder->signalled ? signal_word : "spared", (int) holder->pid, holder->name,
                                         holder->what);
        }
        return n;
}

static void note_busy(Lease *lease) {
        static const char text[] = "busy: the kernel says that a device is still open, and nobody is found who can "
                                   "be ended; it stays reserved";

        if (lease->revocation->told_busy)
                return;

        lease->revocation->told_busy = true;
        broker_take_step(lease, "%s", text);
        broker_log_revocation(lease, LOG_ID_STILL_BUSY, LOG_WARNING, "cannot be taken back", text);
}

static void term_on_done(Broker *broker, Lease *lease, const BrokerHolders *holders) {
        unsigned n = note_holders(lease, "sigterm", holders);

        lease->revocation->stage = REVOCATION_KILL;
        if (n == 0)
                broker_take_step(lease, "no-holder: nobody is found who has a device and can be ended");
        lease_go_on_in(broker, lease, (uint64_t) broker->config.revoke_kill_sec * 1000000);
}

static void kill_on_done(Broker *broker, Lease *lease, const BrokerHolders *holders) {
        (void) note_holders(lease, "sigkill", holders);

        if (++lease->revocation->n_kills < KILLS_MAX) {
                lease_go_on_in(broker, lease, KILL_AGAIN_USEC);
                return;
        }
        note_busy(lease);
        lease_go_on_in(broker, lease, KILL_LATER_USEC);
}

static void signal_on_done(int r, const Lease *borrowed, const BrokerHolders *holders, void *userdata) {
        Lease *lease = (Lease *) borrowed;
        Broker *broker = userdata;

        if (!lease || lease->state != LEASE_LINGERING)
                return; /* it has come free meanwhile */

        if (r < 0) {
                broker_take_step(lease, "search-failed: %s", strerror(-r));
                lease_go_on_in(broker, lease, SEARCH_LATER_USEC);
                return;
        }

        if (lease->revocation->stage == REVOCATION_TERM)
                term_on_done(broker, lease, holders);
        else
                kill_on_done(broker, lease, holders);

        /* Without waiting for the next look, which may be seconds away. May free the lease. */
        lease->wait_usec = 0;
        broker_continue_end(broker, lease);
}

/* The next thing to do to who has a device. */
static void lease_use_force(Broker *broker, Lease *lease) {
        int r;

        if (lease->state != LEASE_LINGERING)
                return;

        r = broker_search(broker, lease, lease->revocation->stage == REVOCATION_TERM ? SIGTERM : SIGKILL,
                          signal_on_done, broker);
        if (r != 0)
                lease_go_on_in(broker, lease, SEARCH_LATER_USEC);
}

/* From here on the kernel decides. */
static void lease_begin_signals(Broker *broker, Lease *lease) {
        lease->revocation->stage = REVOCATION_TERM;
        lease_go_on_in(broker, lease, FIRST_SEARCH_USEC);
        if (lease->state == LEASE_REVOKING)
                broker_end_lease(broker, lease, LEASE_END_REVOKED);
}

static void unmap_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const DmaResult *result = data;
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        task->job = NULL;
        if (r == 0 && result->step != DMA_STEP_NONE)
                r = -result->error;
        if (r < 0)
                broker_take_step(lease, "dma-not-unmapped: %s", strerror(-r));
        else
                broker_take_step(lease, "dma-unmapped: until somebody maps memory again who has the container");

        /* While there is a task it is not freed. */
        lease_begin_signals(broker, lease);
        task_free(task);
        broker_continue_end(broker, lease);
}

/* The container is the holder's, too: this stops what is under way, and no more than that. */
static int lease_unmap(Broker *broker, Lease *lease) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;
        r = task_start_dma(task, dma_unmap_all, unmap_on_done, -EBADF);
        if (r < 0)
                return r;

        TAKE_PTR(task);
        return 0;
}

/* Called while the task that cuts is still there, so the lease is, too. */
static void cut_on_done(int r, unsigned n, uint64_t bytes, void *userdata) {
        Lease *lease = userdata;

        if (r < 0)
                broker_take_step(lease, "dma-not-unmapped: %s", strerror(-r));
        else
                broker_take_step(lease, "dma-unmapped: for good, %u mappings of %" PRIu64 " bytes", n, bytes);
        lease_begin_signals(broker_of(lease), lease);
}

/* 0: under way. Positive: nothing to do. */
static int lease_cut(Broker *broker, Lease *lease) {
        int r;

        if (lease->mode != LEASE_MODE_MEDIATED)
                return lease_unmap(broker, lease);
        if (lease->cut == LEASE_CUT_RUNNING)
                return 1;

        r = broker_cut_dma(broker, lease, cut_on_done, lease);
        if (r > 0)
                broker_take_step(lease, "dma-unmapped: for good; nothing is mapped");
        return r;
}

void broker_force(Broker *broker, Lease *lease) {
        int r;

        if (lease->state != LEASE_REVOKING && lease->state != LEASE_LINGERING)
                return; /* it comes by itself */

        broker_take_step(lease, "deadline: somebody still has it");
        lease->revocation->stage = REVOCATION_CUT;
        r = lease_cut(broker, lease);
        if (r < 0)
                broker_take_step(lease, "dma-not-unmapped: %s", strerror(-r));
        if (r != 0)
                lease_begin_signals(broker, lease);
}
