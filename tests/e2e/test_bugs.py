# SPDX-License-Identifier: Apache-2.0
"""What went wrong in another gateway (LiteLLM, by issue number) where it takes a whole gateway to see it; those of the quota
store are in tests/unit/quota/test_bugs.c."""
import threading

from harness import Case, Gateway, SimGpu, backend, credentials, fresh, policy, until

QUIET = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
PATH = "/v1/images/generations"


class Bugs(Case):
    def post(self, gate, account, body, path=PATH, method="POST"):
        fields = credentials(account, "free") + [("Content-Type", "application/json")]
        return gate.fetch(method, path, body, fields)

    def test_issue_13882_no_path_passes_a_limit_by(self):
        sim = self.sim()
        gate = self.gateway([sim], policy=policy(tiers={"free": {"images": {"per_day": 1}}}, shed=QUIET),
                            **{"pass": ["GET /v1/models", "GET /v1/*"]})
        account = fresh()
        job = {"prompt": "p", "size": "8x8"}
        self.assertAdmitted(self.post(gate, account, job))
        before = sim.requests
        for path in (PATH, PATH + "?n=1", PATH + "/", "//v1/images/generations", "/v1//images/generations",
                     "/v1/./images/generations", "/v1/models/../images/generations", "/v1/images/%67enerations",
                     "/V1/images/generations", "/images/generations", "/v1/images/edits", "/v1/images/variations",
                     "/v1/responses", "/v1/chat/completions", "/v1/models", "/sdapi/v1/txt2img", "/prompt",
                     "http://127.0.0.1:1/v1/images/generations"):
            for method in ("POST", "PUT", "PATCH"):
                with self.subTest(method=method, path=path):
                    answer = self.post(gate, account, job, path, method)
                    self.assertTrue(400 <= answer.status < 500, answer.status)
        self.assertEqual(sim.requests, before, "no such request has reached the backend")
        self.assertEqual(self.post(gate, account, None, "/v1/models", "GET").status, 200)

    def test_issue_31142_10335_37738_no_image_is_free_by_what_is_left_out(self):
        """size and quality "auto", a model's alias, a price that is the same for all: never zero, never the cheap row."""
        prices = {"sizes": {"small": "512x512", "large": "4096x4096"},
                  "prices": [{"model": "dear", "quality": "hd", "credits": 4}, {"size": "small", "credits": 0.5},
                             {"model": "dear", "credits": 3}, {"credits": 2}]}
        gate = self.gateway([self.sim()], policy=policy(
            tiers={"free": {"credits": {"per_day": 100}}, "flat": {"credits": {"per_day": 100}}}, shed=QUIET, **prices))
        for body, cost in (({"size": "auto", "model": "dear"}, 3000), ({"size": "auto", "quality": "auto"}, 2000),
                           ({"quality": "auto", "model": "dear"}, 3000), ({}, 2000), ({"size": None}, 2000),
                           ({"model": "openai/dear"}, 2000), ({"model": "dear-2024-01-01"}, 2000),
                           ({"model": "dear", "quality": "hd", "size": "auto"}, 4000),
                           ({"model": "dear", "quality": "hd", "size": "256x256"}, 4000),
                           ({"size": "256x256"}, 500), ({"size": "auto", "n": 2}, 4000)):
            with self.subTest(body=body):
                answer = self.post(gate, fresh(), {"prompt": "p", **body})
                self.assertAdmitted(answer, body.get("n", 1))
                self.assertEqual(gate.logged_as(answer.get("x-request-id"))["cost"], cost)

    def test_issue_31142_10335_37738_a_flat_price_and_none_at_all(self):
        for prices, cost in (({"prices": [{"credits": 1.5}]}, 1500), ({}, 1000)):
            with self.subTest(prices=prices):
                gate = self.gateway([self.sim()], policy=policy(tiers={"free": {"credits": {"per_day": 100}}},
                                                                shed=QUIET, **prices))
                answer = self.post(gate, fresh(), {"prompt": "p", "size": "auto", "quality": "auto", "model": "any"})
                self.assertAdmitted(answer)
                self.assertEqual(gate.logged_as(answer.get("x-request-id"))["cost"], cost)

    def test_issue_17764_queues_are_told(self):
        sim = self.sim(slots=1)
        gate = self.gateway([backend(sim, name="gpu", max_in_flight=2)], workers=1, policy=policy(
            tiers={"free": {"images": {"per_day": 9}, "max_wait": "30s"}}, shed=QUIET))
        sim.set(seconds_per_image=3)
        crowd = [threading.Thread(target=gate.generate, args=(fresh(),), daemon=True) for _ in range(3)]
        for one in crowd:
            one.start()
        until(lambda: gate.metrics().get("meltguard_requests_waiting") == 1)
        until(lambda: gate.metrics().get('meltguard_backend_in_flight{backend="gpu"}') == 2)
        until(lambda: gate.metrics().get('meltguard_backend_queue_depth{backend="gpu"}') == 1)
        sim.set(seconds_per_image=0)
        for one in crowd:
            one.join(30)
