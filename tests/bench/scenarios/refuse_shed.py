# SPDX-License-Identifier: Apache-2.0
import time

from scenario import Race
from systems import Meltguard, Nginx, NginxRefuses

HOT_C = 95


class RefuseShed(Race):
    name = "refuse-shed"
    title = "All refused by shedding: every GPU too hot"
    systems = (Nginx, NginxRefuses, Meltguard)
    goals = {"meltguard": (0.38, 0.49)}
    expects = (429, 503)

    def prepare(self, lab, running, outcome):
        lab.backend.set(temperature=HOT_C, pin=True)
        time.sleep(2.5)     # the gateway looks once a second

    def complain(self, system, result, outcome):
        if type(system) is not Nginx:   # the measure of all: it admits
            super().complain(system, result, outcome)
