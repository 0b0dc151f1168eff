"""The ingestor when the others misbehave: a client that gave up, Kafka away at the end."""
import os
import signal
import time

import pytest

from lib.events import Events
from lib.wait import wait_for


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
        assert time.monotonic() - begin < 2, "it waited for Kafka"
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
        assert time.monotonic() - begin < 2, "it waited for Kafka"
    finally:
        world.broker.process.signal(signal.SIGCONT)
