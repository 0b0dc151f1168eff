"""Restarts of the API: listening sockets that outlive it, as a service manager passes them, and what becomes of requests."""
import http.client
import os
import select
import signal
import socket
import threading
import time

import pytest

from lib.api import Api, timed
from lib.proxy import Proxy
from lib.publish_world import Whole
from lib.wait import LIMIT, wait_for

RESTARTS = 20
PATH = "/events?limit=1"


@pytest.fixture(scope="module")
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_restart")
    yield whole
    whole.close()


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as s:
        yield s


def start(whole, *sockets, options=()):
    return Api(whole.db.dsn("millrace_api"), "--brokers", whole.broker.address, "--publish-timeout", "60s", *options, sockets=sockets).start()


class Clients:
    """Each sends requests until it is stopped, and keeps what went wrong. Those with keep alive begin a new connection when the
    answer before has said that its connection ends, and at no other time."""

    def __init__(self, port):
        self.port, self.stopped, self.failures, self.answers = port, threading.Event(), [], [0] * 4
        kinds = [("GET", PATH, True), ("GET", "/events/all", True), ("GET", PATH, False), ("POST", "/events?eventType=restart&eventData=1", True)]
        self.threads = [threading.Thread(target=self._run, args=(i, *kind)) for i, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, method, path, keeps):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        while not self.stopped.is_set():
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != (202 if method == "POST" else 200):
                    self.failures.append(f"{method} {path}: {answer.status}")
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(f"{method} {path}: {e!r}")
                connection.close()
            self.answers[number] += 1
            if not keeps:
                connection.close()
        connection.close()

    def each_has(self, more):
        """Whether each has that many answers more than when this was made; to be asked again."""
        before = list(self.answers)
        return lambda: all(now >= was + more for now, was in zip(self.answers, before))

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_rolling_restarts(whole, listening):
    """No request fails: the next process takes what comes before the last one has answered what it took."""
    api = start(whole, listening)
    clients = Clients(api.port)
    try:
        for _ in range(RESTARTS):
            wait_for(clients.each_has(2), "they are answered")
            following = start(whole, listening)
            assert api.stop() == 0
            api = following
        wait_for(clients.each_has(2), "the last one answers")
    finally:
        clients.stop()
        api.kill()
    assert not clients.failures, clients.failures[:5]


def test_what_comes_between_two_processes_waits(whole, listening):
    api = start(whole, listening)
    assert api.get(PATH).status == 200
    assert api.stop() == 0
    with socket.create_connection(listening.getsockname(), timeout=LIMIT) as s:
        s.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        api = start(whole, listening)
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
    api.kill()


def test_a_process_without_connections_takes_nothing_yet(cluster, whole, listening):
    """It knows the relation, by another connection than those that answer: what comes is left to a process that can."""
    proxy = Proxy(cluster)
    proxy.holds = b"application_name\0millrace-api\0"
    api = Api(proxy.dsn(whole.db.name, "millrace_api"), "--brokers", whole.broker.address, sockets=(listening,)).start(wait=False)
    try:
        with socket.create_connection(listening.getsockname(), timeout=LIMIT) as s:
            s.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            wait_for(lambda: 'relation=' in api.log_text(), "the relation is known")
            wait_for(lambda: proxy.held, "its pools wait for their connections")
            assert not select.select([s], [], [], 0.5)[0], s.recv(65536)  # ten of its ticks
            proxy.holds = None
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        proxy.close()
        api.kill()


