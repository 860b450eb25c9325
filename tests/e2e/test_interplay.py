# SPDX-License-Identifier: Apache-2.0
"""What was made apart, together: local shares and reloads, keys in Redis and teams, service limits and holds that wait
or come too late, grants and remembered refusals."""
import json
import signal
import threading
import time
import unittest

from harness import Case, SimGpu, backend, fresh, policy, until
from test_keystore import Keystore
from test_meltctl import DONE, meltctl

QUIET = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
TIERS = {"daily": {"images": {"per_day": 4}, "max_images_per_request": 4},
         "local": {"images": {"per_day": 8}, "on_store_down": "local", "max_images_per_request": 4},
         "staff": {"images": "unlimited"}}
HEADER = {"header": {"account": "X-Account-Id", "tier": "X-Account-Tier", "team": "X-Team", "trust": ["127.0.0.0/8"]}}
LEASE_S = 1
ENDED_S = LEASE_S + 3.5     # others give it two seconds more, and tell time by whole ones


class Interplay(Case):
    def setUp(self):
        self.sim_ = self._started(SimGpu(slots=50))
        self.store = self.redis(0, None, "--appendonly", "yes")

    def own(self, tiers=None, timeout="2s", workers=2, **more):
        return self.gateway([backend(self.sim_, max_in_flight=50, telemetry=False)], quota_store=self.store.url,
                            quota={"lease": f"{LEASE_S}s", "timeout": timeout, "local_share": 50}, workers=workers,
                            identity=[HEADER], admin={"address": "127.0.0.1:0", "token": "interplay-token-0123"},
                            policy=policy(tiers=tiers or TIERS, shed=QUIET, **more))

    @staticmethod
    def ask(gate, account, tier="daily", n=1, team=None):
        return gate.generate(account, tier, n=n, size="8x8", fields={"X-Team": team} if team else ())

    def later(self, work):
        """Begins it now; call what comes back for its result."""
        found = []
        thread = threading.Thread(target=lambda: found.append(work()))
        thread.start()

        def result():
            thread.join()
            return found[0]
        return result

    def lose_store(self, gate):
        self.store.send_signal(signal.SIGSTOP)
        until(lambda: self.ask(gate, fresh()).status == 503)

    def find_store(self, gate):
        self.store.send_signal(signal.SIGCONT)
        until(lambda: self.ask(gate, fresh()).status == 200)

    def working(self, count):
        until(lambda: self.sim_.state()["working"] == count)

    def quota(self, gate, *words):
        token = gate.write("token", "interplay-token-0123")
        status, out, err = meltctl("quota", *words, "--admin", f"http://127.0.0.1:{gate.admin[1]}",
                                   "--token-file", token, "--json")
        self.assertEqual(status, DONE, err)
        return json.loads(out)

    def used(self, gate, account, tier):
        return next(limit["used"] for limit in self.quota(gate, "show", account, "--tier", tier)["limits"]
                    if limit["name"] == "daily")


class WhileRedisIsAway(Interplay):
    def test_a_local_hold_lives_through_a_reload(self):
        gate, account = self.own(timeout="200ms"), fresh()
        self.lose_store(gate)
        self.sim_.set(delay_ms=800)
        answer = self.later(lambda: self.ask(gate, account, "local", 3))
        self.working(1)
        before = gate.metrics()["meltguard_config_generation"]
        gate.write_policy(policy(tiers={**TIERS, "local": {"images": {"per_day": 8}}}, shed=QUIET))
        gate.send_signal(signal.SIGHUP)
        until(lambda: gate.metrics()["meltguard_config_generation"] > before)
        self.assertRefused(self.ask(gate, account, "local"), 503, "store_unavailable")
        self.sim_.set(delay_ms=0)
        self.assertAdmitted(answer(), 3)
        self.find_store(gate)
        until(lambda: self.used(gate, account, "local") == 3)

    def test_a_gateway_killed_with_local_holds(self):
        gate, account = self.own(timeout="200ms"), fresh()
        self.lose_store(gate)
        self.assertAdmitted(self.ask(gate, account, "local"), 1)
        self.sim_.set(delay_ms=3000)
        asked = self.later(lambda: self.gone(gate, account))
        self.working(1)
        gate.kill9()
        asked()
        self.sim_.set(delay_ms=0)
        gate.restart(wait=False)
        until(lambda: self.ask(gate, account, "local", 3).status == 200)
        self.assertRefused(self.ask(gate, account, "local"), 503, "store_unavailable")
        self.find_store(gate)
        time.sleep(ENDED_S)     # what the killed one had asked of Redis
        until(lambda: self.used(gate, account, "local") == 4)

    def gone(self, gate, account):
        with self.assertRaises(Exception):
            self.ask(gate, account, "local", 2)

    def test_an_outage_longer_than_the_lease(self):
        gate, account = self.own(timeout="200ms"), fresh()
        self.sim_.set(delay_ms=1000)
        before = self.later(lambda: self.ask(gate, account, "local", 2))
        self.working(1)
        self.lose_store(gate)
        self.sim_.set(delay_ms=0)
        self.assertAdmitted(self.ask(gate, account, "local", 2), 2)
        time.sleep(ENDED_S)
        got = 2 + (2 if before().status == 200 else 0)
        self.find_store(gate)
        until(lambda: self.used(gate, account, "local") == got)
        time.sleep(1)
        self.assertEqual(self.used(gate, account, "local"), got)


