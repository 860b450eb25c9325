# SPDX-License-Identifier: Apache-2.0
"""Keys in Redis: added, listed and revoked by meltctl, and known at every gateway; also while Redis is down."""
import json
import os
import shutil
import signal
import tempfile
import threading
import time

import wire
from harness import Case, backend, fresh, policy, sha256, until
from redises import Cluster
from test_meltctl import DONE, LIMITS, OPEN, REFUSED, meltctl

SOURCES = [{"keystore": {}}, {"bearer": {"accept": "any", "tier": "free"}}]
# How long a revoked key may still work.
REVOKED_S = 2


class Keystore(Case):
    def gateways(self, url, count=2, sources=None, **changes):
        self.sim_ = self.sim(slots=100)
        return [self.gateway([backend(self.sim_, max_in_flight=100)],
                             policy=policy(tiers=LIMITS, shed=OPEN), identity=sources or SOURCES[:1],
                             quota_store=url,
                             admin={"address": "127.0.0.1:0", "token": "keystore-token-01234"},
                             **changes) for _ in range(count)]

    def ctl(self, gate, *words, expect=DONE, stdin=None):
        token = gate.write("token", "keystore-token-01234")
        status, out, err = meltctl("key", *words, "--admin", f"http://127.0.0.1:{gate.admin[1]}",
                                   "--token-file", token, stdin=stdin)
        self.assertEqual(status, expect, (words, out, err))
        return out if expect == DONE else err

    def add(self, gate, account, *words, tier="staff"):
        return self.ctl(gate, "add", account, "--tier", tier, *words).strip()

    def listed(self, gate, *words):
        pages = self.ctl(gate, "list", *words, "--json").splitlines()
        return [key for page in pages for key in json.loads(page)["keys"]]

    @staticmethod
    def ask(gate, key):
        return gate.fetch("POST", "/v1/images/generations", {"prompt": "x", "size": "8x8"},
                          [("Authorization", f"Bearer {key}")])

    def statuses(self, gate, key, count=6):
        """On connections of their own, so that all workers are asked."""
        return {self.ask(gate, key).status for _ in range(count)}

    def lookups(self, gate, result):
        return gate.metrics().get(f'meltguard_keystore_lookups_total{{result="{result}"}}', 0)


