# SPDX-License-Identifier: Apache-2.0
"""A master that sentinels replace: killed, stopped, or told to go.  What that may lose is bounded: see failover.py."""
import signal

from failover import Failover
from harness import until
from redis_world import OnRedis
from redises import DURABLE, Watched

# An election may have to be held more than once.
ELECTION_S = 30
CUT_S = 0.2


class Sentinels(OnRedis):
    """Two replicas, of which sentinels choose; nobody waits for them."""

    replicas, waits = 2, False

    def _start_store(self):
        self.redises = Watched(self._started, *DURABLE, replicas=self.replicas)
        self.nodes, self.master = self.redises.nodes, self.redises.master
        for sentinel in self.redises.sentinels:     # one that is busy answers each second's PING late, and is not dead
            sentinel.command("SENTINEL", "SET", "images", "down-after-milliseconds", 1700)
        return {"quota_store": self.redises.url(), "quota": {"wait_replicas": int(self.waits)}}

    def masters(self):
        return [self.master]

    def _others(self):
        return [node for node in self.nodes if node is not self.master]

    def _begin(self, model, what):
        """When all replicas have all."""
        self._notice(model)
        failover = Failover(what, self.waits).watch(self.master, self._others())
        self.failovers.append(failover)
        self.down()
        model.note(what)
        return failover

    def _is_replaced(self):
        told = self.redises.told()
        return told and told is not self.master and told.is_master

    def _notice(self, model):
        """A failover that nobody here asked for: this machine was too slow for its sentinels."""
        until(self.redises.is_settled, ELECTION_S, every=0.1, what="the sentinels do not agree")
        if self.redises.told() is self.master:
            return
        failover = Failover("a failover that nobody asked for", self.waits)
        failover.copied = failover.replaced = self.redis_down[-1][1] if self.redis_down else model.begun
        self.failovers.append(failover)
        self._hand_over(model, failover, self.master)

    @staticmethod
    def _is_left(old):
        """No gateway speaks to it any more."""
        clients = old.command("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
        return all("name=sentinel-" in client or "cmd=client" in client for client in clients)

    def _hand_over(self, model, failover, old):
        """Gateways leave the old master; then it may as well be told at once what sentinels tell it 10 s later."""
        until(lambda: self._is_left(old), ELECTION_S, every=0.01, what=f"gateways stay with {old.at}, the old master")
        failover.over()
        self._end(model, old)
        old.command("REPLICAOF", "127.0.0.1", self.master.port)

    def _end(self, model, old):
        self.master = self.redises.told()
        for node in self._others():
            if node is not old:
                node.command("REPLICAOF", "127.0.0.1", self.master.port)
        self.up(model)
        model.note(f"{self.master.at} is the master, and {old.at} a replica")

    def _cut(self):
        """Replicas lose their connection, so that the master goes on with writes that nobody else has."""
        for node in self._others():
            node.send_signal(signal.SIGSTOP)
        self.master.command("CLIENT", "KILL", "TYPE", "replica")
        self.wait(CUT_S)

    def kill_master(self, model):
        failover = self._begin(model, "the master is killed")
        old = self.master
        is_cut = self.rng.random() < 0.5
        if is_cut:
            self._cut()
        failover.replaced = self.clock()
        old.kill9()
        failover.over()
        for node in self._others() if is_cut else ():
            node.send_signal(signal.SIGCONT)
        until(self._is_replaced, ELECTION_S, every=0.05, what="no new master was elected")
        self.wait(self.rng.choice((0, 0.5)))
        self._end(model, old)
        old.start("--replicaof", "127.0.0.1", self.master.port)

    def command_failover(self, model):
        failover = self._begin(model, "a failover is commanded")
        old, others = self.master, self._others()
        until(self._accept_command, ELECTION_S, every=0.2, what="no sentinel takes the command")
        until(lambda: not failover.look(old, others) and self._is_replaced(), ELECTION_S, every=0.02,
              what="the commanded failover does not come")
        self._hand_over(model, failover, old)

    def _accept_command(self):
        """None of them does while the last failover is not quite over."""
        try:
            return self.redises.sentinels[0].command("SENTINEL", "FAILOVER", "images") is not None
        except ValueError:
            return False

    def stop_master(self, model):
        """As if a network had parted: it is replaced, goes on, and is told only then."""
        failover = self._begin(model, "the master stands still")
        old = self.master
        begun = failover.replaced = self.clock()
        old.send_signal(signal.SIGSTOP)
        try:
            until(self._is_replaced, ELECTION_S, every=0.05, what="no new master was elected")
            self.wait(self.rng.choice((0, 0.5)))
        finally:
            old.send_signal(signal.SIGCONT)
        model.note(f"{old.at} goes on after {self.clock() - begun:.1f} s")
        self._hand_over(model, failover, old)

    def faults(self):
        return super().faults() + [(4, self.kill_master), (3, self.command_failover), (3, self.stop_master)]

    def would_lose_what_was_sent(self, fault):
        now = self.clock()
        return fault in (self.kill_gate, self.hang_and_kill) and any(now < up + 4 for _, up in self.redis_down)

    def recover(self, model):
        self._notice(model)
        for node in self._others():
            until(lambda node=node: node.is_following, 20, what=lambda: f"a replica does not follow:\n{node.output}")
        super().recover(model)


class Replicas(Sentinels):
    """One replica, and charges that wait for it: wait_replicas 1."""

    replicas, waits = 1, True


