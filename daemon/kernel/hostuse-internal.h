/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of hostuse share: the view, a part of it for each kind of thing that a host has, and the uses of one
 * device that are being collected. Others use hostuse.h.
 */

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "hostuse.h"
#include "scan-bus.h"
#include "scan.h"

#define HOSTUSE_NAME_MAX  64
#define HOSTUSE_WHERE_MAX 80
#define HOSTUSE_TEXT_MAX  (1024 * 1024) /* of a table of the network */

/* An entry of /sys/class, and where it is: "../../devices/pci0000:00/0000:02:00.0/net/eth0" */
typedef struct HostLink {
        char name[HOSTUSE_NAME_MAX];
        char *target;
} HostLink;

typedef struct HostLinks {
        HostLink *items;
        unsigned n;
} HostLinks;

/* One block device: a disk, a partition, or what is made of these. */
typedef struct Disk {
        char name[HOSTUSE_NAME_MAX];
        char alias[HOSTUSE_NAME_MAX];  /* of a dm device: "vg-root" */
        char *target;                  /* its link, and those of all its controllers */
        char *file;                    /* of a loop device */
        dev_t number;                  /* 0: none, a hidden path of an NVMe namespace */
        bool mounted, swap, elsewhere; /* the last: mounted where the first process may not see it */
        bool critical;
        char where[HOSTUSE_WHERE_MAX]; /* it is mounted */
        char holder[HOSTUSE_NAME_MAX]; /* the first, "" for none */
        unsigned btrfs;                /* a number for each; 0: not part of one */
        unsigned seen;                 /* by the search with that number */
} Disk;

/* What lies on top of what. */
typedef enum DiskEdgeKind {
        DISK_EDGE_HOLDER,
        DISK_EDGE_PART, /* the upper is a partition */
        DISK_EDGE_FILE, /* the lower has the file that the upper is made of */
} DiskEdgeKind;

typedef struct DiskEdge {
        unsigned lower, upper;
        DiskEdgeKind kind;
} DiskEdge;

/* How the files of a machine come to another one that runs on it. */
typedef enum ShareKind {
        SHARE_NONE,
        SHARE_9P,
        SHARE_VIRTIOFS,
        _SHARE_MAX,
} ShareKind;

typedef struct Mount {
        char *where;
        char *pool; /* of ZFS, else NULL */
        char *tag;  /* of a share, else NULL */
        ShareKind share;
        int disk;   /* -1: none that is known */
        bool critical;
} Mount;

typedef struct MountLine {
        unsigned major, minor;
        char *where, *type, *source, *options;
} MountLine;

typedef struct Disks {
        Disk *items;
        unsigned n;
        DiskEdge *edges;
        unsigned n_edges;
        Mount *mounts;
        unsigned n_mounts;
        unsigned n_btrfs, search;
        bool elsewhere_known;
        bool remote; /* the machine stands on a file system of the network */
} Disks;

/* A network that is reached without another router. */
typedef struct Route4 {
        char interface[HOSTUSE_NAME_MAX];
        uint32_t destination, mask;
} Route4;

typedef struct Address6 {
        char interface[HOSTUSE_NAME_MAX];
        struct in6_addr address;
        bool link; /* every interface has one: only who comes to it counts */
} Address6;

typedef struct Session {
        struct in6_addr local, remote; /* of IPv4 as ::ffff:192.0.2.1 */
} Session;

#define SESSIONS_MAX 64

typedef struct SessionList {
        Session items[SESSIONS_MAX];
        unsigned n;
        bool known;
} SessionList;

typedef struct Network {
        HostLinks links;
        char (*defaults)[HOSTUSE_NAME_MAX]; /* the interfaces of default routes */
        unsigned n_defaults;
        Route4 *routes;
        unsigned n_routes;
        uint32_t *addresses; /* of the host, as they lie in a packet */
        unsigned n_addresses;
        Address6 *addresses6;
        unsigned n_addresses6;
        SessionList sessions;
        bool too_long; /* there are more routes than are looked at */
} Network;

struct HostView {
        int sys, proc;
        int error; /* the first, negative: nobody knows */
        Disks disks;
        Network network;
        HostLinks framebuffers, inputs, ttys, mdevs, virtios;
};

/* The uses of one device. */
typedef struct Uses {
        HostView *view;
        const char *bus;
        HostUse *items;
        int n;
        char (*parts)[BUS_NAME_MAX + 2]; /* the device and its virtual functions as in links: "/0000:03:00.0/" */
        unsigned n_parts;
        bool shows_firmware; /* what the firmware has drawn, or the kernel since then, lies in its memory */
} Uses;

/* @kind and text, made printable. One that is never taken replaces another if there are too many. */
void uses_add(Uses *uses, bool never, const char *kind, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Whether a link, or one of several, leads to the device or below it. */
bool uses_are_below(const Uses *uses, const char *links);

/* One entry of a folder. Returns false to stop. */
typedef bool (*HostVisit)(HostView *view, const char *name, void *userdata);

/* A folder of /sys; what begins with a dot or is too long is no entry. One that is not there is empty. */
void hostview_visit(HostView *view, const char *path, HostVisit function, void *userdata);

/* What cannot be read is an error, but for what is not there; what is too long to be a name counts as not there. */
FILE *hostview_open(HostView *view, const char *path);
void hostview_fail(HostView *view, int r);
bool hostview_read_link(HostView *view, const char *path, char **ret);
void hostview_read_links(HostView *view, const char *folder, HostLinks *ret);
void host_links_done(HostLinks *links);

/* Makes room for one more: @items has @n of that @size. NULL, and the view has failed: there is none. */
void *hostview_grow(HostView *view, void *items, unsigned n, size_t size);

void disks_read(HostView *view);
void disks_done(Disks *disks);
void disks_find_uses(Uses *uses);

/* The file systems that are mounted, and swap space; and what of it the machine stands on. */
void mounts_read(HostView *view);

void mount_done(Mount *mount);

/* A line of mountinfo, which is cut into its words. False: it is none. */
bool mounts_parse(char *text, MountLine *ret);

/* Negative: none that is known. */
int mounts_find_disk(const Disks *disks, const MountLine *line);

/* What is mounted in other mount namespaces; once for each view, since there may be many. */
void elsewhere_read(HostView *view);

/* By name or alias; negative: none. With one of these there is no edge. */
int disks_find(const Disks *disks, const char *name);
void disks_add_edge(HostView *view, int lower, int upper, DiskEdgeKind kind);

void network_read(HostView *view);
void network_done(Network *network);
void network_find_uses(Uses *uses);

/* Somebody's ssh session that comes by that network, or to that address (the other is NULL): where from. */
bool session_find(HostView *view, const Route4 *route, const struct in6_addr *address, char ret[INET6_ADDRSTRLEN]);

void display_find_uses(Uses *uses, const char *address);
void console_find_uses(Uses *uses); /* after the display's */
void input_find_uses(Uses *uses);
void mdev_find_uses(Uses *uses);

/* Of a file system. */
ShareKind share_of_type(const char *type);
void shares_find_uses(Uses *uses);
