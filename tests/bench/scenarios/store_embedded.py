# SPDX-License-Identifier: Apache-2.0
import json
import os
import statistics
import subprocess
import time

import harness
import lab as laboratory
from scenario import ROUNDS, SECONDS, Outcome, Row, Scenario, quartiles

PROGRAM = os.path.join(harness.BUILD, "embedded-load")
ACCOUNTS = 100_000
LIMIT_US = 20       # 50,000 a second of one core


class Outstanding:
    """The store alone, with so many requests under way."""
    is_ours = True

    def __init__(self, requests):
        self.requests = requests
        self.name, self.title = f"outstanding-{requests}", f"{requests:,} requests under way"


class StoreEmbedded(Scenario):
    """A decision is a reserve, and a commit that settles and is on disk when it is answered.  Worker, store's thread and
    load share one core; decisions a second also depend on what the disk takes for a sync."""
    name = "store-embedded"
    title = "Embedded store alone: durable decisions on one core"
    unit = "CPU µs"
    mark = (LIMIT_US, "50,000 a second of one core")
    systems = (64, 256, 1024)

    def run(self):
        outcome = Outcome(self)
        with laboratory.Lab() as lab:
            tries = {requests: [] for requests in self.systems}
            for _ in range(ROUNDS):
                for requests in self.systems:
                    tries[requests].append(self.decide(lab, requests, outcome))
        for requests in self.systems:
            outcome.rows.append(self.judge(Outstanding(requests), tries[requests]))
        return outcome

    @staticmethod
    def decide(lab, requests, outcome):
        words = [PROGRAM, lab.new_folder("store"), str(SECONDS), str(requests), str(ACCOUNTS)]
        with laboratory.on(laboratory.TEST_CORE):
            done = subprocess.run(words, capture_output=True, check=False, timeout=60)
        time.sleep(0.05)
        if done.returncode != 0:
            raise harness.Failure(f"embedded-load: {done.stderr.decode()}")
        result = json.loads(done.stdout)
        if result["refused"]:
            outcome.problems.append(f"{requests} under way: {result['refused']} not durable")
        return result

    @staticmethod
    def judge(system, tries):
        each_us = [one["cpu_us"] for one in tries]
        low, high = quartiles(each_us)

        def middle(what):
            return statistics.median(what(one) for one in tries)
        return Row(system, statistics.median(each_us), low=low, high=high, goal=LIMIT_US, limit=LIMIT_US,
                   cells={"decisions/s": f"{middle(lambda one: one['per_second']):,.0f}",
                          "syncs/s": f"{middle(lambda one: one['syncs'] / one['seconds']):,.0f}",
                          "decisions a sync": f"{middle(lambda one: one['decisions'] / max(one['syncs'], 1)):,.0f}"})
