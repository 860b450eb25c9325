# SPDX-License-Identifier: Apache-2.0
"""A Cluster of three masters: slots move while their accounts are served, nodes die and come back, one is failed over.
Of all that, only a master that dies and is replaced by its replica may lose anything: see failover.py."""
from failover import Failover
from harness import until
from model import LEASE_S
from redis_world import OnRedis
from redises import DURABLE, Cluster, slot_of


class Clustered(OnRedis):
    """The first master has a replica; the others come back with their own files."""

    def _start_store(self):
        self.cluster = Cluster(self._started, *DURABLE)
        self.nodes = self.cluster.nodes
        self.pair = [self.cluster.masters[0], self.cluster.replica]
        return {"quota_store": self.cluster.url}

    def masters(self):
        return self.cluster.serving()

    def _is_whole(self):
        return until(self.cluster.is_well, 30, every=0.05, what="the Cluster is not whole again")

    def _live_slots(self):
        """Those where something is held, and some where something is counted."""
        keys = [key for node in self.masters() for key in
                node.command("KEYS", "mg:*:h") + sorted(node.command("KEYS", "mg:*:c*"))[:40]]
        slots = sorted({slot_of(key.split(b"{")[1].split(b"}")[0]) for key in keys})
        self.rng.shuffle(slots)
        return slots[:self.rng.randint(2, 5)]

    def _reshard(self, model, pauses, meanwhile=None):
        self._is_whole()
        slots = self._live_slots()
        model.note(f"slots {slots} move")
        for slot in slots:
            target = self.rng.choice([node for node in self.masters() if node is not self.cluster.owner(slot)])
            self.cluster.move(slot, target, pause=lambda: self.wait(self.rng.choice(pauses)))
            if meanwhile:
                meanwhile()
                meanwhile = None
        model.note("they have moved")

    def reshard(self, model):
        self._reshard(model, (0.002, 0.05))

    def reshard_slowly(self, model):
        """Slots stay half moved for long."""
        self._reshard(model, (0.02, 0.4))

    def reshard_and_kill_gate(self, model):
        self._reshard(model, (0.01, 0.1), lambda: self.kill_gate(model, 0.05))

    def kill_node(self, model):
        """One that nobody stands in for."""
        node = self.rng.choice(self.cluster.masters[1:])
        model.note(f"{node.at} is killed")
        self.down()
        node.kill9()
        self.wait(self.rng.choice((0, 0.3, LEASE_S * 1.6)))
        node.start()
        self._is_whole()
        self.up(model)
        model.note(f"{node.at} is back")

    def _pair(self):
        """(master, replica)"""
        first, second = self.pair
        return (first, second) if first.is_master else (second, first)

    def move_master(self, model):
        """In an orderly way, which loses nothing."""
        _, replica = self._pair()
        model.note(f"{replica.at} takes over")
        self.down()
        self.cluster.takes_over(replica)
        self.up(model)

    def kill_master(self, model):
        old, replica = self._pair()
        failover = Failover("a node of the Cluster is killed", False).watch(old, [replica])
        self.failovers.append(failover)
        self.down()
        model.note(f"{old.at} is killed, and its replica stands in for it")
        old.kill9()
        failover.over()
        until(lambda: replica.is_master, 30, every=0.05, what=lambda: f"nobody took over:\n{replica.output[-2000:]}")
        self.wait(self.rng.choice((0, 0.5)))
        old.start()
        self._is_whole()
        self.up(model)
        model.note(f"{old.at} is back")

    def faults(self):
        return super().faults() + [(4, self.reshard), (3, self.reshard_slowly), (2, self.reshard_and_kill_gate),
                                   (2, self.kill_node), (2, self.move_master), (2, self.kill_master)]

    def would_lose_what_was_sent(self, fault):
        now = self.clock()
        return fault in (self.kill_gate, self.hang_and_kill, self.reshard_and_kill_gate) and any(
            now < up + 4 for _, up in self.redis_down)
