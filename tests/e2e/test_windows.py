"""Windows equal GROUP BY over the target: whatever comes, in whatever order, and whoever is killed meanwhile."""
import json
import math
import random

import psycopg2
import pytest

from lib.events import Events
from lib.lane import Lane
from lib.wait import wait_for
from test_copies import restore
from test_exactly_once import kill_ingestor, kill_postmaster, kill_worker
from test_target_changes import Feed

TABLE = "CREATE TABLE t (id bigint, source text, at timestamptz, i int, x numeric, f float8, ok boolean, made timestamptz DEFAULT now(), part int DEFAULT random() * 4)"
FIELDS = "id bigint, source text, at timestamptz, i int, x numeric, f float8, ok boolean"
TRANSFORM = "SELECT id, source, at, i, x, f, ok FROM event WHERE source IS DISTINCT FROM 'filtered'"
EXACT = """count(*) AS n, count(i) AS ni, sum(i) AS si, sum(id) AS sid, sum(x) AS sx, min(x) AS low, max(source) AS last_source, avg(i) AS ai,
           avg(x) AS ax, avg(id) AS aid, var_samp(i) AS vi, variance(x) AS vx, var_pop(x) AS vpx, stddev(i) AS di, stddev_pop(x) AS dpx,
           stddev_samp(id) AS did, bool_and(ok) AS all_ok, every(ok) AS every_ok, bit_and(i) AS bit_a, bool_or(ok) AS some_ok, bit_or(i) AS bits, bit_xor(i) AS bit_x,
           count(*) FILTER (WHERE i % 2 = 0) AS even, max(i) - min(i) AS spread, 100.0 * count(x) / count(*) AS share,
           millrace.first(x, at) AS fx, millrace.last(source, at) FILTER (WHERE i > 3) AS ls, millrace.last(i, date_trunc('minute', at)) AS li"""
DEFAULTS = "count(*) AS n, sum(part * i) AS pi, min(made) AS oldest"  # of columns that no event gives
FLOATS = "sum(f) AS sf, avg(f) AS af, var_samp(f) AS vf, stddev_pop(f) AS df"


def window(world, name, wait=True, **arguments):
    """Made by the owner of the pipeline, and filled."""
    arguments = dict(dict(name=name, pipeline=world.pipeline_name, event_time="at", size="1 min", aggregates="count(*) AS n"), **arguments)
    call = ", ".join(f'"{key}" => %({key})s' for key in arguments)
    with world.db.session("app") as s:
        s.run(f"SELECT millrace.create_window({call})", arguments)
        if wait:
            s.run("CALL millrace.wait_for_window(%s)", (name,))


def grouped(aggregates, start="date_bin('1 min', at, '2000-01-01')", keys=("source",), where="isfinite(at)", table="t"):
    names = ", ".join(keys)
    return (f"SELECT {start} AS window_start, {names}, {aggregates} FROM {table} WHERE {where} GROUP BY 1, {names}")


def differences(db, relation, query):
    """Rows that one has and the other has not, as text: digits count."""
    with db.session() as session, session.connection.cursor() as cursor:
        cursor.execute(f"{query} LIMIT 0")
        kept = f"SELECT {', '.join(column.name for column in cursor.description)} FROM {relation}"
    return db.run(f"""SELECT 'kept', k::text FROM ({kept}) AS k EXCEPT ALL SELECT 'kept', g::text FROM ({query}) AS g
                      UNION ALL (SELECT 'grouped', g::text FROM ({query}) AS g EXCEPT ALL SELECT 'grouped', k::text FROM ({kept}) AS k)""")


def check_exact(db, relation, query):
    found = differences(db, relation, query)
    assert found == [], f"{len(found)} differences: {found[:4]}"


