"""The database goes back in time under a running ingestor, to before the topic grew: it knows fewer partitions than the
ingestor, and older positions. All of it is fetched again, and each event is there once. And positions that are lost."""
import os

import psycopg2
import pytest

from lib.api import Api
from lib.cluster import Cluster, Database, run_as_server
from lib.commands import commands_of, run_commands
from lib.dead_letters import check_each_once, wait_published
from lib.events import Events
from lib.lane import Lane
from lib.wait import holds_for, wait_for
from lib.world import ensure_roles

GROWN = {"topic_metadata_refresh_interval_ms": "1000"}  # so that the new partitions are noticed soon


def fill(world, seed, db=None):
    events = Events(6000, seed=seed, broken=1, filtered=2).send(world.broker, world.topic)
    world.wait_settled(db=db)
    return events


def grow(world, db=None):
    """New partitions with events in all of them."""
    world.broker.add_partitions(world.topic, 6)
    events = Events(6000, seed=112, broken=1).send(world.broker, world.topic)
    world.wait_settled(db=db)
    assert len(world.positions(db)) == 6
    return events


def check_again(world, ingestor, *before, db=None):
    """What was processed since is processed again, and what came meanwhile."""
    meanwhile = Events(6000, seed=113, broken=1).send(world.broker, world.topic)
    world.wait_settled(db=db)
    world.check(*before, meanwhile, db=db)
    assert ingestor.alive()
    last = Events(1000, seed=114).send(world.broker, world.topic)
    world.wait_settled(db=db)
    world.check(*before, meanwhile, last, db=db)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_data_directory_of_before_the_topic_grew(world, workers):
    world.create_topic(partitions=2)
    world.create_pipeline(workers=workers)
    ingestor = world.start_ingestor(**GROWN)
    before = fill(world, 111)
    world.cluster.stop()
    copy = world.cluster.save_data()
    world.cluster.start()
    after = grow(world)
    world.cluster.stop()
    world.cluster.restore_data(copy)
    world.cluster.start()
    check_again(world, ingestor, before, after)


def test_back_to_before_the_first_start(world):
    """It knows no partition at all; two ingestors that know all of them add them at the same time."""
    world.create_topic(partitions=4)
    world.create_pipeline()
    world.cluster.stop()
    copy = world.cluster.save_data()
    world.cluster.start()
    ingestors = [world.start_ingestor(), world.start_ingestor()]
    before = fill(world, 115)
    world.cluster.stop()
    world.cluster.restore_data(copy)
    world.cluster.start()
    world.wait_settled()
    world.check(before)
    assert all(ingestor.alive() for ingestor in ingestors)


def test_recovery_to_a_point_before_the_topic_grew(world):
    """A base backup and archived WAL, recovered to a restore point."""
    server = Cluster("pitr")
    archive = os.path.join(server.dir, "archive")
    server.settings.update({"archive_mode": "on", "archive_command": f"'mkdir -p {archive} && cp %p {archive}/%f'"})
    try:
        server.init().start()
        ensure_roles(server)
        db = server.create_database(world.name)
        world.prepare(db)
        world.create_topic(partitions=2)
        world.create_pipeline(db=db)
        ingestor = world.start_ingestor(db=db, **GROWN)
        before = fill(world, 111, db=db)
        backup = os.path.join(server.dir, "backup")
        run_as_server("pg_basebackup", "-h", server.dir, "-U", "postgres", "-D", backup, "-c", "fast", "--no-sync")
        before_too = Events(2000, seed=116, broken=1).send(world.broker, world.topic)
        world.wait_settled(db=db)
        db.run("SELECT pg_create_restore_point('small')")
        after = grow(world, db)
        db.close()
        server.stop()
        server.restore_data(backup)
        server.recover_to("small", archive)
        server.start()
        wait_for(lambda: db.value("SELECT pg_get_wal_replay_pause_state()") == "paused", "recovered")
        assert db.value("SELECT count(*) FROM millrace.partition") == 2
        world.check(before, before_too, db=db)
        db.run("SELECT pg_wal_replay_resume()")  # from here on the ingestor goes on
        check_again(world, ingestor, before, before_too, after, db=db)
        db.close()
    finally:
        for ingestor in world.ingestors:
            if ingestor.alive():
                ingestor.kill()
        server.stop("immediate")


