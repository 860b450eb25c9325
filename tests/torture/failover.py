# SPDX-License-Identifier: Apache-2.0
"""What a failover may lose.

Redis copies to replicas after it has answered, so a master that is replaced may take charges with it that it has
acknowledged.  The bound: only requests are at stake that were under way after the last moment at which every replica
was seen to have all that the master had, and before the old master could answer nothing more.  All other charges stay
exact, and accounts can get no more beyond their limits than the images that were at stake.

With wait_replicas, a charge is on the replica before its image is delivered: then only requests that were under way
when the master was replaced are at stake; earlier ones may at most have lost what they should have given back."""
import time

from harness import Failure, until

# Clients and the fault note their times one after the other, and a gateway's lines are written a little later.
SLACK_S = 0.1
# So long a gateway waits for replicas, before it delivers an image that is not on them: half of its time for Redis.
PATIENCE_S = 1.0


class Failover:
    """One, and its two windows of time: when what is given back may be lost, and when charges may be."""

    def __init__(self, what, waits):
        self.what, self.waits = what, waits
        self.copied = self.replaced = time.time()   # the last time that replicas had all; when it was of use no more
        self.end = float("inf")
        self.requests = self.images = 0             # at stake, as the model counts them

    @property
    def begin(self):
        """Requests that were over before then cannot have lost their charges."""
        is_fresh = self.replaced - self.copied < PATIENCE_S
        return self.replaced if self.waits and is_fresh else self.copied

    def over(self):
        self.end = time.time()

    def concerns(self, begin, end):
        return begin < self.end + SLACK_S and self.copied - SLACK_S < end

    def stakes(self, begin, end):
        return begin < self.end + SLACK_S and self.begin - SLACK_S < end

    def watch(self, master, replicas, timeout=20):
        """Waits until all replicas are in step with the master; notes when."""
        until(lambda: self.look(master, replicas), timeout, every=0.005,
              what=lambda: f"replicas do not follow {master.at}:\n{replicas[0].output[-2000:]}")
        return self

    def look(self, master, replicas):
        """Are they in step now?"""
        at = time.time()
        try:
            offset = int(master.replication["master_repl_offset"])
            in_step = all(replica.has_copied(offset) for replica in replicas)
        except (OSError, KeyError, Failure, ValueError):
            return False
        if in_step:
            self.copied = self.replaced = at
        return in_step

    def describe(self):
        return (f"{self.what}: {self.images} images of {self.requests} requests at stake, in "
                f"{self.end - self.begin:.2f} s")
