# SPDX-License-Identifier: Apache-2.0
import statistics

from scenario import Race, Row, quartiles
from systems import Direct, Haproxy, Meltguard, MeltguardRedis, Nginx, NginxLua


class Latency(Race):
    """Wake-ups make most of it, and cost five times as much on one machine as on another.  So it is measured by what nginx
    adds here that asks Redis, too: that is the limit, and the goal is 60 of its 107 µs at p50, 150 of its 340 at p99."""
    name = "latency"
    title = "Latency added at 2,000 requests a second"
    unit = "µs at p99, against direct"
    precision = 0
    mark = None
    systems = (Direct, Nginx, Haproxy, NginxLua, MeltguardRedis, Meltguard)
    goals = {"meltguard-redis": {"p50": 60 / 107, "p99": 150 / 340}}
    load = {"rate": 2000}
    cuts = 1

    def judge(self, system, mine, slices):
        added, goals = self.added(mine, slices), self.goals_here(system, slices)
        low, high = quartiles(added["p99"])
        p50 = Row(system, statistics.median(added["p50"]), **goals["p50"])
        cells = {"p50 added": f"{p50.value:.0f} µs", "p50 goal": self.told(p50), **self.cells(mine, system.uses_redis)}
        return Row(system, statistics.median(added["p99"]), low=low, high=high, cells=cells, **goals["p99"])

    @staticmethod
    def added(mine, slices):
        """µs beyond a direct request, round by round."""
        return {at: [getattr(own, at) - getattr(base, at) for own, base in zip(mine, slices[Direct.name])]
                for at in ("p50", "p99")}

    def goals_here(self, system, slices):
        if system.name not in self.goals:
            return {"p50": {}, "p99": {}}
        limits = {at: statistics.median(each) for at, each in self.added(slices[NginxLua.name], slices).items()}
        return {at: {"goal": limits[at] * part, "limit": limits[at]} for at, part in self.goals[system.name].items()}

    @staticmethod
    def told(row):
        return "" if row.goal is None else f"{row.goal:.0f} µs, limit {row.limit:.0f}: {row.verdict}"
