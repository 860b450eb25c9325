# SPDX-License-Identifier: Apache-2.0
from scenario import Race
from systems import Haproxy, MeltguardRedis, Nginx


class AdmitRedis20k(Race):
    name = "admit-redis-20k"
    title = "The same at 20,000 requests a second"
    systems = (Nginx, Haproxy, MeltguardRedis)
    goals = {"meltguard-redis": (1.00, 1.15)}
    load = {"rate": 20000}
