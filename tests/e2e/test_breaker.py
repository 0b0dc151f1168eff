"""The circuit breaker: trouble that is no event's fault gives up no event, is shown, is probed, and ends by itself; and no
event can make such trouble alone. The lane is played by hand."""
import pytest

from lib.wait import holds_for, wait_for
from test_failures import dead, retrying
from test_target_changes import Feed

TABLE = "CREATE TABLE t (n int, v text);"
AUDITED = TABLE + """
    CREATE TABLE audit (n int);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (new.n); RETURN new; END $$;
    CREATE TRIGGER note BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();"""
FULL = TABLE + """
    CREATE TABLE full_disk (yes boolean);
    CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM full_disk) THEN RAISE 'no space left on device' USING ERRCODE = '53100'; END IF; RETURN new; END $$;
    CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill();"""
BY_NAME = TABLE + """
    CREATE FUNCTION look(v text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE x int; BEGIN
        IF v <> 'good' THEN EXECUTE format('SELECT 1 FROM %I', v) INTO x; END IF; RETURN 0; END $$;"""


def breaker(world, columns="state"):
    return world.db.run(f"SELECT {columns} FROM millrace.breakers WHERE pipeline = %s", (world.pipeline_name,))[0]


def wait_state(world, state):
    wait_for(lambda: breaker(world) == (state,), f"the breaker is {state}", 40)


def some(first, n, v="good"):
    return [f'{{"n":{i},"v":"{v}"}}' for i in range(first, first + n)]


def nothing_given_up(world):
    return dead(world) == [] and retrying(world) == 0


def all_written(feed, n):
    feed.settled()
    wait_state(feed.world, "closed")
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(n, n)]
    assert nothing_given_up(feed.world)


def test_disk_full_for_every_event(world):
    """Raised by the write of each event, not by the statement alone: shown, probed later and later, and over when it is over."""
    feed = Feed(world, FULL).send(*some(0, 50))
    feed.settled()
    feed.ddl("INSERT INTO full_disk VALUES (true)")
    feed.send(*some(50, 50)).send(*some(100, 3))
    wait_state(world, "open")
    since, reason, sqlstate, condition, probe, opened = breaker(world, "since, reason, sqlstate, condition, next_probe_at, opened")
    assert (reason, sqlstate, condition, opened) == ("no space left on device", "53100", "disk_full", 1)
    assert since < probe
    assert world.db.run("SELECT status, reason FROM millrace.pipelines") == [("breaker open", "no space left on device")]
    probes = {probe}
    wait_for(lambda: probes.add(breaker(world, "next_probe_at")[0]) or len(probes - {None}) > 5, "it is probed again and again", 30, every=0.02)
    seen = sorted(probes - {None})
    assert seen[-1] - seen[-2] > seen[1] - seen[0], "later and later"
    assert nothing_given_up(world) and feed.rows("SELECT count(*) FROM t") == [(50,)]
    assert breaker(world, "since, opened") == (since, 1), "still the same trouble"
    feed.ddl("DELETE FROM full_disk")
    all_written(feed, 103)
    assert breaker(world, "opened, reason, next_probe_at") == (1, None, None)


def test_filtered_neighbours_prove_nothing_about_the_write(world):
    """A right that is missing behind the target: heartbeats pass all the same, the others are not to blame."""
    feed = Feed(world, AUDITED, transform="SELECT n, v FROM event WHERE v <> 'heartbeat'").send(*some(0, 10))
    feed.settled()
    feed.ddl("ALTER TABLE audit OWNER TO postgres")
    feed.send(*some(-10, 10, "heartbeat"), *some(10, 10), *some(-20, 10, "heartbeat"))
    wait_state(world, "open")
    holds_for(lambda: nothing_given_up(world), "nothing is given up", 1.5)
    feed.ddl("ALTER TABLE audit OWNER TO app")
    all_written(feed, 20)


