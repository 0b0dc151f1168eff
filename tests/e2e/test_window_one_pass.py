"""Windows of a pipeline read the rows of a batch together: each still equals GROUP BY over the target, whatever they have in common."""
import json
import random

from lib.wait import wait_for
from test_target_changes import Feed
from test_windows import check_exact, window

TABLE = "CREATE TABLE t (id int, at timestamptz, kind text, x numeric, f float8, b bytea, u uuid, tags text[], mask bit(4), big bigint)"
FIELDS = "id int, at timestamptz, kind text, x numeric, f float8, b bytea, u uuid, tags text[], mask bit(4), big bigint"
TRANSFORM = "SELECT id, at, kind, x, f, b, u, tags, mask, big FROM event"
SIZES = {"1 min": "date_bin('1 min', at, '2000-01-01')", "7 s": "date_bin('7 s', at, '1900-01-01')", "1 day": "date_trunc('day', at, 'UTC')"}

# Windows: their arguments, and the keys, aggregates and condition of the same query. Most have something in common with others.
COUNTS = "count(*) AS n, count(x) AS nx, sum(big) AS sb, max(kind) AS high"
WINDOWS = {
    "plain": ("1 min", ["kind"], COUNTS, None),
    "same": ("1 min", ["kind"], COUNTS, None),
    "other": ("1 min", ["kind"], "sum(x) AS sx, min(x) AS low, bool_or(id > 7) AS has_some, count(*) FILTER (WHERE id % 2 = 0) AS even", None),
    "which": ("1 min", ["kind"], COUNTS, "x > 0"),
    "size": ("7 s", ["kind"], "avg(big) AS mean, stddev(big) AS spread", None),
    "day": ("1 day", ["kind", "id % 3 AS third"], "millrace.first(x, at) AS fx, millrace.last(kind, at) FILTER (WHERE x > 0) AS lk", None),
    "equal": ("1 min", ["x"], "count(*) AS n", None),  # 1.0 and 1.00 are one group
    "zero": ("1 min", ["f"], "count(*) AS n", None),  # so are 0 and -0
    "types": ("1 min", ["b", "u", "tags", "big"], "count(*) AS n, bit_or(mask) AS m", None),
    "sorted": ("1 min", ["mask"], "count(*) AS n, sum(x) AS sx", None),  # of a type that cannot be hashed: the executor runs it
    "nothing": ("1 min", [], "count(*) AS n, max(at) AS last_at", "id < 0"),
    "made": ("1 min", ["CASE WHEN at > '2026-03-29 00:05:00+00' THEN date_bin('1 min', at, '2000-01-01') END AS later"], "count(*) AS n", None),
}


def event(draw, id):
    """Of all columns but the number some are null; texts are short, and long enough to be compressed."""
    value = dict(id=id, kind=draw.choice(["a", "A", "", "ü", "long " * 900, "long " * 900 + "er"]), x=draw.choice(["1.0", "1.00", "-3", "0.5", "NaN"]),
                 f=draw.choice([0.0, -0.0, 1.5]), b=draw.choice(["\\x", "\\x00", "\\x0001"]), u=f"00000000-0000-0000-0000-00000000000{draw.randrange(3)}",
                 tags=draw.choice([[], ["p"], ["p", None]]), mask=f"{draw.randrange(4):04b}", big=draw.choice([2**62, -7, 0]))
    value = {key: item if key == "id" or draw.random() < 0.9 else None for key, item in value.items()}
    value["at"] = draw.choice([None, "infinity", "294276-12-31T23:59:59Z"]) if draw.random() < 0.03 else \
        f"2026-03-29T00:{draw.randrange(10):02}:{draw.choice([0, 7, 14, 30, 59]):02}.{draw.choice(['000', '001', '999'])}Z"
    if draw.random() < 0.02:  # before the origin of its window, and on a boundary
        value["at"] = draw.choice(["1899-12-31T23:59:53Z", "1899-12-31T23:59:54Z", "0900-01-01T00:00:00Z", "1999-12-31T23:59:00Z"])
    return json.dumps(value)


def create_all(world, only=None):
    for name, (size, group_by, aggregates, where) in WINDOWS.items():
        if only is None or name in only:
            more = {"where": where} if where else {}
            window(world, name, size=size, group_by=group_by, aggregates=aggregates, **more)


