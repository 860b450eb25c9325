# SPDX-License-Identifier: Apache-2.0
"""Every kind of limit, as a client meets it, on both stores; and what happens while the store is down."""
import re
import signal
import threading
import time

from harness import Case, Gateway, Redis, SimGpu, backend, fresh, policy, until

QUIET = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
TIERS = {
    "daily": {"images": {"per_day": 3}},
    "weekly": {"images": {"per_week": 2, "per_day": 5}},
    "monthly": {"images": {"per_month": 1}},
    "rolling": {"images": {"rolling": "2/1h"}},
    "paced": {"images": {"rate": "1/h burst 2"}},
    "one": {"images": {"in_flight": 1, "per_day": 100}},
    "credits": {"credits": {"per_day": 5}},
    "model": {"images": {"per_day": 10}, "models": {"dear-*": {"images": {"per_day": 1}}}},
    "trial": {"images": {"per_day": {"limit": 1, "dry_run": True}}},
    "open": {"images": {"per_day": 1}, "on_store_down": "open"},
    "local": {"images": {"per_day": 4}, "on_store_down": "local"},
}
PRICES = {"sizes": {"small": "512x512", "large": "4096x4096"},
          "prices": [{"model": "dear-*", "credits": 2.5}, {"size": "large", "credits": 2},
                     {"credits": 0.5}]}


class Limits:
    """What each kind promises; a class below for each store."""

    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu(slots=50))
        cls.gate = cls.shared(Gateway([backend(cls.sim_, max_in_flight=50)], **cls.make_store(),
                                      health={"eject_after": 1000},
                                      policy=policy(tiers=TIERS, shed=QUIET, **PRICES,
                                                    teams={"acme": {"images": {"per_day": 3}}}),
                                      identity=[{"header": {"account": "X-Account-Id",
                                                            "tier": "X-Account-Tier",
                                                            "team": "X-Account-Team",
                                                            "trust": ["127.0.0.0/8"]}}]))

    @classmethod
    def make_store(cls):
        return {}

    def setUp(self):
        self.sim_.set(fail_next=0, hang_next=0, seconds_per_image=0)

    def ask(self, account, tier, **more):
        return self.gate.generate(account, tier, size=more.pop("size", "8x8"), **more)

    def statuses(self, count, tier, account=None, **more):
        account = account or fresh()
        return [self.ask(account, tier, **more).status for _ in range(count)]

    def test_week_and_day_hold_together(self):
        self.assertEqual(self.statuses(3, "weekly"), [200, 200, 429])
        answer = self.ask(fresh(), "weekly")
        self.assertEqual(sorted(re.findall(r'"(\w+)";q=(\d+)', answer.get("ratelimit-policy"))),
                         [("daily", "5"), ("weekly", "2")])
        self.assertEqual(sorted(re.findall(r'"(\w+)";r=(\d+)', answer.get("ratelimit"))),
                         [("daily", "4"), ("weekly", "1")])
        self.assertEqual(answer.get("x-ratelimit-remaining-images"), "1")

    def test_month(self):
        account = fresh()
        self.assertEqual(self.ask(account, "monthly").status, 200)
        answer = self.ask(account, "monthly")
        self.assertRefused(answer, 429, "quota_exhausted")
        self.assertIn("monthly quota of 1 images", answer.error()["message"])

    def test_rolling(self):
        account = fresh()
        self.assertEqual(self.statuses(3, "rolling", account), [200, 200, 429])
        answer = self.ask(account, "rolling")
        self.assertRefused(answer, 429, "quota_exhausted")
        self.assertTrue(3000 < int(answer.get("retry-after")) <= 3900, answer.get("retry-after"))

    def test_rate(self):
        account = fresh()
        self.assertEqual(self.ask(account, "paced").status, 200)
        time.sleep(0.05)    # as below
        self.assertEqual(self.ask(account, "paced").status, 200)
        answer = self.ask(account, "paced")
        self.assertRefused(answer, 429, "rate_limited")
        self.assertEqual(answer.error()["code"], "rate_limit_exceeded")
        self.assertTrue(3500 < int(answer.get("retry-after")) <= 3600, answer.get("retry-after"))

    def test_more_than_the_burst_is_hopeless(self):
        answer = self.ask(fresh(), "paced", n=3)
        self.assertRefused(answer, 429, "rate_limited")
        self.assertIsNone(answer.get("retry-after"))
        self.assertEqual(answer.get("x-should-retry"), "false")

    def test_rate_of_failed_jobs_comes_back(self):
        account = fresh()
        self.sim_.set(fail_next=5, fail_status=500)
        self.assertEqual(self.statuses(5, "paced", account), [500] * 5)
        time.sleep(0.05)    # workers' views of Redis' clock differ by a little, which counts for a rate
        self.assertEqual(self.statuses(3, "paced", account), [200, 200, 429])

    def test_one_in_flight(self):
        account = fresh()
        self.sim_.set(seconds_per_image=1.0)
        first = []
        before = self.sim_.requests
        thread = threading.Thread(target=lambda: first.append(self.ask(account, "one").status))
        thread.start()
        until(lambda: self.sim_.requests > before)
        answer = self.ask(account, "one")
        self.assertRefused(answer, 429, "in_flight_limited")
        self.assertIsNone(answer.get("x-should-retry"))
        thread.join()
        self.assertEqual(first, [200])
        self.sim_.set(seconds_per_image=0)
        # One after the other never meets the limit, on whatever worker each lands.
        self.assertEqual(self.statuses(20, "one", account), [200] * 20)

    def test_credits_by_price(self):
        account = fresh()
        self.assertEqual(self.ask(account, "credits", size="1024x1024").status, 200)    # 2
        self.assertEqual(self.ask(account, "credits", model="dear-1").status, 200)      # 2.5
        answer = self.ask(account, "credits", n=2)                                      # 1, left 0.5
        self.assertRefused(answer, 429, "quota_exhausted")
        self.assertIn("5 credits (1 asked for, 0.500 left)", answer.error()["message"])
        self.assertEqual(self.statuses(2, "credits", account), [200, 429])

    def test_one_model(self):
        account = fresh()
        self.assertEqual(self.statuses(2, "model", account, model="dear-1"), [200, 429])
        self.assertEqual(self.statuses(2, "model", account, model="cheap"), [200, 200])

    def test_a_team_shares(self):
        fields = {"X-Account-Team": "acme"}
        accounts = [fresh() for _ in range(4)]
        got = [self.ask(account, "daily", fields=fields).status for account in accounts]
        self.assertEqual(got, [200, 200, 200, 429])
        answer = self.ask(accounts[3], "daily", fields=fields)
        self.assertIn("team's daily quota of 3 images", answer.error()["message"])
        # What the team refused has cost the account nothing of its own.
        self.assertEqual(self.statuses(4, "daily", accounts[3]), [200, 200, 200, 429])

    def test_on_trial_refuses_nobody(self):
        account = fresh()
        series = 'meltguard_trial_refusals_total{outcome="quota_exhausted"}'
        before = self.gate.metrics().get(series, 0)
        answers = [self.ask(account, "trial") for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [200] * 3)
        self.assertEqual(self.gate.metrics()[series] - before, 2)
        line = self.gate.logged_as(answers[2].get("x-request-id"))
        self.assertEqual(line["trial_limit"], "daily")

    def test_who_is_out_of_quota_is_refused_before_the_body(self):
        account = fresh()
        self.assertEqual(self.statuses(4, "daily", account), [200, 200, 200, 429])
        hits = "meltguard_denied_memory_hits_total"
        before = self.gate.metrics()[hits]
        for _ in range(8):
            self.assertRefused(self.ask(account, "daily"), 429, "quota_exhausted")
        self.assertGreaterEqual(self.gate.metrics()[hits], before)


