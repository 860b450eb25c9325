# SPDX-License-Identifier: Apache-2.0
"""Wall clocks that jump, by libfaketime, and the calendar of a store whose time jumps with its gateway's clock."""
import bisect
import datetime
import glob
import os
import subprocess
import time
import zoneinfo

from harness import MELTGUARD

HOUR = 3600
# What was begun by the old time is over then.
SLOW_S = 0.5

def faketime_library():
    """The path of libfaketime, where it is installed and can be loaded into the gateway; else None."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    needs = subprocess.run(["ldd", MELTGUARD], capture_output=True, text=True).stdout
    return found[0] if found and "libasan" not in needs and "libtsan" not in needs else None


class FakeClock:
    """A program's wall clock, which is ahead of the true one by what its file says; the monotonic one stays true."""

    def __init__(self, library, folder, name):
        self.path = os.path.join(folder, f"{name}.clock")
        self.env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        self.set(0)

    def set(self, ahead):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{int(ahead):+d}\n")
        os.replace(self.path + ".new", self.path)


class JumpingCalendar:
    """Days of a real zone, by a clock that jumps: as Python reads the tz database, and not as the gateway does."""

    def __init__(self, zone, ahead):
        self.name, self.shape, self.env = zone, zone, {}
        self._zone = zoneinfo.ZoneInfo(zone)
        self._aheads = [(float("-inf"), ahead)]     # [(true time, how far ahead the clock is from then on)]

    @property
    def ahead(self):
        return self._aheads[-1][1]

    @property
    def furthest(self):
        return max(ahead for _, ahead in self._aheads)

    def jump(self, ahead):
        self._aheads.append((time.time(), ahead))

    def _day_by(self, at):
        return datetime.datetime.fromtimestamp(at, self._zone).date().toordinal()

    def day(self, at):
        """The ordinal of the date that it was at that true time."""
        return self._day_by(at + self._aheads[bisect.bisect_right(self._aheads, (at, float("inf"))) - 1][1])

    def days(self, begin, end):
        found = set()
        for i, (since, ahead) in enumerate(self._aheads):
            until_then = self._aheads[i + 1][0] + SLOW_S if i + 1 < len(self._aheads) else float("inf")
            if begin < until_then and end > since:
                found |= {self._day_by(max(begin, since) + ahead), self._day_by(min(end, until_then) + ahead)}
        return sorted(found)

    def fits(self, _ask, _day):
        """What a gateway says of the reset is nothing to hold it to while clocks jump."""
        return True

    def is_over(self, _at):
        return True

    @staticmethod
    def date(day):
        return datetime.date.fromordinal(day)

    def midnight(self, day):
        """Store time of the beginning of a day, wherever the clocks put it."""
        low, high = (int(datetime.datetime(*self.date(day).timetuple()[:3], tzinfo=datetime.timezone.utc)
                         .timestamp()) + sign * 26 * HOUR for sign in (-1, 1))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._day_by(middle) < day else (low, middle)
        return high