def check_floats(db, relation="millrace.window_floats", table="t"):
    """Addition of double precision is not associative."""
    kept = {r[0:2]: r[2:] for r in db.run(f"SELECT window_start::text, source, sf, af, vf, df FROM {relation}")}
    truth = {r[0:2]: r[2:] for r in db.run(grouped(FLOATS + ", sum(abs(f)), sum(f * f), count(f)", "date_bin('1 min', at, '2000-01-01')::text", where=NEAR, table=table))}
    assert kept.keys() == truth.keys()
    for key, (sf, af, vf, df, sum_abs, sum_square, n) in truth.items():
        for found, expected, scale in zip(kept[key], (sf, af, vf, df), (sum_abs, sum_abs, sum_square, sum_abs)):
            if expected is None:
                assert found is None
                continue
            # the deviation's square is what is exact to the last digits
            bound = 1e-12 * scale if expected is not df else 1e-9 * math.sqrt(sum_square / n)
            assert abs(found - expected) <= bound, (key, found, expected)


def payloads(draw, n, first):
    """Out of order by up to an hour, some of them late by a day; nulls, the same values again, what cannot be written."""
    for id in range(first, first + n):
        minute = draw.randrange(60) if draw.random() < 0.95 else draw.randrange(1440)
        event = dict(id=id, source=draw.choice(["a", "b", "ü", None, "filtered"]), i=draw.choice([None, draw.randrange(-9, 100)]),
                     at=f"2026-03-29T{minute // 60:02}:{minute % 60:02}:{draw.randrange(60):02}.{draw.randrange(1000):03}Z",
                     x=draw.choice([None, str(draw.randrange(-10**6, 10**6) / 1000), "0.1000", "12345678901234567890.5"]),
                     f=draw.choice([None, draw.uniform(-1e6, 1e6), 1e-9]), ok=draw.choice([None, True, False]))
        if draw.random() < 0.02:
            event["at"] = draw.choice([None, "infinity", "-infinity", "294276-12-31T23:59:59Z", "4713-11-24 00:00:00 BC", "9999-12-31T00:00:00Z"])
        yield json.dumps(event)


NEAR = "at >= '4700-01-01 BC' AND at < '285000-01-01'"


def create_all(world):
    window(world, "exact", group_by=["source"], aggregates=EXACT)
    window(world, "floats", group_by=["source"], aggregates=FLOATS)
    window(world, "hours", size="1 h", group_by=["lower(source) AS low", "i > 50 AS many"], aggregates="count(*) AS n, sum(x) AS sx", where="i IS NOT NULL")
    window(world, "total", size="1 day", time_zone="Europe/Berlin")
    window(world, "sliding", size="10 min", slide="2 min", aggregates="count(*) AS n, sum(x) AS sx")
    window(world, "defaults", group_by=["part"], aggregates=DEFAULTS)


def check_all(world, db=None):
    db = db or world.db
    check_exact(db, "millrace.window_exact", grouped(EXACT, where=NEAR))
    check_floats(db)
    check_exact(db, "millrace.window_hours", f"SELECT date_trunc('hour', at) AS window_start, lower(source) AS low, i > 50 AS many, count(*) AS n, "
                f"sum(x) AS sx FROM t WHERE {NEAR} AND i IS NOT NULL GROUP BY 1, 2, 3")
    check_exact(db, "millrace.window_total",
                f"SELECT date_trunc('day', at, 'Europe/Berlin') AS window_start, count(*) AS n FROM t WHERE {NEAR} GROUP BY 1")
    check_exact(db, "millrace.window_sliding", f"""
        SELECT s AS window_start, s + interval '10 min' AS window_end, count(*) AS n, sum(x) AS sx
        FROM t CROSS JOIN LATERAL (SELECT date_bin('2 min', at, '2000-01-01') - k * interval '2 min' AS s FROM generate_series(0, 4) AS k) AS k
        WHERE {NEAR} GROUP BY 1""")
    check_exact(db, "millrace.window_defaults", grouped(DEFAULTS, keys=("part",), where=NEAR))
    assert db.value("SELECT count(DISTINCT part) FROM t") == 5 and db.value("SELECT kind FROM millrace.windows WHERE name = 'defaults'") == "incremental"
    outside = db.value(f"SELECT count(*) FROM t WHERE NOT coalesce({NEAR}, false)")
    assert db.value("SELECT outside FROM millrace.windows WHERE name = 'total'") == outside


