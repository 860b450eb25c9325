# SPDX-License-Identifier: Apache-2.0
from scenarios.latency import Latency
from systems import Direct, MeltguardRedis, Nginx, Portkey


class LatencyPortkey(Latency):
    """At a rate that Portkey's gateway can keep on one core."""
    name = "latency-portkey"
    title = "Latency added at 200 requests a second, with Portkey's gateway"
    systems = (Direct, Nginx, MeltguardRedis, Portkey)
    goals = {}
    load = {"rate": 200, "connections": 16}
