/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Group */

#include <search.h>
#include <stddef.h>
#include <string.h>

#include "core/group.h"

static int compare_numbers(const void *a, const void *b) {
        unsigned x = *(const unsigned *) a, y = *(const unsigned *) b;

        return (x > y) - (x < y);
}

/* The tree holds the numbers, which live in the groups. */
static Group *group_of_number(char *const *node) {
        return node ? (Group *) (*node - offsetof(Group, number)) : NULL;
}

int group_get(Group **ret, GroupList *groups, unsigned number) {
        Group *group;

        group = group_find(groups, number);
        if (!group) {
                group = calloc(1, sizeof(*group));
                if (!group)
                        return -ENOMEM;

                group->number = number;
                if (!tsearch(&group->number, &groups->by_number, compare_numbers)) {
                        free(group);
                        return -ENOMEM;
                }

                group->list = groups;
                TAILQ_INIT(&group->devices);
                TAILQ_INSERT_TAIL(&groups->queue, group, all);
                groups->n++;
        }

        *ret = group;
        return 0;
}

Group *group_free(Group *group) {
        Device *device;

        if (!group)
                return NULL;

        while ((device = TAILQ_FIRST(&group->devices)))
                device_join(device, NULL);
        TAILQ_REMOVE(&group->list->queue, group, all);
        group->list->n--;
        tdelete(&group->number, &group->list->by_number, compare_numbers);
        free(group);
        return NULL;
}

Group *group_find(const GroupList *groups, unsigned number) {
        return group_of_number(tfind(&number, &groups->by_number, compare_numbers));
}

Device *group_first_blocker(const Group *group) {
        Device *device, *first = NULL;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device_is_blocker(device) && (!first || strcmp(device_id(device), device_id(first)) < 0))
                        first = device;

        return first;
}

bool group_has_vfio(const Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->facts.vfio_driver || device->leaving)
                        return true;

        return false;
}

bool group_is_empty(const Group *group) {
        return TAILQ_EMPTY(&group->devices) && !group->lease;
}
