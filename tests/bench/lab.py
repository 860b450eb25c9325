# SPDX-License-Identifier: Apache-2.0
"""Where a benchmark takes place: cores, programs on them, what they use, and the load.

The system under test has one core for itself; the load, the backend and Redis share the other.  CPU time is the kernel's
own account of each task in nanoseconds, summed over the tree of processes."""
import contextlib
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import harness  # noqa: E402  (found by the line above)

LOAD = os.path.join(harness.BUILD, "load")
_CORES = sorted(os.sched_getaffinity(0))
TEST_CORE = {_CORES[0]}
LOAD_CORE = {_CORES[-1]}
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if DESCRIPTORS == resource.RLIM_INFINITY or DESCRIPTORS > 65536:
    DESCRIPTORS = 65536
# A gateway may need two descriptors for each connection of a client.
MAX_CONNECTIONS = min(10500, (DESCRIPTORS - 1000) // 2)


@contextlib.contextmanager
def on(cores):
    """What is started within runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def awake():
    """Idle cores are not stopped meanwhile, where this user may ask that of the kernel (PM QoS); gives whether.

    A virtual machine's core that stops is the host's again: whoever wakes it, and who is woken, then each pay 15 µs of CPU
    time and more, where the kernel alone takes 2 to 3."""
    try:
        latency = open("/dev/cpu_dma_latency", "wb", buffering=0)
    except OSError:
        yield False
        return
    with latency:
        latency.write(struct.pack("i", 0))
        yield True


# --- what a process uses ---------------------------------------------------------------------------------------------------

def _parents():
    """{process: its parent}"""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8") as file:
                found[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
    return found


def tree(root):
    """The process and all that it started."""
    parents, found = _parents(), [root]
    for process in found:
        found.extend(child for child, parent in parents.items() if parent == process)
    return found


def cpu_ns(process):
    """User and system time of all its threads so far."""
    total = 0
    folder = f"/proc/{process}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total


def tree_cpu_ns(root):
    return sum(cpu_ns(process) for process in tree(root))


def tree_sleeps(root):
    """How often a thread of these processes had nothing to do, so far."""
    total = 0
    for process in tree(root):
        for task in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{task}/status", encoding="utf-8") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def core_busy_ns(cores):
    """Time that these cores have spent on anything, so far; to 10 ms."""
    with open("/proc/stat", encoding="utf-8") as file:
        lines = [line.split() for line in file if line.startswith("cpu")]
    ticks = sum(sum(int(part) for part in (*line[1:4], *line[6:9])) for line in lines
                if line[0][3:].isdigit() and int(line[0][3:]) in cores)
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def congestion_control():
    """Of TCP.  With "bbr" the kernel paces by timers what a program sends, over the loopback, too, where it was not told otherwise."""
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="utf-8") as file:
        return file.read().strip()


def rss_bytes(process):
    with open(f"/proc/{process}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def tree_rss_bytes(root):
    return sum(rss_bytes(process) for process in tree(root))


# --- the load --------------------------------------------------------------------------------------------------------------

def _load_command(address, options):
    command = [LOAD, "--to", f"{address[0]}:{address[1]}"]
    for key, value in options.items():
        word = "--" + key.replace("_", "-")
        if value is True:
            command.append(word)
        elif isinstance(value, list):
            command.extend(part for item in value for part in (word, item))
        elif value is not None:
            command.extend((word, str(value)))
    return command


def load(address, **options):
    """Runs the load to its end; gives what it counted.  Options as of its command line."""
    with on(LOAD_CORE):
        done = subprocess.run(_load_command(address, options), capture_output=True, check=False, timeout=900)
    if done.returncode != 0:
        raise harness.Failure(f"load: {done.stderr.decode()}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def staying_load(address, **options):
    """The load with its connections kept open while the block runs; gives what it counted."""
    with on(LOAD_CORE):
        process = subprocess.Popen(_load_command(address, {**options, "stay": True}),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        line = process.stdout.readline()
        if not line:
            raise harness.Failure(f"load: {process.stderr.read().decode()}")
        yield json.loads(line)
    finally:
        process.communicate(timeout=30)


# --- the lab ---------------------------------------------------------------------------------------------------------------

class Lab:
    """The programs of one scenario; ends them all, the newest first."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        base = os.path.join(harness.BUILD, "bench")
        os.makedirs(base, exist_ok=True)
        # On the disk of the build, not in a /tmp that may be memory: the embedded store syncs to it.
        self.folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=base))
        self._redis = None
        self.backend = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return self._stack.__exit__(*exc)

    def start(self, program):
        self._stack.callback(program.stop)
        return program

    def start_backend(self, image_bytes):
        """The backend of all systems: answers that are made once, sent at no cost."""
        with on(LOAD_CORE):
            self.backend = self.start(harness.SimGpu(image_bytes=image_bytes, slots=16))
        return self.backend

    @property
    def redis(self):
        if not self._redis:
            with on(LOAD_CORE):
                self._redis = self.start(harness.Redis())
        return self._redis

    def redis_cpu_ns(self):
        return tree_cpu_ns(self._redis.process.pid) if self._redis else 0

    def new_folder(self, name):
        return tempfile.mkdtemp(prefix=name + "-", dir=self.folder)
