"""Windows over targets of all shapes: partitions, generated columns, domains; days of odd calendars, and years before the first. Both ways of keeping a
window give what GROUP BY gives, through a dump and a restore, too."""
import json
import random

import psycopg2
import pytest

from test_copies import restore
from test_target_changes import Feed
from test_windows import check_exact, window

TABLE = """CREATE DOMAIN place AS text NOT NULL CHECK (VALUE <> ''); CREATE TYPE mood AS ENUM ('sad', 'ok');
           CREATE TABLE t (id bigint, place place, mood mood, at timestamptz NOT NULL, v numeric(10, 2), day date GENERATED ALWAYS AS ((at AT TIME ZONE 'UTC')::date) STORED,
                           twice numeric GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
           CREATE TABLE t_old PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2010-11-07 00:00:00+00');
           CREATE TABLE t_sub PARTITION OF t FOR VALUES FROM ('2010-11-07 00:00:00+00') TO ('2024-02-29 12:00:00+00') PARTITION BY HASH (id);
           CREATE TABLE t_sub0 PARTITION OF t_sub FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE t_sub1 PARTITION OF t_sub FOR VALUES WITH (MODULUS 2, REMAINDER 1);
           CREATE TABLE t_new PARTITION OF t FOR VALUES FROM ('2024-02-29 12:00:00+00') TO (MAXVALUE);
           CREATE INDEX ON t (at)"""
FIELDS = "id bigint, place text, mood text, at timestamptz, v numeric"
TRANSFORM = "SELECT id, place, mood::mood AS mood, at, v FROM event"
AROUND = ["4700-01-01 00:00:00+00 BC", "0001-12-31 23:59:59.999999+00 BC", "0001-01-01 00:00:00+00", "0044-03-15 12:00:00+00 BC", "1969-12-31 23:59:59.999999+00", "2000-02-29 23:59:59+00",
          "2010-11-07 02:30:30+00", "2010-11-07 03:15:00+00", "2011-12-30 10:00:00+00", "2023-11-05 04:30:00+00", "2023-11-05 05:30:00+00", "2024-02-29 11:59:59.999999+00", "2024-02-29 12:00:00+00",
          "2024-03-31 00:59:59+00", "2024-03-31 01:00:00+00", "2024-10-27 00:30:00+00", "2024-10-27 01:30:00+00", "284999-12-31 23:59:59+00", "285000-01-01 00:00:00+00", "294276-12-31 23:59:59+00", "infinity", "-infinity"]
INSIDE = "at >= '4700-01-01 00:00:00+00 BC' AND at < '285000-01-01 00:00:00+00'"
ZONES = dict(berlin="Europe/Berlin", havana="America/Havana", minutes="America/St_Johns")
AGGREGATES = dict(grown="count(*) AS n, sum(v) AS v, avg(twice) AS twice, max(day) AS day", computed="count(*) AS n, count(DISTINCT v) AS kinds, max(twice) AS twice")


def payloads(draw, n, first):
    for id in range(first, first + n):
        yield json.dumps(dict(id=id, place=draw.choice(["a", "b", "", None, "ü"]), mood=draw.choice(["sad", "ok", "none", None]),
                              at=draw.choice(AROUND), v=draw.choice([None, 1, 2.25, -7])))


def check(db, zones):
    for nick in zones:
        for kind, aggregates in AGGREGATES.items():
            name = f"millrace.window_{kind}_{nick}"
            # which days there are is test window_calendar.sql's; a row is in the one that has its time
            check_exact(db, name, f"""SELECT w.window_start, place, mood, {aggregates} FROM t JOIN (SELECT DISTINCT window_start, window_end FROM {name}) AS w ON at >= w.window_start AND at < w.window_end
                                      WHERE {INSIDE} GROUP BY 1, 2, 3""")
            assert db.value(f"SELECT sum(n) FROM {name}") == db.value(f"SELECT count(*) FROM t WHERE {INSIDE}")
    months = f"SELECT date_trunc('month', at, 'UTC') AS window_start, place, count(*) AS n, sum(v) AS v FROM t WHERE {INSIDE} GROUP BY 1, 2"
    check_exact(db, "millrace.window_months", months)


def test_partitioned_target(world):
    """With generated columns, domains, an enum and leap days, and times at both ends of what a calendar has."""
    draw = random.Random(61)
    feed = Feed(world, TABLE, FIELDS, TRANSFORM)
    feed.send(*payloads(draw, 300, 0)).settled()
    for nick, zone in ZONES.items():
        for kind, aggregates in AGGREGATES.items():
            window(world, f"{kind}_{nick}", size="1 day", time_zone=zone, group_by=["place", "mood"], aggregates=aggregates)
    window(world, "months", size="1 month", group_by=["place"], aggregates="count(*) AS n, sum(v) AS v")
    kinds = dict(world.db.run("SELECT name, kind FROM millrace.windows"))
    assert {kinds[f"computed_{nick}"] for nick in ZONES} == {"recompute"} and kinds["months"] == "incremental", kinds
    check(world.db, ZONES)
    for first in range(300, 1500, 300):
        feed.send(*payloads(draw, 300, first)).settled()
        check(world.db, ZONES)
    world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
    check(world.db, ZONES)
    copy = restore(world, world.name + "_copy")
    check(copy, ZONES)
    copy.run("SELECT millrace.rebuild_window(name) FROM millrace.windows")
    check(copy, ZONES)
    with world.db.session("app") as s:
        for name in kinds:
            s.run("SELECT millrace.drop_window(%s)", (name,))
    window(world, "months", size="1 month", group_by=["place"], aggregates="count(*) AS n, sum(v) AS v")
    check(world.db, [])
    with pytest.raises(psycopg2.Error, match="permission denied"), world.db.session() as s:
        s.run("CREATE ROLE stranger_to_windows; SET ROLE stranger_to_windows; SELECT * FROM millrace.window_months")
