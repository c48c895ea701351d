/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: the network
 *
 * What goes by an interface: a default route, addresses, ssh sessions; its own, or those of a bridge, a bond or a VLAN
 * on top of it. Read from the tables in /proc, which are shown without the network's own lock: rtnetlink's answers are
 * not (before Linux 6.9), and a driver that hangs while its interface goes may have that for ever. /proc does not say
 * whose an IPv4 address is; it is taken to be that of the interface which the network of the address is reached by.
 */

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "hostuse-internal.h"
#include "sysfs.h"

#define UPPER_DEPTH_MAX 8
#define LOOKS_MAX       256 /* at interfaces on top of one */

typedef struct Interface {
        Uses *uses;
        const char *lowest, *name;
        unsigned depth, *n_looks;
} Interface;

/* A line that belongs to the part of the table that is looked at. */
static bool read_line(HostView *view, FILE *file, char *line, int size, size_t *total) {
        if (!fgets(line, size, file)) {
                if (ferror(file))
                        hostview_fail(view, -EIO);
                return false;
        }
        *total += strlen(line);
        if (*total > HOSTUSE_TEXT_MAX)
                view->network.too_long = true;
        return *total <= HOSTUSE_TEXT_MAX;
}

static void add_default(HostView *view, const char *interface) {
        Network *network = &view->network;
        char(*defaults)[HOSTUSE_NAME_MAX];

        defaults = hostview_grow(view, network->defaults, network->n_defaults, sizeof(*defaults));
        if (!defaults)
                return;
        network->defaults = defaults;
        snprintf(defaults[network->n_defaults++], HOSTUSE_NAME_MAX, "%s", interface);
}

static void add_route(HostView *view, const Route4 *route) {
        Network *network = &view->network;
        Route4 *routes = hostview_grow(view, network->routes, network->n_routes, sizeof(*routes));

        if (!routes)
                return;
        network->routes = routes;
        routes[network->n_routes++] = *route;
}

/* "eth0	00000000	0102A8C0	0003	0	0	100	00000000	0	0	0": numbers as they lie in a packet */
static void read_routes4(HostView *view) {
        _cleanup_(filep) FILE *file = hostview_open(view, "self/net/route");
        unsigned destination, gateway, mask;
        Route4 route = {};
        size_t total = 0;
        char line[512];

        while (file && read_line(view, file, line, sizeof(line), &total)) {
                if (sscanf(line, "%63s %x %x %*s %*s %*s %*s %x", route.interface, &destination, &gateway, &mask) != 4)
                        continue;
                route.destination = destination;
                route.mask = mask;
                if (destination == 0 && mask == 0)
                        add_default(view, route.interface);
                else if (gateway == 0)
                        add_route(view, &route);
        }
}

/* The kernel has one of its own, which refuses. */
static void read_routes6(HostView *view) {
        static const char any[] = "00000000000000000000000000000000";
        _cleanup_(filep) FILE *file = hostview_open(view, "self/net/ipv6_route");
        char line[512], destination[64], prefix[8], interface[HOSTUSE_NAME_MAX];
        unsigned flags;
        size_t total = 0;

        while (file && read_line(view, file, line, sizeof(line), &total))
                if (sscanf(line, "%63s %7s %*s %*s %*s %*s %*s %*s %x %63s", destination, prefix, &flags,
                           interface) == 4 &&
                    strcmp(destination, any) == 0 && strcmp(prefix, "00") == 0 && !(flags & RTF_REJECT))
                        add_default(view, interface);
}

/* "|-- 192.0.2.1", and below it "/32 host LOCAL" */
static void read_addresses4(HostView *view) {
        _cleanup_(filep) FILE *file = hostview_open(view, "self/net/fib_trie");
        Network *network = &view->network;
        struct in_addr address = {};
        char line[256], text[32];
        size_t total = 0;

        while (file && read_line(view, file, line, sizeof(line), &total)) {
                uint32_t *addresses;

                if (sscanf(line, " |-- %31s", text) == 1) {
                        if (inet_pton(AF_INET, text, &address) != 1)
                                address.s_addr = 0;
                        continue;
                }
                if (address.s_addr == 0 || !strstr(line, "/32 host LOCAL"))
                        continue;
                addresses = hostview_grow(view, network->addresses, network->n_addresses, sizeof(*addresses));
                if (!addresses)
                        return;
                network->addresses = addresses;
                addresses[network->n_addresses++] = address.s_addr;
        }
}

#define SCOPE_LINK 0x20

/* "20010db8000000000000000000000001 02 40 00 80     eth0": number, prefix, scope (00: global), flags */
static void read_addresses6(HostView *view) {
        _cleanup_(filep) FILE *file = hostview_open(view, "self/net/if_inet6");
        Network *network = &view->network;
        char line[256], text[33];
        size_t total = 0;
        unsigned scope;

        while (file && read_line(view, file, line, sizeof(line), &total)) {
                Address6 *addresses, item = {};
                unsigned i;

                if (sscanf(line, "%32s %*x %*x %x %*x %63s", text, &scope, item.interface) != 3 ||
                    (scope != 0 && scope != SCOPE_LINK))
                        continue;
                item.link = scope == SCOPE_LINK;
                for (i = 0; i < 16 && sscanf(text + 2 * i, "%2hhx", &item.address.s6_addr[i]) == 1; i++)
                        ;
                if (i < 16)
                        continue;
                addresses = hostview_grow(view, network->addresses6, network->n_addresses6, sizeof(*addresses));
                if (!addresses)
                        return;
                network->addresses6 = addresses;
                addresses[network->n_addresses6++] = item;
        }
}

