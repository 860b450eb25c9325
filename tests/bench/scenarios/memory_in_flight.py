# SPDX-License-Identifier: Apache-2.0
import time

import lab as laboratory
from scenario import IS_QUICK, Scenario
from systems import Haproxy, Meltguard, MeltguardRedis, Nginx

REQUESTS = 500 if IS_QUICK else 4000


class Queued(Meltguard):
    """One request at the backend; all others wait for its place."""
    name, title = "meltguard-queued", "meltguard, held in its queue"

    def __init__(self, lab, **settings):
        super().__init__(lab, **{**settings, "max_in_flight": 1})


class MemoryInFlight(Scenario):
    name = "memory-in-flight"
    title = "Memory of a request in flight, waiting for its image"
    unit = "bytes"
    precision = 0
    mark = None
    systems = (Nginx, Haproxy, Meltguard, MeltguardRedis, Queued)
    goals = {name: (1536, 3072) for name in ("meltguard", "meltguard-redis", "meltguard-queued")}

    def measure(self, lab, running, outcome):
        outcome.notes.append(f"{REQUESTS:,} requests whose backend does not answer")
        for system in running:
            laboratory.load(system.address, requests=2000)      # pools and caches
            lab.backend.set(hang_next=REQUESTS)
            time.sleep(0.5)
            before = system.rss_bytes()
            with laboratory.staying_load(system.address, connections=REQUESTS, requests=REQUESTS,
                                         no_wait=True) as result:
                time.sleep(1.5)
                each = (system.rss_bytes() - before) / REQUESTS
            if result["sent"] != REQUESTS or result["answered"]:
                outcome.problems.append(f"{system.title}: {result}")
            lab.backend.set(hang_next=0)
            outcome.rows.append(self.row(system, each))