def test_a_process_that_cannot_publish_takes_nothing_yet(whole, listening):
    """Kafka has not answered it: what comes is left to a process that publishes, and is no 503."""
    whole.broker.process.signal(signal.SIGSTOP)
    try:
        api = Api(whole.db.dsn("millrace_api"), "--brokers", whole.broker.address, "--publish-timeout", "60s", sockets=(listening,)).start(wait=False)
        with socket.create_connection(listening.getsockname(), timeout=LIMIT) as s:
            s.sendall(b"POST /events?eventType=first&eventData=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            wait_for(lambda: "relation=" in api.log_text() and "connection to PostgreSQL" not in api.admin("/readyz")[1], "but for Kafka it is ready", every=0.02)
            assert not select.select([s], [], [], 0.5)[0], s.recv(65536)  # ten of its ticks
            whole.broker.process.signal(signal.SIGCONT)
            assert s.recv(65536).startswith(b"HTTP/1.1 202 ")
    finally:
        whole.broker.process.signal(signal.SIGCONT)
        api.kill()


def test_kafka_that_is_away_holds_nobody_up(whole, listening):
    """A broker that refuses connections is in trouble: reading begins after two seconds, not after the ten of one that is silent."""
    api = Api(whole.db.dsn("millrace_api"), "--brokers", "127.0.0.1:1", sockets=(listening,)).start(wait=False)
    try:
        answer, took = timed(lambda: api.get(PATH))
        assert answer.status == 200 and took < 10, took
        assert whole.post("?eventType=first&eventData=1", api=api).status == 503
    finally:
        api.kill()


def test_what_operates_is_away(whole, listening):
    """Its role is refused: that keeps connections waiting for two seconds, not for the ten of a server that is silent, and the process
    is not ready before it takes them."""
    api = Api(whole.db.dsn("millrace_api"), "--brokers", whole.broker.address, "--operate-dsn", whole.db.dsn("no_such_role"), sockets=(listening,)).start(wait=False)
    said = []

    def is_ready():
        said.append(api.admin("/readyz"))
        return said[-1][0] == 200
    try:
        _, took = timed(lambda: wait_for(is_ready, "it is ready", every=0.02))
        assert "thread 0 takes no connections yet\nthread 1 takes no connections yet\n" in [text for _, text in said]
        assert took < 10, took
        assert api.get(PATH).status == 200
    finally:
        api.kill()


def test_the_relation_cannot_be_asked_for(cluster, whole, listening):
    """Its connection alone is refused: what comes is answered after two seconds, not after ten."""
    proxy = Proxy(cluster)
    proxy.refuses = b"application_name\0millrace-api start\0"
    api = Api(proxy.dsn(whole.db.name, "millrace_api"), "--brokers", whole.broker.address, sockets=(listening,)).start(wait=False)
    try:
        answer, took = timed(lambda: api.get(PATH))
        assert answer.status == 503 and took < 10, took
        proxy.refuses = None
        api.wait_ready()
        assert api.get(PATH).status == 200
    finally:
        proxy.close()
        api.kill()


def ask(s):
    """One request, and what comes back; nothing when the connection was closed."""
    try:
        s.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return s.recv(65536)
    except ConnectionError:
        return b""


def test_an_idle_client_may_ask_once_more(whole, listening):
    """Its connection is not closed under a request that is on its way; the answer says that it was the last."""
    def once_more():
        api = start(whole, listening, options=("--threads", "1"))
        with socket.create_connection(listening.getsockname(), timeout=LIMIT) as idle, \
                socket.create_connection(listening.getsockname(), timeout=LIMIT) as other:
            assert b"Connection: close" not in ask(idle)
            api.process.signal(15)
            while (answer := ask(other)) and b"Connection: close" not in answer:
                pass  # it does not end yet
            last = ask(idle)
        assert api.process.popen.wait(LIMIT) == 0
        return answer and last
    # nothing, when this process was held up for the second that idle clients have
    last = wait_for(once_more, "it was asked in time")
    assert last.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in last


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_waits_for_the_next_process_does_not_keep_the_last_one_awake(whole, listening):
    """It has closed its socket, which others have, too: that there is somebody in the queue is no event of its."""
    api = start(whole, listening, options=("--head-timeout", "10min", "--drain-timeout", "10min"))
    with socket.create_connection(listening.getsockname(), timeout=LIMIT) as slow:
        slow.sendall(b"POST /events?eventType=slow&eventData=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")  # and no body
        wait_for(lambda: api.metric("millrace_api_connections") == 1, "it is taken")
        before = listens(api)
        api.process.signal(15)
        wait_for(lambda: listens(api) < before, "it has closed the socket")
        with socket.create_connection(listening.getsockname(), timeout=LIMIT):
            used, end = cpu_s(api.process.pid), time.monotonic() + 1
            while time.monotonic() < end:
                assert api.process.alive(), "what is under way has --drain-timeout"
                select.select([], [], [], 0.1)
            assert cpu_s(api.process.pid) - used < 0.3
    api.kill()


def listens(api):
    """How many descriptors of the process are listening sockets of its port."""
    with open("/proc/net/tcp") as f:
        inodes = {line.split()[9] for line in f if line.split()[3] == "0A" and line.split()[1].endswith(f":{api.port:04X}")}
    links = []
    for fd in os.listdir(f"/proc/{api.process.pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{api.process.pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    return sum(link in {f"socket:[{inode}]" for inode in inodes} for link in links)


def test_without_such_a_socket_nobody_waits(whole):
    """A process that ends closes the socket it has opened: clients are refused, and do not wait for nothing."""
    api = start(whole, options=("--head-timeout", "10min", "--drain-timeout", "10min"))
    with socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT) as s:
        s.sendall(b"POST /events?eventType=slow&eventData=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")  # and no body
        api.process.signal(15)

        def refused():
            try:
                socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_for(refused, "new clients are refused")
        assert api.process.alive(), "what is under way has --drain-timeout"
    api.kill()


@pytest.mark.parametrize("made, words", [
    (lambda: socket.socketpair()[0], "descriptor 3, one of 1 that LISTEN_FDS names, is no listening TCP socket"),
    (lambda: socket.create_server(("0.0.0.0", 0)), "is not a loopback address, and there are no keys")])
def test_sockets_that_cannot_be_used(whole, made, words):
    with made() as s:
        api = Api(whole.db.dsn("millrace_api"), sockets=(s,)).start(wait=False)
        assert api.process.popen.wait(LIMIT) == 1
        assert words in api.log_text()
