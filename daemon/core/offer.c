/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Offer */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-event.h>

#include "core/lifeline.h"
#include "core/offer.h"

#define TOKEN_BYTES 16

struct Offer {
        uint8_t token[TOKEN_BYTES];
        uid_t uid;
        int pidfd; /* negative: for the user */
        uint64_t until_usec;
        Term *term;
};

int offer_new(Offer **ret, sd_event *event, uid_t uid, int pidfd, uint64_t timeout_usec, TermEvent over,
              void *userdata) {
        _cleanup_(offer_freep) Offer *offer = NULL;
        int r;

        offer = calloc(1, sizeof(*offer));
        if (!offer)
                return -ENOMEM;

        offer->uid = uid;
        offer->pidfd = -EBADF;
        if (getrandom(offer->token, sizeof(offer->token), 0) != (ssize_t) sizeof(offer->token))
                return -EIO;

        if (pidfd >= 0) {
                offer->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
                if (offer->pidfd < 0)
                        return -errno;
        }

        offer->until_usec = term_now_usec() + timeout_usec;
        r = term_new(&offer->term, event, offer->until_usec, 0, NULL, over, userdata);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(offer);
        return 0;
}

Offer *offer_free(Offer *offer) {
        if (!offer)
                return NULL;

        term_free(offer->term);
        closep(&offer->pidfd);
        explicit_bzero(offer->token, sizeof(offer->token));
        free(offer);
        return NULL;
}

void offer_token(const Offer *offer, char ret[OFFER_TOKEN_MAX]) {
        for (size_t i = 0; i < TOKEN_BYTES; i++)
                snprintf(ret + 2 * i, 3, "%02x", offer->token[i]);
}

/* The process must still be the one: a number alone may be another's by now. */
static bool offer_is_for_process(const Offer *offer, pid_t pid) {
        pid_t own;

        return pid > 0 && pidfd_check(offer->pidfd) == 0 && pidfd_pid(offer->pidfd, &own) == 0 && own == pid;
}

bool offer_is_for(const Offer *offer, const char *token, uid_t uid, pid_t pid) {
        char own[OFFER_TOKEN_MAX];
        unsigned different = 0;

        /* The loop may have a claim before it has the end of the time. */
        if (strlen(token) != OFFER_TOKEN_MAX - 1 || term_now_usec() >= offer->until_usec)
                return false;

        offer_token(offer, own);
        for (size_t i = 0; i < OFFER_TOKEN_MAX - 1; i++)
                different |= (unsigned char) (token[i] ^ own[i]);
        explicit_bzero(own, sizeof(own));

        return different == 0 && (offer->pidfd < 0 ? uid == offer->uid : offer_is_for_process(offer, pid));
}
