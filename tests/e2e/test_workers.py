"""Supervisor and workers: what they run as, that they are neither too few nor too many, what wakes and ends them.
No broker: staging is played by hand."""
import itertools
import os
import re
import signal

import pytest

from lib.cluster import Cluster, Database, Session
from lib.lane import Lane
from lib.wait import LIMIT, holds_for, wait_for
from lib.world import World, ensure_roles


@pytest.fixture
def db(request, cluster):
    db = cluster.create_database(re.sub(r"\W", "_", request.node.name.replace("test_", "", 1))[:60])
    prepare(db)
    yield db
    db.drop()


def prepare(db):
    db.run("CREATE EXTENSION millrace")
    World.grant(db)
    db.run("CREATE TABLE number (n int, note text); ALTER TABLE number OWNER TO app")


def create_pipeline(db, user="app", name="p", transform="SELECT event.n FROM event", **more):
    arguments = dict(pipeline=name, topic="none", fields="n int", transform=transform, target="number", **more)
    call = ", ".join(f"{key} => %({key})s" for key in arguments)
    with db.session(user) as s:
        s.run(f"SELECT millrace.create_pipeline({call})", arguments)
    db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (name,))


def pids(db, kind="worker"):
    return sorted(r[0] for r in db.run("SELECT pid FROM pg_stat_activity WHERE backend_type = %s AND"
                                       " datname IS NOT DISTINCT FROM %s",
                                       ("millrace " + kind, None if kind == "launcher" else db.name)))


def wait_pids(db, kind="worker", not_these=(), timeout=LIMIT):
    return wait_for(lambda: [p for p in pids(db, kind) if p not in not_these], f"a {kind} runs", timeout)


def settle(db, lane, n=1):
    """Stages an event and waits for its row."""
    lane.send(0, [b'{"n":%d}' % n])
    wait_for(lambda: db.value("SELECT count(*) FROM number WHERE n = %s", (n,)) == 1, "the row is there")


def setting(cluster, name, value):
    change = f"RESET {name}" if value is None else f"SET {name} = '{value}'"
    with Session(cluster.connect("postgres")) as s:
        s.run("ALTER SYSTEM " + change)
        s.run("SELECT pg_reload_conf()")


@pytest.mark.parametrize("name, value", [("search_path", "evil, pg_catalog"), ("role", "app"),
                                         ("default_transaction_read_only", "on")])
def test_supervisor_ignores_settings_of_the_database(db, name, value):
    """Whoever owns the database may set its search_path; his operators must not run in the supervisor."""
    create_pipeline(db, paused=True)
    db.run("SELECT millrace.stop_workers()")
    db.run("""
        CREATE SCHEMA evil;
        CREATE TABLE evil.caught (who name);
        CREATE FUNCTION evil.eq(a int, b int) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO evil.caught VALUES (current_user);
          RETURN a OPERATOR(pg_catalog.=) b;
        END $$;
        CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = int, RIGHTARG = int);
        INSERT INTO millrace.progress SELECT pipeline_id, partition, seq + i, next_offset, last_offset, last_ts, last_crc,
            events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at
            FROM millrace.progress, generate_series(1, 400) AS i""")
    db.run(f'ALTER DATABASE "{db.name}" SET {name} = {value}')
    db.run("SELECT millrace.start_workers()")
    caught = "SELECT array_agg(DISTINCT who::text) FROM evil.caught"
    wait_for(lambda: db.value(caught) or db.value("SELECT count(*) FROM millrace.progress") < 400, "trimmed")
    assert db.value(caught) is None


def test_new_owner(db):
    """alter_pipeline(owner): the worker ends, the next one is a session of the new owner."""
    create_pipeline(db)
    old = wait_pids(db)
    db.run("GRANT ALL ON number TO ingestor")
    db.run("SELECT millrace.grant_topics('ingestor', read => '{none}', dlq => '{none.dlq}')")
    db.run("SELECT millrace.alter_pipeline('p', owner => 'ingestor')")
    wait_pids(db, not_these=old)
    wait_for(lambda: db.run("SELECT usename FROM pg_stat_activity WHERE backend_type = 'millrace worker'"
                            " AND datname = %s", (db.name,)) == [("ingestor",)], "a worker of the new owner")
    lane = Lane(db, "p").assign([0])
    settle(db, lane)
    lane.close()


def test_pause_and_resume_are_no_failures(db):
    """A worker that ends because its pipeline is paused is not made to wait as one that fails: 1, 2, 4, 8, 16, 32 s. The supervisor
    is held meanwhile: it finds one that has ended and is wanted."""
    create_pipeline(db)
    supervisor, = wait_pids(db, "supervisor")
    for _ in range(6):
        wait_pids(db, timeout=15)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            with db.session("app") as s:
                s.run("SELECT millrace.pause('p')")
                wait_for(lambda: not pids(db), "its worker has ended")
                s.run("SELECT millrace.resume('p')")
        finally:
            os.kill(supervisor, signal.SIGCONT)
    wait_pids(db, timeout=15)


