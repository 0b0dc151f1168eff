"""The extension in the life of a server: created, dropped, reloaded, crashed, short of workers."""
import os
import signal

import psycopg2
import pytest

from lib.cluster import Cluster, Session
from lib.events import Events
from lib.wait import holds_for, wait_for


def workers(world, database=None):
    return [r[0] for r in world.db.run(
        "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'millrace %%' AND datname = %s",
        (database or world.db.name,))]


def test_drop_extension_while_it_runs(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor()
    generator = world.start_generator(Events(10 ** 6, seed=141), "--rate", "5000")
    wait_for(lambda: world.counters()["events"] > 5000, "it works")
    with world.db.session() as s:
        s.run("SET statement_timeout = '100s'")
        s.run("DROP EXTENSION millrace CASCADE")
    wait_for(lambda: not workers(world), "no process of the extension is left")
    assert world.db.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'segment\\_%%'") == 0
    generator.kill()
    assert ingestor.alive()
    rows = world.db.value("SELECT count(*) FROM reading")
    assert rows > 5000  # the target is the user's
    # and again: a new instance that begins at the beginning
    world.db.run("CREATE EXTENSION millrace")
    world.grant(world.db)
    world.db.run("TRUNCATE reading")
    world.create_pipeline()
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading") >= rows


def test_drop_database(world):
    """Of another database, and of its own: neither hangs on workers."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    other = world.create_database(world.name + "_other")
    wait_for(lambda: workers(world, other.name), "its supervisor runs")
    plain = world.create_database(world.name + "_plain", schema=False)
    for db in (plain, other):
        db.close()
        with Session(world.cluster.connect("postgres")) as s:
            s.run("SET statement_timeout = '100s'")
            s.run(f'DROP DATABASE "{db.name}"' + (" WITH (FORCE)" if db is other else ""))
    events = Events(3000, seed=142)
    events.send(world.broker, world.topic)
    world.wait_settled()
    world.check(events)


def test_worker_terminated_comes_back(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    first = Events(5000, seed=143)
    first.send(world.broker, world.topic)
    world.wait_settled()
    old = workers(world)
    world.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'millrace worker%%'"
                 " AND datname = %s", (world.db.name,))
    second = Events(5000, seed=144)
    second.send(world.broker, world.topic)
    world.wait_settled()
    wait_for(lambda: set(workers(world)) - set(old), "another one is there")
    world.check(first, second)


def test_crash_of_a_stranger(world):
    """Another backend's crash restarts everybody: the pipeline comes back by itself."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    events = Events(60000, seed=145, broken=0.5)
    generator = world.start_generator(events, "--rate", "12000")
    wait_for(lambda: world.counters()["events"] > 5000, "it works")
    victim = world.db.session()
    os.kill(victim.pid, signal.SIGKILL)
    generator.popen.wait(300)
    world.wait_settled()
    world.check(events)


def test_pause_and_resume(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    events = Events(50000, seed=146)
    generator = world.start_generator(events, "--rate", "10000")
    wait_for(lambda: world.counters()["events"] > 3000, "it works")
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        count = world.db.value("SELECT count(*) FROM reading")  # the batch in flight has ended
        holds_for(lambda: world.db.value("SELECT count(*) FROM reading") == count, "paused", 1.5)
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    generator.popen.wait(300)
    world.wait_settled()
    world.check(events)


def test_new_definition_at_the_next_batch(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    first = Events(3000, seed=147)
    first.send(world.broker, world.topic)
    world.wait_settled()
    from lib.world import TRANSFORM
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, transform => %s)",
              (world.pipeline_name, TRANSFORM.replace("event.type, event.source", "upper(event.type) AS type, event.source")))
    second = Events(3000, seed=148)
    second.send(world.broker, world.topic)
    world.wait_settled()
    world.check(first, second)
    found = dict(world.db.run("SELECT type = upper(type), count(*) FROM reading GROUP BY 1"))
    assert found == {False: 3000, True: 3000}


def test_rewind(world):
    """Refused while rows would come twice; allowed by an argument, and then exactly those come again."""
    world.create_topic(partitions=1)
    world.create_pipeline()
    world.start_ingestor()
    events = Events(2000, seed=149)
    events.send(world.broker, world.topic)
    world.wait_settled()
    with world.db.session("app") as s:
        with pytest.raises(psycopg2.Error):
            s.run("SELECT millrace.rewind(%s, 500)", (world.pipeline_name,))
        world.check(events)
        s.run("SELECT millrace.rewind(%s, 500, allow_duplicates => true)", (world.pipeline_name,))
    wait_for(lambda: world.db.value("SELECT count(*) FROM reading") == 3500, "again from 500")
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading WHERE kafka_offset < 500") == 500
    assert world.db.value("SELECT count(DISTINCT id) FROM reading") == 2000


def test_rewind_to_a_time(world):
    world.create_topic(partitions=2)
    world.create_pipeline()
    world.start_ingestor()
    Events(1000, seed=150).send(world.broker, world.topic)
    world.wait_settled()
    middle = world.db.value("SELECT clock_timestamp()")
    wait_for(lambda: world.db.value("SELECT clock_timestamp() > %s + interval '10 ms'", (middle,)), "a later millisecond")
    Events(1000, seed=151).send(world.broker, world.topic)
    world.wait_settled()
    with world.db.session("app") as s:
        s.run("SELECT millrace.rewind(%s, to_time => %s, allow_duplicates => true)", (world.pipeline_name, middle))
    wait_for(lambda: world.db.value("SELECT count(*) FROM reading") == 3000, "the second thousand again")
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading") == 3000


def test_owner_renamed_dropped(world):
    """A pipeline whose owner is gone rests; it does not loop."""
    world.create_topic()
    world.db.run("CREATE ROLE leaver LOGIN")
    world.db.run("GRANT SELECT ON site TO leaver; GRANT INSERT, SELECT ON reading TO leaver")
    world.db.run("SELECT millrace.grant_topics('leaver', read => ARRAY[%s], dlq => '{*}')", (world.topic,))
    world.create_pipeline(user="leaver")
    world.start_ingestor()
    first = Events(1000, seed=152)
    first.send(world.broker, world.topic)
    world.wait_settled()
    world.db.run("REASSIGN OWNED BY leaver TO app; DROP OWNED BY leaver; DROP ROLE leaver")
    Events(1000, seed=153).send(world.broker, world.topic)
    position = world.cluster.log_position()
    holds_for(lambda: world.db.value("SELECT count(*) FROM reading") <= 2000, "quiet", 3)
    assert world.cluster.log_text(position).count("ERROR") + world.cluster.log_text(position).count("FATAL") < 20


def test_without_preload(broker):
    """The functions exist and say what to do; nothing runs, nothing breaks."""
    cluster = Cluster("plain", settings={"shared_preload_libraries": "''"})
    cluster.init().start()
    try:
        db = cluster.create_database("plain")
        db.run("CREATE EXTENSION millrace")
        assert db.value("SELECT millrace._preloaded()") is False
        db.run("CREATE TABLE t (a int)")
        with pytest.raises(psycopg2.Error) as e:
            db.run("SELECT millrace.lane_open('x', 0)")
        assert "shared_preload_libraries" in str(e.value)
        db.drop()
    finally:
        cluster.stop("immediate")


def test_short_of_worker_slots(broker):
    """Too few worker processes: some pipelines wait, no error loop, and all is settled when there is room."""
    cluster = Cluster("narrow", settings={"max_worker_processes": "3"}).init().start()
    try:
        db = cluster.create_database("narrow")
        db.run("CREATE EXTENSION millrace")
        position = cluster.log_position()
        db.run("CREATE TABLE t (a int)")
        for n in range(4):
            db.run(f"SELECT millrace.create_pipeline('p{n}', topic => 'none', fields => 'a int',"
                   " transform => 'SELECT event.a FROM event', target => 't', allow_superuser => true)")
        holds_for(lambda: db.value("SELECT 1") == 1, "the server lives", 4)
        text = cluster.log_text(position)
        assert len(text.splitlines()) < 60, text[-2000:]
        db.drop()
    finally:
        cluster.stop("immediate")