def check_all(world, only=None):
    for name, (size, group_by, aggregates, where) in WINDOWS.items():
        if only is None or name in only:
            keys = "".join(f", {key}" for key in group_by)
            query = (f"SELECT {SIZES[size]} AS window_start{keys}, {aggregates} FROM t WHERE at < '285000-01-01' AND isfinite(at) AND ({where or 'true'}) "
                     f"GROUP BY 1{''.join(f', {i + 2}' for i in range(len(group_by)))}")
            kept = f"(SELECT * FROM millrace.window_{name}) AS w"
            # which of the equal values is shown is nobody's choice
            if name in ("other", "day"):
                columns = {"other": "window_start, kind, sx, trim_scale(low) AS low, has_some, even", "day": "window_start, kind, third, trim_scale(fx) AS fx, lk"}[name]
                query, kept = f"SELECT {columns} FROM ({query}) AS q", f"(SELECT {columns} FROM millrace.window_{name}) AS w"
            if name in ("equal", "zero"):
                key = group_by[0]
                query = f"SELECT q.window_start, q.{key} + 0 = 0 AS zero, round(q.{key}::numeric, 1) AS v, q.n FROM ({query}) AS q"
                kept = f"(SELECT w.window_start, w.{key} + 0 = 0 AS zero, round(w.{key}::numeric, 1) AS v, w.n FROM millrace.window_{name} AS w) AS w"
            check_exact(world.db, kept, query)


def fold(world):
    world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")


def test_windows_that_have_much_in_common(world):
    """Batches of all sizes; folded, and added to again."""
    feed, draw, id = Feed(world, TABLE, FIELDS, TRANSFORM), random.Random(5), 0
    create_all(world)
    for n in (1, 30, 600, 3, 2000):
        feed.send(*(event(draw, i) for i in range(id, id + n))).settled()
        id += n
        check_all(world)
        if n % 2 == 0:
            fold(world)
            check_all(world)


def test_more_than_memory_has_room_for(world):
    feed, draw = Feed(world, TABLE, FIELDS, TRANSFORM), random.Random(6)
    world.db.run("ALTER ROLE app SET work_mem = '64kB'; ALTER ROLE app SET hash_mem_multiplier = 1")
    try:
        create_all(world, {"plain", "equal"})
        window(world, "many", group_by=["id"], aggregates=COUNTS + ", sum(x) AS sx, avg(x) AS ax, stddev(big) AS spread")
        feed.send(*(event(draw, i) for i in range(12000))).settled()
        check_all(world, {"plain", "equal"})
        check_exact(world.db, "millrace.window_many",
                    f"SELECT {SIZES['1 min']} AS window_start, id, {COUNTS}, sum(x) AS sx, avg(x) AS ax, stddev(big) AS spread FROM t "
                    "WHERE at < '285000-01-01' AND isfinite(at) GROUP BY 1, 2")
    finally:
        world.db.run("ALTER ROLE app RESET ALL")


def test_rows_that_a_trigger_makes_large(world):
    """More than millrace.batch_memory (64 MB), which the rows of a batch have without it: some of them are on disk until they are counted."""
    feed = Feed(world, """CREATE TABLE t (id int, at timestamptz, v text); CREATE FUNCTION enlarge() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN new.v := repeat(chr(97 + new.id % 3), 100000); RETURN new; END $$; CREATE TRIGGER enlarge BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION enlarge()""",
                "id int, at timestamptz", "SELECT id, at FROM event")
    window(world, "large", group_by=["v"], aggregates="count(*) AS n, sum(id) AS s")
    window(world, "sorted", group_by=["(id % 4)::bit(2) AS b"], aggregates="count(*) AS n, max(v) AS high")
    feed.send(*(json.dumps(dict(id=id, at=f"2026-03-29T00:00:{id % 60:02}Z")) for id in range(1000))).settled()
    check_exact(world.db, "(SELECT left(v, 1) AS v, n, s FROM millrace.window_large) AS w", "SELECT left(v, 1) AS v, count(*) AS n, sum(id) AS s FROM t GROUP BY 1")
    check_exact(world.db, "(SELECT b, n, left(high, 1) AS high FROM millrace.window_sorted) AS w",
                "SELECT (id % 4)::bit(2) AS b, count(*) AS n, left(max(v), 1) AS high FROM t GROUP BY 1")


