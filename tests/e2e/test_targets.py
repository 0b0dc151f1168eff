"""Targets as users have them: partitioned, with defaults, generated columns, triggers, foreign keys, row security;
transforms that give none, one or many rows. The lane is played by hand, the engine is real."""
import pytest

from lib.lane import Lane
from lib.wait import wait_for

FIELDS = "n int NOT NULL, day date, tags text[]"
TRANSFORM = "SELECT event.n, event.day FROM event"


def run(world, ddl, payloads, fields=FIELDS, transform=TRANSFORM, **more):
    """Makes the target as app, sends the payloads through a pipeline, returns the counters."""
    with world.db.session("app") as s:
        s.run(ddl)
    world.create_pipeline(fields=fields, transform=transform, target="t", **more)
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, payloads)
    try:
        wait_for(lambda: world.positions() == lane.positions, "settled")
    except AssertionError as e:
        raise AssertionError(f"{e}; {world.describe()}")
    finally:
        lane.close()
    return world.counters()


def events(n):
    return [b'{"n":%d,"day":"2026-%02d-01"}' % (i, i % 12 + 1) for i in range(n)]


def rows(world, sql="SELECT * FROM t ORDER BY 1"):
    return world.db.run(sql)


def test_partitioned(world):
    counters = run(world, """
        CREATE TABLE t (n int, day date NOT NULL) PARTITION BY RANGE (day);
        CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
        CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM ('2026-07-01') TO ('2026-12-01')""", events(24))
    # nothing holds December: those two events are refused by the database alone
    assert (counters["written"], counters["dead"]) == (22, 2)
    assert rows(world, "SELECT count(*) FROM t_1") == [(12,)] and rows(world, "SELECT count(*) FROM t_2") == [(10,)]
    assert {d[3] for d in world.dead_letters()} == {"23514"}


def test_defaults_identity_and_generated_columns(world):
    run(world, """
        CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, day date, twice int GENERATED ALWAYS
        AS (n * 2) STORED, who text NOT NULL DEFAULT current_user, at timestamptz NOT NULL DEFAULT now())""", events(100))
    found = rows(world, "SELECT count(*), count(DISTINCT id), bool_and(twice = 2 * n), min(who), max(who), bool_and(at IS NOT NULL) FROM t")
    assert found == [(100, 100, True, "app", "app", True)]


def test_triggers_of_every_kind(world):
    run(world, """
        CREATE TABLE t (n int, day date, seen text);
        CREATE TABLE log (what text, n int);
        CREATE FUNCTION before_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.n = 3 THEN RETURN NULL; END IF; new.seen := 'yes'; RETURN new; END $$;
        CREATE FUNCTION after_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO log VALUES ('row', new.n); RETURN NULL; END $$;
        CREATE FUNCTION after_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO log SELECT 'statement', count(*) FROM fresh; RETURN NULL; END $$;
        CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION before_row();
        CREATE TRIGGER b AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION after_row();
        CREATE TRIGGER c AFTER INSERT ON t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
            EXECUTE FUNCTION after_statement()""", events(10))
    assert rows(world, "SELECT count(*), count(*) FILTER (WHERE seen = 'yes') FROM t") == [(9, 9)]
    assert rows(world, "SELECT count(*) FROM log WHERE what = 'row'") == [(9,)]
    # statement-level triggers fire once per sub-batch: what they saw adds up
    assert rows(world, "SELECT sum(n) FROM log WHERE what = 'statement'") == [(9,)]


def test_triggers_settings_do_not_outlive_the_batch(world):
    with world.db.session() as s:
        before = s.value("SHOW search_path")
    run(world, """
        CREATE TABLE t (n int, day date, path text);
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            new.path := current_setting('search_path');
            PERFORM set_config('search_path', 'nowhere', false);
            PERFORM set_config('statement_timeout', '1ms', false);
            PERFORM pg_advisory_lock(4711);
            RETURN new; END $$;
        CREATE TRIGGER meddle BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle();
        CREATE CONSTRAINT TRIGGER meddle_at_commit AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION meddle()""", events(1))
    lane = Lane(world.db, world.pipeline_name).assign([0])
    for _ in range(3):
        lane.send(0, events(1))
        wait_for(lambda: world.positions() == lane.positions, "settled")
    lane.close()
    assert rows(world, "SELECT count(*) FROM t WHERE path = 'nowhere'") == [(0,)], before
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
    wait_for(lambda: rows(world, held) == [(0,)], "the locks to be given back")


