"""What a transform writes besides its rows, and what it raises. Each event that is settled has its audit record once, one
that is not has none, whatever fails in its batch. The lane is played by hand, so that neighbours are neighbours for sure."""
import json

import pytest

from lib.lane import Batch
from lib.wait import wait_for
from test_target_changes import Feed

AUDIT = """
    CREATE TABLE audit (n int);
    CREATE FUNCTION audited(n int) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
        IF n % 10 = 9 THEN RAISE 'the transform refuses %', n; END IF;
        INSERT INTO audit VALUES (n); RETURN n; END $f$;
    CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent SELECT n FROM generate_series(0, 999) AS n WHERE n % 10 <> 8;"""
# The function runs for all, those that are left out too.
TRANSFORM = "SELECT n, v FROM event WHERE CASE WHEN audited(n) IS NOT NULL THEN v <> 'filtered' OR v IS NULL END"
COLUMNS = "n int CHECK (n % 10 <> 7), v text NOT NULL"
TARGETS = {
    "direct": (f"CREATE TABLE t ({COLUMNS})", {}),
    "planned": (f"""CREATE TABLE t ({COLUMNS}, FOREIGN KEY (n) REFERENCES parent)""", {}),
    "deferred": (f"""CREATE TABLE t ({COLUMNS}, FOREIGN KEY (n) REFERENCES parent DEFERRABLE INITIALLY DEFERRED)""", {}),
    "upsert": (f"""CREATE TABLE t ({COLUMNS}, PRIMARY KEY (n), FOREIGN KEY (n) REFERENCES parent)""",
               dict(on_conflict="update", conflict_key=["n"])),
}


def payloads(count):
    """Of ten: one is filtered, one has a NULL, and numbers 7, 8 and 9 are refused by a check, a foreign key and the transform."""
    return [json.dumps({"n": n, "v": {5: "filtered", 6: None}.get(n % 10, "good")}) for n in range(count)]


@pytest.mark.parametrize("count", [10, 100, 400])
@pytest.mark.parametrize("target", TARGETS)
def test_an_audit_record_for_each_event_that_is_settled(world, target, count):
    """400: so many fail that the batch is settled in parts, each with its own commit."""
    ddl, more = TARGETS[target]
    feed = Feed(world, AUDIT + ddl, transform=TRANSFORM, retry_delay="10 ms", retry_factor=1, dlq="off", **more)
    feed.send(*payloads(count)).settled()
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 0, "the retries end")
    failing = [6, 7, 8, 9] if target != "direct" else [6, 7, 9]
    settled = [n for n in range(count) if n % 10 not in failing]
    counters = world.counters()
    assert counters["events"] == count and counters["dead"] == count - len(settled)
    assert feed.rows("SELECT n FROM t ORDER BY 1") == [(n,) for n in settled if n % 10 != 5]
    assert feed.rows("SELECT n FROM audit ORDER BY 1") == [(n,) for n in settled]
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]


def test_an_audit_record_for_each_event_of_a_key_in_order(world):
    """Those that wait behind a failing event of their key have one when it is their turn."""
    ddl, _ = TARGETS["planned"]
    feed = Feed(world, AUDIT + ddl, transform=TRANSFORM, retry_delay="300 ms", retry_factor=1, max_retries=1, dlq="off", ordering="key")
    batch = Batch()
    for n in range(100):
        batch.event(0, n, json.dumps({"n": n, "v": "good"}).encode(), key=b"key%d" % (n % 4))
    batch.entry(0, feed.lane.epochs[0], 0, 100)
    feed.lane.stage(batch)
    wait_for(lambda: world.counters()["events"] == 100 and world.db.value("SELECT count(*) FROM millrace.retry") == 0, "all settled")
    settled = [(n,) for n in range(100) if n % 10 not in (7, 8, 9)]
    assert feed.rows("SELECT n FROM t ORDER BY 1") == settled
    assert feed.rows("SELECT n FROM audit ORDER BY 1") == settled


def test_an_audit_record_of_a_replay(world):
    feed = Feed(world, AUDIT + TARGETS["planned"][0], transform=TRANSFORM, max_retries=0, dlq="off")
    feed.send('{"n":8,"v":"a"}').settled()
    assert feed.rows("SELECT n FROM audit") == []
    world.db.run("INSERT INTO parent VALUES (8)")
    with world.db.session("app") as s:
        s.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
    wait_for(lambda: world.counters()["written"] == 1, "the replay passes")
    assert feed.rows("SELECT n FROM audit") == [(8,)]


DEFERRED = """
    CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 1000);
    CREATE TABLE audit (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION audited(n int) RETURNS int LANGUAGE sql AS $f$ INSERT INTO audit VALUES (n) RETURNING n $f$;
    CREATE TABLE t (n int, v text);"""


