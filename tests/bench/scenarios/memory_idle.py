# SPDX-License-Identifier: Apache-2.0
import time

import lab as laboratory
from scenario import IS_QUICK, Scenario
from systems import Haproxy, Meltguard, MeltguardRedis, Nginx

CONNECTIONS = 1000 if IS_QUICK else min(10_000, laboratory.MAX_CONNECTIONS - 200)


class MemoryIdle(Scenario):
    name = "memory-idle"
    title = "Memory of an idle kept-alive connection"
    unit = "bytes"
    precision = 0
    mark = None
    systems = (Nginx, Haproxy, Meltguard, MeltguardRedis)
    goals = {"meltguard": (500, 650), "meltguard-redis": (500, 650)}

    def measure(self, lab, running, outcome):
        outcome.notes.append(f"{CONNECTIONS:,} connections, each after one request")
        for system in running:
            # Pools, caches, and what the store keeps of each account, whether it is connected or not.
            laboratory.load(system.address, requests=CONNECTIONS)
            time.sleep(0.5)
            before = system.rss_bytes()
            with laboratory.staying_load(system.address, connections=CONNECTIONS, in_flight=32,
                                         requests=CONNECTIONS) as result:
                time.sleep(0.5)
                each = (system.rss_bytes() - before) / CONNECTIONS
            if result["statuses"].get("200", {}).get("count") != CONNECTIONS:
                outcome.problems.append(f"{system.title}: {result}")
            outcome.rows.append(self.row(system, each))
