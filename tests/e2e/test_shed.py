# SPDX-License-Identifier: Apache-2.0
"""Shedding: by temperature and queue depth, with hysteresis, per backend, and never by a reading that is not there."""
import time

from harness import Case, Gateway, SimGpu, backend, credentials, fresh, policy, until
from wire import Connection, request

ROOMY = {"free": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4, "max_wait": "0s"},
         "plus": {"images": {"per_day": 200}, "priority": 1, "max_images_per_request": 4, "max_wait": "5s"},
         "staff": {"images": "unlimited", "priority": 2}}


class Two(Case):
    """Two backends, a cool start each time."""

    @classmethod
    def setUpClass(cls):
        cls.sims = [cls.shared(SimGpu(ambient=40)) for _ in range(2)]
        cls.gate = cls.shared(Gateway([backend(sim, f"gpu{i}") for i, sim in enumerate(cls.sims)],
                                      policy=policy(tiers=ROOMY)))

    def setUp(self):
        self.heat(40, 41)

    def heat(self, *celsius):
        for i, degrees in enumerate(celsius):
            self.sims[i].set(temperature=degrees, pin=True, metrics="normal", queue_depth=None)
        for i, degrees in enumerate(celsius):
            self.gate.sees_temperature(f"gpu{i}", degrees)

    def ask(self, tier="free", account=None, **more):
        return self.gate.generate(account, tier, **more)

    def served_by(self, tier="free"):
        answer = self.ask(tier)
        self.assertAdmitted(answer)
        return self.gate.logged_as(answer.get("x-request-id"))["backend"]

    def test_moves_to_the_cooler_one(self):
        self.heat(85, 50)
        self.assertEqual([self.served_by() for _ in range(3)], ["gpu1"] * 3)
        self.heat(50, 85)
        self.assertEqual([self.served_by() for _ in range(3)], ["gpu0"] * 3)

    def test_both_hot(self):
        """Free accounts are shed, paid ones served."""
        self.heat(83, 84)
        answer = self.ask("free")
        self.assertRefused(answer, 503, "gpu_temperature")
        self.assertEqual((answer.error()["type"], answer.error()["code"]),
                         ("service_unavailable_error", "server_is_overloaded"))
        self.assertEqual(answer.error()["message"], "image generation unavailable")
        self.assertTrue(1 <= int(answer.get("retry-after")) <= 60)
        for tier in ("plus", "staff"):
            self.assertAdmitted(self.ask(tier))

    def test_too_hot_for_all(self):
        self.heat(90, 91)
        for tier in ("free", "plus", "staff"):
            self.assertRefused(self.ask(tier), 503, "gpu_temperature")
        self.heat(90, 70)
        for tier in ("free", "plus", "staff"):
            self.assertAdmitted(self.ask(tier))

    def test_hysteresis(self):
        self.heat(82, 82)
        self.assertRefused(self.ask(), 503, "gpu_temperature")
        self.heat(77, 77)
        self.assertRefused(self.ask(), 503, "gpu_temperature")
        self.heat(75, 77)
        self.assertEqual(self.served_by(), "gpu0")
        self.heat(79, 79)               # between the two: as it was
        self.assertEqual(self.served_by(), "gpu0")

    def test_shed_before_the_quota(self):
        self.heat(84, 84)
        account = fresh()
        for _ in range(5):
            self.assertRefused(self.ask(account=account), 503, "gpu_temperature")
        self.heat(40, 40)
        got = [self.ask(account=account).status for _ in range(4)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_shed_before_the_body(self):
        """Whom overload would turn away anyway uploads nothing first."""
        self.heat(84, 84)
        with Connection(self.gate.address, 5) as c:
            c.send(request("POST", "/v1/images/generations", None,
                           credentials() + [("Content-Length", "20000"), ("Expect", "100-continue")]))
            answer = c.read()
        self.assertRefused(answer, 503, "gpu_temperature")
        self.assertEqual(answer.interim, [])

    def test_queue_depth(self):
        for sim in self.sims:
            sim.set(queue_depth=40)
        until(lambda: self.ask().status == 503, 5)
        self.assertRefused(self.ask(), 503, "queue_depth")
        self.assertAdmitted(self.ask("plus"))
        for sim in self.sims:
            sim.set(queue_depth=200)
        until(lambda: self.ask("staff").status == 503, 5)
        self.assertRefused(self.ask("plus"), 503, "queue_depth")
        self.sims[0].set(queue_depth=28)    # under "above", not under "resume_below", for free
        until(lambda: self.ask("plus").status == 200, 5)
        self.assertRefused(self.ask("free"), 503, "queue_depth")
        self.sims[0].set(queue_depth=3)
        until(lambda: self.ask("free").status == 200, 5)

    def test_languages(self):
        self.heat(84, 84)
        korean = "지금은 이미지 생성을 사용할 수 없습니다"
        for accept, message in (("ko", korean), ("ko-KR,ko;q=0.9,en;q=0.8", korean),
                                ("en-GB", "image generation unavailable"),
                                ("ko;q=0.2, en;q=0.9", "image generation unavailable"),
                                ("ko;q=0, *", "image generation unavailable"),
                                ("tlh", "image generation unavailable"), ("", "image generation unavailable"),
                                ("fr, ko;q=0.1", korean)):
            with self.subTest(accept=accept):
                answer = self.ask(fields={"Accept-Language": accept})
                self.assertEqual(answer.error()["message"], message)

    def test_retry_after_is_spread(self):
        self.heat(84, 84)
        seconds = [int(self.ask().get("retry-after")) for _ in range(20)]
        self.assertTrue(all(1 <= s <= 60 for s in seconds), seconds)
        self.assertGreater(len(set(seconds)), 1, seconds)

    def test_nan_and_its_like_are_not_zero(self):
        """A hot GPU whose temperature can no longer be read does not become a cool one."""
        for mode in ("nan", "sentinel", "missing"):
            with self.subTest(mode=mode):
                self.heat(84, 84)
                self.assertEqual(self.ask().status, 503)
                for sim in self.sims:
                    sim.set(metrics=mode, temperature=20)
                time.sleep(0.5)
                self.assertEqual(self.ask().status, 503)
                self.heat(40, 41)
                self.assertAdmitted(self.ask())


class Stale(Case):
    def start(self, **telemetry):
        self.sim_ = self.sim()
        gate = self.gateway([backend(self.sim_, "gpu0")], policy=policy(tiers=ROOMY),
                            telemetry={"stale_after": "500ms", "timeout": "200ms", **telemetry})
        gate.sees_temperature("gpu0", 35)
        return gate

    def test_counts_as_overloaded(self):
        gate = self.start()
        for mode in ("hang", "off"):
            with self.subTest(mode=mode):
                self.sim_.set(metrics=mode)
                until(lambda: gate.generate().status == 503, 5)
                self.assertRefused(gate.generate(), 503, "telemetry_stale")
                self.sim_.set(metrics="normal")
                until(lambda: gate.generate().status == 200, 5)

    def test_counts_as_unknown(self):
        gate = self.start(when_stale="unknown")
        self.sim_.set(metrics="hang")
        time.sleep(1.2)
        self.assertAdmitted(gate.generate())

    def test_readings_that_never_came(self):
        sim = self.sim()
        sim.set(metrics="off")
        gate = self.gateway([backend(sim, "gpu0")], policy=policy(tiers=ROOMY), wait=False,
                            telemetry={"stale_after": "500ms"})
        until(lambda: gate.generate().why == "telemetry_stale", 5)

    def test_a_sensor_that_is_not_there(self):
        """No temperature ever, but a living exporter: nothing is known against this backend."""
        sim = self.sim()
        sim.set(metrics="sentinel")
        gate = self.gateway([backend(sim, "gpu0")], policy=policy(tiers=ROOMY))
        time.sleep(0.4)
        self.assertAdmitted(gate.generate())


class OwnCount(Case):
    def test_jobs_in_flight_count_as_queue(self):
        """A gauge that lies low does not hide the jobs that this gateway itself has there."""
        sim = self.sim(slots=20, seconds_per_image=1)
        sim.set(queue_depth=0)
        shed = {"queue_depth": [{"above": 3, "resume_below": 3, "tiers": ["free"]}]}
        gate = self.gateway([backend(sim, max_in_flight=20)], policy=policy(tiers=ROOMY, shed=shed))
        clients = []
        for _ in range(4):
            c = Connection(gate.address)
            self.addCleanup(c.close)
            c.send(request("POST", "/v1/images/generations", {"prompt": "p", "size": "8x8"},
                           credentials(tier="staff")))
            clients.append(c)
        until(lambda: sim.state()["working"] == 4)
        self.assertRefused(gate.generate(), 503, "queue_depth")
        self.assertAdmitted(gate.generate(tier="plus"))
        for c in clients:
            self.assertEqual(c.read().status, 200)
        self.assertAdmitted(gate.generate())

    def test_warms_up_with_work(self):
        """No pinning: the simulated GPU heats by its own work, is shed, cools, and is back."""
        sim = self.sim(seconds_per_image=0.1, heat=30, cooling=1.5, ambient=30, slots=1)
        gate = self.gateway([backend(sim, "gpu0")], policy=policy(tiers=ROOMY))
        until(lambda: gate.generate(tier="free").why == "gpu_temperature", 15, every=0)
        until(lambda: gate.generate(tier="free").status == 200, 15, every=0.1)