def partials(db, window="exact"):
    id = db.value("SELECT id FROM millrace.window_definition WHERE name = %s", (window,))
    return db.value(f"SELECT count(*) FROM millrace._window_{id}_partial")


@pytest.mark.parametrize("target", ["plain", "partitioned", "trigger", "ignore"])
def test_windows_equal_group_by(world, target):
    """Rows that are there before the windows are, batches of all sizes, folded or not, each kind of write."""
    ddl = {"plain": TABLE,
           "partitioned": TABLE + " PARTITION BY LIST (source); CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT",
           # expressions see the row as it is stored
           "trigger": TABLE + """; CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF new.id % 11 = 0 THEN RETURN NULL; END IF; new.i := new.i + 1; new.source := upper(new.source); RETURN new; END $$;
               CREATE TRIGGER change BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION change()""",
           "ignore": TABLE + "; CREATE UNIQUE INDEX ON t (i, ok)"}[target]
    more = dict(on_conflict="ignore", conflict_key=["i", "ok"]) if target == "ignore" else {}
    feed = Feed(world, ddl, FIELDS, TRANSFORM, **more)
    draw = random.Random(7)
    feed.send(*payloads(draw, 300, 0)).settled()
    create_all(world)
    check_all(world)
    id = 1000
    for n in (1, 2, 500, 40, 1, 3000):
        feed.send(*payloads(draw, n, id)).settled()
        id += n
        check_all(world)
    wait_for(lambda: partials(world.db) == 0, "all is folded")
    check_all(world)
    for _ in range(20):  # as many folds as are merged with each other
        feed.send(*payloads(draw, 20, id)).settled()
        id += 20
        world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
    check_all(world)
    assert world.db.value("SELECT max(compacted) FROM millrace.window_cursor") > 0
    feed.send(*payloads(draw, 50, id)).settled()
    world.db.run("SELECT millrace._fold_window(id, false, true) FROM millrace.window_definition")  # as after an error
    check_all(world)


VIRTUAL = """CREATE TABLE t (id int PRIMARY KEY, at timestamptz, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL CHECK (twice < 150));
             CREATE INDEX ON t (at)"""
UPSERT = dict(on_conflict="update", conflict_key=["id"])


@pytest.fixture
def virtual_columns(cluster):
    if cluster.major() < 18:
        pytest.skip("virtual generated columns are PostgreSQL 18's")


@pytest.mark.parametrize("more", [{}, UPSERT, dict(UPSERT, merge="n = new.n + old.twice"),
                                  dict(UPSERT, delete_when="n % 7 = 0")], ids=["insert", "upsert", "merge", "delete"])
def test_virtual_generated_columns(virtual_columns, world, more):
    """The values of a column that is not stored are those of the row, in CHECK, in merge, in a window, for each way of writing."""
    feed = Feed(world, VIRTUAL, "id int, at timestamptz, n int", "SELECT id, at, n FROM event", **more)
    draw = random.Random(3)
    last = 0

    def send(n):
        nonlocal last
        last += n
        feed.send(*(json.dumps(dict(id=draw.randrange(40) if more else id, n=draw.randrange(80), at=f"2026-03-29T00:{draw.randrange(5):02}:00Z"))
                    for id in range(last - n, last))).settled()

    def check():
        assert world.db.value("SELECT count(*) FROM t WHERE twice <> n * 2 OR twice >= 150") == 0
        check_exact(world.db, "millrace.window_w", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, twice % 3 AS kind, "
                    "count(*) AS n, sum(twice) AS s, max(twice) AS high FROM t GROUP BY 1, 2")

    send(60)
    window(world, "w", group_by=["twice % 3 AS kind"], aggregates="count(*) AS n, sum(twice) AS s, max(twice) AS high")
    check()
    for n in (1, 100, 30):
        send(n)
        check()
        world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
        check()
    assert feed.rows("SELECT count(*) > 10 FROM t") == [(True,)]
    assert set(world.db.run("SELECT sqlstate, stage FROM millrace.dead_letter")) == {("23514", "write")}


