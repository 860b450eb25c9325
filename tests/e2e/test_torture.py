# SPDX-License-Identifier: Apache-2.0
"""The torture test's short form: two seeds, both stores.  `make torture` takes minutes, and any seed."""
import os
import sys
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torture"))

from torture import Run  # noqa: E402

SECONDS = 6


class Torture(unittest.TestCase):
    def torture(self, store, seed, shape, commit):
        run = Run(store, SECONDS, seed, commit, shape, uses_faketime=False, stops_past_lease=False)
        model = run.torture()
        self.assertFalse(model.problems, f"seed {seed}\n{run.summary()}\n{model.report()}\nsee {run.kept}")
        self.assertGreater(model.words()["whole"], 100, run.summary())

    def test_redis(self):
        self.torture("redis", 1, "skipped", "acknowledged")

    def test_embedded(self):
        self.torture("embedded", 2, "two_days", "sent")
