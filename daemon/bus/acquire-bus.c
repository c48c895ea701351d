/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Manager on the bus: Acquire and Explain */

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/acquire-bus.h"
#include "bus/append.h"
#include "bus/authorizer.h"
#include "bus/lifetimes.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "bus/units.h"
#include "bus/wish.h"
#include "errors.h"
#include "names.h"

/* Of Acquires that wait for systemd to say what a unit is; each keeps its message. */
#define QUERIES_PER_USER_MAX 16

static void log_refused(const Wish *wish, const Sender *sender, const sd_bus_error *error) {
        char devices[2048];
        size_t n = 0;

        devices[0] = '\0';
        for (unsigned i = 0; i < wish->n_targets && n < sizeof(devices); i++)
                if (wish->targets[i].device)
                        n += (size_t) snprintf(devices + n, sizeof(devices) - n, "%s%s", n > 0 ? " " : "",
                                               device_id(wish->targets[i].device));
        bus_log_refused(sender->uid, devices, error);
}

static int append_attributes(sd_bus_message *m, const BrokerFd *fd) {
        if (!fd->attribute)
                return sd_bus_message_append(m, "a{sv}", 0);
        if (fd->vf_token[0])
                return sd_bus_message_append(m, "a{sv}", 2, fd->attribute, "s", fd->value, "vf-token", "s",
                                             fd->vf_token);

        return sd_bus_message_append(m, "a{sv}", 1, fd->attribute, "s", fd->value);
}

int append_fds(sd_bus_message *m, const BrokerFds *fds) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sha{sv})");
        for (unsigned i = 0; r >= 0 && i < fds->n; i++) {
                r = sd_bus_message_open_container(m, 'r', "sha{sv}");
                if (r >= 0)
                        r = sd_bus_message_append(m, "sh", fds->items[i].role, fds->items[i].fd);
                if (r >= 0)
                        r = append_attributes(m, &fds->items[i]);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int acquire_reply(sd_bus_message *m, const Lease *lease, int lifeline, const BrokerFds *fds) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char path[PATH_MAX_BYTES];
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;

        path_of_lease(lease, path);
        r = sd_bus_message_append(reply, "oh", path, lifeline);
        if (r >= 0)
                r = append_fds(reply, fds);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", fds->complete);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

int acquire_on_done(int r, const Finding *why, const Lease *lease, int lifeline, const BrokerFds *fds, void *userdata) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(operation_freep) Operation *operation = userdata;

        if (r == 0) {
                r = acquire_reply(operation->m, lease, lifeline, fds);
                if (r < 0)
                        sd_bus_reply_method_errno(operation->m, r, NULL);
                return r;
        }

        bus_refuse_finding(&error, r, why);
        bus_log_refused(operation->sender.uid, why ? why->device : "", &error);
        return sd_bus_reply_method_error(operation->m, &error);
}

/* From here on @operation is the broker's, unless this fails. @run: what the lease is to hang on, or NULL. */
static int acquire_go_on(Operation *operation, Wish *wish, const UnitRun *run, sd_bus_error *error) {
        BrokerRequest request = wish_request(wish, operation->server, operation->m, &operation->sender);
        Server *server = operation->server;
        Findings findings = {};
        int r;

        if (run) {
                request.unit = run->name;
                request.invocation = run->invocation;
        }

        r = broker_look_again(server_broker(server), wish->targets, wish->n_targets);
        if (r < 0)
                return r;

        r = broker_acquire(server_broker(server), &request, &findings, acquire_on_done, operation);
        if (r != 0)
                r = bus_refuse_finding(error, r, findings_first_error(&findings));
        findings_done(&findings);
        return r;
}

/* What the unit is. A while has passed, and the devices are looked up anew. */
static void acquire_on_unit(int r, const UnitRun *run, void *userdata) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(operation_freep) Operation *operation = userdata;

        operation->query = unit_query_free(operation->query);
        if (r < 0 && r != -ENOENT)
                r = option_refuse(&error, "unit", "cannot be watched: systemd does not answer");
        else if (r < 0 || !run->active)
                r = option_refuse(&error, "unit", "is no unit that runs");
        else
                r = wish_resolve_again(operation->wish, operation->server, &error);
        if (r >= 0)
                r = acquire_go_on(operation, operation->wish, run, &error);
        if (r >= 0) {
                TAKE_PTR(operation);
                return;
        }

        if (sd_bus_error_is_set(&error)) {
                log_refused(operation->wish, &operation->sender, &error);
                sd_bus_reply_method_error(operation->m, &error);
        } else {
                sd_bus_reply_method_errno(operation->m, r, NULL);
        }
}

static bool asks_too_much(Server *server, uid_t uid) {
        const Operation *operation;
        unsigned n = 0;

        LIST_FOREACH(operation, server_operations(server), all)
                n += operation->query && operation->sender.uid == uid;

        return n >= QUERIES_PER_USER_MAX;
}

