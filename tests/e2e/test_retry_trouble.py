"""Events that are tried again hold up nobody: neither by trouble that they alone meet, nor by waiting for a partition that another
worker has locked. The lanes are played by hand."""
import re

from lib.lane import Lane
from lib.wait import holds_for, wait_for
from test_breaker import breaker, some
from test_failures import dead, retrying
from test_target_changes import Feed

# What is bad fails like an event whose parent is missing, and from the row in `gone` on like a statement whose table is.
TURNS = """
    CREATE TABLE t (n int, v text, at timestamptz DEFAULT clock_timestamp()); CREATE TABLE gone (yes boolean); CREATE TABLE fine (yes boolean);
    CREATE FUNCTION turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.v <> 'bad' OR EXISTS (SELECT FROM fine) THEN RETURN new; END IF;
        IF EXISTS (SELECT FROM gone) THEN EXECUTE 'SELECT FROM nowhere'; END IF;
        RAISE 'no parent' USING ERRCODE = '23503'; END $$;
    CREATE TRIGGER turn BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION turn();"""


def in_trouble(world, **more):
    """Three events wait to be tried again, and will fail with class break."""
    feed = Feed(world, TURNS, retry_delay="1 h", retry_jitter=0, **more).send(*some(0, 3, "bad"))
    feed.settled()
    feed.ddl("INSERT INTO gone VALUES (true); UPDATE millrace.retry SET next_at = now()")
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, retry_delay => '300 ms')", (world.pipeline_name,))
    wait_for(lambda: 'relation "nowhere" does not exist' in {r[0] for r in world.db.run("SELECT last_error FROM millrace._workers()")},
             "they meet trouble")
    return feed


def test_trouble_of_retries_is_theirs(world):
    """Events of the lane go on, one after the other, and the retries come to their end."""
    feed = in_trouble(world, max_retries=3)
    assert dead(world) == [] and retrying(world) == 3
    for i in range(20):
        feed.send(*some(100 + i, 1))
        wait_for(lambda: world.positions() == feed.lane.positions, "a good event is settled", 15)  # their probes come later and later
    wait_for(lambda: len(dead(world)) == 3, "each try counts, since others pass")
    assert set(dead(world, "ended, attempts, sqlstate")) == {("exhausted", 4, "42P01")}
    assert breaker(world, "state, opened") == ("closed", 0)
    assert re.search(f'LOG: .*retries of pipeline "{world.pipeline_name}" are held back: relation "nowhere" does not exist',
                     world.cluster.log_text(world.log_start))
    assert feed.rows("SELECT count(*) FROM t WHERE v = 'good'") == [(20,)]


def test_trouble_of_retries_gives_up_none_while_nobody_passes(world):
    feed = in_trouble(world, max_retries=1)
    holds_for(lambda: dead(world) == [] and retrying(world) == 3, "nothing is given up", 2)
    feed.ddl("INSERT INTO fine VALUES (true)")
    wait_for(lambda: feed.rows("SELECT count(*) FROM t") == [(3,)], "written after all")
    wait_for(lambda: retrying(world) == 0, "settled")
    assert dead(world) == []


def test_trouble_of_retries_is_shown(world):
    """Since when they wait, why, and until when; the pipeline runs. resume() tries them at once, and then nothing is shown."""
    feed = in_trouble(world, max_retries=1)
    wait_for(lambda: breaker(world, "retries_state") == ("open",), "held back")
    assert breaker(world, "state, opened, since") == ("closed", 0, None)
    assert breaker(world, "retries_reason, retries_sqlstate") == ('relation "nowhere" does not exist', "42P01")
    since, = breaker(world, "retries_since")
    long = "CASE WHEN retries_next_probe_at - clock_timestamp() > '3 s' THEN retries_next_probe_at END"
    probe = wait_for(lambda: breaker(world, long)[0], "it waits long")
    assert breaker(world, "retries_since") == (since,), "still the same trouble"
    assert world.db.value("SELECT status FROM millrace.pipelines") == "running"
    found = world.db.run("SELECT severity, detail, command FROM millrace.doctor() WHERE what LIKE '%held back'")
    assert [f[0] for f in found] == ["warning"] and "nowhere" in found[0][1] and "millrace.resume(" in found[0][2]
    feed.ddl("INSERT INTO fine VALUES (true)")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    wait_for(lambda: feed.rows("SELECT count(*) FROM t") == [(3,)], "written")
    assert feed.rows("SELECT max(at) FROM t") < [(probe,)], "at once"
    wait_for(lambda: breaker(world, "retries_state, retries_reason, retries_next_probe_at") == ("closed", None, None), "closed")


def test_what_an_earlier_worker_showed_of_retries_that_are_gone(world):
    feed = in_trouble(world, max_retries=1)
    wait_for(lambda: breaker(world, "retries_state") == ("open",), "held back")
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    feed.ddl("DELETE FROM millrace.retry")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    wait_for(lambda: breaker(world, "retries_state") == ("closed",), "closed")


# A parent is missing for n < 0; from 1000 on an event takes its time.
SLOW = """
    CREATE TABLE t (n int, v text);
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.n < 0 THEN RAISE 'no parent' USING ERRCODE = '23503'; END IF;
        IF new.n >= 1000 THEN PERFORM pg_sleep(new.v::float8); END IF; RETURN new; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();"""


SLOW_ONES = 300  # a minute and a half of them


def two_lanes(world):
    """Worker 0 has partition 0 and the retries, worker 1 has partition 1; an event of each is tried again and again."""
    feed = Feed(world, SLOW, workers=2, batch_rows=1, max_retries=1000, retry_delay="100 ms", retry_factor=1, retry_jitter=0)
    world.db.run("SELECT millrace.add_partitions(%s, 1, '{0,0}')", (world.pipeline_name,))
    other = Lane(world.db, world.pipeline_name, 1).assign([1])
    feed.send(*some(-1, 1))
    other.send(1, [b'{"n":-2}'])
    wait_for(lambda: attempts(world).keys() == {0, 1}, "both fail")
    return feed, other


def attempts(world):
    return dict(world.db.run("SELECT partition, attempts FROM millrace.retry"))


def test_retries_of_a_partition_that_is_locked_are_passed_over(world):
    feed, other = two_lanes(world)
    asleep = """SELECT xact_start FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()
                AND application_name LIKE 'millrace worker 1 of %'"""
    other.send(1, [b'{"n":1000,"v":"50"}'])
    batch = wait_for(lambda: world.db.value(asleep), "a batch takes long")
    before = attempts(world)
    wait_for(lambda: world.db.value("SELECT now() - next_at > '300 ms' FROM millrace.retry WHERE partition = 1"), "it is due")
    feed.send(*some(1, 1))
    wait_for(lambda: feed.rows("SELECT count(*) FROM t WHERE n = 1") == [(1,)], "another partition's event is written")
    wait_for(lambda: attempts(world)[0] > before[0] + 1, "another partition's retries go on")
    assert world.db.value(asleep) == batch, "meanwhile"
    assert attempts(world)[1] == before[1], "no attempt is counted"
    other.close()


def test_retries_of_a_partition_that_is_always_locked_get_their_turn(world):
    feed, other = two_lanes(world)
    for i in range(SLOW_ONES):
        other.send(1, [b'{"n":%d,"v":"0.3"}' % (1000 + i)])
    before = attempts(world)[1]
    wait_for(lambda: attempts(world)[1] > before + 1, "it is tried")
    assert feed.rows("SELECT count(*) FROM t WHERE n >= 1000") < [(SLOW_ONES,)], "while there was always a batch"
    other.close()
