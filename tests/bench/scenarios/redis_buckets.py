# SPDX-License-Identifier: Apache-2.0
from scenario import IS_QUICK
from store_lab import StoreScenario

BUCKET_ACCOUNTS = 128       # that quota.accounts aims at
# (accounts in a bucket, buckets)
LOADS = ((0.01, 2 ** 20), (0.1, 2 ** 20), (1, 2 ** 17), (8, 2 ** 15), (32, 2 ** 13), (64, 2 ** 12), (128, 2 ** 12),
         (256, 2 ** 11), (350, 2 ** 11), (440, 2 ** 10), (512, 2 ** 10), (640, 2 ** 10))
ROUNDS = 6


class RedisBuckets(StoreScenario):
    """What counts is how full a bucket is: 640 accounts in each of 1,024 are to Redis what 200 million are in a layout for
    40 million.  Layouts of quota.accounts have 90 to 181."""
    name = "redis-buckets"
    title = "Redis by accounts in a bucket (one daily quota)"
    unit = "bytes an account and day"
    precision = 1

    def measure_store(self, outcome):
        for load, buckets in LOADS[2:6] if IS_QUICK else LOADS:
            self.measure_load(outcome, load, buckets)
        outcome.notes.append("µs: server CPU within the command, the middle of all rounds; quota_bucket_accounts tells the load, "
                             "above 350 the log, too")

    def measure_load(self, outcome, load, buckets):
        options = {"accounts": max(int(load * buckets), 10), "sized_for": buckets * BUCKET_ACCOUNTS}
        value = self.growth("fill", **options)
        told = self.steps(*["reserve", "settle", "pairs"] * ROUNDS, **options)
        reserve, pairs = (sorted(one[used] / one["ops"] for one in told if one["step"] == step)[ROUNDS // 2]
                          for step, used in (("reserve", "evalsha_us"), ("pairs", "pair_us")))
        outcome.rows.append(self.figure("meltguard", f"{load:g} accounts a bucket", value, cells={
            "accounts": f"{options['accounts']:,}", "reserve µs": f"{reserve:.1f}",
            "× INCRBY+EXPIRE": f"{reserve / pairs:.1f}"}))