class OneRedis(Keystore):
    def test_from_making_to_revoking(self):
        gates = self.gateways(self.redis().url)
        account = fresh()
        key = self.add(gates[0], account, "--label", "for a test")
        self.assertRegex(key, r"^mg_[0-9A-Za-z]{43}$")
        for gate in gates:      # at once, everywhere
            self.assertEqual(self.statuses(gate, key), {200})
            self.assertEqual(gate.logged(1)[-1]["account"], account)
        self.assertNotIn("authorization", dict(self.sim_.last_fields()))
        [shown] = self.listed(gates[1], account)
        self.assertEqual((shown["account"], shown["tier"], shown["label"], shown["team"]),
                         (account, "staff", "for a test", None))
        self.assertEqual(shown["id"], sha256(key)[:16])
        self.assertRegex(self.ctl(gates[1], "list"), rf"{shown['id']} +{account} +staff ")
        self.assertEqual(self.ctl(gates[0], "revoke", shown["id"]),
                         f"revoked {shown['id']} of {account}\n")
        revoked = time.monotonic()
        for gate in gates:
            until(lambda gate=gate: self.statuses(gate, key) == {401}, REVOKED_S)
        while time.monotonic() < revoked + REVOKED_S:
            pass
        for gate in gates:
            self.assertEqual(self.statuses(gate, key, 12), {401})
            self.assertNotIn(key, gate.output)
        self.assertIn("no such key", self.ctl(gates[1], "revoke", shown["id"], expect=REFUSED))

    def test_in_mid_traffic_nobody_is_served_after_two_seconds(self):
        gates = self.gateways(self.redis().url)
        key = self.add(gates[0], fresh())
        served, over = [0.0, 0.0], threading.Event()

        def load(number):
            with wire.Connection(gates[number].address) as connection:
                while not over.is_set():
                    connection.ask("POST", "/v1/images/generations", {"prompt": "x", "size": "8x8"},
                                   [("Authorization", f"Bearer {key}")])
                    if connection.read().status == 200:
                        served[number] = time.monotonic()
        threads = [threading.Thread(target=load, args=(i % 2,)) for i in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: min(served) > 0)
        self.ctl(gates[1], "revoke", "-", stdin=key + "\n")
        revoked = time.monotonic()
        time.sleep(REVOKED_S + 1)
        over.set()
        for thread in threads:
            thread.join()
        self.assertLess(max(served) - revoked, REVOKED_S)

    def test_known_keys_work_without_redis_and_others_are_not_refused_as_wrong(self):
        redis = self.redis()
        [gate] = self.gateways(redis.url, 1, SOURCES)
        key, unused = self.add(gate, fresh()), self.add(gate, fresh())
        self.assertEqual(self.statuses(gate, key, 20), {200})
        redis.kill9()
        gate.wait_line(r" keystore_down ")
        # Both workers have seen the key; after two seconds they know that they cannot know of revocations.
        until(lambda: self.statuses(gate, key) == {200} and self.lookups(gate, "stale") > 10, 6)
        for one in (unused, "mg_nobody"):
            answer = self.ask(gate, one)
            self.assertRefused(answer, 503, "store_unavailable")
            self.assertTrue(1 <= int(answer.get("retry-after")) <= 60)
        before = time.monotonic()
        for _ in range(50):
            self.assertEqual(self.ask(gate, unused).status, 503)
        self.assertLess(time.monotonic() - before, 2.5, "a dead Redis costs nothing")
        self.assertIn("keystore did not answer", self.ctl(gate, "list", expect=REFUSED))

    def test_a_silent_redis_costs_its_timeout_once(self):
        redis = self.redis()
        [gate] = self.gateways(redis.url, 1, quota={"timeout": "100ms"})
        key = self.add(gate, fresh())
        redis.send_signal(signal.SIGSTOP)
        try:
            before = time.monotonic()
            self.assertRefused(self.ask(gate, "mg_nobody"), 503, "store_unavailable")
            self.assertLess(time.monotonic() - before, 1.5)
        finally:
            redis.send_signal(signal.SIGCONT)
        until(lambda: self.ask(gate, key).status == 200)

    def test_the_next_source_takes_what_the_keystore_does_not_know(self):
        [gate] = self.gateways(self.redis().url, 1, SOURCES)
        self.assertEqual(self.statuses(gate, "somebody-elses-key", 2), {200})
        self.assertTrue(gate.logged(1)[-1]["account"].startswith("bearer:"))

    def test_a_tier_that_the_policy_lost(self):
        [gate] = self.gateways(self.redis().url, 1)
        key = self.add(gate, fresh(), tier="plus")
        self.assertEqual(self.statuses(gate, key), {200})
        gate.write_policy(policy(tiers={name: tier for name, tier in LIMITS.items() if name != "plus"},
                                 shed=OPEN))
        gate.send_signal(signal.SIGHUP)
        gate.wait_line(r"reloaded ")
        until(lambda: self.statuses(gate, key) == {403})
        self.assertRefused(self.ask(gate, key), 403, "unknown_tier")

    def test_a_keystore_that_a_reload_brings(self):
        redis = self.redis()
        [gate] = self.gateways(redis.url, 1, SOURCES[1:])
        self.assertIn("no keystore", self.ctl(gate, "list", expect=REFUSED))
        with open(gate.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["identity"] = SOURCES
        gate.write("meltguard.yaml", config)
        gate.send_signal(signal.SIGHUP)
        gate.wait_line(r"reloaded ")
        key = self.add(gate, account := fresh())
        until(lambda: self.ask(gate, key).status == 200)
        self.assertEqual(gate.logged(1)[-1]["account"], account)
        self.assertNotIn("restart_needed", gate.output)

    def test_all_keys_of_an_account(self):
        [gate] = self.gateways(self.redis().url, 1)
        account, other = fresh(), fresh()
        keys = [self.add(gate, account) for _ in range(3)]
        kept = self.add(gate, other)
        self.assertEqual(len(self.listed(gate)), 4)
        revoked = json.loads(self.ctl(gate, "revoke", "--account", account, "--json"))["revoked"]
        self.assertEqual({key["id"] for key in revoked}, {sha256(key)[:16] for key in keys})
        for key in keys:
            until(lambda key=key: self.statuses(gate, key) == {401}, REVOKED_S)
        self.assertEqual(self.statuses(gate, kept), {200})
        self.assertEqual([key["account"] for key in self.listed(gate)], [other])

    def test_import_of_a_file(self):
        [gate] = self.gateways(self.redis().url, 1)
        gate.write_accounts({f"old-key-{i}": (f"old-{i}", "staff") for i in range(5)})
        file = os.path.join(gate.folder, "accounts.yaml")
        for _ in range(2):      # twice is once
            self.assertEqual(self.ctl(gate, "import", file), "5 keys imported\n")
        self.assertEqual(len(self.listed(gate)), 5)
        self.assertEqual(self.ask(gate, "old-key-3").status, 200)
        self.assertEqual(gate.logged(1)[-1]["account"], "old-3")
        gate.write_accounts({"a": ("a", "gold")})
        self.assertIn("wrong value for tier", self.ctl(gate, "import", file, expect=REFUSED))

    def test_changes_need_the_token(self):
        [gate] = self.gateways(self.redis().url, 1)
        for method, path in (("POST", "/v1/keys"), ("GET", "/v1/keys"),
                             ("DELETE", "/v1/keys/0123456789abcdef"), ("DELETE", "/v1/keys?account=a")):
            self.assertEqual(wire.fetch(gate.admin, method, path).status, 401, (method, path))


class InCluster(Keystore):
    def test_from_making_to_revoking(self):
        cluster = Cluster(self._started)
        gates = self.gateways(cluster.url)
        accounts = [fresh() for _ in range(4)]
        keys = {account: [self.add(gates[0], account) for _ in range(3)] for account in accounts}
        for gate in gates:
            for account in accounts:
                for key in keys[account]:
                    self.assertEqual(self.ask(gate, key).status, 200)
        self.assertEqual(len(self.listed(gates[1])), 12)
        self.assertEqual(len(self.listed(gates[1], accounts[0])), 3)
        self.ctl(gates[1], "revoke", "--account", accounts[0])
        for gate in gates:
            for key in keys[accounts[0]]:
                until(lambda gate=gate, key=key: self.statuses(gate, key, 4) == {401}, REVOKED_S)
            self.assertEqual(self.statuses(gate, keys[accounts[1]][0]), {200})


class OfItsOwn(Keystore):
    def test_beside_an_embedded_quota_store(self):
        """Quotas are counted here, keys are shared."""
        redis = self.redis()
        folder = tempfile.mkdtemp(prefix="meltguard-")
        self.addCleanup(shutil.rmtree, folder)
        [gate] = self.gateways(f"embedded://{folder}", 1, [{"keystore": {"url": redis.url, "unknown_for": "100ms"}}])
        key = self.add(gate, fresh(), tier="free")
        for status in (200, 200, 200, 429):
            self.assertEqual(self.ask(gate, key).status, status)
