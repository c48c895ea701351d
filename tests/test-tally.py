#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The closing line against logs as meson writes them: test-tally.py TALLY"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

tally = sys.argv[1]

# As meson has them of a program that speaks TAP: its tests, and nothing of how it ended
ONE_OF_TWO = """<testsuite name="p.p:unit / x" tests="2"><testcase name="1" classname="p.p:unit / x" />
<testcase name="2" classname="p.p:unit / x">%s</testcase><system-out>not ok 2</system-out></testsuite>"""
# and of one that does not
WHOLE = '<testsuite name="p" tests="1"><testcase name="p:fuzz / x" classname="p">%s</testcase></testsuite>'


class ClosingLine(unittest.TestCase):
    def check(self, expected, suites, results):
        """@suites, @results: None for a log that was not written"""
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / 'quick.junit.xml'
            if suites is not None:
                log.write_text(f"<?xml version='1.0' encoding='utf-8'?><testsuites>{''.join(suites)}</testsuites>")
            if results is not None:
                log.with_name('quick.json').write_text(
                    ''.join(json.dumps({'name': name, 'result': result}) + '\n' for name, result in results.items()))
            run = subprocess.run([tally, log], stdout=subprocess.PIPE, text=True, check=False)
            self.assertEqual(run.stdout.splitlines()[-1], expected)
            self.assertEqual(run.returncode, 0 if expected.endswith(' 0 failed') else 1)

    def test_what_passed_is_counted(self):
        self.check('3 passed, 0 failed', [ONE_OF_TWO % '', WHOLE % ''], {'p:unit / x': 'OK', 'p:fuzz / x': 'OK'})

    def test_what_failed_or_was_skipped_is_counted_once(self):
        self.check('1 passed, 1 failed', [ONE_OF_TWO % '<failure />'], {'p:unit / x': 'FAIL'})
        self.check('1 passed, 1 failed', [ONE_OF_TWO % '<skipped />'], {'p:unit / x': 'OK'})
        self.check('0 passed, 1 failed', [WHOLE % '<failure />'], {'p:fuzz / x': 'FAIL'})

    def test_a_program_that_died_or_was_slow_failed_whatever_it_said_before(self):
        for result in ('ERROR', 'TIMEOUT', 'INTERRUPT'):
            self.check('2 passed, 1 failed', [ONE_OF_TWO % ''], {'p:unit / x': result})
            self.check('0 passed, 1 failed', [WHOLE % ''], {'p:fuzz / x': result})

    def test_a_program_that_said_nothing_failed(self):
        self.check('1 passed, 1 failed', [WHOLE % ''], {'p:unit / x': 'ERROR', 'p:fuzz / x': 'OK'})

    def test_a_log_that_is_not_there_failed(self):
        self.check('0 passed, 1 failed', None, None)
        self.check('0 passed, 1 failed', None, {'p:unit / x': 'OK'})
        self.check('0 passed, 1 failed', [], {})
        self.check('2 passed, 1 failed', [ONE_OF_TWO % ''], None)


unittest.main(argv=sys.argv[:1])
