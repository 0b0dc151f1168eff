"""The circuit breaker: trouble that is no event's fault gives up no event, is shown, is probed, and ends by itself; and no
event can make such trouble alone. The lane is played by hand."""
import pytest

from lib.lane import Lane
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
# Fails as a missing table does, for the values of v that `fine` does not have.
PICKY = """
    CREATE TABLE t (n int, v text, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE fine (v text);
    CREATE FUNCTION pick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.v <> 'good' AND NOT EXISTS (SELECT FROM fine AS f WHERE f.v = new.v) THEN EXECUTE 'SELECT FROM nowhere'; END IF;
        RETURN new; END $$;
    CREATE TRIGGER pick BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pick();"""
BY_NAME = TABLE + """
    CREATE FUNCTION look(v text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE x int; BEGIN
        IF v <> 'good' THEN EXECUTE format('SELECT 1 FROM %I', v) INTO x; END IF; RETURN 0; END $$;"""


def breaker(world, columns="state"):
    return world.db.run(f"SELECT {columns} FROM millrace.breakers WHERE pipeline = %s", (world.pipeline_name,))[0]


def wait_state(world, state):
    wait_for(lambda: breaker(world) == (state,), f"the breaker is {state}")


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
    wait_for(lambda: probes.add(breaker(world, "next_probe_at")[0]) or len(probes - {None}) > 5, "it is probed again and again", every=0.02)
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
    wait_for(lambda: world.db.value(status) == "target missing", "it is said")
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
    wait_for(lambda: len(dead(world)) == 40 and retrying(world) == 0, "the broken ones are given up")
    wait_state(world, "closed")
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(40, 40)]
    assert {d[2] for d in dead(world)} == {"42P01"}


def test_known_offenders_open_nothing(world):
    """Two that were found guilty beside others wait to be tried again, and are then alone with each other."""
    feed = Feed(world, FULL.replace("EXISTS (SELECT FROM full_disk)", "new.v = 'bad'"), max_retries=3, retry_delay="50 ms", retry_jitter=0)
    for i in range(3):
        feed.send(*some(10 * i, 4), *some(10 * i + 4, 1, "bad"), *some(10 * i + 5, 4))
        feed.settled()
    wait_for(lambda: len(dead(world)) == 3, "given up")
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


@pytest.mark.parametrize("sqlstate", ["42883", "XX000"])
def test_a_function_that_is_broken_for_every_event_of_a_slow_stream(world, sqlstate):
    """One event a batch, and none comes before the one before it is given up: those are two, not the stream."""
    feed = Feed(world, TABLE + """
        CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 0';
        CREATE FUNCTION call(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN helper(); END $$;""",
                transform="SELECT n + call(v) AS n, v FROM event", max_retries=1, retry_delay="10 ms").send(*some(0, 1))
    feed.settled()
    if sqlstate == "42883":
        feed.ddl("ALTER FUNCTION helper RENAME TO helped")
    else:
        feed.ddl("CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken' USING ERRCODE = 'XX000'; END $$")
    for i in range(1, 6):
        feed.send(*some(i, 1))
        wait_for(lambda i=i: len(dead(world)) == i or breaker(world) != ("closed",), "given up, or held")
    assert breaker(world, "sqlstate") == (sqlstate,)
    holds_for(lambda: len(dead(world)) == 2, "nothing more is given up", 1.5)
    if sqlstate == "42883":
        feed.ddl("ALTER FUNCTION helped RENAME TO helper")
    else:
        feed.ddl("CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$")
    feed.settled()
    wait_state(world, "closed")
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(4, 4)] and retrying(world) == 0


def test_a_poison_event_between_good_ones_of_a_slow_stream(world):
    """One event a batch: those that fail are never three in a row, and are given up one by one."""
    feed = Feed(world, PICKY, max_retries=1, retry_delay="10 ms")
    for i in range(4):
        feed.send(*some(3 * i, 1)).settled()
        for k in 1, 2:
            feed.send(*some(3 * i + k, 1, "bad"))
            wait_for(lambda n=2 * i + k: len(dead(world)) == n, "given up")
    assert set(dead(world, "ended, attempts, sqlstate")) == {("exhausted", 2, "42P01")}
    assert breaker(world, "state, opened") == ("closed", 0)
    assert feed.rows("SELECT count(*) FROM t") == [(4,)]


def second_lane(world):
    world.db.run("SELECT millrace.add_partitions(%s, 1, '{0,0}')", (world.pipeline_name,))
    return Lane(world.db, world.pipeline_name, 1).assign([1])


def test_a_poison_event_between_good_ones_of_another_worker(world):
    """Each is alone in its lane, where nothing gets past; that events of other partitions do shows whose fault it is."""
    feed = Feed(world, PICKY, workers=2, max_retries=0)
    other = second_lane(world)
    for i in range(5):
        other.send(1, payloads(2 * i, 1, "bad"))
        wait_for(lambda i=i: len(dead(world)) == i + 1, "given up")
        feed.send(*some(2 * i + 1, 1))
        wait_for(lambda: world.positions()[0] == feed.lane.positions[0], "a good one is written")
    assert breaker(world, "state, opened") == ("closed", 0)


def payloads(first, n, v="good"):
    return [p.encode() for p in some(first, n, v)]


