# SPDX-License-Identifier: Apache-2.0
"""Two gateways on Redis: what is done to any of them, and to a Redis that stands alone."""
from clocks import FakeClock
from model import LEASE_S
from redises import DURABLE, Server
from world import World


class OnRedis(World):
    """nodes: the servers that hold quotas."""

    nodes = ()

    def _clock_of(self, name):
        return self.library and FakeClock(self.library, self.folder, name)

    def masters(self):
        """Those that are asked now."""
        return self.nodes

    def down(self):
        """What Redis does not hear or say from now on may be lost; until up()."""
        self.redis_down.append([self.clock(), float("inf")])

    def up(self, model):
        self.redis_down[-1][1] = self.clock()
        model.pauses.append(("redis", *self.redis_down[-1]))

    def flush_scripts(self, model):
        model.note("redis forgets its scripts")
        for node in self.masters():
            node.command("SCRIPT", "FLUSH")

    def kill_links(self, model):
        model.note("redis closes all connections")
        for node in self.masters():
            node.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def jump_clock(self, model):
        """Of the host of a gateway, whose store is another host: to either side of midnight, past leases, by a day."""
        gate = self.rng.choice(self.gates)
        midnight = round(self.calendar.starts[0] - self.clock())
        ahead = self.rng.choice((-86400, -7200, -30, 0, LEASE_S + 1, 90, 86400, midnight - 5, midnight + 5))
        model.note(f"the clock of {gate.name} is ahead by {ahead:g} s")
        gate.clock.set(ahead)

    def faults(self):
        common = super().faults() + [(1, self.flush_scripts), (2, self.kill_links), (2, self.stop_with_full_hands)]
        return common + ([(2, self.jump_clock)] if self.library else [])

    def is_excused(self, ask):
        """Its gateway was killed about when Redis was away."""
        if ask.is_told:
            return False
        return any(name == ask.gate and begin >= ask.begun and begin - 12 <= ask.ended and
                   any(down < end + 1 and up > begin - 3 for down, up in self.redis_down)
                   for name, begin, end in self.gate_down)

    def holds(self):
        return [key for node in self.masters() for key in node.command("KEYS", "mg:*:h")]


class Single(OnRedis):
    """One Redis with an append-only file, which holds all that it acknowledged."""

    def _start_store(self):
        self.redis = self._started(Server(*DURABLE))
        self.nodes = [self.redis]
        return {"quota_store": f"redis://{self.redis.at}"}

    def stop_redis(self, model):
        self.down()
        self._pause(model, self.redis, "redis", self.rng.choice((0.02, 0.1, LEASE_S * 1.6)))
        self.redis_down[-1][1] = self.clock()

    def _kill_redis(self, model):
        """Half of the times with much in its sockets that it has not read, for so long that gateways give it up."""
        self.down()
        if self.rng.random() < 0.5:
            self._hold_much(model)
            self._pause(model, self.redis, "redis", self.rng.choice((0.03, 0.4)), goes_on=False)
        model.note("redis is killed")
        self.redis.kill9()

    def _redis_comes_back(self, model):
        self.redis.start()
        self.up(model)
        model.note("redis is back")

    def kill_redis(self, model):
        self._kill_redis(model)
        self.wait(self.rng.choice((0, 0.3, LEASE_S * 1.6)))
        self._redis_comes_back(model)

    def kill_both(self, model):
        """Redis and, while it is away, a gateway, which may be away for longer than its leases."""
        gate = self.rng.choice(self.gates)
        self._kill_redis(model)
        self.wait(self.rng.choice((0, 0.05, 0.3)))
        self._end_gate(model, gate, "killed", gate.kill9)
        self.wait(self.rng.choice((0, 0.3)))
        self._redis_comes_back(model)
        self.wait(self.rng.choice((0, 0.3, LEASE_S * 2.5)))
        self._come_back(model, gate)

    def faults(self):
        return super().faults() + [(2, self.kill_redis), (1, self.stop_redis), (1, self.kill_both)]

    def would_lose_what_was_sent(self, fault):
        """A commit that was sent, and not acknowledged, is lost only where Redis and the gateway die at once."""
        kills_gate = fault in (self.kill_gate, self.hang_and_kill, self.kill_both)
        now = self.clock()
        return kills_gate and any(now < up + 4 for _, up in self.redis_down)
