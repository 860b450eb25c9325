# SPDX-License-Identifier: Apache-2.0
"""Time zones made for one run, in a tz database of its own: midnight, or a change of the clocks, comes when wanted."""
import bisect
import datetime
import os
import struct

DAY = 86400
SHAPES = ("midnight", "skipped", "twice", "two_days")


def tzif(offsets, changes):
    """A TZif file (RFC 9636): offsets[0] at first, offsets[i + 1] from changes[i] on."""
    names = b"TST\0"

    def block(size, times, kinds):
        head = b"TZif2" + bytes(15) + struct.pack(">6I", 0, 0, 0, len(times), len(kinds), len(names))
        return (head + b"".join(at.to_bytes(size, "big", signed=True) for at in times) +
                bytes(range(1, len(times) + 1)) +
                b"".join(struct.pack(">iBB", kind, 0, 0) for kind in kinds) + names)
    return block(4, [], offsets[:1]) + block(8, changes, offsets) + b"\n\n"


class Calendar:
    """The days of the run's zone: known by construction, not by the rules that are under test.

    midnight   the usual one
    skipped    the clocks go from 00:00 to 01:00, so that there is no midnight
    twice      5 s after midnight they go back an hour: the day that has begun goes on
    two_days   after midnight a whole date is skipped, as in Samoa in 2011, so that a second day ends"""

    def __init__(self, folder, shape, midnight, then):
        midnight, then = int(midnight), int(then)
        # Local time is 00:00 at midnight; west of Greenwich, so that a day ahead is less than a day east.
        offset = -(midnight % DAY) or -DAY + 1
        changes = {"midnight": [], "skipped": [(midnight, offset + 3600)],
                   "twice": [(midnight + 5, offset - 3600 if offset > 3600 - DAY else offset - 60)],
                   "two_days": [(then, offset + DAY)]}[shape]
        if offset <= -DAY + 60 and shape == "twice":
            changes = []
        self.shape, self.name, self.env = shape, "Torture/Run", {"TZDIR": folder}
        self.starts = [midnight] + ([then] if shape == "two_days" else [])
        first = datetime.datetime.fromtimestamp(midnight + offset + 60, datetime.timezone.utc).date()
        self.dates = [first + datetime.timedelta(days) for days in range(-1, len(self.starts))]
        path = os.path.join(folder, self.name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(tzif([offset] + [to for _, to in changes], [at for at, _ in changes]))

    def day(self, at):
        """The number of a day of the run: 0 is the one before the first midnight."""
        return bisect.bisect_right(self.starts, at)

    def days(self, begin, end):
        """All that something between these times may belong to."""
        return range(self.day(begin), self.day(end) + 1)

    def fits(self, ask, day):
        """What its gateway told of the reset is what that day's requests are told."""
        if day >= len(self.starts):     # it ends about a day later
            return ask.reset > 3600
        return ask.begun - 1.5 <= self.starts[day] - ask.reset <= ask.ended + 1.5

    def is_over(self, at):
        """No midnight is to come."""
        return at > self.starts[-1] + 1

    def date(self, day):
        return self.dates[day]


def window(name, date):
    """What a limit of that name counts in: the same value for two days of one window."""
    return {"daily": date.isoformat(), "weekly": "%d-W%02d" % date.isocalendar()[:2],
            "monthly": f"{date:%Y-%m}"}[name]
