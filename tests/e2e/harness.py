# SPDX-License-Identifier: Apache-2.0
"""Real programs for end-to-end tests and the demo: meltguard, simgpu and redis-server, on free ports, each ended by its
process id when its owner is done, whatever happens.  MELTGUARD_BUILD names the folder of the programs (build), MELTGUARD
the gateway (the one in that folder)."""
import ctypes
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import wire

BUILD = os.path.abspath(os.environ.get("MELTGUARD_BUILD", "build"))
MELTGUARD = os.path.abspath(os.environ.get("MELTGUARD", os.path.join(BUILD, "meltguard")))
# A sanitizer's report, or an ASSERT that did not hold.
REPORTS = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|LeakSanitizer"
                     r"|assert_failed|assertion failed", re.IGNORECASE)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_serial = itertools.count(1)


class Failure(Exception):
    """A program did not do what every program must."""


def fresh(word="account"):
    """A name that nobody else in this run has."""
    return f"{word}-{os.getpid()}-{next(_serial)}"


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(claim, timeout=10, every=0.02, what="it did not come true"):
    """Waits for claim() to be true, and gives its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = claim()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(what() if callable(what) else what)
        time.sleep(every)


def together(count, call):
    """Runs call(i) in so many threads that start at once; gives the results in order."""
    results, gate = [None] * count, threading.Barrier(count)

    def run(i):
        gate.wait()
        try:
            results[i] = call(i)
        except Exception as error:  # handed to the caller, who checks what came back
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A started program, what it said, and its end.  In a session of its own: a Ctrl-C is for us, not for it."""

    def __init__(self, *command, name=None, env=None, cwd=None):
        self.name = name or os.path.basename(command[0])
        self.lines = []
        self._told = threading.Condition()
        self._was_killed = False
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=_die_with_parent, start_new_session=True, cwd=cwd,
            env={**os.environ, **(env or {})})
        self._readers = [threading.Thread(target=self._read, args=(pipe,), daemon=True)
                         for pipe in (self.process.stdout, self.process.stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe):
        for line in pipe:
            with self._told:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._told.notify_all()
        pipe.close()

    @property
    def output(self):
        with self._told:
            return "\n".join(self.lines)

    @property
    def is_running(self):
        return self.process.poll() is None

    def wait_line(self, pattern, timeout=30):
        """The match of the first line, past or to come, that has the pattern."""
        deadline = time.monotonic() + timeout
        with self._told:
            seen = 0
            while True:
                for line in self.lines[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (not self.is_running and not any(
                        reader.is_alive() for reader in self._readers)):
                    break
                self._told.wait(min(left, 0.1))
        raise Failure(f"{self.name} never said /{pattern}/:\n{self.output}")

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=30):
        """Its exit status, once it has ended by itself."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end in {timeout} s:\n{self.output[-3000:]}") from None
        for reader in self._readers:
            reader.join(5)
        return status

    def kill9(self):
        self._was_killed = True
        if self.is_running:
            self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM, timeout=20):
        """Ends it, and fails if it did not end well."""
        problem = None
        if self.is_running:
            self.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                problem = f"{self.name} did not end in {timeout} s"
                self.kill9()
        for reader in self._readers:
            reader.join(5)
        if REPORTS.search(self.output):
            problem = f"{self.name} reports a bug"
        elif not self._was_killed and self.process.returncode != 0 and not problem:
            problem = f"{self.name} ended with {self.process.returncode}"
        if problem:
            raise Failure(f"{problem}:\n{self.output[-6000:]}")


class SimGpu(Program):
    """A simulated backend.  Options as of its command line: SimGpu(slots=2, seconds_per_image=0.1)."""

    def __init__(self, port=0, **options):
        settings = {"seconds_per_image": 0, "heat": 0, "slots": 4, **options}
        words = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        super().__init__(os.path.join(BUILD, "simgpu"), f"--listen=127.0.0.1:{port}", *words)
        match = self.wait_line(r"^simgpu: listening on 127\.0\.0\.1:(\d+)$")
        self.port = int(match[1])
        self.address = ("127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def set(self, **controls):
        """Test controls, as of POST /sim; gives the state after them."""
        answer = wire.fetch(self.address, "POST", "/sim", controls)
        if answer.status != 200:
            raise Failure(f"simgpu refused {controls}: {answer}")
        return answer.json()

    def state(self):
        return wire.fetch(self.address, "GET", "/sim").json()

    @property
    def requests(self):
        return self.state()["requests"]

    def last_fields(self):
        """The fields of the last request it saw: [(lower-case name, value)]."""
        return [(name.lower(), value) for name, value in self.state()["last"]["fields"]]


class Redis(Program):
    """A real redis-server without persistence, on TCP and on a Unix socket."""

    def __init__(self, port=0, folder=None, *options):
        self.folder = folder or tempfile.mkdtemp(prefix="meltguard-redis-")
        self._owns_folder = folder is None
        self.port = port or free_port()
        self.address = ("127.0.0.1", self.port)
        self.socket_path = os.path.join(self.folder, "redis.sock")
        super().__init__("redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                         "--unixsocket", self.socket_path, "--save", "", "--appendonly", "no",
                         "--dir", self.folder, "--daemonize", "no", *options)
        self.wait_line(r"Ready to accept connections")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self):
        return f"redis+unix://{self.socket_path}"

    def command(self, *words):
        return wire.resp(self.address, *words)

    def stop(self, number=signal.SIGTERM, timeout=20):
        try:
            super().stop(number, timeout)
        finally:
            if self._owns_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


# A zone where it is about noon, so that no test runs into a midnight: "Etc/GMT-9" is nine hours ahead of UTC.
def midday_zone():
    ahead = 12 - time.gmtime().tm_hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def policy(**changes):
    """The policy of most tests; tiers=... and other keys replace whole parts."""
    whole = {
        "timezone": midday_zone(),
        "tiers": {
            "free": {"images": {"per_day": 3}, "priority": 0, "max_images_per_request": 4,
                     "max_wait": "0s"},
            "plus": {"images": {"per_day": 200}, "priority": 1, "max_images_per_request": 4,
                     "max_wait": "30s"},
            "staff": {"images": "unlimited", "priority": 2},
        },
        "shed": {
            "gpu_temperature": [{"above": 80, "resume_below": 76, "tiers": ["free"]},
                                {"above": 86, "resume_below": 80, "tiers": "all"}],
            "queue_depth": [{"above": 32, "resume_below": 24, "tiers": ["free"]},
                            {"above": 128, "resume_below": 96, "tiers": "all"}],
        },
        "unavailable_message": {"en": "image generation unavailable",
                                "ko": "지금은 이미지 생성을 사용할 수 없습니다"},
    }
    whole.update(changes)
    return whole


def sha256(key):
    return hashlib.sha256(key.encode()).hexdigest()


def backend(sim, name=None, telemetry=True, **changes):
    """A backend of the configuration that is this simulated one."""
    whole = {"name": name or f"gpu{sim.port}", "url": sim.url, "dialect": "openai",
             "max_in_flight": 4}
    if telemetry:
        whole["telemetry"] = [{"prometheus": sim.url + "/metrics", "interval": "100ms"}]
    whole.update(changes)
    return whole


class Gateway(Program):
    """meltguard with a configuration of its own, in a temporary folder.

    backends: SimGpus, or mappings of the configuration.  policy: the whole policy.  keys: {key: (account, tier)}.
    Other keywords replace keys of the configuration; None takes one away."""

    def __init__(self, backends=(), policy=None, keys=None, wait=True, folder=None, program_env=None,
                 **changes):
        self._owns_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="meltguard-")
        self.config_path = os.path.join(self.folder, "meltguard.yaml")
        self.access_path = os.path.join(self.folder, "access.log")
        self.env = program_env
        if backends or not os.path.exists(self.config_path):
            self.write_policy(policy or globals()["policy"]())
            self.write_accounts(keys or {})
            self.write("meltguard.yaml", self._config(backends, changes))
        self.start(wait)

    def start(self, wait=True):
        super().__init__(MELTGUARD, "--config", self.config_path, env=self.env)
        self.address = self._listening("listening")
        self.admin = self._listening("admin_listening")
        if wait:
            until(self.is_ready, 30, what=lambda: f"never ready:\n{self.output[-3000:]}")

    def restart(self, wait=True):
        """The same configuration and store, in a new process; the old one must have ended."""
        if self.is_running:
            self.stop_process()
        self.start(wait)

    def _listening(self, event):
        match = self.wait_line(rf"(?<![a-z_]){event} address=127\.0\.0\.1:(\d+)")
        return ("127.0.0.1", int(match[1]))

    def _config(self, backends, changes):
        config = {
            "listen": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "workers": 2,
            "quota_store": f"embedded://{self.folder}/store",
            "identity": [
                {"keyfile": "accounts.yaml"},
                {"header": {"account": "X-Account-Id", "tier": "X-Account-Tier",
                            "trust": ["127.0.0.0/8"]}},
            ],
            "policies": "policy.yaml",
            "backends": [backend(item) if isinstance(item, SimGpu) else item for item in backends],
            "pass": ["GET /v1/models"],
            "log": {"access": self.access_path, "format": "json"},
        }
        config.update(changes)
        # A machine that is busy with other tests keeps Redis waiting; those that test its deadline say so.
        config["quota"] = {"timeout": "2s", "outbox": f"{self.folder}/outbox",
                           "local_dir": f"{self.folder}/local", **(config.get("quota") or {})}
        return {key: value for key, value in config.items() if value is not None}

    def write(self, name, content):
        """A file of the folder; mappings are written as JSON, which is YAML too."""
        path = os.path.join(self.folder, name)
        if not isinstance(content, str):
            content = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(path + ".new", path)
        return path

    def write_policy(self, content):
        self.write("policy.yaml", content)

    def write_accounts(self, keys):
        self.write("accounts.yaml", {"keys": [
            {"sha256": sha256(key), "account": account, "tier": tier}
            for key, (account, tier) in (keys or {"nobody's key": ("nobody", "free")}).items()]})

    def is_ready(self):
        if not self.is_running:
            raise Failure(f"{self.name} ended with {self.process.returncode}:\n{self.output}")
        try:
            return wire.fetch(self.admin, "GET", "/readyz", timeout=5).status == 200
        except OSError:
            return False

    def fetch(self, method, path, body=None, fields=(), timeout=30):
        return wire.fetch(self.address, method, path, body, fields, timeout)

    def generate(self, account=None, tier="free", fields=(), timeout=30, **body):
        """Asks for images: n=2, size=..., stream=... as of the API."""
        ask = {"prompt": "a lighthouse at dusk", "size": "64x64", **body}
        return self.fetch("POST", "/v1/images/generations", ask,
                          credentials(account, tier) + list(dict(fields).items()), timeout)

    def metrics(self):
        """{series as written: value}"""
        answer = wire.fetch(self.admin, "GET", "/metrics")
        if answer.status != 200:
            raise Failure(f"/metrics: {answer}")
        lines = (line for line in answer.body.decode().split("\n") if line and line[0] != "#")
        return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}

    def access_log(self):
        """The lines of the access log, parsed."""
        if not os.path.exists(self.access_path):
            return []
        with open(self.access_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def logged(self, count, timeout=5):
        """The access log, once it has so many lines."""
        until(lambda: len(self.access_log()) >= count, timeout,
              what=lambda: f"expected {count} lines: {self.access_log()}")
        return self.access_log()

    def logged_as(self, request_id, timeout=5):
        """The access log's line of one request; lines of several workers come in no order."""
        found = []

        def look():
            found[:] = [line for line in self.access_log() if line.get("req") == request_id]
            return found
        until(look, timeout, what=f"no line of {request_id}")
        return found[0]

    def kept_bytes(self):
        """What is still to be charged in Redis, by all workers."""
        return sum(entry.stat().st_size for entry in os.scandir(f"{self.folder}/outbox"))

    def temperature(self, name):
        """What the gateway believes of a backend's GPU; None: it does not know."""
        return self.metrics().get(f'meltguard_backend_gpu_temperature_celsius{{backend="{name}"}}')

    def sees_temperature(self, name, celsius, timeout=10):
        """Waits until the gateway has read that temperature."""
        until(lambda: self.temperature(name) is not None and
              abs(self.temperature(name) - celsius) < 0.5, timeout,
              what=lambda: f"{name} never read as {celsius}: {self.temperature(name)}")

    def stop_process(self, number=signal.SIGTERM, timeout=20):
        super().stop(number, timeout)

    def stop(self, number=signal.SIGTERM, timeout=20):
        try:
            super().stop(number, timeout)
        finally:
            if self._owns_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


def credentials(account=None, tier="free"):
    """The fields by which a trusted proxy names the account."""
    return [("X-Account-Id", account or fresh()), ("X-Account-Tier", tier)]


class Case(unittest.TestCase):
    """A test with programs that end with it; setUpClass may start some for all of its tests."""

    def _started(self, program):
        self.addCleanup(program.stop)
        return program

    def sim(self, **options):
        return self._started(SimGpu(**options))

    def redis(self, *args, **options):
        return self._started(Redis(*args, **options))

    def gateway(self, backends=(), **options):
        return self._started(Gateway(backends, **options))

    @classmethod
    def shared(cls, program):
        cls.addClassCleanup(program.stop)
        return program

    def assertRefused(self, answer, status, reason, message=None):
        self.assertEqual((answer.status, answer.why), (status, reason), message or answer)

    def assertAdmitted(self, answer, images=1):
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(len(answer.json()["data"]), images)
