# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Makes an emulator slow, and stops it now and then, as a busy host does.

What runs in the guest sees its clock go on, and finds itself somewhere else after a stop: a test that fails for it
counts on being fast.
"""

import contextlib
import os
import random
import signal
import threading

# Seconds: a turn of a slow emulator, and how long it runs at most between two stops
TURN = 0.1
RUN_MAX = 10


class Brake:
    """@stall: stopped for up to so many seconds, again and again. @slow: gets one of so many parts of the time."""

    def __init__(self, stall=0, slow=1, seed=None):
        self.stall, self.slow = stall, slow
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        self.over = threading.Event()
        self.thread = None

    def begin(self, pid):
        self.over.clear()
        if self.stall > 0 or self.slow > 1:
            self.thread = threading.Thread(target=self.work, args=(pid, random.Random(self.seed)), daemon=True)
            self.thread.start()

    def end(self):
        """Before anybody waits for the end of the emulator: the number may be another's afterwards."""
        self.over.set()
        if self.thread:
            self.thread.join()
        self.thread = None

    def work(self, pid, chance):
        while not self.over.is_set():
            self.run(pid, chance.uniform(0, RUN_MAX))
            self.stop(pid, chance.uniform(0, self.stall))

    def run(self, pid, seconds):
        if self.slow <= 1:
            self.over.wait(seconds)
            return
        for _ in range(max(int(seconds / TURN), 1)):
            self.over.wait(TURN / self.slow)
            self.stop(pid, TURN - TURN / self.slow)

    def stop(self, pid, seconds):
        # It may have ended by itself
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.over.wait(seconds)
            os.kill(pid, signal.SIGCONT)
