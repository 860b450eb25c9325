# SPDX-License-Identifier: Apache-2.0
from scenario import IS_QUICK
from store_lab import StoreScenario

GOAL_BYTES = 12
ACCOUNTS = 20_000 if IS_QUICK else 1_000_000
SWEEP = (10, 1_000) if IS_QUICK else (10, 1_000, 100_000, 3_000_000)


class RedisMemory(StoreScenario):
    """Each account is charged one image by a real reserve and settle; a key an account by INCRBY and EXPIRE."""
    name = "redis-memory"
    title = "Redis memory of one daily quota"
    unit = "bytes an account and day"
    precision = 1

    def measure_store(self, outcome):
        keys = self.growth("keys", accounts=ACCOUNTS)
        self.add(outcome, ACCOUNTS, keys, goal=GOAL_BYTES)
        outcome.rows.append(self.figure("keys", f"INCRBY, a key an account, {ACCOUNTS:,}", keys, is_ours=False,
                                        cells={"× a key each": "1.00"}))
        for accounts in SWEEP:
            self.add(outcome, accounts, keys)
        value = self.growth("fill", accounts=ACCOUNTS, sized_for=8_000_000)
        outcome.rows.append(self.figure("default", f"{ACCOUNTS:,}, quota.accounts: 8,000,000", value,
                                        cells={"× a key each": f"{value / keys:.2f}"}))
        outcome.notes.append("quota.accounts is the number of accounts, where it is not named; it makes 1,024 buckets at least")

    def add(self, outcome, accounts, keys, goal=None):
        value = self.growth("fill", accounts=accounts)
        outcome.rows.append(self.figure("meltguard", f"meltguard, {accounts:,} accounts", value, goal=goal, limit=goal,
                                        cells={"× a key each": f"{value / keys:.2f}"}))
