/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Nodes
 *
 * The device nodes that the drivers of a device have made for it and for what is below it (a GPU's card0, a disk's
 * partitions), by their numbers: whoever has one open may be whom the driver waits for when it is to let go of the
 * device. They go from sysfs when that begins, so they are looked up before.
 */

#include <stdbool.h>
#include <sys/types.h>

#define NODES_MAX 32

typedef struct Node {
        dev_t number;
        bool block;
} Node;

typedef struct Nodes {
        Node items[NODES_MAX]; /* any more are left out */
        unsigned n;
} Nodes;

/* @name: what its bus calls the device. Waits for nothing. */
void nodes_find(int sysfs, const char *name, Nodes *ret);

bool nodes_have(const Nodes *nodes, mode_t mode, dev_t number);
