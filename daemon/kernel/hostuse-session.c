/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: ssh sessions
 *
 * An established connection to the port of ssh, with somebody listening there. An sshd at another port is not known as
 * such; the address that its sessions come to is a use all the same.
 */

#include <arpa/inet.h>
#include <string.h>

#include "hostuse-internal.h"

#define SSH_PORT    22
#define ESTABLISHED 1
#define LISTEN      10

typedef struct Connection {
        Session session;
        unsigned port, state;
} Connection;

/* Words as they lie in a packet: one of IPv4, four of IPv6. */
static bool parse_address(const char *text, struct in6_addr *ret, unsigned *ret_port) {
        uint32_t words[4] = { 0, 0, htonl(0xffff), 0 };
        size_t n = strcspn(text, ":");

        if ((n != 8 && n != 32) || sscanf(text + n, ":%x", ret_port) != 1)
                return false;
        for (size_t i = 0; i < n / 8; i++)
                if (sscanf(text + 8 * i, "%8x", &words[n == 8 ? 3 : i]) != 1)
                        return false;
        memcpy(ret, words, sizeof(words));
        return true;
}

/* "   1: 0100A8C0:0016 076433C6:D431 01 00000000:00000000 ..." */
static bool parse_connection(const char *line, Connection *ret) {
        char local[64], remote[64];
        unsigned port;

        return sscanf(line, " %*[0-9]: %63s %63s %x", local, remote, &ret->state) == 3 &&
               parse_address(local, &ret->session.local, &ret->port) &&
               parse_address(remote, &ret->session.remote, &port);
}

/* Returns whether somebody listens. */
static bool read_table(HostView *view, const char *path, SessionList *ret) {
        _cleanup_(filep) FILE *file = hostview_open(view, path);
        Connection connection;
        bool listens = false;
        char line[512];

        for (size_t n = 0; file && n < HOSTUSE_TEXT_MAX && fgets(line, sizeof(line), file); n += strlen(line)) {
                if (!parse_connection(line, &connection) || connection.port != SSH_PORT)
                        continue;
                listens |= connection.state == LISTEN;
                if (connection.state == ESTABLISHED && ret->n < SESSIONS_MAX)
                        ret->items[ret->n++] = connection.session;
        }
        return listens;
}

/* The tables may be long, and few devices have an interface with an address. */
static void read_sessions(HostView *view) {
        SessionList *sessions = &view->network.sessions;
        bool listens;

        if (sessions->known)
                return;
        sessions->known = true;
        listens = read_table(view, "self/net/tcp", sessions);
        listens |= read_table(view, "self/net/tcp6", sessions);
        if (!listens)
                sessions->n = 0;
}

static bool comes_by(const Session *session, const Route4 *route, const struct in6_addr *address) {
        uint32_t local;

        if (address)
                return memcmp(&session->local, address, sizeof(*address)) == 0;
        memcpy(&local, &session->local.s6_addr[12], sizeof(local));
        return IN6_IS_ADDR_V4MAPPED(&session->local) && (local & route->mask) == route->destination;
}

bool session_find(HostView *view, const Route4 *route, const struct in6_addr *address, char ret[INET6_ADDRSTRLEN]) {
        const SessionList *sessions = &view->network.sessions;

        read_sessions(view);
        for (unsigned i = 0; i < sessions->n; i++) {
                const struct in6_addr *remote = &sessions->items[i].remote;

                if (!comes_by(&sessions->items[i], route, address))
                        continue;
                if (IN6_IS_ADDR_V4MAPPED(remote))
                        inet_ntop(AF_INET, &remote->s6_addr[12], ret, INET6_ADDRSTRLEN);
                else
                        inet_ntop(AF_INET6, remote, ret, INET6_ADDRSTRLEN);
                return true;
        }
        return false;
}
