/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A text agent for polkit */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ctl.h"

#define AGENT "pkttyagent"

static void __attribute__((noreturn)) run_agent(int ready_fd) {
        char fd[16];

        /* Should the command be killed, the agent must not keep the terminal. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        fcntl(ready_fd, F_SETFD, 0);
        snprintf(fd, sizeof(fd), "%d", ready_fd);

        /* --fallback: whoever has an agent already, in a desktop say, keeps it. */
        execlp(AGENT, AGENT, "--notify-fd", fd, "--fallback", (char *) NULL);
        _exit(127);
}

pid_t agent_open(const Ctl *ctl) {
        int ready[2];
        pid_t pid;

        /* polkit does not ask about root. */
        if (!ctl->interactive || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return 0;
        if (pipe2(ready, O_CLOEXEC) < 0)
                return 0;

        pid = fork();
        if (pid == 0)
                run_agent(ready[1]);
        close(ready[1]);

        /* It closes its end when it is registered, or when it is not there. */
        if (pid > 0)
                (void) poll(&(struct pollfd){ .fd = ready[0], .events = POLLIN }, 1, 2000);
        close(ready[0]);
        return pid > 0 ? pid : 0;
}

void agent_close(pid_t *agent) {
        if (*agent <= 0)
                return;

        /* It puts the terminal's echo back as it was when told so. */
        (void) kill(*agent, SIGTERM);
        while (waitpid(*agent, NULL, 0) < 0 && errno == EINTR)
                ;
        *agent = 0;
}
