# SPDX-License-Identifier: Apache-2.0
from scenario import Race
from systems import Haproxy, Meltguard, MeltguardRedis, Nginx, NginxTuned


class Large(Race):
    name = "large"
    title = "1.5 MB answers (an image in base64), counted"
    systems = (Nginx, NginxTuned, Haproxy, Meltguard, MeltguardRedis)
    goals = {"meltguard": (0.32, 0.45), "meltguard-redis": (0.32, 0.45)}
    image_bytes = 1_100_000
    load = {"connections": 16}
