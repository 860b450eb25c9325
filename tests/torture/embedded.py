# SPDX-License-Identifier: Apache-2.0
"""The embedded store: one gateway; by a true clock, and by one that jumps."""
import datetime
import time

from clocks import HOUR, SLOW_S, FakeClock, JumpingCalendar
from model import LEASE_S
from world import World

DAY = 24 * HOUR
# Zones, and days that begin with or contain a change of their clocks: by an hour, at midnight itself, by half an hour.
CHANGES = {"Europe/Berlin": ((2026, 3, 29), (2026, 10, 25)), "America/New_York": ((2026, 3, 8), (2026, 11, 1)),
           "America/Santiago": ((2026, 9, 6), (2026, 4, 5)), "Africa/Cairo": ((2026, 4, 24), (2026, 10, 30)),
           "Australia/Lord_Howe": ((2026, 10, 4), (2026, 4, 5))}


class Embedded(World):
    """One gateway, its own store, and the true time."""

    names = ("A",)

    def faults(self):
        return super().faults() + [(3, self.stop_with_full_hands)]


class Clocks(Embedded):
    """The embedded store by a clock that jumps: over midnights, over changes of the clocks, and back again."""

    def _make_calendar(self):
        zone = self.rng.choice(sorted(CHANGES))
        self.change = datetime.date(*self.rng.choice(CHANGES[zone])).toordinal()
        self.calendar = JumpingCalendar(zone, 0)
        # Midnight comes while the first requests are under way.
        self.calendar = JumpingCalendar(zone, self._ahead_of(self.change - 1, -self.plan.seconds * 0.2))

    def _ahead_of(self, day, after):
        """For it to be so many seconds after that day's beginning now."""
        return round(self.calendar.midnight(day) + after - time.time())

    def _clock_of(self, name):
        clock = FakeClock(self.library, self.folder, name)
        clock.set(self.calendar.ahead)
        return clock

    def _jump(self, model, ahead, what):
        model.note(f"the clock jumps by {ahead - self.calendar.ahead:+d} s: {what}")
        self.calendar.jump(ahead)
        self.gates[0].clock.set(ahead)
        self.wait(SLOW_S)

    def jump_a_little(self, model):
        """Within the lease, or back by anything: no hold ends early."""
        by = self.rng.choice((LEASE_S / 2, -1, -LEASE_S * 2, -90, -HOUR))
        self._jump(model, round(self.calendar.ahead + by), "on this day, more or less")

    def jump_to_midnight(self, model):
        """Just before a midnight, one that is near a change of the clocks; the rest is waited for."""
        day = self.change + self.rng.choice((-1, 0, 1))
        self._jump(model, self._ahead_of(day, -SLOW_S - self.rng.choice((0.2, 1))),
                   f"just before {self.calendar.date(day)}")
        self.wait(2)

    def jump_to_change(self, model):
        """To and fro over the hours in which the clocks change."""
        after = self.rng.choice((-30, 0.5, 1.5, 2.5, 3.5)) * HOUR
        self._jump(model, self._ahead_of(self.change, after), f"{after / HOUR:+g} h after the midnight of the change")

    def jump_a_day(self, model):
        by = self.rng.choice((DAY, -DAY))
        self._jump(model, self.calendar.ahead + by, "a day")

    def jump_with_full_hands(self, model):
        """The leases of all that is at work end by the clock, though nothing stood still."""
        self._hold_much(model)
        self._jump(model, round(self.calendar.ahead + LEASE_S * self.rng.choice((2, 5))), "past all leases")

    def faults(self):
        return super().faults() + [(3, self.jump_a_little), (3, self.jump_to_midnight), (2, self.jump_to_change),
                                   (2, self.jump_a_day), (3, self.jump_with_full_hands)]

    def recover(self, model):
        """Leases end by the same clock: it goes where it has not been yet."""
        self._jump(model, self.calendar.furthest + HOUR, "to where it never was")
        super().recover(model)
