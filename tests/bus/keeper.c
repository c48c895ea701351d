/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keeper */

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "keeper.h"

struct Keeper {
        pthread_t thread;
        pthread_mutex_t lock;
        int socket;
        int fds[KEEPER_MAX];
        char names[KEEPER_MAX][256];
        size_t n;
};

/* The value of "NAME=" in a line of its own */
static void find_value(const char *text, const char *name, char *ret, size_t size) {
        const char *at = strstr(text, name);

        *ret = '\0';
        if (at)
                snprintf(ret, size, "%.*s", (int) strcspn(at + strlen(name), "\n"), at + strlen(name));
}

static void keeper_drop(Keeper *keeper, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < keeper->n; i++) {
                if (!name || strcmp(keeper->names[i], name) == 0) {
                        close(keeper->fds[i]);
                        continue;
                }
                keeper->fds[n] = keeper->fds[i];
                memmove(keeper->names[n], keeper->names[i], sizeof(keeper->names[n]));
                n++;
        }
        keeper->n = n;
}

static void keeper_take(Keeper *keeper, const char *text, int fd) {
        char name[256];

        find_value(text, "FDNAME=", name, sizeof(name));
        if (strstr(text, "FDSTOREREMOVE=1")) {
                keeper_drop(keeper, name);
        } else if (strstr(text, "FDSTORE=1") && fd >= 0 && keeper->n < KEEPER_MAX) {
                keeper->fds[keeper->n] = TAKE_FD(fd);
                snprintf(keeper->names[keeper->n++], sizeof(name), "%s", name);
        }
        closep(&fd); /* BARRIER=1 wants nothing else */
}

/* false: there is no message. */
static bool keeper_receive(Keeper *keeper) {
        char text[4096], control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { text, sizeof(text) - 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(keeper->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        struct cmsghdr *cmsg;
        int fd = -EBADF;

        if (n <= 0)
                return false;
        text[n] = '\0';
        cmsg = CMSG_FIRSTHDR(&message);
        if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
        keeper_take(keeper, text, fd);
        return true;
}

/* Whoever looks has all that was said until then: what a daemon says before it dies is known to the next one. */
static void keeper_lock(Keeper *keeper) {
        pthread_mutex_lock(&keeper->lock);
        while (keeper_receive(keeper))
                ;
}

/* The daemon's barriers wait for it. */
static void *keeper_run(void *userdata) {
        Keeper *keeper = userdata;
        struct pollfd p = { keeper->socket, POLLIN, 0 };

        /* A change of the test's user interrupts it. */
        while (poll(&p, 1, -1) < 0 || !(p.revents & POLLHUP)) {
                keeper_lock(keeper);
                pthread_mutex_unlock(&keeper->lock);
        }
        return NULL;
}

Keeper *keeper_new(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Keeper *keeper = calloc(1, sizeof(*keeper));

        ck_assert_ptr_nonnull(keeper);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        unlink(path);
        keeper->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(keeper->socket, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(pthread_mutex_init(&keeper->lock, NULL), 0);
        ck_assert_int_eq(pthread_create(&keeper->thread, NULL, keeper_run, keeper), 0);
        return keeper;
}

Keeper *keeper_free(Keeper *keeper) {
        if (!keeper)
                return NULL;

        shutdown(keeper->socket, SHUT_RDWR);
        pthread_join(keeper->thread, NULL);
        close(keeper->socket);
        keeper_drop(keeper, NULL);
        pthread_mutex_destroy(&keeper->lock);
        free(keeper);
        return NULL;
}

size_t keeper_list(Keeper *keeper, int ret_fds[KEEPER_MAX], char *ret_names, size_t size) {
        size_t used = 0, n;

        keeper_lock(keeper);
        *ret_names = '\0';
        for (size_t i = 0; i < keeper->n; i++) {
                ret_fds[i] = keeper->fds[i];
                used += (size_t) snprintf(ret_names + used, size - used, "%s%s", i > 0 ? ":" : "", keeper->names[i]);
                ck_assert_uint_lt(used, size);
        }
        n = keeper->n;
        pthread_mutex_unlock(&keeper->lock);
        return n;
}

unsigned keeper_count(Keeper *keeper, const char *what) {
        unsigned n = 0;

        keeper_lock(keeper);
        for (size_t i = 0; i < keeper->n; i++)
                n += strstr(keeper->names[i], what) != NULL;
        pthread_mutex_unlock(&keeper->lock);
        return n;
}

void keeper_empty(Keeper *keeper) {
        keeper_lock(keeper);
        keeper_drop(keeper, NULL);
        pthread_mutex_unlock(&keeper->lock);
}
