"""The API under test, and clients of it: http.client for ordinary requests, a bare socket for the others."""
import contextlib
import http.client
import json
import os
import signal
import socket
import time

from . import paths
from .process import Process, free_port
from .wait import LIMIT, wait_for

_count = 0


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, {k.lower(): v for k, v in headers}, body

    def json(self):
        return json.loads(self.body)

    def links(self):
        """{rel: path} of the Link header field."""
        found = {}
        for link in self.headers.get("link", "").split(", "):
            if link:
                path, rel = link.split("; ")
                found[rel[5:-1]] = path[1:-1]
        return found

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class Api:
    def __init__(self, dsn, *options, address="127.0.0.1", tls=None, sockets=()):
        global _count
        _count += 1
        self.address = address
        self.tls = tls  # an SSLContext: clients speak TLS by it
        self.sockets = sockets  # listening ones, passed as a service manager does
        self.options = ("--dsn", dsn, *options)
        self.log = os.path.join(paths.run_dir(), f"api-{_count}.log")
        self.port = self.admin_port = self.process = None

    def start(self, wait=True):
        self.port, self.admin_port = free_port(), free_port()
        command = [paths.program("millrace-api"), "--listen", f"{self.address}:{self.port}",
                   "--admin-listen", f"127.0.0.1:{self.admin_port}", "--threads", "2", *self.options]
        if self.sockets:
            if self.sockets[0].family == socket.AF_INET:
                self.port = self.sockets[0].getsockname()[1]
            command = _with_sockets(command, self.sockets)
        self.process = Process(command, self.log, cwd="/", pass_fds=[s.fileno() for s in self.sockets])
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=LIMIT):
        try:
            wait_for(lambda: not self.process.alive() or self.admin("/readyz")[0] == 200, "API ready", timeout, every=0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.admin('/readyz')} {self.process.tail()}")
        assert self.process.alive(), "the API ended; " + self.process.tail()
        return self

    def admin(self, path):
        """(status, body) of the admin port; status 0 when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as e:
            return 0, str(e)
        finally:
            connection.close()

    def metric(self, name, **labels):
        """Sum of a metric over the label values that are not named."""
        total = 0.0
        for line in self.admin("/metrics")[1].splitlines():
            if line.startswith(name) and line[len(name)] in " {" and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def connect(self, timeout=LIMIT):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def socket(self, timeout=LIMIT):
        """A bare connection; with TLS one whose end without a close_notify is an error."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(s, server_hostname="127.0.0.1", suppress_ragged_eofs=False) if self.tls else s

    def request(self, method, path, headers=None, body=None, connection=None):
        own = connection or self.connect()
        try:
            own.request(method, path, body=body, headers=headers or {})
            response = own.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            if connection is None:
                own.close()

    def get(self, path, **headers):
        """headers: names with _ for the dashes."""
        return self.request("GET", path, {k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, data, timeout=30):
        """All that comes back for these bytes until the server closes, or is silent for long."""
        with self.socket(timeout) as s:
            s.sendall(data)
            return read_all(s)

    def stop(self, timeout=LIMIT):
        return self.process.stop(timeout)

    def kill(self):
        if self.process:
            self.process.signal(signal.SIGCONT)
            self.process.kill()

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def _with_sockets(command, sockets):
    """As sd_listen_fds(3) has it: from descriptor 3 on, for the process of that id."""
    moved = [f"exec {s.fileno() + 100}<&{s.fileno()}" for s in sockets] + [f"exec {3 + i}<&{s.fileno() + 100}" for i, s in enumerate(sockets)]
    return ["bash", "-c", "; ".join(moved) + f'; LISTEN_FDS={len(sockets)} LISTEN_PID=$$ exec "$@"', "bash", *command]


def timed(request):
    """What it returns, and the seconds it took."""
    began = time.monotonic()
    return request(), time.monotonic() - began


def read_all(s):
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            data += piece
    except (socket.timeout, ConnectionResetError):
        pass
    return data


def split_answers(data):
    """[(status, headers, body)] of what came over one connection, by Content-Length."""
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        answers.append((int(lines[0].split()[1]), headers, data[:length]))
        data = data[length:]
    return answers


@contextlib.contextmanager
def killed_at_the_end(make):
    """A function that starts an API as `make` does, and keeps it for its end here."""
    apis = []

    def start(*options, **more):
        apis.append(make(*options, **more))
        return apis[-1]

    try:
        yield start
    finally:
        for api in apis:
            api.kill()
