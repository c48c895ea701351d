/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spawn */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "spawn.h"
#include "world.h"

/* Returns the environment with what sd_listen_fds(3) looks for. */
static const char *const *pass_stored(const Spawn *spawn) {
        static const char *environment[64];
        static char pid[64], n[64], names[KEEPER_MAX * 256];
        int high[KEEPER_MAX];
        size_t used = 0;

        for (size_t i = 0; i < spawn->n_stored; i++) {
                high[i] = fcntl(spawn->stored[i], F_DUPFD_CLOEXEC, 100);
                if (high[i] < 0)
                        _exit(126);
        }
        for (size_t i = 0; i < spawn->n_stored; i++)
                if (dup2(high[i], 3 + (int) i) < 0)
                        _exit(126);

        snprintf(pid, sizeof(pid), "LISTEN_PID=%d", (int) getpid());
        snprintf(n, sizeof(n), "LISTEN_FDS=%zu", spawn->n_stored);
        snprintf(names, sizeof(names), "LISTEN_FDNAMES=%s", spawn->stored_names);
        for (; spawn->environment[used]; used++)
                environment[used] = spawn->environment[used];
        environment[used++] = pid;
        environment[used++] = n;
        environment[used++] = names;
        return environment;
}

/* Nothing of Check's goes along: no descriptor, no handler, no blocked signal; and it ends with the test. */
static void spawn_child(const Spawn *spawn) {
        int log = spawn->log ? open(spawn->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : STDERR_FILENO;
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC), out = spawn->out >= 0 ? spawn->out : STDERR_FILENO;
        const char *const *environment = spawn->environment;
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* stdout carries the tests' results */
        if (log < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
                _exit(126);
        if (spawn->keep >= 0 && dup2(spawn->keep, 3) < 0)
                _exit(126);
        if (spawn->n_stored > 0)
                environment = pass_stored(spawn);
        close_range(spawn->keep >= 0 ? 4 : 3 + (unsigned) spawn->n_stored, ~0U, 0);
        if (spawn->uid != ROOT && setresuid(spawn->uid, spawn->uid, spawn->uid) < 0)
                _exit(126);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvpe(spawn->argv[0], (char *const *) spawn->argv, (char *const *) environment);
        _exit(127);
}

pid_t spawn(const Spawn *spec) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                spawn_child(spec);
        return pid;
}
