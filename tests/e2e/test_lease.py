# SPDX-License-Identifier: Apache-2.0
"""A gateway that stands still for longer than its leases, and then goes on with what it had in hand."""
import signal
import threading
import time

from harness import Case, SimGpu, backend, fresh, policy

OPEN = {"queue_depth": [{"above": 100000, "resume_below": 90000, "tiers": "all"}]}
TIERS = {"free": {"images": {"per_day": 3}, "max_images_per_request": 4}}
LEASE_S = 1
ENDED_S = LEASE_S + 3.5  # others give it two seconds more, and tell time by whole ones


class Leases(Case):
    def setUp(self):
        self.sim_ = self._started(SimGpu(slots=50))
        self.store = self.redis()
        self.stopped, self.other = self.own(), self.own()

    def own(self, **quota):
        return self.gateway([backend(self.sim_, max_in_flight=50, telemetry=False)], quota_store=self.store.url,
                            quota={"lease": f"{LEASE_S}s", **quota}, policy=policy(tiers=TIERS, shed=OPEN))

    def stand_still(self, gate, account, meanwhile):
        """What a client is told whose gateway stands still while its job is at work, and something happens."""
        answers = []
        self.sim_.set(delay_ms=600)
        asking = threading.Thread(target=lambda: answers.append(gate.generate(account, n=3)))
        asking.start()
        time.sleep(0.3)
        gate.send_signal(signal.SIGSTOP)
        self.sim_.set(delay_ms=0)
        time.sleep(ENDED_S)
        meanwhile()
        gate.send_signal(signal.SIGCONT)
        asking.join()
        return answers[0]

    def test_what_others_used_up_is_not_delivered(self):
        account = fresh()
        answer = self.stand_still(self.stopped, account,
                                  lambda: self.assertAdmitted(self.other.generate(account, n=3), 3))
        self.assertRefused(answer, 429, "quota_exhausted")
        self.assertEqual(answer.get("x-ratelimit-remaining-images"), "0")
        line = self.stopped.logged_as(answer.get("x-request-id"))
        self.assertEqual((line["outcome"], line["phase"], line["cost"]), ("quota_exhausted", "RELAY", 0))

    def test_what_nobody_used_is_delivered_and_charged(self):
        account = fresh()
        other = fresh()
        answer = self.stand_still(self.stopped, account,
                                  lambda: self.assertAdmitted(self.other.generate(other), 1))
        self.assertAdmitted(answer, 3)
        self.assertRefused(self.other.generate(account), 429, "quota_exhausted")

    def test_a_store_that_is_away_as_well_is_waited_for_no_longer(self):
        account = fresh()
        answer = self.stand_still(self.stopped, account, lambda: self.store.send_signal(signal.SIGSTOP))
        self.store.send_signal(signal.SIGCONT)
        self.assertRefused(answer, 503, "store_unavailable")
        time.sleep(2)  # what was on its way is taken back
        self.assertAdmitted(self.other.generate(account, n=3), 3)
