"""An event that crashes the server is found and given up; nothing else is lost, written twice, or blamed.
The lane is played by hand where Kafka does not matter."""
import os
import signal

import psycopg2
import pytest

from lib.cluster import ConnectionLost
from lib.crash_on import create_crash_on
from lib.lane import Batch, Lane
from lib.wait import Timeout, wait_for

from test_kafka_shapes import produce

CALL = "SELECT event.n, crash_on(event.v) AS v FROM event"
PLAIN = "SELECT event.n, event.v FROM event"
TABLE = "CREATE TABLE t (n int, v text)"


class Feed:
    """Stages events 0..n-1 of one partition, in one batch, again after each crash of the server until all are settled."""

    def __init__(self, world, transform=CALL, setup="", prefix="", **more):
        self.world = world
        create_crash_on(world.db)
        world.db.run(TABLE + "; ALTER TABLE t OWNER TO app")
        if setup:
            world.db.run(setup)
        world.create_pipeline(fields="n int, v text", transform=transform, target="t", **more)
        world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
        self.log_start = world.cluster.log_position()
        self.payloads = []

    def add(self, n, **deadly):
        """n more events; deadly: n123='segv'."""
        first = len(self.payloads)
        for i in range(first, first + n):
            how = deadly.get(f"n{i}", "x")
            self.payloads.append(b'{"n":%d,"v":"%s"}' % (i, how.encode()))
        return self

    def _send(self, lane, payloads):
        lane.send(0, payloads)

    def _stage(self, timeout):
        """False: the server was lost meanwhile, or it takes too long."""
        try:
            lane = Lane(self.world.db, self.world.pipeline_name).assign([0])
            try:
                position = lane.positions[0]
                if position < len(self.payloads):
                    self._send(lane, self.payloads[position:])
                wait_for(lambda: self.world.positions() == {0: len(self.payloads)}, "settled", timeout)
            finally:
                lane.close()
            return True
        except (ConnectionLost, psycopg2.Error, Timeout):
            return False

    def settle(self, timeout=300):
        wait_for(lambda: self._stage(timeout), "all settled", timeout)
        return self

    def log(self):
        return self.world.cluster.log_text(self.log_start)

    def restarts(self):
        return self.log().count("all server processes terminated; reinitializing")

    def rows(self):
        return [r[0] for r in query(self.world, "SELECT n FROM t ORDER BY n")]

    def dead(self, columns='"offset", stage, sqlstate, ended, attempts'):
        return query(self.world, f"SELECT {columns} FROM millrace.dead_letter ORDER BY \"offset\"")

    def check(self, *deadly):
        """Every other event is one row, each of these a dead letter."""
        assert self.rows() == [n for n in range(len(self.payloads)) if n not in deadly]
        assert [d[0] for d in self.dead()] == list(deadly)
        counters = self.world.counters()
        assert (counters["events"], counters["dead"]) == (len(self.payloads), len(deadly))


def query(world, sql, params=None):
    """Asks until the server is there."""
    def ask():
        try:
            return (world.db.run(sql, params),)
        except ConnectionLost:
            return None
    return wait_for(ask, "the server answers")[0]


BEFORE = """
    CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM crash_on(new.v); RETURN new; END $$;
    CREATE TRIGGER crash BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION crash()"""
DEFERRED = """
    CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM crash_on(new.v); RETURN new; END $$;
    CREATE CONSTRAINT TRIGGER crash AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crash()"""
CHECK = "ALTER TABLE t ADD CHECK (crash_on(v) <> '')"
SORTED = "SELECT event.n, crash_on(event.v) AS v FROM event ORDER BY event.n DESC"

# Known at once: one crash among the others, two alone. Not known: 600 events, then 9, then alone, twice.
KNOWN, SEARCHED = 3, 4


