#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests: one line each, then the totals.

  run.py                          all of tests/e2e/test_*.py
  run.py test_quota               one file; also test_quota.Embedded, test_quota.Embedded.test_three_a_day
  run.py -k WORD                  those with WORD in their name
MELTGUARD_BUILD names the folder of the programs; each test may take --limit seconds."""
import argparse
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class OutOfTime(Exception):
    """A test took longer than its limit."""


def on_alarm(_number, _frame):
    raise OutOfTime("the test took too long")


class Lines(unittest.TestResult):
    """One line a test as it ends; what went wrong follows it at once."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self.failed_names = []
        self.passed = self.failed = self.skipped_count = 0
        self._problems = []
        self._skip = None
        self._begun = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._problems, self._skip, self._begun = [], None, time.monotonic()
        signal.alarm(self.limit)

    def _note(self, test, error):
        self._problems.append(self._exc_info_to_string(error, test))

    def addError(self, test, err):
        if isinstance(test, unittest.TestCase):
            self._note(test, err)
        else:                       # setUpClass, tearDownClass or an import
            self._print("FAIL", str(test), self._exc_info_to_string(err, test))
            self.failed += 1

    def addFailure(self, test, err):
        self._note(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._problems.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self._skip = reason
        if not isinstance(test, unittest.TestCase):
            self.skipped_count += 1
            self._print("skip", f"{test} ({reason})", "")

    def addExpectedFailure(self, test, err):
        self._note(test, err)

    def stopTest(self, test):
        signal.alarm(0)
        seconds = time.monotonic() - self._begun
        name = test.id()
        if self._problems:
            self.failed += 1
            self.failed_names.append(name)
            self._print("FAIL", f"{name} {seconds:.2f}s", "\n".join(self._problems))
        elif self._skip is not None:
            self.skipped_count += 1
            self._print("skip", f"{name} ({self._skip})", "")
        else:
            self.passed += 1
            self._print("ok", f"{name} {seconds:.2f}s", "")
        super().stopTest(test)

    @staticmethod
    def _print(word, line, detail):
        print(f"{word:4} {line}", flush=True)
        for text in detail.rstrip().split("\n") if detail else ():
            print(f"       {text}", flush=True)


def each(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each(item)
        else:
            yield item


def load(names, word):
    loader = unittest.TestLoader()
    if names:
        suite = loader.loadTestsFromNames(
            [name.removesuffix(".py").replace("tests/e2e/", "") for name in names])
    else:
        suite = loader.discover(HERE, "test_*.py", HERE)
    tests = [test for test in each(suite) if word in test.id()]
    return unittest.TestSuite(tests)


# Elections and failovers among other servers have deadlines of their own, which a busy machine misses now and then.  A
# test of these that fails is run once more, and seen to be.
TRIED_AGAIN = "test_topologies."


def try_again(lines):
    names = [name for name in lines.failed_names if name.startswith(TRIED_AGAIN)]
    if not names:
        return
    print(f"once more: {' '.join(names)}", flush=True)
    again = Lines(lines.limit)
    load(names, "").run(again)
    lines.passed += again.passed
    lines.failed -= again.passed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-k", default="", metavar="WORD")
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    suite = load(options.names, options.k)
    if options.list:
        for test in suite:
            print(test.id())
        return 0
    signal.signal(signal.SIGALRM, on_alarm)
    lines = Lines(options.limit)
    suite.run(lines)
    try_again(lines)
    totals = f"{lines.passed} passed, {lines.failed} failed"
    if lines.skipped_count:
        totals += f", {lines.skipped_count} skipped"
    print(totals, flush=True)
    return 1 if lines.failed or lines.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
