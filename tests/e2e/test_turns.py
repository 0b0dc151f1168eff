"""More workers than processes: the processes of an owner serve them by turns. No broker: staging is played by hand.
With max_worker_processes = 5 the launchers and a supervisor leave two processes."""
import re
import time

import pytest

from lib.cluster import Cluster
from lib.crash_on import create_crash_on
from lib.lane import Lane
from lib.wait import LIMIT, holds_for, wait_for
from lib.world import World, ensure_roles

from test_capacity import state
from test_crashes import query


class Small:
    """A server with few processes, a database with pipelines p0, p1, … of app, each with its table t0, t1, … and a lane."""

    def __init__(self, request, processes, name, pipelines=0, **settings):
        self.cluster = Cluster(name, {"max_worker_processes": str(processes + 3), "max_connections": "200",
                                      "millrace.max_workers_per_role": "200", **settings}).init().start()
        request.addfinalizer(lambda: self.cluster.stop("immediate"))
        ensure_roles(self.cluster)
        self.db = self.database("one")
        self.lanes = {}
        for n in range(pipelines):
            self.create(n)

    def database(self, name):
        db = self.cluster.create_database(name)
        db.run("CREATE EXTENSION millrace")
        World.grant(db)
        return db

    def create(self, n, owner="app", transform="SELECT event.n FROM event", db=None, **more):
        db = db or self.db
        db.run(f"CREATE TABLE t{n} (n int, at timestamptz DEFAULT clock_timestamp()); ALTER TABLE t{n} OWNER TO {owner}")
        arguments = dict(pipeline=f"p{n}", topic="none", fields="n int, v text", transform=transform, target=f"t{n}", **more)
        with db.session(owner) as s:
            s.run("SELECT millrace.create_pipeline(%s)" % ", ".join(f"{key} => %({key})s" for key in arguments), arguments)
        db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (f"p{n}",))
        self.lanes[n] = Lane(db, f"p{n}").assign([0])

    def send(self, n, events=1, v="x"):
        position = self.lanes[n].positions[0]
        self.lanes[n].send(0, [b'{"n":%d,"v":"%s"}' % (i, v.encode()) for i in range(position, position + events)])

    def settled(self, n, db=None):
        return (db or self.db).value("SELECT next_offset FROM millrace.partitions WHERE pipeline = %s", (f"p{n}",))

    def wait_settled(self, *numbers, timeout=LIMIT, db=None):
        for n in numbers:
            wait_for(lambda: self.settled(n, db) == self.lanes[n].positions[0], f"p{n} is settled", timeout)

    def rows(self, n, db=None):
        return [r[0] for r in (db or self.db).run(f"SELECT n FROM t{n} ORDER BY n")]

    def processes(self):
        return self.db.run("SELECT pid, datname, usename, application_name FROM pg_stat_activity WHERE backend_type = 'millrace worker'")


@pytest.fixture
def two(request):
    return lambda pipelines, **settings: Small(request, 2, request.node.name.replace("test_", "")[:30], pipelines, **settings)


def test_all_are_served(two):
    small = two(12)
    for round in range(5):
        for n in range(12):
            small.send(n, 10)
    small.wait_settled(*range(12))
    for n in range(12):
        assert small.rows(n) == list(range(50))
    wait_for(lambda: len(found := small.processes()) == 2 and all(
        user == "app" and re.fullmatch(r"millrace worker 0 of p\d+", name) for _, _, user, name in found), "two processes, each named by its worker")
    assert small.db.run("SELECT DISTINCT status FROM millrace.pipelines") == [("running",)]
    # a process has no worker for a moment between two turns, and never two
    wait_for(lambda: [pid is not None for pid, in small.db.run("SELECT pid FROM millrace.workers ORDER BY pid")] == [True] * 2 + [False] * 10,
             "two of twelve have a process")


def test_events_wake_a_worker_that_has_no_process(two):
    """Long before it would be looked at by itself."""
    small = two(8)
    small.wait_settled(*range(8))
    resting = wait_for(lambda: small.db.run("SELECT pipeline FROM millrace.workers WHERE pid IS NULL AND state = 'idle'"), "some rest")
    began = time.monotonic()
    for (name,) in resting[:4] * 3:
        small.send(int(name[1:]))
        small.wait_settled(int(name[1:]))
    # each is looked at every 5 s: all together would take half a minute
    assert time.monotonic() - began < 15


def test_a_process_for_each_when_there_is_room(two):
    """Two workers, two processes: each keeps its own."""
    small = two(2)
    for round in range(20):
        small.send(0, 100)
        small.send(1, 100)
    small.wait_settled(0, 1)
    def served():
        return dict(small.db.run("SELECT pipeline, pid FROM millrace.workers"))

    wait_for(lambda: None not in (found := served()).values() and len(set(found.values())) == 2, "each has one")
    seen = []
    for _ in range(40):
        small.send(0)
        small.wait_settled(0)
        seen.append(served())
    # one that is not there in time loses its worker to the other; without a home they would change by chance
    assert sum(a != b for a, b in zip(seen, seen[1:])) < 10, seen


