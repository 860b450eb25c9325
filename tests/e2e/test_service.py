# SPDX-License-Identifier: Apache-2.0
"""Limits of the whole service: what all accounts have through all gateways never exceeds them, and nobody waits for it."""
import os
import subprocess
import threading
import time
import unittest

import wire
from harness import (BUILD, Case, Gateway, Redis, SimGpu, backend, fresh, midday_zone, policy, together,
                     until)
from wire import Broken

QUIET = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
TIERS = {"free": {"images": {"per_day": 1000}, "max_wait": "30s"},
         "staff": {"images": "unlimited", "max_wait": "30s"},
         "open": {"images": "unlimited", "on_store_down": "open"}}
LEASED = 'meltguard_service_limit_leased{limit="images_per_%s"}'
IN_HAND = 'meltguard_service_limit_in_hand{limit="images_per_%s"}'


def service(images=None, credits=None, **more):
    limits = {key: value for key, value in (("images", images), ("credits", credits)) if value}
    return policy(timezone=midday_zone(), tiers=TIERS, shed=QUIET, service=limits, **more)


def begin_minute(seconds):
    """Waits, if need be, until at least so many seconds of a minute are left."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left + 0.1)


class Flood:
    """Many accounts that ask one image after another, at all gateways, until each has been refused a few times."""

    def __init__(self, gates, clients=16, refusals=20):
        self.delivered, self.refused, self.other = 0, 0, []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(gates, i, refusals))
                         for i in range(clients)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def join(self):
        for thread in self._threads:
            thread.join()
        return self

    def _run(self, gates, i, refusals):
        left = refusals
        while left:
            try:
                answer = gates[i % len(gates)].generate(fresh(), "free", size="8x8")
            except (OSError, Broken):
                return      # its gateway was killed
            with self._lock:
                if answer.status == 200:
                    self.delivered += len(answer.json()["data"])
                elif answer.why == "service_limit":
                    self.refused += 1
                    left -= 1
                else:
                    self.other.append(str(answer))
                    return


class Service:
    """On both stores."""

    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu(slots=200))

    def setUp(self):
        self.sim_.set(fail_next=0, hang_next=0, seconds_per_image=0)

    def store(self):
        return {}

    def own(self, content, store=None, **more):
        return self.gateway([backend(self.sim_, max_in_flight=200)], policy=content,
                            health={"eject_after": 1000}, **(store or self.store()), **more)

    def test_a_limit_is_met_and_never_exceeded(self):
        gate = self.own(service({"per_day": 100}))
        flood = Flood([gate]).start().join()
        self.assertEqual(flood.other, [])
        self.assertEqual(flood.delivered, 100)
        self.assertGreater(flood.refused, 0)
        self.assertEqual(gate.metrics()[LEASED % "day"], 100)

    def test_what_clients_are_told(self):
        begin_minute(2)
        gate = self.own(service({"per_day": 2, "per_hour": 1}))
        answer = gate.generate(size="8x8", n=2)
        self.assertRefused(answer, 503, "service_limit")
        self.assertIsNone(answer.get("retry-after"))
        self.assertEqual(answer.get("x-should-retry"), "false")
        line = gate.logged_as(answer.get("x-request-id"))
        self.assertEqual((line["outcome"], line["phase"]), ("service_limit", "RESERVE"))
        self.assertEqual(gate.generate(size="8x8").status, 200)
        answer = gate.generate(size="8x8", fields={"Accept-Language": "ko"})
        self.assertRefused(answer, 503, "service_limit")
        self.assertEqual(answer.error()["code"], "server_is_overloaded")
        self.assertEqual(answer.error()["message"], "지금은 이미지 생성을 사용할 수 없습니다")
        self.assertTrue(0 < int(answer.get("retry-after")) <= 3630)
        self.assertIsNone(answer.get("ratelimit"))

    def test_who_is_refused_pays_nothing(self):
        gate = self.own(service({"per_day": 1}))
        account = fresh()
        self.assertEqual(gate.generate(account, size="8x8").status, 200)
        for _ in range(3):
            self.assertRefused(gate.generate(account, size="8x8"), 503, "service_limit")
        gate.write_policy(service({"per_day": 100}))
        gate.send_signal(1)
        until(lambda: gate.generate(size="8x8").status == 200)
        answer = gate.generate(account, size="8x8")
        self.assertEqual(answer.get("x-ratelimit-remaining-images"), "998")

    def test_failed_jobs_come_back(self):
        gate = self.own(service({"per_day": 10}))
        self.sim_.set(fail_next=30, fail_status=500)
        for _ in range(30):
            self.assertEqual(gate.generate(tier="staff", size="8x8").status, 500)
        flood = Flood([gate], clients=4).start().join()
        # What one worker has in hand for a moment, the other does not get.
        self.assertTrue(flood.delivered <= 10, flood.delivered)
        time.sleep(3)
        rest = Flood([gate], clients=4, refusals=5).start().join()
        self.assertEqual(flood.delivered + rest.delivered, 10)

    def test_what_operators_see(self):
        gate = self.own(service({"per_day": 50}, {"per_hour": {"limit": 7.5, "dry_run": True}}))
        for _ in range(3):
            self.assertEqual(gate.generate(size="8x8").status, 200)

        def told():
            return wire.fetch(gate.admin, "GET", "/v1/quota/service").json()["limits"]

        def agrees(day):
            return day["leased"] == day["here"] and day["here"] - day["in_hand"] == 3

        limits = told()
        self.assertEqual([limit["name"] for limit in limits], ["images_per_day", "credits_per_hour"])
        self.assertEqual((limits[0]["limit"], limits[0]["is_dry_run"]), (50, False))
        until(lambda: agrees(told()[0]))    # what a worker has just claimed, it tells a moment later
        self.assertEqual((limits[1]["limit"], limits[1]["is_dry_run"]), (7.5, True))
        done = subprocess.run(
            [os.path.join(BUILD, "meltctl"), "quota", "service", "--admin",
             f"http://127.0.0.1:{gate.admin[1]}"], capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout, r"images_per_day +50 +\d+ +\d+ +\d+ +20")

    def test_credits(self):
        gate = self.own(service(credits={"per_day": 5},
                                prices=[{"model": "dear", "credits": 2}, {"credits": 0.5}]))
        got = [gate.generate(tier="staff", size="8x8", model="dear").status for _ in range(3)]
        self.assertEqual(got, [200, 200, 503])
        time.sleep(3)   # the last credit is in one worker's hand, and goes back
        got = [gate.generate(tier="staff", size="8x8").status for _ in range(3)]
        self.assertEqual(got, [200, 200, 503])

    def test_a_limit_on_trial(self):
        gate = self.own(service({"per_day": {"limit": 2, "dry_run": True}}))
        answers = [gate.generate(size="8x8") for _ in range(5)]
        self.assertEqual([answer.status for answer in answers], [200] * 5)
        series = 'meltguard_trial_refusals_total{outcome="service_limit"}'
        self.assertGreaterEqual(gate.metrics()[series], 2)
        line = gate.logged_as(answers[4].get("x-request-id"))
        self.assertEqual(line["trial_limit"], "images_per_day")

    def test_a_changed_limit(self):
        gate = self.own(service({"per_day": 3}))
        self.assertEqual(Flood([gate], clients=2, refusals=3).start().join().delivered, 3)
        for limit, more in ((8, 5), (6, 0), (10, 2)):
            gate.write_policy(service({"per_day": limit}))
            gate.send_signal(1)
            until(lambda: gate.metrics()['meltguard_service_limit{limit="images_per_day"}']
                  == limit)
            self.assertEqual(Flood([gate], clients=2, refusals=3).start().join().delivered, more)
        gate.write_policy(policy(tiers=TIERS, shed=QUIET))
        gate.send_signal(1)
        until(lambda: gate.generate(tier="staff", size="8x8").status == 200)

    def test_what_is_in_hand_is_handed_back_at_the_end(self):
        store = self.store()
        gate = self.own(service({"per_day": 500}), store)
        self.assertEqual(Flood([gate], clients=4, refusals=0).start().join().delivered, 0)
        together(40, lambda i: gate.generate(size="8x8"))
        gate.restart()
        self.assertEqual(Flood([gate], refusals=2).start().join().delivered, 460)

    def test_kill_9(self):
        """What the dead one had leased is nobody's until the window ends, and no more than about a second's use."""
        store = self.store()
        gate = self.own(service({"per_day": 400}), store)
        flood = Flood([gate], clients=8).start()
        until(lambda: flood.delivered > 100, every=0.005)
        leased = gate.metrics()[LEASED % "day"]
        gate.kill9()
        flood.join()
        gate.restart()
        rest = Flood([gate], clients=8, refusals=5).start().join()
        delivered = flood.delivered + rest.delivered
        self.assertLessEqual(delivered, 400)
        self.assertGreater(rest.delivered, 0)
        self.assertGreater(delivered, 400 - (leased + 100))
        print(f"\n  after kill -9: {delivered} of 400 delivered", flush=True)

    def test_a_minute(self):
        gate = self.own(service({"per_minute": 4}))
        begin_minute(5)
        self.assertEqual(Flood([gate], clients=2, refusals=3).start().join().delivered, 4)
        answer = gate.generate(size="8x8")
        self.assertRefused(answer, 503, "service_limit")
        left = 60 - time.time() % 60
        self.assertTrue(left - 1 <= int(answer.get("retry-after")) <= left + 7)


class Embedded(Service, Case):
    pass


class OnRedis(Service, Case):
    def store(self):
        # With a file: as it should be run.
        self.redis_ = self.redis(0, None, "--appendonly", "yes")
        return {"quota_store": self.redis_.url}

    def test_two_gateways_share_a_minute(self):
        limit = 600
        store = self.store()
        gates = [self.own(service({"per_minute": limit}), store) for _ in range(2)]
        begin_minute(15)
        minute = int(time.time() / 60)
        flood = Flood(gates, clients=32).start().join()
        self.assertEqual(int(time.time() / 60), minute, "this machine is too slow for the test")
        self.assertEqual(flood.other, [])
        self.assertLessEqual(flood.delivered, limit)
        # No more than each of the four workers may have in hand at the end.
        self.assertGreaterEqual(flood.delivered, limit - 4)
        claims = sum(value for gate in gates for series, value in gate.metrics().items()
                     if series.startswith("meltguard_service_limit_claims_total"))
        print(f"\n  {flood.delivered} of {limit} in {claims:.0f} claims, {flood.refused} refused",
              flush=True)
        self.assertLess(claims, 300)

    def test_one_of_two_is_killed(self):
        limit = 1000
        store = self.store()
        gates = [self.own(service({"per_day": limit}), store) for _ in range(2)]
        flood = Flood(gates, clients=16).start()
        until(lambda: flood.delivered > 200, every=0.005)
        gates[0].kill9()
        flood.join()
        gates[0].restart()
        rest = Flood(gates, clients=16, refusals=5).start().join()
        self.assertEqual(flood.other + rest.other, [])
        delivered = flood.delivered + rest.delivered
        print(f"\n  one of two killed: {delivered} of {limit}", flush=True)
        self.assertLessEqual(delivered, limit)
        self.assertGreater(delivered, limit // 2)

    def test_redis_is_down(self):
        store = self.store()
        gate = self.own(service({"per_day": 5}), store, quota={"timeout": "100ms"})
        self.assertEqual(gate.generate(tier="staff", size="8x8").status, 200)
        self.redis_.send_signal(19)
        until(lambda: gate.generate(tier="staff", size="8x8").why == "store_unavailable")
        answer = gate.generate(tier="open", size="8x8")
        self.assertEqual(answer.status, 200)
        self.assertEqual(gate.logged_as(answer.get("x-request-id"))["quota"], "open")
        self.redis_.send_signal(18)
        until(lambda: gate.generate(tier="staff", size="8x8").status == 200)


class Errors(Case):
    def test_line_and_column(self):
        gate = self.gateway([self.sim()])
        gate.write("policy.yaml", "tiers: {free: {images: unlimited}}\n"
                                  "service:\n  images: {per_minute: many}\n")
        gate.send_signal(1)
        gate.wait_line(r"policy\.yaml:3:24: wrong value 'many' for 'per_minute', expected a whole "
                       r"number of images, 0 to 1000000000, or \{limit, dry_run\}")


if __name__ == "__main__":
    unittest.main()
