"""A new window is filled with the rows that were there before it, in stretches, while events flow: nobody waits for that, what it shows is right at any
moment, and it goes on where it was after a crash."""
import json
import random

import psycopg2
import pytest

from lib.crash_on import create_crash_on
from lib.events import Events
from lib.wait import LIMIT, wait_for
from test_copies import restore
from test_crashes import query
from test_exactly_once import kill_postmaster, kill_worker
from test_kafka_shapes import produce
from test_target_changes import Feed
from test_window_output import check_last, make, revisions, wait_published
from test_windows import STREAM, STREAM_EXACT, check_exact, grouped, window

SECOND = grouped(STREAM_EXACT, "date_bin('1 s', ts, '2000-01-01')", ("source",), "true", "reading")
KINDS = grouped("count(*) AS n, count(DISTINCT value) AS kinds", "date_bin('5 s', ts, '2000-01-01')", ("source",), "true", "reading")
SLIDING = """SELECT date_bin('2 s', ts, '2000-01-01') - k * interval '2 s' AS window_start, source, count(*) AS n
             FROM reading CROSS JOIN generate_series(0, 4) AS k GROUP BY 1, 2"""
TRUTH = dict(by_second=SECOND, kinds=KINDS, sliding=SLIDING)
LATE = 600  # seconds from when a stretch that a test takes by hand would be due


def create_windows(world):
    window(world, "by_second", wait=False, event_time="ts", size="1 s", group_by=["source"], aggregates=STREAM)
    window(world, "kinds", wait=False, event_time="ts", size="5 s", group_by=["source"], aggregates="count(*) AS n, count(DISTINCT value) AS kinds")
    window(world, "sliding", wait=False, event_time="ts", size="10 s", slide="2 s", group_by=["source"])
    with world.db.session("app") as s:
        s.run("""SELECT millrace.create_session_window('visits', %s, event_time => 'ts', gap => '2 s', max_session => '1 min', group_by => '{source}',
                 aggregates => 'count(*) AS n, sum(value) AS v')""", (world.pipeline_name,))


def short_stretches(world, rows):
    """However fast they are, so that there are many."""
    world.db.run(f"""CREATE FUNCTION short() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stretch := {rows}; RETURN NEW; END $$;
                     CREATE TRIGGER short BEFORE INSERT OR UPDATE ON millrace.window_backfill FOR EACH ROW EXECUTE FUNCTION short()""")


def by_hand(world):
    """No worker finds a stretch due, unless its time is -infinity."""
    world.db.run(f"""CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                       IF isfinite(NEW.due_at) THEN NEW.due_at := clock_timestamp() + interval '{LATE} s'; END IF; RETURN NEW; END $$;
                     CREATE TRIGGER later BEFORE INSERT OR UPDATE ON millrace.window_backfill FOR EACH ROW EXECUTE FUNCTION later()""")


def step(session, name):
    """In its transaction; workers do not see it before that ends."""
    session.run("UPDATE millrace.window_backfill SET due_at = '-infinity' WHERE window_id = (SELECT id FROM millrace.window_definition WHERE name = %s)", (name,))
    # a worker that folds has the window for a moment
    wait_for(lambda: session.value("SELECT millrace._backfill_step(id) FROM millrace.window_definition WHERE name = %s", (name,)) != 100000, "a stretch is done")


def check_covered(db, name, query):
    """What it shows, and what is committed, as one statement sees both."""
    with db.session() as session, session.connection.cursor() as cursor:
        cursor.execute(f"{query} LIMIT 0")
        columns = ", ".join(column.name for column in cursor.description)
    found = db.run(f"""
        WITH q AS MATERIALIZED ({query}), v AS MATERIALIZED (SELECT {columns} FROM millrace.window_{name}),
             w AS (SELECT CASE WHEN w.backfilled THEN '-infinity' ELSE coalesce(w.backfill_reached, 'infinity') END AS reached FROM millrace.windows AS w WHERE w.name = '{name}')
        SELECT 'shown', v::text FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM q) AS v UNION ALL
        SELECT 'missing', q::text FROM (SELECT * FROM q EXCEPT ALL SELECT * FROM v) AS q, w WHERE q.window_start >= w.reached""")
    assert found == [], f"{name}: {len(found)} differences: {found[:4]}"


