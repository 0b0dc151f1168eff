"""GET /events/stream: rows as they are committed, each once, whatever order transactions commit in and however often a client
comes back."""
import random
import re
import resource
import socket
import threading
import time

import pytest

from lib.api import killed_at_the_end
from lib.api_world import ApiWorld
from lib.event_stream import EventStream, open_stream
from lib.wait import LIMIT, wait_for

SCHEMA = """
    CREATE TABLE log (id bigint PRIMARY KEY, time timestamptz NOT NULL DEFAULT now(), type text NOT NULL DEFAULT 'a', value double precision, text json,
                      xid xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE INDEX ON log (time, id);
    CREATE INDEX ON log (xid, id);
    CREATE SEQUENCE number;
    GRANT SELECT ON log TO web;
"""
MANY = 1200  # streams that begin at once
INSERT = "INSERT INTO log (id, type) SELECT nextval('number'), %s FROM generate_series(1, %s)"


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_event_stream")
    world.db.run(SCHEMA)
    yield world
    world.close()


@pytest.fixture
def start(web):
    with killed_at_the_end(lambda *options: web.start("--events", "log", *options)) as run:
        yield run


def take(stream, count):
    return [stream.next() for _ in range(count)]


def ids(events):
    return [int(e.json()["id"]) for e in events]


def numbers(web, kind="a"):
    return {n for (n,) in web.db.run("SELECT id FROM log WHERE type = %s", (kind,))}


def test_rows_as_they_are_committed(start, web):
    """From the moment that the stream has begun, with the columns as the list has them, and where to go on from."""
    api = start("--heartbeat", "300ms")
    web.db.run(INSERT, ("before", 3))
    stream = open_stream(api)
    wait_for(lambda: stream.line() == "retry: 2000", "it begins")
    web.db.run("INSERT INTO log (id, type, value, text) VALUES (nextval('number'), 'first', 1.5, E'{\"a\":\\r\\n 1}')")
    first = stream.next()
    # transactions that write no row of it are none of its
    for _ in range(3):
        web.db.run("SELECT pg_current_xact_id()")
    (row,) = api.get("/events?limit=1").json()
    assert first.json() == row and row["type"] == "first" and row["text"] == {"a": 1} and isinstance(row["id"], str)
    web.db.run(INSERT, ("b", 5))
    assert [e.json()["type"] for e in take(stream, 5)] == ["b"] * 5
    assert [e.json()["type"] for e in take(open_stream(api, last_id=first.id), 5)] == ["b"] * 5
    # a stream whose rows do not come gets its position, for when it comes back
    quiet = open_stream(api, "?type=none")
    assert quiet.line() == "retry: 2000"
    seen = set()
    while len(seen) < 2:
        web.db.run(INSERT, ("c", 1))
        field, _, value = quiet.line().partition(": ")
        if field == "id":
            seen.add(value)
    quiet.close()
    stream.close()


def test_filters_and_fields(start, web):
    api = start()
    streams = [open_stream(api, q) for q in ("?type=x", "?type=in.(x,y)&fields=id", "?value=gte.2.5&fields=id,value", "?from=2100-01-01T00:00:00Z", "")]
    for s in streams:
        assert s.line() == "retry: 2000"
    web.db.run("INSERT INTO log (id, type, value, time) SELECT nextval('number'), t, v, at::timestamptz FROM (VALUES ('x', 1, '2026-01-01'), ('y', 2, '2026-01-01'),"
               " ('z', 2.5, '2026-01-01'), ('x', 3, '2100-01-01')) AS r (t, v, at)")
    web.db.run("INSERT INTO log (id, type, time) VALUES (nextval('number'), 'x', '2100-01-01')")
    events = [take(s, n) for s, n in zip(streams, (3, 4, 2, 2, 5))]
    assert [e.json()["type"] for e in events[0]] == ["x"] * 3 and all(list(e.json()) == ["id"] for e in events[1])
    assert [e.json()["value"] for e in events[2]] == [2.5, 3] and all(e.json()["type"] == "x" for e in events[3])
    assert ids(events[1]) == [i for e, i in zip(events[4], ids(events[4])) if e.json()["type"] in "xy"]
    for s in streams:
        s.close()
    for query, status, code in (("?typ=x", 400, "MR-110"), ("?limit=5", 400, "MR-110"), ("?value=x", 400, "MR-111"), ("?fields=nothing", 400, "MR-111"),
                                ("?from=x", 400, "MR-111"), ("?text=1", 400, "MR-111"), ("?text=in.(1,2)", 400, "MR-111")):
        answer = api.get("/events/stream" + query, Accept="text/event-stream")
        assert (answer.status, answer.json()["code"]) == (status, code), query
    assert {api.get("/events/stream" + q).json()["hint"] for q in ("?page=1", "?something=1", "?limit=5")} == {"A stream has filters by column, from, to, q and fields."}
    assert api.get("/events/stream", Accept="application/json").status == 406
    wait_for(lambda: api.metric("millrace_api_streams") == 0, "all have left")
    many = [open_stream(api, f"?type={i}") for i in range(16)]
    answer = api.get("/events/stream?type=more")
    assert (answer.status, answer.json()["code"]) == (503, "MR-503")
    same = open_stream(api, "?type=3")
    for s in (*many, same):
        s.close()
    wait_for(lambda: open_stream(api, "?type=more").close() is None, "there is room again")