def test_a_standby_that_lagged_is_promoted(world):
    """Ingestor and API have both servers in their connection strings and go to the one that takes writes. Dead letters that
    were published of what the standby does not have are not published again."""
    standby, primary = Cluster("lagging"), world.db
    api = None
    try:
        world.create_topic(partitions=2)
        world.create_pipeline()
        dsn = f"host={world.cluster.dir},{standby.dir} port={world.cluster.port} dbname={world.db.name} target_session_attrs=read-write user="
        ingestor = world.start_ingestor(dsn=dsn + "ingestor", **GROWN)
        ensure_roles(world.cluster, "web")
        world.db.run("SELECT millrace.grant_api('web'); CREATE VIEW seen AS SELECT id, ts FROM reading; CREATE INDEX ON reading (ts, id);"
                     " CREATE INDEX ON reading (id); GRANT SELECT ON seen TO web")
        api = Api(dsn + "web", "--events", "seen", "--time-column", "ts").start()
        before = fill(world, 111)
        standby.clone_as_standby(world.cluster).start()
        db = Database(standby, world.db.name)
        wait_for(lambda: world.positions(db) == world.positions(), "the standby has it")
        db.close()
        standby.stop()
        after = grow(world)
        wait_published(world)
        world.cluster.stop("immediate")
        standby.start()
        standby.promote()
        check_again(world, ingestor, before, after, db=db)
        api.wait_ready()
        settled = str(world.counters(db)["events"])
        wait_for(lambda: api.get("/events/all").json()["pipelines"][0]["totals"]["events"] == settled, "the API reads the new primary")
        wait_for(lambda: api.get("/events?limit=1").status == 200, "it serves events")
        # what died since is in the topic already, and dies again
        world.db = db
        wait_published(world)
        assert check_each_once(world) == db.value("SELECT count(*) FROM millrace.dead_letter")
        db.close()
    finally:
        for ingestor in world.ingestors:
            if ingestor.alive():
                ingestor.kill()
        if api:
            api.kill()
        standby.stop("immediate")
        world.cluster.start()
        world.db = primary


def test_created_again_with_fewer_partitions(world):
    """Dropped and created again between two looks of an ingestor, and first seen by another one, on a smaller topic."""
    world.create_topic(partitions=4)
    world.create_pipeline()
    ingestor = world.start_ingestor("--poll-interval", "5s", **GROWN)
    fill(world, 117)
    with world.db.session("app") as s:
        s.connection.autocommit = False
        s.run("SELECT millrace.drop_pipeline(%s, discard_dead_letters => true)", (world.pipeline_name,))
        s.run("TRUNCATE reading")
        s.connection.commit()
    world.create_pipeline()
    # as another ingestor that has seen two partitions so far
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    world.wait_settled()
    world.check(Events(6000, seed=117, broken=1, filtered=2))
    assert ingestor.alive()


@pytest.fixture
def lane(world):
    """A pipeline of three partitions without a topic, and a lane."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name)
    yield lane
    lane.close()


def test_one_unknown_partition_does_not_keep_the_others(world, lane):
    lane.assign([0, 1, 7, 2, -1])
    assert sorted(lane.epochs) == [0, 1, 2]
    for partition in range(3):
        lane.send(partition, [b'{"n":%d}' % partition])
    wait_for(lambda: world.positions() == {0: 1, 1: 1, 2: 1}, "all three are settled")


def test_a_lane_of_a_dropped_pipeline_takes_no_partition_of_its_successor(world, lane):
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
    with pytest.raises(psycopg2.Error) as e:
        lane.assign([0])
    assert e.value.pgcode == "MR002"


def test_history_is_removed_after_a_position_was_lost(world, lane):
    """It is removed up to a number that is remembered, and the numbers begin again."""
    def grow_history(rows):
        world.db.run("INSERT INTO millrace.progress SELECT pipeline_id, partition, seq + n, next_offset, last_offset, last_ts, last_crc,"
                     " events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at, retrying"
                     " FROM (SELECT * FROM millrace.progress WHERE partition = 1 ORDER BY seq DESC LIMIT 1) AS g, generate_series(1, %s) AS n",
                     (rows,))
        wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.progress WHERE partition = 1") <= 301, "it is removed")
    grow_history(1000)
    world.db.run("DELETE FROM millrace.progress WHERE partition = 1")
    with world.db.session("app") as s:
        s.run("SELECT millrace.skip_to(%s, 1, 5)", (world.pipeline_name,))
    grow_history(600)
    assert world.positions()[1] == 5


@pytest.mark.parametrize("table", ["progress", "partition"])
def test_a_lost_position_is_set_by_the_printed_command(world, table):
    """Rows of the catalogue are gone: that partition is stopped, the others flow; its hint is pasted."""
    world.create_topic(partitions=3)
    world.create_pipeline(workers=1)
    events = Events(3000, seed=118, broken=1).send(world.broker, world.topic)
    ingestor = world.start_ingestor()
    world.wait_settled()
    ingestor.stop()
    world.db.run(f"DELETE FROM millrace.{table} WHERE partition = 1")
    later = Events(3000, seed=119).send(world.broker, world.topic)
    ingestor.start()
    hint = wait_for(lambda: world.db.value("SELECT hint FROM millrace.partition WHERE partition = 1 AND state = 'stopped'"),
                    "it is stopped")
    ends = [high for _, high in world.broker.watermarks(world.topic)]
    wait_for(lambda: (world.positions()[0], world.positions()[2]) == (ends[0], ends[2]), "the others flow")
    holds_for(lambda: world.partition_states()[1] == "stopped", "it stays stopped", 2)
    assert world.db.value("SELECT status FROM millrace.pipelines") == "stopped"
    assert "drop" not in hint
    # the rows that will come again, as the hint says
    with world.db.session("app") as s:
        s.run("DELETE FROM reading WHERE kafka_partition = 1")
        assert len(commands_of(hint)) == 1
        run_commands(s, hint)
    world.wait_settled()
    ids = [r[0] for r in world.db.run("SELECT id::text FROM reading")]
    truths = [events.truth(), later.truth()]
    assert sorted(ids) == sorted(truths[0]["row"] | truths[1]["row"])
    assert world.db.value("SELECT events = written + filtered + superseded + skipped + dead + retrying FROM millrace.stats")