@pytest.mark.parametrize("how, transform, setup, stage, restarts", [
    ("segv", CALL, "", "transform", KNOWN),
    ("abort", CALL, "", "transform", KNOWN),
    ("kill", CALL, "", "transform", SEARCHED),
    ("stack", CALL, "", "transform", KNOWN),
    ("segv", SORTED, "", "transform", SEARCHED),
    ("segv", PLAIN, BEFORE, "write", KNOWN),
    ("segv", PLAIN, DEFERRED, "write", SEARCHED),
    ("segv", PLAIN, CHECK, "write", KNOWN),
], ids=["segv", "abort", "kill", "stack", "sorted", "before_trigger", "deferred_trigger", "check"])
def test_crash(world, how, transform, setup, stage, restarts):
    feed = Feed(world, transform, setup).add(600, n123=how).settle()
    feed.check(123)
    assert feed.dead() == [(123, stage, "MR011", "crashed", 2)]
    assert feed.restarts() == restarts, feed.log()
    feed.add(50).settle().check(123)
    assert feed.restarts() == restarts


def test_two_that_crash_in_one_batch(world):
    feed = Feed(world).add(600, n100="segv", n400="kill").settle()
    feed.check(100, 400)
    # what the first crash left under suspicion is searched further
    assert feed.restarts() <= KNOWN + SEARCHED, feed.log()


def test_crashes_one_after_the_other(world):
    """Neighbours, the first and the last of a batch."""
    feed = Feed(world).add(50, n0="segv", n1="segv", n49="segv").settle()
    feed.check(0, 1, 49)
    assert feed.restarts() <= 3 * KNOWN, feed.log()


def test_max_crashes(world):
    world.db.run("ALTER SYSTEM SET millrace.max_crashes = 1")
    world.db.run("SELECT pg_reload_conf()")
    try:
        feed = Feed(world).add(1, n0="segv").settle()
        feed.check(0)
        assert feed.dead("ended, attempts, message") == [
            ("crashed", 1, "the server process crashed 1 time while it processed this event alone")]
        assert feed.restarts() == 1 and "It is processed alone, 1 time at most" in feed.log()
    finally:
        query(world, "ALTER SYSTEM RESET millrace.max_crashes")
        query(world, "SELECT pg_reload_conf()")


@pytest.mark.parametrize("how", ["exit", "fatal"])
def test_worker_that_is_ended(world, how):
    """No crash of the server, but the worker would be started again for ever."""
    feed = Feed(world).add(20, n7=how).settle()
    feed.check(7)
    assert feed.dead("ended") == [("crashed",)]
    assert feed.restarts() == 0


GATE = """
    CREATE TABLE gate (open boolean); INSERT INTO gate VALUES (false);
    GRANT SELECT ON gate TO app;
    CREATE FUNCTION through(v text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT (SELECT open FROM gate) THEN RAISE EXCEPTION 'not yet' USING ERRCODE = 'ZZ001'; END IF;
        RETURN crash_on(v);
    END $$"""


def test_crash_in_a_retry(world):
    """Events that wait to be tried again crash when they are."""
    feed = Feed(world, "SELECT event.n, through(event.v) AS v FROM event WHERE event.n >= 0", GATE, max_retries=1000,
                retry_delay="200 ms", retry_factor=1, retry_max_delay="300 ms")
    world.db.run("SELECT millrace.set_error_class('ZZ001', 'retry')")
    feed.add(200, n50="kill", n150="segv").settle()
    assert world.db.value("SELECT count(*) FROM millrace.retry") == 200
    world.db.run("UPDATE gate SET open = true")
    wait_for(lambda: query(world, "SELECT count(*) FROM millrace.retry") == [(0,)], "no retries left")
    feed.check(50, 150)
    assert [d[1:4] for d in feed.dead()] == [("transform", "MR011", "crashed")] * 2
    assert all(d[4] > 2 for d in feed.dead()), "tries that failed count too"
    assert feed.restarts() <= KNOWN + SEARCHED + 1, feed.log()


def test_replay_of_what_crashed(world):
    """It crashes again as often, and no more; once the function is fixed, it passes."""
    feed = Feed(world).add(10, n3="segv").settle()
    feed.check(3)
    before = feed.restarts()

    def replay():
        with world.db.session("app") as s:
            assert s.value("SELECT millrace.replay(%s)", (world.pipeline_name,)) == 1
    replay()
    state = "SELECT state, ended, replay_count FROM millrace.dead_letter"
    wait_for(lambda: query(world, state) == [("open", "crashed", 1)], "given up again")
    assert feed.restarts() == before + 2, feed.log()
    wait_for(lambda: query(world, "SELECT count(*) FROM millrace.crash_suspect") == [(0,)], "forgotten")
    query(world, "CREATE OR REPLACE FUNCTION crash_on(how text) RETURNS text LANGUAGE sql AS $$ SELECT how $$")
    replay()
    wait_for(lambda: query(world, state) == [("replayed", "crashed", 1)], "replayed")
    assert feed.rows() == list(range(10))
    assert feed.restarts() == before + 2