def check_sessions(world):
    """They are as a rebuild makes them."""
    query = "SELECT window_start, window_end, source, n FROM millrace.window_visits ORDER BY 1, 2, 3"
    shown = world.db.run(query)
    world.db.run("SELECT millrace.rebuild_window('visits')")
    assert shown == world.db.run(query) and sum(row[3] for row in shown) == world.db.value("SELECT count(*) FROM reading")


@pytest.mark.parametrize("kill", [None, kill_worker, kill_postmaster])
def test_filled_while_events_flow(world, kill):
    """Two workers, several partitions, events that are tried again; killed again and again in the middle of it."""
    draw = random.Random(8)
    short_stretches(world, 600)
    world.create_topic()
    world.create_pipeline(workers=2, batch_rows=500, retry_delay="300 ms")
    with world.db.session("app") as s:
        s.run("CREATE INDEX ON reading (ts); CREATE INDEX ON reading (source, ts)")
    world.start_ingestor()
    first = Events(20000, seed=31, broken=1, filtered=5).send(world.broker, world.topic)
    world.wait_settled()
    second = Events(30000, seed=32, broken=1, db_refused=0.5, filtered=5)
    generator = world.start_generator(second, "--rate", "5000")
    create_windows(world)
    shares, kills = {}, 0
    state = "SELECT name, backfilled, backfill_share, failing_error FROM millrace.windows"
    while not all(filled for _, filled, *_ in world.db.run(state)):
        for name, filled, share, error in world.db.run(state):
            assert error is None and share >= shares.get(name, 0) and (filled or share < 1)
            shares[name] = share
        for name, query in TRUTH.items():
            check_covered(world.db, name, query)
        if kill is not None and kills < 3 and any(0.1 + kills / 5 < share < 1 for share in shares.values()):
            kill(world, draw)
            wait_for(lambda: world.lag() is not None, "it goes on")
            kills += 1
    assert kills > 0 or kill is None
    generator.popen.wait(300)
    world.wait_settled()
    world.check(first, second)
    for name, query in TRUTH.items():
        check_exact(world.db, f"millrace.window_{name}", query)
    check_sessions(world)


