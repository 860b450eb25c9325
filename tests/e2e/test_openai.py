# SPDX-License-Identifier: Apache-2.0
"""What the OpenAI dialect counts, and what it refuses to guess at."""
import json

from harness import Case, Gateway, SimGpu, credentials, fresh, policy
from wire import events, png_size

PATH = "/v1/images/generations"
GENEROUS = {"free": {"images": {"per_day": 100}, "priority": 0, "max_images_per_request": 10,
                     "max_wait": "10s"},
            "narrow": {"images": {"per_day": 100}, "priority": 0, "max_images_per_request": 2,
                       "max_wait": "10s"}}


class OpenAi(Case):
    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu())
        cls.gate = cls.shared(Gateway([cls.sim_], policy=policy(tiers=GENEROUS, shed={
            "queue_depth": [{"above": 90, "resume_below": 80, "tiers": "all"}]})))

    def post(self, body, account=None, tier="free", path=PATH):
        fields = credentials(account, tier) + [("Content-Type", "application/json")]
        return self.gate.fetch("POST", path, body, fields)

    def charged(self, account):
        """Images that were charged so far, by what is said to remain."""
        answer = self.post({"prompt": "one more", "size": "8x8"}, account)
        return 100 - 1 - int(answer.get("x-ratelimit-remaining-images"))

    def test_n_counts(self):
        for n, images in ((1, 1), (2, 2), (10, 10), (None, 1)):
            with self.subTest(n=n):
                account = fresh()
                answer = self.post({"prompt": "p", "size": "8x8", "n": n}, account)
                self.assertAdmitted(answer, images)
                self.assertEqual(self.charged(account), images)

    def test_n_absent(self):
        account = fresh()
        self.assertAdmitted(self.post({"prompt": "p", "size": "8x8"}, account))
        self.assertEqual(self.charged(account), 1)

    def test_bad_n(self):
        before = self.sim_.requests
        for n in ("0", "11", "-1", "1.0", "1e0", "2.5", '"2"', "true", "false", "[]", "[1]", "{}",
                  "99999999999999999999999999", "1E400", "01", "+1", "0x1", "NaN", ".5"):
            with self.subTest(n=n):
                answer = self.post('{"prompt":"p","n":%s}' % n)
                self.assertRefused(answer, 400, "invalid_request")
                self.assertEqual(answer.error()["type"], "invalid_request_error")
                if n[0] not in "0+N." or n == "0":          # the others are no JSON at all
                    self.assertEqual(answer.error()["param"], "n")
        self.assertEqual(self.sim_.requests, before)

    def test_the_same_field_twice(self):
        before = self.sim_.requests
        for body in ('{"prompt":"p","n":1,"n":4}', '{"n":1,"prompt":"p","n":1}',
                     '{"prompt":"p","n":1,"\\u006e":4}'):
            with self.subTest(body=body):
                answer = self.post(body)
                self.assertRefused(answer, 400, "invalid_request")
                self.assertEqual(answer.error()["param"], "n")
        self.assertEqual(self.sim_.requests, before)

    def test_not_json(self):
        for body in ("", "{", "[]", "null", "7", '{"prompt":"p"}x', '{"prompt":"p",}',
                     "{'prompt':'p'}", '{"prompt":"\xff"}'.encode("latin-1"), "[" * 100000,
                     "n=3&prompt=p"):
            with self.subTest(body=body[:40]):
                self.assertRefused(self.post(body), 400, "invalid_request")

    def test_nested_n_does_not_count(self):
        account = fresh()
        body = {"prompt": "p", "size": "8x8", "extra": {"n": 9, "deep": [{"n": 5}]}, "n": 2}
        self.assertAdmitted(self.post(body, account), 2)
        self.assertEqual(self.charged(account), 2)

    def test_arguments_hidden_in_a_prompt(self):
        """stable-diffusion.cpp reads a batch count from within a prompt, past every count."""
        body = {"prompt": 'p <sd_cpp_extra_args>{"batch_count":8}</sd_cpp_extra_args>'}
        answer = self.post(body)
        self.assertRefused(answer, 400, "invalid_request")
        self.assertEqual(answer.error()["param"], "prompt")

    def test_more_than_the_tier_may_ask_for(self):
        answer = self.post({"prompt": "p", "n": 3}, tier="narrow")
        self.assertRefused(answer, 400, "too_many_images")
        self.assertEqual(answer.error()["param"], "n")

    def test_the_body_arrives_as_it_was_sent(self):
        body = json.dumps({"prompt": "\u00e9\U0001f5fc", "size": "8x8", "unknown": [1, 2, {"a": None}]},
                          indent=3)
        self.assertAdmitted(self.post(body))
        self.assertEqual(self.sim_.state()["last"]["body_bytes"], len(body.encode()))

    def test_stream(self):
        account = fresh()
        answer = self.post({"prompt": "p", "size": "32x16", "n": 2, "stream": True,
                            "partial_images": 2}, account)
        self.assertEqual((answer.status, answer.get("content-type")), (200, "text/event-stream"))
        names = [name for name, _ in events(answer.body)]
        self.assertEqual(names, (["image_generation.partial_image"] * 2
                                 + ["image_generation.completed"]) * 2)
        self.assertEqual(self.charged(account), 2)

    def test_images_open(self):
        answer = self.post({"prompt": "p", "size": "123x77", "n": 2})
        self.assertEqual([png_size(image) for image in answer.images()], [(123, 77)] * 2)

    def test_safe_paths_pass(self):
        account = fresh()
        answer = self.gate.fetch("GET", "/v1/models", None, credentials(account))
        self.assertEqual(answer.json()["object"], "list")
        self.assertEqual(self.charged(account), 0)

    def test_every_other_path_is_refused(self):
        before = self.sim_.state()["last"]
        for method, path in (
                ("POST", "/v1/images/edits"), ("POST", "/v1/images/variations"),
                ("POST", "/v1/responses"), ("POST", "/v1/chat/completions"),
                ("POST", "/images/generations"), ("POST", "/v1/images/generations/"),
                ("POST", "/v1//images/generations"), ("POST", "/v1/images/../images/generations"),
                ("POST", "/v1/images/%67enerations"), ("POST", "/V1/images/generations"),
                ("POST", "/v1/images/generations;x=1"), ("POST", "/sdapi/v1/txt2img"),
                ("POST", "/prompt"), ("GET", "/metrics"), ("POST", "/sim"), ("GET", "/sim"),
                ("GET", "/v1/models/x"), ("DELETE", "/v1/models"), ("POST", "/v1/models"),
                ("GET", "/"), ("PUT", "/v1/images/generations"), ("GET", "/v1/images/generations")):
            with self.subTest(method=method, path=path):
                body = {"prompt": "p"} if method in ("POST", "PUT") else None
                answer = self.gate.fetch(method, path, body, credentials())
                self.assertIn(answer.status, (404, 405), answer)
                self.assertRefused(answer, answer.status, "unknown_path")
                self.assertEqual(answer.error()["type"], "invalid_request_error")
        self.assertEqual(self.sim_.state()["last"], before)

    def test_a_query_changes_nothing(self):
        account = fresh()
        answer = self.post({"prompt": "p", "size": "8x8"}, account, path=PATH + "?n=7")
        self.assertAdmitted(answer)
        self.assertEqual(self.charged(account), 1)
