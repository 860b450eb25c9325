# SPDX-License-Identifier: Apache-2.0
"""The systems that are measured: meltguard and its peers.  Their configurations are in peers/, filled in and started here.

A system has an address, a process at the root of its tree, and start() takes the lab and the scenario's settings:
per_day (images), workers, max_in_flight, cores."""
import getpass
import os
import re
import shutil
import socket
import subprocess

import harness
import lab as laboratory

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
UNLIMITED = 16_000_000


def fill(template, words):
    """The text of a file of peers/ with its @words@ filled in."""
    with open(os.path.join(PEERS, template), encoding="utf-8") as file:
        return re.sub(r"@(\w+)@", lambda match: str(words[match[1]]), file.read())


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Missing(Exception):
    """This system cannot be started on this machine; says why."""


class System:
    """One running system.  Subclasses say how it is started."""
    name = None                 # in results
    title = None                # in tables
    uses_redis = False
    headers = None              # that the load adds for it
    is_ours = False

    def __init__(self, lab, **settings):
        self.lab = lab
        self.settings = {"per_day": UNLIMITED, "workers": 1, "max_in_flight": 10000,
                         "cores": laboratory.TEST_CORE, "backend_port": lab.backend and lab.backend.port,
                         **settings}
        self.folder = lab.new_folder(self.name)
        self.program = None
        with laboratory.on(self.settings["cores"]):
            self.start()

    def start(self):
        raise NotImplementedError

    @property
    def pid(self):
        return self.program.process.pid

    def cpu_ns(self):
        return laboratory.tree_cpu_ns(self.pid)

    def sleeps(self):
        return laboratory.tree_sleeps(self.pid)

    def rss_bytes(self):
        return laboratory.tree_rss_bytes(self.pid)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Peer(System):
    """A foreign program: started, and ready once its port is taken."""

    def launch(self, *command, env=None, timeout=10):
        self.program = harness.Program(*command, name=self.name, env=env, cwd=self.folder)
        self.lab.start(self)
        harness.until(lambda: is_listening(self.address[1]) or not self.program.is_running, timeout,
                      what=lambda: f"{self.name} never listened:\n{self.program.output}")
        if not self.program.is_running:
            raise harness.Failure(f"{self.name} ended:\n{self.program.output}")

    def stop(self):
        """How a peer ends is its own affair."""
        if self.program.is_running:
            self.program.process.terminate()
        try:
            self.program.process.wait(5)
        except subprocess.TimeoutExpired:
            self.program.kill9()

    def words(self):
        return {**self.settings, "port": self.address[1], "user": getpass.getuser(),
                "descriptors": laboratory.DESCRIPTORS, "max_connections": laboratory.MAX_CONNECTIONS}

    def take_address(self):
        self.address = ("127.0.0.1", harness.free_port())


class Direct(System):
    """No gateway at all: the load asks the backend."""
    name, title = "direct", "direct to the backend"

    def start(self):
        self.address = self.lab.backend.address
        self.program = self.lab.backend


class Nginx(Peer):
    name, title = "nginx", "nginx, plain proxy"
    site, modules, files, tuning = "nginx_plain.conf", "", (), ""

    def start(self):
        self.take_address()
        words = {**self.words(), "modules": self.modules, "tuning": self.tuning}
        if self.uses_redis:
            words["redis_port"] = self.lab.redis.port
        config = self.write("nginx.conf", fill("nginx.conf", words))
        self.write("server.conf", fill(self.site, words))
        for name in self.files:
            self.write(name, fill(name, words))
        self.launch("nginx", "-p", self.folder, "-c", config)


class NginxTuned(Nginx):
    """For large answers: the best of ten settings of its buffers, at 256 KiB for each request in flight."""
    name, title = "nginx-tuned", "nginx, 256 KiB, unbuffered"
    tuning = "proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 8 256k; proxy_busy_buffers_size 512k;"


class NginxRefuses(Nginx):
    name, title = "nginx-429", "nginx, return 429"
    site = "nginx_429.conf"


class NginxLua(Nginx):
    name, title = "nginx-lua", "nginx + Lua + Redis"
    site, files, uses_redis = "nginx_lua.conf", ("nginx_lua.lua",), True
    modules = "".join(f"load_module /usr/lib/nginx/modules/{name}.so;\n"
                      for name in ("ndk_http_module", "ngx_http_lua_module"))


class Haproxy(Peer):
    name, title = "haproxy", "HAProxy, plain proxy"
    config = "haproxy_plain.cfg"

    def start(self):
        self.take_address()
        path = self.write("haproxy.cfg", fill(self.config, self.words()))
        self.launch("haproxy", "-db", "-f", path)


class HaproxyLimit(Haproxy):
    name, title = "haproxy-limit", "HAProxy, stick-table limit"
    config = "haproxy_limit.cfg"


class Portkey(Peer):
    name, title = "portkey", "Portkey's gateway"

    def start(self):
        server = self.install()
        self.take_address()
        self.headers = ["x-portkey-provider: openai",
                        f"x-portkey-custom-host: {self.lab.backend.url}/v1"]
        self.launch("node", server, f"--port={self.address[1]}", "--headless",
                    env={"PORT": str(self.address[1]), "NODE_ENV": "production"}, timeout=30)

    @staticmethod
    def install():
        """The program, from npm into the build folder, where node is new enough and npm reaches its registry."""
        folder = os.path.join(harness.BUILD, "bench", "portkey")
        server = os.path.join(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")
        if not shutil.which("node") or not shutil.which("npm"):
            raise Missing("Portkey's gateway is left out: there is no node and npm here")
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
        if int(re.sub(r"\D.*", "", version.lstrip("v")) or 0) < 20:
            raise Missing(f"Portkey's gateway is left out: it wants node 20, this is {version.strip()}")
        if not os.path.exists(server):
            os.makedirs(folder, exist_ok=True)
            done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund",
                                   "--prefix", folder, "@portkey-ai/gateway"],
                                  capture_output=True, text=True, check=False, timeout=300)
            if done.returncode != 0 or not os.path.exists(server):
                raise Missing(f"Portkey's gateway is left out: npm could not install it\n{done.stderr[-500:]}")
        return server


class Meltguard(System):
    name, title, is_ours = "meltguard", "meltguard, embedded store", True

    def start(self):
        words = {**self.settings, "folder": self.folder, "store": self.store(),
                 "max_connections": laboratory.MAX_CONNECTIONS}
        self.write("meltguard.yaml", fill("meltguard.yaml", words))
        self.write("policy.yaml", fill("meltguard_policy.yaml", words))
        self.program = self.lab.start(self.launch())
        self.address = self.program.address

    def launch(self):
        return harness.Gateway(folder=self.folder)

    def store(self):
        return f"embedded://{self.folder}/store"


class MeltguardRedis(Meltguard):
    name, title, uses_redis = "meltguard-redis", "meltguard, Redis", True

    def store(self):
        return self.lab.redis.url
