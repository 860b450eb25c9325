#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes point down: a file may include its own folder and lower floors, never a sibling of its floor."""
import pathlib
import re
import sys

FLOORS = [
    {"base"},
    {"core"},
    {"net", "config"},
    {"http", "redis"},
    {"dialect", "identity", "quota", "telemetry", "backend"},
    {"gate"},
    {"admin"},
    {"run", "ctl"},
    {"."},
]
FLOOR = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
# Narrower than their floor allows.
CORE_MAY = {"core/": {"base/base.h", "base/status.h", "base/text.h", "base/list.h", "base/map.h",
                      "base/hash.h"},
            "dialect/": {"http/head.h"}}


def may_include(folder, header):
    other = header.split("/")[0]
    if other == folder:
        return True
    if folder == "core":
        return header in CORE_MAY["core/"]
    if folder == "config" and other not in ("core", "base"):
        return False
    if folder == "net" and other != "base":
        return False
    if folder == "http" and other not in ("net", "base"):
        return False
    if folder == "dialect":
        return other in ("core", "base") or header in CORE_MAY["dialect/"]
    return FLOOR[other] < FLOOR[folder]


def main():
    faults = 0
    root = pathlib.Path("gateway")
    for path in sorted(root.rglob("*.[ch]")):
        folder = str(path.parent.relative_to(root))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#include "([^"]+)"', line)
            if found and not may_include(folder, found.group(1)):
                print(f"{path}:{number}: {folder}/ may not include {found.group(1)}")
                faults += 1
    return 1 if faults else 0


sys.exit(main())
