"""PostgreSQL that is slow, gone or silent, clients that leave, and the end of the process."""
import signal
import socket
import statistics
import threading
import time

import pytest

from lib.api import Api, read_all, split_answers, timed
from lib.api_world import ApiWorld
from lib.proxy import Proxy
from lib.wait import LIMIT, wait_for

# A view whose rows take 50 ms each, and one whose rows wait for a lock.
SLOW = """
    CREATE FUNCTION slow(value double precision) RETURNS double precision LANGUAGE plpgsql STABLE
        AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN value; END $$;
    CREATE VIEW slow_events AS SELECT id, type, time, slow(value) AS value FROM events;
    CREATE FUNCTION held(value double precision) RETURNS double precision LANGUAGE plpgsql STABLE
        AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(17); RETURN value; END $$;
    CREATE VIEW held_events AS SELECT id, type, time, held(value) AS value FROM events;
    GRANT SELECT ON slow_events, held_events TO web;
"""
QUERY_S = 900 * 0.05  # at least, where it is not cut off
GET = b"GET /events?limit=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def web(cluster, request):
    world = ApiWorld(cluster, request.node.name.replace("test_", "api_"))
    world.fill(1000)
    world.db.run(SLOW)
    yield world
    if cluster.process.alive():
        world.close()
    else:
        cluster.start()
        world.close()


def running(world):
    return world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'web' AND state = 'active' AND datname = current_database()")


def test_a_query_that_takes_too_long(web):
    api = web.start("--events", "slow_events", "--query-timeout", "300ms")
    answer = api.get("/events?limit=1000")
    assert (answer.status, answer.json()["code"], answer.json()["sqlstate"]) == (504, "MR-502", "57014")
    wait_for(lambda: api.get("/events?limit=1").status == 200, "a short one is answered")


def test_a_client_that_leaves(web):
    """Its query is cancelled, its connection serves others, and no other query is hit."""
    api = web.start("--events", "slow_events", "--threads", "1", "--pool", "2", "--query-timeout", "60s")
    for _ in range(5):
        leaving = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(2)]
        for s in leaving:
            s.sendall(GET % 900)
        wait_for(lambda: running(web) == 2, "both run")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(api.get("/events?limit=3")))
        waiting.start()
        for s in leaving:
            s.close()
        waiting.join(LIMIT)
        assert [a.status for a in answers] == [200]
        wait_for(lambda: running(web) == 0, "none runs", QUERY_S / 2)
    wait_for(lambda: api.metric("millrace_api_query_cancels_total") == 10, "each was cancelled")
    assert api.metric("millrace_api_requests_total", status="5xx") == 0


def test_a_waiting_client_that_leaves_is_forgotten(web):
    api = web.start("--events", "slow_events", "--threads", "1", "--pool", "1", "--query-timeout", "60s")
    first = socket.create_connection(("127.0.0.1", api.port))
    first.sendall(GET % 900)
    wait_for(lambda: running(web) == 1, "one runs")
    others = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(20)]
    for s in others:
        s.sendall(GET % 900)
    wait_for(lambda: api.metric("millrace_api_pool_waiting") == 20, "the others wait")
    for s in others:
        s.close()
    wait_for(lambda: api.metric("millrace_api_pool_waiting") == 0, "none waits")
    first.close()
    assert api.get("/events?limit=1").status == 200


def test_the_server_is_stopped_and_started(web):
    """503 at once while it is down, and soon served again."""
    api = web.start()
    assert api.get("/events?limit=1").status == 200
    web.cluster.stop("immediate")
    wait_for(lambda: api.get("/events?limit=1").status == 503, "refused")
    asked = ["/events?limit=1", "/events/events:0:0"] * 20
    answers, took = zip(*[timed(lambda path=path: api.get(path)) for path in asked])
    assert {(a.status, a.json()["code"], a.headers["retry-after"]) for a in answers} == {(503, "MR-501", "1")}
    assert statistics.median(took) < 1
    wait_for(lambda: "no connection to PostgreSQL: " in api.admin("/readyz")[1], "not ready")
    assert api.admin("/readyz")[0] == 503
    assert api.admin("/livez")[0] == 200
    web.cluster.start()
    up = time.monotonic()
    wait_for(lambda: api.get("/events?limit=1").status == 200, "served again", every=0.02)
    assert time.monotonic() - up < 10
    wait_for(lambda: api.admin("/readyz")[0] == 200, "ready")


