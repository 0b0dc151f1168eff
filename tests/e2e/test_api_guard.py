"""What is not HTTP, or not one request, is refused before it is read any further; and the limits of a connection."""
import socket
import threading
import time

import pytest

from lib.api import Api, read_all, split_answers
from lib.api_world import ApiWorld
from lib.malformed import MALFORMED
from lib.process import peak_rss_mb
from lib.wait import holds_for, wait_for


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_guard")
    world.fill(50)
    world.start("--max-connections", "300")
    yield world
    world.close()


def test_malformed_requests(web):
    """Each in one piece and, for half of them, byte by byte: one answer, the expected one, and the end."""
    assert len(MALFORMED) >= 80
    wrong = []
    for number, (name, data, status, code) in enumerate(MALFORMED):
        for slow in (False, True)[: 2 if number % 2 and len(data) < 1000 else 1]:
            with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    for piece in ([bytes([b]) for b in data] if slow else [data]):
                        s.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # answered before all was sent
                answers = split_answers(read_all(s))
            found = [(a[0], a[2].decode()) for a in answers]
            if len(found) != 1 or found[0][0] != status or f'"code":"{code}"' not in found[0][1] or answers[0][1].get("connection") != "close":
                wrong.append((name, slow, status, code, found))
    assert not wrong


def test_nothing_of_a_smuggled_request_is_answered(web):
    wait_for(lambda: web.api.metric("millrace_api_connections") == 0, "those of the test before have ended")
    before = web.api.metric("millrace_api_requests_total", route="none", status="4xx")
    for name, data, _, _ in MALFORMED:
        if b"/smuggled" in data:
            assert b"/smuggled" not in web.api.raw(data), name
    # one is counted when its answer has gone out
    expected = before + sum(b"/smuggled" in data for _, data, _, _ in MALFORMED)
    wait_for(lambda: web.api.metric("millrace_api_requests_total", route="none", status="4xx") >= expected, "each is counted")
    assert web.api.metric("millrace_api_requests_total", route="none", status="4xx") == expected


