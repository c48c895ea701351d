/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What takes so long */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctl.h"

static char reminder[128];

/* In a signal handler: nothing but write(). */
static void say_waiting(int signal) {
        int saved = errno;

        (void) !write(STDERR_FILENO, reminder, strlen(reminder));
        errno = saved;
}

static void set_timer(time_t seconds) {
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_sec = seconds }, NULL);
}

void remind_begin(const char *text) {
        struct sigaction action = { .sa_handler = say_waiting, .sa_flags = SA_RESTART };

        if (!isatty(STDERR_FILENO))
                return;

        snprintf(reminder, sizeof(reminder), "vfio-broker: %s...\n", text);
        sigaction(SIGALRM, &action, NULL);
        set_timer(1);
}

void remind_end(void) {
        set_timer(0);
}
