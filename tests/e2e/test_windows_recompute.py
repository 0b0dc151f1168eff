"""Windows kept by recompute equal GROUP BY over the target: rows that move between groups and windows, and those that go."""
import json
import random

import pytest

from lib.events import Events
from lib.wait import wait_for
from test_copies import restore
from test_exactly_once import kill_worker
from test_target_changes import Feed
from test_upsert import upsert_pipeline
from test_windows import check_exact, window

TABLE = """CREATE TABLE t (id int PRIMARY KEY, source text, at timestamptz, x numeric, d int NOT NULL, v int, hits int);
           CREATE INDEX ON t (source, at); CREATE INDEX ON t (at);
           CREATE FUNCTION step(state bigint, value int) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT coalesce(state, 0) + coalesce(value, 0)';
           CREATE AGGREGATE total(int) (SFUNC = step, STYPE = bigint)"""
FIELDS = "id int NOT NULL, source text, at timestamptz, x numeric, d int NOT NULL, v int, gone boolean"
TRANSFORM = "SELECT id, source, at, x, d, v, 1 AS hits FROM event WHERE source IS DISTINCT FROM 'filtered'"
AGGREGATES = """count(*) AS n, count(DISTINCT x) AS nx, percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS middle, sum(x) AS sx, sum(hits) AS hits,
                string_agg(id::text, ',' ORDER BY id DESC) AS ids, total(v) AS total, sum(100 / d) AS shares, round(avg(x), 2) AS mean"""
NEAR = "at >= '4700-01-01 BC' AND at < '285000-01-01'"


def payloads(draw, n, ids=80):
    """Few keys, so that most rows are changed, some several times in one batch; out of order, and in no window."""
    for _ in range(n):
        event = dict(id=draw.randrange(ids), source=draw.choice(["a", "b", "ü", None, "filtered"]), x=draw.choice([None, "1.5", "2.50", "7"]), d=draw.randrange(1, 9),
                     at=f"2026-03-29T00:{draw.randrange(20):02}:{draw.randrange(60):02}Z", v=draw.randrange(50), gone=draw.random() < 0.15)
        if draw.random() < 0.03:
            event["at"] = draw.choice([None, "infinity", "-infinity"])
        if draw.random() < 0.03:
            event["d"] = 0  # sum(100 / d) fails
        yield json.dumps(event)


def create_all(world):
    window(world, "by_minute", group_by=["source"], aggregates=AGGREGATES)
    window(world, "five", size="5 min", aggregates=AGGREGATES, where="v > 10")
    window(world, "sliding", size="6 min", slide="2 min", group_by=["source", "v % 2 AS odd"], aggregates="count(*) AS n, count(DISTINCT id) AS ids")


def check_all(db):
    check_exact(db, "millrace.window_by_minute", f"SELECT date_bin('1 min', at, '2000-01-01') AS window_start, source, {AGGREGATES} FROM t WHERE {NEAR} GROUP BY 1, source")
    check_exact(db, "millrace.window_five", f"SELECT date_bin('5 min', at, '2000-01-01') AS window_start, {AGGREGATES} FROM t WHERE {NEAR} AND v > 10 GROUP BY 1")
    check_exact(db, "millrace.window_sliding", f"""
        SELECT s AS window_start, s + interval '6 min' AS window_end, source, v % 2 AS odd, count(*) AS n, count(DISTINCT id) AS ids
        FROM t CROSS JOIN LATERAL (SELECT date_bin('2 min', at, '2000-01-01') - k * interval '2 min' AS s FROM generate_series(0, 2) AS k) AS k
        WHERE {NEAR} GROUP BY 1, 3, 4""")


def fold(db):
    db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")


def noted(db):
    return [db.value(f"SELECT count(*) FROM millrace._window_{id}_partial") for id, in db.run("SELECT id FROM millrace.window_definition ORDER BY id")]


