/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fdstore */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "fdstore.h"

/* systemd answers in a moment, or has worse problems than ours, or the machine has: what it has not got is lost. */
#define BARRIER_USEC (60 * 1000 * 1000)

void fdstore_name_container(char ret[FDSTORE_NAME_MAX], const char *lease) {
        snprintf(ret, FDSTORE_NAME_MAX, "container-%s", lease);
}

void fdstore_name_group(char ret[FDSTORE_NAME_MAX], unsigned group, const char *lease) {
        snprintf(ret, FDSTORE_NAME_MAX, "group-%u-%s", group, lease);
}

void fdstore_name_process(char ret[FDSTORE_NAME_MAX], const char *lease) {
        snprintf(ret, FDSTORE_NAME_MAX, "pidfd-%s", lease);
}

int fdstore_parse_group(const char *name, unsigned *ret_group, const char **ret_lease) {
        int n = 0;

        if (sscanf(name, "group-%u-%n", ret_group, &n) != 1 || n == 0 || !name[n])
                return -EINVAL;

        *ret_lease = name + n;
        return 0;
}

static void strv_freep(char ***names) {
        for (char **name = *names; name && *name; name++)
                free(*name);
        free(*names);
}

int fdstore_receive(Fdstore *ret) {
        _cleanup_(strv_freep) char **names = NULL;
        Fdstore store = {};
        int n, n_unnamed;

        /* Those whose names cannot be told are taken, too: what stays open here is in the way of its own end. */
        n = sd_listen_fds_with_names(/* unset_environment= */ 0, &names);
        n_unnamed = sd_listen_fds(/* unset_environment= */ 1);
        if (n < 0)
                n = n_unnamed;
        if (n < 0)
                return n;

        store.items = calloc((size_t) n + 1, sizeof(*store.items));
        if (!store.items)
                return -ENOMEM; /* they stay open, and reserved */

        for (int i = 0; i < n; i++) {
                StoredFd *stored = &store.items[store.n++];

                stored->fd = SD_LISTEN_FDS_START + i;
                (void) fcntl(stored->fd, F_SETFD, FD_CLOEXEC);
                snprintf(stored->name, sizeof(stored->name), "%s", names && names[i] ? names[i] : "");
        }

        *ret = store;
        return 0;
}

void fdstore_done(Fdstore *store) {
        for (size_t i = 0; i < store->n; i++)
                closep(&store->items[i].fd);
        free(store->items);
        *store = (Fdstore){};
}

int fdstore_take(Fdstore *store, const char *name) {
        for (size_t i = 0; i < store->n; i++)
                if (store->items[i].fd >= 0 && strcmp(store->items[i].name, name) == 0)
                        return TAKE_FD(store->items[i].fd);

        return -EBADF;
}

void fdstore_add(const char *name, int fd) {
        char text[FDSTORE_NAME_MAX + 64];

        /* Without FDPOLL=0 systemd would let go of a pidfd as soon as its process ends. */
        snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
        (void) sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void fdstore_remove(const char *name) {
        char text[FDSTORE_NAME_MAX + 64];

        snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        (void) sd_notify(0, text);
}

void fdstore_barrier(void) {
        (void) sd_notify_barrier(0, BARRIER_USEC);
}