void network_read(HostView *view) {
        hostview_read_links(view, "class/net", &view->network.links);
        read_routes4(view);
        read_routes6(view);
        read_addresses4(view);
        read_addresses6(view);
}

void network_done(Network *network) {
        host_links_done(&network->links);
        free(network->defaults);
        free(network->routes);
        free(network->addresses);
        free(network->addresses6);
}

/* "@what by eth0 below br0". Where the machine's files come by the network, it stands on that. */
__attribute__((format(printf, 2, 3)))
static void add_use(const Interface *interface, const char *format, ...) {
        Uses *uses = interface->uses;
        char what[128];
        va_list ap;

        va_start(ap, format);
        vsnprintf(what, sizeof(what), format, ap);
        va_end(ap);
        uses_add(uses, uses->view->disks.remote, "network", "%.80s %.16s%s%.16s", what, interface->lowest,
                 interface->depth > 0 ? " below " : "", interface->depth > 0 ? interface->name : "");
}

static bool has_default(const Network *network, const char *name) {
        for (unsigned i = 0; i < network->n_defaults; i++)
                if (strcmp(network->defaults[i], name) == 0)
                        return true;
        return false;
}

static void find_session(const Interface *interface, const Route4 *route, const struct in6_addr *address) {
        char from[INET6_ADDRSTRLEN];

        if (session_find(interface->uses->view, route, address, from))
                add_use(interface, "an ssh session from %s comes by", from);
}

/* The host's address in the network, or else the network. */
static void add_network(const Interface *interface, const Route4 *route) {
        const Network *network = &interface->uses->view->network;
        uint32_t found = route->destination;
        char text[INET_ADDRSTRLEN];

        for (unsigned i = 0; i < network->n_addresses; i++)
                if ((network->addresses[i] & route->mask) == route->destination)
                        found = network->addresses[i];
        inet_ntop(AF_INET, &found, text, sizeof(text));
        if (found == route->destination)
                add_use(interface, "the network %s is reached by", text);
        else
                add_use(interface, "%s is the address of", text);
}

static void find_addresses(const Interface *interface) {
        const Network *network = &interface->uses->view->network;
        char text[INET6_ADDRSTRLEN];

        for (unsigned i = 0; i < network->n_routes; i++)
                if (strcmp(network->routes[i].interface, interface->name) == 0) {
                        find_session(interface, &network->routes[i], NULL);
                        add_network(interface, &network->routes[i]);
                }
        for (unsigned i = 0; i < network->n_addresses6; i++)
                if (strcmp(network->addresses6[i].interface, interface->name) == 0) {
                        find_session(interface, NULL, &network->addresses6[i].address);
                        if (network->addresses6[i].link)
                                continue;
                        inet_ntop(AF_INET6, &network->addresses6[i].address, text, sizeof(text));
                        add_use(interface, "%s is the address of", text);
                }
}

static void look_at_interface(const Interface *interface);

/* A bond, a bridge or a VLAN on top of it: "upper_br0". */
static bool look_at_upper(HostView *view, const char *name, void *userdata) {
        const Interface *interface = userdata;

        if (strncmp(name, "upper_", 6) != 0)
                return true;
        if (++*interface->n_looks > LOOKS_MAX) {
                hostview_fail(view, -E2BIG);
                return false;
        }
        look_at_interface(&(Interface){ .uses = interface->uses,
                                        .lowest = interface->lowest,
                                        .name = name + strlen("upper_"),
                                        .depth = interface->depth + 1,
                                        .n_looks = interface->n_looks });
        return true;
}

static void look_at_interface(const Interface *interface) {
        HostView *view = interface->uses->view;
        char path[128], flags[32];

        snprintf(path, sizeof(path), "class/net/%s/flags", interface->name);
        if (interface->depth == UPPER_DEPTH_MAX || sysfs_read(view->sys, path, flags, sizeof(flags)) < 0 ||
            !(strtoul(flags, NULL, 16) & IFF_UP))
                return;

        if (has_default(&view->network, interface->name))
                add_use(interface, "the default route goes by");
        find_addresses(interface);
        if (view->network.too_long)
                add_use(interface, "there are more routes than can be looked at, and some may go by");

        snprintf(path, sizeof(path), "class/net/%s", interface->name);
        hostview_visit(view, path, look_at_upper, (void *) interface);
}

/* The folder is there while the device has an interface, and empty while that is in the hands of a container. */
static void find_moved(Uses *uses, const char *part) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        struct dirent *entry;
        char path[128];

        snprintf(path, sizeof(path), "bus/%s/devices%snet", uses->bus, part);
        if (folder_open(&folder, uses->view->sys, path) < 0)
                return;
        while ((entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        return;
        uses_add(uses, false, "network", "its interface is in another network namespace");
}

void network_find_uses(Uses *uses) {
        const HostLinks *links = &uses->view->network.links;
        unsigned n_looks = 0;

        for (unsigned i = 0; i < links->n; i++) {
                const HostLink *link = &links->items[i];

                if (uses_are_below(uses, link->target))
                        look_at_interface(&(Interface){
                                .uses = uses, .lowest = link->name, .name = link->name, .n_looks = &n_looks });
        }
        for (unsigned i = 0; i < uses->n_parts; i++)
                find_moved(uses, uses->parts[i]);
}
