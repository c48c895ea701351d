/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: model
 *
 * What groups, containers and devices do, and in which order they let it be done: the rules of
 * linux/vfio.h. Everything here runs with the state locked and returns a descriptor, a value, or -errno.
 */

#include <stdbool.h>

#define REGISTERS_SIZE 4096

typedef enum Kind {
        KIND_CONTAINER,
        KIND_GROUP,
        KIND_DEVICE,
        _KIND_MAX,
} Kind;

typedef struct Object {
        Kind kind;
        char name[64]; /* "7", "26", "0000:06:0d.0" */
} Object;

typedef int (*CallFunction)(const Object *object, void *argument);

typedef struct Call {
        Kind kind;
        unsigned long request;
        const char *name;
        CallFunction run;
} Call;

/* What @fd is; false if it is none of ours. */
bool object_identify(int fd, Object *ret);

/* NULL: such an object does not know it. */
const Call *call_find(Kind kind, unsigned long request);

/* The errno for a call that @object does not know */
int call_unknown(const Object *object);

int container_open(const Object *object, void *argument);
int group_open(const Object *object, void *argument);

/* The kernel has made it for a device without an IOMMU. */
bool group_is_noiommu(const char *group);
/* All of @groups, which is cut into words, are of the kind that the model is for. */
bool model_fits(unsigned long model, char *groups);

/* Before the last space of VFIO_GROUP_GET_DEVICE_FD's argument there may be a token. */
void device_name(const void *argument, char ret[64]);
