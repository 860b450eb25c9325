# SPDX-License-Identifier: Apache-2.0
from scenario import Race
from systems import Haproxy, Meltguard, Nginx


class AdmitEmbedded(Race):
    name = "admit-embedded"
    title = "All admitted, 1 KiB answers, embedded store, saturation"
    systems = (Nginx, Haproxy, Meltguard)
    goals = {"meltguard": (0.85, 1.00)}
