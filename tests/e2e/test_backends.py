# SPDX-License-Identifier: Apache-2.0
"""Choosing, losing and regaining backends; waiting for a slot; a job is sent once or not at all."""
import time

from harness import Case, SimGpu, backend, credentials, fresh, free_port, policy, together, until
from wire import Connection, request

PATH = "/v1/images/generations"
TIERS = {"free": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4, "max_wait": "0s"},
         "plus": {"images": {"per_day": 200}, "priority": 1, "max_images_per_request": 4, "max_wait": "10s"},
         "brief": {"images": {"per_day": 3}, "priority": 1, "max_images_per_request": 4,
                   "max_wait": "300ms"},
         "staff": {"images": "unlimited", "priority": 2, "max_wait": "10s"}}
POLICY = policy(tiers=TIERS, shed={"gpu_temperature": [{"above": 80, "resume_below": 76, "tiers": "all"}]})


def dead_backend(port=None, **changes):
    """A port where nobody listens."""
    port = port or free_port()
    return {"name": "dead", "url": f"http://127.0.0.1:{port}", "dialect": "openai",
            "max_in_flight": 4, **changes}


class Backends(Case):
    def start(self, *backends, **changes):
        return self.gateway(list(backends), policy=POLICY,
                            **{"health": {"eject_after": 3, "probe_interval": "200ms"}, **changes})

    def up(self, gate, name):
        return gate.metrics()[f'meltguard_backend_up{{backend="{name}"}}']

    def busy(self, gate, tier="staff"):
        """Somebody whose job takes a slot; the connection, to read the answer from."""
        c = Connection(gate.address)
        self.addCleanup(c.close)
        c.send(request("POST", PATH, {"prompt": "p", "size": "8x8"}, credentials(tier=tier)))
        return c


class Choice(Backends):
    def test_coolest_first(self):
        sims = [self.sim(), self.sim()]
        gate = self.start(*(backend(sim, f"gpu{i}") for i, sim in enumerate(sims)))
        for hot, cool in ((0, 1), (1, 0)):
            sims[hot].set(temperature=70, pin=True)
            sims[cool].set(temperature=45, pin=True)
            gate.sees_temperature(f"gpu{hot}", 70)
            gate.sees_temperature(f"gpu{cool}", 45)
            before = sims[cool].requests
            for _ in range(4):
                self.assertAdmitted(gate.generate(tier="staff"))
            self.assertEqual(sims[cool].requests - before, 4)

    def test_least_loaded(self):
        sims = [self.sim(seconds_per_image=0.8, slots=4) for _ in range(2)]
        gate = self.start(*(backend(sim, f"gpu{i}", telemetry=False) for i, sim in enumerate(sims)))
        clients = []
        for i in range(4):
            clients.append(self.busy(gate))
            until(lambda: sum(sim.state()["working"] for sim in sims) == i + 1)
        self.assertEqual([sim.state()["working"] for sim in sims], [2, 2])
        self.assertEqual([c.read().status for c in clients], [200] * 4)

    def test_max_in_flight(self):
        sim = self.sim(slots=10, seconds_per_image=0.15)
        gate = self.start(backend(sim, max_in_flight=2), workers=4)
        got = together(8, lambda _: gate.generate(tier="staff").status)
        self.assertEqual((got, sim.state()["working_peak"]), ([200] * 8, 2))

    def test_upstreams_are_kept(self):
        sim = self.sim()
        gate = self.start(backend(sim, telemetry=False), workers=1)
        before = sim.state()["connections"]
        for _ in range(10):
            self.assertAdmitted(gate.generate(tier="staff"))
        # Each look at /sim is a connection, too.
        self.assertLessEqual(sim.state()["connections"] - before, 2)

    def test_a_path_prefix(self):
        sim = self.sim()
        gate = self.start({**backend(sim, telemetry=False), "url": sim.url + "/prefix"})
        self.assertEqual(gate.generate(tier="staff").status, 404)
        self.assertEqual(sim.state()["last"]["target"], "/prefix" + PATH)