def test_queries_in_flight_when_the_server_goes(web):
    api = web.start("--events", "slow_events", "--pool", "6")
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(api.get("/events?limit=900"))) for _ in range(6)]
    for c in clients:
        c.start()
    wait_for(lambda: running(web) == 6, "all run")
    web.cluster.stop("immediate")
    for c in clients:
        c.join(LIMIT)
    assert [a.status for a in answers] == [503] * 6
    web.cluster.start()


def test_the_server_is_down_at_the_start(web):
    web.cluster.stop("immediate")
    api = web.api = Api(web.db.dsn("web")).start(wait=False)
    wait_for(lambda: api.admin("/livez")[0] == 200, "it lives")
    assert api.get("/events").json()["code"] == "MR-501"
    assert "relation events is not known yet: " in api.admin("/readyz")[1]
    web.cluster.start()
    api.wait_ready()
    assert api.get("/events?limit=1").status == 200


def test_a_start_that_is_cancelled(web):
    """What passes ends no start: it asks again."""
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace-api start' AND wait_event_type = 'Lock'"
    with web.db.session() as blocker:
        blocker.run("BEGIN")
        blocker.run("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        api = web.api = Api(web.db.dsn("web")).start(wait=False)
        wait_for(lambda: web.db.run(waiting), "it waits for the relation, and is cancelled")
        wait_for(lambda: "relation events is not known yet: canceling statement due to user request" in api.admin("/readyz")[1], "it says why")
        blocker.run("COMMIT")
    api.wait_ready()
    assert api.get("/events?limit=1").status == 200


def test_a_server_that_is_silent(web):
    """Nothing comes back and no connection is closed: one deadline, then 503 at once; then all is well again."""
    proxy = Proxy(web.cluster)
    try:
        api = web.start("--query-timeout", "2s", "--threads", "1", dsn=proxy.dsn(web.db.name, "web"))
        proxy.blocked.set()
        assert api.get("/events?limit=1").status == 504
        answers, took = zip(*[timed(lambda: api.get("/events?limit=1")) for _ in range(5)])
        assert {a.json()["code"] for a in answers} == {"MR-501"}
        assert statistics.median(took) < 1  # of the two seconds of another deadline
        proxy.blocked.clear()
        wait_for(lambda: api.get("/events?limit=1").status == 200, "served again")
    finally:
        proxy.blocked.clear()
        proxy.close()


def test_the_end_answers_what_is_in_flight(web):
    api = web.start("--events", "held_events", "--query-timeout", "60s", "--drain-timeout", "60s")
    with socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT) as busy, socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT) as idle, \
            web.db.session() as holder:
        idle.sendall(GET % 1)
        assert idle.recv(12) == b"HTTP/1.1 200"
        holder.run("SELECT pg_advisory_lock(17)")
        busy.sendall(GET % 1)
        wait_for(lambda: running(web) == 1, "it runs")
        api.process.signal(signal.SIGTERM)
        wait_for(lambda: api.admin("/readyz") == (503, "draining\n"), "it says so")
        read_all(idle)  # it is closed
        holder.run("SELECT pg_advisory_unlock(17)")
        answers = split_answers(read_all(busy))
        assert [(a[0], a[1]["connection"]) for a in answers] == [(200, "close")]
    assert api.process.popen.wait(LIMIT) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT)


def test_the_end_comes_in_time(web):
    api = web.start("--events", "slow_events", "--drain-timeout", "300ms", "--query-timeout", "60s")
    with socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT) as busy:
        busy.sendall(GET % 900)
        wait_for(lambda: running(web) == 1, "it runs")
        began = time.monotonic()
        assert api.stop() == 0
        assert time.monotonic() - began < QUERY_S / 2
