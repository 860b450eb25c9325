# SPDX-License-Identifier: Apache-2.0
from scenario import Race
from systems import Haproxy, HaproxyLimit, MeltguardRedis, Nginx, NginxLua


class AdmitRedis(Race):
    name = "admit-redis"
    title = "All admitted, 1 KiB answers, quota in Redis, saturation"
    systems = (Nginx, Haproxy, HaproxyLimit, NginxLua, MeltguardRedis)
    goals = {"meltguard-redis": (0.85, 1.00)}
    redis_goal_us, redis_limit_us = 7, 10

    def check(self, running, slices, outcome):
        ours = sorted(one.redis_us for one in slices[MeltguardRedis.name])
        redis_us = ours[len(ours) // 2]
        word = "over the limit" if redis_us > self.redis_limit_us else "good"
        outcome.notes.append(f"CPU of Redis for a request of meltguard: {redis_us:.1f} µs "
                             f"(goal {self.redis_goal_us}, limit {self.redis_limit_us}: {word})")
