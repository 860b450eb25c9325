# SPDX-License-Identifier: Apache-2.0
"""The programs of a run, and what is done to them."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

import wire
from harness import (BUILD, REPORTS, Failure, Gateway, Redis, SimGpu, backend, free_port, sha256, until)
from model import DEAR, LEASE_S, PRICE, SMALL, TEAMS, TIERS, policy_teams, policy_tiers
from zones import Calendar

ANSWER_S = 7        # how long a backend may take: longer than a gateway is stopped
KEYS_OF_TIER = 400
AT_ONCE = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
# Faults that backends are asked for, and how many of each at most.
BACKEND_FAULTS = {"fail_next": 8, "hang_next": 3, "drop_next": 4, "garbage_next": 3, "reset_next": 4,
                  "short_next": 4, "stall_next": 3, "short_images": 8, "interim_next": 6, "close_next": 6}


def faketime_library():
    """The path of libfaketime, where it is installed and can be loaded into the gateway; else None."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    needs = subprocess.run(["ldd", os.path.join(BUILD, "meltguard")], capture_output=True, text=True).stdout
    return found[0] if found and "libasan" not in needs and "libtsan" not in needs else None


class FakeClock:
    """A program's wall clock, which is ahead of the true one by what its file says; the monotonic one stays true."""

    def __init__(self, library, folder, name):
        self.path = os.path.join(folder, f"{name}.clock")
        self.env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_CACHE_DURATION": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        self.set(0)

    def set(self, ahead):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{ahead:+d}\n")
        os.replace(self.path + ".new", self.path)


class Victim(Gateway):
    """A gateway that is killed and comes back.  To be started by a thread that outlives it."""

    def __init__(self, name, clock, **options):
        self.name_here, self.said, self.clock = name, [], clock
        self.is_away = False        # dead or stopped
        super().__init__(**options)

    def write_accounts(self, keys):
        self.write("accounts.yaml", {"keys": [
            {"sha256": sha256(key), "account": account, "tier": tier, **({"team": team} if team else {})}
            for key, (account, tier, team) in keys.items()]})

    def start(self, wait=True):
        super().start(wait)
        self.name = self.name_here

    def come_back(self):
        self.said.append(self.output)
        self.start(wait=False)

    def is_well(self):
        """Said nothing of a bug, ever."""
        return not any(REPORTS.search(text) for text in [*self.said, self.output])