/* Takes the wish if it has to wait. */
static int acquire_ask_unit(Operation *operation, Wish **wish, sd_bus_error *error) {
        Server *server = operation->server;
        int r;

        /* The bus does not know a process of another PID namespace, and to systemd 0 is whoever asks: the service. */
        if (!*(*wish)->unit && operation->sender.pid <= 0)
                return option_refuse(error, "unit", "must be there: the bus does not say which process is asking");
        if (asks_too_much(server, operation->sender.uid))
                return bus_refuse(error, VFB_ERROR_RATE_LIMITED, NULL);

        r = unit_query_new(&operation->query, lifetimes_units(server_lifetimes(server)), (*wish)->unit,
                           operation->sender.pid, acquire_on_unit, operation);
        if (r >= 0)
                operation->wish = TAKE_PTR(*wish);
        return r;
}

/* Likewise. */
static int acquire_start(Server *server, sd_bus_message *m, Wish **wish, const Sender *sender, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        int r;

        r = operation_new(&operation, server, m, sender->uid);
        if (r < 0)
                return r;
        operation->sender = *sender;

        r = (*wish)->bond == LEASE_BOND_UNIT ? acquire_ask_unit(operation, wish, error)
                                             : acquire_go_on(operation, *wish, NULL, error);
        if (r < 0)
                return r;

        TAKE_PTR(operation);
        return 1;
}

/* As authorizer_check(). */
static int acquire_authorize(Server *server, sd_bus_message *m, const Wish *wish, Sender *ret_sender,
                             sd_bus_error *error) {
        const char *pool = wish_denied_pool(wish);
        char text[256];

        *ret_sender = wish->sender;
        if (pool) {
                snprintf(text, sizeof(text), "pool %s is for others; " BROKER_FIX_OTHERS_POOL, pool);
                return bus_refuse(error, VFB_ERROR_ACCESS_DENIED, text);
        }

        return authorizer_check(server_authorizer(server), m, wish->asks, wish->n_asks, ret_sender, error);
}

int manager_method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(wish_freep) Wish *wish = NULL;
        Sender sender = { .uid = (uid_t) -1 };
        Server *server = userdata;
        int r;

        r = wish_read(&wish, m, error);
        if (r < 0)
                return r;
        r = flags_read(m, VFB_ACQUIRE_ONE_TIME, &wish->flags, error);
        if (r < 0)
                return r;

        r = wish_resolve(wish, server, m, error);
        if (r < 0)
                return r;
        if (r > 0)
                r = acquire_authorize(server, m, wish, &sender, error);
        if (r == 0)
                return 1; /* this method runs again once polkit, or the bus, has answered */
        if (r > 0)
                r = acquire_start(server, m, &wish, &sender, error);
        if (r < 0 && wish && sd_bus_error_is_set(error))
                log_refused(wish, &sender, error);
        return r;
}

/* What polkit would say, as a finding. */
static int find_verdict(sd_bus_message *m, Verdict verdict, Findings *findings) {
        Finding *finding;
        int r;

        switch (verdict) {
        case VERDICT_YES:
                return 0;
        case VERDICT_CHANGED:
                return findings_add_error(findings, NULL, VFB_ERROR_DEVICE_GONE, "",
                                          "Another device has taken the place of one while polkit was asked");
        case VERDICT_CHALLENGE:
                if (!sd_bus_message_get_allow_interactive_authorization(m)) {
                        r = findings_add_error(findings, &finding, VFB_ERROR_AUTHORIZATION_REQUIRED, "",
                                               "An administrator has to agree, and may not be asked");
                        break;
                }
                return findings_add_note(findings, SEVERITY_WARNING, vfb_error_code(VFB_ERROR_AUTHORIZATION_REQUIRED),
                                         "", "An administrator will be asked to agree");
        case VERDICT_NO:
                r = findings_add_error(findings, &finding, VFB_ERROR_ACCESS_DENIED, "",
                                       "Policy does not let you have it");
                break;
        case VERDICT_UNAVAILABLE:
                r = findings_add_error(findings, &finding, VFB_ERROR_AUTHORITY_UNAVAILABLE, "",
                                       "polkit does not answer");
                break;
        case _VERDICT_MAX:
        default:
                return -EINVAL;
        }
        if (r < 0)
                return r;

        return finding_set_fix(finding, "%s", vfb_error_info(finding->error)->hint);
}

static int explain_reply(sd_bus_message *m, const Findings *findings) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "b", !findings_first_error(findings));
        if (r < 0)
                return r;
        r = append_findings(reply, findings);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

int manager_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(wish_freep) Wish *wish = NULL;
        Server *server = userdata;
        Findings findings = {};
        BrokerRequest request;
        Verdict verdict;
        Sender sender;
        int r;

        r = wish_read(&wish, m, error);
        if (r < 0)
                return r;
        r = wish_resolve(wish, server, m, error);
        if (r > 0)
                r = authorizer_ask(server_authorizer(server), m, wish->asks, wish->n_asks, true, &sender, &verdict,
                                   error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        request = wish_request(wish, server, m, &sender);
        r = find_verdict(m, verdict, &findings);
        if (r >= 0)
                r = broker_look_again(server_broker(server), wish->targets, wish->n_targets);
        if (r >= 0)
                r = broker_examine(server_broker(server), &request, &findings);
        if (r >= 0)
                r = explain_reply(m, &findings);
        findings_done(&findings);
        return r;
}
