# SPDX-License-Identifier: Apache-2.0
"""Exact quotas on both stores: never more than the limit, and what made no image comes back."""
import signal
import threading
import time

from harness import (Case, Gateway, Redis, SimGpu, backend, credentials, fresh, policy, together,
                     until)
from wire import Broken, Connection, request

PATH = "/v1/images/generations"
OPEN = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
PATIENT = {"free": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4,
                    "max_wait": "30s"},
           "hasty": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4,
                     "max_wait": "0s"},
           "staff": {"images": "unlimited", "priority": 2, "max_wait": "30s"}}
SETTINGS = {"policy": policy(tiers=PATIENT, shed=OPEN), "health": {"eject_after": 1000}}


def seconds_to_midnight(zone):
    """Of a zone such as Etc/GMT-9, which is nine hours ahead."""
    ahead = -int(zone.removeprefix("Etc/GMT") or 0)
    return 86400 - int(time.time() + ahead * 3600) % 86400


def left(gate, account, tier="free"):
    """How many of three images the account still has; this looks by taking one."""
    answer = gate.generate(account, tier, size="8x8")
    if answer.status == 429:
        return 0
    return int(answer.get("x-ratelimit-remaining-images")) + 1


class Stores:
    """The promises; each store is a class below, and a Case."""

    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu(slots=300))
        cls.store = cls.make_store()
        cls.gate = cls.shared(Gateway([backend(cls.sim_, max_in_flight=300)], **cls.store,
                                      **SETTINGS))

    @classmethod
    def make_store(cls):
        """Settings that name the store."""
        return {}

    def setUp(self):
        self.sim_.set(fail_next=0, hang_next=0, seconds_per_image=0, gzip=False, chunked=False)

    def own(self, sim=None, max_in_flight=300, **changes):
        """A gateway of this test alone."""
        return self.gateway([backend(sim or self.sim_, max_in_flight=max_in_flight)],
                            **{**self.store, **SETTINGS, **changes})

    def test_three_a_day(self):
        account = fresh()
        for remaining in (2, 1, 0):
            answer = self.gate.generate(account)
            self.assertAdmitted(answer)
            self.assertEqual(answer.get("ratelimit-policy"), '"daily";q=3;w=86400')
            self.assertRegex(answer.get("ratelimit"), rf'^"daily";r={remaining};t=\d+$')
            self.assertEqual(answer.get("x-ratelimit-limit-images"), "3")
            self.assertEqual(answer.get("x-ratelimit-remaining-images"), str(remaining))
        before = self.sim_.requests
        for _ in range(2):
            self.check_refusal(self.gate.generate(account))
        self.assertEqual(self.sim_.requests, before)

    def check_refusal(self, answer):
        reset = seconds_to_midnight(SETTINGS["policy"]["timezone"])
        self.assertRefused(answer, 429, "quota_exhausted")
        error = answer.error()
        self.assertEqual((error["type"], error["code"], error["param"]),
                         ("insufficient_quota", "insufficient_quota", None))
        self.assertIn("3", error["message"])
        self.assertEqual(answer.get("x-should-retry"), "false")
        self.assertGreaterEqual(int(answer.get("retry-after")), reset - 5)
        self.assertLess(int(answer.get("retry-after")), reset + 3600)
        self.assertEqual(answer.get("ratelimit-policy"), '"daily";q=3;w=86400')
        self.assertRegex(answer.get("ratelimit"), r'^"daily";r=0;t=\d+$')
        self.assertAlmostEqual(int(answer.get("ratelimit").rsplit("=", 1)[1]), reset, delta=5)
        self.assertEqual(answer.get("x-ratelimit-limit-images"), "3")
        self.assertEqual(answer.get("x-ratelimit-remaining-images"), "0")
        self.assertRegex(answer.get("x-ratelimit-reset-images"), r"^\d+s$")
        self.assertEqual(answer.get("content-type"), "application/json")

    def test_a_refusal_changes_nothing(self):
        account = fresh()
        self.assertAdmitted(self.gate.generate(account, n=2), 2)
        for _ in range(3):
            answer = self.gate.generate(account, n=2)
            self.assertRefused(answer, 429, "quota_exhausted")
            self.assertEqual(answer.get("x-ratelimit-remaining-images"), "1")
        self.assertEqual(left(self.gate, account), 1)

    def test_accounts_are_apart(self):
        one, other = fresh(), fresh()
        for _ in range(3):
            self.gate.generate(one)
        self.assertEqual(left(self.gate, other), 3)

    def test_unlimited(self):
        account = fresh()
        for _ in range(5):
            answer = self.gate.generate(account, "staff", n=4)
            self.assertAdmitted(answer, 4)
            self.assertIsNone(answer.get("ratelimit"))

    def test_errors_of_the_backend_cost_nothing(self):
        account = fresh()
        for status in (400, 403, 404, 429, 500, 503):
            self.sim_.set(fail_next=1, fail_status=status)
            answer = self.gate.generate(account, n=3)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.error()["code"], "simulated_failure")
        self.assertEqual(left(self.gate, account), 3)

    def test_a_lost_backend_costs_nothing(self):
        account = fresh()
        for fault in ("drop_next", "garbage_next"):
            self.sim_.set(**{fault: 1})
            self.assertEqual(self.gate.generate(account, n=3).status, 502)
        self.assertEqual(left(self.gate, account), 3)

    def broken(self, account, **body):
        with self.assertRaises((Broken, ConnectionResetError)):
            self.gate.generate(account, **body)

    def test_a_broken_image_costs_nothing(self):
        for chunked in (False, True):
            for fault in ("reset_next", "short_next"):
                with self.subTest(chunked=chunked, fault=fault):
                    account = fresh()
                    self.sim_.set(chunked=chunked, **{fault: 1})
                    self.broken(account, size="700x700")
                    self.assertEqual(left(self.gate, account), 3)

    def test_a_broken_body_costs_its_whole_images(self):
        account = fresh()
        self.sim_.set(short_next=1)
        self.broken(account, n=3, size="500x500")       # half of three: one whole image
        self.assertEqual(left(self.gate, account), 2)

    def test_a_broken_stream_costs_its_whole_images(self):
        account = fresh()
        self.sim_.set(short_next=1)
        self.broken(account, n=3, stream=True, partial_images=1, size="200x200")
        self.assertEqual(left(self.gate, account), 2)

    def test_asked_three_got_two(self):
        for size, stream in (("8x8", False), ("8x8", True), ("700x700", False)):
            with self.subTest(size=size, stream=stream):
                account = fresh()
                self.sim_.set(short_images=1)
                self.assertEqual(self.gate.generate(account, n=3, size=size, stream=stream).status, 200)
                self.assertEqual(left(self.gate, account), 1)

    def test_what_cannot_be_counted_costs_what_was_asked(self):
        account = fresh()
        self.sim_.set(gzip=True)
        answer = self.gate.generate(account, n=2)
        self.assertEqual((answer.status, answer.get("content-encoding")), (200, "gzip"))
        self.sim_.set(gzip=False)
        self.assertEqual(left(self.gate, account), 1)

    def leave(self, gate, account, tier="free", **body):
        """A client that asks and is gone at once."""
        c = Connection(gate.address)
        c.send(request("POST", PATH, {"prompt": "p", "size": "8x8", **body},
                       credentials(account, tier)))
        return c

    def test_a_client_that_leaves_before_its_job_was_sent(self):
        sim = self.sim(slots=1, seconds_per_image=0.6)
        gate, account = self.own(sim, max_in_flight=1), fresh()
        for ending in ("close", "reset"):
            first = self.leave(gate, fresh())
            until(lambda: sim.state()["working"] == 1)
            second = self.leave(gate, account, n=3)
            until(lambda: gate.metrics()["meltguard_requests_waiting"] == 1)
            getattr(second, ending)()
            until(lambda: gate.metrics()["meltguard_requests_waiting"] == 0)
            self.assertEqual(first.read().status, 200)
            first.close()
        self.assertEqual(sim.requests, 2)
        self.assertEqual(left(gate, account), 3)

    def test_a_client_that_leaves_while_its_job_runs(self):
        """A GPU is at work on it already: it is charged, and its slot stays taken until then."""
        sim = self.sim(slots=1, seconds_per_image=0.5)
        gate, account = self.own(sim, max_in_flight=1), fresh()
        client = self.leave(gate, account)
        until(lambda: sim.state()["working"] == 1)
        client.reset()
        time.sleep(0.1)
        self.assertRefused(gate.generate(fresh(), "hasty"), 503, "busy")
        until(lambda: gate.metrics()["meltguard_requests_in_progress"] == 0)
        self.assertEqual(left(gate, account), 2)

    def test_shed_costs_nothing(self):
        sim = self.sim(slots=1, seconds_per_image=0.4)
        gate, account = self.own(sim, max_in_flight=1), fresh()
        busy = self.leave(gate, fresh())
        until(lambda: sim.state()["working"] == 1)
        self.assertRefused(gate.generate(account, "hasty", n=3), 503, "busy")
        self.assertEqual(busy.read().status, 200)
        busy.close()
        self.assertEqual(left(gate, account), 3)

    def test_too_many_at_once(self):
        """One account, many requests in the same moment."""
        account = fresh()
        got = together(60, lambda _: self.gate.generate(account, size="8x8").status)
        self.assertEqual((got.count(200), got.count(429)), (3, 57), got)

    def test_too_many_at_once_of_several_images(self):
        account = fresh()
        got = together(30, lambda _: self.gate.generate(account, n=2, size="8x8").status)
        self.assertEqual((got.count(200), got.count(429)), (1, 29), got)
        self.assertEqual(left(self.gate, account), 1)

    def test_failures_at_once(self):
        """All are held, all fail, all come back."""
        account = fresh()
        for _ in range(5):
            self.sim_.set(fail_next=50, fail_status=500)
            got = together(12, lambda _: self.gate.generate(account, size="8x8").status)
            self.assertEqual(set(got) - {429}, {500}, got)
        self.sim_.set(fail_next=0)
        self.assertEqual(left(self.gate, account), 3)

    def killed_in_mid_request(self, lease):
        sim = self.sim()
        gate, account = self.own(sim, quota={"lease": lease}), fresh()
        sim.set(hang_next=1)
        client = self.leave(gate, account, n=3)
        until(lambda: sim.requests == 1)
        gate.kill9()
        client.close()
        return gate, account

    def test_kill_9_in_mid_request(self):
        """What a dead gateway held comes back when its lease ends, and not before."""
        gate, account = self.killed_in_mid_request("3s")
        killed = time.monotonic()
        gate.restart()
        answer = gate.generate(account, n=3)
        if time.monotonic() - killed < 2.5:
            self.assertRefused(answer, 429, "quota_exhausted")
        until(lambda: gate.generate(account, n=3).status == 200, 15, every=0.2)
        self.assertGreater(time.monotonic() - killed, 1)
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")

    def test_kill_9_keeps_what_was_delivered(self):
        gate, account = self.own(quota={"lease": "1s"}), fresh()
        for _ in range(3):
            self.assertAdmitted(gate.generate(account))
        gate.kill9()
        gate.restart()
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")
        time.sleep(1.5)
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")

    def test_a_job_longer_than_the_lease(self):
        """A live gateway renews what it holds."""
        sim = self.sim(seconds_per_image=2.5)
        gate, account = self.own(sim, quota={"lease": "1s"}), fresh()
        running = []
        thread = threading.Thread(target=lambda: running.append(gate.generate(account, n=1)))
        clients = [self.leave(gate, account, n=1) for _ in range(2)]
        thread.start()
        until(lambda: sim.requests == 3)
        time.sleep(1.7)
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")
        thread.join()
        self.assertAdmitted(running[0])
        for client in clients:
            self.assertEqual(client.read().status, 200)
            client.close()
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")

    def test_a_clean_restart_keeps_the_count(self):
        gate, account = self.own(), fresh()
        self.assertAdmitted(gate.generate(account, n=2), 2)
        gate.restart()
        self.assertEqual(left(gate, account), 1)

    def test_commit_acknowledged(self):
        gate, account = self.own(quota={"commit": "acknowledged"}), fresh()
        for n in (1, 2):
            self.assertAdmitted(gate.generate(account, n=n), n)
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")