class Filled:
    """A window over rows that were there, filled by hand, and what is fed by hand."""

    def __init__(self, world, **arguments):
        self.world = world
        by_hand(world)
        short_stretches(world, 40)
        self.feed = Feed(world, "CREATE TABLE t (n int, at timestamptz); CREATE INDEX ON t (at)", "n int, at timestamptz", "SELECT n, at FROM event", partitions=1, **arguments)
        self.sent = 0
        self.send(300)
        window(world, "w", wait=False)

    def send(self, n):
        self.feed.send(*(json.dumps(dict(n=k, at=f"2026-01-01T{k * 7919 % 300 // 60:02}:{k * 7919 % 60:02}:00Z")) for k in range(self.sent, self.sent + n)))
        self.sent += n
        self.feed.settled()

    def check(self):
        check_covered(self.world.db, "w", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, count(*) AS n FROM t GROUP BY 1")

    def bound(self, db=None):
        return (db or self.world.db).value("SELECT backfill_reached FROM millrace.windows")


def test_batches_are_committed_while_a_stretch_is_open(world):
    """Neither batches nor verbs of the pipeline, nor readers, wait for it; what comes meanwhile is counted once."""
    filled = Filled(world)
    filled.check()
    for k in range(3):
        with world.db.session(autocommit=False) as s:
            step(s, "w")
            filled.send(50)
            with world.db.session("app") as verb:
                verb.run("SET lock_timeout = '10 s'; SELECT millrace.pause(%s)", (world.pipeline_name,))
                verb.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
            filled.send(50)
            filled.check()
            s.connection.commit() if k != 1 else s.connection.rollback()
        filled.check()
        filled.send(20)
        filled.check()
    assert filled.bound() is not None
    world.db.run("DROP TRIGGER later ON millrace.window_backfill; UPDATE millrace.window_backfill SET due_at = '-infinity'")
    with world.db.session("app") as s:
        s.run("CALL millrace.wait_for_window('w')")
    filled.check()
    assert filled.bound() is None and world.db.value("SELECT sum(n) FROM millrace.window_w") == filled.sent


def test_dump_and_restore_in_the_middle(world):
    """The copy goes on where it was, when it is adopted."""
    filled = Filled(world)
    with world.db.session() as s:
        step(s, "w")
    filled.send(30)
    copy = restore(world, world.name + "_copy")
    assert filled.bound(copy) == filled.bound() is not None
    copy.run("SELECT millrace.grant_ingestor('ingestor')")
    with copy.session("app") as s:
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="another instance"):
            s.run("CALL millrace.wait_for_window('w')")
        s.run("SELECT millrace.adopt(%s)", (world.pipeline_name,))
    copy.run("UPDATE millrace.window_backfill SET due_at = '-infinity'")
    with copy.session("app") as s:
        s.run("CALL millrace.wait_for_window('w', %s)", (f"{LIMIT} s",))
    check_covered(copy, "w", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, count(*) AS n FROM t GROUP BY 1")
    assert copy.value("SELECT sum(n) FROM millrace.window_w") == filled.sent


def test_paused_and_failing(world):
    """It goes on when the pipeline does; an error is shown, found, and no more when it can be filled."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz); CREATE INDEX ON t (at)", "n int, at timestamptz", "SELECT n, at FROM event")
    feed.send(*(json.dumps(dict(n=n, at="2026-01-01T00:00:00Z")) for n in (0, 1, 2))).settled()
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        window(world, "w", wait=False, aggregates="sum(100 / n) AS s")
        assert world.db.value("SELECT backfill_waits FROM millrace.windows") == "its pipeline is paused"
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
        wait_for(lambda: world.db.value("SELECT failing_error FROM millrace.windows") == "division by zero", "it fails")
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="division by zero"):
            s.run("CALL millrace.wait_for_window('w')")
        world.db.run("UPDATE millrace.window_failure SET since = since - interval '2 min'")
        found = "SELECT detail FROM millrace.doctor() WHERE what = 'window \"w\" cannot be filled'"
        assert "division by zero (SQLSTATE 22012)" in world.db.value(found)
        feed.send(json.dumps(dict(n=4, at="2026-01-01T00:00:01Z"))).settled()
        s.run("UPDATE t SET n = 5 WHERE n = 0")
        wait_for(lambda: world.db.value("SELECT backfilled FROM millrace.windows"), "it is filled")
    assert world.db.value(found) is None
    assert world.db.run("SELECT s FROM millrace.window_w") == [(100 // 5 + 100 + 50 + 25,)]


def test_one_that_is_locked_keeps_no_other(world):
    """By a rebuild, say, however long that takes."""
    Filled(world)
    window(world, "other", wait=False)
    with world.db.session(autocommit=False) as s:
        s.run("SELECT millrace._lock_window(id, true) FROM millrace.window_definition WHERE name = 'w'")
        world.db.run("DROP TRIGGER later ON millrace.window_backfill; UPDATE millrace.window_backfill SET due_at = '-infinity'")
        wait_for(lambda: world.db.value("SELECT backfilled FROM millrace.windows WHERE name = 'other'"), "the other one is filled")
        assert not world.db.value("SELECT backfilled FROM millrace.windows WHERE name = 'w'")
        s.connection.rollback()
    wait_for(lambda: world.db.value("SELECT backfilled FROM millrace.windows WHERE name = 'w'"), "it is filled")


def test_dropped_while_it_is_filled(world):
    """By a stretch that takes for ever: the error says how it is ended, and that it is one."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz)", "n int, at timestamptz", "SELECT n, at FROM event")
    feed.send(json.dumps(dict(n=1, at="2026-01-01T00:00:00Z"))).settled()
    with world.db.session("app") as s:
        s.run("CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(3600); RETURN n; END $$")
        window(world, "w", wait=False, aggregates="sum(slow(n)) AS s")
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query = 'filling windows' AND wait_event = 'PgSleep'"
        wait_for(lambda: world.db.value(busy) == 1, "it is being filled")
        with pytest.raises(psycopg2.errors.LockNotAvailable, match="in use by another session") as raised:
            s.run("SELECT millrace.drop_window('w')")
        assert "a worker that fills it" in raised.value.diag.message_detail
        for statement in raised.value.diag.message_hint.split("fills: ")[1].split("; "):
            s.run(statement)
        s.run("SELECT millrace.drop_window('w')")
        assert world.db.value(busy) == 0
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
        feed.send(json.dumps(dict(n=2, at="2026-01-01T00:00:00Z"))).settled()


