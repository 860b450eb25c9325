# SPDX-License-Identifier: Apache-2.0
import harness
from scenario import IS_QUICK
from store_lab import StoreScenario

ACCOUNTS = 100_000 if IS_QUICK else 130_000_000
NEEDED_BYTES = 16 * ACCOUNTS + 512 * 1024 * 1024
SAMPLES = 12


def free_bytes():
    with open("/proc/meminfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


class RedisMemory130m(StoreScenario):
    """The rows of so many accounts are written by plain HSET, one an account, since a decision for each would take half an
    hour: they are what a reserve of one image leaves.  Then real reserves are made among them."""
    name = "redis-memory-130m"
    title = "Redis with 130 million accounts"
    unit = "bytes an account and day"
    precision = 1
    is_only_named = True        # takes minutes and 2 GiB

    def measure_store(self, outcome):
        if free_bytes() < NEEDED_BYTES:
            raise harness.Failure(f"{NEEDED_BYTES >> 20} MiB of free memory are needed, {free_bytes() >> 20} are there")
        value = self.growth("rows", accounts=ACCOUNTS)
        told = self.steps(*["reserve", "settle", "pairs"] * SAMPLES, accounts=ACCOUNTS)
        cpu = {step: sorted(one[used] / one["ops"] for one in told if one["step"] == step)[SAMPLES // 2]
               for step, used in (("reserve", "evalsha_us"), ("settle", "zrem_us"), ("pairs", "pair_us"))}
        outcome.rows.append(self.figure("meltguard", f"meltguard, {ACCOUNTS:,} accounts", value, goal=12, limit=12, cells={
            "GiB": f"{value * ACCOUNTS / 2 ** 30:.2f}", "reserve µs": f"{cpu['reserve']:.1f}",
            "settle µs": f"{cpu['settle']:.1f}", "INCRBY+EXPIRE µs": f"{cpu['pairs']:.1f}"}))