def test_where_it_cannot_go_on(start, web, cluster):
    api = start()
    stream = open_stream(api)
    web.db.run(INSERT, ("a", 1))
    token = stream.next().id
    stream.close()
    version, system, since, until, xid, id_ = token.split(".")

    def answer(last_id):
        refused = EventStream(api, "/events/stream", {"Last-Event-ID": last_id})
        return refused.status, refused.response.read().decode() if refused.status != 200 else ""

    assert answer(token.replace(system, "1-2-3-4"))[0] == 410 and '"MR-406"' in answer(token.replace(system, "1-2-3-4"))[1]
    future = f"1.{system}.{10 ** 17}-0"
    assert answer(future)[0] == 410
    for wrong in ("", "x", "1", f"1.{system}", f"1.{system}.", f"1.{system}.5", f"1.{system}.5-1-9", f"1.{system}.{since}.{until}",
                  f"1.{system}.{since}.{until}.x.{id_}", f"1.{system}.{since}.{until}.{xid}.", f"2.{system}.{since}", f"1.{system}.{since}.{until}.{xid}.{id_} ;",
                  f"1.{system}.{'9' * 30}-1", f"1.{system}.{since}.1-1.{xid}.{id_}"):
        if wrong:
            status, text = answer(wrong)
            # the id is a value like any other: what it must be is known to PostgreSQL
            assert status == 400 and ('"MR-111"' if wrong.endswith(";") else '"MR-112"') in text, (wrong, status, text)
    # a relation that cannot be followed says what it lacks
    other = ApiWorld(cluster, "api_no_stream")
    try:
        refused = other.start().get("/events/stream")
        assert (refused.status, refused.json()["code"]) == (404, "MR-405") and "ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id()" in refused.json()["hint"]
    finally:
        other.close()


def write(web, stop, kind):
    """Transactions of all kinds: short and long, with savepoints, rolled back, and several that commit out of order."""
    with web.db.session() as s:
        while not stop.is_set():
            s.run("BEGIN")
            s.run(INSERT, (kind, random.choice((1, 1, 2, 30))))
            if random.random() < 0.3:
                s.run("SAVEPOINT a")
                s.run(INSERT, (kind, 3))
                s.run(random.choice(("ROLLBACK TO a", "RELEASE a")))
            time.sleep(random.choice((0, 0, 0.002, 0.02, 0.3)))
            s.run("COMMIT" if random.random() < 0.9 else "ROLLBACK")


def test_nothing_is_lost_and_nothing_comes_twice(start, web):
    """Eight concurrent writers, a transaction that lasts all the time, and clients that leave a thousand times at any moment and
    come back with the last id they have, to either of two processes."""
    web.db.run("TRUNCATE log")
    apis = [start(), start()]
    first = open_stream(apis[0])
    assert first.line() == "retry: 2000" and first.line() == ""
    begin = first.line().removeprefix("id: ")
    first.close()
    stop, failures = threading.Event(), []
    seen, visits = [[] for _ in range(6)], [0] * 6

    def read(number, chance):
        last_id, ended = begin, False
        try:
            while not ended:
                stream = open_stream(chance.choice(apis), "?type=in.(a,end)&fields=id,type", last_id, timeout=60)
                for _ in range(chance.choice((0, 1, 2, 5, 20, 100))):
                    event = stream.next()
                    last_id = event.id
                    seen[number].append(int(event.json()["id"]))
                    if event.json()["type"] == "end":
                        ended = True
                        break
                stream.close()
                visits[number] += 1
        except Exception as e:
            failures.append((number, repr(e), len(seen[number]), last_id))

    slow = web.db.session()
    slow.run("BEGIN")
    slow.run(INSERT, ("a", 5))
    threads = [threading.Thread(target=write, args=(web, stop, "a")) for _ in range(8)]
    readers = [threading.Thread(target=read, args=(i, random.Random(i))) for i in range(len(seen))]
    for t in threads + readers:
        t.start()
    try:
        # a thousand, unless the machine is too slow for it: what is proven is proven by a hundred
        begun = time.monotonic()
        wait_for(lambda: sum(visits) >= 1000 or failures or time.monotonic() > begun + 40 and sum(visits) >= 100, "many disconnects", 120)
    finally:
        stop.set()
        for t in threads:
            t.join()
        slow.run("COMMIT")
        web.db.run(INSERT, ("end", 1))
        for t in readers:
            t.join(240)
    assert not failures
    wanted = numbers(web) | numbers(web, "end")
    for rows in seen:
        assert len(rows) == len(set(rows)), "a row came twice"
        assert set(rows) == wanted, "a row was lost"
        # in the order of commits: the slow transaction's rows are behind those that began after it
        assert rows.index(min(rows)) > 10