def test_a_fold_that_fails_is_found(world):
    """With its error, for as long as it fails."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz)", "n int, at timestamptz", "SELECT n, at FROM event")
    window(world, "w")
    id = world.db.value("SELECT id FROM millrace.window_definition")
    world.db.run(f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no fold' USING ERRCODE = '58000'; END $$;
                     CREATE TRIGGER fail BEFORE DELETE ON millrace._window_{id}_partial FOR EACH STATEMENT EXECUTE FUNCTION fail()""")
    feed.send(json.dumps(dict(n=1, at="2026-01-01T00:00:00Z"))).settled()
    wait_for(lambda: world.db.value("SELECT failing FROM millrace.windows") == "fold", "it fails")
    assert world.db.run("SELECT failing_sqlstate, failing_error FROM millrace.windows") == [("58000", "no fold")]
    found = "SELECT severity, detail FROM millrace.doctor() WHERE what = 'window \"w\" cannot be folded'"
    assert world.db.run(found) == []  # young errors come and go
    world.db.run("UPDATE millrace.window_failure SET since = since - interval '2 min'")
    severity, detail = world.db.run(found)[0]
    assert severity == "error" and "no fold (SQLSTATE 58000)" in detail
    world.db.run(f"DROP TRIGGER fail ON millrace._window_{id}_partial")
    wait_for(lambda: world.db.value("SELECT failing FROM millrace.windows") is None, "it is folded")
    assert world.db.run(found) == []


def test_published_when_it_is_filled(world):
    """Not before, and then with all the rows of each window: each group once."""
    by_hand(world)
    short_stretches(world, 100)
    with world.db.session("app") as s:
        s.run("CREATE TABLE t (id bigint, source text, at timestamptz, v int); CREATE INDEX ON t (at)")
        s.run("INSERT INTO t SELECT i, 's' || i % 7, timestamptz '2025-12-31 23:00:00+00' + i * interval '2 s', i FROM generate_series(1, 2000) AS i")
    make(world, partitions=1, ddl=None, wait=False)
    world.start_ingestor()
    for k in range(4):
        produce(world, dict(value=json.dumps(dict(id=10000 + k, source="s1", at=f"2026-01-01T00:{k * 10 + 5:02}:00Z", v=1)).encode()))
        world.wait_settled()
        with world.db.session() as s:
            s.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
            step(s, "w")
    assert world.db.value("SELECT watermark IS NOT NULL AND NOT backfilled FROM millrace.windows") and revisions(world) == {}
    world.db.run("DROP TRIGGER later ON millrace.window_backfill; UPDATE millrace.window_backfill SET due_at = '-infinity'")
    wait_published(world)
    found = revisions(world)
    assert all(len(values) == 1 for values in found.values())
    assert check_last(world, found) > 200