class World:
    """store: redis (two gateways) or embedded (one).  rng decides what is done when."""

    def __init__(self, store, seconds, shape, rng, commit="acknowledged", uses_faketime=True, stops_past_lease=True):
        self.stops_past_lease = stops_past_lease
        self.store, self.seconds, self.rng, self.commit = store, seconds, rng, commit
        self.folder = tempfile.mkdtemp(prefix="meltguard-torture-")
        self.library = faketime_library() if uses_faketime and store == "redis" else None
        self.redis_down = []        # [[from, to]]
        self.gate_down = []         # [[name, from, to]]
        self.programs, self.gates, self.sims = [], [], []
        self.is_kept = False
        self.keys = {tier: [] for tier in TIERS}
        try:
            self._start(shape)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def clock():
        """The store's time: true in Redis, and in the embedded store the gateway's."""
        return time.time()

    def _started(self, program):
        self.programs.append(program)
        return program

    def _start(self, shape):
        now = self.clock()
        first = now + max(4, self.seconds * self.rng.uniform(0.3, 0.6))
        self.calendar = Calendar(self.folder, shape, first, first + max(3, self.seconds * 0.25))
        self.sims = [self._started(SimGpu(slots=200)) for _ in range(2)]
        settings = {"quota": {"lease": f"{LEASE_S * 1000:.0f}ms", "commit": self.commit}}
        if self.store == "redis":
            self.redis_port = free_port()
            self._start_redis()
            settings["quota_store"] = self.redis.url
        names = ("A", "B") if self.store == "redis" else ("A",)
        self.gates = [self._start_gate(name, settings) for name in names]

    def _start_redis(self):
        """With the file of the last one, which holds all that it acknowledged."""
        words = ("--appendonly", "yes", "--appendfsync", "always")
        folder = os.path.join(self.folder, "redis")
        os.makedirs(folder, exist_ok=True)
        self.redis = self._started(Redis(self.redis_port, folder, *words))

    def _start_gate(self, name, settings):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        clock = self.library and FakeClock(self.library, self.folder, name)
        settings["quota"]["outbox"] = os.path.join(folder, "outbox")
        policy = {"timezone": self.calendar.name, "tiers": policy_tiers(), "teams": policy_teams(), "shed": AT_ONCE,
                  "sizes": {"small": SMALL, "large": "4096x4096"}, "unavailable_message": {"en": "not now"},
                  "prices": [{"size": "small", "credits": PRICE / 1000}, {"credits": DEAR / 1000}]}
        gate = Victim(name, clock, folder=folder, backends=[
            backend(sim, name=f"gpu{i}", max_in_flight=100, telemetry=False) for i, sim in enumerate(self.sims)],
            policy=policy, keys=self._keys(), identity=[{"keyfile": "accounts.yaml"},
                                                         {"bearer": {"accept": "any", "tier": "free"}}],
            timeouts={"answer": f"{ANSWER_S * 1000:.0f}ms", "answer_idle": "1s", "drain": "1s"},
            health={"eject_after": 30}, program_env={"TZDIR": self.folder, **(clock.env if clock else {})},
            **settings)
        return self._started(gate)

    def _keys(self):
        """All that a run may need; those of one tier are used in order.  Three members are a team."""
        keys = {}
        for tier in TIERS:
            self.keys[tier] = []
            for i in range(KEYS_OF_TIER if tier != "free" else 0):
                team = f"team{i // 3}" if tier == "member" else None
                if tier == "member" and i // 3 >= TEAMS:
                    break
                key, name = f"sk-{tier}-{i:04}", f"{tier}{i:03}"
                keys[key] = (name, tier, team)
                self.keys[tier].append((key, name, team))
        return keys

    # --- faults; each says itself in the history

    def plain(self):
        """Backends that answer at once, and no fault to come."""
        for sim in self.sims:
            sim.set(**{name: 0 for name in BACKEND_FAULTS}, delay_ms=0, chunked=False, seconds_per_image=0)

    def trouble_backends(self, model):
        for i, sim in enumerate(self.sims):
            faults = {name: self.rng.randint(1, most) for name, most in BACKEND_FAULTS.items()
                      if self.rng.random() < 0.3}
            faults |= {"chunked": self.rng.random() < 0.4, "delay_ms": self.rng.choice((0, 0, 20, 150)),
                       "seconds_per_image": self.rng.choice((0, 0, 0.02, 0.1)),
                       "fail_status": self.rng.choice((400, 429, 500, 503))}
            sim.set(**faults)
            model.note(f"gpu{i} {faults}")

    def wait(self, seconds):
        time.sleep(seconds)

    def kill_gate(self, model, seconds=None):
        gate = self.rng.choice(self.gates)
        seconds = self.rng.choice((0.05, 0.4, LEASE_S + 1)) if seconds is None else seconds
        self._end_gate(model, gate, "killed", gate.kill9)
        self.wait(seconds)
        self._come_back(model, gate)

    def drain_gate(self, model):
        gate = self.rng.choice(self.gates)
        self._end_gate(model, gate, "told to end", lambda: (gate.send_signal(signal.SIGTERM), gate.wait()))
        self._come_back(model, gate)

    def _end_gate(self, model, gate, what, end):
        self.gate_down.append([gate.name, self.clock(), float("inf")])
        model.note(f"{gate.name} is {what}")
        gate.is_away = True
        end()

    def _come_back(self, model, gate):
        gate.come_back()
        self.gate_down[-1][2] = self.clock()
        gate.is_away = False
        model.note(f"{gate.name} is back")

    def stop_gate(self, model):
        gate = self.rng.choice(self.gates)
        longest = LEASE_S * 1.6 if self.stops_past_lease else 0.3
        self._pause(model, gate, gate.name, self.rng.choice((0.1, 0.3, longest)))

    def _pause(self, model, program, name, seconds, goes_on=True):
        model.note(f"{name} is stopped for {seconds} s")
        begun = self.clock()
        program.is_away = True
        program.send_signal(signal.SIGSTOP)
        self.wait(seconds)
        if not goes_on:
            return
        program.send_signal(signal.SIGCONT)
        program.is_away = False
        model.pauses.append((name, begun, self.clock()))
        model.note(f"{name} goes on")

    def stop_redis(self, model):
        self.redis_down.append([self.clock(), float("inf")])
        longest = LEASE_S * 1.6 if self.stops_past_lease else 0.4
        self._pause(model, self.redis, "redis", self.rng.choice((0.02, 0.1, longest)))
        self.redis_down[-1][1] = self.clock()

    def _kill_redis(self, model):
        """Half of the times with much in its sockets that it has not read, for so long that gateways give it up."""
        self.redis_down.append([self.clock(), float("inf")])
        if self.rng.random() < 0.5:
            self._hold_much(model)
            self._pause(model, self.redis, "redis", self.rng.choice((0.03, 0.4)), goes_on=False)
        model.note("redis is killed")
        self.redis.kill9()
        self.programs.remove(self.redis)

    def _hold_much(self, model):
        """Jobs are at work, and will end soon."""
        for sim in self.sims:
            sim.set(**{name: 0 for name in BACKEND_FAULTS} | {"delay_ms": 500})
        model.note("the backends take 0.5 s")
        self.wait(0.4)
        for sim in self.sims:
            sim.set(delay_ms=0)

    def _redis_comes_back(self, model):
        self._start_redis()
        self.redis_down[-1][1] = self.clock()
        model.pauses.append(("redis", *self.redis_down[-1]))
        model.note("redis is back")

    def kill_redis(self, model):
        self._kill_redis(model)
        self.wait(self.rng.choice((0, 0.3, LEASE_S * 1.6 if self.stops_past_lease else 0.4)))
        self._redis_comes_back(model)

    def kill_both(self, model):
        """Redis and, while it is away, a gateway, which may be away for longer than its leases."""
        gate = self.rng.choice(self.gates)
        self._kill_redis(model)
        self.wait(self.rng.choice((0, 0.05, 0.3)))
        self._end_gate(model, gate, "killed", gate.kill9)
        self.wait(self.rng.choice((0, 0.3)))
        self._redis_comes_back(model)
        self.wait(self.rng.choice((0, 0.3, LEASE_S * 2.5 if self.stops_past_lease else 0.6)))
        self._come_back(model, gate)

    def stop_with_full_hands(self, model):
        """A gateway that holds much stops for longer than its leases; who asks meanwhile asks the other."""
        self._hold_much(model)
        gate = self.rng.choice(self.gates)
        self._pause(model, gate, gate.name, LEASE_S * 2.5)

    def flush_scripts(self, model):
        model.note("redis forgets its scripts")
        self.redis.command("SCRIPT", "FLUSH")

    def kill_links(self, model):
        model.note("redis closes all connections")
        self.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def hang_and_kill(self, model):
        """What is asked now comes to nothing, for certain: the backends answer nothing more, and the gateway dies."""
        for sim in self.sims:
            sim.set(**{name: 0 for name in BACKEND_FAULTS} | {"hang_next": 1000000})
        era = [self.clock(), 0]
        model.note("the backends hang")
        self.wait(self.rng.uniform(0.2, 0.7))
        self.kill_gate(model, self.rng.choice((0.05, 0.4)))
        era[1] = self.clock()
        with model.lock:
            model.eras.append(era)
        self.plain()
        model.note("the backends go on")

    def jump_clock(self, model):
        """Of the host of a gateway, whose store is another host."""
        gate = self.rng.choice(self.gates)
        ahead = self.rng.choice((-7200, -30, 0, 5, 90, 86400))
        model.note(f"the clock of {gate.name} is ahead by {ahead} s")
        gate.clock.set(ahead)

    def faults(self):
        """[(how often, what)]"""
        common = [(10, self.trouble_backends), (4, self.kill_gate), (3, self.stop_gate), (1, self.drain_gate),
                  (3, self.hang_and_kill)]
        if self.store != "redis":
            return common
        common += [(2, self.kill_redis), (1, self.stop_redis), (1, self.flush_scripts), (2, self.kill_links),
                   (1, self.kill_both)]
        if self.stops_past_lease:
            common.append((2, self.stop_with_full_hands))
        return common + ([(2, self.jump_clock)] if self.library else [])

    def would_lose_what_was_sent(self, fault):
        """A commit that was sent, and not acknowledged, is lost only where Redis and the gateway die at once."""
        kills_gate = fault in (self.kill_gate, self.hang_and_kill, self.kill_both)
        now = self.clock()
        return kills_gate and any(now < up + 4 for _, up in self.redis_down)

    def is_excused(self, ask):
        """Its gateway was killed about when Redis was away: what its client was not told of may have been lost."""
        if ask.is_told:
            return False
        return any(name == ask.gate and begin >= ask.begun and begin - 12 <= ask.ended and
                   any(down < end + 1 and up > begin - 3 for down, up in self.redis_down)
                   for name, begin, end in self.gate_down)

    # --- after the faults

    def recover(self):
        """Everything runs, nothing is under way, and the last lease has ended."""
        self.plain()
        for gate in self.gates:
            until(gate.is_ready, 30, what=lambda gate=gate: f"{gate.name} is not ready:\n{gate.output[-3000:]}")
        for gate in self.gates:
            until(lambda gate=gate: gate.metrics()["meltguard_requests_in_progress"] == 0, 20,
                  what=lambda gate=gate: f"{gate.name} has requests in progress for ever")
        self.wait(LEASE_S + 2.5)

    def written(self):
        """The access logs' lines: {request id: line}"""
        return {line["req"]: line for gate in self.gates for line in gate.access_log()}

    def shown(self, account):
        """How the gateway says that its limits stand."""
        team = f"&team={account.team}" if account.team else ""
        answer = wire.fetch(self.gates[0].admin, "GET",
                            f"/v1/accounts/{account.name}/quota?tier={account.tier}{team}")
        if answer.status != 200:
            raise Failure(f"the quota of {account.name} is not told: {answer}")
        return answer.json()

    def said(self, word):
        """How often the gateways logged that."""
        return sum(text.count(word) for gate in self.gates for text in [*gate.said, gate.output])

    def holds(self):
        """Entries of ledgers in Redis."""
        if self.store != "redis":
            return []
        return [key for key in self.redis.command("KEYS", "mg:*:h")]

    def keep(self):
        """What the gateways wrote, for whoever looks for the cause; the folder is theirs to remove."""
        for gate in self.gates:
            gate.write("said.log", "\n".join([*gate.said, gate.output]))
        self.is_kept = True
        return self.folder

    def close(self):
        for program in self.programs:
            try:
                program.kill9()
            except OSError:
                pass
        if not self.is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)