def test_a_deferred_constraint_of_what_the_transform_wrote_fails_its_event(world):
    """It fired when the rows were written, also when there were none: the pipeline waited for ever."""
    feed = Feed(world, DEFERRED, transform="SELECT audited(n) AS n, v FROM event", max_retries=0, dlq="off")
    counters = feed.send(*[f'{{"n":{n}}}' for n in [*range(1, 40), -1, *range(40, 60)]]).settled()
    assert (counters["written"], counters["dead"]) == (59, 1)
    assert world.db.run("SELECT stage, sqlstate, constraint_name FROM millrace.dead_letter") == [("transform", "23503", "audit_n_fkey")]
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM audit") == [(59, 59)]
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]


# A trigger that writes the row that refers to another first, and that one later.
CHILD_FIRST = """
    CREATE TABLE parent (n int PRIMARY KEY);
    CREATE TABLE child (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE t (n int CHECK (n > 0), v text);
    CREATE FUNCTION child_first() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
        INSERT INTO child VALUES (new.n); INSERT INTO parent VALUES (new.n); RETURN new; END $f$;
    CREATE TRIGGER child_first BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION child_first();"""


def test_constraints_stay_deferred_when_a_neighbour_fails(world):
    """What is written behind the failing event is written as it would be without it."""
    feed = Feed(world, CHILD_FIRST, dlq="off")
    counters = feed.send(*[f'{{"n":{n}}}' for n in [*range(1, 40), -1, *range(40, 60)]]).settled()
    assert (counters["written"], counters["dead"]) == (59, 1)
    assert world.db.run("SELECT sqlstate FROM millrace.dead_letter") == [("23514",)]
    assert feed.rows("SELECT count(*) FROM child") == [(59,)]


@pytest.mark.parametrize("sqlstate", ["MR000", "MR001", "MR002", "MR003", "MR009", "MR010", "MR011"])
def test_a_reserved_sqlstate_is_an_ordinary_failure(world, sqlstate):
    """Raised for an event, and for none at all: neither is taken for what the engine means by it."""
    feed = Feed(world, f"""
        CREATE TABLE t (n int, v text); CREATE TABLE switch (broken bool); INSERT INTO switch VALUES (false);
        CREATE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
            IF n < 0 THEN RAISE 'no' USING ERRCODE = '{sqlstate}'; END IF; RETURN n; END $f$;
        CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
            IF (SELECT broken FROM switch) THEN RAISE 'broken' USING ERRCODE = '{sqlstate}'; END IF; RETURN NULL; END $f$;
        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION g()""", transform="SELECT f(n) AS n, v FROM event", dlq="off")
    counters = feed.send('{"n":1}', '{"n":-2}', '{"n":3}').settled()
    assert (counters["written"], counters["dead"]) == (2, 1)
    assert world.db.run("SELECT sqlstate, ended, message FROM millrace.dead_letter") == [(sqlstate, "permanent", "no")]
    world.db.run("UPDATE switch SET broken = true")
    feed.send('{"n":4}', '{"n":5}')
    wait_for(lambda: world.db.run("SELECT sqlstate, reason FROM millrace.breakers WHERE state <> 'closed'") == [(sqlstate, "broken")],
             "the breaker opens")
    world.db.run("UPDATE switch SET broken = false")
    feed.settled()
    assert feed.rows("SELECT n FROM t ORDER BY 1") == [(1,), (3,), (4,), (5,)]


def test_a_slow_stream_that_is_broken_opens_the_breaker(world):
    """One event a batch: that it is judged again, when what the transform wrote is undone, makes it no second one."""
    feed = Feed(world, AUDIT + """
        CREATE TABLE t (n int, v text); CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 0';
        CREATE FUNCTION helped() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN new.n := new.n + helper(); RETURN new; END $f$;
        CREATE TRIGGER helped BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION helped()""",
                transform=TRANSFORM, max_retries=0, dlq="off")
    feed.send('{"n":1}').settled()
    feed.ddl("ALTER FUNCTION helper RENAME TO renamed")
    state = "SELECT state FROM millrace.breakers WHERE sqlstate = '42883' AND state <> 'closed'"
    for i in range(1, 6):
        feed.send('{"n":1}')
        wait_for(lambda i=i: world.counters()["dead"] == i or world.db.run(state), "given up, or held")
    assert world.db.run(state) and world.counters()["dead"] < 5
    feed.ddl("ALTER FUNCTION renamed RENAME TO helper")
    feed.settled()
    written = world.counters()["written"]
    assert feed.rows("SELECT count(*) FROM audit") == feed.rows("SELECT count(*) FROM t") == [(written,)]