def test_what_is_valid_is_served(web):
    """The same shapes, right: lists of pipelined requests, absolute URIs, chunks of one byte, an empty line before."""
    for data, statuses in (
            (b"\r\nGET /events?limit=1 HTTP/1.1\r\nhost: LOCALHOST\r\nConnection: close\r\n\r\n", [200]),
            (b"GET http://localhost/events?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [200]),
            (b"GET /events?limit=1 HTTP/1.0\r\nHost: 127.0.0.1:80\r\n\r\n", [200]),
            (b"GET /events?limit=1 HTTP/1.1\r\nHost: [::1]:8080\r\nX:\t a \t\r\nConnection: x, Close\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\n", [200]),
            (b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n001\r\nb\r\n0\r\n\r\n"
             b"GET /events/all-of-it HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [503, 400]),
            (b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 003\r\n\r\nabc"
             b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [503, 404]),
            (b"GET /events?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40
             + b"GET /events?limit=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [200] * 41),
            # a good one is answered before the bad one behind it
            (b"GET /events?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /events HTTP/1.1\r\nHost: a b\r\n\r\n", [200, 400])):
        assert [a[0] for a in split_answers(web.api.raw(data))] == statuses, data


def test_a_list_in_several_fields(web):
    """Accept, Prefer, If-None-Match and Accept-Encoding are lists, however many fields they come in."""
    def ask(*fields, path=b"/events?limit=2"):
        data = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"
        (status, headers, _), = split_answers(web.api.raw(data))
        return status, headers

    status, headers = ask(b"Accept: image/png", b"accept: text/csv;q=0.5", b"Prefer: return=minimal", b"Prefer: count=estimated")
    assert status == 200 and headers["content-type"].startswith("text/csv") and headers["preference-applied"] == "count=estimated"
    tag = ask(path=b"/openapi.json")[1]["etag"].encode()
    assert ask(b'If-None-Match: "other"', b"If-None-Match: " + tag, path=b"/openapi.json")[0] == 304
    assert ask(b"Accept-Encoding: br", b"Accept-Encoding: gzip", path=b"/openapi.json")[1]["content-encoding"] == "gzip"


def test_many_pipelined_requests(web):
    """They arrive while others are worked on and answered: each is answered once, in order."""
    n = 3000
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
        requests = b"".join(b"GET /none/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i if i % 10 else
                            b"GET /events?limit=1&fields=number HTTP/1.1\r\nHost: localhost\r\n\r\n" for i in range(n))
        last = b"GET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        sender = threading.Thread(target=s.sendall, args=(requests + last,))
        sender.start()
        answers = split_answers(read_all(s))
        sender.join()
    assert len(answers) == n + 1
    for i, (status, _, body) in enumerate(answers[:n]):
        assert (status, b"/none/%d\"" % i in body) == ((404, True) if i % 10 else (200, False))


def test_limits_to_the_byte(web):
    line = b"GET /events?limit=1&type=%s HTTP/1.1"
    fits = 8192 - len(b"/events?limit=1&type=")
    for n, status in ((fits, 200), (fits + 1, 414)):
        data = line % (b"a" * n) + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert split_answers(web.api.raw(data))[0][0] == status
    for n, status in ((62, 200), (63, 431)):
        fields = b"".join(b"X-%d: a\r\n" % i for i in range(n))
        data = b"GET /events?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields + b"\r\n"
        assert split_answers(web.api.raw(data))[0][0] == status


def test_large_bodies(web):
    """One at the limit is read to its end, a larger one is refused at its head, also when it waits for 100 Continue."""
    limit = 10 * 1024 * 1024
    assert web.api.request("POST", "/events", body=b"a" * limit).status == 503
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
        s.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (limit + 1))
        assert split_answers(read_all(s))[0][0] == 413
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
        s.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"abc")
        assert split_answers(read_all(s))[0][0] == 503


def test_a_refused_client_that_still_sends_gets_its_answer(web):
    """The body of a refused request is read and dropped for a moment: a reset would take the answer away."""
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
        s.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n" + b"a" * 200000)
        answers = split_answers(read_all(s))
    assert [a[0] for a in answers] == [413]


def test_slow_heads(web):
    """A head that does not end in time: 408; other clients are served meanwhile."""
    api = Api(web.db.dsn("web"), "--head-timeout", "3s").start()
    try:
        slow = []
        for _ in range(50):
            slow.append(socket.create_connection(("127.0.0.1", api.port), timeout=60))
            slow[-1].sendall(b"GET /events HTTP/1.1\r\nHost: local")
        assert api.get("/events?limit=1").status == 200
        for s in slow:
            assert split_answers(read_all(s))[0][0] == 408
            s.close()
    finally:
        api.kill()


def test_a_pause_longer_than_idle(web):
    """--idle-timeout is for clients without a request: one that pauses has the time of a head, or of a body, and its answer."""
    api = Api(web.db.dsn("web"), "--head-timeout", "8s", "--idle-timeout", "1s").start()
    post = b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 8\r\n\r\n1234"
    try:
        idle = socket.create_connection(("127.0.0.1", api.port), timeout=60)
        served = socket.create_connection(("127.0.0.1", api.port), timeout=60)
        served.sendall(b"GET /events?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow = [socket.create_connection(("127.0.0.1", api.port), timeout=60) for _ in range(3)]
        slow[0].sendall(post[:30])
        slow[1].sendall(post)
        slow[2].sendall(post)
        # these have no request, or not any more: their end says that the time of idle clients is over
        assert idle.recv(1) == b""
        assert [a[0] for a in split_answers(read_all(served))] == [200]
        slow[2].sendall(b"5678")
        assert split_answers(read_all(slow[2]))[0][0] == 503  # there is no broker
        for s in slow[:2]:
            status, _, body = split_answers(read_all(s))[0]
            assert status == 408 and b"MR-304" in body
        for s in (idle, served, *slow):
            s.close()
    finally:
        api.kill()


def test_pipelining_without_reading(web):
    """A client that sends requests and takes no answers costs a bounded buffer."""
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=60) as s:
        s.setblocking(False)
        request = b"GET /events?limit=50 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000
        sent = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                sent += s.send(request)
            except BlockingIOError:
                time.sleep(0.02)
        assert sent < 20_000_000
    assert peak_rss_mb(web.api.process.pid) < 100
    assert web.api.get("/events?limit=1").status == 200


def test_number_of_connections(web):
    """Beyond --max-connections (of each of two threads) connections wait; those that are there are served."""
    idle = [socket.create_connection(("127.0.0.1", web.api.port), timeout=60) for _ in range(700)]
    try:
        wait_for(lambda: web.api.metric("millrace_api_connections") == 600, "as many as may be")
        holds_for(lambda: web.api.metric("millrace_api_connections") == 600, "and no more", 0.3)
    finally:
        for s in idle:
            s.close()
    wait_for(lambda: web.api.metric("millrace_api_connections") == 0, "all closed")
    assert web.api.get("/events?limit=1").status == 200


def test_other_addresses_are_refused():
    api = Api("dbname=nothing")
    api.options += ("--listen", "0.0.0.0:0")
    api.start(wait=False)
    wait_for(lambda: not api.process.alive(), "it ends")
    assert api.process.popen.returncode == 1
    assert "--listen is not a loopback address" in api.log_text()
