# SPDX-License-Identifier: Apache-2.0
import os
import statistics

from scenario import Race, quartiles
from systems import MeltguardRedis


class Two(MeltguardRedis):
    name, title = "two-workers", "meltguard, two workers"

    def __init__(self, lab, **settings):
        super().__init__(lab, **{**settings, "workers": 2})


class One(MeltguardRedis):
    name, title = "one-worker", "meltguard, one worker"


class Workers(Race):
    """Both on all cores, so that two workers really run at once; the load and Redis find their place between them."""
    name = "workers"
    title = "CPU time a request with two workers, against one"
    unit = "× one worker"
    mark = (1.0, "one worker")
    systems = (One, Two)
    goals = {"two-workers": (1.05, 1.10)}
    settings = {"cores": os.sched_getaffinity(0)}

    def judge(self, system, mine, slices):
        ratios = [own.cpu_us / base.cpu_us for own, base in zip(mine, slices[One.name])]
        low, high = quartiles(ratios)
        return self.row(system, statistics.median(ratios), low=low, high=high,
                        cells=self.cells(mine, system.uses_redis))