def test_values_that_are_out_of_line(world):
    """Of a table that the transform reads: they are a part of what a batch adds to a window, one by one and merged."""
    world.db.run("""CREATE TABLE place (id int PRIMARY KEY, about text); ALTER TABLE place ALTER about SET STORAGE EXTERNAL;
        INSERT INTO place SELECT n, repeat(chr(96 + n), 5000) FROM generate_series(1, 5) AS n; GRANT SELECT ON place TO app""")
    feed = Feed(world, "CREATE TABLE t (id int, at timestamptz, about text)", "id int, place int, at timestamptz",
                "SELECT event.id, event.at, place.about FROM event JOIN place ON place.id = event.place")
    aggregates = "count(*) AS n, min(about) AS low, max(about) AS high"
    window(world, "of", group_by=["id % 5 AS five"], aggregates=aggregates + ", millrace.last(about, at) AS latest")
    window(world, "by", group_by=["about"])
    for ids in ([1], [2, 3], range(4, 60)):
        feed.send(*(json.dumps(dict(id=id, place=(id * 7 + id // 5) % 5 + 1, at=f"2026-03-29T00:00:{id:02}Z")) for id in ids)).settled()
        for _ in range(2):
            check_exact(world.db, "millrace.window_of", f"SELECT {SIZES['1 min']} AS window_start, id % 5 AS five, {aggregates}, "
                        "(array_agg(about ORDER BY at DESC))[1] AS latest FROM t GROUP BY 1, 2")
            check_exact(world.db, "millrace.window_by", f"SELECT {SIZES['1 min']} AS window_start, about, count(*) AS n FROM t GROUP BY 1, 2")
            fold(world)


def test_each_window_fails_on_rows_of_its_own(world):
    """What one window leaves out may not fail for it, whatever it has in common with another one; a row is counted by all windows, or by none."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz, v text)", "n int, at timestamptz, v text", "SELECT n, at, v FROM event")
    window(world, "some", group_by=["v"], aggregates="count(*) AS n, sum(100 / n) AS s", where="n <> 0")
    window(world, "filtered", group_by=["v"], aggregates="count(*) AS n, sum(100 / n) FILTER (WHERE n <> 0) AS s")
    window(world, "strict", group_by=["v"], aggregates="count(*) AS n, sum(100 / (n - 13)) AS s")
    window(world, "keyed", group_by=["1 / (n - 14) AS quotient"], aggregates="count(*) AS n")
    window(world, "total", aggregates="count(*) AS n, max(v) AS high")
    counters = feed.send(*(json.dumps(dict(n=n % 20, at=f"2026-01-01T00:00:{n % 60:02}Z", v=f"v{n % 3}")) for n in range(100))).settled()
    assert (counters["written"], counters["dead"]) == (90, 10)
    assert world.db.run("SELECT DISTINCT stage, sqlstate FROM millrace.dead_letter") == [("window", "22012")]
    assert world.db.value("SELECT count(*) FROM t WHERE n IN (13, 14)") == 0
    check_exact(world.db, "millrace.window_some", "SELECT v, count(*) AS n, sum(100 / n) AS s FROM t WHERE n <> 0 GROUP BY 1")
    check_exact(world.db, "millrace.window_filtered", "SELECT v, count(*) AS n, sum(100 / n) FILTER (WHERE n <> 0) AS s FROM t GROUP BY 1")
    check_exact(world.db, "millrace.window_strict", "SELECT v, count(*) AS n, sum(100 / (n - 13)) AS s FROM t GROUP BY 1")
    check_exact(world.db, "millrace.window_keyed", "SELECT 1 / (n - 14) AS quotient, count(*) AS n FROM t GROUP BY 1")
    check_exact(world.db, "millrace.window_total", "SELECT count(*) AS n, max(v) AS high FROM t")


def test_rights_are_those_of_the_owner(world):
    """An aggregate that the pipeline's owner may not call is refused, and no event is at fault."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz)", "n int, at timestamptz", "SELECT n, at FROM event")
    window(world, "w", aggregates="count(*) AS n, max(n) AS high")
    feed.send('{"n": 1, "at": "2026-01-01T00:00:00Z"}').settled()
    world.db.run("REVOKE EXECUTE ON FUNCTION pg_catalog.max(int) FROM PUBLIC")
    try:
        feed.send('{"n": 2, "at": "2026-01-01T00:00:00Z"}')
        wait_for(lambda: world.db.value("SELECT sqlstate FROM millrace.breakers WHERE state = 'open'") == "42501", "the breaker opens")
        assert world.counters()["dead"] == 0
    finally:
        world.db.run("GRANT EXECUTE ON FUNCTION pg_catalog.max(int) TO PUBLIC")
    feed.settled()
    assert world.db.run("SELECT n, high FROM millrace.window_w") == [(2, 2)]