def test_full_disk_is_no_event_s_fault(world):
    """A PANIC of the server's own trouble: everything restarts, and nobody is blamed."""
    feed = Feed(world, "SELECT event.n, crash_on((SELECT CASE WHEN event.n = 5 THEN how ELSE event.v END FROM trouble)) AS v FROM event",
                "CREATE TABLE trouble (how text); INSERT INTO trouble VALUES ('panic'); GRANT ALL ON trouble TO app")
    feed.add(10)

    def restarted():
        feed._stage(3)
        return feed.restarts() >= 4
    wait_for(restarted, "four crashes")
    assert query(world, "SELECT count(*) FROM millrace.crash_suspect") == [(0,)]
    query(world, "UPDATE trouble SET how = 'x'")
    feed.settle().check()


@pytest.fixture(params=["SIGQUIT", "SIGABRT"])
def ended_by(request, world):
    """How the postmaster ends everybody when a process has crashed."""
    if request.param == "SIGABRT":
        if world.db.value("SELECT current_setting('send_abort_for_crash', true)") is None:
            pytest.skip("send_abort_for_crash is PostgreSQL 16's")
        world.db.run("ALTER SYSTEM SET send_abort_for_crash = on")
        world.db.run("SELECT pg_reload_conf()")
    yield request.param
    query(world, "ALTER SYSTEM RESET send_abort_for_crash" if request.param == "SIGABRT" else "SELECT 1")
    query(world, "SELECT pg_reload_conf()")


def test_partitions_workers_and_neighbours(world, ended_by):
    """Two workers, four partitions, a real ingestor; the workers of another pipeline are innocent."""
    create_crash_on(world.db)
    world.create_topic(4)
    world.db.run(TABLE + "; CREATE TABLE other (n int); ALTER TABLE t OWNER TO app; ALTER TABLE other OWNER TO app")
    world.create_pipeline(fields="n int, v text", transform=CALL, target="t", workers=2)
    world.create_pipeline(name="other", fields="n int", target="other",
                          transform="SELECT event.n FROM event WHERE pg_sleep(0.002) IS NOT NULL")
    start = world.cluster.log_position()
    deadly = {777: "segv", 1500: "kill", 1501: "segv"}
    produce(world, *({"value": b'{"n":%d,"v":"%s"}' % (n, deadly.get(n, "x").encode()), "partition": n % 4}
                     for n in range(3000)))
    world.start_ingestor(wait=False)
    world.wait_settled()
    world.wait_settled(pipeline="other")
    assert world.db.run("SELECT count(*), count(DISTINCT n) FROM t") == [(2997, 2997)]
    assert world.db.run("SELECT count(*), count(DISTINCT n) FROM other") == [(3000, 3000)]
    dead = "SELECT pipeline, ended, (payload::jsonb -> 'n')::int FROM millrace.dead_letters ORDER BY 3"
    assert world.db.run(dead) == [(world.pipeline_name, "crashed", n) for n in sorted(deadly)]
    log = world.cluster.log_text(start)
    assert 6 <= log.count("all server processes terminated; reinitializing") <= 2 * KNOWN + SEARCHED + 1, log
    assert f'of pipeline "{world.pipeline_name}" crashed' in log
    assert 'of pipeline "other" crashed' not in log


