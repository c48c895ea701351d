/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Trace */

#include <check.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "cleanup.h"
#include "trace.h"

static pid_t tracer_of(pid_t pid) {
        char path[64], line[256];
        pid_t tracer = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "TracerPid: %d", &tracer) == 1)
                        break;
        if (file)
                fclose(file);
        return tracer;
}

void trace_begin(Trace *ret, World *world, pid_t pid) {
        char log[PATH_MAX], target[16];

        *ret = (Trace){ .pid = pid };
        snprintf(log, sizeof(log), "%s/trace", tree_root(world->tree));
        snprintf(target, sizeof(target), "%d", pid);
        ret->strace = fork();
        ck_assert_int_ge(ret->strace, 0);
        if (ret->strace == 0) {
                dup2(STDERR_FILENO, STDOUT_FILENO);
                execlp("strace", "strace", "-qq", "-f", "-y", "-s", "1024", "-o", log, "-p", target, NULL);
                _exit(127);
        }
        WAIT_FOR(world, tracer_of(pid) == ret->strace);

        /* strace has the daemon, but may not have stopped it yet: what it does until then is not seen. */
        for (int i = 0; i < 3; i++)
                ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases");
}

static bool is_resumed(const char *line) {
        return strncmp(line, "<... ", 5) == 0;
}

void trace_read(Trace *ret, World *world, pid_t pid) {
        size_t size = 0;
        char *rest;

        *ret = (Trace){ .pid = pid, .text = world_read(world, "trace") };
        for (const char *p = ret->text; *p; p++)
                size += *p == '\n';
        ret->lines = calloc(size + 1, sizeof(*ret->lines));
        ret->pids = calloc(size + 1, sizeof(*ret->pids));
        ck_assert(ret->lines && ret->pids);

        for (char *line = strtok_r(ret->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                ret->pids[ret->n] = strtol(line, &line, 10);
                line += strspn(line, " ");
                if (*line != '+' && *line != '-')
                        ret->lines[ret->n++] = line;
        }
}

void trace_end(Trace *trace, World *world) {
        pid_t pid = trace->pid;

        kill(trace->strace, SIGTERM);
        waitpid(trace->strace, NULL, 0);
        ck_assert_int_eq(tracer_of(pid), 0);
        trace_read(trace, world, pid);
}

void trace_done(Trace *trace) {
        free(trace->lines);
        free(trace->pids);
        free(trace->text);
        *trace = (Trace){};
}

size_t trace_find(const Trace *trace, pid_t pid, size_t from, const char *what) {
        for (size_t i = from; i < trace->n; i++)
                if (trace->pids[i] == pid && strstr(trace->lines[i], what))
                        return i;
        return trace->n;
}

size_t trace_find_back(const Trace *trace, pid_t pid, size_t to, const char *begin) {
        while (to-- > 0)
                if (trace->pids[to] == pid && strncmp(trace->lines[to], begin, strlen(begin)) == 0)
                        return to;
        return trace->n;
}

static bool is_call_of(const Trace *trace, size_t i, pid_t pid) {
        return (pid ? trace->pids[i] == pid : trace->pids[i] != trace->pid) && !is_resumed(trace->lines[i]);
}

unsigned trace_count(const Trace *trace, pid_t pid, size_t from, size_t to, const char *what) {
        unsigned n = 0;

        for (size_t i = from; i < to; i++)
                n += is_call_of(trace, i, pid) && strstr(trace->lines[i], what);
        return n;
}

char *trace_summary(const Trace *trace, pid_t pid, size_t from, size_t to) {
        char *text = strdup("");

        for (size_t i = from; i < to; i++) {
                int length = (int) strcspn(trace->lines[i], "(");
                bool seen = false;
                unsigned n = 0;
                char *more;

                for (size_t k = from; k < to; k++) {
                        if (!is_call_of(trace, k, pid) || strncmp(trace->lines[k], trace->lines[i], length + 1) != 0)
                                continue;
                        seen = seen || k < i;
                        n++;
                }
                if (!is_call_of(trace, i, pid) || seen)
                        continue;
                ck_assert_int_ge(asprintf(&more, "%s%s%.*s %u", text, text[0] ? ", " : "", length, trace->lines[i], n), 0);
                free(text);
                text = more;
        }
        return text;
}
