#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The work of which a release learns: what a gateway does most, with either store.

MELTGUARD_BUILD  the folder of the load and of the simulated backend (build)
MELTGUARD        the gateway that counts what it does; it writes that down when it ends"""
import lab as laboratory
import harness
from systems import Meltguard, MeltguardRedis

ACCOUNTS, EACH, PER_DAY = 15_000, 5, 3      # of five requests of each, three are admitted
LARGE_BYTES, LARGE_REQUESTS = 1_100_000, 500


def work(kind, image_bytes, connections, requests, accounts=1, each=1, **settings):
    with laboratory.Lab() as lab:
        lab.start_backend(image_bytes)
        gateway = kind(lab, **settings)
        result = laboratory.load(gateway.address, connections=connections, requests=requests, accounts=accounts, scramble=each)
        if not set(result["statuses"]) <= {"200", "429"}:
            raise harness.Failure(f"the gateway to be trained: {result}")


def main():
    for kind in Meltguard, MeltguardRedis:
        work(kind, 700, 64, ACCOUNTS * EACH, ACCOUNTS, EACH, per_day=PER_DAY)
        work(kind, LARGE_BYTES, 16, LARGE_REQUESTS)


if __name__ == "__main__":
    main()
