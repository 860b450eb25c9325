#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks: a table for each scenario, and in the build folder's bench/ a plot (SVG) and the numbers (JSON).

  run.py                    all of tests/bench/scenarios/*.py, but for those that must be named
  run.py NAME...            these
  run.py --list             their names
ROUNDS   at least 3 (7), and SECONDS of each system in each of them (0.8), most in four slices;  QUICK=1  a try of the suite
MELTGUARD_BUILD  the folder of the programs (build)
Ends with 1 where a system did not answer as it must, or meltguard is over a limit."""
import argparse
import importlib
import inspect
import json
import os
import platform
import signal
import subprocess
import sys
import time
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import lab  # noqa: E402  (found by the line above)
import harness  # noqa: E402
import plot  # noqa: E402
from scenario import IS_QUICK, ROUNDS, SECONDS, Scenario  # noqa: E402

FOLDER = os.path.join(harness.BUILD, "bench")
# As the table of the goals has them.
ORDER = ["admit-redis", "admit-redis-2k", "admit-redis-20k", "admit-embedded", "store-embedded", "refuse-quota", "refuse-shed", "mixed",
         "large", "latency", "latency-portkey", "memory-idle", "memory-in-flight", "workers", "start", "denied", "redis-cpu",
         "redis-memory", "redis-buckets"]


def scenarios():
    """{name: class}; a file of scenarios/ may hold one that has a name of its own."""
    found = {}
    for file in sorted(os.listdir(os.path.join(HERE, "scenarios"))):
        if file.endswith(".py"):
            module = importlib.import_module("scenarios." + file[:-3])
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Scenario) and kind.__module__ == module.__name__ and kind.name:
                    found[kind.name] = kind
    place = {name: i for i, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda item: place.get(item[0], len(place))))


# --- what is printed -------------------------------------------------------------------------------------------------------

def paint(code, words):
    return f"\x1b[{code}m{words}\x1b[0m" if sys.stdout.isatty() else words


def width(words):
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in words)


def print_outcome(outcome):
    columns = []
    for row in outcome.rows:
        columns.extend(name for name in row.cells if name not in columns)
    columns = [name for name in columns if any(row.cells.get(name) for row in outcome.rows)]
    lines = [["", outcome.unit, "middle half", "goal", "limit", "", *columns]]
    for row in outcome.rows:
        span = "" if row.low is None else f"{plot.number(outcome, row.low)}-{plot.number(outcome, row.high)}"
        lines.append([row.title, plot.number(outcome, row.value), span,
                      *("" if value is None else plot.number(outcome, value) for value in (row.goal, row.limit)),
                      row.verdict, *(row.cells.get(name, "") for name in columns)])
    widths = [max(width(one[i]) for one in lines) for i in range(len(lines[0]))]
    print("\n" + paint("1", outcome.title) + f"   [{outcome.name}]")
    for i, cells in enumerate(lines):
        out = "  ".join(cell + " " * (size - width(cell)) if j == 0 else " " * (size - width(cell)) + cell
                        for j, (cell, size) in enumerate(zip(cells, widths)))
        is_ours = i > 0 and outcome.rows[i - 1].is_ours
        print("  " + (paint("31" if outcome.rows[i - 1].verdict == "over" else "32", out) if is_ours else out))
    for note in outcome.notes:
        print(f"  {note}")
    for problem in outcome.problems:
        print(paint("31", f"  NOT AS IT MUST BE: {problem}"))
    sys.stdout.flush()


# --- what is kept ----------------------------------------------------------------------------------------------------------

def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        return (done.stdout + done.stderr).strip().split("\n")[0]
    except OSError:
        return "not there"


def machine():
    """What the numbers depend on."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for text in file:
            if text.startswith("model name"):
                model = text.split(":", 1)[1].strip()
                break
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "congestion_control": lab.congestion_control(),
            "nginx": first_line("nginx", "-v").split("/")[-1],
            "haproxy": first_line("haproxy", "-v").split(" ")[2:3],
            "redis": first_line("redis-server", "--version").split(" ")[2:3],
            "meltguard": first_line(harness.MELTGUARD, "--version"),
            "test_core": sorted(lab.TEST_CORE), "load_core": sorted(lab.LOAD_CORE),
            "rounds": ROUNDS, "seconds": SECONDS, "is_quick": IS_QUICK,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def row_values(row):
    return {"system": row.system, "title": row.title, "value": row.value, "low": row.low, "high": row.high,
            "goal": row.goal, "limit": row.limit, "verdict": row.verdict, **row.cells}


def keep(outcomes, about, name):
    """NAME.json and NAME.svg; gives their paths."""
    os.makedirs(FOLDER, exist_ok=True)
    numbers, picture = (os.path.join(FOLDER, f"{name}.{ending}") for ending in ("json", "svg"))
    whole = {"machine": about, "scenarios": [
        {"name": one.name, "title": one.title, "unit": one.unit, "rows": [row_values(row) for row in one.rows],
         "notes": one.notes, "problems": one.problems} for one in outcomes]}
    with open(numbers, "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1, ensure_ascii=False)
        file.write("\n")
    line = (f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}, {about['congestion_control']}; nginx {about['nginx']}; "
            f"{ROUNDS} rounds, {about['when'][:10]}")
    with open(picture, "w", encoding="utf-8") as file:
        file.write(plot.svg(outcomes, line))
    return picture, numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    known = scenarios()
    if options.list:
        print("\n".join(f"{name:18} {kind.title}" for name, kind in known.items()))
        return 0
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; see --list")
    os.makedirs(FOLDER, exist_ok=True)
    # Ended from outside, it still ends all that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes = []
    for name in options.names or [name for name, kind in known.items() if not kind.is_only_named]:
        outcomes.append(known[name]().run())
        print_outcome(outcomes[-1])
    picture, numbers = keep(outcomes, machine(), options.names[0] if len(options.names) == 1 else "results")
    print(f"\nPlot: {picture}\nNumbers: {numbers}")
    is_good = not any(one.problems or any(row.verdict == "over" for row in one.rows) for one in outcomes)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