def test_one_event_at_a_time_while_it_is_open(world):
    """What probes may be a single event: it is not given up either."""
    feed = Feed(world, AUDITED, max_retries=0)
    feed.ddl("ALTER TABLE audit OWNER TO postgres")
    feed.send(*some(0, 2))
    wait_state(world, "open")
    feed.send(*some(2, 1))
    holds_for(lambda: nothing_given_up(world), "nothing is given up", 2)
    feed.ddl("ALTER TABLE audit OWNER TO app")
    all_written(feed, 3)


def test_target_dropped_and_made_again(world):
    feed = Feed(world, TABLE).send(*some(0, 5))
    feed.settled()
    feed.ddl("ALTER TABLE t RENAME TO old; CREATE TABLE t (n int, v text); INSERT INTO t SELECT * FROM old; ALTER TABLE t OWNER TO app; DROP TABLE old")
    feed.send(*some(5, 5))
    status = "SELECT status FROM millrace.pipelines"
    wait_for(lambda: world.db.value(status) == "target missing", "it is said", 20)
    wait_state(world, "open")
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, target => 't')", (world.pipeline_name,))
    all_written(feed, 10)


def test_pause_and_resume_are_another_matter(world):
    feed = Feed(world, FULL + "INSERT INTO full_disk VALUES (true)").send(*some(0, 20))
    wait_state(world, "open")
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        assert world.db.value("SELECT status FROM millrace.pipelines") == "paused"
        feed.ddl("DELETE FROM full_disk")
        holds_for(lambda: breaker(world)[0] != "closed" and feed.rows("SELECT count(*) FROM t") == [(0,)], "nothing is tried in a pause", 1.5)
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    all_written(feed, 20)


def test_events_that_are_broken_together_do_not_stand_in_the_way_for_ever(world):
    """A batch of nothing but events that fail like trouble opens it; when others come they are found guilty."""
    feed = Feed(world, BY_NAME, transform="SELECT n, v FROM event WHERE look(v) = 0", max_retries=1, retry_delay="20 ms").send(*some(0, 40, "nowhere"))
    wait_state(world, "open")
    assert nothing_given_up(world)
    feed.send(*some(40, 40))
    feed.settled()
    wait_for(lambda: len(dead(world)) == 40 and retrying(world) == 0, "the broken ones are given up", 30)
    wait_state(world, "closed")
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(40, 40)]
    assert {d[2] for d in dead(world)} == {"42P01"}


def test_known_offenders_open_nothing(world):
    """Two that were found guilty beside others wait to be tried again, and are then alone with each other."""
    feed = Feed(world, FULL.replace("EXISTS (SELECT FROM full_disk)", "new.v = 'bad'"), max_retries=3, retry_delay="50 ms", retry_jitter=0)
    for i in range(3):
        feed.send(*some(10 * i, 4), *some(10 * i + 4, 1, "bad"), *some(10 * i + 5, 4))
        feed.settled()
    wait_for(lambda: len(dead(world)) == 3, "given up", 20)
    assert set(dead(world)) == {("exhausted", 4, "53100", 4)}
    assert breaker(world, "state, opened") == ("closed", 0)
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(24, 24)]


@pytest.mark.parametrize("sqlstate", ["42883", "42804", "42704", "XX000", "XX001"])
def test_a_function_that_is_broken_for_every_event(world, sqlstate):
    """Raised inside a function, for which an empty batch says nothing: a helper was dropped, a type changed, an index is damaged."""
    feed = Feed(world, TABLE + """
        CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 0';
        CREATE FUNCTION call(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN helper(); END $$;""",
                transform="SELECT n + call(v) AS n, v FROM event", max_retries=0).send(*some(0, 5))
    feed.settled()
    if sqlstate == "42883":
        feed.ddl("ALTER FUNCTION helper RENAME TO helped")
    else:
        feed.ddl(f"CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken' USING ERRCODE = '{sqlstate}'; END $$")
    feed.send(*some(5, 50))
    wait_state(world, "open")
    assert breaker(world, "sqlstate") == (sqlstate,)
    holds_for(lambda: nothing_given_up(world), "nothing is given up", 1)
    if sqlstate == "42883":
        feed.ddl("ALTER FUNCTION helped RENAME TO helper")
    else:
        feed.ddl("CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$")
    all_written(feed, 55)