class Embedded(Stores, Case):
    """A folder of the gateway's own: each gateway of a test has its own, which a restart finds again."""

    def test_kill_9_in_mid_request(self):
        """One gateway has the folder at a time: what an earlier one held comes back at once."""
        gate, account = self.killed_in_mid_request("60s")
        gate.restart()
        self.assertAdmitted(gate.generate(account, n=3), 3)
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")

    def test_standing_still_for_longer_than_the_lease(self):
        """Its holds are its own, however long it is stopped: nobody gets what is in its hands."""
        sim = self.sim(seconds_per_image=1)
        gate, account = self.own(sim, quota={"lease": "1s"}), fresh()
        client = self.leave(gate, account, n=3)
        until(lambda: sim.requests == 1)
        gate.send_signal(signal.SIGSTOP)
        second = self.leave(gate, account)      # is there before any lease could be renewed
        time.sleep(1.6)
        gate.send_signal(signal.SIGCONT)
        self.assertRefused(second.read(), 429, "quota_exhausted")
        self.assertEqual(client.read().status, 200)
        second.close()
        client.close()
        self.assertRefused(gate.generate(account), 429, "quota_exhausted")


class OnRedis(Stores, Case):
    @classmethod
    def make_store(cls):
        cls.redis_ = cls.shared(Redis())
        return {"quota_store": cls.redis_.url}

    def test_two_hundred_at_two_gateways(self):
        """One account, three images a day, 200 requests at once at two gateways on one Redis: exactly three."""
        gates = [self.own(workers=2), self.own(workers=2)]
        before = self.sim_.state()["images"]
        account = fresh()
        got = together(200, lambda i: gates[i % 2].generate(account, size="8x8", timeout=60).status)
        self.assertEqual((got.count(200), got.count(429)), (3, 197), got)
        self.assertEqual(self.sim_.state()["images"] - before, 3)

    def test_two_gateways_count_as_one(self):
        other, account = self.own(), fresh()
        got = [gate.generate(account).status for gate in (self.gate, other, self.gate, other)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_the_other_gateway_gets_back_what_a_dead_one_held(self):
        _, account = self.killed_in_mid_request("2s")
        self.assertRefused(self.gate.generate(account, n=3), 429, "quota_exhausted")
        until(lambda: self.gate.generate(account, n=3).status == 200, 15, every=0.2)

    def test_unix_socket(self):
        gate, account = self.own(quota_store=self.redis_.unix_url), fresh()
        self.assertEqual([gate.generate(account).status for _ in range(4)], [200, 200, 200, 429])

    def test_scripts_that_redis_forgot(self):
        account = fresh()
        self.assertAdmitted(self.gate.generate(account))
        self.redis_.command("SCRIPT", "FLUSH")
        self.assertEqual([self.gate.generate(account).status for _ in range(3)], [200, 200, 429])

    def test_connections_that_redis_closed(self):
        account = fresh()
        self.redis_.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        until(lambda: self.gate.generate(account).status == 200, 5)
        self.assertEqual(left(self.gate, account), 2)

    def test_nothing_is_kept_for_ever(self):
        """Every key has an end, a day's counters with the day; but for the one that says how Redis is laid out."""
        self.gate.generate(fresh())

        def lasting():
            return [key for key in self.redis_.command("KEYS", "*") if self.redis_.command("TTL", key) < 0]
        # An account's hold is gone some milliseconds after the answer.
        until(lambda: lasting() == [b"mg:{0}:meta"], what=lambda: f"these have no end: {lasting()}")
        self.assertGreater(len(self.redis_.command("KEYS", "*")), 1)

    def test_redis_that_is_down(self):
        redis = self.redis()
        gate, account = self.own(quota_store=redis.url), fresh()
        self.assertAdmitted(gate.generate(account))
        redis.kill9()
        before = self.sim_.requests
        answer = gate.generate(account)
        self.assertRefused(answer, 503, "store_unavailable")
        self.assertLessEqual(int(answer.get("retry-after")), 60)
        self.assertEqual(answer.error()["code"], "server_is_overloaded")
        self.assertEqual(self.sim_.requests, before)
        until(lambda: gate.metrics()["meltguard_quota_store_up"] == 0, 5)
        self.redis(redis.port, redis.folder)
        until(lambda: gate.generate(account).status == 200, 15, every=0.1)

    def test_redis_that_hangs(self):
        redis = self.redis()
        gate = self.own(quota_store=redis.url, quota={"timeout": "200ms"})
        self.assertAdmitted(gate.generate())
        redis.send_signal(signal.SIGSTOP)
        try:
            self.assertRefused(gate.generate(timeout=10), 503, "store_unavailable")
        finally:
            redis.send_signal(signal.SIGCONT)
        until(lambda: gate.generate().status == 200, 15, every=0.1)
