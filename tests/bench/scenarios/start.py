# SPDX-License-Identifier: Apache-2.0
import os
import statistics
import subprocess
import tempfile
import time

import harness
import lab as laboratory
import wire
from scenario import ROUNDS, Scenario
from systems import Haproxy, Meltguard, Nginx, is_listening

SIZE_GOAL_MB, REST_GOAL_MB = 2, 8
BINARIES = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy",
            "meltguard": harness.MELTGUARD}


def stripped_mb(path):
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["strip", "-o", file.name, path], check=True)
        return os.path.getsize(file.name) / 1e6


def is_ready(address):
    try:
        return wire.fetch(address, "GET", "/readyz", timeout=1).status == 200
    except (OSError, wire.Broken):
        return False


class Start(Scenario):
    """From the start of the process to its first good answer: /readyz, where there is one, else an accepted connection."""
    name = "start"
    title = "Start to ready, size of the binary, memory at rest"
    unit = "ms from start to ready"
    precision = 0
    mark = None
    systems = (Nginx, Haproxy, Meltguard)
    goals = {"meltguard": (50, None)}

    def measure(self, lab, running, outcome):
        time.sleep(1)
        for system in running:
            rest = system.rss_bytes() / 1e6
            system.program.stop() if system.is_ours else system.stop()
            times = [self.time_start(system) for _ in range(ROUNDS)]
            cells = {"binary MB": f"{stripped_mb(BINARIES[system.name]):.2f}", "at rest MB": f"{rest:.1f}"}
            if system.is_ours:
                cells["goals"] = f"{SIZE_GOAL_MB} MB, {REST_GOAL_MB} MB"
            outcome.rows.append(self.row(system, statistics.median(times), cells=cells))

    @staticmethod
    def time_start(system):
        """Milliseconds."""
        command = list(system.program.process.args)
        port = system.address[1]
        if system.is_ours:
            port = harness.free_port()
            path = system.write("start.yaml", open(os.path.join(system.folder, "meltguard.yaml"),
                                                   encoding="utf-8").read()
                                .replace("admin:\n  address: 127.0.0.1:0", f"admin:\n  address: 127.0.0.1:{port}"))
            command[-1] = path
        begun = time.monotonic()
        with laboratory.on(laboratory.TEST_CORE):
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, cwd=system.folder)
        try:
            harness.until(lambda: is_ready(("127.0.0.1", port)) if system.is_ours else is_listening(port),
                          every=0.001)
            return (time.monotonic() - begun) * 1000
        finally:
            process.terminate()
            process.wait(10)
