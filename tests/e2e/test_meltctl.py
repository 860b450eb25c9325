# SPDX-License-Identifier: Apache-2.0
"""meltctl, the operator's command: quotas and keys, on a gateway that works meanwhile."""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import unittest

import wire
from harness import BUILD, Case, Gateway, Redis, SimGpu, backend, fresh, policy, until

TOKEN = "a-token-for-the-tests-0123456789"
LIMITS = {"free": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4},
          "plus": {"images": {"per_day": 200}, "priority": 1, "max_images_per_request": 10},
          "staff": {"images": "unlimited", "priority": 2, "max_images_per_request": 10}}
OPEN = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3


def meltctl(*words, stdin=None, env=None):
    """(status, standard output, standard error)"""
    made = subprocess.run([os.path.join(BUILD, "meltctl"), *words], input=stdin, timeout=30,
                          capture_output=True, text=True, env={**os.environ, **(env or {})})
    return made.returncode, made.stdout, made.stderr


class Quota(Case):
    """The gateway listens for operators at an address and at a Unix socket, without a token."""

    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu(slots=100))
        cls.folder = tempfile.mkdtemp(prefix="meltctl-")
        cls.addClassCleanup(os.rmdir, cls.folder)
        cls.socket = os.path.join(cls.folder, "admin.sock")
        cls.addClassCleanup(os.unlink, cls.socket)
        cls.gate = cls.shared(Gateway(
            [backend(cls.sim_, max_in_flight=100)], policy=policy(tiers=LIMITS, shed=OPEN),
            admin={"address": "127.0.0.1:0", "socket": cls.socket}))
        cls.url = f"http://127.0.0.1:{cls.gate.admin[1]}"

    def ctl(self, *words, expect=DONE):
        status, out, err = meltctl(*words, "--socket", self.socket)
        self.assertEqual(status, expect, (words, out, err))
        return out if expect == DONE else err

    def ask(self, *words):
        return json.loads(self.ctl(*words, "--json"))

    def daily(self, account, *words):
        limits = self.ask("quota", "show", account, *words)["limits"]
        return next(limit for limit in limits if limit["name"] == "daily")

    def spend(self, account, images=3, tier="free"):
        self.assertAdmitted(self.gate.generate(account, tier, n=images, size="8x8"), images)

    def test_show(self):
        account = fresh()
        self.spend(account, 2)
        shown = self.ask("quota", "show", account)
        self.assertEqual((shown["account"], shown["tier"], shown["team"]), (account, "free", None))
        limit = self.daily(account)
        self.assertEqual((limit["limit"], limit["used"], limit["left"], limit["granted"]),
                         (3, 2, 1, 0))
        self.assertRegex(limit["resets"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        table = self.ctl("quota", "show", account)
        self.assertIn(f"{account}, tier free\n", table)
        self.assertRegex(table, r"daily +account +images +2 +3 +0 +1 ")

    def test_show_changes_nothing(self):
        account = fresh()
        for _ in range(3):
            self.assertEqual(self.daily(account, "--tier", "free")["used"], 0)
        self.spend(account, 3)

    def test_a_grant_counts_at_once_also_for_who_was_refused(self):
        account = fresh()
        self.spend(account)
        for _ in range(5):          # all workers remember the refusal
            self.assertRefused(self.gate.generate(account, size="8x8"), 429, "quota_exhausted")
        self.assertEqual(self.ask("quota", "grant", account, "--images", "2")["limits"][0]["left"], 2)
        self.spend(account, 2)
        self.assertRefused(self.gate.generate(account, size="8x8"), 429, "quota_exhausted")
        self.assertEqual(self.daily(account)["granted"], 2)

    def test_a_grant_is_taken_back(self):
        account = fresh()
        self.spend(account, 1)
        self.ctl("quota", "grant", account, "--images", "5")
        self.ctl("quota", "grant", account, "--images", "-4")
        self.assertEqual(self.daily(account)["granted"], 1)
        self.spend(account, 3)
        self.assertRefused(self.gate.generate(account, size="8x8"), 429, "quota_exhausted")

    def test_a_grant_until_a_date(self):
        account = fresh()
        self.ctl("quota", "grant", account, "--images", "2", "--until", "2999-12-31", "--tier", "free")
        self.spend(account, 4)
        self.spend(account, 1)
        self.assertRefused(self.gate.generate(account, size="8x8"), 429, "quota_exhausted")
        self.assertEqual(self.daily(account)["granted"], 2)
        self.assertIn("over", self.ctl("quota", "grant", account, "--images", "2", "--until", "2020-01-01",
                                       expect=REFUSED))
        self.ctl("quota", "grant", account, "--images", "0", "--until", "2999-12-31")
        self.assertEqual(self.daily(account)["granted"], 0)

    def test_one_id_is_one_grant(self):
        account = fresh()
        for _ in range(3):
            self.ctl("quota", "grant", account, "--images", "2", "--tier", "free", "--id", "t" + account)
        self.assertEqual(self.daily(account, "--tier", "free")["granted"], 2)

    def test_set(self):
        account = fresh()
        self.spend(account, 1)
        self.ctl("quota", "set", account, "--images", "3")
        self.assertRefused(self.gate.generate(account, size="8x8"), 429, "quota_exhausted")
        self.ctl("quota", "set", account, "--images", "2")
        self.spend(account, 1)

    def test_reset(self):
        account = fresh()
        self.spend(account)
        self.ctl("quota", "grant", account, "--images", "1")
        self.ctl("quota", "reset", account)
        limit = self.daily(account)
        self.assertEqual((limit["used"], limit["granted"]), (0, 0))
        self.spend(account)

    def test_top(self):
        accounts = [fresh("top") for _ in range(3)]
        for number, account in enumerate(accounts):
            for _ in range(4 + number):     # more than any other test charges to one account
                self.spend(account, 10, "plus")
        first = self.ask("quota", "top", "-n", "3")["accounts"]
        self.assertEqual([(entry["account"], entry["images"], entry["error"]) for entry in first],
                         [(accounts[2], 60, 0), (accounts[1], 50, 0), (accounts[0], 40, 0)])
        self.assertEqual(first[0]["tier"], "plus")
        self.assertRegex(self.ctl("quota", "top"), rf"{accounts[2]} +plus +60 +0")

    def test_top_of_two_gateways(self):
        redis = self.shared(Redis())
        gates = [self.shared(Gateway([backend(self.sim_, max_in_flight=100)], policy=policy(tiers=LIMITS, shed=OPEN),
                                  quota_store=redis.url, admin={"address": "127.0.0.1:0"})) for _ in range(2)]
        account = fresh("both")
        for gate in gates:
            self.assertAdmitted(gate.generate(account, "plus", n=5, size="8x8"), 5)

        def top():
            status, out, err = meltctl("quota", "top", "--json", "--admin",
                                       f"http://127.0.0.1:{gates[0].admin[1]}")
            self.assertEqual(status, DONE, err)
            return json.loads(out)

        until(lambda: top()["gateways"] == 2, 15)
        self.assertTrue(top()["is_whole"])
        self.assertEqual([(entry["account"], entry["images"], entry["tier"]) for entry in top()["accounts"]],
                         [(account, 10, "plus")])
        redis.stop()
        until(lambda: not top()["is_whole"], 15)
        self.assertEqual(top()["accounts"][0]["images"], 5)

    def test_an_account_of_any_name(self):
        account = fresh("a/b?c=d&e%20;\"{}")
        self.spend(account, 1)
        self.assertEqual(self.ask("quota", "show", account)["account"], account)

    def test_what_is_not_known_is_said(self):
        account = fresh()
        self.assertIn("tier", self.ctl("quota", "show", account, expect=REFUSED))
        self.assertIn("no tier gold", self.ctl("quota", "show", account, "--tier", "gold",
                                               expect=REFUSED))
        self.assertIn("no such limit", self.ctl("quota", "grant", account, "--tier", "free",
                                                "--credits", "1", expect=REFUSED))
        self.assertIn("no such limit", self.ctl("quota", "grant", account, "--tier", "staff",
                                                "--images", "1", expect=REFUSED))
        for images in ("x1", "1.5", "1e3", "\"1\""):
            self.assertRegex(self.ctl("quota", "grant", account, "--images", images, "--tier",
                                      "free", expect=REFUSED), "not JSON|wrong value for images")

    def test_by_address_without_a_token_nothing_changes(self):
        account = fresh()
        status, _, err = meltctl("quota", "grant", account, "--tier", "free", "--images", "1",
                                 "--admin", self.url)
        self.assertEqual(status, REFUSED)
        self.assertIn("Unix socket", err)
        status, out, err = meltctl("quota", "show", account, "--tier", "free", "--admin", self.url,
                                   "--json")
        self.assertEqual((status, json.loads(out)["limits"][0]["granted"]), (DONE, 0), err)

    def test_the_socket_is_for_owner_and_group(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)

    def test_command_line(self):
        for words in ((), ("quota",), ("quota", "show"), ("quota", "show", "a", "b"),
                      ("quota", "grant", "a"), ("quota", "grant", "a", "--images", "1", "--credits", "1"),
                      ("quota", "top", "a"), ("quota", "top", "--tier", "x"), ("nothing", "here"),
                      ("quota", "show", "a", "--unknown"), ("key", "add", "a"), ("key", "revoke"),
                      ("key", "revoke", "0123456789abcdef", "--account", "a"),
                      ("key", "revoke", "01234567"), ("key", "import"),
                      ("quota", "show", "a", "--admin", "ftp://x")):
            status, out, err = meltctl(*words)
            self.assertEqual((status, out), (USAGE, ""), words)
            self.assertTrue(err, words)
        for words in (("--help",), ("quota", "grant", "--help"), ("--version",)):
            self.assertEqual(meltctl(*words)[0], DONE, words)
        status, _, err = meltctl("quota", "top", "--admin", "http://127.0.0.1:1")
        self.assertEqual(status, UNREACHABLE, err)


class Token(Case):
    def test_a_token_opens_the_address(self):
        folder = tempfile.mkdtemp(prefix="meltctl-")
        self.addCleanup(os.rmdir, folder)
        token_file = os.path.join(folder, "token")
        with open(token_file, "w", encoding="utf-8") as file:
            file.write(TOKEN + "\n")
        self.addCleanup(os.unlink, token_file)
        gate = self.gateway([self.sim()], policy=policy(tiers=LIMITS, shed=OPEN),
                            admin={"address": "127.0.0.1:0", "token_file": token_file})
        url = f"http://127.0.0.1:{gate.admin[1]}"
        words = ("quota", "grant", "alice", "--tier", "free", "--images", "1", "--admin", url)
        self.assertEqual(meltctl(*words)[0], REFUSED)
        status, out, err = meltctl(*words, "--token-file", token_file, "--json")
        self.assertEqual(status, DONE, err)
        self.assertEqual(json.loads(out)["limits"][0]["granted"], 1)
        self.assertEqual(wire.fetch(gate.admin, "GET", "/v1/quota/top").status, 401)
        self.assertEqual(wire.fetch(gate.admin, "GET", "/metrics").status, 200)
        self.assertNotIn(TOKEN, gate.output)
        with open(token_file, "w", encoding="utf-8") as file:   # a reload takes another one
            file.write("another-token-0123456789")
        gate.send_signal(1)
        gate.wait_line(r"reloaded ")
        status, _, _ = meltctl(*words, "--token-file", token_file)
        self.assertEqual(status, DONE)


class Keys(Case):
    def test_from_making_to_revoking(self):
        gate = self.gateway([self.sim()], policy=policy(tiers=LIMITS, shed=OPEN),
                            keys={"old": ("old", "free")})
        file = os.path.join(gate.folder, "accounts.yaml")
        status, out, err = meltctl("key", "add", "alice", "--tier", "plus", "--keyfile", file)
        self.assertEqual(status, DONE, err)
        key = out.strip()
        self.assertRegex(key, r"^mg_[0-9A-Za-z]{43}$")
        with open(file, encoding="utf-8") as content:
            self.assertNotIn(key, content.read())

        def ask():
            return gate.fetch("POST", "/v1/images/generations", {"prompt": "x", "size": "8x8"},
                              [("Authorization", f"Bearer {key}")]).status
        self.assertEqual(ask(), 401)
        gate.send_signal(1)
        until(lambda: ask() == 200)
        status, out, _ = meltctl("key", "list", "--keyfile", file, "--json")
        listed = json.loads(out)["keys"]
        self.assertEqual([(entry["account"], entry["tier"]) for entry in listed],
                         [("old", "free"), ("alice", "plus")])
        self.assertEqual(meltctl("key", "revoke", "-", "--keyfile", file, stdin=key + "\n")[0], DONE)
        gate.send_signal(1)
        until(lambda: ask() == 401)
        status, _, err = meltctl("key", "revoke", listed[1]["sha256"][:12], "--keyfile", file)
        self.assertEqual(status, REFUSED)
        self.assertIn("no such key", err)

    def test_refusals_leave_the_file_alone(self):
        folder = tempfile.mkdtemp(prefix="meltctl-")
        self.addCleanup(os.rmdir, folder)
        file = os.path.join(folder, "keys.yaml")
        self.assertEqual(meltctl("key", "revoke", "12345678", "--keyfile", file)[0], REFUSED)
        self.assertFalse(os.path.exists(file))
        with open(file, "w", encoding="utf-8") as content:
            content.write("keys: 3\n")
        self.addCleanup(os.unlink, file)
        for words in (("add", "a", "--tier", "free"), ("list",), ("revoke", "12345678")):
            status, _, err = meltctl("key", *words, "--keyfile", file)
            self.assertEqual(status, REFUSED, words)
            self.assertIn("keys is not a list", err)
        self.assertEqual(meltctl("key", "add", "a b", "--tier", "free", "--keyfile", file)[0], USAGE)
        with open(file, encoding="utf-8") as content:
            self.assertEqual(content.read(), "keys: 3\n")

    def test_one_account_stays_in_one_team(self):
        folder = tempfile.mkdtemp(prefix="meltctl-")
        self.addCleanup(os.rmdir, folder)
        file = os.path.join(folder, "keys.yaml")

        def add(*words):
            return meltctl("key", "add", "a", "--tier", "free", "--keyfile", file, *words)
        self.assertEqual(add("--team", "acme", "--timezone", "Europe/Berlin")[0], DONE)
        self.addCleanup(os.unlink, file)
        self.assertEqual(add()[0], DONE)
        status, _, err = add("--team", "umbrella")
        self.assertEqual(status, REFUSED)
        self.assertIn("another team", err)
        with open(file, encoding="utf-8") as content:
            lines = content.read().splitlines()
        self.assertEqual(len(lines), 3)
        for line in lines[1:]:
            self.assertIn('team: acme, timezone: "Europe/Berlin"', line)


class RedisStore(Quota):
    """The same, where all gateways share a Redis."""

    @classmethod
    def setUpClass(cls):
        cls.redis_ = cls.shared(Redis())
        cls.outboxes = tempfile.mkdtemp(prefix="meltctl-")
        cls.addClassCleanup(shutil.rmtree, cls.outboxes)
        cls.sim_ = cls.shared(SimGpu(slots=100))
        cls.folder = tempfile.mkdtemp(prefix="meltctl-")
        cls.addClassCleanup(os.rmdir, cls.folder)
        cls.socket = os.path.join(cls.folder, "admin.sock")
        cls.addClassCleanup(os.unlink, cls.socket)
        cls.gate = cls.shared(cls.make_gate(admin={"address": "127.0.0.1:0", "socket": cls.socket}))
        cls.url = f"http://127.0.0.1:{cls.gate.admin[1]}"

    @classmethod
    def make_gate(cls, **changes):
        return Gateway([backend(cls.sim_, max_in_flight=100)],
                       policy=policy(tiers=LIMITS, shed=OPEN), quota_store=cls.redis_.url,
                       quota={"outbox": os.path.join(cls.outboxes, fresh("outbox"))},
                       **changes)

    def test_a_grant_reaches_other_gateways_within_seconds(self):
        other = self._started(self.make_gate())
        account = fresh()
        self.assertEqual(other.generate(account, n=3, size="8x8").status, 200)
        self.assertEqual(other.generate(account, size="8x8").status, 429)
        self.ctl("quota", "grant", account, "--tier", "free", "--images", "1")
        until(lambda: other.generate(account, size="8x8").status == 200, timeout=4)


if __name__ == "__main__":
    unittest.main()
