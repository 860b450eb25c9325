# SPDX-License-Identifier: Apache-2.0
"""Clients that ask, wait, and leave at random moments; what they read is what the model believes."""
import base64
import random
import re
import threading
import time

from model import PRICES, TIERS, Account, Ask
from wire import Connection, request

PATH = "/v1/images/generations"
STUCK_S = 40
# An account that was refused so often gives way to a new one.
PATIENCE = 25
IMAGE = re.compile(rb'"b64_json":"([^"]*)"')
# Each client's habits: (part of its asks, what it does).
HABITS = ((0.72, "patient"), (0.82, "leaves at once"), (0.92, "leaves"), (1, "leaves in mid-answer"))


class Reading:
    """An answer as far as it came."""

    def __init__(self, raw):
        self.status, self.fields, self.is_whole, self.images = None, {}, False, 0
        head, end, rest = raw.partition(b"\r\n\r\n")
        while end and head.split(b" ", 2)[1:2] and head.split(b" ", 2)[1][:1] == b"1":
            head, end, rest = rest.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ", 2)[1])
        self.fields = {name.lower(): value.strip() for name, _, value in
                       (line.partition(":") for line in lines[1:])}
        self._read_body(rest)

    def _read_body(self, rest):
        if self.fields.get("transfer-encoding", "").lower() == "chunked":
            body, self.is_whole = dechunked(rest)
        else:
            body = rest
            self.is_whole = len(rest) >= int(self.fields.get("content-length", 1 << 60))
        if self.status == 200:
            is_stream = self.fields.get("content-type", "").startswith("text/event-stream")
            self.images = count_events(body) if is_stream else count_images(body)


def dechunked(raw):
    """(content, whether its end came)"""
    parts, at = [], 0
    while True:
        line = raw.find(b"\r\n", at)
        if line < 0:
            return b"".join(parts), False
        size = int(raw[at:line].split(b";")[0] or b"0", 16)
        if size == 0:
            return b"".join(parts), raw.endswith(b"\r\n\r\n")
        parts.append(raw[line + 2:line + 2 + size])
        at = line + 4 + size


def is_picture(encoded):
    picture = base64.b64decode(encoded)
    return picture[:8] == b"\x89PNG\r\n\x1a\n" and picture[-8:-4] == b"IEND"


def count_images(body):
    """Those that are whole."""
    return sum(is_picture(match[1]) for match in IMAGE.finditer(body))


def count_events(body):
    return sum(count_images(event) for event in body.split(b"\n\n")[:-1]
               if event.startswith(b"event: image_generation.completed"))


class Crowd:
    """The accounts that ask at present: new ones come when others are out of quota, and old ones try again."""

    ACTIVE = 14

    def __init__(self, model, rng, keys):
        self.model, self.rng, self.keys = model, rng, keys
        self.lock = threading.Lock()
        self.tiers = tuple(TIERS)
        self.active = [self._new() for _ in range(self.ACTIVE)]

    def _new(self):
        tier = self.rng.choice(self.tiers)
        if tier == "free":
            name = f"bearer-{self.rng.getrandbits(64):016x}"
            return self.model.add(Account(name, tier, [("Authorization", f"Bearer {name}")]))
        if not self.keys[tier]:
            return self.rng.choice(self.model.accounts)
        key, name, team = self.keys[tier].pop(0)
        return self.model.add(Account(name, tier, [("Authorization", f"Bearer {key}")], team))

    def pick(self, rng):
        with self.lock:
            if rng.random() < 0.06:
                return rng.choice(self.model.accounts)
            i = rng.randrange(len(self.active))
            if self.active[i].refusals >= PATIENCE:
                self.active[i] = self._new()
            return self.active[i]


