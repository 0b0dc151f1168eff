"""The ingestor when the others misbehave: a client that gave up, Kafka away at the end."""
import os
import signal
import subprocess
import time

import pytest

from lib import paths
from lib.events import Events
from lib.wait import wait_for
from test_kafka_shapes import produce


def test_consumer_that_gave_up_is_replaced(world):
    """Somebody took its place in the group (group.instance.id): the handle is useless from then on."""
    world.create_topic()
    world.create_pipeline()
    first = world.start_ingestor(group_instance_id="one").wait_ready()
    before = Events(2000, seed=501)
    before.send(world.broker, world.topic)
    world.wait_settled()
    second = world.start_ingestor(group_instance_id="one")
    wait_for(lambda: "ERR__FATAL" in first.log_text() or "_FATAL" in first.log_text(), "the first one is thrown out")
    second.kill()
    after = Events(2000, seed=502)
    after.send(world.broker, world.topic)
    world.wait_settled()
    assert first.alive()
    world.check(before, after)


def touch(directory, name, content=""):
    with open(os.path.join(directory, name), "w") as f:
        f.write(content)


def test_replacing_a_consumer_stops_nothing_else(world):
    """However long librdkafka takes to end the handle of one that failed: another pipeline's events are settled meanwhile, and the
    admin port answers."""
    directory = paths.make_dir("slow-end", 0o755)
    library = os.path.join(directory, "slow_end.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, os.path.join(paths.ROOT, "tests/lib/slow_end.c")], check=True)
    world.create_topic(2)
    for name in ("one", "two"):
        world.db.run(f"CREATE TABLE {name} (n int); ALTER TABLE {name} OWNER TO app")
        world.create_pipeline(name=name, fields="n int NOT NULL", transform="SELECT n FROM event", target=name)
    ingestor = world.start_ingestor(wrapper=("env", f"LD_PRELOAD={library}", f"SLOW_END={directory}")).wait_ready()
    touch(directory, "hold")
    touch(directory, "fail", world.db.value("SELECT group_id FROM millrace.pipelines WHERE name = 'one'"))
    wait_for(lambda: os.path.exists(os.path.join(directory, "ending")), "its handle is being ended")
    produce(world, dict(value=b'{"n":1}'), dict(value=b'{"n":2}'))
    count = "SELECT count(*) FROM %s"
    wait_for(lambda: world.db.value(count % "two") == 2, "pipeline two goes on")
    wait_for(lambda: ingestor.get("/readyz")[0] == 200, "it is ready")
    assert ingestor.metric("millrace_ingestor_kafka_errors_total") > 0
    os.unlink(os.path.join(directory, "hold"))  # only then the group forgets the old member
    wait_for(lambda: world.db.value(count % "one") == 2, "pipeline one goes on")


@pytest.mark.alone
def test_sigterm_while_the_broker_is_frozen(world):
    """Nothing is under way with the broker but the consumer's own requests: its handle ends in the background."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    events = Events(1000, seed=503)
    events.send(world.broker, world.topic)
    world.wait_settled()
    world.broker.process.signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert ingestor.stop() == 0
        assert time.monotonic() - begin < 5, "it waited for Kafka"
    finally:
        world.broker.process.signal(signal.SIGCONT)


@pytest.mark.alone
def test_sigterm_while_kafka_is_away(world):
    """With questions to the broker under way: nobody waits for their answers."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    world.broker.process.signal(signal.SIGSTOP)
    os.kill(ingestor.pid, signal.SIGHUP)  # asks for the topic's retention
    wait_for(lambda: "options reloaded" in ingestor.log_text(), "it has asked")
    begin = time.monotonic()
    try:
        assert ingestor.stop() == 0
        assert time.monotonic() - begin < 5, "it waited for Kafka"
    finally:
        world.broker.process.signal(signal.SIGCONT)
