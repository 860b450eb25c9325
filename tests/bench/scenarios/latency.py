# SPDX-License-Identifier: Apache-2.0
import statistics

from scenario import Race, quartiles
from systems import Direct, Haproxy, Meltguard, MeltguardRedis, Nginx, NginxLua


class Latency(Race):
    name = "latency"
    title = "Latency added at 2,000 requests a second"
    unit = "µs at p99, against direct"
    precision = 0
    mark = None
    systems = (Direct, Nginx, Haproxy, NginxLua, MeltguardRedis, Meltguard)
    goals = {"meltguard-redis": (150, 340)}
    p50_goals = {"meltguard-redis": (60, 107)}
    load = {"rate": 2000}

    def judge(self, system, mine, slices):
        added = {at: [getattr(own, at) - getattr(base, at) for own, base in zip(mine, slices[Direct.name])]
                 for at in ("p50", "p99")}
        low, high = quartiles(added["p99"])
        p50 = statistics.median(added["p50"])
        cells = {"p50 added": f"{p50:.0f} µs", "p50 verdict": self.verdict_p50(system, p50),
                 **self.cells(mine, system.uses_redis)}
        return self.row(system, statistics.median(added["p99"]), low=low, high=high, cells=cells)

    def verdict_p50(self, system, p50):
        if system.name not in self.p50_goals:
            return ""
        goal, limit = self.p50_goals[system.name]
        return "goal" if p50 <= goal else "ok" if p50 <= limit else "over"
