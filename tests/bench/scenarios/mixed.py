# SPDX-License-Identifier: Apache-2.0
import statistics

from scenario import IS_QUICK, Race
from systems import HaproxyLimit, Meltguard, MeltguardRedis, Nginx, NginxLua

ACCOUNTS = 5_000 if IS_QUICK else 100_000
EACH, LIMIT = 5, 3


class Mixed(Race):
    """The first slices admit nearly all, the last ones nearly none: what counts is all together."""
    name = "mixed"
    title = "Three a day: 100,000 accounts ask five times each, in random order"
    systems = (Nginx, HaproxyLimit, NginxLua, MeltguardRedis, Meltguard)
    goals = {"meltguard-redis": (0.75, 0.95), "meltguard": (0.75, 0.95)}
    settings = {"per_day": LIMIT}
    is_counted = True
    expects = (200, 429)
    load = {"accounts": ACCOUNTS, "scramble": EACH}

    def slice_options(self, i):
        """Each slice goes on in the order where the last one ended; the last one takes what is left."""
        slices = self.slices_each()
        size = ACCOUNTS * EACH // slices
        rest = ACCOUNTS * EACH - size * (slices - 1)
        return {**self.load, "skip": i * size, "requests": size if i < slices - 1 else rest}

    def judge(self, system, mine, slices):
        """Of neighbours, which admit about the same share, the middle ratio counts."""
        ratios = [own.cpu_us / base.cpu_us for own, base in zip(mine, slices[Nginx.name])]
        middles = [statistics.median(ratios[i:i + self.cuts]) for i in range(0, len(ratios), self.cuts)]
        return self.row(system, statistics.mean(middles), cells=self.cells(mine, system.uses_redis))

    def check(self, running, slices, outcome):
        """Exact: three for everybody, and not one more."""
        for system in running:
            admitted = sum(one.statuses.get("200", {}).get("count", 0) for one in slices[system.name])
            expected = ACCOUNTS * (EACH if type(system) is Nginx else LIMIT)
            if admitted != expected:
                outcome.problems.append(f"{system.title}: admitted {admitted:,}, not {expected:,}")