@pytest.mark.parametrize("broken", ["progress", "crashes"])
def test_housekeeping_that_fails_ends_no_supervisor(db, cluster, broken):
    """What it removes is history; workers are supervised whether or not that succeeds."""
    create_pipeline(db)
    wait_pids(db)
    if broken == "crashes":
        db.run("SELECT millrace.stop_workers()")
        db.run("ALTER FUNCTION millrace._forget_crashes() RENAME TO _forget_crashes_no_more")
        db.run("SELECT millrace.start_workers()")
        wait_pids(db)
    supervisor = wait_pids(db, "supervisor")
    position = cluster.log_position() if broken == "progress" else 0
    if broken == "progress":
        db.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$")
        db.run("""
            INSERT INTO millrace.progress SELECT pipeline_id, partition, seq + i, next_offset, last_offset, last_ts, last_crc,
                events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at
                FROM millrace.progress, generate_series(1, 400) AS i""")
        db.run("CREATE TRIGGER refuse BEFORE DELETE ON millrace.progress EXECUTE FUNCTION refuse()")
    message = "not this one" if broken == "progress" else "function millrace._forget_crashes() does not exist"
    wait_for(lambda: message in cluster.log_text(position), "it fails")
    if broken == "progress":
        db.run("DROP TRIGGER refuse ON millrace.progress")
        wait_for(lambda: db.value("SELECT count(*) FROM millrace.progress") <= 301, "it is removed when that is possible")
    assert pids(db, "supervisor") == supervisor


def test_new_supervisor_keeps_the_workers(db):
    """One that is started again takes over what runs, and watches it."""
    create_pipeline(db, workers=2)
    workers = wait_for(lambda: len(pids(db)) == 2 and pids(db), "two workers")
    supervisor = wait_pids(db, "supervisor")
    db.run("SELECT pg_terminate_backend(%s)", (supervisor[0],))
    wait_pids(db, "supervisor", supervisor)
    holds_for(lambda: pids(db) == workers, "the same two workers", 2)
    db.run("SELECT pg_terminate_backend(%s)", (workers[0],))
    wait_for(lambda: len(pids(db)) == 2 and workers[0] not in pids(db), "another in the place of the one that ended")
    assert workers[1] in pids(db)
    wait_for(lambda: sorted(r[0] for r in db.run("SELECT number FROM millrace._workers()")) == [0, 1], "both are there")


def test_new_launcher_keeps_the_supervisors(db):
    create_pipeline(db)
    old = [wait_pids(db, kind) for kind in ("supervisor", "worker", "launcher")]
    db.run("SELECT pg_terminate_backend(%s)", (old[2][0],))
    wait_pids(db, "launcher", old[2])
    holds_for(lambda: [pids(db, "supervisor"), pids(db)] == old[:2], "the same processes", 8)
    db.run("SELECT pg_terminate_backend(%s)", (old[0][0],))
    wait_pids(db, "supervisor", old[0])


@pytest.mark.parametrize("dropped", ["database", "extension"])
def test_worker_slots_are_given_back(dropped):
    cluster = Cluster("slots-" + dropped, settings={"max_worker_processes": "8"}).init().start()
    try:
        db = None
        for round in range(4):
            if db is None or dropped == "database":
                db = cluster.create_database(f"round{round}")
            db.run("CREATE EXTENSION millrace")
            db.run("CREATE TABLE IF NOT EXISTS number (n int, note text)")
            for n in range(round):  # so that the pipeline has another number each time
                create_pipeline(db, "postgres", f"idle{n}", allow_superuser=True, paused=True)
            create_pipeline(db, "postgres", workers=3, allow_superuser=True)
            wait_for(lambda: len(pids(db)) == 3, f"three workers in round {round}")
            if dropped == "database":
                db.drop()
            else:
                db.run("DROP EXTENSION millrace CASCADE")
                wait_for(lambda: not pids(db) and not pids(db, "supervisor"), "all have ended")
    finally:
        cluster.stop("immediate")


def test_extension_created_while_the_supervisor_finds_it_gone(db):
    """It waits for DROP EXTENSION, then for the processor; CREATE EXTENSION is quicker, and must not be forgotten."""
    supervisor = wait_pids(db, "supervisor")[0]
    with db.session(autocommit=False) as s:
        s.run("DROP EXTENSION millrace")
        wait_for(lambda: db.value("SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted", (supervisor,)),
                 "the supervisor waits")
        os.kill(supervisor, signal.SIGSTOP)
        try:
            s.connection.commit()
            db.run("CREATE EXTENSION millrace")
        finally:
            os.kill(supervisor, signal.SIGCONT)
    holds_for(lambda: True, "", 1)
    wait_pids(db, "supervisor")


