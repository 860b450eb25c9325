# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on both sides: framing, limits, timeouts, what is passed on and what is not."""
import re
import time

from harness import Case, Gateway, SimGpu, credentials, fresh, together, until
from wire import Broken, Connection, request

PATH = "/v1/images/generations"
ASK = {"prompt": "a harbour", "size": "16x16"}


def ask(body=None, fields=(), **changes):
    """The bytes of a good request of a fresh account."""
    return request("POST", PATH, {**ASK, **(body or {})}, list(fields) + credentials(tier="staff"),
                   **changes)


class Shared(Case):
    """One backend and one gateway for all tests of the class."""
    settings = {}
    sim_options = {}

    @classmethod
    def setUpClass(cls):
        cls.sim_ = cls.shared(SimGpu(**cls.sim_options))
        cls.gate = cls.shared(Gateway([cls.sim_], **cls.settings))

    def setUp(self):
        self.sim_.set(chunked=False, hop_fields=False, seconds_per_image=0, delay_ms=0)

    def connect(self, timeout=20):
        connection = Connection(self.gate.address, timeout)
        self.addCleanup(connection.close)
        return connection


class Messages(Shared):
    def test_keep_alive(self):
        c = self.connect()
        for _ in range(3):
            c.send(ask())
            self.assertEqual(c.read().status, 200)

    def test_pipelined_in_order(self):
        c = self.connect()
        sizes = [f"{16 + i}x16" for i in range(8)]
        c.send(b"".join(ask({"size": size}) for size in sizes))
        self.assertEqual([c.read().json()["size"] for _ in sizes], sizes)

    def test_pipelined_of_all_kinds(self):
        c = self.connect()
        who = credentials(tier="staff")
        c.send(request("GET", "/v1/models", None, who) + ask() + request("GET", "/nowhere", None, who)
               + request("HEAD", "/v1/models", None, who) + ask({"n": 0}) + ask())
        seen = [c.read(method).status for method in ("GET", "POST", "GET", "HEAD", "POST", "POST")]
        self.assertEqual(seen, [200, 200, 404, 200, 400, 200])

    def test_byte_by_byte(self):
        c = self.connect()
        for byte in ask():
            c.send(bytes([byte]))
        self.assertEqual(c.read().status, 200)

    def test_pipelined_after_a_slow_one(self):
        self.sim_.set(seconds_per_image=0.2)
        c = self.connect()
        c.send(ask({"size": "20x16"}) + ask({"size": "21x16"}))
        self.assertEqual([c.read().json()["size"] for _ in range(2)], ["20x16", "21x16"])

    def test_connection_close(self):
        c = self.connect()
        c.send(ask(fields=[("Connection", "close")]))
        answer = c.read()
        self.assertEqual((answer.status, answer.get("connection").lower()), (200, "close"))
        self.assertTrue(c.is_closed())

    def test_chunked_request(self):
        c = self.connect()
        body = b'{"prompt":"in pieces","size":"16x16"}'
        head = request("POST", PATH, None, credentials(tier="staff")
                       + [("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")])
        c.send(head + b"5;name=value\r\n" + body[:5] + b"\r\n")
        time.sleep(0.05)
        c.send(b"%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n")
        self.assertEqual(c.read().status, 200)
        self.assertEqual(self.sim_.state()["last"]["body_bytes"], len(body))
        fields = dict(self.sim_.last_fields())
        self.assertNotIn("trailer", fields)
        self.assertNotEqual("content-length" in fields, "transfer-encoding" in fields)
        c.send(ask())
        self.assertEqual(c.read().status, 200)

    def test_chunked_answer(self):
        self.sim_.set(chunked=True)
        c = self.connect()
        c.send(ask({"size": "700x700"}))
        self.assertAdmitted(c.read())
        c.send(ask())
        self.assertAdmitted(c.read())

    def test_http_1_0(self):
        self.sim_.set(chunked=True)
        c = self.connect()
        c.send(ask(version="HTTP/1.0"))
        answer = c.read()
        self.assertAdmitted(answer)
        self.assertIsNone(answer.get("transfer-encoding"))
        self.assertTrue(c.is_closed())

    def test_expect_continue(self):
        c = self.connect()
        whole = ask(fields=[("Expect", "100-continue")])
        head, _, body = whole.partition(b"\r\n\r\n")
        c.send(head + b"\r\n\r\n")
        self.assertEqual(c.read_head().status, 100)
        c.send(body)
        self.assertAdmitted(c.read())

    def test_expect_of_a_stranger(self):
        """Nobody uploads a body only to be turned away."""
        c = self.connect()
        c.send(request("POST", PATH, None, [("Expect", "100-continue"), ("Content-Length", "30000")]))
        answer = c.read()
        self.assertRefused(answer, 401, "missing_key")
        self.assertEqual(answer.interim, [])

    def test_head(self):
        c = self.connect()
        who = credentials(tier="staff")
        c.ask("GET", "/v1/models", None, who)
        whole = c.read("GET")
        c.ask("HEAD", "/v1/models", None, who)
        answer = c.read("HEAD")
        self.assertEqual((answer.status, answer.get("content-length")),
                         (200, str(len(whole.body))))
        c.ask("HEAD", "/nowhere", None, who)
        self.assertEqual(c.read("HEAD").status, 404)
        c.send(ask())
        self.assertAdmitted(c.read())

    def test_absolute_form(self):
        c = self.connect()
        c.ask("GET", "http://gateway.test/v1/models", None, credentials(tier="staff"))
        self.assertEqual(c.read("GET").status, 200)

    def test_interim_answers_of_a_backend(self):
        self.sim_.set(interim_next=1)
        c = self.connect()
        c.send(ask())
        self.assertAdmitted(c.read())

    def test_half_closed_client_is_answered(self):
        self.sim_.set(seconds_per_image=0.2)
        c = self.connect()
        c.send(ask())
        c.half_close()
        self.assertAdmitted(c.read())
        self.assertTrue(c.is_closed())

    def test_large_answers(self):
        def one(_):
            return self.gate.generate(tier="staff", size="2000x1500").images()[0][:8]
        self.assertEqual(together(4, one), [b"\x89PNG\r\n\x1a\n"] * 4)


