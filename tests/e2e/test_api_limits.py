"""What one client may ask for, and what all of them together may make the API hold."""
import contextlib
import hashlib
import resource
import select
import socket
import time

import pytest

from lib.api import Api, read_all, split_answers
from lib.api_world import ApiWorld
from lib.process import private_mb
from lib.wait import wait_for

MANY = 1000  # clients that do nothing
IDLE_KIB = 64  # that each may cost
KEYS = {name: f"mr_{name}0123456789" for name in ("one", "two")}


@pytest.fixture(scope="module")
def world(cluster):
    world = ApiWorld(cluster, "api_limits")
    world.fill(1000)
    yield world
    world.close()


def test_rate_limit(world, tmp_path):
    """A request a second, three at once: by key, else by address; 429 says when the next may come, and pages are free."""
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name} read {hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in KEYS.items()))
    api = Api(world.db.dsn("web"), "--keys", str(keys), "--anonymous", "read", "--rate-limit", "1", "--rate-burst", "3",
              "--trusted-proxy", "127.0.0.1", "--threads", "1").start()
    try:
        def burst(**headers):
            """The first refusal, after so many that were served."""
            for served in range(50):
                answer = api.get("/events?limit=1", **headers)
                if answer.status != 200:
                    return served, answer
            raise AssertionError("no limit")

        clients = ({}, {"X_Forwarded_For": "203.0.113.1"}, {"X_Forwarded_For": "2001:db8:0:1::1"},
                   {"Authorization": "Bearer " + KEYS["one"]}, {"Authorization": "Bearer " + KEYS["two"]})
        for headers in clients:
            served, answer = burst(**headers)
            assert served >= 3 and (answer.status, answer.json()["code"], answer.headers["retry-after"]) == (429, "MR-305", "1")
        # an IPv6 client has its whole network, and a key is the same from everywhere
        api.get("/events?limit=1", X_Forwarded_For="2001:db8:0:1::1")
        refused = {api.get("/events?limit=1", X_Forwarded_For=f"2001:db8:0:1::{i}").status for i in range(10, 20)}
        assert 429 in refused
        assert 429 in {api.get("/events?limit=1", Authorization="Bearer " + KEYS["one"], X_Forwarded_For=f"203.0.113.{i}").status for i in range(10)}
        assert {api.get("/openapi.json").status for _ in range(20)} == {200}
        wait_for(lambda: api.get("/events?limit=1").status == 200, "the next is served after a while")
    finally:
        api.kill()