class ServiceLimits(Interplay):
    """Beside the account's own."""

    def test_full_while_a_hold_is_awaited(self):
        gate = self.own(workers=1, service={"images": {"per_day": 2}})
        poor, waiting, late = fresh(), fresh(), fresh()
        self.assertAdmitted(self.ask(gate, poor), 1)
        self.ask(gate, fresh(), "staff", n=2)       # so that the worker knows that one is left
        self.store.send_signal(signal.SIGSTOP)
        first = self.later(lambda: self.ask(gate, waiting))
        time.sleep(0.2)
        second = self.later(lambda: self.ask(gate, late))
        time.sleep(0.3)
        self.store.send_signal(signal.SIGCONT)
        self.assertEqual({first().status, second().status}, {200, 503})
        self.assertRefused(self.ask(gate, fresh()), 503, "service_limit")

    def test_who_has_no_more_leaves_the_services_share(self):
        gate, other = self.own(workers=1, service={"images": {"per_day": 5}}), self.own(workers=1)
        account = fresh()
        self.assertAdmitted(self.ask(other, account, n=4), 4)
        for _ in range(3):
            self.assertRefused(self.ask(gate, account), 429, "quota_exhausted")
        got = [self.ask(gate, fresh()).status for _ in range(6)]
        self.assertEqual(got, [200] * 5 + [503])

    def late(self, gate, other, account, team, meanwhile):
        self.sim_.set(delay_ms=600)
        answer = self.later(lambda: self.ask(gate, account, n=3, team=team))
        self.working(1)
        gate.send_signal(signal.SIGSTOP)
        self.sim_.set(delay_ms=0)
        time.sleep(ENDED_S)
        self.assertAdmitted(self.ask(other, fresh(), n=meanwhile, team=team), meanwhile)
        gate.send_signal(signal.SIGCONT)
        return answer()

    def test_a_late_commit_that_the_team_refuses(self):
        common = {"teams": {"acme": {"images": {"per_day": 4}}}, "service": {"images": {"per_day": 6}}}
        gate, other = (self.own(workers=1, **common) for _ in range(2))
        account = fresh()
        self.assertRefused(self.late(gate, other, account, "acme", 2), 429, "quota_exhausted")
        self.assertEqual(self.used(other, account, "daily"), 0)
        time.sleep(3)       # what each has in hand and does not use goes back
        self.assertAdmitted(self.ask(other, account, n=2, team="acme"), 2)
        time.sleep(3)
        got = [self.ask(gate, fresh(), "staff").status for _ in range(3)]
        self.assertEqual(got, [200, 200, 503])

    def test_a_late_commit_that_fits(self):
        common = {"teams": {"acme": {"images": {"per_day": 4}}}, "service": {"images": {"per_day": 6}}}
        gate, other = (self.own(workers=1, **common) for _ in range(2))
        account = fresh()
        self.assertAdmitted(self.late(gate, other, account, "acme", 1), 3)
        self.assertEqual(self.used(other, account, "daily"), 3)
        self.assertRefused(self.ask(other, fresh(), team="acme"), 429, "quota_exhausted")


class Grants(Interplay):
    def test_a_grant_until_a_date_reaches_who_remembers_a_refusal(self):
        gate, other = self.own(), self.own()
        account = fresh()
        self.assertAdmitted(self.ask(gate, account, n=4), 4)
        for _ in range(8):          # all workers remember
            self.assertRefused(self.ask(gate, account), 429, "quota_exhausted")
        self.quota(other, "grant", account, "--tier", "daily", "--images", "2", "--until", "2999-12-31")
        until(lambda: self.ask(gate, account).status == 200, 4)
        self.assertAdmitted(self.ask(gate, account), 1)
        self.assertRefused(self.ask(gate, account), 429, "quota_exhausted")


class Keys(Keystore):
    def test_an_account_of_the_keystore_with_a_team_and_a_zone(self):
        # Where it is six in the morning, so that midnight is far, and elsewhere than at the policy's noon.
        ahead = 6 - time.gmtime().tm_hour
        if ahead < -12:     # no zone is so far behind; that hour comes to one that is ahead, a day later
            ahead += 24
        zone = f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"
        redis = self.redis()
        gates = self.gateways(redis.url, sources=[{"keystore": {"zones": [zone]}}])
        teams = {"acme": {"images": {"per_day": 5}}}
        for gate in gates:
            before = gate.metrics()["meltguard_config_generation"]
            gate.write_policy(policy(tiers=TIERS, shed=QUIET, teams=teams))
            gate.send_signal(signal.SIGHUP)
            until(lambda gate=gate, before=before: gate.metrics()["meltguard_config_generation"] > before)
        keys = [self.add(gates[0], fresh(), "--team", "acme", *more, tier="daily")
                for more in (("--timezone", zone), ())]
        answer = self.ask(gates[1], keys[0])
        resets = [int(word.split("t=")[1]) for word in answer.get("ratelimit").split(",") if '"daily"' in word]
        self.assertEqual(answer.status, 200)
        self.assertTrue(17 * 3600 - 60 < resets[0] <= 18 * 3600 + 60, answer.get("ratelimit"))
        got = [self.ask(gates[i % 2], keys[i % 2]).status for i in range(6)]
        self.assertEqual((got.count(200), got.count(429)), (4, 2), got)
        self.assertEqual(len(self.listed(gates[0])), 2)


if __name__ == "__main__":
    unittest.main()
