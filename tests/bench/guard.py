#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guards the cost of a request: how many instructions meltguard executes for one, as callgrind counts them.

  guard.py                  compares with guard.json; fails where one grew by more than 3 %
  guard.py admit refuse     these alone
  guard.py --write          writes guard.json
MELTGUARD_BUILD  the folder of the programs (build)

Each kind is run twice, with few requests and with many, one after the other on one connection; the difference divided by
the difference in number is what one request costs, without start and end.  Counted are the worker's thread and the
embedded store's; how often the control thread wakes up is a matter of time.  A count is the same on every run up to a few
in a thousand, but differs between compilers and libraries: guard.json says which ones it was written with."""
import argparse
import glob
import json
import os
import platform
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import lab as laboratory  # noqa: E402  (found by the line above)
import harness  # noqa: E402
from systems import UNLIMITED, Meltguard  # noqa: E402

COMMITTED = os.path.join(HERE, "guard.json")
MOST_GROWTH = 0.03
COUNTED_THREADS = ("run/worker.c", "quota/embedded_store.c")   # by a file that only they run


class Kind:
    def __init__(self, title, few, many, expects=200, image_bytes=700, **settings):
        self.title, self.few, self.many, self.expects = title, few, many, expects
        self.image_bytes, self.settings = image_bytes, settings


KINDS = {
    "admit": Kind("admitted, 1 KiB answer", 200, 1200),
    "refuse": Kind("refused, out of quota", 200, 1200, expects=429, per_day=1),
    "stream": Kind("1.5 MB answer, counted", 5, 45, image_bytes=1_100_000),
}


class UnderCallgrind(Meltguard):
    """meltguard as the benchmarks configure it, with every instruction counted."""

    # Processors with AVX-512 and without take the same routines of libc.
    ENV = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW"}

    def launch(self):
        return CallgrindGateway(folder=self.folder)


class CallgrindGateway(harness.Gateway):
    """The program of a Gateway, under valgrind."""

    def start(self, wait=True):
        harness.Program.__init__(
            self, "valgrind", "--tool=callgrind", "--separate-threads=yes",
            f"--callgrind-out-file={self.folder}/callgrind.out", harness.MELTGUARD,
            "--config", self.config_path, name="callgrind", env=UnderCallgrind.ENV)
        self.address = self._listening("listening")
        self.admin = self._listening("admin_listening")
        harness.until(self.is_ready, 60)


def instructions(folder):
    """Of the threads that are counted, in all."""
    total = 0
    for path in glob.glob(os.path.join(folder, "callgrind.out-*")):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if any(name in text for name in COUNTED_THREADS):
            total += int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])
    return total


def run_once(kind, requests):
    """Instructions from start to end, with so many requests."""
    accounts = 10
    with laboratory.Lab() as lab:
        lab.start_backend(kind.image_bytes)
        gateway = UnderCallgrind(lab, **kind.settings)
        if kind.expects != 200:
            laboratory.load(gateway.address, connections=1, requests=accounts, accounts=accounts)
        result = laboratory.load(gateway.address, connections=1, requests=requests, accounts=accounts, seconds=120)
        seen = result["statuses"].get(str(kind.expects), {}).get("count", 0)
        if seen != requests:
            raise harness.Failure(f"{kind.title}: {result}")
        gateway.program.stop_process(timeout=60)
        return instructions(gateway.folder)


def measure(kind):
    """Instructions of one request."""
    return (run_once(kind, kind.many) - run_once(kind, kind.few)) / (kind.many - kind.few)


def toolchain():
    compiler = subprocess.run([os.environ.get("CC", "gcc"), "-dumpfullversion"], capture_output=True, text=True,
                              check=False).stdout.strip()
    return {"compiler": compiler, "libc": " ".join(platform.libc_ver()), "machine": platform.machine()}


def read_committed():
    if not os.path.exists(COMMITTED):
        return {"toolchain": None, "instructions": {}}
    with open(COMMITTED, encoding="utf-8") as file:
        return json.load(file)


def write_committed(counts):
    with open(COMMITTED, "w", encoding="utf-8") as file:
        json.dump({"toolchain": toolchain(), "instructions": counts}, file, indent=1)
        file.write("\n")


def compare(counts, committed):
    """Prints each, and tells whether none grew too much."""
    is_good = True
    for name, count in counts.items():
        before = committed["instructions"].get(name)
        growth = (count - before) / before if before else 0
        has_grown = growth > MOST_GROWTH
        is_good = is_good and not has_grown
        beside = f"{growth:+.1%} against {before:,}" if before else "nothing to compare with"
        print(f"{'FAIL' if has_grown else 'ok':4} {name:8} {count:>12,} instructions   {beside}   ({KINDS[name].title})")
    if committed["toolchain"] not in (None, toolchain()):
        print(f"     guard.json was written with {committed['toolchain']}, this is {toolchain()}: "
              "where nothing else changed, write it anew")
    return is_good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *KINDS], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    committed = read_committed()
    counts = {name: round(measure(KINDS[name])) for name in options.names or KINDS}
    is_good = compare(counts, committed)
    if options.write:
        write_committed({**committed["instructions"], **counts})
        return 0
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
