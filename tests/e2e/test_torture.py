# SPDX-License-Identifier: Apache-2.0
"""The torture test's short form: every world for a few seconds.  `make torture` takes minutes, and any seed."""
import os
import re
import signal
import sys
import unittest

from harness import Program, until

TORTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torture")
sys.path.append(TORTURE)

from clocks import faketime_library  # noqa: E402

SECONDS = 4
# Worlds mostly wait; so many do it together.
AT_ONCE = 4
# What must happen in so short a time, where it is left to chance otherwise.
ONLY = {"sentinel": ("kill_master", "command_failover", "kill_gate"), "replicas": ("kill_master", "trouble_backends"),
        "cluster": ("reshard", "reshard_slowly", "reshard_and_kill_gate", "move_master", "kill_node")}
SHAPES = {"redis": "skipped", "embedded": "two_days"}


class Torture(unittest.TestCase):
    """Each world is a process of its own, started before its test wants to know how it went."""

    @classmethod
    def setUpClass(cls):
        cls.to_come = ["sentinel", "replicas", "clocks", "cluster", "redis", "embedded"]    # the longest first
        if not faketime_library():
            cls.to_come.remove("clocks")
        cls.started = {}
        cls.addClassCleanup(cls.end_all)

    @classmethod
    def fill(cls):
        while cls.to_come and sum(program.is_running for program in cls.started.values()) < AT_ONCE:
            cls.start(cls.to_come.pop(0))

    @classmethod
    def start(cls, world):
        only = [word for fault in ONLY.get(world, ()) for word in ("--only", fault)]
        shape = ["--shape", SHAPES[world]] if world in SHAPES else []
        cls.started[world] = Program(
            sys.executable, os.path.join(TORTURE, "torture.py"), "--seconds", str(SECONDS), "--seed", "1", "--clients",
            "8", "--commit", "acknowledged", *only, *shape, world)

    @classmethod
    def end_all(cls):
        for program in cls.started.values():
            if program.is_running:
                program.send_signal(signal.SIGTERM)
                program.wait()

    def torture(self, world):
        def is_over():
            self.fill()
            return world in self.started and not self.started[world].is_running

        until(is_over, 110, every=0.1, what=lambda: self.started[world].output)
        program = self.started[world]
        self.assertEqual(program.wait(), 0, program.output)
        self.assertGreater(int(re.search(r"answers: .*?(\d+) whole", program.output)[1]), 30, program.output)

    def test_clocks(self):
        if not faketime_library():
            self.skipTest("libfaketime is not installed: make deps")
        self.torture("clocks")

    def test_cluster(self):
        self.torture("cluster")

    def test_embedded(self):
        self.torture("embedded")

    def test_redis(self):
        self.torture("redis")

    def test_replicas(self):
        self.torture("replicas")

    def test_sentinel(self):
        self.torture("sentinel")
