/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holding a lease: waiting for signals and events at once */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "ctl.h"

/* By nohup, say; a signal that is blocked would be heard all the same. */
static bool is_ignored(int signal_number) {
        struct sigaction action;

        return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int hold_signals(int *ret_signal_fd) {
        static const int signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
        sigset_t set;
        int fd;

        /* Whoever started us may have ignored it; then children would vanish unseen. */
        signal(SIGCHLD, SIG_DFL);

        sigemptyset(&set);
        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
                if (!is_ignored(signals[i]))
                        sigaddset(&set, signals[i]);

        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return -errno;

        *ret_signal_fd = fd;
        return 0;
}

static int read_signal(int signal_fd, bool *ret_from_terminal) {
        struct signalfd_siginfo info;
        ssize_t n = read(signal_fd, &info, sizeof(info));

        if (n != (ssize_t) sizeof(info))
                return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;

        *ret_from_terminal = info.ssi_code == SI_KERNEL;
        return (int) info.ssi_signo;
}

int hold_wait(vfb *connection, int signal_fd, bool *ret_from_terminal) {
        struct pollfd fds[] = {
                { .fd = signal_fd, .events = POLLIN },
                { .fd = vfb_get_fd(connection), .events = (short) vfb_get_events(connection) },
        };
        int msec = -1;

        /* Without a bus there are signals still: poll() passes negative descriptors over. */
        if (fds[1].fd < 0 || vfb_get_timeout(connection, &msec) < 0)
                fds[1].fd = msec = -1;

        if (poll(fds, 2, msec) < 0 && errno != EINTR)
                return -errno;

        if (fds[1].fd >= 0)
                (void) vfb_dispatch(connection); /* the listener hears of a lost connection */

        return fds[0].revents ? read_signal(signal_fd, ret_from_terminal) : 0;
}