def hoarder(api, path):
    """A client that asks again and again and takes nothing: the kernel keeps some megabytes for it, the API the answer after that."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect(("127.0.0.1", api.port))
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 20)
    return s


def leave(api, clients):
    """They close their connections: nothing is held for them any more. The API ends."""
    for s in clients:
        s.close()
    try:
        wait_for(lambda: api.metric("millrace_api_buffered_bytes") == 0, "nothing is held for clients that are gone")
    finally:
        api.kill()


def test_slow_readers_share_one_bound(world):
    """Many clients that leave large answers unread: together they hold no more than --buffers; the others are served meanwhile,
    and a large answer is served again when those that are in the way have been closed."""
    limit = 4 << 20
    world.db.run("CREATE TABLE wide AS SELECT md5(i::text)::uuid AS id, timestamptz '2026-01-01' + i * interval '1 s' AS time, repeat('x', 5000) AS note"
                 " FROM generate_series(1, 300) AS i; ALTER TABLE wide ALTER id SET NOT NULL, ALTER time SET NOT NULL;"
                 " CREATE INDEX ON wide (time, id); CREATE UNIQUE INDEX ON wide (id); GRANT SELECT ON wide TO web")
    api = Api(world.db.dsn("web"), "--events", "wide", "--buffers", "4MB").start()
    hoarders = []
    try:
        size = len(api.get("/events?limit=300").body)
        assert size > 1_500_000
        seen = 0.0
        for _ in range(30):
            hoarders.append(hoarder(api, "/events?limit=300"))
            assert api.get("/events?limit=1&fields=id").status == 200
            seen = max(seen, api.metric("millrace_api_buffered_bytes"))
            assert seen <= limit + 65536
        assert seen > 0
        wait_for(lambda: api.metric("millrace_api_requests_total", status="5xx") > 0, "some were refused")

        def served():
            answer = api.get("/events?limit=300")
            if answer.status == 503:
                assert answer.json()["code"] == "MR-503" and answer.headers["retry-after"] == "1" and "unread" in answer.json()["detail"]
            return answer.status == 200 and len(answer.body) == size
        wait_for(served, "a large answer is served")
    finally:
        leave(api, hoarders)


def test_a_body_gets_room(world):
    """Answers that nobody takes are in the way of a large body, too, and not until the idle timeout."""
    world.db.run("CREATE TABLE long AS SELECT md5(i::text)::uuid AS id, timestamptz '2026-01-01' + i * interval '1 s' AS time, repeat('x', 10000) AS note"
                 " FROM generate_series(1, 400) AS i; ALTER TABLE long ALTER id SET NOT NULL, ALTER time SET NOT NULL;"
                 " CREATE INDEX ON long (time, id); CREATE UNIQUE INDEX ON long (id); GRANT SELECT ON long TO web")
    api = Api(world.db.dsn("web"), "--events", "long", "--buffers", "4MB", "--idle-timeout", "10min").start()

    def held():
        return api.metric("millrace_api_buffered_bytes")

    def unchanged():
        before = held()
        time.sleep(0.3)
        return before if 0 < before == held() else None

    def is_read():
        """Read, and refused for another reason: this service does not publish."""
        try:
            return api.request("POST", "/events", {"Content-Type": "application/json"}, "x" * 3_000_000).json()["code"] == "MR-506"
        except OSError:
            return False  # refused before all of it was sent

    slow = None
    try:
        # how much of an answer is left depends on what the kernel takes
        for limit in range(400, 250, -10):
            slow = hoarder(api, f"/events?limit={limit}")
            if wait_for(unchanged, "an answer waits to be taken") > 1_500_000:
                break
            slow.close()
            wait_for(lambda: held() == 0, "it is gone")
        assert held() > 1_500_000 and not is_read()
        wait_for(is_read, "a large body is read")
    finally:
        slow.close()
        api.kill()


def test_slow_uploads_make_room(world):
    """Bodies that do not go on hold the room of others only until it is wanted: they are refused, and the others are read."""
    api = Api(world.db.dsn("web"), "--buffers", "4MB", "--head-timeout", "10min").start()
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"

    def is_read():
        """Read, and refused for another reason: this service does not publish."""
        try:
            return api.request("POST", "/events", {"Content-Type": "application/json"}, "x" * 2_000_000).json()["code"] == "MR-506"
        except OSError:
            return False  # refused before all of it was sent

    slow = []
    try:
        for _ in range(3):
            s = api.socket(timeout=30)
            s.sendall(head + b"a" * 1_200_000)
            slow.append(s)
        wait_for(lambda: api.metric("millrace_api_buffered_bytes") >= 3_600_000, "they hold what they have sent")
        wait_for(is_read, "a large body is read")
        refused = select.select(slow, [], [], 20)[0]
        assert refused and all(split_answers(read_all(s))[0][0] == 503 for s in refused), "some of them made room"
    finally:
        leave(api, slow)


def test_large_bodies_share_one_bound(world):
    """Bodies that are not complete count, too: what would be more is refused."""
    api = Api(world.db.dsn("web"), "--buffers", "4MB").start()
    half = []
    try:
        for _ in range(8):
            s = socket.create_connection(("127.0.0.1", api.port), timeout=20)
            half.append(s)
            try:
                s.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 1_000_000)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all of it was sent
            assert api.metric("millrace_api_buffered_bytes") <= (4 << 20) + 3_000_000
        wait_for(lambda: api.metric("millrace_api_requests_total", status="5xx") > 0, "some were refused")
        assert api.get("/events?limit=1").status == 200
    finally:
        leave(api, half)


def test_idle_clients_are_cheap(world):
    """Open connections that have had an answer, and streams that nothing comes for. `make bench-api` has 10,000 and 5,000 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    api = Api(world.db.dsn("web"), "--heartbeat", "600s", "--idle-timeout", "600s").start()

    def grown(request, count, is_whole):
        """KiB of the API for each of so many clients with an answer."""
        before = private_mb(api.process.pid)
        with contextlib.ExitStack() as open_ones:
            clients = [open_ones.enter_context(api.socket()) for _ in range(count)]
            for s in clients:
                s.sendall(request)
            for s in clients:
                data = b""
                while not is_whole(data):
                    piece = s.recv(65536)
                    assert piece, data
                    data += piece
            assert api.metric("millrace_api_connections") >= count
            return (private_mb(api.process.pid) - before) * 1024 / count

    try:
        get = b"GET /events%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert api.get("/events?limit=1").status == 200
        assert grown(get % b"?limit=100", MANY, lambda data: data.endswith(b"]\n")) < IDLE_KIB
        world.db.run("CREATE TABLE IF NOT EXISTS quiet (id bigint PRIMARY KEY, time timestamptz NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id());"
                     " CREATE INDEX ON quiet (time, id); CREATE INDEX ON quiet (xid, id); GRANT SELECT ON quiet TO web")
        api.kill()
        api = Api(world.db.dsn("web"), "--events", "quiet", "--heartbeat", "600s", "--idle-timeout", "600s").start()
        assert grown(get.replace(b" HTTP", b"/stream HTTP") % b"", MANY, lambda data: b"\nid: " in data) < IDLE_KIB
    finally:
        api.kill()
