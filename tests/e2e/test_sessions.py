"""Windows of sessions equal their definition over the target, and so does what is published of them in the end."""
import json
import random

from test_copies import restore
from test_exactly_once import kill_ingestor, kill_worker
from test_target_changes import Feed
from test_window_output import check_numbers, feed_and_kill, revisions
from test_windows import NEAR, check_exact


def session_window(world, name, **arguments):
    """Made by the owner of the pipeline."""
    arguments = dict(dict(name=name, pipeline=world.pipeline_name, event_time="at", aggregates="count(*) AS n"), **arguments)
    with world.db.session("app") as s:
        s.run("SELECT millrace.create_session_window(" + ", ".join(f'"{key}" => %({key})s' for key in arguments) + ")", arguments)
        s.run("CALL millrace.wait_for_window(%s)", (name,))


def sessions(aggregates, gap, longest, key="source", where="true"):
    """What a window of sessions is, as SQL over t: docs/windows.md has it, too."""
    return f"""SELECT min(at) AS window_start, least(max(at) + '{gap}', max(part) + '{longest}') AS window_end, {key}, {aggregates}
               FROM (SELECT *, CASE WHEN max(at) OVER r + '{gap}' - min(at) OVER r > '{longest}' THEN date_bin('{longest}', at, '1900-01-01 00:00:00+00') END AS part
                     FROM (SELECT *, count(*) FILTER (WHERE fresh) OVER (PARTITION BY {key} ORDER BY at, id) AS run
                           FROM (SELECT *, (at - lag(at) OVER (PARTITION BY {key} ORDER BY at, id) < '{gap}') IS NOT TRUE AS fresh FROM t WHERE {NEAR} AND {where}) AS t) AS t
                     WINDOW r AS (PARTITION BY {key}, run)) AS t
               GROUP BY {key}, run, part"""


AGGREGATES = "count(*) AS n, sum(x) AS sx, count(DISTINCT v) AS kinds, string_agg(id::text, ',' ORDER BY id) AS ids, sum(100 / d) AS shares"


def check_all(db):
    check_exact(db, "millrace.window_visits", sessions(AGGREGATES, "40 s", "5 min"))
    check_exact(db, "millrace.window_some", sessions("count(*) AS n", "2 min", "200 min", key="v % 2", where="v > 10").replace("v % 2, count(*)", "v % 2 AS odd, count(*)"))


def payloads(draw, n, first):
    """Out of order by up to 20 minutes, some of them come twice; in no session, and what cannot be written."""
    for id in range(first, first + n):
        event = dict(id=id - draw.choice([0, 0, 0, 1]), source=draw.choice(["a", "b", "ü", None]), x=draw.choice([None, "1.5", "2.50"]), d=draw.randrange(1, 9), v=draw.randrange(50),
                     at=f"2026-03-29T00:{draw.randrange(20):02}:{draw.randrange(60):02}.{draw.randrange(1000):03}Z")
        if draw.random() < 0.03:
            event["at"] = draw.choice([None, "infinity", "-infinity", "294276-12-31T23:59:59Z", "4713-11-24 00:00:00 BC", "9999-12-31T00:00:00Z"])
        if draw.random() < 0.02:
            event["d"] = 0  # sum(100 / d) fails
        yield json.dumps(event)


def test_sessions_equal_their_definition(world):
    """Rows that are there before the windows are, batches of all sizes, computed by the reader or by the fold."""
    feed = Feed(world, "CREATE TABLE t (id int PRIMARY KEY, source text, at timestamptz, x numeric, d int NOT NULL, v int); CREATE INDEX ON t (source, at); CREATE INDEX ON t ((v % 2), at)",
                "id int NOT NULL, source text, at timestamptz, x numeric, d int NOT NULL, v int", "SELECT id, source, at, x, d, v FROM event",
                partitions=2, on_conflict="ignore", conflict_key=["id"])
    world.db.run(f'ALTER DATABASE "{world.db.name}" SET jit = off')  # of comparisons: the planner takes them for larger than they are
    draw = random.Random(11)
    feed.send(*(p for p in payloads(draw, 40, 0) if '"d": 0' not in p)).settled()
    session_window(world, "visits", gap="40 s", max_session="5 min", group_by=["source"], aggregates=AGGREGATES)
    session_window(world, "some", gap="2 min", group_by=["v % 2 AS odd"], where="v > 10")
    check_all(world.db)
    id = 1000
    for n in (1, 40, 60):
        for partition in (0, 1):
            feed.send(*payloads(draw, n, id), partition=partition)
            id += n
        feed.settled()
        check_all(world.db)
        if n != 1:
            world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
            check_all(world.db)
    check_exact(world.db, "millrace.window_visits_folded", sessions(AGGREGATES, "40 s", "5 min"))
    assert world.db.run("SELECT DISTINCT stage, sqlstate FROM millrace.dead_letters") == [("window", "22012")]
    assert world.db.value("SELECT outside FROM millrace.windows WHERE name = 'visits'") == world.db.value(f"SELECT count(*) FROM t WHERE ({NEAR}) IS NOT TRUE")


def test_published_while_workers_are_killed(world):
    """kill -9 of the relay and of workers while sessions are closed, extended and merged: the last message of each is what the target has."""
    draw = random.Random(92)
    world.create_topic(partitions=2)
    with world.db.session("app") as s:
        s.run("CREATE TABLE t (id bigint, source text, at timestamptz, v int); CREATE INDEX ON t (source, at)")
    world.create_pipeline(fields="id bigint, source text, at timestamptz, v int", transform="SELECT id, source, at, v FROM event",
                          target="t", workers=2, batch_rows=500, dlq=world.topic + ".dlq")
    aggregates = "count(*) AS n, sum(v) AS s, min(id) AS first"
    session_window(world, "w", gap="20 s", max_session="2 min", group_by=["source"], aggregates=aggregates, lateness="1 day", output_topic=world.topic + ".w")
    world.start_ingestor()
    truth = sessions(aggregates, "20 s", "2 min")
    feed_and_kill(world, draw, (kill_ingestor, kill_worker), lambda: check_exact(world.db, "millrace.window_w", truth))
    check_exact(restore(world, world.name + "_copy"), "millrace.window_w", truth)
    found = revisions(world)
    check_numbers(found)
    assert any("deleted" in v for values in found.values() for v in values), "none was merged away"
    last = {(*key, v["window_end"]): (v["n"], v["s"], v["first"]) for key, values in found.items() for v in values[-1:] if "deleted" not in v}
    with world.db.session() as s:
        s.run("SET timezone = 'UTC'")
        rows = s.run(f"""SELECT to_json(window_start) #>> '{{}}', source, to_json(window_end) #>> '{{}}', n, s, first
                          FROM ({truth}) AS t WHERE window_end <= (SELECT max(at) FROM t)""")
    assert last == {row[:3]: row[3:] for row in rows} and len(last) > 100
