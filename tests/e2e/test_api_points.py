"""GET /events/{id} goes through connections in pipeline mode: many are under way on one, and each has its own answer."""
import random
import socket
import threading

import pytest

from lib.api import read_all, split_answers, timed
from lib.api_world import ApiWorld
from lib.proxy import Proxy
from lib.wait import LIMIT, wait_for

ROWS = 3000
GET = "GET /events/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A view whose rows wait for a lock, by id too.
HELD = """
    CREATE FUNCTION held(value double precision) RETURNS double precision LANGUAGE plpgsql STABLE
        AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(18); RETURN value; END $$;
    CREATE VIEW held_events AS SELECT id, type, time, held(value) AS value FROM events; GRANT SELECT ON held_events TO web;
"""


@pytest.fixture
def web(cluster, request):
    world = ApiWorld(cluster, request.node.name.replace("test_", "api_")[:60])
    world.fill(ROWS)
    world.db.run(HELD)
    yield world
    if not cluster.process.alive():
        cluster.start()
    world.close()


def ids(world):
    return [str(i) for (i,) in world.db.run("SELECT id FROM events ORDER BY id")]


def answers(api, paths):
    """Of one connection, all sent at once: [(status, id or code)]."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT) as s:
        data = "".join(GET % p for p in paths)[:-2] + "Connection: close\r\n\r\n"
        sender = threading.Thread(target=s.sendall, args=(data.encode(),))
        sender.start()
        found = split_answers(read_all(s))
        sender.join()
    return [(status, body) for status, _, body in found]


def warm(api, path, threads=1):
    """The connections are made when they are first wanted: four of each thread are for other queries."""
    wait_for(lambda: api.get("/events/" + path).status == 200 and api.metric("millrace_api_pool_connections") == 6 * threads, "they are there")


def test_each_has_its_own_answer(web):
    """Rows, ids that are none, and ids that are not there, from many clients at once: one that fails has no effect on the others."""
    api = web.start("--threads", "2")
    known, wrong = ids(web), []

    def client(seed):
        chance = random.Random(seed)
        asked = [chance.choice((chance.choice(known), chance.choice(known), "not-a-uuid", "00000000-0000-0000-0000-000000000000",
                                f"events:{chance.randrange(4)}:{chance.randrange(ROWS // 4)}")) for _ in range(150)]
        found = answers(api, asked)
        if len(found) != len(asked):
            wrong.append((len(found), len(asked)))
        for what, (status, body) in zip(asked, found):
            expected = 400 if what == "not-a-uuid" else 404 if what.startswith("00000000-") else 200
            topic, _, rest = what.partition(":")
            mine = f'"id":"{what}"'.encode() if topic == what else '"partition":{},"offset":"{}"'.format(*rest.split(":")).encode()
            if status != expected or (status == 200 and mine not in body):
                wrong.append((what, status, body))

    warm(api, "events:0:0", 2)
    clients = [threading.Thread(target=client, args=(i,)) for i in range(40)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert not wrong, wrong[:3]
    # several of them were under way on a connection: there are fewer connections than clients
    assert web.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'web' AND datname = current_database()") < 20


def waiting(world):
    return world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'web' AND wait_event_type = 'Lock' AND datname = current_database()")


def test_a_client_that_leaves_cancels_nothing(web):
    """What is under way on its connection is that of others: they are answered when the row is there."""
    api = web.start("--events", "held_events", "--threads", "1", "--query-timeout", "60s")
    known = ids(web)
    warm(api, known[0])
    with web.db.session() as holder:
        holder.run("SELECT pg_advisory_lock(18)")
        others = []
        for i in range(12):
            others.append(socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT))
            others[-1].sendall((GET % known[i]).encode())
        wait_for(lambda: api.metric("millrace_api_requests_in_flight") == 12 and waiting(web) > 0, "all are under way")
        for s in others[:6]:
            s.close()
        wait_for(lambda: api.metric("millrace_api_requests_in_flight") == 6, "half have left")
        assert api.metric("millrace_api_query_cancels_total") == 0 and api.metric("millrace_api_pool_waiting") == 0
        holder.run("SELECT pg_advisory_unlock(18)")
        for i, s in list(enumerate(others))[6:]:
            assert s.recv(100).startswith(b"HTTP/1.1 200"), i
            s.close()
    assert api.get("/events/" + known[3]).json()["id"] == known[3]


def test_a_table_that_is_locked(web):
    """Those behind the first do not wait for the deadlines of all before them, and the others are refused as ever."""
    api = web.start("--threads", "1", "--query-timeout", "3s")
    known = ids(web)
    warm(api, known[0])
    with web.db.session() as holder:
        holder.run("BEGIN; LOCK TABLE events")
        found = []
        clients = [threading.Thread(target=lambda i=i: found.append(timed(lambda: api.get("/events/" + known[i])))) for i in range(30)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        holder.run("ROLLBACK")
    assert {a.status for a, _ in found} <= {503, 504} and len(found) == 30
    assert max(took for _, took in found) < 15 * 3, "of thirty deadlines of three seconds, one behind the other"
    wait_for(lambda: api.get("/events/" + known[0]).status == 200, "served again")
    assert [status for status, _ in answers(api, known[:100])] == [200] * 100


def test_a_statement_that_could_not_be_prepared(web):
    """It waited for a lock when it was: those that come when there is none are answered."""
    api = web.start("--threads", "1", "--query-timeout", "1s")
    warm(api, ids(web)[0])
    with web.db.session() as holder:
        holder.run("BEGIN; LOCK TABLE events")
        assert api.get("/events/events:0:0").status == 504
        holder.run("ROLLBACK")
    assert [status for status, _ in answers(api, ["events:0:0"] * 20)] == [200] * 20


def test_a_role_without_room_for_them(web):
    """Look-ups go through the other connections, and the log says once why."""
    api = web.start("--threads", "1")
    known = ids(web)
    wait_for(lambda: api.metric("millrace_api_pool_connections") == 4, "the others are there")
    used = web.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'web'")
    try:
        web.db.run(f"ALTER ROLE web CONNECTION LIMIT {used}")
        wait_for(lambda: api.get("/events/" + known[0]).status == 200 and api.metric("millrace_api_pool_losses_total") >= 6, "they are tried again")
        assert [status for status, _ in answers(api, known[:100])] == [200] * 100
        assert api.log_text().count("no connection to PostgreSQL") == 1 and "connected to PostgreSQL" not in api.log_text()
    finally:
        web.db.run("ALTER ROLE web CONNECTION LIMIT -1")
    wait_for(lambda: "connected to PostgreSQL, for look-ups" in api.log_text(), "they are made")


def test_the_server_goes(web):
    """Those under way are answered with 503, and all is well again."""
    api = web.start("--events", "held_events", "--threads", "1", "--query-timeout", "60s")
    known = ids(web)
    warm(api, known[0])
    holder = web.db.session()
    holder.run("SELECT pg_advisory_lock(18)")
    found = []
    clients = [threading.Thread(target=lambda i=i: found.append(api.get("/events/" + known[i]).status)) for i in range(10)]
    for c in clients:
        c.start()
    wait_for(lambda: api.metric("millrace_api_requests_in_flight") == 10 and waiting(web) > 0, "all are under way")
    web.cluster.stop("immediate")
    for c in clients:
        c.join(LIMIT)
    assert found == [503] * 10
    web.cluster.start()
    wait_for(lambda: api.get("/events/" + known[0]).status == 200, "served again")
    assert [status for status, _ in answers(api, known[:100])] == [200] * 100


def test_a_server_that_is_silent(web):
    """One deadline, then 503 at once."""
    proxy = Proxy(web.cluster)
    try:
        api = web.start("--query-timeout", "2s", "--threads", "1", dsn=proxy.dsn(web.db.name, "web"))
        known = ids(web)
        warm(api, known[0])
        assert [status for status, _ in answers(api, known[:50])] == [200] * 50
        proxy.blocked.set()
        assert api.get("/events/" + known[0]).status == 504
        found, took = zip(*[timed(lambda: api.get("/events/" + known[0])) for _ in range(5)])
        assert {a.json()["code"] for a in found} == {"MR-501"} and sorted(took)[2] < 1
        proxy.blocked.clear()
        wait_for(lambda: api.get("/events/" + known[0]).status == 200, "served again")
    finally:
        proxy.blocked.clear()
        proxy.close()


def test_a_column_of_another_type(web):
    """What was prepared fails once on each connection, which no client notices, and is prepared again."""
    api = web.start("--threads", "1")
    known = ids(web)
    lists = ["/events?limit=1", "/events?limit=1&type=humidity"] * 3
    warm(api, known[0])
    for path in lists:
        assert api.get(path).status == 200
    begin = web.cluster.log_position()
    web.db.run("ALTER TABLE events ALTER note TYPE varchar(1000)")

    def failed():
        return web.cluster.log_text(begin).count("cached plan must not change result type")

    def fail_in_a_round():
        before = failed()
        assert {status for status, _ in answers(api, known[:50])} == {200}
        assert {api.get(path).status for path in lists + ["/events/" + known[i] for i in range(10)]} == {200}
        return failed() - before

    assert fail_in_a_round() > 0
    wait_for(lambda: fail_in_a_round() == 0, "all is prepared again")


def test_a_relation_that_goes_and_comes(web):
    """A statement that cannot be prepared, or not any more, fails for those that ask then."""
    api = web.start("--threads", "1")
    known = ids(web)
    warm(api, known[0])
    web.db.run("ALTER TABLE events RENAME TO gone")
    assert {status for status, _ in answers(api, known[:50])} == {503}
    web.db.run("ALTER TABLE gone RENAME TO events")
    wait_for(lambda: {status for status, _ in answers(api, known[:50])} == {200}, "served again")
    # each reload has statements of its own: their connections are made again before they have many
    for _ in range(70):
        api.process.signal(1)
        wait_for(lambda: api.get("/events/" + known[1]).status == 200, "it serves")
    assert [status for status, _ in answers(api, known[:50])] == [200] * 50