def test_more_than_a_page_at_once(start, web):
    """A large transaction, and others while its pages are read: in the order of commits, each row once."""
    api = start()
    stream = open_stream(api, "?type=many&fields=id")
    assert stream.line() == "retry: 2000"
    web.db.run(INSERT, ("many", 4500))
    web.db.run(INSERT, ("many", 3))
    got = ids(take(stream, 4503))
    assert got == sorted(numbers(web, "many"))
    web.db.run(INSERT, ("many", 1))
    assert int(stream.next().json()["id"]) == max(numbers(web, "many"))
    stream.close()


def test_old_positions(start, web):
    """More clients that catch up than may at a time, over many pages."""
    api = start()
    first = open_stream(api)
    web.db.run(INSERT, ("old", 1))
    token = first.next().id
    first.close()
    web.db.run(INSERT, ("old", 5000))
    streams = [open_stream(api, "?type=old&fields=id", token) for _ in range(20)]
    for s in streams:
        assert len(set(ids(take(s, 5000)))) == 5000
    web.db.run(INSERT, ("old", 1))
    last = {ids([s.next()])[0] for s in streams}
    assert len(last) == 1
    for s in streams:
        s.close()


def answer_of(stream):
    """(status line, what follows the head as far as it was read) of a bare connection's answer."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += stream.recv(65536) or pytest.fail(f"it ended: {text}")
    head, _, rest = text.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), rest


def rows_of(stream, text):
    """Numbers of the rows up to that of type end."""
    while b'"type":"end"' not in text:
        text += stream.recv(1 << 20) or pytest.fail("it ended")
    return [int(n) for n in re.findall(rb'"id":"(\d+)"', text)]


def test_many_that_begin_at_once(start, web):
    """More than the pool lets wait: a third where an earlier stream was, the others at the present, while rows are committed."""
    web.db.run("TRUNCATE log")
    api = start("--threads", "1", "--heartbeat", "60s")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    earlier = open_stream(api, "?fields=id,type")
    web.db.run(INSERT, ("many", 1))
    place = earlier.next()
    stop = threading.Event()

    def commit():
        with web.db.session() as s:
            while not stop.is_set():
                s.run(INSERT, ("many", 1))
                time.sleep(0.01)

    writer = threading.Thread(target=commit)
    writer.start()
    streams = []
    try:
        for _ in range(MANY):
            streams.append(socket.create_connection(("127.0.0.1", api.port), timeout=LIMIT))
        for i, stream in enumerate(streams):
            last = f"Last-Event-ID: {place.id}\r\n" if i % 3 == 0 else ""
            stream.sendall(f"GET /events/stream?fields=id,type HTTP/1.1\r\nHost: localhost\r\n{last}Accept: text/event-stream\r\n\r\n".encode())
        begun = [answer_of(stream) for stream in streams]
        assert {status for status, _ in begun} == {"HTTP/1.1 200 OK"}
    finally:
        stop.set()
        writer.join()
    web.db.run(INSERT, ("end", 1))
    found = [rows_of(stream, rest) for stream, (_, rest) in zip(streams, begun)]
    wanted = sorted(numbers(web, "many") | numbers(web, "end"))  # committed in this order, one by one
    for i, rows in enumerate(found):
        assert rows == wanted[-len(rows):], "a row is missing, or came twice"
        assert i % 3 or rows[0] == int(place.json()["id"]) + 1
    for stream in streams:
        stream.close()
    earlier.close()
    assert api.metric("millrace_api_queries_refused_total") == 0


def test_the_database_is_away(start, web, cluster):
    """The stream says so, and goes on behind the last row when it is back."""
    api = start()
    stream = open_stream(api)
    assert stream.line() == "retry: 2000"
    web.db.run(INSERT, ("a", 1))
    last = stream.next()
    cluster.kill_postmaster()
    try:
        event = stream.next()
        assert (event.name, event.json()["status"]) == ("problem", 503)
    finally:
        cluster.start()
    with web.db.session() as s:
        wait_for(lambda: s.value("SELECT 1") == 1, "the server is back")
        s.run(INSERT, ("back", 2))
    events = take(stream, 2)
    assert [e.json()["type"] for e in events] == ["back", "back"] and last.id != events[0].id
    stream.close()
