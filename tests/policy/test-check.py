#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator is told of files before the service has them: test-check.py DAEMON"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

DAEMON = sys.argv[1]


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ('sys', 'dev', 'proc'):
            (self.root / name).mkdir()

    def write(self, name, text):
        path = self.root / 'etc/vfio-broker' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self, status, *texts):
        """The exit status, and that all @texts are told where somebody sees them, also where systemd has started a shell."""
        command = [DAEMON, '--check', f'--root={self.root}', f'--config={self.root}/etc/vfio-broker/vfio-broker.conf']
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                                env={**os.environ, 'JOURNAL_STREAM': '1:1'})
        self.assertEqual(result.returncode, status, result)
        for text in texts:
            self.assertIn(text, result.stdout + result.stderr)

    def test_nothing_is_wrong_with_no_files_or_with_right_ones(self):
        self.check(0, 'Nothing is wrong')
        self.write('vfio-broker.conf', '[Limits]\nLeasesMax=3\n')
        self.write('vfio-broker.conf.d/50-ci.conf', '[Binding]\nOnAcquire=yes\n')
        self.write('pools.d/ci.conf', '[Pool]\nDevice=pf=0000:03:00.0\nMax=2\n')
        self.check(0, 'Nothing is wrong')

    def test_each_file_that_is_wrong_is_told(self):
        self.write('vfio-broker.conf.d/50-ci.conf', '[Binding]\nOnAquire=yes\n')
        self.check(1, '50-ci.conf:2: unknown key OnAquire')
        self.write('vfio-broker.conf', '[Limits]\nLeasesMax=many\n')
        self.write('vfio-broker.conf.d/60-limits.conf', '[Limits]\nLeasesMax=few\n')
        self.write('pools.d/ci.conf', '[Pool]\nDevice=nonsense=1\n')
        self.write('release.d/50-disk.hook', '[Hook]\nMatch=class=nvme\nExec=/nonexistent\n')
        self.check(1, 'vfio-broker.conf:2: wrong value', '60-limits.conf:2: wrong value', 'pools.d/ci.conf: line 2', 'Release hook 50-disk cannot run')


unittest.main(argv=sys.argv[:1])
