# SPDX-License-Identifier: Apache-2.0
"""One world, one seed: trouble, peace, and what must be true then."""
import collections
import random
import time

from clients import Client, Crowd
from cluster_world import Clustered
from embedded import Clocks, Embedded
from harness import Failure, until
from model import PRICES, Model
from redis_world import Single
from sentinel_world import Replicas, Sentinels

# In the order in which they are run.
WORLDS = {"redis": Single, "embedded": Embedded, "clocks": Clocks, "sentinel": Sentinels, "replicas": Replicas,
          "cluster": Clustered}
# An account in so many has its quota used up at the end, request by request; of all others the gateway's word is taken.
USED_UP = 3
PROGRESS_S = 5


class Run:
    """tells: takes lines on how it goes."""

    def __init__(self, plan, tells=lambda line: None):
        self.plan, self.tells = plan, tells
        self.world = WORLDS[plan.world](plan)
        self.model = Model(self.world.calendar, self.world.clock)
        self.crowd = Crowd(self.model, random.Random(f"{plan.seed}/crowd"), self.world.keys)
        self.clients = [Client(i, plan.seed, self.model, self.crowd, self.world.gates) for i in range(plan.clients)]
        self.done = collections.Counter()       # faults, by name
        self.begun, self.kept = time.monotonic(), None

    def torture(self):
        """The model, with what was found."""
        try:
            self._make_trouble()
            self._settle()
            self._check()
        except Failure as error:
            self.model.problem(None, str(error))
        finally:
            for client in self.clients:
                client.is_over.set()
            self.kept = self.world.keep() if self.model.problems else None
            self.world.close()
        return self.model

    def _make_trouble(self):
        for client in self.clients:
            client.start()
        faults = [(weight, fault) for weight, fault in self.world.faults()
                  if not self.plan.only or fault.__name__ in self.plan.only]
        end, told = time.monotonic() + self.plan.seconds, time.monotonic()
        number = 0
        while time.monotonic() < end and self.done.total() < self.plan.most_faults:
            number += 1
            self._one_fault(faults, self.plan.rng(number))
            if time.monotonic() - told > PROGRESS_S:
                told = time.monotonic()
                self.tells(self._progress())
        self.world.wait(max(end - time.monotonic(), 0))

    def _one_fault(self, faults, rng):
        """The number of a fault decides all about it, whatever came before."""
        time.sleep(rng.uniform(0, 0.8))
        fault = rng.choices([fault for _, fault in faults], [weight for weight, _ in faults])[0]
        if self.plan.commit == "sent" and self.world.would_lose_what_was_sent(fault):
            return
        self.world.rng = rng
        self.done[fault.__name__] += 1
        fault(self.model)

    def _progress(self):
        asks = self.model.asks()
        images = sum(ask.seen for ask in asks)
        last = self.model.faults[-1][1] if self.model.faults else "nothing yet"
        return (f"{time.monotonic() - self.begun:4.0f} s  {len(asks)} requests, {images} images, "
                f"{self.done.total()} faults; last: {last}")

    def _settle(self):
        for client in self.clients:
            client.is_over.set()
        self.model.note("no more faults")
        self.tells(self._progress())
        for client in self.clients:
            client.join(60)
        self.world.recover(self.model)
        until(lambda: self.model.calendar.is_over(self.world.clock()), 60, every=0.2, what="midnight did not come")
        for gate in self.world.gates:
            if not gate.is_well():
                self.model.problem(None, f"{gate.name} reports a bug:\n{gate.output[-4000:]}")

    def _check(self):
        model, day = self.model, self.model.calendar.day(self.world.clock())
        model.narrow(self.world.written(), self.world.is_excused)
        model.put_at_stake(self.world.failovers)
        model.check_delivered()
        asked = [account for account in model.accounts if account.asks]
        for account in asked:
            if account.has_name:
                model.check_used(account, self.world.shown(account), day)
        rng = self.plan.rng("end")
        for i, account in enumerate(asked):
            if i % USED_UP == 0 or not account.has_name:
                self._use_up(account, day, rng.choice(tuple(PRICES)))
        model.check_delivered()
        until(lambda: not self.world.holds(), 5, what=lambda: f"held for ever: {self.world.holds()}")

    def _use_up(self, account, day, size):
        """One image after the other, until it is refused."""
        least, most = self.model.room(account, day, PRICES[size])
        got = 0
        while True:
            ask = self.clients[0].ask(account, images=1, size=size)
            ask.days = (day,)
            got += ask.seen
            if ask.word == "429":
                break
            if ask.word != "whole" or got > most:
                break
        if not least <= got <= most or ask.word != "429":
            told = f"{least}" if least == most else f"{least} to {most}"
            self.model.problem(account, f"at the end it got {got} more images and {ask.word}, and {told} were left "
                                        f"(size {size})")

    def summary(self):
        """What was done and found, in a few lines."""
        plan, model, asks = self.plan, self.model, self.model.asks()
        loose = sum(ask.least != ask.most for ask in asks)
        words = ", ".join(f"{count} {word}" for word, count in model.words().most_common())
        faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.done.most_common())
        lines = [f"{plan.world}: commit {plan.commit}, {model.calendar.shape}"
                 f"{', faketime' if self.world.library else ''}: {len(model.accounts)} accounts, {len(asks)} requests, "
                 f"{sum(ask.seen for ask in asks)} images, {len(model.problems)} violations",
                 f"  faults: {faults}", f"  answers: {words}",
                 f"  {loose} requests not known exactly, {self.world.said('quota_charged_again')} charged again"]
        if self.world.failovers:
            bound = sum(failover.images for failover in self.world.failovers)
            lines.append(f"  failovers cost {model.beyond / 1000:g} images beyond limits and {model.lost / 1000:g} "
                         f"that were not charged; their bound was {bound}:")
            lines += [f"    {one.describe()}" for one in self.world.failovers]
        return "\n".join(lines)