def test_stretch_that_crashes_the_server(world):
    """It is tried again later and later, which doctor() says, and events go on meanwhile."""
    create_crash_on(world.db)
    feed = Feed(world, "CREATE TABLE t (n int, v text, at timestamptz DEFAULT now()); CREATE INDEX ON t (at); INSERT INTO t VALUES (1, 'segv'), (2, 'x')")
    db = world.db
    db.run("ALTER FUNCTION crash_on IMMUTABLE")
    window(world, "w", wait=False, aggregates="max(crash_on(v)) AS v", size="1 h", group_by=["n"])
    rests = "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM millrace.window_backfill WHERE crashes = %s AND tried_by IS NULL"

    def crashed(times):
        """Seconds that it rests then."""
        wait_for(lambda: query(world, rests, (times,)) != [], f"{times} crashes")
        return query(world, rests, (times,))[0][0]

    assert crashed(2) <= 5
    assert 5 < crashed(3) <= 10
    db.run("UPDATE millrace.window_failure SET since = since - interval '1 min'")  # doctor() says nothing of a shorter failure
    finding = db.value("SELECT detail FROM millrace.doctor() WHERE detail LIKE '%%3 times in a row%%'")
    assert "the server crashed, or was stopped, 3 times in a row while a worker read a stretch of it" in finding
    assert db.value("SELECT failing_sqlstate FROM millrace.windows") == "57P02"
    with pytest.raises(psycopg2.Error, match="is not filled"), db.session("app") as s:
        s.run("CALL millrace.wait_for_window('w', '1 min')")
    feed.lane = type(feed.lane)(db, world.pipeline_name).assign([0])
    feed.send('{"n":3,"v":"y"}').settled()
    db.run("UPDATE t SET v = 'z' WHERE n = 1; UPDATE millrace.window_backfill SET due_at = '-infinity'")
    wait_for(lambda: db.value("SELECT backfilled AND failing IS NULL FROM millrace.windows"), "filled")
    assert db.run("SELECT n, v FROM millrace.window_w ORDER BY n") == [(1, "z"), (2, "x"), (3, "y")]


def test_stretch_that_is_canceled(world):
    """It is no crash, whatever becomes of the worker."""
    Feed(world, "CREATE TABLE t (n int, v text, at timestamptz DEFAULT now()); CREATE INDEX ON t (at); INSERT INTO t VALUES (1, 'x')")
    db = world.db
    db.run("CREATE FUNCTION slow(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(600); RETURN v; END $$")
    window(world, "w", wait=False, aggregates="max(slow(v)) AS v", size="1 h", group_by=["n"])
    worker = wait_for(lambda: db.value("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "a stretch is read")
    db.run("SELECT millrace.pause(%s)", (world.pipeline_name,))  # what is canceled is not tried again at once
    db.run("SELECT pg_cancel_backend(%s)", (worker,))
    wait_for(lambda: db.value("SELECT tried_by IS NULL FROM millrace.window_backfill"), "it is released")
    db.run("CREATE OR REPLACE FUNCTION slow(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT v $$")
    db.run("SELECT pg_terminate_backend(%s)", (worker,))
    wait_for(lambda: not db.value("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", (worker,)), "it has ended")
    db.run("""CREATE TABLE crashes (n int);
              CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.crashes VALUES (NEW.crashes); RETURN NEW; END $$;
              CREATE TRIGGER noted AFTER UPDATE ON millrace.window_backfill FOR EACH ROW EXECUTE FUNCTION noted()""")
    db.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    wait_for(lambda: db.value("SELECT backfilled AND failing IS NULL FROM millrace.windows"), "filled")
    assert db.run("SELECT n, v FROM millrace.window_w") == [(1, "x")]
    assert db.run("SELECT DISTINCT n FROM crashes") == [(0,)]
