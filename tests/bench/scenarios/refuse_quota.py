# SPDX-License-Identifier: Apache-2.0
from scenario import IS_QUICK, Race, drain
from systems import HaproxyLimit, Meltguard, MeltguardRedis, Nginx, NginxLua, NginxRefuses

ACCOUNTS = 5_000 if IS_QUICK else 100_000


class RefuseQuota(Race):
    name = "refuse-quota"
    title = "All refused: accounts out of quota, flood"
    systems = (Nginx, NginxRefuses, HaproxyLimit, NginxLua, MeltguardRedis, Meltguard)
    goals = {"meltguard-redis": (0.38, 0.49), "meltguard": (0.38, 0.49)}
    load = {"accounts": ACCOUNTS}
    settings = {"per_day": 1}
    expects = (429,)

    def prepare(self, lab, running, outcome):
        """Every account has its one image, so that it has none left; then learns that once."""
        for system in running:
            if isinstance(system, (HaproxyLimit, NginxLua, Meltguard)):
                drain(system, ACCOUNTS, expects=200)
                drain(system, ACCOUNTS, expects=429)

    def warm_up(self, system):
        """prepare() was that, and no other account is out of quota."""

    def complain(self, system, result, outcome):
        if type(system) is not Nginx:   # the measure of all: it admits
            super().complain(system, result, outcome)
