# SPDX-License-Identifier: Apache-2.0
"""What a scenario is: a class in a file of scenarios/, which says what is measured and how it is judged.

Most are a Race: all systems alive at once, loaded in turn in short slices, the order turned round every time (A B C, C B A),
and each slice compared with nginx' slice of the same round, so that a core whose speed moves, moves both."""
import contextlib
import os
import statistics
import time

import harness
import lab as laboratory
from systems import Missing, Nginx

ROUNDS = max(3, int(os.environ.get("ROUNDS", "7")))
SECONDS = float(os.environ.get("SECONDS", "0.8"))
# A try of the suite itself: everything small.  Its numbers are worth nothing.
IS_QUICK = os.environ.get("QUICK", "0") not in ("", "0")
if IS_QUICK:
    ROUNDS, SECONDS = 3, 0.3
SETTLE_S = 0.05     # what is done behind the last answer belongs to its slice


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=4, method="inclusive")
    return cuts[0], cuts[2]


class Row:
    """What came of one system: the value that is judged, and what stands beside it."""

    def __init__(self, system, value, low=None, high=None, cells=None, goal=None, limit=None):
        self.system, self.title = system.name, system.title
        self.is_ours = system.is_ours
        self.value, self.low, self.high = value, low, high
        self.cells = cells or {}            # {column: text}
        self.goal, self.limit = goal, limit

    @property
    def verdict(self):
        if self.goal is None:
            return ""
        if self.value <= self.goal:
            return "goal"
        return "ok" if self.limit is None or self.value <= self.limit else "over"


class Outcome:
    """All rows of a scenario."""

    def __init__(self, scenario):
        self.name, self.title, self.unit = scenario.name, scenario.title, scenario.unit
        self.precision = scenario.precision
        self.mark = scenario.mark           # a value drawn as a line through all bars, and its label
        self.rows, self.notes, self.problems = [], [], []


class Scenario:
    """name: of the file and on the command line.  goals: {system's name: (goal, not acceptable over)}."""
    name = None
    title = None
    unit = "× nginx"
    precision = 2
    mark = (1.0, "nginx, plain proxy")
    systems = ()
    goals = {}
    image_bytes = 700           # makes an answer of 1 KiB
    settings = {}               # of every system
    is_only_named = False       # it is not among "all"

    def run(self):
        outcome = Outcome(self)
        with laboratory.Lab() as lab:
            lab.start_backend(self.image_bytes)
            running = [system for system in (self.start(lab, kind, outcome) for kind in self.systems) if system]
            self.measure(lab, running, outcome)
        return outcome

    def start(self, lab, kind, outcome):
        try:
            return kind(lab, **self.settings)
        except Missing as why:
            outcome.notes.append(str(why))
            return None

    def measure(self, lab, running, outcome):
        raise NotImplementedError

    def row(self, system, value, **more):
        goal, limit = self.goals.get(system.name, (None, None))
        return Row(system, value, goal=goal, limit=limit, **more)


class Slice:
    """One system under load for a moment."""

    def __init__(self, used, foreign_s, result):
        self.cpu_us, self.redis_us, self.sleeps = used      # a request
        self.foreign_s, self.seconds = foreign_s, result["seconds"]     # of it, the core under test served others
        self.answered, self.per_second = result["answered"], result["per_second"]
        self.p50, self.p99 = result["latency_us"]["p50"], result["latency_us"]["p99"]
        self.statuses = result["statuses"]


