# SPDX-License-Identifier: Apache-2.0
"""What a refusal looks like: for OpenAI's clients, and for those who prefer RFC 9457."""
from harness import Case, Gateway, SimGpu, backend, credentials, fresh, policy

PROBLEM = "application/problem+json"
TYPES = "https://iana.org/assignments/http-problem-types#"


class Answers(Case):
    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu())
        cls.gate = cls.shared(Gateway([backend(cls.sim_, "gpu0")], policy=policy()))
        cls.sim_.set(temperature=40, pin=True)
        cls.gate.sees_temperature("gpu0", 40)
        cls.spent = fresh()
        for _ in range(3):
            cls.gate.generate(cls.spent)

    def hot(self):
        """Free is shed, plus is served."""
        self.sim_.set(temperature=84, pin=True)
        self.gate.sees_temperature("gpu0", 84)
        self.addCleanup(self.cool)

    def cool(self):
        self.sim_.set(temperature=40, pin=True)
        self.gate.sees_temperature("gpu0", 40)

    def problem(self, answer, status, kind):
        self.assertEqual((answer.status, answer.get("content-type")), (status, PROBLEM), answer)
        problem = answer.json()
        self.assertEqual((problem["status"], problem["type"]), (status, kind))
        self.assertTrue(problem["title"])
        return problem

    def test_quota_as_a_problem(self):
        answer = self.gate.generate(self.spent, fields={"Accept": PROBLEM})
        problem = self.problem(answer, 429, TYPES + "quota-exceeded")
        self.assertEqual(problem["violated-policies"], ["daily"])
        self.assertEqual(answer.get("x-should-retry"), "false")
        self.assertIn('"daily"', answer.get("ratelimit"))

    def test_shed_as_a_problem(self):
        self.hot()
        answer = self.gate.generate(fields={"Accept": f"{PROBLEM}, application/json;q=0.5"})
        problem = self.problem(answer, 503, TYPES + "temporary-reduced-capacity")
        self.assertEqual(problem["detail"], "image generation unavailable")
        self.assertTrue(1 <= int(answer.get("retry-after")) <= 60)

    def test_others_as_a_problem(self):
        fields = [("Accept", PROBLEM)]
        self.problem(self.gate.fetch("GET", "/nowhere", None, credentials() + fields), 404,
                     "about:blank")
        self.problem(self.gate.fetch("POST", "/v1/images/generations", {"prompt": "p"}, fields), 401,
                     "about:blank")

    def test_json_is_what_others_get(self):
        for accept in ("*/*", "application/json", f"application/json, {PROBLEM};q=0.5",
                       f"{PROBLEM};q=0", "text/html", "nonsense;;q=?"):
            with self.subTest(accept=accept):
                answer = self.gate.generate(self.spent, fields={"Accept": accept})
                self.assertEqual((answer.status, answer.get("content-type")),
                                 (429, "application/json"))
                self.assertEqual(answer.error()["code"], "insufficient_quota")

    def test_every_refusal_has_all_four(self):
        self.hot()
        refusals = [
            self.gate.generate(),
            self.gate.fetch("POST", "/v1/images/generations", {"prompt": "p"}),
            self.gate.fetch("GET", "/nowhere", None, credentials()),
            self.gate.fetch("POST", "/v1/images/generations", {"prompt": "p", "n": 77},
                            credentials(tier="plus")),
        ]
        self.assertEqual([answer.status for answer in refusals], [503, 401, 404, 400])
        for answer in refusals:
            self.assertEqual(set(answer.error()), {"message", "type", "param", "code"})
            self.assertTrue(answer.why)
            self.assertTrue(answer.get("x-request-id"))
            self.assertTrue(answer.get("date"))

    def test_admitted_answers_tell_what_remains(self):
        answer = self.gate.generate(tier="plus", n=2)
        self.assertAdmitted(answer, 2)
        self.assertEqual(answer.get("ratelimit-policy"), '"daily";q=200;w=86400')
        self.assertRegex(answer.get("ratelimit"), r'^"daily";r=198;t=\d+$')
        self.assertEqual(answer.get("x-ratelimit-limit-images"), "200")
        self.assertEqual(answer.get("x-ratelimit-remaining-images"), "198")
        self.assertRegex(answer.get("x-ratelimit-reset-images"), r"^\d+s$")
        self.assertIsNone(answer.why)

    def test_a_refusal_to_head(self):
        answer = self.gate.fetch("HEAD", "/nowhere", None, credentials())
        self.assertRefused(answer, 404, "unknown_path")
        self.assertEqual(answer.body, b"")
