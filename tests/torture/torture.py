#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The torture test: many accounts ask, clients leave, gateways, Redis and backends are killed, stopped and broken at
random, clocks jump, midnight passes; and then every account must be able to use exactly what it did not get.

  torture.py                            all worlds, 180 seconds of trouble in all
  torture.py --seconds 60 --seed 7 cluster sentinel
  redis     two gateways, one Redis with an append-only file
  embedded  one gateway and its own store
  clocks    the same, by a clock that jumps
  sentinel  a master and two replicas, of which sentinels choose
  replicas  a master and one replica, which every charge waits for
  cluster   three masters whose slots move, and a replica of one
MELTGUARD_BUILD names the folder of the programs.  The seed decides what is asked and which faults come in which order;
what meets what is left to the machine, so a seed makes a violation likely, not certain."""
import argparse
import os
import random
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from clocks import faketime_library  # noqa: E402
from trial import WORLDS, Run  # noqa: E402
from world import Plan  # noqa: E402
from zones import SHAPES  # noqa: E402


def say(line):
    print(line, flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="*", choices=[*WORLDS, []], metavar="WORLD")
    parser.add_argument("--seconds", type=float, default=180, help="of trouble, in all worlds together")
    parser.add_argument("--faults", type=int, default=1 << 30, help="in each world, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--commit", choices=("sent", "acknowledged"))
    parser.add_argument("--shape", choices=SHAPES, help="of midnight")
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="a method of a world; repeatable")
    parser.add_argument("--no-faketime", action="store_true")
    return parser.parse_args()


def torture(plan):
    """How many violations there are, and a report."""
    say(f"{plan.world}, seed {plan.seed}")
    run = Run(plan, lambda line: say(f"  {line}"))
    model = run.torture()
    report = run.summary()
    if model.problems:
        report += f"\n{model.report()}\nconfigurations and logs are in {run.kept}"
    return len(model.problems), report


def main():
    chosen = options()
    # However it is told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    worlds = chosen.worlds or list(WORLDS)
    say(f"TORTURE_SEED={chosen.seed}")
    if chosen.no_faketime or not faketime_library():
        say("no clock jumps: libfaketime is not installed, cannot be loaded, or is not wanted; "
            "tests/tools/deps.sh torture installs it")
        worlds = [world for world in worlds if world != "clocks"]
    problems, reports = 0, []
    for world in worlds:
        found, report = torture(Plan(
            world, chosen.seconds / len(worlds), chosen.seed, chosen.commit, chosen.shape, chosen.only, chosen.faults,
            chosen.clients, not chosen.no_faketime))
        problems += found
        reports.append(report)
    say("\n" + "\n".join(reports))
    say(f"{problems} violations of TORTURE_SEED={chosen.seed}" if problems else "all invariants hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