def test_kills_blame_nobody(world):
    """kill -9 of a worker at work, and an immediate shutdown: smaller batches for a while, nothing else."""
    slow = 0.05  # seconds an event, so that a batch lasts until it is killed
    feed = Feed(world, "SELECT event.n, event.v FROM event WHERE pg_sleep((SELECT s FROM pace)) IS NOT NULL",
                setup=f"CREATE TABLE pace AS SELECT {slow}::float8 AS s; GRANT SELECT ON pace TO app").add(4000)
    at_work = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace worker' AND wait_event = 'PgSleep' AND datname = %s"

    def stopped_at_work():
        """Not between two batches, which are small after the first kill."""
        for pid, in query(world, at_work, (world.db.name,)):
            os.kill(pid, signal.SIGSTOP)
            if (pid,) in query(world, at_work, (world.db.name,)):
                return pid
            os.kill(pid, signal.SIGCONT)
        return None

    for _ in range(3):
        lane = Lane(world.db, world.pipeline_name).assign([0])
        lane.send(0, feed.payloads[lane.positions[0]:])
        pid = wait_for(lambda: stopped_at_work(), "a worker at work")
        before = feed.log().count("crashed in stage")
        os.kill(pid, signal.SIGKILL)
        lane.close()
        wait_for(lambda: feed.log().count("crashed in stage") > before, "noticed")
    suspects = query(world, "SELECT min(first_offset), min(events) FROM millrace.crashes")
    assert suspects[0][1] < 4000
    query(world, "UPDATE pace SET s = 0")
    feed.settle().check()
    assert feed.restarts() == 3
    noted = feed.log().count("crashed in stage")

    query(world, "UPDATE pace SET s = %s", (slow,))
    feed.add(2000)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, feed.payloads[4000:])
    wait_for(lambda: query(world, at_work, (world.db.name,)), "a worker at work")
    world.cluster.restart("immediate")
    query(world, "UPDATE pace SET s = 0")
    feed.settle().check()
    assert feed.log().count("crashed in stage") == noted, "a worker that is asked to stop is not blamed"


def test_pipeline_that_crashes_with_every_event_is_stopped(world):
    """A broken library: the server is left alone, and no more events are given up, until somebody says resume()."""
    feed = Feed(world, "SELECT event.n, crash_on('segv') AS v FROM event").add(100)
    status = "SELECT status FROM millrace.pipelines"

    def stopped():
        feed._stage(1)
        return query(world, status) == [("crashing",)]
    wait_for(stopped, "stopped", 300, every=0.01)
    assert feed.restarts() == 20
    dead = [d[0] for d in feed.dead()]
    assert dead == list(range(9)), "the first crash is the batch's, then each event has two"
    assert query(world, "SELECT severity FROM millrace.doctor() WHERE what LIKE '%%: crashing'") == [("error",)]
    feed._stage(3)
    assert feed.restarts() == 20
    query(world, "CREATE OR REPLACE FUNCTION crash_on(how text) RETURNS text LANGUAGE sql AS $$ SELECT how $$")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    feed.settle().check(*dead)


def test_batch_of_many_partitions(world):
    """More than the record has room for at first."""
    n = 400
    create_crash_on(world.db)
    world.db.run(TABLE + "; ALTER TABLE t OWNER TO app")
    world.create_pipeline(fields="n int, v text", transform=SORTED, target="t")
    world.db.run("SELECT millrace.add_partitions(%s, 0, %s)", (world.pipeline_name, [0] * n))
    start = world.cluster.log_position()

    def settled():
        try:
            lane = Lane(world.db, world.pipeline_name).assign(list(range(n)))
            batch = Batch()
            for partition, position in lane.positions.items():
                if position == 0:
                    how = b"segv" if partition == 399 else b"x"
                    batch.event(partition, 0, b'{"n":%d,"v":"%s"}' % (partition, how)).entry(partition, lane.epochs[partition], 0, 1)
            lane.stage(batch)
            wait_for(lambda: set(world.positions().values()) == {1}, "settled")
            lane.close()
            return True
        except (ConnectionLost, psycopg2.Error, Timeout):
            return False
    wait_for(settled, "all settled")
    assert world.db.run("SELECT count(*), count(DISTINCT n), max(n) FROM t") == [(n - 1, n - 1, n - 2)]
    assert world.db.run("SELECT partition, ended FROM millrace.dead_letter") == [(399, "crashed")]
    assert world.cluster.log_text(start).count("all server processes terminated; reinitializing") == SEARCHED


def records(world):
    """The files of this database's workers."""
    oid = query(world, "SELECT oid FROM pg_database WHERE datname = current_database()")[0][0]
    return [f for f in os.listdir(os.path.join(world.cluster.data, "pg_stat_tmp")) if f.startswith(f"millrace_{oid}_")]