def test_a_key_by_which_rows_cannot_be_followed_any_more(world):
    """A null, or what the index takes for the key of another row, would change rows that the window does not learn of: the pipeline waits."""
    feed = Feed(world, """CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                          CREATE TABLE t (id text NOT NULL, at timestamptz); CREATE UNIQUE INDEX t_id ON t (id); CREATE INDEX ON t (at)""",
                "id text, at timestamptz", "SELECT id, at FROM event", on_conflict="update", conflict_key=["id"])
    window(world, "w")
    feed.send(*(json.dumps(dict(id=id, at="2026-03-29T00:00:00Z")) for id in "AB")).settled()
    for minute, (wrong, reason, right, ids) in enumerate((
            ("ALTER TABLE t ALTER id DROP NOT NULL", f'column "id" of the conflict_key of pipeline "{world.pipeline_name}" may be null',
             "ALTER TABLE t ALTER id SET NOT NULL", "BC"),
            ("CREATE UNIQUE INDEX t_blind ON t (id COLLATE blind)", 'unique index "t_blind" compares column "id" otherwise than "="', "DROP INDEX t_blind", "aB")), 1):
        world.db.run(wrong)
        feed.send(*(json.dumps(dict(id=id, at=f"2026-03-29T00:0{minute}:00Z")) for id in ids))
        wait_for(lambda: world.db.run("SELECT sqlstate, reason FROM millrace.breakers WHERE state <> 'closed'") == [("55000", reason)], "it waits")
        world.db.run(right)
        feed.settled()
        check_exact(world.db, "millrace.window_w", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, count(*) AS n FROM t GROUP BY 1")
    assert world.counters()["dead"] == 0 and len(feed.rows()) == 4


MERGE = "hits = old.hits + new.hits, x = coalesce(new.x, old.x)"


@pytest.mark.parametrize("way", ["upsert", "newer", "merge", "delete", "grow"])
def test_recomputed_windows_equal_group_by(world, way):
    """Rows that are there before the windows are, batches of all sizes, recomputed by the reader or by the fold."""
    more = dict(on_conflict="update", conflict_key=["id"])
    if way == "newer":
        more["newer_by"] = "v"
    if way == "merge":
        more["merge"] = MERGE
    if way == "delete":
        more.update(merge=MERGE, delete_when="gone")
    if way == "grow":
        more = dict(on_conflict="ignore", conflict_key=["id"])
    feed = Feed(world, TABLE, FIELDS, TRANSFORM, partitions=2, **more)
    draw = random.Random(11)
    ids = 10**6 if way == "grow" else 80

    def send(n):
        for partition in (0, 1):
            feed.send(*[p for p in payloads(draw, n, ids)], partition=partition)
        feed.settled()

    feed.send(*[p for p in payloads(draw, 200, ids) if '"d": 0' not in p]).settled()
    create_all(world)
    check_all(world.db)
    assert world.db.run("SELECT DISTINCT kind FROM millrace.windows") == [("recompute",)]
    for n in (1, 2, 300, 20, 1):
        send(n)
        check_all(world.db)  # by the reader
        if n != 300:
            fold(world.db)
            check_all(world.db)
    wait_for(lambda: not any(noted(world.db)), "all is folded by a worker")
    check_all(world.db)
    assert world.db.value("SELECT count(*) FROM (SELECT * FROM millrace.window_by_minute EXCEPT SELECT window_start, window_end, source, n, nx, middle, sx, hits, ids, "
                          "total, shares, mean, closed, final, revision, error FROM millrace.window_by_minute_folded) AS d") == 0
    counters = world.counters()
    assert counters["dead"] > 0 and world.db.run("SELECT DISTINCT stage, sqlstate FROM millrace.dead_letters") == [("window", "22012")]
    if way == "delete":
        assert world.db.value("SELECT count(*) FROM t") < 80


def test_failure_that_is_retried(world):
    """What failed notes nothing; when it passes, the row leaves the group it was in."""
    feed = Feed(world, TABLE + """; CREATE TABLE bad (id int);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM bad WHERE id = new.id) THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END IF; RETURN new; END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()""",
                FIELDS, TRANSFORM, on_conflict="update", conflict_key=["id"], retry_delay="200 ms", retry_jitter=0, max_retries=50)
    create_all(world)
    event = dict(source="a", x="1", d=1, v=20, at="2026-03-29T00:00:00Z")
    feed.send(*(json.dumps(dict(event, id=n)) for n in range(5))).settled()
    world.db.run("INSERT INTO bad VALUES (3)")
    feed.send(*(json.dumps(dict(event, id=n, source="b", at="2026-03-29T00:05:00Z")) for n in range(5))).settled()
    check_all(world.db)
    assert world.db.run("SELECT source, ids FROM millrace.window_by_minute ORDER BY 1") == [("a", "3"), ("b", "4,2,1,0")]
    world.db.run("DELETE FROM bad")
    wait_for(lambda: world.db.value("SELECT count(*) FROM t WHERE source = 'b'") == 5, "it is tried again", 30)
    check_all(world.db)


def test_two_workers_and_kills(world):
    """The same keys in all partitions: workers meet at each row, and move it from window to window."""
    draw = random.Random(6)
    world.create_topic(partitions=4)
    upsert_pipeline(world, workers=2, batch_rows=500)
    world.db.run("CREATE INDEX ON latest (ts)")
    window(world, "minutes", event_time="ts", group_by=["n % 3 AS third"], aggregates="count(*) AS n, count(DISTINCT source) AS sources, sum(n) AS s")
    world.start_ingestor()
    events = Events(40000, seed=31)
    generator = world.start_generator(events, "--rate", "15000", "--no-key")
    query = "SELECT date_bin('1 min', ts, '2000-01-01') AS window_start, n % 3 AS third, count(*) AS n, count(DISTINCT source) AS sources, sum(n) AS s FROM latest GROUP BY 1, 2"
    for part in (8000, 20000):
        wait_for(lambda part=part: world.counters()["events"] > part, "some are in", 60)
        check_exact(world.db, "millrace.window_minutes", query)  # one statement, one snapshot
        kill_worker(world, draw)
        wait_for(lambda: world.lag() is not None, "it goes on", 60)
    generator.popen.wait(60)
    world.wait_settled()
    check_exact(world.db, "millrace.window_minutes", query)
    assert world.db.value("SELECT sum(n) FROM millrace.window_minutes") == world.db.value("SELECT count(*) FROM latest")
    copy = restore(world, world.name + "_copy")
    check_exact(copy, "millrace.window_minutes", query)


def removed_by_joins(node):
    """Pairs of rows that a plan has compared and found to be different."""
    own = node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
    return own + sum(removed_by_joins(child) for child in node.get("Plans", ()))


def test_many_groups_wait(world):
    """Reading compares each of them with its own values, not with those of all: nothing is known of how many they are when it is planned."""
    n = 3000
    feed = Feed(world, "CREATE TABLE t (source text, at timestamptz, v int); CREATE INDEX ON t (source, at)", "source text, at timestamptz, v int",
                "SELECT source, at, v FROM event")
    window(world, "w", group_by=["source"], aggregates="count(*) AS n, count(DISTINCT v) AS vs")
    events = [json.dumps(dict(source=f"s{i}" if i else None, at="2026-01-01T00:00:00Z", v=i)) for i in range(n)]
    feed.send(*events).settled()
    fold(world.db)
    with world.db.session(autocommit=False) as s:
        s.run("SELECT millrace._lock_window(id, true) FROM millrace.window_definition")
        feed.send(*events).settled()
        plan, = world.db.run("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT n, vs FROM millrace.window_w")[0]
        assert removed_by_joins(plan[0]["Plan"]) < 10 * n
        assert world.db.run("SELECT n, vs, count(*) FROM millrace.window_w GROUP BY 1, 2") == [(2, 1, n)]