def test_cancel_of_who_is_idle(db):
    create_pipeline(db)
    lane = Lane(db, "p").assign([0])
    settle(db, lane)
    kinds = ("worker", "supervisor", "launcher")
    before = [pids(db, kind) for kind in kinds]
    for _ in range(3):
        db.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'millrace %%' AND"
               " coalesce(datname, %s) = %s", (db.name, db.name))
        holds_for(lambda: [pids(db, kind) for kind in kinds] == before, "nobody ended", 0.5)
    settle(db, lane, 2)
    lane.close()


@pytest.mark.parametrize("name, value, expected", [
    ("synchronous_commit", "off", "on"), ("DateStyle", "German, DMY", "ISO, MDY"), ("row_security", "off", "on"),
    ("IntervalStyle", "iso_8601", "postgres"), ("role", "ingestor", "none")])
def test_settings_of_a_batch(db, name, value, expected):
    """Those of the owner that would change what is written do not reach it."""
    db.run("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$"
           f" BEGIN NEW.note := current_setting('{name}'); RETURN NEW; END $$")
    db.run("CREATE TRIGGER note BEFORE INSERT ON number FOR EACH ROW EXECUTE FUNCTION note()")
    create_pipeline(db, paused=True)
    db.run("GRANT ingestor TO app")
    try:
        db.run(f'ALTER ROLE app IN DATABASE "{db.name}" SET {name} = {value}')
        db.run("SELECT millrace.resume('p')")
        lane = Lane(db, "p").assign([0])
        settle(db, lane)
        lane.close()
        assert db.value("SELECT note FROM number") == expected
    finally:
        db.run("REVOKE ingestor FROM app")


def test_lock_timeout_is_renewed_and_locks_end_with_the_batch(db, cluster):
    """A worker that runs takes up millrace.lock_timeout; the user's advisory locks end with a batch that fails."""
    db.run("""
        CREATE TABLE busy (); ALTER TABLE busy OWNER TO app;
        CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_lock(4711); PERFORM count(*) FROM busy; NEW.note := current_setting('millrace.lock_timeout'); RETURN NEW; END $$;
        CREATE TRIGGER busy BEFORE INSERT ON number FOR EACH ROW EXECUTE FUNCTION busy()""")
    create_pipeline(db)
    lane = Lane(db, "p").assign([0])

    def in_force(value):
        """An idle worker looks once a second."""
        numbers = itertools.count(100)

        def seen():
            n = next(numbers)
            settle(db, lane, n)
            return db.value("SELECT note FROM number WHERE n = %s", (n,)) == value
        wait_for(seen, f"{value} is in force")
        db.run("TRUNCATE number")

    try:
        setting(cluster, "millrace.lock_timeout", "10min")
        in_force("10min")
        setting(cluster, "millrace.lock_timeout", "300ms")
        in_force("300ms")
        with db.session(autocommit=False) as locker:
            locker.run("LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
            lane.send(0, [b'{"n":2}'])
            wait_for(lambda: db.value("SELECT last_error FROM millrace._workers()"), "the lock times out")
            held = wait_for(lambda: db.run("""
                SELECT (SELECT count(*) FROM pg_locks AS l WHERE l.pid = w.pid AND locktype = 'advisory' AND objid = 4711)
                FROM millrace._workers() AS w WHERE w.state = 'backoff'"""), "the worker waits")
            assert held == [(0,)]
        wait_for(lambda: db.value("SELECT count(*) FROM number WHERE n = 2") == 1, "written after all")
    finally:
        setting(cluster, "millrace.lock_timeout", None)
        lane.close()


def test_many_databases():
    """Each is looked into once, and not again because there are others; the extension is found in any of them."""
    cluster = Cluster("many", settings={"max_worker_processes": "20", "log_min_messages": "debug1"}).init().start()
    try:
        names = [f"many{i}" for i in range(70)]
        with Session(cluster.connect("postgres")) as s:
            for name in names:
                s.run(f"CREATE DATABASE {name} STRATEGY file_copy")

        def starts():
            return re.findall(r'starting background worker process "millrace supervisor of (many\d+)"', cluster.log_text())

        looked_at = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace launcher'"
        ensure_roles(cluster)
        db = Database(cluster, names[-1])
        with Session(cluster.connect("postgres")) as s:  # a launcher that finds all of them at once
            old = s.run(looked_at)
            begin = cluster.log_position()
            s.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'millrace launcher'")
            wait_for(lambda: s.run(looked_at) not in (old, []), "another launcher")
            wait_for(lambda: set(starts()) == set(names), "every database was looked into")
            wait_for(lambda: not s.run("SELECT FROM pg_stat_activity WHERE backend_type = 'millrace supervisor'"), "all have ended")
            found = len(starts())
            holds_for(lambda: len(starts()) == found, "nobody is started again", 5)
            again = re.findall(r'process "millrace supervisor of (many\d+)"', cluster.log_text(begin))
            assert len(again) == len(set(again)), "once each"
        prepare(db)
        create_pipeline(db)
        wait_pids(db, "supervisor")
        lane = Lane(db, "p").assign([0])
        settle(db, lane)
        lane.close()
        db.close()
    finally:
        cluster.stop("immediate")
