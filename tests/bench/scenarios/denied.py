# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

from scenario import IS_QUICK
from store_lab import StoreScenario

HEADER = pathlib.Path(__file__).parents[3] / "gateway/quota/denied.h"
ENTRIES = int(re.search(r"#define DENIED_ENTRIES (\d+)", HEADER.read_text()).group(1))
BOUND_BYTES = ENTRIES * 64 + 4096       # as the header says, and the table's own head
BATCH = 2_000 if IS_QUICK else 50_000
CROWD = 10_000 if IS_QUICK else 3 * ENTRIES     # accounts: more than the table can hold


class Denied(StoreScenario):
    """An account that has nothing left asks on and on; then more such accounts than a worker can remember, once each."""
    name = "denied"
    title = "Accounts out of quota: what a refusal asks of Redis"
    unit = "scripts a refusal"
    precision = 3

    def measure_store(self, outcome):
        first, flood = self.steps("flood", "flood", batch=BATCH, per_day=0)
        self.empty()    # Redis is laid out for other numbers of accounts
        crowd = self.steps("reserve", batch=CROWD, accounts=CROWD, per_day=0)[0]
        self.add(outcome, "first", f"one account, its first {BATCH:,} all at once", first, is_ours=False)
        self.add(outcome, "meltguard", f"the same one, {BATCH:,} more", flood, goal=0)
        self.add(outcome, "crowd", f"{CROWD:,} accounts, once each", crowd, is_ours=False)
        if flood["scripts"] > 0:
            outcome.problems.append(f"{flood['scripts']} scripts for an account that was known to have nothing left")
        if crowd["denied_bytes"] > BOUND_BYTES:
            outcome.problems.append(f"the table of refusals has {crowd['denied_bytes']:,} bytes, expected at most {BOUND_BYTES:,}")

    def add(self, outcome, name, title, told, is_ours=True, goal=None):
        outcome.rows.append(self.figure(name, title, told["scripts"] / told["ops"], is_ours=is_ours, goal=goal, limit=goal, cells={
            "refused": f"{told['refused']:,}", "µs a refusal": f"{told['seconds'] * 1e6 / told['ops']:.2f}",
            "table MiB": f"{told['denied_bytes'] / 2 ** 20:.1f}", "forgotten": f"{told['denied_evicted']:,}"}))
