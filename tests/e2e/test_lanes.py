"""A lane outlives its sessions: what a worker, an aborted transaction or a dropped pipeline leaves behind of the one
before must not reach the next one. Lanes are played by hand."""
import os
import threading

import psycopg2
import pytest

from lib.cluster import Cluster, ConnectionLost
from lib.lane import Lane
from lib.wait import holds_for, wait_for
from lib.world import World, ensure_roles


def make_pipeline(world, name=None, partitions=2, table="number", **more):
    world.db.run(f"CREATE TABLE {table} (n int PRIMARY KEY); ALTER TABLE {table} OWNER TO app")
    world.create_pipeline(name=name or world.pipeline_name, fields="n int NOT NULL", target=table,
                          transform="SELECT event.n FROM event", **more)
    world.db.run("SELECT millrace.add_partitions(%s, 0, %s)", (name or world.pipeline_name, [0] * partitions))


def events(n, first=0):
    return [b'{"n":%d}' % i for i in range(first, first + n)]


def numbers(world, table="number"):
    return [r[0] for r in world.db.run(f"SELECT n FROM {table} ORDER BY n")]


def hold_worker(world, n):
    """The batch that writes n waits, when it has been read and its partitions are locked."""
    holder = world.db.session(autocommit=False)
    holder.run("INSERT INTO number VALUES (%s)", (n,))
    return holder


def wait_held(world):
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity USING (pid)"
                                    " WHERE NOT l.granted AND backend_type = 'millrace worker'"), "a worker waits")


def leave(world, lane):
    """The lane's session ends; returns when it has."""
    pid = lane.session.pid
    lane.close()
    wait_for(lambda: not world.db.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)), "it is gone")


def wait_position(world, partition, position, pipeline=None):
    wait_for(lambda: world.positions(pipeline=pipeline)[partition] == position, f"partition {partition} at {position}")


def test_worker_comes_back_to_a_segment_in_its_next_life(world):
    """While it was busy its writer went, another one came and fills the same table: the cursor is of the old life."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    holder = hold_worker(world, 0)
    lane.send(0, events(50))
    wait_held(world)
    segment = lane.segment
    leave(world, lane)
    other = Lane(world.db, world.pipeline_name).assign([1])
    assert other.segment == segment, "the test is about the same table"
    other.send(1, events(5, 100))
    holder.close()
    wait_position(world, 0, 50)
    wait_position(world, 1, 5)
    other.send(1, events(5, 105))
    wait_position(world, 1, 10)
    assert numbers(world) == list(range(50)) + list(range(100, 110))
    other.close()


def test_both_sides_empty_segments(world):
    """Writer and worker empty consumed segments at the same time, and the writer fills them again at once: what is live
    is never emptied. A session that looks in makes them miss their locks."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.lane_next = lambda: lane.session.value("SELECT millrace.lane_next(%s, %s, 1000)", (lane.lane, lane.incarnation))
    for i in range(300):
        lane.send(0, events(3, 3 * i))
        if i % 7 == 0:
            world.db.run(f"SELECT count(*) FROM {lane.segment}")
        lane.segment = lane.lane_next() or lane.segment
        lane.session.connection.commit()
    wait_position(world, 0, 900)
    assert world.db.value("SELECT epoch FROM millrace.partition WHERE partition = 0") == lane.epochs[0], "nothing was missed"
    assert numbers(world) == list(range(900))
    lane.close()


@pytest.mark.parametrize("size", [10, 20000])
def test_a_lock_on_a_toast_table_is_not_waited_for(world, size):
    """Without large payloads the segment is emptied all the same, with them a spare takes its turn."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.session.run("SET statement_timeout = '10 s'")
    lane.session.connection.commit()
    count = "SELECT count(*) FROM millrace.segment"
    segments = world.db.value(count)
    with world.db.session(autocommit=False) as reader:
        for (toast,) in world.db.run("SELECT reltoastrelid::regclass::text FROM pg_class JOIN millrace.segment ON relation = oid"):
            reader.run(f"SELECT count(*) FROM {toast}")
        for i in range(3 * segments):
            lane.send(0, [b'{"n":%d,"v":"%s"}' % (i, b"x" * size)])
            wait_position(world, 0, i + 1)
            lane.next_segment()
        assert (world.db.value(count) > segments) == (size > 10)
        assert world.db.value("SELECT coalesce(max(last_error), '') FROM millrace.workers") == "", "the worker waited for lock_timeout"
    lane.close()


def test_an_emptying_that_was_cut_off_is_repeated(world):
    """Of the TOAST table, its pages were gone and its index had none yet: large payloads could not be staged any more."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, events(10))
    wait_position(world, 0, 10)
    index = "SELECT pg_relation_filepath(indexrelid) FROM pg_index JOIN pg_class AS c ON indrelid = c.reltoastrelid JOIN millrace.segment ON relation = c.oid"
    files = [os.path.join(world.cluster.data, path) for (path,) in world.db.run(index)]
    lane.close()
    world.cluster.stop()
    for file in files:
        os.truncate(file, 0)
    world.cluster.start()
    wait_for(lambda: reachable(world), "the server is back")
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, [b'{"n":10,"v":"%s"}' % (b"x" * 20000)])
    wait_position(world, 0, 11)
    lane.close()