class Loss(Backends):
    def test_another_one_when_it_cannot_be_connected_to(self):
        sim = self.sim()
        gate = self.start(dead_backend(), backend(sim, telemetry=False))
        for _ in range(8):
            self.assertAdmitted(gate.generate(tier="staff"))
        self.assertEqual(sim.requests, 8)

    def test_ejected_and_back(self):
        sim, port = self.sim(), free_port()
        gate = self.start(dead_backend(port), backend(sim, telemetry=False))
        self.eject(gate, "dead")
        late = self._started(SimGpu(port=port))
        until(lambda: self.up(gate, "dead") == 1, 10)
        together(8, lambda _: gate.generate(tier="staff").status)
        until(lambda: [gate.generate(tier="staff").status, late.requests][1] > 0, 10)

    def eject(self, gate, name):
        def look():
            gate.generate(tier="staff")
            return self.up(gate, name) == 0
        until(look, 10)

    def test_ejected_by_errors(self):
        sims = [self.sim(), self.sim()]
        sims[0].set(fail_next=1000, fail_status=500)
        gate = self.start(*(backend(sim, f"gpu{i}", telemetry=False) for i, sim in enumerate(sims)),
                          health={"eject_after": 3, "probe_interval": "1h"})
        self.eject(gate, "gpu0")
        self.assertEqual([gate.generate(tier="staff").status for _ in range(5)], [200] * 5)
        self.assertEqual(sims[0].requests, 3)

    def test_errors_of_the_client_eject_nobody(self):
        sim = self.sim()
        sim.set(fail_next=10, fail_status=400)
        gate = self.start(backend(sim, "gpu0"))
        for _ in range(10):
            self.assertEqual(gate.generate(tier="staff").status, 400)
        self.assertEqual(self.up(gate, "gpu0"), 1)
        self.assertAdmitted(gate.generate(tier="staff"))

    def test_none_is_up(self):
        gate = self.start(dead_backend(), wait=False)
        account = fresh()
        for _ in range(5):
            answer = gate.generate(account, "free")
            self.assertRefused(answer, 503, "no_backend")
            self.assertTrue(1 <= int(answer.get("retry-after")) <= 60)

    def test_probe_path(self):
        """A backend that accepts connections but is not well stays out."""
        sim = self.sim()
        gate = self.start(backend(sim, "gpu0", telemetry=False, probe="/no-such-path"))
        sim.set(fail_next=3, fail_status=500)
        for _ in range(3):
            gate.generate(tier="staff")
        time.sleep(0.8)
        self.assertEqual(self.up(gate, "gpu0"), 0)

    def test_idle_upstreams_that_were_closed(self):
        sim = self.sim()
        gate = self.start(backend(sim), workers=1)
        for _ in range(10):
            self.assertAdmitted(gate.generate(tier="staff"))
            sim.set(close_idle=True)
        self.assertEqual(sim.requests, 10)

    def test_a_restarted_backend(self):
        port = free_port()
        first = self._started(SimGpu(port=port))
        gate = self.start(backend(first, telemetry=False), workers=1)
        self.assertAdmitted(gate.generate(tier="staff"))
        first.stop()
        self._started(SimGpu(port=port))
        until(lambda: gate.generate(tier="staff").status == 200, 5)


