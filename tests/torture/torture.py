#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The torture test: many accounts ask, clients leave, gateways, Redis and backends are killed, stopped and broken at
random, midnight passes; and then every account must be able to use exactly what it did not get.

  torture.py                       both stores, 180 seconds in all
  torture.py --seconds 60 --seed 7 --store redis
MELTGUARD_BUILD names the folder of the programs.  The seed decides what is asked and what is broken when; what meets
what is left to the machine, so a seed makes a violation likely, not certain."""
import argparse
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from clients import Client, Crowd  # noqa: E402
from harness import Failure, until  # noqa: E402
from model import PRICES, Model  # noqa: E402
from world import World  # noqa: E402
from zones import SHAPES  # noqa: E402

CLIENTS = 16
# An account in so many has its quota used up at the end, request by request; of all others the gateway's word is taken.
USED_UP = 3


class Run:
    """One store, one seed."""

    def __init__(self, store, seconds, seed, commit=None, shape=None, uses_faketime=True, only=(),
                 stops_past_lease=True):
        self.store, self.seconds, self.seed = store, seconds, seed
        rng = self.rng = random.Random(f"{seed}/{store}")
        self.commit = commit or rng.choice(("acknowledged", "acknowledged", "sent"))
        self.shape = shape or rng.choice(SHAPES)
        self.only = only
        self.world = World(store, seconds, self.shape, rng, self.commit, uses_faketime, stops_past_lease)
        self.model = Model(self.world.calendar, self.world.clock)
        self.crowd = Crowd(self.model, random.Random(f"{seed}/crowd"), self.world.keys)
        self.clients = [Client(i, seed, self.model, self.crowd, self.world.gates) for i in range(CLIENTS)]

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
                  if not self.only or fault.__name__ in self.only]
        weights = [weight for weight, _ in faults]
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0, 0.8))
            fault = self.rng.choices(faults, weights)[0][1]
            if self.commit == "sent" and self.world.would_lose_what_was_sent(fault):
                continue
            fault(self.model)

    def _settle(self):
        for client in self.clients:
            client.is_over.set()
        self.model.note("no more faults")
        for client in self.clients:
            client.join(60)
        self.world.recover()
        last = self.model.calendar.starts[-1]
        until(lambda: self.world.clock() > last + 1, 60, every=0.2, what="midnight did not come")
        for gate in self.world.gates:
            if not gate.is_well():
                self.model.problem(None, f"{gate.name} reports a bug:\n{gate.output[-4000:]}")

    def _check(self):
        model, day = self.model, self.model.calendar.day(self.world.clock())
        model.narrow(self.world.written(), self.world.is_excused)
        model.check_delivered()
        asked = [account for account in model.accounts if account.asks]
        for account in asked:
            if account.has_name:
                model.check_used(account, self.world.shown(account), day)
        for i, account in enumerate(asked):
            if i % USED_UP == 0 or not account.has_name:
                self._use_up(account, day)
        model.check_delivered()
        until(lambda: not self.world.holds(), 5, what=lambda: f"held for ever: {self.world.holds()}")

    def _use_up(self, account, day):
        """One image after the other, until it is refused."""
        size = self.rng.choice(tuple(PRICES))
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
        asks = self.model.asks()
        loose = sum(ask.least != ask.most for ask in asks)
        words = ", ".join(f"{count} {word}" for word, count in self.model.words().most_common())
        return (f"{self.store}, commit {self.commit}, {self.shape}{', faketime' if self.world.library else ''}: "
                f"{len(self.model.accounts)} accounts, {len(asks)} requests, {sum(ask.seen for ask in asks)} images, "
                f"{len(self.model.faults)} events of faults; {loose} requests not known exactly, "
                f"{self.world.said('quota_charged_again')} charged again\n    {words}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--store", choices=("redis", "embedded", "both"), default="both")
    parser.add_argument("--commit", choices=("sent", "acknowledged"))
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="a method of World; repeatable")
    parser.add_argument("--no-faketime", action="store_true")
    options = parser.parse_args()
    stores = ("redis", "embedded") if options.store == "both" else (options.store,)
    print(f"TORTURE_SEED={options.seed}", flush=True)
    problems = 0
    for store, share in zip(stores, (0.7, 0.3) if len(stores) == 2 else (1,)):
        run = Run(store, options.seconds * share, options.seed, options.commit, options.shape,
                  not options.no_faketime, options.only)
        if store == "redis" and not run.world.library:
            print("    without clock jumps: libfaketime is not installed, or cannot be loaded", flush=True)
        model = run.torture()
        problems += len(model.problems)
        print(run.summary(), flush=True)
        if model.problems:
            print(f"{model.report()}\nconfigurations and logs are in {run.kept}", flush=True)
    print(f"{problems} violations of TORTURE_SEED={options.seed}" if problems else "all invariants hold", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