class Client(threading.Thread):
    """Asks until it is told to stop."""

    def __init__(self, number, seed, model, crowd, gates):
        super().__init__(daemon=True, name=f"c{number}")
        self.number, self.model, self.crowd, self.gates = number, model, crowd, gates
        self.rng = random.Random(f"{seed}/{number}")
        self.is_over = threading.Event()
        self.asked = 0

    def run(self):
        while not self.is_over.is_set():
            account = self.crowd.pick(self.rng)
            roll = self.rng.random()
            ask = self.ask(account, next(word for part, word in HABITS if roll < part))
            if ask.word in ("429", "503", "not connected"):
                self.is_over.wait(0.1)
            self.is_over.wait(self.rng.random() ** 3 * 0.12)

    def _gate(self):
        """Mostly one that answers, as a load balancer would choose."""
        gate = self.rng.choice(self.gates)
        well = [gate for gate in self.gates if not gate.is_away]
        return self.rng.choice(well) if well and gate.is_away and self.rng.random() < 0.9 else gate

    def ask(self, account, habit="patient", images=None, size=None, gate=None):
        rng = self.rng
        gate = gate or self._gate()
        images = images or rng.choice((1, 1, 1, 2, 2, 3, 4))
        ask = Ask(account, images, size or rng.choice(tuple(PRICES)), gate.name, self.model.clock())
        self.asked += 1
        ask.id = f"r{self.number}-{self.asked}"
        account.asks.append(ask)
        body = {"prompt": "torture", "size": ask.size, "n": ask.images, "stream": rng.random() < 0.25}
        try:
            self._exchange(ask, gate, body, habit)
        except Exception as error:  # an answer that nobody should ever get
            self.model.problem(account, f"{ask.id}: {error!r}")
        ask.ended = self.model.clock()
        if ask.word.startswith("429"):
            account.refusals += 1
        return ask

    def _exchange(self, ask, gate, body, habit):
        ask_bytes = request("POST", PATH, body, ask.account.fields + [
            ("X-Request-Id", ask.id), ("Connection", "close")])
        try:
            connection = Connection(gate.address, STUCK_S)
        except OSError:
            ask.word, ask.most = "not connected", 0
            return
        with connection:
            try:
                connection.send(ask_bytes)
            except OSError:
                ask.word = "broke while asking"
                return
            self._judge(ask, *self._read(connection, habit))

    def _read(self, connection, habit):
        """(bytes, how it ended)"""
        leave_bytes = self.rng.randrange(1, 6000) if habit == "leaves in mid-answer" else 1 << 60
        leave_at = time.monotonic() + {"leaves at once": 0, "leaves": self.rng.random() ** 2}.get(habit, STUCK_S)
        raw = b""
        while len(raw) < leave_bytes:
            left = leave_at - time.monotonic()
            if left <= 0:
                break
            connection.socket.settimeout(left)
            try:
                data = connection.socket.recv(min(65536, leave_bytes))
            except TimeoutError:
                break
            except OSError:
                return raw, "broke"
            if not data:
                return raw, "ended"
            raw += data
        if self.rng.random() < 0.5:
            connection.reset()
        return raw, "stuck" if habit == "patient" else "left"

    def _judge(self, ask, raw, ending):
        answer = Reading(raw)
        ask.seen = ask.least = answer.images
        ask.fields = answer.fields.get("ratelimit", "") + answer.fields.get("x-meltguard-reason", "")
        if ending == "stuck":
            self.model.problem(ask.account, f"{ask.id}: no end of an answer in {STUCK_S} s")
        ask.is_told = answer.is_whole
        if answer.is_whole and answer.status == 200:
            ask.word, ask.most = "whole", answer.images
        elif answer.is_whole:
            ask.word, ask.most = str(answer.status), 0
        elif answer.status == 200:
            ask.word = f"{ending} in mid-answer"
        elif answer.status:
            ask.word, ask.most = f"{ending} in an answer of {answer.status}", 0
        else:
            ask.word = f"{ending} without an answer"
        if answer.images > ask.images:
            self.model.problem(ask.account, f"{ask.id}: {answer.images} images for {ask.images}")
        reset = re.search(r'"daily";r=\d+;t=(\d+)', ask.fields)
        ask.reset = int(reset[1]) if reset else None