def test_a_worker_that_is_taken_away_leaves_no_open_breaker(world):
    feed = Feed(world, PICKY, workers=2)
    second_lane(world).send(1, payloads(0, 5, "bad"))
    wait_for(lambda: breaker(world, "next_probe_at - clock_timestamp() > '4 s'")[0], "its worker waits long")
    with world.db.session("app") as s:
        s.run("BEGIN")
        s.run("INSERT INTO fine VALUES ('bad')")
        s.run("SELECT millrace.alter_pipeline(%s, workers => 1)", (world.pipeline_name,))
        s.run("COMMIT")
    wait_for(lambda: feed.rows("SELECT count(*) FROM t") == [(5,)], "the other worker writes them")
    wait_state(world, "closed")
    assert world.db.value("SELECT status FROM millrace.pipelines") == "running"


def test_one_worker_does_not_close_the_breaker_of_another(world):
    """Both meet trouble, which ends for one of them: the pipeline's breaker is closed when both are."""
    feed = Feed(world, PICKY, workers=2).send(*some(0, 5, "bad"))
    other = second_lane(world)
    other.send(1, payloads(10, 5, "worse"))
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.breaker WHERE state <> 'closed'") == 2, "both are open")
    since = breaker(world, "since")
    feed.ddl("INSERT INTO fine VALUES ('bad')")
    wait_for(lambda: feed.rows("SELECT count(*) FROM t") == [(5,)], "one goes on")
    holds_for(lambda: breaker(world)[0] != "closed", "the breaker is open", 1)
    assert breaker(world, "since, opened") == (*since, 1)
    assert world.db.value("SELECT status FROM millrace.pipelines") == "breaker open"
    feed.ddl("INSERT INTO fine VALUES ('worse')")
    wait_state(world, "closed")
    assert feed.rows("SELECT count(*) FROM t") == [(10,)] and breaker(world, "opened") == (1,)


def test_a_row_that_cannot_be_written_ends_no_worker(world):
    """The breaker's table is locked: its worker goes on, and the row is written later, with events or without."""
    feed = Feed(world, PICKY)
    pid = "SELECT pid FROM millrace.workers WHERE pipeline = %s"
    worker = wait_for(lambda: world.db.value(pid, (world.pipeline_name,)), "a worker")
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'millrace.breaker'::regclass"

    def locked(act, done):
        with world.db.session("postgres") as s:
            s.run("BEGIN; LOCK TABLE millrace.breaker")
            act()
            wait_for(lambda: world.db.value(waits) > 0, "it waits for the table")
            wait_for(lambda: world.db.value(waits) == 0, "in vain")
            wait_for(done, "it goes on")
            s.run("ROLLBACK")

    failed = "SELECT last_error FROM millrace._workers()"
    locked(lambda: feed.send(*some(0, 5, "bad")), lambda: "nowhere" in (world.db.value(failed) or ""))
    wait_state(world, "open")
    assert breaker(world, "sqlstate, opened") == ("42P01", 1)
    locked(lambda: feed.ddl("INSERT INTO fine VALUES ('bad')"), lambda: feed.rows("SELECT count(*) FROM t") == [(5,)])
    wait_state(world, "closed")
    assert world.db.value(pid, (world.pipeline_name,)) == worker, "the same worker"


def test_trouble_of_a_lane_is_not_that_of_its_neighbour(world):
    """Two lanes on one worker: events that fail together in one of them hold up neither the other nor themselves for ever."""
    feed = Feed(world, PICKY, max_retries=1, retry_delay="20 ms").send(*some(0, 40, "bad"))
    wait_state(world, "open")
    other = second_lane(world)
    for i in range(100, 140):
        other.send(1, payloads(i, 1))
        wait_for(lambda: world.positions()[1] == other.positions[1], "a good event is settled", 15)  # probes come later and later
    wait_for(lambda: len(dead(world)) == 40 and retrying(world) == 0, "the others are given up")
    wait_state(world, "closed")
    assert feed.rows("SELECT count(*) FROM t") == [(40,)]


def test_waits_of_a_lane_are_counted_for_it_alone(world):
    """Where no event of a lane passes because of a lock, its events are tried again, whatever its neighbour does meanwhile."""
    feed = Feed(world, "CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent SELECT generate_series(0, 999);"
                       "CREATE TABLE t (n int REFERENCES parent, v text)", max_retries=1000, retry_delay="100 ms")
    other = second_lane(world)
    with world.db.session("postgres") as s:
        s.run("BEGIN; SELECT FROM parent WHERE n < 2 FOR UPDATE")
        other.send(1, payloads(0, 2))
        n = iter(range(100, 1000))

        def traffic():
            feed.send(*some(next(n), 1))
            return retrying(world) == 2

        wait_for(traffic, "they are tried again", every=0.1)
        s.run("ROLLBACK")
    wait_for(lambda: retrying(world) == 0, "written")
    assert feed.rows("SELECT count(*) FROM t WHERE n < 2") == [(2,)] and dead(world) == []


def test_resume_probes_at_once(world):
    feed = Feed(world, PICKY).send(*some(0, 20, "bad"))
    probe = wait_long(world)
    feed.ddl("INSERT INTO fine VALUES ('bad')")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    written_before(feed, probe)
    wait_state(world, "closed")


def test_a_change_of_the_pipeline_is_tried_at_once(world):
    feed = Feed(world, PICKY).send(*some(0, 20, "bad"))
    probe = wait_long(world)
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, transform => $$SELECT n, 'good' AS v FROM event$$)", (world.pipeline_name,))
    written_before(feed, probe)


def wait_long(world):
    """The next probe, which comes in more than 4 s by itself."""
    return wait_for(lambda: breaker(world, "CASE WHEN next_probe_at - clock_timestamp() > '4 s' THEN next_probe_at END")[0], "it waits long")


def written_before(feed, probe):
    wait_for(lambda: feed.rows("SELECT count(*) FROM t") == [(20,)], "written")
    (last,), = feed.rows("SELECT max(at) FROM t")
    assert last < probe, "not by the probe"
