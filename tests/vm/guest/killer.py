# SPDX-License-Identifier: LGPL-2.1-or-later
"""Death of the service, or of one of its children, at a certain system call."""

import collections
import contextlib
import subprocess

import lib

TRACE = '/run/trace'
STEPS_MAX = 60


class Killer:
    """
    strace on the daemon and its children: each dies at its @number-th @call, or of those @call that go to one of @paths.
    With an @effect of "error=EBUSY" the kernel refuses it that call instead.
    """

    def __init__(self, call, number, paths=(), effect='signal=SIGKILL'):
        self.call, self.number, self.pid = call, number, lib.daemon_pid()
        self.process = subprocess.Popen(
            ['strace', '-f', '-q', '-o', TRACE, '-p', str(self.pid), '-e', f'trace={call}', '-e', 'signal=none',
             '-e', f'inject={call}:{effect}:when={number}', *(word for path in paths for word in ('-P', path))], stderr=subprocess.PIPE, text=True)
        lib.wait_for(lambda: f'TracerPid:\t{self.process.pid}' in open(f'/proc/{self.pid}/status', encoding='ascii').read(),
                     'strace to attach')

    def end(self):
        """Whether it has killed anything."""
        self.process.terminate()
        self.process.communicate(timeout=lib.PATIENCE)
        return self.has_killed()

    def has_killed(self):
        """Some process has come to its @number-th @call."""
        with open(TRACE, encoding='utf-8', errors='replace') as file:
            pids = [line.split()[0] for line in file if f' {self.call}(' in line]
        return any(count >= self.number for count in collections.Counter(pids).values())


def stopped_child():
    """A child of the service that an effect of "signal=SIGSTOP" has stopped; 0: there is none."""
    for pid in lib.run(['pgrep', '--parent', str(lib.daemon_pid())]).stdout.split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f'/proc/{pid}/stat', encoding='ascii') as file:
            if file.read().rsplit(')', 1)[1].split()[0] in 'tT':
                return int(pid)
    return 0


def every_step(one, calls):
    """one(call, number) for each of @calls and each number, until it returns that the call was not reached. Returns how many were."""
    steps = 0
    for call in calls:
        for number in range(1, STEPS_MAX):
            if not one(call, number):
                break
            steps += 1
        else:
            raise AssertionError(f'{call} never ends')
        print(f'{call}: {number - 1} times', flush=True)
    return steps
