# SPDX-License-Identifier: Apache-2.0
import statistics

from scenario import Race
from systems import Haproxy, HaproxyLimit, MeltguardRedis, Nginx, NginxLua


class AdmitRedis(Race):
    name = "admit-redis"
    title = "All admitted, 1 KiB answers, quota in Redis, saturation"
    systems = (Nginx, Haproxy, HaproxyLimit, NginxLua, MeltguardRedis)
    goals = {"meltguard-redis": (0.85, 1.00)}
    # Of what the other one takes here, by one command a decision: 7 and 10 µs where that takes 14.9.
    redis_goal, redis_limit = 7 / 14.9, 10 / 14.9

    def check(self, running, slices, outcome):
        if NginxLua.name not in slices:
            return
        ours, theirs = (statistics.median(one.redis_us for one in slices[kind.name]) for kind in (MeltguardRedis, NginxLua))
        word = "over the limit" if ours > self.redis_limit * theirs else "good"
        outcome.notes.append(f"CPU of Redis for a request of meltguard: {ours:.1f} µs (goal {self.redis_goal * theirs:.1f}, "
                             f"limit {self.redis_limit * theirs:.1f}, in proportion to nginx + Lua: {word})")
