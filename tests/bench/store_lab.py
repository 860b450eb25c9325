# SPDX-License-Identifier: Apache-2.0
"""The quota store alone on a Redis of its own: `store-load` drives it through the gateway's own client, pipelined, so that
what is measured is what Redis does.  Redis has the core under test; the load has the other."""
import json
import subprocess

import harness
import lab as laboratory
from scenario import Outcome, Row, Scenario

STORE_LOAD = f"{harness.BUILD}/store-load"


class Subject:
    """What a row is about, where it is no system."""

    def __init__(self, name, title, is_ours=True):
        self.name, self.title, self.is_ours = name, title, is_ours


class StoreScenario(Scenario):
    mark = None

    def run(self):
        outcome = Outcome(self)
        with laboratory.Lab() as lab:
            with laboratory.on(laboratory.TEST_CORE):
                self.redis = lab.start(harness.Redis())
            self.measure_store(outcome)
        return outcome

    def measure_store(self, outcome):
        raise NotImplementedError

    def steps(self, *steps, timeout=1800, **options):
        """Runs these steps; gives what each told."""
        command = [STORE_LOAD, "--socket", self.redis.socket_path]
        for key, value in options.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        with laboratory.on(laboratory.LOAD_CORE):
            done = subprocess.run([*command, *steps], capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode != 0:
            raise harness.Failure(f"store-load: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def empty(self):
        self.redis.command("FLUSHALL", "SYNC")

    def memory_bytes(self):
        """Of the data: no client is there but this one."""
        info = self.redis.command("INFO", "memory")
        info = info.decode() if isinstance(info, bytes) else info
        return int(info.split("used_memory:")[1].split()[0])

    def growth(self, *steps, **options):
        """Bytes an account that these steps leave in an empty Redis."""
        self.empty()
        before = self.memory_bytes()
        self.steps(*steps, **options)
        return (self.memory_bytes() - before) / options["accounts"]

    @staticmethod
    def figure(name, title, value, is_ours=True, goal=None, **more):
        return Row(Subject(name, title, is_ours), value, goal=goal, **more)
