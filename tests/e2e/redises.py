# SPDX-License-Identifier: Apache-2.0
"""Redis as people run it: over TLS, watched by sentinels, as a Cluster; each on free ports, in a folder of its own."""
import os
import random
import shutil
import socket
import ssl
import subprocess
import tempfile

import wire
from harness import Failure, Program, free_port, until

# Valkey is in Debian 13 only.
SERVERS = [name for name in ("redis-server", "valkey-server") if shutil.which(name)]


class Certs:
    """An authority, a server's certificate for 127.0.0.1 and localhost, and a client's."""

    def __init__(self, folder):
        self.folder = folder
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "1", "-subj", "/CN=tests", "-keyout", "ca.key",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-out", "ca.crt")
        self._issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._issue("other", "subjectAltName=DNS:other.example")
        self._issue("client", "keyUsage=digitalSignature")

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def _issue(self, name, extension):
        with open(self.path(f"{name}.ext"), "w", encoding="ascii") as file:
            file.write(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "1", "-extfile", f"{name}.ext",
                      "-out", f"{name}.crt")

    def path(self, name):
        return os.path.join(self.folder, name)

    def server_options(self, name="server"):
        """Of a redis-server that shows this certificate and wants one of its clients."""
        return ["--tls-cert-file", self.path(f"{name}.crt"), "--tls-key-file",
                self.path(f"{name}.key"), "--tls-ca-cert-file", self.path("ca.crt"),
                "--tls-auth-clients", "yes"]

    @property
    def quota(self):
        """The gateway's options for them."""
        return {"tls_ca": self.path("ca.crt"), "tls_cert": self.path("client.crt"),
                "tls_key": self.path("client.key")}


class Server(Program):
    """One server.  tls: certificates; then there is no port without.  One that was killed may start() again, with
    what is in its folder."""

    def __init__(self, *options, program=None, port=0, tls=None, certificate="server", auth=()):
        self.port = port or free_port()
        self.address = ("127.0.0.1", self.port)
        self.at = f"127.0.0.1:{self.port}"
        self.auth = auth
        self.tls = tls
        self.folder = tempfile.mkdtemp(prefix="meltguard-redis-")
        ports = ["--port", str(self.port)]
        if tls:
            ports = ["--port", "0", "--tls-port", str(self.port)] + tls.server_options(certificate)
        self._words = [program or SERVERS[0], *self.first_options(), *ports, "--bind", "127.0.0.1",
                       "--dir", self.folder, "--save", "", "--appendonly", "no",
                       "--daemonize", "no", *map(str, options)]
        self.start()

    def start(self, *options):
        super().__init__(*self._words, *map(str, options))
        self.wait_ready()

    def first_options(self):
        return []

    def wait_ready(self):
        self.wait_line(r"Ready to accept connections")

    def command(self, *words, timeout=10):
        """The answer; ValueError for an error."""
        connection = socket.create_connection(self.address, timeout=timeout)
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls.path("ca.crt"))
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # these certificates are plain ones
            context.load_cert_chain(self.tls.path("client.crt"), self.tls.path("client.key"))
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        with connection, connection.makefile("rwb") as stream:
            for one in ([("AUTH", *self.auth)] if self.auth else []) + [words]:
                stream.write(b"*%d\r\n" % len(one) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word), word) for word in map(as_bytes, one)))
                stream.flush()
                answer = wire.resp_value(stream)
            return answer

    def lines_of(self, *words):
        """{name: value} of an answer such as INFO's."""
        text = self.command(*words).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    @property
    def replication(self):
        return self.lines_of("INFO", "replication")

    @property
    def is_master(self):
        return self.is_running and self.replication["role"] == "master"

    @property
    def is_following(self):
        return self.replication.get("master_link_status") == "up"

    def has_copied(self, offset):
        """It follows a master, and has what that wrote up to there."""
        facts = self.replication
        return facts.get("master_link_status") == "up" and int(facts["slave_repl_offset"]) >= offset

    def stop(self, *args, **options):
        try:
            super().stop(*args, **options)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


# What is written goes to a file before it is answered.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def as_bytes(word):
    return word if isinstance(word, bytes) else str(word).encode()


class Sentinel(Server):
    """Watches a master called "images"."""

    def __init__(self, master, *options, quorum=2, **others):
        self._master, self._quorum = master, quorum
        super().__init__(*options, **others)

    def first_options(self):
        path = os.path.join(self.folder, "sentinel.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"sentinel monitor images 127.0.0.1 {self._master.port} {self._quorum}\n"
                       "sentinel down-after-milliseconds images 500\n"
                       "sentinel failover-timeout images 3000\n")
            if self._master.auth:
                file.write(f"sentinel auth-user images {self._master.auth[0]}\n"
                           f"sentinel auth-pass images {self._master.auth[1]}\n")
        return [path, "--sentinel"]

    def wait_ready(self):
        self.wait_line(r"Sentinel ID is|\+monitor master")

    def facts(self):
        fields = self.command("SENTINEL", "MASTER", "images")
        return dict(zip(fields[::2], fields[1::2]))

    def knows(self, replicas, sentinels):
        facts = self.facts()
        return (int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])) == \
            (replicas, sentinels)

    def master(self):
        """The port that it tells."""
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "images")[1])


