/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cycles N DEVICE...: takes one device after the other and lets it go, N times in all. */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vfio-broker.h>

#define PATIENCE_MS 300000

static void on_ended(vfb_lease *lease, const char *reason, void *userdata) {
        bool *ended = userdata;

        *ended = true;
        if (strcmp(reason, "released") != 0)
                printf("%s ended: %s\n", vfb_lease_id(lease), reason);
}

static int wait_for_end(vfb *connection, const bool *ended) {
        int r = 0, msec;

        while (r >= 0 && !*ended) {
                struct pollfd poller = { .fd = vfb_get_fd(connection), .events = (short) vfb_get_events(connection) };

                r = vfb_get_timeout(connection, &msec);
                if (r >= 0 && msec != 0)
                        r = poll(&poller, 1, PATIENCE_MS) > 0 ? 0 : -ETIME;
                if (r >= 0)
                        r = vfb_dispatch(connection);
        }
        return r;
}

static int cycle(vfb *connection, const char *device, bool *ended) {
        vfb_request *request = NULL;
        vfb_lease *lease = NULL;
        vfb_error *error = NULL;
        int r;

        *ended = false;
        r = vfb_request_new(&request);
        if (r >= 0)
                r = vfb_request_add_device(request, device, NULL);
        if (r >= 0)
                r = vfb_acquire(connection, request, &lease, &error);
        if (r >= 0)
                r = vfb_lease_release(lease, &error);
        if (r >= 0)
                r = wait_for_end(connection, ended);

        if (r < 0)
                fprintf(stderr, "%s: %s\n", device, error ? vfb_error_text(error) : strerror(-r));
        vfb_error_free(error);
        vfb_request_free(request);
        vfb_lease_free(lease);
        return r;
}

/* Until the input ends, whatever goes wrong meanwhile: the daemon is killed again and again. */
static int storm(char **devices, int n) {
        static const vfb_listener listener = { .lease_ended = on_ended };
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
        vfb *connection = NULL;
        unsigned good = 0;
        bool ended;

        if (vfb_open(&connection, &listener, &ended, NULL) < 0)
                return EXIT_FAILURE;

        for (unsigned i = 0; poll(&input, 1, 0) == 0; i++)
                good += cycle(connection, devices[i % (unsigned) n], &ended) >= 0;

        printf("%u leases\n", good);
        vfb_free(connection);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const vfb_listener listener = { .lease_ended = on_ended };
        struct timespec begin, end;
        vfb *connection = NULL;
        bool ended;
        int r;

        if (argc < 3)
                return 2;
        if (strcmp(argv[1], "storm") == 0)
                return storm(argv + 2, argc - 2);

        r = vfb_open(&connection, &listener, &ended, NULL);
        (void) clock_gettime(CLOCK_MONOTONIC, &begin);
        for (long i = 0; r >= 0 && i < strtol(argv[1], NULL, 10); i++)
                r = cycle(connection, argv[2 + i % (argc - 2)], &ended);
        (void) clock_gettime(CLOCK_MONOTONIC, &end);

        printf("%ld ms\n", (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000);
        vfb_free(connection);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