def test_busy_pipelines_share_and_others_pass(two):
    """Two busy pipelines have more to do than the two processes can; the other pipelines' events do not wait for their end."""
    small = two(0)
    small.db.run("CREATE TABLE pace AS SELECT 0.005::float8 AS s; GRANT SELECT ON pace TO app")
    for n in range(4):
        small.create(n, batch_rows=100,
                     transform="SELECT event.n FROM event" + (" WHERE pg_sleep((SELECT s FROM pace)) IS NOT NULL" if n < 3 else ""))
    for n in range(3):
        for _ in range(100):
            small.send(n, 100)
    wait_for(lambda: all(small.settled(n) > 300 for n in range(3)), "each has its share")
    small.send(3)
    small.wait_settled(3)
    done = [small.settled(n) for n in range(3)]
    assert max(done) < 10000, "they were busy all the time"
    small.db.run("UPDATE pace SET s = 0")
    small.wait_settled(0, 1, 2)
    for n in range(3):
        assert small.rows(n) == list(range(10000))


def test_a_long_statement_is_bounded_by_its_timeout(two):
    """Both processes are in a statement that would last for minutes: the others wait for statement_timeout, and no longer."""
    small = two(0)
    for n in range(2):
        small.create(n, statement_timeout="3s", transform="SELECT event.n FROM event WHERE pg_sleep(600) IS NOT NULL", max_retries=0)
    small.create(2)
    for n in range(2):
        small.send(n)
    wait_for(lambda: small.db.value("SELECT count(*) FROM millrace.workers WHERE state = 'busy'") == 2, "both are at it")
    small.send(2, 10)
    small.wait_settled(2)
    small.wait_settled(0, 1)
    assert small.db.value("SELECT count(*) FROM millrace.dead_letter WHERE sqlstate = '57014'") == 2


def test_owners_take_turns(request):
    """One process, two owners: never a session of the one for the other."""
    small = Small(request, 1, "owners")
    small.db.run("SELECT millrace.grant_topics('ingestor', read => '{none}', dlq => '{none.dlq}')")
    small.create(0, transform="SELECT event.n FROM event WHERE session_user = 'app'")
    small.create(1, owner="ingestor", transform="SELECT event.n FROM event WHERE session_user = 'ingestor'")
    for round in range(3):
        small.send(0, 5)
        small.send(1, 5)
        small.wait_settled(0, 1)
    assert small.rows(0) == small.rows(1) == list(range(15))
    assert [status for (status,) in small.db.run("SELECT status FROM millrace.pipelines")] == ["running"] * 2


def test_databases_take_turns(request):
    """The first database has taken all processes before the other has any; each gets its share."""
    small = Small(request, 3, "databases", 4)
    wait_for(lambda: len(small.processes()) == 3, "all slots are taken")
    other = small.database("two")  # its supervisor takes one of the slots, as soon as it is free
    small.create(10, db=other)
    for round in range(3):
        small.send(10, 5)
        for n in range(4):
            small.send(n, 5)
        small.wait_settled(10, db=other)
        small.wait_settled(*range(4))
    other.close()


def test_a_crash_is_of_the_pipeline_that_ran(two):
    """Its event becomes a dead letter; those of the other pipelines, served by the same processes, are not suspected."""
    small = two(6)
    create_crash_on(small.db)
    small.create(6, transform="SELECT event.n FROM event WHERE crash_on(event.v) IS NOT NULL")
    for n in range(6):
        small.send(n, 20)
    small.wait_settled(*range(6))
    deadly = [b'{"n":0,"v":"x"}', b'{"n":1,"v":"segv"}', b'{"n":2,"v":"x"}']

    def stage_all():
        try:
            for n in range(7):
                small.lanes[n].close()
                small.lanes[n] = Lane(small.db, f"p{n}").assign([0])
            if small.lanes[6].positions[0] < 3:
                small.lanes[6].send(0, deadly[small.lanes[6].positions[0]:])
            for n in range(6):
                small.send(n, 1)
            wait_for(lambda: small.settled(6) == 3, "settled")
            return True
        except Exception:
            return False

    wait_for(stage_all, "the event is given up")
    assert small.rows(6) == [0, 2]
    world = type("W", (), {"db": small.db})
    assert query(world, "SELECT pipeline_id, \"offset\" FROM millrace.dead_letter") == query(
        world, "SELECT id, 1::bigint FROM millrace.pipeline WHERE name = 'p6'")
    assert set(query(world, "SELECT DISTINCT pipeline FROM millrace.crashes")) <= {("p6",)}
    small.wait_settled(*range(6))
    for n in range(6):
        assert small.rows(n) == list(range(small.lanes[n].positions[0]))


