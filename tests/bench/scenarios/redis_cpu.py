# SPDX-License-Identifier: Apache-2.0
import statistics

from scenario import IS_QUICK, ROUNDS, quartiles
from store_lab import StoreScenario

ACCOUNTS = 20_000 if IS_QUICK else 1_000_000
PER_SECOND_GOAL = 120_000
ALL = "day,rate,flight"
# First looks at most of the buckets, as a gateway has after some minutes.
KNOWN = ["reserve", "settle"] * 6
# name, title, limits, step, what it uses, goal in µs
FIGURES = (
    ("reserve", "reserve: a daily limit", "day", "reserve", "evalsha_us", 7),
    ("settle", "settle: all was used", "day", "settle", "zrem_us", 1),
    ("refund", "settle: gives back", "day", "refund", "evalsha_us", 6),
    ("reserve-all", "reserve: day, rate, in flight", ALL, "reserve", "evalsha_us", 10),
    ("refund-all", "settle of these: gives back", ALL, "refund", "evalsha_us", None),
    ("whole", "reserve, daily: all that Redis does", "day", "reserve", "cpu_us", 1e6 / PER_SECOND_GOAL),
)


class RedisCpu(StoreScenario):
    """Of a million accounts that are known already; INCRBY and EXPIRE of a key an account take turns with them, in a
    database of their own: nobody's Redis holds both."""
    name = "redis-cpu"
    title = "Redis CPU a decision, pipelined"
    unit = "µs on one core"
    precision = 2

    def measure_store(self, outcome):
        told = {}
        for limits in ("day", ALL):
            options = {"accounts": ACCOUNTS, "limits": limits}
            self.empty()
            self.steps("fill", "keys", **options)
            told[limits] = self.steps(*KNOWN, *["reserve", "settle", "pairs", "reserve", "refund"] * ROUNDS, **options)[len(KNOWN):]
        for name, title, limits, step, used, goal in FIGURES:
            self.add(outcome, name, title, told[limits], step, used, goal)
        pairs = self.times(told["day"], "pairs", "pair_us")
        low, high = quartiles(pairs)
        outcome.rows.append(self.figure("pairs", "INCRBY and EXPIRE", statistics.median(pairs), is_ours=False, low=low,
                                        high=high, cells={"× INCRBY+EXPIRE": "1.0"}))

    @staticmethod
    def times(told, step, used):
        """Redis measures commands by the clock, which runs on while the core serves others; its CPU time does not, but holds
        what comes before and after commands.  The smaller is nearer to the truth."""
        return [min(one[used], one["cpu_us"]) / one["ops"] for one in told if one["step"] == step]

    def add(self, outcome, name, title, told, step, used, goal):
        each = self.times(told, step, used)
        value, (low, high) = statistics.median(each), quartiles(each)
        pairs = statistics.median(self.times(told, "pairs", "cpu_us" if used == "cpu_us" else "pair_us"))
        cells = {"best": f"{min(each):.2f}", "× INCRBY+EXPIRE": f"{value / pairs:.1f}"}
        if used == "cpu_us":
            cells["a second and core"] = f"{1e6 / value:,.0f}"
        outcome.rows.append(self.figure(name, title, value, low=low, high=high, goal=goal, cells=cells))
