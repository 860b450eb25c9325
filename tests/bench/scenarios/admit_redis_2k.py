# SPDX-License-Identifier: Apache-2.0
from scenario import Race
from systems import Haproxy, MeltguardRedis, Nginx, NginxLua


class AdmitRedis2k(Race):
    name = "admit-redis-2k"
    title = "The same at 2,000 requests a second: each pays its own wake-ups"
    systems = (Nginx, Haproxy, NginxLua, MeltguardRedis)
    goals = {"meltguard-redis": (1.00, 1.15)}
    load = {"rate": 2000}
    repeats = 2
    cuts = 1    # or the 64 connections of each slice would be a sixth of its work