class Fields(Shared):
    def fetch(self, *fields):
        answer = self.gate.fetch("POST", PATH, ASK, credentials(tier="staff") + list(fields))
        self.assertEqual(answer.status, 200, answer)
        return answer

    def seen(self, name):
        return [value for key, value in self.sim_.last_fields() if key == name]

    def test_hop_by_hop_of_requests(self):
        c = self.connect()
        c.send(ask(fields=[("Connection", "keep-alive, X-Mine"), ("X-Mine", "1"), ("X-Yours", "2"),
                           ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
                           ("TE", "trailers"), ("Proxy-Authorization", "Basic eDp5")]))
        self.assertEqual(c.read().status, 200)
        names = [name for name, _ in self.sim_.last_fields()]
        for name in ("x-mine", "keep-alive", "proxy-connection", "te", "proxy-authorization"):
            self.assertNotIn(name, names)
        self.assertEqual(self.seen("x-yours"), ["2"])

    def test_hop_by_hop_of_answers(self):
        self.sim_.set(hop_fields=True)
        answer = self.fetch()
        self.assertIsNone(answer.get("x-sim-hop"))
        self.assertIsNone(answer.get("keep-alive"))
        self.assertNotIn("x-sim-hop", (answer.get("connection") or "").lower())
        self.assertEqual(answer.get("content-type"), "application/json")

    def test_request_id(self):
        self.assertEqual(self.fetch(("X-Request-Id", "mine-1")).get("x-request-id"), "mine-1")
        self.assertEqual(self.seen("x-request-id"), ["mine-1"])
        made = [self.fetch().get("x-request-id") for _ in range(2)]
        self.assertTrue(all(made) and made[0] != made[1], made)
        self.assertEqual(self.seen("x-request-id"), made[1:])

    def test_request_id_that_is_no_token(self):
        answer = self.fetch(("X-Request-Id", 'x" y=' + "z" * 200))
        self.assertRegex(answer.get("x-request-id"), r"^[\w.:-]{8,128}$")
        self.assertEqual(self.seen("x-request-id"), [answer.get("x-request-id")])

    def test_traceparent(self):
        trace = "0af7651916cd43dd8448eb211c80319c"
        self.fetch(("traceparent", f"00-{trace}-b7ad6b7169203331-01"))
        self.assertRegex(self.seen("traceparent")[0], rf"^00-{trace}-[0-9a-f]{{16}}-01$")
        self.fetch()
        self.assertRegex(self.seen("traceparent")[0], r"^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
        self.fetch(("traceparent", f"00-{'0' * 32}-b7ad6b7169203331-01"))
        self.assertRegex(self.seen("traceparent")[0], r"^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")

    def test_forwarded(self):
        self.fetch(("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"))
        chain = ", ".join(self.seen("x-forwarded-for"))
        self.assertTrue(chain.endswith("127.0.0.1"), chain)
        self.assertRegex(", ".join(self.seen("forwarded")), r'for="?127\.0\.0\.1"?(;[^,]*)?$')

    def test_host_is_the_backends(self):
        self.fetch()
        self.assertEqual(self.seen("host"), [f"127.0.0.1:{self.sim_.port}"])


class Limits(Shared):
    settings = {"limits": {"target": "1KiB", "head": "4KiB", "body": "64KiB", "spool_above": "16KiB"}}

    def refused(self, data, *statuses):
        before = self.sim_.requests
        c = self.connect()
        c.send(data)
        answer = c.read()
        self.assertIn(answer.status, statuses, answer)
        self.assertTrue(answer.why, answer)
        self.assertEqual(self.sim_.requests, before)
        return answer, c

    def test_target_too_long(self):
        self.refused(request("GET", "/" + "x" * 2000, None, credentials()), 414)

    def test_head_too_large(self):
        self.refused(request("GET", "/v1/models", None, [("X-Long", "x" * 5000)]), 431)

    def test_too_many_fields(self):
        self.refused(request("GET", "/v1/models", None, [(f"X{i}", "1") for i in range(150)]), 431)

    def test_body_too_large(self):
        self.refused(request("POST", PATH, None, credentials() + [("Content-Length", "70000")]), 413)

    def test_chunked_body_too_large(self):
        head = request("POST", PATH, None, credentials() + [("Transfer-Encoding", "chunked")])
        self.refused(head + b"12000\r\n" + b" " * 0x12000, 413)

    def test_body_at_the_limit(self):
        """A spooled one, too: the backend gets every byte."""
        for size in (1000, 16 * 1024 + 1, 64 * 1024):
            body = '{"size":"16x16","prompt":"' + "x" * (size - 28) + '"}'
            fields = credentials(tier="staff") + [("Content-Type", "application/json")]
            answer = self.gate.fetch("POST", PATH, body, fields)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.sim_.state()["last"]["body_bytes"], len(body))

    def test_no_length(self):
        self.refused(request("POST", PATH, None, credentials()), 411, 400)

    def test_not_implemented(self):
        who = credentials()
        self.refused(request("CONNECT", "gateway.test:443", None, who), 501)
        self.refused(request("TRACE", "/v1/models", None, who), 501)
        self.refused(request("POST", PATH, None, who + [("Transfer-Encoding", "gzip, chunked")]), 501)

    def test_other_versions(self):
        self.refused(b"GET /v1/models HTTP/3.7\r\nHost: x\r\n\r\n", 505, 400)
        self.refused(b"GET /v1/models\r\n\r\n", 505, 400)         # HTTP/0.9

    def test_malformed(self):
        """Each is refused with 400, and the connection is not used again."""
        for case in (
                b"GET /v1/models HTTP/1.1\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nName : 1\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: \x001\r\n\r\n",
                b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n",
                b"GET  /v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
                b"G\x01T /v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n",
        ):
            with self.subTest(case=case):
                _, c = self.refused(case, 400)
                self.assertTrue(c.is_closed())


