"""What streams of /events/stream cost, however many there are: how many read for themselves, one reader for those that follow, and
what is put by for a client that does not read."""
import http.client
import time

import pytest

from lib.api import killed_at_the_end
from lib.api_world import ApiWorld
from lib.event_stream import open_stream
from lib.wait import holds_for, wait_for

# A statement that reads rows of type "gated" waits as long as the test has the lock.
SCHEMA = """
    CREATE TABLE log (id bigint PRIMARY KEY, time timestamptz NOT NULL DEFAULT now(), type text NOT NULL, text text,
                      xid xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE INDEX ON log (time, id);
    CREATE INDEX ON log (xid, id);
    CREATE SEQUENCE number;
    CREATE FUNCTION gate(type text) RETURNS text LANGUAGE plpgsql STABLE AS $$
        BEGIN IF type = 'gated' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN type; END $$;
    CREATE VIEW gated AS SELECT id, time, type, gate(type) AS gate, text, xid FROM log;
    GRANT SELECT ON log, gated TO web;
"""
CATCH_UPS = 8
THREADS, POOL = 2, 24  # more connections than streams that could each use one
GATED = 5  # rows


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_stream_bounds")
    world.db.run(SCHEMA)
    world.db.run(f"ALTER ROLE web IN DATABASE {world.db.name} SET log_statement = 'all'")
    yield world
    world.close()


@pytest.fixture
def start(web):
    with killed_at_the_end(lambda *options: web.start("--events", "gated", *options)) as run:
        yield run


def insert(web, kind, count=1, text=""):
    web.db.run("INSERT INTO log (id, type, text) SELECT nextval('number'), %s, %s FROM generate_series(1, %s)", (kind, text, count))


def begun_streams(api, queries):
    streams = [open_stream(api, query) for query in queries]
    for stream in streams:
        assert stream.line() == "retry: 2000"
    return streams


def connections(web, condition="true"):
    return web.db.value(f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'web' AND {condition}")


def readers(web, streams):
    """Connections that have read, from before a row is written until all of these have it."""
    began = web.db.value("SELECT clock_timestamp()")
    insert(web, "news")
    for stream in streams:
        assert stream.next().json()["type"] == "news"
    return web.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'web'"
                        " AND query LIKE '%%stream_system%%' AND query_start > %s", (began,))


def follow(api, web, count):
    """Streams with several sets of parameters, once the process reads for all of them with one connection."""
    streams = begun_streams(api, [("", "?type=news", "?fields=id,type,gate", "?type=in.(news,other)")[i % 4] for i in range(count)])
    wait_for(lambda: readers(web, streams) == 1, "one connection reads for all")
    return streams


def test_one_reader(start, web, cluster):
    """Those that follow have no connection of their own and no statement: one each 100 ms is for all."""
    api = start("--threads", str(THREADS), "--pool", "2")
    kept = THREADS * 2 + 2  # one more for /events/all, and the one that reads
    wait_for(lambda: connections(web) == kept, "the process has its connections")
    streams = follow(api, web, 40)
    start_of_log, began = cluster.log_position(), time.monotonic()
    for _ in range(10):
        assert readers(web, streams) == 1
    asked, took = cluster.log_text(start_of_log).count("millrace.stream_system("), time.monotonic() - began
    assert 10 <= asked <= took / 0.1 + 2
    assert connections(web) == kept
    for stream in streams:
        stream.close()


def test_catch_ups(start, web):
    """Of many that come back eight read at a time; the others wait, are kept alive meanwhile, and have their rows in the end.
    Those that follow do not wait for them."""
    api = start("--threads", str(THREADS), "--pool", str(POOL), "--query-timeout", "5min", "--heartbeat", "300ms")
    (first,) = begun_streams(api, ["?fields=id"])
    insert(web, "gated", 1)
    place = first.next().id
    insert(web, "gated", GATED)
    first.close()
    followers = follow(api, web, 8)
    kept = THREADS * POOL + 2
    wait_for(lambda: connections(web) == kept, "the process has its connections")
    with web.db.session() as gate:
        gate.run("SELECT pg_advisory_lock(1)")
        late = [open_stream(api, "?type=gated&fields=id,gate", place) for _ in range(20)]
        wait_for(lambda: connections(web, "wait_event = 'advisory'") == CATCH_UPS, "as many read as may")
        for stream in late:
            while not stream.line().startswith(":"):
                pass  # what it begins with
        holds_for(lambda: connections(web, "wait_event = 'advisory'") == CATCH_UPS, "and no more", 1)
        assert readers(web, followers) == 1 and connections(web) == kept
    for stream in late:
        assert [stream.next().json()["gate"] for _ in range(GATED)] == ["gated"] * GATED
    insert(web, "gated", 1)
    assert len({stream.next().json()["id"] for stream in late}) == 1
    for stream in (*followers, *late):
        stream.close()


def test_a_client_that_does_not_read(start, web):
    """It is closed at the bound, the others have all rows, and it comes back for what it has not had."""
    api = start("--stream-buffer", "16kB")
    query = "?type=large&fields=id,text"
    slow = open_stream(api, query, receive_buffer=1024)
    good = open_stream(api, query)
    got, text = [], "x" * 4000

    def is_closed():
        insert(web, "large", text=text)
        got.append(int(good.next().json()["id"]))
        return api.metric("millrace_api_streams_slow_total") == 1

    for stream in (slow, good):
        assert stream.line() == "retry: 2000"
    wait_for(is_closed, "the slow one is closed")
    wanted = [n for (n,) in web.db.run("SELECT id FROM log WHERE type = 'large' ORDER BY id")]
    assert got == wanted
    had = []
    with pytest.raises(http.client.IncompleteRead):
        while True:
            had.append(slow.next())
    assert [int(event.json()["id"]) for event in had] == wanted[:len(had)] and 0 < len(had) < len(wanted)
    again = open_stream(api, query, had[-1].id)
    assert [int(again.next().json()["id"]) for _ in wanted[len(had):]] == wanted[len(had):]
    wait_for(lambda: api.metric("millrace_api_streams") == 2, "two are left")
    assert api.metric("millrace_api_streams_slow_total") == 1
    for stream in (slow, good, again):
        stream.close()


def test_silence(start):
    """A stream without rows is not silent: a proxy would close it."""
    (stream,) = begun_streams(start("--heartbeat", "300ms"), ["?type=none"])
    kept = []
    while len(kept) < 4:
        line = stream.line()
        assert line == "" or line.startswith((":", "id: "))
        kept += filter(None, [line])
    stream.close()