class Watched:
    """A master, its replicas, and three sentinels that know each other.  started: takes each server, to end it."""

    def __init__(self, started, *words, replicas=1, **options):
        words = ["--repl-diskless-sync-delay", "0", *words]
        self.master = started(Server(*words, **options))
        self.replicas = [started(Server(*words, "--replicaof", "127.0.0.1", self.master.port, **options))
                         for _ in range(replicas)]
        self.nodes = [self.master, *self.replicas]
        self.sentinels = [started(Sentinel(self.master, program=options.get("program"))) for _ in range(3)]
        until(lambda: all(sentinel.knows(replicas, 2) for sentinel in self.sentinels), 30, every=0.1,
              what="the sentinels did not find each other")
        until(lambda: all(replica.is_following for replica in self.replicas), 15, every=0.1)

    def told(self):
        """The node that all sentinels call the master; None: they do not agree."""
        ports = {sentinel.master() for sentinel in self.sentinels}
        return next((node for node in self.nodes if ports == {node.port}), None)

    def is_settled(self):
        """All sentinels are content with one master: no failover is wanted, or not quite over."""
        return self.told() and all(sentinel.facts()[b"flags"] == b"master" for sentinel in self.sentinels)

    def url(self, login=""):
        return f"redis+sentinel://{login}" + ",".join(sentinel.at for sentinel in self.sentinels) + "/images"


SLOTS = 16384


def cluster_port():
    """A free port whose neighbour 10,000 above, where the nodes of a Cluster talk, is free too."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            for one in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
            return port
        except OSError:
            pass


def slot_of(tag):
    return crc16(as_bytes(tag)) % SLOTS


def crc16(text):
    crc = 0
    for byte in text:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc


class Cluster:
    """Masters that share the slots, and one replica of the first.  started: takes each server, to end it."""

    def __init__(self, started, *words, masters=3, **options):
        words = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
                 "--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", *words]
        if options.get("tls"):
            words += ["--tls-cluster", "yes", "--tls-replication", "yes"]
        self.nodes = [started(Server(*words, port=cluster_port(), **options)) for _ in range(masters + 1)]
        self.masters, self.replica = self.nodes[:masters], self.nodes[masters]
        self.ids = {node: node.command("CLUSTER", "MYID").decode() for node in self.nodes}
        for number, node in enumerate(self.masters):
            first, last = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(self._is_joined, 10, every=0.05, what="the nodes of the Cluster did not meet")
        self.replica.command("CLUSTER", "REPLICATE", self.ids[self.masters[0]])
        until(self.is_replicated, 10, every=0.05, what="the replica does not follow")

    def _is_joined(self):
        facts = [node.lines_of("CLUSTER", "INFO") for node in self.nodes]
        return all(fact["cluster_known_nodes"] == str(len(self.nodes)) and
                   fact["cluster_slots_assigned"] == str(SLOTS) and fact["cluster_state"] == "ok"
                   for fact in facts)

    def is_replicated(self):
        return self.replica.is_following

    def serving(self):
        """Those that are masters now."""
        return [node for node in self.nodes if node.is_master]

    def is_well(self):
        """Every node runs, and knows of an owner for every slot."""
        return all(node.lines_of("CLUSTER", "INFO")["cluster_state"] == "ok" for node in self.nodes)

    def owner(self, slot):
        """The node that says the slot is its own."""
        for node in self.nodes:
            if not node.is_running:
                continue
            for first, last, master, *_ in node.command("CLUSTER", "SLOTS"):
                if first <= slot <= last and master[1] == node.port:
                    return node
        raise LookupError(slot)

    def takes_over(self, node):
        """A replica becomes the master, in an orderly way, and all nodes know it."""
        until(lambda: node.is_following)
        for _ in range(4):  # the others may not vote for it at once
            if not node.is_master:
                node.command("CLUSTER", "FAILOVER")
            try:
                until(lambda: all(self._calls_master(other, node) for other in self.nodes), 3)
                return
            except Failure:
                continue
        raise Failure(f"{node.at} did not take over:\n{node.output}")

    @staticmethod
    def _calls_master(other, node):
        return any(master[1] == node.port for _, _, master, *_ in other.command("CLUSTER", "SLOTS"))

    def move(self, slot, target, pause=lambda: None):
        """Reshards one slot as redis-cli does; pause() is called while it is half moved."""
        source = self.owner(slot)
        if source is target:
            return
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])
        pause()
        while True:
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1)
            if not keys:
                break
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            pause()
        for node in (target, source, *[n for n in self.serving() if n not in (source, target)]):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])

    @property
    def url(self):
        return "redis+cluster://" + ",".join(node.at for node in self.masters)