def test_foreign_key(world):
    counters = run(world, """
        CREATE TABLE parent (n int PRIMARY KEY);
        INSERT INTO parent SELECT generate_series(0, 49);
        CREATE TABLE t (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, day date)""", events(60), max_retries=0)
    assert (counters["written"], counters["dead"]) == (50, 10)
    assert {d[3] for d in world.dead_letters()} == {"23503"}
    assert sorted(d[6] for d in world.dead_letters()) == list(range(50, 60))


def test_none_one_or_many_rows(world):
    """The engine knows which outcome each event had."""
    counters = run(world, "CREATE TABLE t (n int, tag text)",
                   [b'{"n":0,"tags":"{}"}', b'{"n":1,"tags":"{a}"}', b'{"n":2,"tags":"{a,b}"}', b'{"n":3}', b'{"n":4,"tags":"{c,d,e}"}'],
                   transform="SELECT event.n, tag FROM event CROSS JOIN LATERAL unnest(event.tags) AS tag")
    assert (counters["events"], counters["written"], counters["filtered"], counters["rows"]) == (5, 3, 2, 6)
    assert rows(world, "SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [(1, 1), (2, 2), (4, 3)]


def test_one_bad_row_of_many_takes_its_event_only(world):
    """An event is written whole or not at all."""
    counters = run(world, "CREATE TABLE t (n int, tag text CHECK (tag <> 'bad'))",
                   [b'{"n":1,"tags":"{a,b}"}', b'{"n":2,"tags":"{a,bad,c}"}', b'{"n":3,"tags":"{a}"}'],
                   transform="SELECT event.n, tag FROM event CROSS JOIN LATERAL unnest(event.tags) AS tag")
    assert (counters["written"], counters["dead"], counters["rows"]) == (2, 1, 3)
    assert rows(world, "SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [(1, 2), (3, 1)]


def test_too_many_rows_of_one_event(world):
    counters = run(world, "CREATE TABLE t (n int)", [b'{"n":5}', b'{"n":5000}', b'{"n":7}'], fields="n int NOT NULL",
                   transform="SELECT g AS n FROM event CROSS JOIN LATERAL generate_series(1, event.n) AS g", rows_per_event=100)
    assert (counters["written"], counters["dead"], counters["rows"]) == (2, 1, 12)


def test_row_security_is_the_events_fault(world):
    """42501 from one event must not stop the others."""
    counters = run(world, """
        CREATE TABLE t (n int, day date);
        ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        ALTER TABLE t FORCE ROW LEVEL SECURITY;
        CREATE POLICY even ON t FOR ALL USING (true) WITH CHECK (n <> 5)""", events(10))
    assert (counters["written"], counters["dead"]) == (9, 1)
    assert world.dead_letters()[0][3] == "42501"


def test_ddl_on_the_target_while_it_runs(world):
    run(world, "CREATE TABLE t (n int, day date)", events(10))
    lane = Lane(world.db, world.pipeline_name).assign([0])
    with world.db.session("app") as s:
        for ddl in ("ALTER TABLE t ADD COLUMN extra int NOT NULL DEFAULT 7", "CREATE INDEX ON t (n)",
                    "ALTER TABLE t ALTER COLUMN n TYPE bigint", "ALTER TABLE t ADD CHECK (n >= 0)", "TRUNCATE t",
                    "ALTER TABLE t DROP COLUMN extra", "VACUUM FULL t"):
            s.run(ddl)
            lane.send(0, events(10))
            wait_for(lambda: world.positions() == lane.positions, f"settled after {ddl}")
    lane.close()
    assert rows(world, "SELECT count(*) FROM t") == [(30,)]
    assert world.counters()["dead"] == 0


@pytest.mark.parametrize("many", [False, True])
def test_a_slow_event_is_timed_out(world, many):
    """An event that takes too long is a dead letter; its neighbours are not."""
    payloads = events(40) if many else events(1)
    counters = run(world, "CREATE TABLE t (n int, day date)", [*payloads, b'{"n":777}'],
                   transform="SELECT event.n, event.day FROM event WHERE event.n <> 777 OR pg_sleep(30) IS NOT NULL",
                   statement_timeout="1 s", max_retries=0)
    assert (counters["written"], counters["dead"]) == (len(payloads), 1)
    assert world.dead_letters()[0][3] == "57014"
