# SPDX-License-Identifier: Apache-2.0
"""What must be true, told from what clients received.

Each ask has bounds: its account was charged at least `least` images, which are those that arrived whole, and at most
`most`.  They are equal wherever the client was told how its request ended, where nothing was answered while no backend
answered anything, and where a gateway that lived on wrote down what it charged."""
import collections
import threading

from zones import window

# Prices in thousandths of a credit, by the size that is asked for.
PRICES = {"8x8": 500, "48x48": 500, "120x120": 1500}
SMALL, PRICE, DEAR = "64x64", 500, 1500
# tier: {limit: how much}; what begins with "credits" is in credits, the rest in images.
TIERS = {
    "free": {"daily": 3},                       # also of everybody with a bearer token of his own
    "bare": {"daily": 7},
    "wide": {"daily": 60},
    "rich": {"daily": 9, "weekly": 14, "monthly": 16, "in_flight": 6},
    "credit": {"daily": 12, "credits_daily": 9},
    "member": {"daily": 40, "team_daily": 26},  # besides, all of a team together
}
LEASE_S = 2.0
# A job whose client left may go on for so long.
LATE_S = 9
# Answers after which nothing is held, whatever happened; backends fail with 400, 429, 500 or 503.
REFUSED = ("400", "429", "500", "503", "not connected")
WINDOWS = ("daily", "weekly", "monthly")
TEAMS = 60


def policy_tiers():
    """TIERS as a policy writes them."""
    words = {"daily": "per_day", "weekly": "per_week", "monthly": "per_month", "in_flight": "in_flight"}
    tiers = {}
    for name, limits in TIERS.items():
        tier = tiers[name] = {"priority": 0, "max_images_per_request": 4, "max_wait": "2s", "images": {}}
        for limit, amount in limits.items():
            if limit.startswith("credits_"):
                tier.setdefault("credits", {})[words[limit[8:]]] = amount
            elif not limit.startswith("team_"):
                tier["images"][words[limit]] = amount
    return tiers


def policy_teams():
    return {f"team{i}": {"images": {"per_day": TIERS["member"]["team_daily"]}} for i in range(TEAMS)}


class Ask:
    """One request, and what came of it."""

    def __init__(self, account, images, size, gate, begun):
        self.account, self.images, self.size, self.gate = account, images, size, gate
        self.begun = self.ended = self.over = begun     # over: also what goes on when the client has left
        self.id = ""
        self.word = "under way"
        self.seen = 0               # images that arrived whole
        self.least, self.most = 0, images
        self.is_told = False        # the client read the whole answer
        self.days = ()              # of the calendar, that it may be charged to
        self.logged = None          # images charged, as a gateway wrote down
        self.reset = None           # seconds until the day ends, as the gateway told
        self.is_at_stake = False    # a failover may have lost its charge,
        self.sure = 0               # which was at least this
        self.fields = ""

    def price(self, measure):
        return PRICES[self.size] if measure == "credits" else 1000


class Account:
    """Who asks; its fields name it to the gateway."""

    def __init__(self, name, tier, fields, team=None):
        self.name, self.tier, self.fields, self.team = name, tier, fields, team
        self.asks = []
        self.refusals = 0
        self.has_name = tier != "free"      # by which operators may ask for its quota

    def limits(self):
        """[(limit, who counts together, measure, thousandths)]"""
        for limit, amount in TIERS[self.tier].items():
            if limit.startswith("credits_"):
                yield limit[8:], self.name, "credits", amount * 1000
            elif limit.startswith("team_"):
                yield limit[5:], self.team, "images", amount * 1000
            else:
                yield limit, self.name, "images", amount * 1000


class Sum:
    """Of one limit of one subject in one window, in thousandths."""

    def __init__(self, limit):
        self.limit = limit
        self.seen = self.least = self.most = self.sure = self.at_stake = 0
        self.accounts = set()