class Race(Scenario):
    """load: options of the load.  expects: the statuses that may come."""
    load = {}
    expects = (200,)
    is_counted = False          # slices end after so many requests (load["requests"]), not after some seconds
    # A ratio wants many short slices: a core's speed may change within seconds.  A latency's p99 wants long ones.
    cuts = 4                    # of each of the ROUNDS and of its SECONDS
    repeats = 1                 # of the ROUNDS

    def measure(self, lab, running, outcome):
        with laboratory.awake() if self.is_saturated() else contextlib.nullcontext(True) as is_awake:
            self.race(lab, running, outcome)
        if not is_awake:
            outcome.notes.append("Idle cores are stopped here, and woken at a price: /dev/cpu_dma_latency cannot be written")

    def has_own_core(self):
        return self.settings.get("cores", laboratory.TEST_CORE) == laboratory.TEST_CORE

    def is_saturated(self):
        """The system has a core for itself, and more work than it can do: that core idles only where the other one, with the
        load, the backend and Redis, is behind.  To stop it and to wake it would be the lab's doing.  At a rate, wake-ups are
        part of what a request costs."""
        return "rate" not in self.load and self.has_own_core()

    def race(self, lab, running, outcome):
        self.prepare(lab, running, outcome)
        for system in running:
            self.warm_up(system)
        slices = {system.name: [] for system in running}
        order = self.order(running)
        for i in range(self.slices_each()):
            for system in order if i % 2 == 0 else reversed(order):
                slices[system.name].append(self.slice(lab, system, i, outcome))
        self.tell_disturbance(slices, outcome)
        for system in running:
            outcome.rows.append(self.judge(system, slices[system.name], slices))
        self.check(running, slices, outcome)

    @staticmethod
    def order(running):
        """nginx in the middle, ours beside it: what lies further apart, the machine has more time to change between."""
        base = [system for system in running if type(system) is Nginx]
        ours = [system for system in running if system.is_ours]
        others = [system for system in running if system not in base + ours]
        half = len(others) // 2
        return others[:half] + ours[1:] + base + ours[:1] + others[half:]

    @staticmethod
    def tell_disturbance(slices, outcome):
        """Other programs on the core under test cool its caches: numbers beside them are worth less."""
        every = [one for some in slices.values() for one in some]
        share = sum(one.foreign_s for one in every) / sum(one.seconds for one in every)
        if share > 0.05:
            outcome.notes.append(f"Other programs used {share:.0%} of the core under test: not a quiet machine")

    def slices_each(self):
        """Of every system."""
        return ROUNDS * self.cuts * self.repeats

    def prepare(self, lab, running, outcome):
        """Brings the systems into the state that is measured."""

    def check(self, running, slices, outcome):
        """Adds to outcome.problems what must not have been."""

    def warm_up(self, system):
        """Connections, pools and caches; by accounts of its own."""
        options = {**self.load, "requests": None, "scramble": None, "first": 90_000_000, "accounts": 1000}
        laboratory.load(system.address, header=system.headers, seconds=0.3, **options)

    def slice_options(self, i):
        return dict(self.load) if self.is_counted else {**self.load, "seconds": SECONDS / self.cuts}

    def slice(self, lab, system, i, outcome):
        before = self.used_so_far(lab, system)
        result = laboratory.load(system.address, header=system.headers, **self.slice_options(i))
        time.sleep(SETTLE_S)
        self.complain(system, result, outcome)
        cpu, redis, sleeps, busy = (now - then for now, then in zip(self.used_so_far(lab, system), before))
        foreign_s = max(busy - cpu, 0) / 1e9 if self.has_own_core() else 0
        answered = max(result["answered"], 1)
        return Slice((cpu / 1000 / answered, redis / 1000 / answered, sleeps / answered), foreign_s, result)

    @staticmethod
    def used_so_far(lab, system):
        return system.cpu_ns(), lab.redis_cpu_ns(), system.sleeps(), laboratory.core_busy_ns(laboratory.TEST_CORE)

    def complain(self, system, result, outcome):
        wrong = {status: seen["count"] for status, seen in result["statuses"].items()
                 if int(status) not in self.expects}
        # A slice at a rate that the system cannot keep ends with some requests still out.
        if wrong or result["broken"] or result["unanswered"]:
            outcome.problems.append(f"{system.title}: unexpected statuses {wrong}, {result['broken']} broken, "
                                    f"{result['unanswered']} unanswered of {result['sent']}")

    def judge(self, system, mine, slices):
        ratios = [own.cpu_us / base.cpu_us for own, base in zip(mine, slices[Nginx.name])]
        low, high = quartiles(ratios)
        return self.row(system, statistics.median(ratios), low=low, high=high,
                        cells=self.cells(mine, system.uses_redis))

    @staticmethod
    def cells(mine, uses_redis):
        def middle(what):
            return statistics.median(getattr(one, what) for one in mine)
        return {"CPU µs": f"{middle('cpu_us'):.1f}", "sleeps": f"{middle('sleeps'):.2f}", "requests/s": f"{middle('per_second'):,.0f}",
                "p50 µs": f"{middle('p50'):,.0f}", "p99 µs": f"{middle('p99'):,.0f}",
                "Redis µs": f"{middle('redis_us'):.1f}" if uses_redis else ""}


def drain(system, accounts, expects, **options):
    """Every account asks once; gives how many answers had that status."""
    result = laboratory.load(system.address, header=system.headers, accounts=accounts, requests=accounts, **options)
    seen = result["statuses"].get(str(expects), {}).get("count", 0)
    if seen != accounts or result["broken"]:
        raise harness.Failure(f"{system.title}: {seen} of {accounts} answers were {expects}: {result}")
