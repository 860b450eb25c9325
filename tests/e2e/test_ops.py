# SPDX-License-Identifier: Apache-2.0
"""Seen from outside and run from outside: metrics, health, the access log, signals, the command line."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import Case, Gateway, SimGpu, backend, credentials, fresh, policy, together, until
from wire import Connection, fetch, request

PATH = "/v1/images/generations"
ASK = {"prompt": "a secret garden 4711", "size": "8x8"}


def bearer(key):
    return [("Authorization", f"Bearer {key}")]


class Busy(Case):
    """Helpers for requests that are at work."""

    def busy(self, gate, tier="staff", **body):
        c = Connection(gate.address)
        self.addCleanup(c.close)
        c.send(request("POST", PATH, {**ASK, **body}, credentials(tier=tier)))
        return c


class Seen(Case):
    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu())
        cls.gate = cls.shared(Gateway([backend(cls.sim_, "gpu0")], keys={"sk-top-secret": ("zoe", "free")}))

    def test_healthz(self):
        self.assertEqual(fetch(self.gate.admin, "GET", "/healthz").status, 200)

    def test_readyz(self):
        self.assertEqual(fetch(self.gate.admin, "GET", "/readyz").status, 200)

    def test_other_admin_paths(self):
        self.assertEqual(fetch(self.gate.admin, "GET", "/nowhere").status, 404)
        self.assertIn(fetch(self.gate.admin, "POST", "/metrics", {"a": 1}).status, (404, 405))

    def test_admin_is_not_on_the_public_side(self):
        for path in ("/metrics", "/healthz", "/readyz"):
            self.assertEqual(self.gate.fetch("GET", path, None, credentials()).status, 404)

    def test_metrics_are_well_formed(self):
        self.gate.generate()
        answer = fetch(self.gate.admin, "GET", "/metrics")
        self.assertIn("text/plain", answer.get("content-type"))
        text = answer.body.decode()
        helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
        typed = dict(re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", text, re.M))
        self.assertEqual(helped, set(typed))
        series = set()
        for line in text.rstrip("\n").split("\n"):
            if line.startswith("#"):
                continue
            match = re.fullmatch(r'(meltguard_\w+)(\{(?:\w+="[^"\\\n]*",?)+\})? (-?[0-9.e+-]+|[+-]Inf|NaN)',
                                 line)
            self.assertTrue(match, line)
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            self.assertTrue(match[1] in typed or typed.get(base) == "histogram", line)
            self.assertNotIn((match[1], match[2]), series)
            series.add((match[1], match[2]))

    def test_metrics_count(self):
        def value(name):
            return self.gate.metrics().get(name, 0)
        delivered = 'meltguard_requests_total{tier="free",outcome="delivered"}'
        spent = 'meltguard_requests_total{tier="free",outcome="quota_exhausted"}'
        images = 'meltguard_images_total{tier="free"}'
        before = [value(name) for name in (delivered, spent, images)]
        account = fresh()
        for n in (1, 2, 1):
            self.gate.generate(account, n=n)
        until(lambda: [value(name) for name in (delivered, spent, images)]
              == [before[0] + 2, before[1] + 1, before[2] + 3], 5)
        self.assertEqual(value('meltguard_backend_up{backend="gpu0"}'), 1)
        self.assertEqual(value("meltguard_workers"), 2)

    def test_metrics_name_no_account(self):
        account = fresh("somebody")
        self.gate.generate(account)
        self.assertNotIn(account, fetch(self.gate.admin, "GET", "/metrics").body.decode())

    def line(self, answer):
        """The one line of the access log about an answer."""
        def lines():
            return [line for line in self.gate.access_log()
                    if line["req"] == answer.get("x-request-id")]
        until(lines, 5)
        self.assertEqual(len(lines()), 1)
        return lines()[0]

    def test_a_line_for_an_admitted_request(self):
        account = fresh()
        line = self.line(self.gate.generate(account, n=2))
        expected = {"account": account, "tier": "free", "dialect": "openai", "images": 2,
                    "verdict": "admit", "backend": "gpu0", "status": 200, "outcome": "delivered"}
        self.assertEqual({key: line.get(key) for key in expected}, expected)
        for key in ("op", "cost", "ttfb_ms", "total_ms", "phase"):
            self.assertIn(key, line)

    def test_a_line_for_each_refusal(self):
        account = fresh()
        self.gate.generate(account, n=3)
        for answer, outcome in (
                (self.gate.generate(account), "quota_exhausted"),
                (self.gate.fetch("POST", PATH, ASK), "missing_key"),
                (self.gate.fetch("GET", "/nowhere", None, credentials()), "unknown_path"),
                (self.gate.generate(n=99), "invalid_request")):
            line = self.line(answer)
            self.assertEqual((line["outcome"], line["reason"], line["status"]),
                             (outcome, answer.why, answer.status))

    def test_nothing_private_is_logged(self):
        self.gate.fetch("POST", PATH, ASK, bearer("sk-top-secret"))
        self.gate.fetch("POST", PATH, ASK, bearer("sk-someone-elses"))
        answer = self.gate.fetch("POST", PATH + "?key=hidden-in-query", ASK, bearer("sk-top-secret"))
        self.line(answer)
        said = json.dumps(self.gate.access_log()) + self.gate.output + str(self.gate.metrics())
        for secret in ("sk-top-secret", "sk-someone-elses", "secret garden", "hidden-in-query",
                       harness.sha256("sk-top-secret")):
            self.assertNotIn(secret, said)

    def test_a_field_cannot_forge_a_line(self):
        c = Connection(self.gate.address)
        self.addCleanup(c.close)
        c.ask("POST", PATH, ASK, [("X-Account-Id", 'a"} {"req":"forged'), ("X-Account-Tier", "free")])
        c.read()
        for line in self.gate.access_log():
            self.assertNotEqual(line["req"], "forged")


class TextLog(Case):
    def test_key_value_lines(self):
        gate = self.gateway([self.sim()], log={"access": "-", "format": "text"})
        gate.generate("tom")
        match = gate.wait_line(r"req=\S+ account=tom tier=free .*status=200 outcome=delivered")
        self.assertTrue(match)

    def test_off(self):
        gate = self.gateway([self.sim()], log={"access": "off"})
        self.assertAdmitted(gate.generate("ursula"))
        time.sleep(0.3)
        self.assertNotIn("ursula", gate.output)


class Ending(Busy):
    def test_sigterm_drains(self):
        """What is at work is finished; nobody new is let in; then it ends with 0."""
        sim = self.sim(seconds_per_image=0.8)
        gate = self.gateway([sim])
        clients = [self.busy(gate), self.busy(gate)]
        idle = Connection(gate.address)
        self.addCleanup(idle.close)
        until(lambda: sim.state()["working"] == 2)
        gate.send_signal(signal.SIGTERM)
        until(lambda: not self.accepts(gate), 5)
        self.assertTrue(idle.is_closed())
        for c in clients:
            answer = c.read()
            self.assertAdmitted(answer)
            self.assertEqual((answer.get("connection") or "").lower(), "close")
            self.assertTrue(c.is_closed())
        self.assertEqual(gate.wait(10), 0)

    def accepts(self, gate):
        try:
            Connection(gate.address, 2).close()
            return True
        except OSError:
            return False

    def test_not_ready_while_draining(self):
        sim = self.sim(seconds_per_image=1)
        gate = self.gateway([sim])
        c = self.busy(gate)
        until(lambda: sim.state()["working"] == 1)
        gate.send_signal(signal.SIGTERM)
        until(lambda: fetch(gate.admin, "GET", "/readyz").status == 503, 5)
        self.assertEqual(fetch(gate.admin, "GET", "/healthz").status, 200)
        self.assertEqual(c.read().status, 200)

    def test_the_drain_has_a_deadline(self):
        sim = self.sim()
        sim.set(hang_next=1)
        gate = self.gateway([sim], timeouts={"drain": "500ms"})
        self.busy(gate)
        until(lambda: sim.requests == 1)
        began = time.monotonic()
        gate.send_signal(signal.SIGTERM)
        self.assertEqual(gate.wait(10), 0)
        self.assertLess(time.monotonic() - began, 5)

    def test_sigint_stops_soon(self):
        sim = self.sim()
        sim.set(hang_next=1)
        gate = self.gateway([sim])
        account = fresh()
        c = Connection(gate.address)
        self.addCleanup(c.close)
        c.send(request("POST", PATH, {**ASK, "n": 3}, credentials(account)))
        until(lambda: sim.requests == 1)
        began = time.monotonic()
        gate.send_signal(signal.SIGINT)
        self.assertEqual(gate.wait(10), 0)
        self.assertLess(time.monotonic() - began, 4)
        gate.restart()
        self.assertAdmitted(gate.generate(account, n=3), 3)     # stopped, not crashed: nothing is held


class Reload(Busy):
    def reload(self, gate):
        before = gate.metrics()["meltguard_config_generation"]
        gate.send_signal(signal.SIGHUP)
        until(lambda: gate.metrics()["meltguard_config_generation"] > before, 5)

    def test_policy(self):
        gate, account = self.gateway([self.sim()]), fresh()
        self.assertAdmitted(gate.generate(account, n=3), 3)
        self.assertEqual(gate.generate(account).status, 429)
        changed = policy()
        changed["tiers"]["free"]["images"] = {"per_day": 5}
        gate.write_policy(changed)
        self.reload(gate)
        answer = gate.generate(account)
        self.assertAdmitted(answer)
        self.assertEqual(answer.get("x-ratelimit-limit-images"), "5")
        self.assertEqual([gate.generate(account).status for _ in range(2)], [200, 429])

    def test_accounts(self):
        gate = self.gateway([self.sim()], keys={"key-one": ("one", "free")})
        self.assertEqual(gate.fetch("POST", PATH, ASK, bearer("key-two")).status, 401)
        gate.write_accounts({"key-two": ("two", "plus")})
        self.reload(gate)
        self.assertAdmitted(gate.fetch("POST", PATH, ASK, bearer("key-two")))
        self.assertEqual(gate.fetch("POST", PATH, ASK, bearer("key-one")).status, 401)

    def test_a_bad_file_changes_nothing(self):
        gate = self.gateway([self.sim()])
        gate.write("policy.yaml", "tiers: {free: {images: {per_dya: 3}}}\n")
        gate.send_signal(signal.SIGHUP)
        gate.wait_line(r"policy\.yaml:1:\d+: ", 5)
        self.assertAdmitted(gate.generate())

    def test_while_at_work(self):
        """Each request keeps the rules that it began with."""
        sim = self.sim(seconds_per_image=0.6)
        gate = self.gateway([sim])
        clients = [self.busy(gate, "plus") for _ in range(3)]
        until(lambda: sim.state()["working"] == 3)
        for _ in range(5):
            self.reload(gate)
        for c in clients:
            self.assertEqual(c.read().status, 200)

    def test_reload_storm(self):
        sim = self.sim()
        gate = self.gateway([sim])
        stop = time.monotonic() + 1.5

        def work(i):
            got = []
            while time.monotonic() < stop:
                if i == 0:
                    gate.send_signal(signal.SIGHUP)
                    time.sleep(0.02)
                else:
                    got.append(gate.generate(tier="staff").status)
            return got
        results = together(4, work)
        self.assertEqual({status for got in results for status in got}, {200})


class Workers(Case):
    def check(self, workers):
        sim = self.sim(slots=50)
        gate = self.gateway([backend(sim, max_in_flight=50)], workers=workers)
        self.assertEqual(gate.metrics()["meltguard_workers"], workers)
        account = fresh()
        got = together(24, lambda i: gate.generate(account if i % 2 else None).status)
        self.assertEqual((got.count(200), got.count(429)), (12 + 3, 9), got)
        self.assertEqual(len(gate.logged(24)), 24)

    def test_one(self):
        self.check(1)

    def test_eight(self):
        self.check(8)


class CommandLine(Case):
    def run_(self, *words):
        done = subprocess.run([harness.MELTGUARD, *words], capture_output=True, text=True, timeout=20,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    def folder(self, **files):
        """A complete configuration, of which some parts are replaced."""
        folder = tempfile.TemporaryDirectory(prefix="meltguard-")
        self.addCleanup(folder.cleanup)
        whole = {
            "meltguard.yaml": (
                "listen:\n  - address: 127.0.0.1:0\n"
                "admin:\n  address: 127.0.0.1:0\n"
                f"quota_store: embedded://{folder.name}/store\n"
                "identity:\n  - keyfile: accounts.yaml\n"
                "policies: policy.yaml\n"
                "backends:\n  - name: gpu0\n    url: http://127.0.0.1:9001\n    dialect: openai\n"),
            "accounts.yaml": f"keys:\n  - {{sha256: {harness.sha256('k')}, account: a, tier: free}}\n",
            "policy.yaml": ("timezone: Asia/Seoul\n"
                            "tiers:\n  free: {images: {per_day: 3}, priority: 0}\n"
                            "unavailable_message: {en: image generation unavailable}\n"),
        }
        for name, content in {**whole, **{k.replace("_yaml", ".yaml"): v for k, v in files.items()}}.items():
            with open(os.path.join(folder.name, name), "w", encoding="utf-8") as file:
                file.write(content(whole[name]) if callable(content) else content)
        return os.path.join(folder.name, "meltguard.yaml")

    def check(self, path):
        return self.run_("--config", path, "--check")

    def test_check_of_a_good_one(self):
        status, _, error = self.check(self.folder())
        self.assertEqual((status, error.count("expected")), (0, 0), error)

    def test_check_of_bad_ones(self):
        for files, place, expected in (
                ({"meltguard_yaml": lambda y: y + "worker: 3\n"}, r"meltguard\.yaml:13:1: ", "workers"),
                ({"meltguard_yaml": lambda y: y + "workers: many\n"}, r"meltguard\.yaml:13:10: ", "many"),
                ({"meltguard_yaml": lambda y: y + "timeouts: {head: 10 parsecs}\n"},
                 r"meltguard\.yaml:13:18: ", "parsecs"),
                ({"meltguard_yaml": lambda y: y.replace("dialect: openai", "dialect: klingon")},
                 r"meltguard\.yaml:12:14: ", "openai"),
                ({"meltguard_yaml": lambda y: y.replace("admin:\n", "admin: [\n")},
                 r"meltguard\.yaml:\d+:\d+: ", ""),
                ({"meltguard_yaml": lambda y: y + "workers: 1\nworkers: 2\n"},
                 r"meltguard\.yaml:14:1: ", "workers"),
                ({"policy_yaml": lambda y: y.replace("per_day: 3", "per_day: -3")},
                 r"policy\.yaml:3:28: ", "-3"),
                ({"policy_yaml": lambda y: y.replace("Asia/Seoul", "Mars/Olympus")},
                 r"policy\.yaml:1:11: ", "Mars/Olympus"),
                ({"accounts_yaml": lambda y: y.replace("tier: free", "tier: gold")},
                 r"accounts\.yaml:2:\d+: ", "gold"),
                ({"accounts_yaml": lambda y: y.replace("sha256: ", "sha256: zz")},
                 r"accounts\.yaml:2:\d+: ", "64"),
        ):
            with self.subTest(place=place, expected=expected):
                status, out, error = self.check(self.folder(**files))
                self.assertNotEqual(status, 0)
                self.assertRegex(out + error, place)
                self.assertIn(expected, out + error)

    def test_it_does_not_start_on_a_bad_one(self):
        path = self.folder(meltguard_yaml=lambda y: y + "nonsense: 1\n")
        status, _, error = self.run_("--config", path)
        self.assertNotEqual(status, 0)
        self.assertIn("meltguard.yaml:13:1:", error)

    def test_a_file_that_is_not_there(self):
        status, _, error = self.run_("--config", "/nonexistent/meltguard.yaml")
        self.assertNotEqual(status, 0)
        self.assertIn("/nonexistent/meltguard.yaml", error)

    def test_options(self):
        status, out, _ = self.run_("--options")
        self.assertEqual(status, 0)
        for name in ("timeouts.head", "limits.body", "quota.lease", "telemetry.stale_after", "workers"):
            self.assertIn(name, out)

    def test_version(self):
        status, out, _ = self.run_("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^meltguard \d+\.\d+\.\d+")

    def test_help(self):
        status, out, _ = self.run_("--help")
        self.assertEqual(status, 0)
        for word in ("--config", "--check", "--options", "--version"):
            self.assertIn(word, out)

    def test_words_that_it_does_not_know(self):
        self.assertNotEqual(self.run_("--frobnicate")[0], 0)
        self.assertNotEqual(self.run_()[0], 0)

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for key in ("admin:\n  address: ", "listen:\n  - address: "):
                path = self.folder(meltguard_yaml=lambda y, key=key:
                                   y.replace(key + "127.0.0.1:0", key + address))
                status, _, error = self.run_("--config", path)
                self.assertNotEqual(status, 0)
                self.assertIn(address, error)


class Shipped(Case):
    """What is in policies/ and conf/ is what a newcomer starts from: it must load."""
    ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

    def test_policies(self):
        folder = os.path.join(self.ROOT, "policies")
        names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml"))
        self.assertLessEqual({"free-three-a-day.yaml", "tiered.yaml"}, set(names))
        sim = self.sim()
        for name in names:
            with self.subTest(name=name):
                gate = self.gateway([sim], policies=os.path.join(folder, name),
                                    identity=[{"bearer": {"accept": "any", "tier": "free"}}])
                answer = gate.fetch("POST", PATH, ASK, bearer(fresh("token")))
                self.assertAdmitted(answer)

    def check(self, path):
        done = subprocess.run([harness.MELTGUARD, "--config", path, "--check"], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_configurations(self):
        folder = os.path.join(self.ROOT, "conf")
        names = sorted(name for name in os.listdir(folder)
                       if name.endswith(".yaml") and name != "accounts.yaml")
        self.assertTrue(names)
        for name in names:
            with self.subTest(name=name):
                self.check(os.path.join(folder, name))

    def test_configuration_of_the_container(self):
        """Its policies lie where the image has them."""
        with open(os.path.join(self.ROOT, "docker", "meltguard.yaml"), encoding="utf-8") as file:
            text = file.read().replace("/usr/local/share/meltguard", self.ROOT)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            self.check(file.name)
