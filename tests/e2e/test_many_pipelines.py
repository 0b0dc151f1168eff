"""A hundred pipelines on a server with eight slots for all background processes, and a real broker."""
import threading

import pytest

from lib.cluster import Cluster, ConnectionLost
from lib.events import Events, compare
from lib.wait import wait_for
from lib.world import FIELDS, TRANSFORM, World, ensure_roles
from test_exactly_once import kill_backend

PIPELINES = 100


@pytest.fixture
def world(broker, request):
    cluster = Cluster("hundred", {"max_worker_processes": "8", "max_connections": "400", "millrace.max_workers_per_role": "200"}).init().start()
    ensure_roles(cluster)
    world = World(cluster, broker, "hundred")
    request.node.world = world
    yield world
    world.close()
    cluster.stop("immediate")


def ask(world, sql):
    """None while the server restarts."""
    try:
        return world.db.run(sql)
    except ConnectionLost:
        return None


def positions(world):
    """{pipeline: events settled}"""
    rows = ask(world, "SELECT pipeline, sum(next_offset) FROM millrace.partitions GROUP BY pipeline")
    return None if rows is None else {name: int(n) for name, n in rows}


def wait_settled(world, timeout):
    ends = {}
    for topic in ("small", "busy"):
        ends[topic] = sum(high for _, high in world.broker.watermarks(topic))

    def settled():
        found = positions(world)
        return found is not None and len(found) == PIPELINES and all(
            n == ends["busy" if name == "busy" else "small"] for name, n in found.items())

    wait_for(settled, "all are settled", timeout, every=0.5)


def test_a_hundred_pipelines_on_eight_slots(world):
    """All make progress, a busy one beside them; each event once, also across the kill -9 of a process that serves them."""
    for topic, partitions in (("small", 1), ("busy", 2)):
        world.broker.create_topic(topic, partitions)
    names = [f"p{n}" for n in range(PIPELINES - 1)] + ["busy"]
    for name in names:
        world.db.run(f"CREATE TABLE t_{name} (LIKE reading INCLUDING ALL); ALTER TABLE t_{name} OWNER TO app")
        world.create_pipeline(name=name, topic="busy" if name == "busy" else "small", target=f"t_{name}", fields=FIELDS,
                              transform=TRANSFORM, dlq="off", batch_rows=1000)
    ingestor = world.start_ingestor(wait=False)
    small, busy = [Events(100, seed=901)], [Events(60000, seed=902)]
    small[0].send(world.broker, "small")
    busy[0].send(world.broker, "busy")
    wait_for(lambda: all((positions(world) or {}).get(name, 0) > 0 for name in names), "each makes progress", 240, every=0.5)
    workers = ask(world, "SELECT DISTINCT pid FROM millrace.workers WHERE pid IS NOT NULL")
    assert 1 <= len(workers) <= 6, "the launchers and the supervisor have the other slots"
    small.append(Events(100, seed=904, first=100).send(world.broker, "small"))
    busy.append(Events(60000, seed=903, first=60000))
    sender = threading.Thread(target=busy[1].send, args=(world.broker, "busy"))
    sender.start()  # while it sends there is work: who has it is found before it is done
    at_work = "SELECT pid FROM millrace.workers WHERE state = 'busy' AND pid IS NOT NULL"
    wait_for(lambda: (found := ask(world, at_work)) and kill_backend(world.cluster, found[0][0]), "one at work is killed")
    sender.join()
    small.append(Events(100, seed=905, first=200).send(world.broker, "small"))
    wait_settled(world, 240)
    assert ingestor.alive()
    for name in names:
        check(world, name, busy if name == "busy" else small)
    wait_for(lambda: {status for (status,) in world.db.run("SELECT status FROM millrace.pipelines")} == {"running"}, "all run")


def check(world, name, batches):
    rows, dead = set(), set()
    for events in batches:
        truth = events.truth()
        rows |= truth["row"]
        dead |= truth["dead"] | truth["tombstone"]
    compare(f"rows of {name}", rows, [r[0] for r in world.db.run(f"SELECT id::text FROM t_{name}")])
    counters = world.counters(pipeline=name)
    assert (counters["written"], counters["dead"]) == (len(rows), len(dead)), counters
