"""Too little room on a server: create_pipeline() warns, and a pipeline that waits for a lane or a worker says so."""
import pytest

from lib.cluster import Cluster, Database
from lib.events import Events
from lib.wait import wait_for
from lib.world import World, ensure_roles


def make_cluster(request, name, **settings):
    cluster = Cluster(name, settings={key.replace("__", "."): str(value) for key, value in settings.items()}).init().start()
    request.addfinalizer(lambda: cluster.stop("immediate"))
    ensure_roles(cluster)
    return cluster


def make_world(request, cluster, broker):
    world = World(cluster, broker, cluster.name)
    request.node.world = world
    request.addfinalizer(world.close)
    return world


def state(world, name):
    return world.db.run("SELECT status, reason, hint FROM millrace.pipelines WHERE name = %s", (name,))[0]


def finding(world, words):
    return [row for row in world.db.run("SELECT severity, what, detail, command FROM millrace.doctor()") if words in row[1]]


def warnings(db, call, user="app"):
    """What the server sends with it, each with its detail and hint."""
    with db.session(user) as s:
        del s.connection.notices[:]
        s.run(call)
        return "".join(s.connection.notices)


CREATE = ("SELECT millrace.create_pipeline('p', topic => 't', fields => 'n int', target => 'number',"
          " transform => 'SELECT event.n FROM event', workers => 4, paused => false)")


@pytest.mark.parametrize("setting, value, words", [
    ("max_worker_processes", 5, "need 4 workers, those of other databases have 0, and max_worker_processes = 5 leaves room for 2"),
    ("millrace__max_lanes", 3, "need 4 lanes for each ingestor; of millrace.max_lanes = 3 are 0 in use"),
    ("max_connections", 9, "opens 4 connections for the lanes of this database, those of other databases have 0, and max_connections = 9 leaves room for 6"),
])
def test_creating_warns(request, setting, value, words):
    settings = {"max_worker_processes": 20, "millrace__max_lanes": 20, "max_connections": 30, "max_wal_senders": 0, setting: value}
    db = make_cluster(request, "warn", **settings).create_database("warn")
    db.run("CREATE EXTENSION millrace; CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    World.grant(db)
    name = setting.replace("__", ".")
    said = warnings(db, CREATE)
    assert "WARNING:  pipeline \"p\" may have to wait: too few" in said and words in said, said
    assert said.count("WARNING") == 1 and f"ALTER SYSTEM SET {name} = " in said
    assert warnings(db, "SELECT millrace.alter_pipeline('p', workers => 1)") == "", "there is room enough"
    assert words.split(" 4 ")[0] in warnings(db, "SELECT millrace.alter_pipeline('p', workers => 4)")
    db.close()


def test_no_lane(request, broker):
    cluster = make_cluster(request, "lanes", millrace__max_lanes=1)
    world = make_world(request, cluster, broker)
    world.create_topic(partitions=1)
    world.create_pipeline(name="one")
    world.start_ingestor().wait_ready()
    wait_for(lambda: state(world, "one")[0] == "running" and world.db.value("SELECT count(*) FROM millrace.lanes"), "the lane is taken")
    world.create_pipeline(name="two")
    wait_for(lambda: state(world, "two")[0] == "no lane", "it says so")
    status, reason, hint = state(world, "two")
    assert "all 1 staging lanes of this server are in use" in reason
    assert hint == "ALTER SYSTEM SET millrace.max_lanes = 2; then restart the server"
    assert finding(world, 'pipeline "two": no lane') == [("error", 'pipeline "two": no lane', reason, hint)]
    assert state(world, "one")[0] == "running"
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline('one')")
    wait_for(lambda: state(world, "two") == ("running", None, None), "it has the lane")
    Events(500, seed=711).send(broker, world.topic)
    world.wait_settled(pipeline="two")
    wait_for(lambda: not finding(world, "two"), "nothing to say")


def test_not_all_lanes(request, broker):
    """It runs with those it has; doctor() names what it lacks."""
    cluster = make_cluster(request, "lanes2", millrace__max_lanes=1)
    world = make_world(request, cluster, broker)
    world.create_topic(partitions=2)
    world.create_pipeline(name="both", workers=2)
    world.start_ingestor()
    wait_for(lambda: finding(world, "1 of 2 lanes"), "it says so")
    severity, _, detail, command = finding(world, "1 of 2 lanes")[0]
    assert severity == "warning" and "staging lanes" in detail and "millrace.max_lanes = 2" in command
    wait_for(lambda: state(world, "both")[:2] == ("running", detail), "the view says so, too")


def test_no_worker(request):
    """No slot at all: the launchers and the supervisor have them."""
    db = make_cluster(request, "none", max_worker_processes=3).create_database("none")
    db.run("CREATE EXTENSION millrace; CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    World.grant(db)
    warnings(db, CREATE)
    status = "SELECT status, reason, hint FROM millrace.pipelines"
    wait_for(lambda: db.run(status)[0][0] == "no worker", "it says so")
    assert db.run(status)[0][1:] == ("no slot of max_worker_processes is free for its worker",
                                     "ALTER SYSTEM SET max_worker_processes = 12; then restart the server")
    assert db.run("SELECT severity FROM millrace.doctor() WHERE what = 'pipeline \"p\": no worker'") == [("error",)]
    db.close()


def test_workers_held(request, cluster):
    db = cluster.create_database("held")
    request.addfinalizer(db.drop)
    db.run("CREATE EXTENSION millrace; CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    World.grant(db)
    assert warnings(db, CREATE) == ""
    status = "SELECT status, reason, hint FROM millrace.pipelines"
    wait_for(lambda: db.run(status)[0][0] == "running", "it runs")
    db.run("SELECT millrace.stop_workers()")
    assert db.run(status) == [("no worker", "stop_workers() was called in this database", "SELECT millrace.start_workers();")]
    db.run("SELECT millrace.start_workers()")
    wait_for(lambda: db.run(status)[0][0] == "running", "it runs again")