def test_expression_that_fails_on_a_row(world):
    """It is that event's failure, in stage window: its neighbours are written and counted, and so is it when it passes."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz); CREATE TABLE bad (n int)", "n int, at timestamptz", "SELECT n, at FROM event",
                retry_delay="200 ms", retry_factor=1, retry_jitter=0, max_retries=1000)
    with world.db.session("app") as s:
        s.run("""CREATE FUNCTION checked(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
                 IF n = 13 AND EXISTS (SELECT FROM bad) THEN RAISE EXCEPTION 'no % here', n USING ERRCODE = '55006'; END IF; RETURN 100 / n; END $$;
                 INSERT INTO bad VALUES (1)""")
        s.run("SELECT millrace.set_error_class('55006', 'retry', pipeline => %s)", (world.pipeline_name,))
    window(world, "c", aggregates="count(*) AS n, sum(checked(n)) AS s")
    counters = feed.send(*(json.dumps(dict(n=n - 10, at="2026-01-01T00:00:00Z")) for n in range(60))).settled()
    assert counters["dead"] == 1 and counters["written"] == 58
    assert world.db.run("SELECT stage, sqlstate, message FROM millrace.dead_letter") == [("window", "22012", "division by zero")]
    assert world.db.run("SELECT stage, message FROM millrace.retries") == [("window", "no 13 here")]
    query = "SELECT count(*) AS n, sum(100 / n) AS s FROM t HAVING count(*) > 0"
    check_exact(world.db, "millrace.window_c", query)
    world.db.run("DELETE FROM bad")
    wait_for(lambda: world.counters()["written"] == 59, "written when it is tried again")
    check_exact(world.db, "millrace.window_c", query)
    assert world.db.value("SELECT state FROM millrace.breakers") == "closed"


def test_windows_come_and_go_while_it_runs(world):
    """A window that is made while events flow has all of them; one that is dropped leaves no trace."""
    feed = Feed(world, TABLE, FIELDS, TRANSFORM)
    draw = random.Random(8)
    for k in range(6):
        feed.send(*payloads(draw, 200, k * 200))
        window(world, f"w{k}", group_by=["source"], aggregates="count(*) AS n, sum(x) AS sx")
    feed.settled()
    for k in range(6):
        check_exact(world.db, f"millrace.window_w{k}", grouped("count(*) AS n, sum(x) AS sx", where=NEAR))
    with world.db.session("app") as s:
        for k in range(6):
            s.run("SELECT millrace.drop_window(%s)", (f"w{k}",))
    feed.send(*payloads(draw, 200, 2000)).settled()
    assert world.db.run("SELECT relname FROM pg_class WHERE relname ~ '^_?window_(w|[0-9])' AND relkind IN ('r', 'v')") == []


def test_batch_that_is_committed_behind_a_fold(world):
    """A worker has added to the windows, and commits when what another one has added later is folded: it is in a stream of its own, and nobody steps over it."""
    feed = Feed(world, """CREATE TABLE t (n int, at timestamptz); CREATE INDEX ON t (at);
                          CREATE FUNCTION held(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN IF n = 1 THEN PERFORM pg_advisory_xact_lock(78); END IF; RETURN true; END $$""",
                "n int, at timestamptz", "SELECT n, at FROM event", workers=2)
    world.db.run("SELECT millrace.add_partitions(%s, 1, '{0,0}')", (world.pipeline_name,))
    other = Lane(world.db, world.pipeline_name, 1).assign([1])
    aggregates = {"incremental": "count(*) AS n, sum(n) AS s", "recompute": "count(*) AS n, count(DISTINCT n) AS s"}
    for kind in aggregates:
        window(world, kind, aggregates=aggregates[kind])
    window(world, "last", where="held(n)")  # computed when the batch has its number

    def check():
        for kind in aggregates:
            check_exact(world.db, f"millrace.window_{kind}", f"SELECT date_bin('1 min', at, '2000-01-01') AS window_start, {aggregates[kind]} FROM t GROUP BY 1")

    with world.db.session() as gate:
        gate.run("SELECT pg_advisory_lock(78)")
        feed.send('{"n": 1, "at": "2026-01-01T00:00:00Z"}')
        wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 78 AND NOT granted") == 1, "it has its number")
        other.send(1, [b'{"n": 2, "at": "2026-01-01T00:00:30Z"}'])
        wait_for(lambda: world.positions()[1] == other.positions[1], "the other one is settled")
        check()
        world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
        check()
    wait_for(lambda: world.positions()[0] == feed.lane.positions[0], "settled")
    check()
    world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
    check()
    assert world.db.value("SELECT n FROM millrace.window_incremental") == 2


def test_column_of_a_window_is_dropped(world):
    """No event is at fault: the pipeline waits, and goes on without the window."""
    feed = Feed(world, TABLE, FIELDS, "SELECT id, source, at FROM event")
    window(world, "f", aggregates="sum(f) AS f")
    feed.ddl("ALTER TABLE t DROP COLUMN f")
    feed.send('{"id": 1}')
    wait_for(lambda: world.db.value("SELECT sqlstate FROM millrace.breakers WHERE state = 'open'") == "42703", "the breaker opens")
    assert world.counters()["dead"] == 0
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_window('f')")
    feed.settled()
    assert feed.rows("SELECT id FROM t") == [(1,)]


@pytest.mark.parametrize("arguments, position, query", [
    (dict(aggregates="count(*) AS n, avg(value2)"), 20, "count(*) AS n, avg(value2)"),
    (dict(aggregates="max('ü') AS u, sum(count(*)) OVER ()"), 16, "max('ü') AS u, sum(count(*)) OVER ()"),
    (dict(group_by=["source", "lower(sourc)"]), 7, "lower(sourc)"),
    (dict(where="i > = 3"), 5, "i > = 3"),
    (dict(aggregates="sum(i), FROM t"), 9, "sum(i), FROM t")])
def test_position_of_a_mistake(world, arguments, position, query):
    """In the text that the user wrote, not in what is made of it."""
    Feed(world, TABLE, FIELDS, TRANSFORM)
    with pytest.raises(psycopg2.Error) as error:
        window(world, "w", **arguments)
    diag = error.value.diag
    assert (int(diag.internal_position), diag.internal_query) == (position, query), diag.message_primary


STREAM = """count(*) AS n, sum(value::numeric) AS s, min(value) AS low, max(value) AS high, avg(value) AS mean"""
STREAM_EXACT = "count(*) AS n, sum(value::numeric) AS s, min(value) AS low, max(value) AS high"


def check_stream(world, db=None):
    for relation, start in (("by_minute", "date_bin('1 min', ts, '2000-01-01')"), ("by_month", "date_trunc('month', ts, 'UTC')")):
        check_exact(db or world.db, f"millrace.window_{relation}", grouped(STREAM_EXACT, start, ("source",), "true", "reading"))
        # the mean is of doubles, whose sum depends on the order
        assert (db or world.db).run(f"""
            SELECT w.window_start, w.source, w.mean, t.mean FROM millrace.window_{relation} AS w
            FULL JOIN (SELECT {start} AS window_start, source, avg(value) AS mean, sum(abs(value)) AS scale FROM reading GROUP BY 1, 2) AS t USING (window_start, source)
            WHERE (abs(w.mean - t.mean) <= 1e-12 * t.scale) IS NOT TRUE AND coalesce(w.mean, t.mean) IS NOT NULL""") == []


def create_stream_windows(world):
    for name, size in (("by_minute", "1 min"), ("by_month", "1 month")):
        window(world, name, event_time="ts", size=size, group_by=["source"], aggregates=STREAM)


@pytest.mark.parametrize("kill", [kill_worker, kill_postmaster, kill_ingestor])
def test_killed_at_any_moment(world, kill):
    """Two workers, several partitions, events that fail and are tried again, kill -9; at each moment the windows are what the target is."""
    draw = random.Random(5)
    world.create_topic()
    world.create_pipeline(workers=2, batch_rows=500, retry_delay="300 ms")
    create_stream_windows(world)
    world.start_ingestor()
    events = Events(60000, seed=21, broken=1, db_refused=0.5, filtered=5)
    generator = world.start_generator(events, "--rate", "15000")
    for part in (10000, 25000, 40000):
        wait_for(lambda part=part: world.counters()["events"] > part, "some are in")
        check_stream(world)
        kill(world, draw)
        wait_for(lambda: world.lag() is not None, "it goes on")
    generator.popen.wait(300)
    world.wait_settled()
    world.check(events)
    check_stream(world)
    assert world.db.value("SELECT sum(n) FROM millrace.window_by_month") == len(events.truth()["row"])
    # all that failed for a while is written, and all partitions are idle: the watermark is where the rows are
    world.db.run("UPDATE millrace.retry SET entered_at = entered_at - interval '5 min'")
    wait_for(lambda: world.db.value("SELECT held_by IS NULL AND watermark = (SELECT max(ts) FROM reading WHERE ts < now()) FROM millrace.windows WHERE name = 'by_minute'"),
             "the watermark is at the last row")
    assert world.db.value("SELECT bool_and(closed = (window_end <= (SELECT max(ts) FROM reading))) FROM millrace.window_by_minute")


def test_rewound(world):
    """While events flow, with rows removed that come again, and with rows that are there twice then: in the windows, too."""
    world.create_topic(partitions=3)
    world.create_pipeline(workers=2, batch_rows=500)
    create_stream_windows(world)
    world.db.run("CREATE INDEX ON reading (ts)")
    window(world, "recomputed", event_time="ts", size="1 month", aggregates="count(*) AS n, count(DISTINCT source) AS sources")
    world.start_ingestor()
    events = Events(30000, seed=23, broken=1)
    generator = world.start_generator(events, "--rate", "6000")
    watermarks = {}

    def check_watermarks():
        """They never go back."""
        for name, watermark in world.db.run("SELECT name, watermark FROM millrace.windows WHERE watermark IS NOT NULL OR name = ANY (%s)", (list(watermarks),)):
            assert watermark is not None and watermark >= watermarks.get(name, watermark), (name, watermarks)
            watermarks[name] = watermark
        return len(watermarks) == 3

    for offset, is_removed in ((1000, True), (2000, False), (3000, True)):
        wait_for(lambda offset=offset: check_watermarks() and min(world.positions().values(), default=0) > offset + 500, "they have come so far")
        with world.db.session("app", autocommit=False) as s:
            if is_removed:
                s.run("DELETE FROM reading WHERE kafka_offset >= %s", (offset,))
                # the times of events are in no order: the first one may be among them
                s.run("SELECT millrace.rebuild_window(w.name) FROM millrace.windows AS w WHERE w.kind = 'incremental'")
            assert s.value("SELECT millrace.rewind(%s, %s, allow_duplicates => true)", (world.pipeline_name, offset)) == 3
            s.connection.commit()
        check_watermarks()
    assert generator.popen.wait(300) == 0, generator.tail()
    world.wait_settled()
    check_watermarks()
    rows, distinct = world.db.run("SELECT count(*), count(DISTINCT id) FROM reading")[0]
    assert rows > distinct == len(events.truth()["row"])
    check_stream(world)
    check_exact(world.db, "millrace.window_recomputed", "SELECT date_trunc('month', ts, 'UTC') AS window_start, count(*) AS n, count(DISTINCT source) AS sources FROM reading GROUP BY 1")


def test_dump_and_restore(world):
    """The copy has the windows, and goes on with them."""
    world.create_topic()
    world.create_pipeline()
    create_stream_windows(world)
    ingestor = world.start_ingestor()
    first = Events(5000, seed=22, filtered=2).send(world.broker, world.topic)
    world.wait_settled()
    copy = restore(world, world.name + "_copy")
    check_stream(world, copy)
    ingestor.stop()
    copy.run("SELECT millrace.grant_ingestor('ingestor')")
    with copy.session("app") as s:
        s.run("SELECT millrace.adopt(%s)", (world.pipeline_name,))
        assert s.value("SELECT count(*) > 0 FROM millrace.window_by_minute")
    world.start_ingestor(db=copy)
    second = Events(5000, seed=23).send(world.broker, world.topic)
    world.wait_settled(db=copy)
    world.check(first, second, db=copy)
    check_stream(world, copy)


def test_old_snapshot_does_not_slow_readers(world):
    """What is folded is kept by a snapshot, and stepped over by nobody: readers begin behind it."""
    feed = Feed(world, TABLE, FIELDS, TRANSFORM)
    window(world, "w", group_by=["id"], aggregates="count(*) AS n")
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run("SELECT count(*) FROM t")
    id = world.db.value("SELECT id FROM millrace.window_definition")
    for k in range(5):
        feed.send(*(json.dumps(dict(id=n, source="a", at="2026-01-01T00:00:00Z")) for n in range(2000))).settled()
        world.db.run("SELECT millrace._fold_window(%s, true, true)", (id,))
    world.db.run(f"ANALYZE millrace._window_{id}_partial")
    plan = "\n".join(r[0] for r in world.db.run("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT sum(n) FROM millrace.window_w"))
    scan = plan[plan.index(f"_window_{id}_partial"):].split("\n")
    buffers = next(line for line in scan if "Buffers:" in line)
    read = sum(int(part.split("=")[1]) for part in buffers.split() if "=" in part)
    assert read <= 64 * 4, plan
    old.close()


def test_old_snapshot_does_not_slow_counters(world):
    """Rows that are in no window, or move no watermark, are counted by each batch: so are batches. What is folded of that is kept by a snapshot, and read by nobody."""
    feed = Feed(world, TABLE, FIELDS, TRANSFORM)
    window(world, "w", max_skew="1 min")
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run("SELECT count(*) FROM t")

    def batches(n):
        for _ in range(n):  # one at a time
            feed.send('{"source": "a"}', '{"source": "a", "at": "9999-01-01"}')
            wait_for(lambda: world.positions() == feed.lane.positions, "settled", every=0.001)

    batches(2000)
    id = world.db.value("SELECT id FROM millrace.window_definition")
    world.db.run("SELECT millrace._fold_window(%s, true, true)", (id,))
    world.db.run(f"ANALYZE millrace.window_outside, millrace._window_{id}_partial")
    with world.db.session(autocommit=False) as folding, world.db.session(autocommit=False) as s:
        folding.run("SELECT millrace._lock_window(%s, true)", (id,))
        batches(3)
        read = f"""SELECT pg_stat_get_xact_numscans(i.indrelid), sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index AS i
                   WHERE i.indrelid IN ('millrace.window_outside'::regclass, 'millrace._window_{id}_partial'::regclass) GROUP BY i.indrelid ORDER BY i.indrelid"""
        assert s.run("SELECT outside, skewed FROM millrace.windows") == [(2003, 2003)]
        assert s.run(read) == [(0, 3), (0, 0)], "rows that are folded are read"
        folding.run("SELECT millrace._fold_window(%s, true, true)", (id,))
        assert folding.run(read) == [(0, 3), (0, 6)], "or folded again"
        assert folding.run("SELECT outside, skewed FROM millrace.windows") == [(2003, 2003)]
    old.close()
