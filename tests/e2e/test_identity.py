# SPDX-License-Identifier: Apache-2.0
"""Who asks: keys, a trusted proxy's header, any bearer token, the network address."""
from harness import Case, fresh, policy

PATH = "/v1/images/generations"
ASK = {"prompt": "a quiet bay", "size": "16x16"}
KEYS = {"sk-alice-0123456789": ("alice", "plus"), "sk-bob-0123456789": ("bob", "free")}


def bearer(key):
    return [("Authorization", f"Bearer {key}")]


class Sources(Case):
    def start(self, *sources, **changes):
        self.sim_ = self.sim()
        return self.gateway([self.sim_], keys=KEYS, identity=list(sources), **changes)

    def ask(self, gate, *fields):
        return gate.fetch("POST", PATH, ASK, fields)

    def account(self, gate):
        return gate.logged(1)[-1]["account"], gate.access_log()[-1]["tier"]


class Keyfile(Sources):
    def test_known_keys(self):
        gate = self.start({"keyfile": "accounts.yaml"})
        for key in KEYS:
            for fields in (bearer(key), [("x-api-key", key)], [("authorization", f"bearer {key}")]):
                answer = self.ask(gate, *fields)
                self.assertAdmitted(answer)
        accounts = {(line["account"], line["tier"]) for line in gate.logged(6)}
        self.assertEqual(accounts, set(KEYS.values()))

    def test_the_key_stays_here(self):
        """It is this gateway's key: the backend has no use for it."""
        gate = self.start({"keyfile": "accounts.yaml"})
        self.ask(gate, *bearer("sk-alice-0123456789"))
        names = [name for name, _ in self.sim_.last_fields()]
        self.assertNotIn("authorization", names)
        self.assertNotIn("x-api-key", names)

    def test_unknown_key(self):
        gate = self.start({"keyfile": "accounts.yaml"})
        answer = self.ask(gate, *bearer("sk-nobody"))
        self.assertRefused(answer, 401, "invalid_key")
        self.assertEqual((answer.error()["type"], answer.error()["code"]),
                         ("invalid_request_error", "invalid_api_key"))
        self.assertIn("Bearer", answer.get("www-authenticate"))
        self.assertEqual(self.sim_.requests, 0)

    def test_no_key(self):
        gate = self.start({"keyfile": "accounts.yaml"})
        answer = self.ask(gate)
        self.assertRefused(answer, 401, "missing_key")
        self.assertEqual(answer.error()["code"], "invalid_api_key")
        self.assertEqual(set(answer.error()), {"message", "type", "param", "code"})

    def test_malformed(self):
        gate = self.start({"keyfile": "accounts.yaml"})
        for fields in ([("Authorization", "")], [("Authorization", "Bearer")],
                       [("Authorization", "Basic YTpi")],
                       bearer("sk-alice-0123456789") + bearer("sk-bob-0123456789"),
                       bearer("sk-alice-0123456789") + [("x-api-key", "sk-bob-0123456789")],
                       bearer("sk-alice 0123456789"), bearer("x" * 5000)):
            with self.subTest(fields=[(name, value[:60]) for name, value in fields]):
                self.assertEqual(self.ask(gate, *fields).status, 401)
        self.assertEqual(self.sim_.requests, 0)

    def test_keys_are_in_no_output(self):
        gate = self.start({"keyfile": "accounts.yaml"}, log={"access": "-", "level": "debug"})
        for key in (*KEYS, "sk-wrong-key-5566"):
            self.ask(gate, *bearer(key))
        said = gate.output + str(gate.metrics())
        for key in (*KEYS, "sk-wrong-key-5566"):
            self.assertNotIn(key, said)


