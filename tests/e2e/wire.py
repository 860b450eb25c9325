# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 and RESP by hand: what is sent and what comes back is exactly what a test sees."""
import base64
import json
import socket
import struct
import zlib


class Broken(Exception):
    """The connection ended before the answer did."""


class Answer:
    """One answer as it was on the wire."""

    def __init__(self, status, reason, fields):
        self.status = status
        self.reason = reason
        self.fields = fields          # [(name, value)], as sent
        self.interim = []             # answers of 1xx that came before
        self.body = b""
        self.is_chunked = False

    def get(self, name, default=None):
        """The first field of that name."""
        for key, value in self.fields:
            if key.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]

    @property
    def why(self):
        """The gateway's own word for a refusal."""
        return self.get("x-meltguard-reason")

    def images(self):
        """The PNG files in an answer of the images API."""
        return [base64.b64decode(item["b64_json"]) for item in self.json()["data"]]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {self.body[:300]!r}>"


class Connection:
    """A client connection that does what it is told and nothing else."""

    def __init__(self, address, timeout=20):
        host, port = address
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ask(self, method, path, body=None, fields=(), version="HTTP/1.1", host="gateway.test"):
        """Sends a request with a Content-Length where there is a body."""
        self.send(request(method, path, body, fields, version, host))

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends with RST, as a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def more(self):
        data = self.socket.recv(262144)
        if not data:
            raise Broken(f"closed; unread: {self.unread[:200]!r}")
        self.unread += data

    def read_until(self, mark):
        while mark not in self.unread:
            self.more()
        found, _, self.unread = self.unread.partition(mark)
        return found

    def read_bytes(self, count):
        parts, have = [self.unread], len(self.unread)
        while have < count:
            data = self.socket.recv(min(1 << 20, max(count - have, 1)))
            if not data:
                raise Broken(f"{count - have} bytes of the body are missing")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.unread = whole[count:]
        return whole[:count]

    def read_head(self):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *reason = lines[0].split(" ", 2)
        if version != "HTTP/1.1":
            raise ValueError(f"not an HTTP/1.1 answer: {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return Answer(int(status), reason[0] if reason else "", fields)

    def read_chunks(self):
        content = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n"):
                    pass
                return content
            content += self.read_bytes(size)
            if self.read_bytes(2) != b"\r\n":
                raise ValueError("a chunk is longer than it says")

    def read_to_end(self):
        parts = [self.unread]
        self.unread = b""
        while True:
            data = self.socket.recv(262144)
            if not data:
                return b"".join(parts)
            parts.append(data)

    def read(self, method="POST"):
        """The next answer, with the interim ones that came before it."""
        interim = []
        answer = self.read_head()
        while 100 <= answer.status < 200:
            interim.append(answer)
            answer = self.read_head()
        answer.interim = interim
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if (answer.get("transfer-encoding") or "").lower() == "chunked":
            answer.is_chunked = True
            answer.body = self.read_chunks()
        elif answer.get("content-length") is not None:
            answer.body = self.read_bytes(int(answer.get("content-length")))
        else:
            answer.body = self.read_to_end()
        return answer

    def is_closed(self, timeout=5):
        """Did the other side end it, with nothing more to read?"""
        self.socket.settimeout(timeout)
        try:
            return self.unread == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def request(method, path, body=None, fields=(), version="HTTP/1.1", host="gateway.test"):
    """The bytes of a request."""
    items = list(fields.items() if isinstance(fields, dict) else fields)
    lines = [f"{method} {path} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        if not any(name.lower() == "content-type" for name, _ in items):
            items.append(("Content-Type", "application/json"))
    if isinstance(body, str):
        body = body.encode()
    if body is not None:
        items.append(("Content-Length", str(len(body))))
    lines += [f"{name}: {value}" for name, value in items]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def fetch(address, method, path, body=None, fields=(), timeout=20):
    """One request on a connection of its own."""
    with Connection(address, timeout) as connection:
        items = list(fields.items() if isinstance(fields, dict) else fields)
        connection.ask(method, path, body, items + [("Connection", "close")])
        return connection.read(method)


def events(body):
    """Server-sent events: [(name, data)]."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if lines:
            found.append((lines.get("event"), json.loads(lines["data"])))
    return found


def png_size(data):
    """Width and height of a PNG file, whose signature, CRCs and pixels are checked on the way."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG signature")
    at, pixels, header, is_ended = 8, b"", None, False
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        content = data[at + 8:at + 8 + length]
        crc, = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        if zlib.crc32(kind + content) != crc:
            raise ValueError(f"wrong CRC of {kind}")
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
        elif kind == b"IDAT":
            pixels += content
        is_ended = kind == b"IEND"
        at += 12 + length
    if header is None or not is_ended:
        raise ValueError("IHDR or IEND is missing")
    width, height, depth, colour = header[:4]
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if len(zlib.decompress(pixels)) != height * (1 + (width * bits + 7) // 8):
        raise ValueError("the pixels are not complete")
    return width, height


def resp(address, *words):
    """One Redis command, and its answer."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(word), word)
            for word in (word if isinstance(word, bytes) else str(word).encode() for word in words)))
        stream = connection.makefile("rb")
        return resp_value(stream)


def resp_value(stream):
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise ValueError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if int(rest) < 0:
            return None
        value = stream.read(int(rest))
        stream.read(2)
        return value
    if kind == b"*":
        return [resp_value(stream) for _ in range(int(rest))]
    return rest
