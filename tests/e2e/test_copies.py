"""Copies of a database: a standby that is promoted, dumps, clones beside the living original."""
import os
import subprocess

from lib.cluster import Cluster, Database, run_as_server
from lib.dead_letters import check_each_once, wait_published
from lib.events import Events
from lib.wait import holds_for, wait_for


def test_promoted_standby_takes_over(world):
    world.create_topic()
    world.create_pipeline()
    first = world.start_ingestor().wait_ready()
    standby = Cluster("standby")
    try:
        standby.clone_as_standby(world.cluster).start()
        events = Events(60000, seed=101, broken=0.5, filtered=2)
        generator = world.start_generator(events, "--rate", "10000")
        wait_for(lambda: world.counters()["events"] > 15000, "half of it is in")
        standby_db = Database(standby, world.db.name)
        # the extension is quiet in recovery
        assert standby_db.value("SELECT pg_is_in_recovery()")
        # nothing new is committed to the primary, the standby has all of it: no event may be missing or twice
        world.cluster.stop("immediate")
        first.kill()
        standby.promote()
        standby_db.close()
        second = world.start_ingestor(db=standby_db)
        generator.popen.wait(300)
        world.wait_settled(180, db=standby_db)
        world.check(events, db=standby_db)
        assert second.alive()
        standby_db.close()
    finally:
        standby.stop("immediate")
        for ingestor in world.ingestors:
            if ingestor.alive():
                ingestor.kill()
        world.cluster.start()


def test_pg_dump_runs_all_the_time(world):
    """A dump locks every table it dumps: it must neither block the pipeline nor be blocked by it."""
    world.cluster.psql("postgres", "-c", "ALTER SYSTEM SET millrace.segment_size = '1MB'", "-c",
                       "SELECT pg_reload_conf()")
    try:
        world.create_topic()
        world.create_pipeline(workers=2)
        world.start_ingestor()
        # a dump that has taken its locks and its snapshot and does not go on
        dump = world.db.session(autocommit=False)
        dump.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        tables = [r[0] for r in dump.run("""
            SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r' AND c.oid >= 16384
            AND (NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
                 OR c.oid = ANY (SELECT unnest(extconfig) FROM pg_extension))""")]
        dump.run("LOCK TABLE " + ", ".join(tables) + " IN ACCESS SHARE MODE")
        events = Events(200000, seed=102, broken=0.5, filtered=1)
        events.send(world.broker, world.topic)
        world.wait_settled(180)
        world.check(events)
        real = os.path.join(world.cluster.dir, "dump.sql")
        run_as_server("pg_dump", "-h", world.cluster.dir, "-U", "postgres", "-f", real, world.db.name, timeout=180)
        dump.close()
        with open(real) as f:
            assert "segment_" not in f.read()
    finally:
        world.cluster.psql("postgres", "-c", "ALTER SYSTEM RESET millrace.segment_size", "-c",
                           "SELECT pg_reload_conf()")


def restore(world, name):
    dump = os.path.join(world.cluster.dir, f"{name}.dump")
    run_as_server("pg_dump", "-Fc", "-h", world.cluster.dir, "-U", "postgres", "-f", dump, world.db.name)
    copy = world.create_database(name, schema=False)
    run_as_server("pg_restore", "-h", world.cluster.dir, "-U", "postgres", "-d", name, "--exit-on-error", dump)
    return copy


def test_dump_and_restore_is_foreign_until_adopted(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor()
    first = Events(20000, seed=103, broken=1, filtered=2)
    first.send(world.broker, world.topic)
    world.wait_settled()
    copy = restore(world, world.name + "_copy")
    copy.run("SELECT millrace.grant_ingestor('ingestor')")
    assert copy.value("SELECT count(*) FROM millrace.ingestor_pipelines()") == 0
    # both run: the copy's ingestor finds nothing to do, the original gets all of it
    world.start_ingestor(db=copy)
    second = Events(20000, seed=104, broken=1)
    second.send(world.broker, world.topic)
    world.wait_settled()
    world.check(first, second)
    holds_for(lambda: copy.value("SELECT count(*) FROM reading") == len(first.truth()["row"]), "the copy is quiet", 2)
    # the original goes, the copy takes over from its own positions
    ingestor.stop()
    with copy.session("app") as s:
        s.run("SELECT millrace.adopt(%s)", (world.pipeline_name,))
    world.wait_settled(db=copy)
    world.check(first, second, db=copy)


def test_letters_published_after_the_dump_are_not_published_twice(world):
    """The topic has letters whose events die again in the restored database: some at once, some after their retries, when
    the relay has long read past them."""
    world.create_topic()
    world.create_pipeline(max_retries=2, retry_delay="1500 ms", retry_factor=1, retry_jitter=0)
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('23514', 'retry', pipeline => %s)", (world.pipeline_name,))
    ingestor = world.start_ingestor()
    first = Events(3000, seed=107, broken=2, db_refused=2).send(world.broker, world.topic)
    world.wait_settled()
    copy = restore(world, world.name + "_copy")
    second = Events(3000, seed=108, broken=2, db_refused=2).send(world.broker, world.topic)
    for db in (world.db, copy):
        if db is copy:
            ingestor.stop()
            copy.run("SELECT millrace.grant_ingestor('ingestor')")
            with copy.session("app") as s:
                s.run("SELECT millrace.adopt(%s)", (world.pipeline_name,))
            world.start_ingestor(db=copy)
        world.wait_settled(db=db)
        wait_for(lambda db=db: db.value("SELECT count(*) FROM millrace.retry") == 0, "no retries left")
        world.db = db
        wait_published(world)
        letters = check_each_once(world)
    world.check(first, second, db=copy)
    assert letters == copy.value("SELECT count(*) FROM millrace.dead_letter")
    assert copy.value("SELECT count(*) FROM millrace.dead_letter WHERE attempts = 3") > 50
    wait_for(lambda: copy.value("SELECT count(*) FROM millrace.dlq_sighting") == 0, "no sighting is left")


def test_catalogue_dump_is_whole(world):
    """What is in the catalogue comes back: dumped, restored, dumped again, the same."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(3000, seed=105, broken=3).send(world.broker, world.topic)
    world.wait_settled()
    ingestor.stop()
    copy = restore(world, world.name + "_copy")
    for table in ("pipeline", "pipeline_version", "partition", "progress", "ledger", "position_change", "dead_letter"):
        sql = f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')), count(*) FROM millrace.{table} AS t"
        assert copy.run(sql) == world.db.run(sql), table
    for sequence in ("pipeline_id_seq", "dead_letter_id_seq"):
        sql = f"SELECT last_value, is_called FROM millrace.{sequence}"
        assert copy.run(sql) == world.db.run(sql), sequence


def test_clone_by_template(world):
    """CREATE DATABASE … TEMPLATE copies the instance's id too: the clone must not share the consumer group."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    first = Events(5000, seed=106)
    first.send(world.broker, world.topic)
    world.wait_settled()
    group = world.db.value("SELECT group_id FROM millrace.ingestor_pipelines()")
    # the database is in use by workers: nothing may copy it, so this states what users get
    result = subprocess.run(["psql", "-X", "-h", world.cluster.dir, "-U", "postgres", "-c",
                             f'CREATE DATABASE "{world.name}_clone" TEMPLATE "{world.name}"', "postgres"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "being accessed by other users" in result.stdout, result.stdout
    assert group
