"""What the ingestor holds in memory: --fetch-buffer bounds it, for compressed topics and for all pipelines together."""
import json

import pytest
from confluent_kafka import Producer

from lib.cluster import Cluster
from lib.process import peak_rss_mb
from lib.wait import wait_for
from lib.world import World, ensure_roles

PARTITIONS = 60
PAD = "temperature,humidity,pressure;" * 33  # some 1,000 bytes an event, a sixtieth of that in the topic
BUFFER_MB = 8
LIMIT_MB = {1: 64, 10: 100}  # by pipelines; some 25 are there without an event


@pytest.fixture(scope="module")
def small_cluster():
    """Staging takes so little that the rest has to wait in the ingestor."""
    cluster = Cluster("memory", settings={"millrace.segment_size": "1MB", "millrace.ring_segments": "2",
                                          "millrace.max_workers_per_role": "32"}).init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


@pytest.fixture
def small_world(request, small_cluster, broker):
    world = World(small_cluster, broker, request.node.name.replace("test_", "", 1))
    request.node.world = world
    yield world
    world.close()


def produce(world, messages):
    world.create_topic(PARTITIONS)
    producer = Producer({"bootstrap.servers": world.broker.address, "compression.type": "zstd", "linger.ms": 500,
                         "batch.size": 200_000, "queue.buffering.max.messages": 2 * messages,
                         "queue.buffering.max.kbytes": 2_000_000})
    for n in range(messages):
        producer.produce(world.topic, json.dumps({"n": n, "pad": PAD}), partition=n % PARTITIONS)
    assert producer.flush(120) == 0


def create_pipelines(world, count):
    """They keep nothing of what they read."""
    world.db.run("CREATE TABLE t (n int); ALTER TABLE t OWNER TO app")
    names = [f"p{i}" for i in range(count)]
    for name in names:
        world.create_pipeline(name=name, fields="n int", transform="SELECT n FROM event WHERE n < 0", target="t", dlq="off")
    return names


@pytest.mark.parametrize("pipelines, messages", [(1, 300_000), (10, 60_000)])
def test_memory_is_bounded_by_the_fetch_buffer(small_world, pipelines, messages):
    world = small_world
    produce(world, messages)
    names = create_pipelines(world, pipelines)
    ingestor = world.start_ingestor("--fetch-buffer", f"{BUFFER_MB}MB", "--batch-bytes", "100kB")
    held = []

    def settled():
        held.append(ingestor.metric("millrace_ingestor_queued_bytes"))
        return all(world.lag(pipeline=name) == 0 for name in names)
    wait_for(settled, "all settled", 600, every=0.2)
    # and a response: a sixty-fourth of it, 60 times that when it is decompressed, and a third more for what librdkafka needs
    assert max(held) < 2.5 * BUFFER_MB * (1 << 20), f"{max(held):.0f} bytes"
    assert [world.counters(pipeline=name)["events"] for name in names] == [messages] * pipelines
    peak = peak_rss_mb(ingestor.pid)
    assert peak < LIMIT_MB[pipelines], f"{peak:.0f} MB"