class Header(Sources):
    def source(self, *trust):
        return {"header": {"account": "X-Account-Id", "tier": "X-Account-Tier", "trust": list(trust)}}

    def test_trusted(self):
        gate = self.start(self.source("127.0.0.0/8"))
        self.assertAdmitted(self.ask(gate, ("X-Account-Id", "carol"), ("X-Account-Tier", "plus")))
        self.assertEqual(self.account(gate), ("carol", "plus"))

    def test_not_trusted(self):
        gate = self.start(self.source("10.0.0.0/8"))
        answer = self.ask(gate, ("X-Account-Id", "carol"), ("X-Account-Tier", "staff"))
        self.assertEqual(answer.status, 401)

    def test_not_trusted_by_forwarded_for(self):
        """Trust is in the peer, not in what it says about itself."""
        gate = self.start(self.source("10.0.0.0/8"))
        answer = self.ask(gate, ("X-Account-Id", "carol"), ("X-Account-Tier", "staff"),
                          ("X-Forwarded-For", "10.0.0.1"))
        self.assertEqual(answer.status, 401)

    def test_unknown_tier(self):
        gate = self.start(self.source("127.0.0.0/8"))
        answer = self.ask(gate, ("X-Account-Id", "carol"), ("X-Account-Tier", "emperor"))
        self.assertRefused(answer, 403, "unknown_tier")

    def test_two_accounts(self):
        gate = self.start(self.source("127.0.0.0/8"))
        answer = self.ask(gate, ("X-Account-Id", "carol"), ("X-Account-Id", "dave"),
                          ("X-Account-Tier", "free"))
        self.assertIn(answer.status, (400, 401, 403))


class Bearer(Sources):
    def test_each_token_is_an_account(self):
        gate = self.start({"bearer": {"accept": "any", "tier": "free"}})
        for token in (fresh("token"), fresh("token")):
            for expected in (200, 200, 200, 429):
                self.assertEqual(self.ask(gate, *bearer(token)).status, expected)
            self.assertNotIn(token, gate.output + str(gate.access_log()))

    def test_the_token_is_passed_on(self):
        """Whoever checks it stands behind."""
        gate = self.start({"bearer": {"accept": "any", "tier": "free"}})
        self.ask(gate, *bearer("someone-elses-token"))
        self.assertIn(("authorization", "Bearer someone-elses-token"), self.sim_.last_fields())

    def test_after_a_keyfile(self):
        gate = self.start({"keyfile": "accounts.yaml"}, {"bearer": {"accept": "any", "tier": "free"}})
        self.ask(gate, *bearer("sk-alice-0123456789"))
        self.assertEqual(self.account(gate), ("alice", "plus"))
        self.assertAdmitted(self.ask(gate, *bearer("anything")))
        self.assertEqual(gate.logged(2)[-1]["tier"], "free")


class Address(Sources):
    source = {"address": {"tier": "free", "prefix_v4": 24, "prefix_v6": 64}}

    def test_by_address(self):
        gate = self.start(self.source)
        self.assertEqual([self.ask(gate).status for _ in range(4)], [200, 200, 200, 429])

    def test_behind_a_trusted_proxy(self):
        gate = self.start(self.source, trusted_proxies=["127.0.0.0/8"])

        def statuses(*chains):
            return [self.ask(gate, ("X-Forwarded-For", chain)).status for chain in chains]
        # One network of 24 bits is one account; another one is another.
        self.assertEqual(statuses("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"),
                         [200, 200, 200, 429])
        self.assertEqual(statuses("203.0.113.1"), [200])
        # What the client itself wrote in front of the chain counts for nothing.
        self.assertEqual(statuses("203.0.113.99, 198.51.100.9"), [429])
        self.assertEqual(statuses("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"),
                         [200, 200, 200, 429])

    def test_no_trusted_proxy(self):
        gate = self.start(self.source)
        got = [self.ask(gate, ("X-Forwarded-For", f"198.51.{i}.1")).status for i in range(4)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_a_key_is_not_an_address(self):
        gate = self.start({"keyfile": "accounts.yaml"}, self.source)
        self.assertRefused(self.ask(gate, *bearer("sk-unknown")), 401, "invalid_key")


class Accounts(Case):
    def test_one_account_by_two_ways(self):
        """An account is its id, whichever source names it."""
        sim = self.sim()
        gate = self.gateway([sim], keys={"key-of-erin": ("erin", "free")}, policy=policy())
        header = [("X-Account-Id", "erin"), ("X-Account-Tier", "free")]
        got = [gate.fetch("POST", PATH, ASK, fields).status
               for fields in (bearer("key-of-erin"), header, bearer("key-of-erin"), header)]
        self.assertEqual(got, [200, 200, 200, 429])