class Embedded(Limits, Case):
    pass


class OnRedis(Limits, Case):
    @classmethod
    def make_store(cls):
        cls.redis = cls.shared(Redis())
        return {"quota_store": cls.redis.url}


class StoreDown(Case):
    """on_store_down, by tier; and the way back."""

    def test_open_and_closed(self):
        redis, sim = self.redis(), self.sim()
        gate = self.gateway([sim], policy=policy(tiers=TIERS, shed=QUIET), quota_store=redis.url,
                            keys={"a key": ("somebody", "daily")})
        self.assertEqual(gate.generate(fresh(), "open", size="8x8").status, 200)
        redis.send_signal(signal.SIGSTOP)
        until(lambda: gate.generate(fresh(), "daily", size="8x8").status == 503)
        self.assertRefused(gate.generate(fresh(), "daily", size="8x8"), 503, "store_unavailable")
        answer = gate.generate(fresh(), "open", size="8x8")
        self.assertEqual(answer.status, 200)
        self.assertEqual(gate.logged_as(answer.get("x-request-id"))["quota"], "open")
        redis.send_signal(signal.SIGCONT)
        until(lambda: gate.generate(fresh(), "daily", size="8x8").status == 200)

    def test_local(self):
        """Half of four a day while Redis is away, also over a restart; Redis gets the charge when it is back."""
        redis, sim = self.redis(), self.sim()
        gate = self.gateway([sim], policy=policy(tiers=TIERS, shed=QUIET), quota_store=redis.url,
                            quota={"local_share": 50, "lease": "1s"}, keys={"a key": ("somebody", "daily")})
        account = fresh()
        self.assertEqual(gate.generate(account, "local", size="8x8").status, 200)
        redis.send_signal(signal.SIGSTOP)
        until(lambda: gate.generate(fresh(), "daily", size="8x8").status == 503)
        answer = gate.generate(account, "local", size="8x8")
        self.assertEqual(answer.status, 200)
        self.assertEqual(gate.logged_as(answer.get("x-request-id"))["quota"], "local")
        gate.kill9()
        gate.restart(wait=False)
        until(lambda: gate.generate(account, "local", size="8x8").status == 200)
        for _ in range(2):
            self.assertRefused(gate.generate(account, "local", size="8x8"), 503, "store_unavailable")
        redis.send_signal(signal.SIGCONT)
        until(lambda: gate.kept_bytes() == 0, what="charges are still kept")
        # What the gateway that was killed had asked of Redis is held until its lease ends.
        until(lambda: gate.generate(account, "local", size="8x8").status == 200)
        self.assertEqual(gate.generate(account, "local", size="8x8").status, 429)