class SentOnce(Backends):
    def test_never_sent_again(self):
        """A GPU may be at work on it already: 502, the quota back, and no second try anywhere."""
        sims = [self.sim(), self.sim()]
        gate = self.start(*(backend(sim, f"gpu{i}", telemetry=False) for i, sim in enumerate(sims)),
                          health={"eject_after": 1000})
        account = fresh()
        for i in range(6):
            if i % 2:                   # on a fresh connection, and on one that was used before
                self.assertAdmitted(gate.generate(tier="staff"))
            before = sum(sim.requests for sim in sims)
            for sim in sims:
                sim.set(drop_next=1)
            answer = gate.generate(account, "free", n=3)
            self.assertRefused(answer, 502, "backend_lost")
            self.assertEqual(sum(sim.requests for sim in sims) - before, 1)
            for sim in sims:
                sim.set(drop_next=0)
        self.assertAdmitted(gate.generate(account, "free", n=3), 3)

    def test_killed_in_mid_job(self):
        sims = [self.sim(seconds_per_image=5) for _ in range(2)]
        gate = self.start(*(backend(sim, f"gpu{i}", telemetry=False) for i, sim in enumerate(sims)))
        c = self.busy(gate)
        at_work = until(lambda: [sim for sim in sims if sim.state()["working"]])[0]
        at_work.kill9()
        self.assertRefused(c.read(), 502, "backend_lost")
        other = sims[1 - sims.index(at_work)]
        self.assertEqual(other.requests, 0)

    def test_no_answer_in_time(self):
        sims = [self.sim(), self.sim()]
        gate = self.start(*(backend(sim, f"gpu{i}") for i, sim in enumerate(sims)),
                          timeouts={"answer": "300ms"})
        account = fresh()
        for sim in sims:
            sim.set(hang_next=1)
        self.assertRefused(gate.generate(account, n=3), 504, "backend_timeout")
        self.assertEqual(sum(sim.requests for sim in sims), 1)
        for sim in sims:
            sim.set(hang_next=0)
        self.assertAdmitted(gate.generate(account, n=3), 3)


class Waiting(Backends):
    def test_waits_for_a_slot(self):
        sim = self.sim(seconds_per_image=0.4)
        gate = self.start(backend(sim, max_in_flight=1))
        first = self.busy(gate)
        until(lambda: sim.state()["working"] == 1)
        began = time.monotonic()
        self.assertAdmitted(gate.generate(tier="plus"))
        self.assertGreater(time.monotonic() - began, 0.3)
        self.assertEqual(first.read().status, 200)
        self.assertGreater(gate.logged(2)[-1]["queue_ms"], 100)

    def test_no_longer_than_its_tier_waits(self):
        sim = self.sim(seconds_per_image=2)
        gate = self.start(backend(sim, max_in_flight=1))
        self.busy(gate)
        until(lambda: sim.state()["working"] == 1)
        account = fresh()
        began = time.monotonic()
        answer = gate.generate(account, "brief")
        waited = time.monotonic() - began
        self.assertRefused(answer, 503, "queue_timeout")
        self.assertEqual(answer.error()["code"], "server_is_overloaded")
        self.assertTrue(0.25 < waited < 1.5, waited)
        self.assertRefused(gate.generate(tier="free"), 503, "busy")
        self.assertEqual(sim.requests, 1)

    def test_the_queue_is_bounded(self):
        sim = self.sim(seconds_per_image=1)
        gate = self.start(backend(sim, max_in_flight=1), max_waiting=2, workers=1)
        clients = [self.busy(gate)]
        until(lambda: sim.state()["working"] == 1)
        clients += [self.busy(gate), self.busy(gate)]
        until(lambda: gate.metrics()["meltguard_requests_waiting"] == 2)
        self.assertRefused(gate.generate(tier="plus"), 503, "queue_full")

    def test_across_workers(self):
        """A slot that one worker gives back wakes those who wait in another."""
        sim = self.sim(seconds_per_image=0.1)
        gate = self.start(backend(sim, max_in_flight=1), workers=8)
        began = time.monotonic()
        got = together(16, lambda _: gate.generate(tier="plus").status)
        self.assertEqual(got, [200] * 16)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(sim.state()["working_peak"], 1)

    def test_waits_for_a_backend_that_cools(self):
        """Hot while it waits: nobody is sent to a GPU that has become too hot meanwhile."""
        sim = self.sim(seconds_per_image=0.5)
        gate = self.start(backend(sim, "gpu0", max_in_flight=1))
        self.busy(gate)
        until(lambda: sim.state()["working"] == 1)
        waiting = self.busy(gate, "plus")
        until(lambda: gate.metrics()["meltguard_requests_waiting"] == 1)
        sim.set(temperature=95, pin=True)
        gate.sees_temperature("gpu0", 95)
        time.sleep(0.8)
        self.assertEqual(sim.requests, 1)
        sim.set(temperature=40, pin=True)
        self.assertEqual(waiting.read().status, 200)