class Smuggling(Shared):
    """Two readings of one message must never arise: each of these is refused, and nothing behind it is served."""

    def smuggle(self, head_fields, body):
        before = self.sim_.requests
        hidden = request("POST", PATH, ASK, credentials(tier="staff"))
        c = self.connect(5)
        lines = [f"POST {PATH} HTTP/1.1", "Host: gateway.test"]
        lines += [f"{name}: {value}" for name, value in credentials(tier="staff")]
        c.send("\r\n".join(lines).encode() + b"\r\n" + head_fields + b"\r\n\r\n" + body + hidden)
        answer = c.read()
        self.assertIn(answer.status, (400, 501), answer)
        self.assertTrue(c.is_closed())
        self.assertEqual(self.sim_.requests, before)

    def test_framing(self):
        for fields, body in (
                (b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
                (b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"0\r\n\r\n"),
                (b"Content-Length: 4\r\nContent-Length: 5", b"{}  "),
                (b"Content-Length: 4, 5", b"{}  "),
                (b"Content-Length: +4", b"{}  "),
                (b"Content-Length: -4", b"{}  "),
                (b"Content-Length: 0x4", b"{}  "),
                (b"Content-Length: 4 4", b"{}  "),
                (b"Content-Length: 99999999999999999999999", b"{}  "),
                (b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
                (b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
                (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
                (b"Transfer-Encoding : chunked", b"0\r\n\r\n"),
                (b"Transfer-Encoding:\x0bchunked", b"0\r\n\r\n"),
                (b"X: 1\r\n Transfer-Encoding: chunked", b"0\r\n\r\n"),
                (b"Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n"),
                (b"Transfer-Encoding: chunked", b"-1\r\n\r\n"),
                (b"Transfer-Encoding: chunked", b"0x4\r\n{}  \r\n0\r\n\r\n"),
                (b"Transfer-Encoding: chunked", b"4\r\n{}  X\r\n0\r\n\r\n"),
                (b"Transfer-Encoding: chunked", b"4\n{}  \r\n0\r\n\r\n"),
                (b"Transfer-Encoding: chunked", b" 4\r\n{}  \r\n0\r\n\r\n"),
        ):
            with self.subTest(fields=fields, body=body):
                self.smuggle(fields, body)


class Time(Shared):
    settings = {"timeouts": {"head": "300ms", "body": "300ms", "keep_alive": "400ms",
                             "answer": "500ms", "answer_idle": "500ms"}}

    def test_slow_head(self):
        c = self.connect()
        c.send("GET /v1/models HTTP/1.1\r\n")
        answer = c.read()
        self.assertRefused(answer, 408, "head_timeout")
        self.assertTrue(c.is_closed())

    def test_slow_head_that_drips(self):
        """The time is for all of the head, not from byte to byte."""
        c = self.connect()
        c.send("GET /v1/models HTTP/1.1\r\nX: ")
        began = time.monotonic()
        try:
            while time.monotonic() - began < 3:
                c.send("x")
                time.sleep(0.05)
        except OSError:
            pass
        self.assertLess(time.monotonic() - began, 2.5)

    def test_slow_body(self):
        c = self.connect()
        c.send(request("POST", PATH, None, credentials() + [("Content-Length", "100")]) + b"{")
        answer = c.read()
        self.assertRefused(answer, 408, "body_timeout")
        self.assertTrue(c.is_closed())

    def test_idle(self):
        c = self.connect()
        c.send(ask())
        self.assertEqual(c.read().status, 200)
        self.assertTrue(c.is_closed(3))

    def test_silent_from_the_start(self):
        self.assertTrue(self.connect().is_closed(3))

    def test_backend_that_never_answers(self):
        self.sim_.set(hang_next=1)
        self.assertRefused(self.gate.generate(tier="staff"), 504, "backend_timeout")

    def test_backend_that_stops_in_mid_answer(self):
        """The head is out already: the client must see that the rest is missing."""
        for chunked in (False, True):
            self.sim_.set(stall_next=1, chunked=chunked)
            with self.assertRaises((Broken, ConnectionResetError)):
                self.gate.generate(tier="staff", size="900x900")


class BrokenAnswers(Shared):
    settings = {"health": {"eject_after": 1000}}

    def test_garbage(self):
        self.sim_.set(garbage_next=1)
        self.assertRefused(self.gate.generate(tier="staff"), 502, "backend_invalid")

    def test_no_answer(self):
        self.sim_.set(drop_next=1)
        self.assertRefused(self.gate.generate(tier="staff"), 502, "backend_lost")

    def test_cut_in_mid_body(self):
        """A body that broke off never looks whole: neither by its length nor by its last chunk."""
        for chunked in (False, True):
            for fault in ("reset_next", "short_next"):
                with self.subTest(chunked=chunked, fault=fault):
                    self.sim_.set(chunked=chunked, **{fault: 1})
                    with self.assertRaises((Broken, ConnectionResetError)):
                        self.gate.generate(tier="staff", size="900x900")
                    self.assertAdmitted(self.gate.generate(tier="staff"))

    def test_close_after_an_answer(self):
        for _ in range(3):
            self.sim_.set(close_next=1)
            self.assertAdmitted(self.gate.generate(tier="staff"))


class Pressure(Shared):
    settings = {"timeouts": {"write": "1s"}, "workers": 1}
    sim_options = {"image_bytes": 24 << 20}

    def memory(self):
        with open(f"/proc/{self.gate.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def test_clients_that_do_not_read(self):
        """The gateway holds back the backend rather than the answer in its memory, and drops them in the end."""
        self.gate.generate(tier="staff")
        before = self.memory()
        slow = [self.connect() for _ in range(4)]
        for c in slow:
            c.send(ask())
        time.sleep(0.6)
        self.assertLess(self.memory() - before, 24 << 20)
        time.sleep(1.2)
        for c in slow:
            with self.assertRaises((Broken, ConnectionResetError)):
                c.read()

    def test_a_slow_reader_gets_it_all(self):
        direct = Connection(self.sim_.address)
        self.addCleanup(direct.close)
        direct.send(ask())
        c = self.connect()
        c.send(ask())
        time.sleep(0.5)
        image = c.read().images()[0]
        self.assertEqual(len(image), 24 << 20)
        self.assertTrue(image == direct.read().images()[0], "it is another one than the backend's")

    def test_many_at_once(self):
        answers = together(4, lambda _: len(self.gate.generate(tier="staff").images()[0]))
        self.assertEqual(answers, [24 << 20] * 4)


class Leavers(Shared):
    def test_clients_that_leave_leave_nothing(self):
        """Connections that end in every state are forgotten."""
        whole = ask()
        for cut in (0, 1, 40, len(whole) - 5, len(whole)):
            for ending in ("close", "reset", "half_close"):
                c = Connection(self.gate.address)
                c.send(whole[:cut])
                getattr(c, ending)()
                c.close()
        until(lambda: self.gate.metrics()["meltguard_connections"] == 0, 10)
        until(lambda: self.gate.metrics()["meltguard_requests_in_progress"] == 0, 10)
        self.assertAdmitted(self.gate.generate(fresh(), "staff"))