def reachable(world):
    try:
        return world.db.value("SELECT true")
    except ConnectionLost:
        return False


def test_aborted_lane_open(world):
    """Its segments are not there any more, and its session may try again."""
    make_pipeline(world)
    with world.db.session("ingestor", autocommit=False) as s:
        for _ in range(2):
            s.run("SELECT * FROM millrace.lane_open(%s, 0)", (world.pipeline_name,))
            s.connection.rollback()
        s.run("SAVEPOINT x; SELECT * FROM millrace.lane_open(%s, 0); ROLLBACK TO x", (world.pipeline_name,))
        s.run("SELECT * FROM millrace.lane_open(%s, 0)", (world.pipeline_name,))
        s.connection.rollback()
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, events(10))
    wait_position(world, 0, 10)
    lane.close()


def test_session_dies_in_lane_open(world):
    make_pipeline(world)
    s = world.db.session("ingestor", autocommit=False)
    s.run("SELECT * FROM millrace.lane_open(%s, 0)", (world.pipeline_name,))
    pid = s.pid
    world.db.run("SELECT pg_terminate_backend(%s)", (pid,))
    wait_for(lambda: not world.db.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)), "it is gone")
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, events(10))
    wait_position(world, 0, 10)
    lane.close()


def test_aborted_lane_next(world):
    """A spare was made and taken back; the lane opens again."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    reader = world.db.session(autocommit=False)  # no segment is emptied while this transaction lasts
    for (segment,) in world.db.run("SELECT relation::regclass::text FROM millrace.segment"):
        reader.run(f"SELECT count(*) FROM {segment}")
    known = {r[0] for r in world.db.run("SELECT relation::regclass::text FROM millrace.segment")}
    for i in range(20):
        segment = lane.session.value("SELECT millrace.lane_next(%s, %s, 100)", (lane.lane, lane.incarnation))
        if segment is not None and segment not in known:
            lane.session.connection.rollback()
            break
        lane.session.connection.commit()
        lane.segment = segment or lane.segment
        lane.send(0, events(1, i))
        wait_position(world, 0, i + 1)
    else:
        raise AssertionError("no spare was made")
    leave(world, lane)
    reader.close()
    lane = Lane(world.db, world.pipeline_name).assign([0])
    lane.send(0, events(3, 100))
    wait_position(world, 0, lane.positions[0])
    lane.close()


def test_extension_created_again(world):
    """Ids of lanes begin at 1 again: the slot of an old one has a ring of dropped tables."""
    for first in (0, 100):
        make_pipeline(world)
        lane = Lane(world.db, world.pipeline_name).assign([0])
        lane.send(0, events(10, first))
        wait_position(world, 0, 10)
        assert numbers(world) == list(range(first, first + 10))
        leave(world, lane)
        if first == 0:
            world.db.run("DROP EXTENSION millrace CASCADE; DROP TABLE number; CREATE EXTENSION millrace")
            world.grant(world.db)


def test_lane_open_against_drop_pipeline(world):
    """It waits for the pipeline's end and then says so; nothing of a lane is left."""
    make_pipeline(world)
    dropper = world.db.session("app", autocommit=False)
    dropper.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    errors = []

    def open_lane():
        with world.db.session("ingestor") as s:
            try:
                s.run("SELECT * FROM millrace.lane_open(%s, 0)", (world.pipeline_name,))
            except psycopg2.Error as e:
                errors.append(e.pgcode)

    thread = threading.Thread(target=open_lane)
    thread.start()
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), "it waits for the lock")
    assert thread.is_alive()
    dropper.connection.commit()
    dropper.close()
    thread.join()
    assert errors == ["42704"]
    assert world.db.value("SELECT count(*) FROM millrace.lane") == 0
    assert world.db.value("SELECT count(*) FROM pg_class WHERE relname ~ '^segment_[0-9]+_[0-9]+$'") == 0


@pytest.fixture
def narrow(broker, request):
    """A server with one slot for lanes."""
    cluster = Cluster("narrow", {"millrace.max_lanes": "1"}).init().start()
    ensure_roles(cluster)
    world = World(cluster, broker, "narrow")
    request.node.world = world
    yield world
    world.close()
    cluster.stop("immediate")


def test_slot_given_to_another_pipeline(narrow):
    """A worker that has been busy meanwhile must not go on in the slot: its epochs would drop the other's events."""
    world = narrow
    make_pipeline(world, "one", 1)
    make_pipeline(world, "two", 1, "other")
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause('two')")
    first = Lane(world.db, "one").assign([0])
    holder = hold_worker(world, 0)
    first.send(0, events(5))
    wait_held(world)
    first.send(0, events(5, 5))
    leave(world, first)
    second = Lane(world.db, "two").assign([0])
    second.send(0, events(5, 100))
    second.send(0, events(5, 105))
    holder.close()
    wait_position(world, 0, 5, "one")
    holds_for(lambda: world.positions(pipeline="two")[0] == 0, "paused", 1.5)
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume('two')")
    wait_position(world, 0, 10, "two")
    assert numbers(world, "other") == list(range(100, 110))
    second.close()