class Model:
    def __init__(self, calendar, clock):
        self.calendar, self.clock = calendar, clock
        self.lock = threading.Lock()
        self.begun = clock()
        self.accounts = []
        self.faults = []            # [(time, what)]
        self.problems = []          # [(account or None, what)]
        self.eras = []              # [[from, to, gateway, its end]]: no backend answered with images, and it was killed
        self.pauses = []            # [(gateway, from, to)]: what was sent to it meanwhile was read later
        self.beyond = self.lost = 0     # thousandths that failovers cost: delivered over limits, not charged at the end

    def add(self, account):
        with self.lock:
            self.accounts.append(account)
        return account

    def note(self, what):
        """A fault, for the history."""
        with self.lock:
            self.faults.append((self.clock(), what))

    def problem(self, account, what):
        with self.lock:
            self.problems.append((account, what))

    def days_of(self, ask):
        """The days that it may be charged to.  What the gateway said of the reset tells which it was."""
        end = ask.ended + 0.1 if ask.is_told else self._read_by(ask)
        days = self.calendar.days(ask.begun - 0.1, end)
        if len(days) > 1 and ask.reset is not None:
            told = [day for day in days if self.calendar.fits(ask, day)]
            return told or days
        return days

    def _read_by(self, ask):
        """By when a gateway has read what a client sent that left."""
        end = ask.ended + 0.5
        return max([end] + [to + 0.5 for gate, begin, to in self.pauses
                            if gate == ask.gate and begin < end and ask.begun < to])

    def in_era(self, ask):
        return any(begin < ask.begun and ask.ended < end and
                   (ask.over < end or ask.gate == gate and ask.begun < killed)
                   for begin, end, gate, killed in self.eras)

    def may_have_lost_its_lease(self, ask):
        """While its gateway, or Redis, stood still.  An answer that had begun then may be charged as a whole."""
        if ask.word in REFUSED:
            return False
        end = ask.ended if ask.is_told else ask.ended + LATE_S
        return any(where in (ask.gate, "redis") and begin < end and ask.begun < to and to - begin > LEASE_S / 4
                   for where, begin, to in self.pauses)

    def narrow(self, lines, is_excused):
        """With what the gateways wrote down: {request id: line of the access log}."""
        for ask in self.asks():
            ask.days = tuple(self.days_of(ask))
            line = lines.get(ask.id, {})
            ask.logged = line["cost"] // PRICES[ask.size] if "cost" in line else None
            ask.over = self._over(ask, line)
            if self.in_era(ask):
                ask.most = ask.least
            if ask.logged is None:
                continue
            if not ask.least <= ask.logged <= ask.most:
                self.problem(ask.account, f"{ask.id}: {ask.logged} images were written down as charged, but its "
                                          f"client's view is {ask.least} to {ask.most}")
            elif not is_excused(ask):
                ask.least = ask.most = ask.logged
            if self.may_have_lost_its_lease(ask) and not self.in_era(ask):
                ask.most = ask.images

    def _over(self, ask, line):
        """When nothing of it was under way any more."""
        if ask.is_told:
            return ask.ended
        return max(ask.ended, self._read_by(ask) + line["total_ms"] / 1000) if line else ask.ended + LATE_S

    def put_at_stake(self, failovers):
        """After narrow(): what failovers may have lost may be charged, or not."""
        for ask in self.asks():
            ask.sure = ask.least
            for failover in failovers:
                is_refused = ask.most == 0 and ask.is_told
                if ask.word == "not connected" or is_refused or not failover.concerns(ask.begun, ask.over):
                    continue
                ask.most = ask.images
                if failover.stakes(ask.begun, ask.over):
                    ask.is_at_stake, ask.least = True, 0
                    failover.requests += 1
                    failover.images += ask.images

    def asks(self):
        return [ask for account in self.accounts for ask in account.asks]

    def sums(self):
        """{(limit, subject, measure, window): Sum}"""
        sums = {}
        for account in self.accounts:
            for limit, subject, measure, amount in account.limits():
                if limit in WINDOWS:
                    self._add(sums, account, (limit, subject, measure), amount)
        return sums

    def _add(self, sums, account, key, amount):
        for ask in account.asks:
            windows = {window(key[0], self.calendar.date(day)) for day in ask.days}
            for when in windows:
                total = sums.setdefault((*key, when), Sum(amount))
                price = ask.price(key[2])
                total.accounts.add(account)
                total.most += ask.most * price
                if len(windows) == 1:   # else it may have been the other
                    total.least += ask.least * price
                    total.sure += ask.sure * price
                    total.seen += ask.seen * price
                    total.at_stake += ask.seen * price * ask.is_at_stake

    def check_delivered(self):
        self.beyond = 0
        for (limit, subject, measure, when), total in self.sums().items():
            self.beyond += max(total.seen - total.limit, 0) * (limit == "daily" and measure == "images")
            if total.seen - total.at_stake > total.limit:
                self.problem(min(total.accounts, key=lambda account: account.name),
                             f"{subject} got {total.seen / 1000} {measure} in the {limit} window {when}, and its "
                             f"limit is {total.limit / 1000}" +
                             (f", with {total.at_stake / 1000} at stake" if total.at_stake else ""))

    def check_used(self, account, shown, day):
        """What the gateway shows of an account's limits, now that nothing is under way."""
        sums = self.sums_of(account, day)
        for entry in shown["limits"]:
            used = round(entry["used"] * 1000)
            key = (entry["name"], entry["scope"] == "team", entry["measure"])
            if key not in sums:
                if used:
                    self.problem(account, f"{used / 1000} images are {entry['name']}, though nothing is under way")
                continue
            total = sums[key]
            if key == ("daily", False, "images"):
                self.lost += max(total.sure - used, 0)
            if not total.least <= used <= total.most:
                self.problem(account, f"{used / 1000} {key[2]} are used in the {key[0]} window of its "
                                      f"{entry['scope']}, and it must be {span(total.least, total.most)}")

    def sums_of(self, account, day):
        """{(limit, is a team's, measure): Sum} in the windows of that day."""
        found = {}
        for limit, subject, measure, _ in account.limits():
            if limit not in WINDOWS:
                continue
            is_team = subject == account.team
            sums = {}
            for other in self.accounts:
                if other is account or is_team and other.team == account.team:
                    self._add(sums, other, (limit, subject, measure), 0)
            when = window(limit, self.calendar.date(day))
            found[limit, is_team, measure] = sums.get((limit, subject, measure, when), Sum(0))
        return found

    def room(self, account, day, price):
        """(least, most) images of that price that it must be able to use still."""
        sums = self.sums_of(account, day)
        rooms = []
        for limit, subject, measure, amount in account.limits():
            if limit in WINDOWS:
                total = sums[limit, subject == account.team, measure]
                unit = price if measure == "credits" else 1000
                rooms.append((max(amount - total.most, 0) // unit, max(amount - total.least, 0) // unit))
        return min(low for low, _ in rooms), min(high for _, high in rooms)

    def history(self, account):
        """All that happened to the account, with the faults meanwhile."""
        asks = sorted((ask for other in self.accounts if other is account or other.team and
                       other.team == account.team for ask in other.asks), key=lambda ask: ask.begun)
        events = [(ask.begun, self.describe(ask, ask.account is not account)) for ask in asks]
        if asks:
            end = max(ask.ended for ask in asks) + 5
            events += [(at, f"-- {what}") for at, what in self.faults if asks[0].begun - 5 <= at <= end]
        return [f"{at - self.begun:9.3f}  {what}" for at, what in sorted(events)]

    def describe(self, ask, names_account):
        charged = span(ask.least * 1000, ask.most * 1000)
        days = "/".join(self.calendar.date(day).isoformat() for day in ask.days)
        logged = "" if ask.logged is None else f", written down {ask.logged}"
        return (f"{ask.gate} n={ask.images} size={ask.size} {ask.word}, got {ask.seen}, charged {charged}{logged} "
                f"of {days}, ended {ask.ended - self.begun:.3f} {ask.fields} {ask.id}" +
                (f" by {ask.account.name}" if names_account else ""))

    def report(self, most=12):
        """The problems, each with its account's history."""
        lines = []
        for account, what in self.problems[:most]:
            lines.append(f"VIOLATION: {account.name + ' (' + account.tier + '): ' if account else ''}{what}")
            lines += self.history(account) if account else []
        if len(self.problems) > most:
            lines.append(f"... and {len(self.problems) - most} more")
        return "\n".join(lines)

    def words(self):
        return collections.Counter(ask.word for ask in self.asks())


def span(least, most):
    return f"{least / 1000:g}" if least == most else f"{least / 1000:g} to {most / 1000:g}"
