"""An idle system idles: what pipelines without events cost in processor time, threads and connections."""
import time

import pytest

from lib.cluster import Cluster
from lib.dead_letters import wait_published
from lib.rest import PIPELINES, SETTINGS, begin, threads, used, wakeups_per_s
from lib.wait import holds_for, wait_for
from lib.world import World, ensure_roles
from test_kafka_shapes import produce

WINDOW_S = 10
# Nothing spins. How much of a core the wake-ups below take depends on the machine, by a factor of five (docs/performance.md): that is measured by
# `make bench SCENARIOS=rest`.
SPIN = 0.5
# A worker's three looks every 5 s, positions and ends of each pipeline every 8 to 10 s; 160 a second before. It does not depend on
# the machine.
TRANSACTIONS_PER_S = 50
# Of all threads and processes, 640; a heartbeat each second, two polls of the broker and the timers of librdkafka make 14 for
# each pipeline. They cost more or less, but are as many on any machine.
WAKEUPS_PER_S = 25 * PIPELINES
THREADS = 4 * PIPELINES + 10  # librdkafka has four for a consumer
SESSIONS = PIPELINES + 1      # a lane each, and the control connection


@pytest.fixture(scope="module")
def wide_cluster():
    cluster = Cluster("idle", settings=SETTINGS).init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


@pytest.fixture
def wide_world(request, wide_cluster, broker):
    world = World(wide_cluster, broker, request.node.name.replace("test_", "", 1))
    request.node.world = world
    yield world
    world.close()


def sessions(world):
    return world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ingestor' AND datname = current_database()")


def relays(world):
    return world.db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millrace-relay' AND datname = current_database()")


def transactions(world):
    """Of this database, as far as sessions have reported them: at rest within 10 s, for the most part."""
    return world.db.value("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")


def transactions_per_s(world, window_s):
    before, start = transactions(world), time.monotonic()
    time.sleep(window_s)
    return (transactions(world) - before) / (time.monotonic() - start)


@pytest.mark.alone
def test_forty_pipelines_at_rest(wide_world):
    world = wide_world
    ingestor, processes = begin(world)
    # what they do to begin with ends within seconds
    wait_for(lambda: max(used(processes, WINDOW_S).values()) < SPIN * WINDOW_S, f"none takes {SPIN} of a core")
    wait_for(lambda: wakeups_per_s(processes, WINDOW_S) < WAKEUPS_PER_S, f"less than {WAKEUPS_PER_S} wake-ups a second")
    wait_for(lambda: transactions_per_s(world, 2 * WINDOW_S) < TRANSACTIONS_PER_S, f"less than {TRANSACTIONS_PER_S} transactions a second")
    assert len(threads(ingestor.pid)) <= THREADS
    assert sessions(world) <= SESSIONS


def test_a_relay_is_there_while_letters_wait(wide_world):
    """No session before there is a letter; then one, of one ingestor, whatever their number."""
    world = wide_world
    world.create_topic(2)
    world.db.run("CREATE TABLE t (n int); ALTER TABLE t OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", transform="SELECT n FROM event", target="t")
    for _ in range(3):
        world.start_ingestor().wait_ready()
    holds_for(lambda: relays(world) == 0, "nothing to relay, no session", 5)
    produce(world, dict(value=b"no json"))
    wait_published(world)
    holds_for(lambda: relays(world) <= 1, "one session", 5)
    assert world.db.value("SELECT count(*) FROM millrace.dead_letter") == 1