def test_sessions_are_not_shared(two):
    """What the SQL of a pipeline leaves in its session is not met by the next one."""
    small = two(0)
    small.db.run("""
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          met text;
        BEGIN
          IF to_regclass('pg_temp.left_behind') IS NOT NULL THEN
            EXECUTE 'SELECT who FROM pg_temp.left_behind' INTO met;
            IF met <> TG_RELNAME THEN
              RAISE EXCEPTION '% has met %', TG_RELNAME, met;
            END IF;
          ELSE
            EXECUTE format('CREATE TEMP TABLE left_behind AS SELECT %L::text AS who', TG_RELNAME);
          END IF;
          RETURN NEW;
        END $$""")
    for n in range(5):
        small.create(n)
        small.db.run(f"CREATE TRIGGER note BEFORE INSERT ON t{n} FOR EACH ROW EXECUTE FUNCTION note()")
    for round in range(4):
        for n in range(5):
            small.send(n, 3)
        small.wait_settled(*range(5))
    assert small.db.run("SELECT message FROM millrace.dead_letter") == []
    for n in range(5):
        assert small.rows(n) == list(range(12))


def test_paused_and_dropped_while_they_wait(two):
    small = two(8)
    for n in range(8):
        small.send(n)
    small.wait_settled(*range(8))
    with small.db.session("app") as s:
        s.run("SELECT millrace.pause('p1'), millrace.pause('p2')")
        small.send(1, 5)
        holds_for(lambda: small.settled(1) == 1, "paused", 2)
        assert state(small, "p1")[0] == "paused"
        s.run("SELECT millrace.resume('p1')")
        small.wait_settled(1)
        s.run("SELECT millrace.alter_pipeline('p3', workers => 3)")
        wait_for(lambda: small.db.value("SELECT count(*) FROM millrace.workers WHERE pipeline = 'p3'") == 3, "three workers")
        s.run("SELECT millrace.alter_pipeline('p3', workers => 1)")
        wait_for(lambda: small.db.value("SELECT count(*) FROM millrace.workers WHERE pipeline = 'p3'") == 1, "one again")
    small.lanes[2].close()
    with small.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline('p2')")
    wait_for(lambda: small.db.value("SELECT count(*) FROM millrace._workers()") == 7, "its worker is gone")
    small.send(3)
    small.wait_settled(3)


def test_a_pipeline_that_ends_while_it_has_no_process_is_in_the_log(request):
    """The one process is in a statement of another pipeline."""
    small = Small(request, 1, "turns_log", 1)

    def logged(line):
        wait_for(lambda: line in small.cluster.log_text(), f"the log says {line}")

    logged('pipeline "p0" started with version 1')
    small.create(1, transform="SELECT event.n FROM event WHERE pg_sleep(600) IS NOT NULL", statement_timeout="0")
    small.send(1)
    wait_for(lambda: small.db.value("SELECT state FROM millrace.workers WHERE pipeline = 'p1'") == "busy", "it is at work")
    with small.db.session("app") as s:
        s.run("SELECT millrace.pause('p0')")
    logged('pipeline "p0" stopped: it was paused')


def test_a_new_supervisor_finds_all(two):
    small = two(8)
    small.wait_settled(*range(8))
    old = small.db.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace supervisor'")
    small.db.run("SELECT pg_terminate_backend(%s)", (old,))
    wait_for(lambda: small.db.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'millrace supervisor' AND pid <> %s", (old,)),
             "another one")
    for n in range(8):
        small.send(n, 5)
    small.wait_settled(*range(8))
    for pid, *_ in small.processes():
        small.db.run("SELECT pg_terminate_backend(%s)", (pid,))
    for n in range(8):
        small.send(n, 5)
    small.wait_settled(*range(8))


def test_retries_of_a_worker_without_a_process(two):
    """They are due at a time of their own, and nothing is staged to wake anybody."""
    small = two(8)
    small.db.run("CREATE TABLE parent (n int PRIMARY KEY); ALTER TABLE parent OWNER TO app;"
                 " ALTER TABLE t0 ADD FOREIGN KEY (n) REFERENCES parent")
    with small.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('23503', 'retry', 'p0')")
    small.send(0)
    wait_for(lambda: small.db.value("SELECT count(*) FROM millrace.retries"), "it is tried again")
    small.db.run("INSERT INTO parent VALUES (0)")
    wait_for(lambda: small.rows(0) == [0], "it has passed")


def top_memory(small):
    """Bytes in use of TopMemoryContext in the one process that serves workers."""
    ((pid, *_),) = wait_for(lambda: len(found := small.processes()) == 1 and found, "one process")
    start = small.cluster.log_position()
    small.db.run("SELECT pg_log_backend_memory_contexts(%s)", (pid,))
    return wait_for(lambda: [int(used) for used in re.findall(r"TopMemoryContext: .*?(\d+) used", small.cluster.log_text(start))],
                    "the process logs its memory")[0]


def test_a_turn_leaves_no_memory_behind(request):
    """With more workers than a process keeps, each turn makes one that was made and freed before."""
    small = Small(request, 1, "turns_memory", 36)

    def rounds(n):
        for round in range(n):
            for p in range(36):
                small.send(p)
            small.wait_settled(*range(36))

    rounds(2)
    before = top_memory(small)
    rounds(10)
    assert top_memory(small) - before < 20_000