def test_records_come_and_go_with_their_workers(world):
    feed = Feed(world, workers=2).add(10).settle()
    mine = wait_for(lambda: len(records(world)) == 2 and records(world), "one of each worker")
    supervisor = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace supervisor' AND datname = current_database()"
    old = query(world, supervisor)
    world.db.run("SELECT pg_terminate_backend(%s)", old[0])
    wait_for(lambda: query(world, supervisor) not in ([], old), "another supervisor")
    assert sorted(records(world)) == sorted(mine), "those of workers that run are not touched"
    feed.add(10, n15="segv").settle().check(15)
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    wait_for(lambda: records(world) == [], "none is left")

    # what cannot be read is removed, and harms nobody
    oid = mine[0].split("_")[1]
    for name, content in ((f"millrace_{oid}_1_0.work", b""), (f"millrace_{oid}_1_1.work", b"\xff" * 4096),
                          (f"millrace_{oid}_4000000_0.work", b"\0" * 100)):
        with open(os.path.join(world.cluster.data, "pg_stat_tmp", name), "wb") as f:
            f.write(content)
    world.cluster.restart()
    wait_for(lambda: records(world) == [], "removed")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    feed.add(10).settle().check(15)


class OneKey(Feed):
    """All events have one key."""

    def _send(self, lane, payloads):
        lane.send(0, payloads, key=b"k")


def test_crash_behind_a_key_that_waits(world):
    """Events parked behind one that is tried again run with it: the one of them that crashes is found."""
    transform = "SELECT event.n, CASE WHEN event.n = 0 THEN through(event.v) ELSE crash_on(event.v) END AS v FROM event"
    feed = OneKey(world, transform, GATE + "; ALTER TABLE t ADD seq bigserial", ordering="key", max_retries=1000,
                  retry_delay="300 ms", retry_factor=1, retry_max_delay="300 ms")
    world.db.run("SELECT millrace.set_error_class('ZZ001', 'retry')")
    feed.add(10, n5="kill").settle()
    attempts = "SELECT attempts FROM millrace.retry WHERE \"offset\" = 0"
    before = query(world, attempts)[0][0]
    wait_for(lambda: query(world, attempts)[0][0] > before + 5, "tried again")
    restarts = feed.restarts()
    assert restarts <= 3, "the first does not bring the server down each time it is tried"
    query(world, "UPDATE gate SET open = true")
    wait_for(lambda: query(world, "SELECT count(*) FROM millrace.retry") == [(0,)], "no event waits")
    feed.check(5)
    assert query(world, "SELECT array_agg(n ORDER BY seq) FROM t") == [([n for n in range(10) if n != 5],)]
    assert feed.restarts() <= restarts + SEARCHED


def test_crash_holds_its_key(world):
    """A dead letter is one for whatever reason: on_dead => 'hold'."""
    feed = OneKey(world, setup="ALTER TABLE t ADD seq bigserial", ordering="key", on_dead="hold").add(10, n5="segv").settle()
    assert feed.rows() == list(range(5))
    assert feed.dead("ended") == [("crashed",)]
    query(world, "CREATE OR REPLACE FUNCTION crash_on(how text) RETURNS text LANGUAGE sql AS $$ SELECT how $$")
    with world.db.session("app") as s:
        assert s.value("SELECT millrace.replay(%s)", (world.pipeline_name,)) == 1
    wait_for(lambda: feed.rows() == list(range(10)), "all went on")
    assert query(world, "SELECT array_agg(n ORDER BY seq) FROM t") == [(list(range(10)),)]
    assert feed.restarts() == KNOWN


def test_supervisor_killed_while_it_reads_the_records(world):
    """Whatever it has done by then, a crash counts once and no event is forgotten."""
    feed = Feed(world).add(300, n77="kill", n200="segv")
    supervisor = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace supervisor' AND datname = current_database()"
    killed = set()

    def staged():
        for pid, in query(world, supervisor):
            if len(killed) < 4 and pid not in killed:
                killed.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        return feed._stage(10)
    wait_for(staged, "all settled", 300)
    feed.check(77, 200)
    assert feed.dead("ended, attempts") == [("crashed", 2)] * 2
