# SPDX-License-Identifier: Apache-2.0
"""The programs of a run, and what is done to them; what each store adds is in a file of its own."""
import dataclasses
import os
import random
import shutil
import signal
import tempfile
import time

import wire
from clocks import faketime_library
from harness import REPORTS, Failure, Gateway, SimGpu, backend, sha256, until
from model import DEAR, LEASE_S, PRICE, SMALL, TEAMS, TIERS, policy_teams, policy_tiers
from zones import SHAPES, Calendar

ANSWER_S = 7        # how long a backend may take: longer than a gateway is stopped
KEYS_OF_TIER = 400
AT_ONCE = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
# Faults that backends are asked for, and how many of each at most.
BACKEND_FAULTS = {"fail_next": 8, "hang_next": 3, "drop_next": 4, "garbage_next": 3, "reset_next": 4,
                  "short_next": 4, "stall_next": 3, "short_images": 8, "interim_next": 6, "close_next": 6}


@dataclasses.dataclass
class Plan:
    """What is asked for; the seed decides the rest."""
    world: str
    seconds: float
    seed: int
    commit: str = None
    shape: str = None
    only: tuple = ()
    most_faults: int = 1 << 30
    clients: int = 16
    uses_faketime: bool = True

    def __post_init__(self):
        rng = self.rng()
        self.commit = self.commit or rng.choice(("acknowledged", "acknowledged", "sent"))
        self.shape = self.shape or rng.choice(SHAPES)

    def rng(self, number=0):
        """Of each fault its own: what one draws is nothing to the next."""
        return random.Random(f"{self.seed}/{self.world}/{number}")


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
    """Gateways, backends and a store."""

    names = ("A", "B")

    def __init__(self, plan):
        self.plan, self.rng = plan, plan.rng()
        self.folder = tempfile.mkdtemp(prefix="meltguard-torture-")
        self.library = faketime_library() if plan.uses_faketime else None
        self.redis_down = []        # [[from, to]]
        self.gate_down = []         # [[name, from, to]]
        self.programs, self.gates, self.sims = [], [], []
        self.failovers = []
        self.is_kept = False
        self.keys = {tier: [] for tier in TIERS}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def clock():
        """The true time, which is also the store's unless its clock jumps."""
        return time.time()

    def _started(self, program):
        self.programs.append(program)
        return program

    def _start(self):
        self.sims = [self._started(SimGpu(slots=200)) for _ in range(2)]
        store = self._start_store()
        self._make_calendar()
        for name in self.names:
            self.gates.append(self._start_gate(name, dict(store)))

    def _start_store(self):
        """Gives settings of the gateways."""
        return {}

    def _make_calendar(self):
        seconds = self.plan.seconds
        first = self.clock() + max(4, seconds * self.rng.uniform(0.3, 0.6))
        self.calendar = Calendar(self.folder, self.plan.shape, first, first + max(3, seconds * 0.25))

    def _clock_of(self, _name):
        return None

    def _start_gate(self, name, settings):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        clock = self._clock_of(name)
        quota = {"lease": f"{LEASE_S * 1000:.0f}ms", "commit": self.plan.commit,
                 "outbox": os.path.join(folder, "outbox"), **settings.pop("quota", {})}
        policy = {"timezone": self.calendar.name, "tiers": policy_tiers(), "teams": policy_teams(), "shed": AT_ONCE,
                  "sizes": {"small": SMALL, "large": "4096x4096"}, "unavailable_message": {"en": "not now"},
                  "prices": [{"size": "small", "credits": PRICE / 1000}, {"credits": DEAR / 1000}]}
        gate = Victim(name, clock, folder=folder, backends=[
            backend(sim, name=f"gpu{i}", max_in_flight=100, telemetry=False) for i, sim in enumerate(self.sims)],
            policy=policy, keys=self._keys(), identity=[{"keyfile": "accounts.yaml"},
                                                         {"bearer": {"accept": "any", "tier": "free"}}],
            timeouts={"answer": f"{ANSWER_S * 1000:.0f}ms", "answer_idle": "1s", "drain": "1s"},
            health={"eject_after": 30}, program_env={**self.calendar.env, **(clock.env if clock else {})},
            quota=quota, **settings)
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
        self._pause(model, gate, gate.name, self.rng.choice((0.1, 0.3, LEASE_S * 1.6)))

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

    def _hold_much(self, model):
        """Jobs are at work, and will end soon."""
        for sim in self.sims:
            sim.set(**{name: 0 for name in BACKEND_FAULTS} | {"delay_ms": 500})
        model.note("the backends take 0.5 s")
        self.wait(0.4)
        for sim in self.sims:
            sim.set(delay_ms=0)

    def stop_with_full_hands(self, model):
        """A gateway that holds much stops for longer than its leases; who asks meanwhile asks the other."""
        self._hold_much(model)
        gate = self.rng.choice(self.gates)
        self._pause(model, gate, gate.name, LEASE_S * 2.5)

    def hang_and_kill(self, model):
        """What is asked now comes to nothing, for certain: the backends answer nothing more, and the gateway dies."""
        for sim in self.sims:
            sim.set(**{name: 0 for name in BACKEND_FAULTS} | {"hang_next": 1000000})
        era = [self.clock()]
        model.note("the backends hang")
        self.wait(self.rng.uniform(0.2, 0.7))
        self.kill_gate(model, self.rng.choice((0.05, 0.4)))
        era[1:] = self.clock(), *self.gate_down[-1][:2]
        with model.lock:
            model.eras.append(era)
        self.plain()
        model.note("the backends go on")

    def faults(self):
        """[(how often, what)]"""
        return [(10, self.trouble_backends), (4, self.kill_gate), (3, self.stop_gate), (1, self.drain_gate),
                (3, self.hang_and_kill)]

    def would_lose_what_was_sent(self, _fault):
        """What must not be done while a commit that was sent may not have arrived."""
        return False

    def is_excused(self, _ask):
        """What its client was not told of may have been lost."""
        return False

    # --- after the faults

    def recover(self, _model):
        """Everything runs, nothing is under way, and the last lease has ended."""
        self.plain()
        for gate in self.gates:
            until(gate.is_ready, 30, what=lambda gate=gate: f"{gate.name} is not ready:\n{gate.output[-3000:]}")
        for gate in self.gates:
            until(lambda gate=gate: gate.metrics()["meltguard_requests_in_progress"] == 0, 20,
                  what=lambda gate=gate: f"{gate.name} has requests in progress for ever")
        self.wait(LEASE_S + 3.5)    # which others give two seconds more, and tell time by whole ones

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
        """Entries of ledgers that are left."""
        return []

    def keep(self):
        """What the gateways wrote, for whoever looks for the cause; the folder is theirs to remove."""
        for gate in self.gates:
            gate.write("said.log", "\n".join([*gate.said, gate.output]))
        for program in self.programs:
            if program not in self.gates:
                path = os.path.join(self.folder, f"{program.name}-{program.port}.log")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(program.output)
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
