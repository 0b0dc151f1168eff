"""From link to link an event wakes the next one. Each also looks by itself, so that a wake-up that is lost delays and does not
stop: a worker once a second, the ingestor into its queue every two. That must not be what moves events."""
import time

from confluent_kafka import Producer

from lib.lane import Lane
from lib.wait import wait_for
from test_lanes import make_pipeline

LOST_S = 0.5  # half of what the event waits when nobody is woken: the one before it was settled just then, and all went to rest
EVENTS = 60
LATE = 6  # of them may be: a machine with other work to do is late, too


def count_late(send, is_there):
    """How many of the events, sent one by one, were later than that."""
    late = 0
    for n in range(EVENTS):
        began_at = time.monotonic()
        send(n)
        wait_for(lambda: is_there(n), f"event {n}", every=0.002)
        late += time.monotonic() - began_at > LOST_S
    return late


def test_a_batch_wakes_its_worker(world):
    """Also one that comes at the moment when the worker is done with the one before, and is about to rest."""
    make_pipeline(world)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    assert count_late(lambda n: lane.send(0, [b'{"n":%d}' % n]),
                      lambda n: world.db.value("SELECT true FROM number WHERE n = %s", (n,))) <= LATE


def test_a_message_wakes_the_whole_chain(world):
    world.create_topic(partitions=2)
    world.db.run("CREATE TABLE number (n int PRIMARY KEY); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event", workers=2)
    world.start_ingestor().wait_ready()
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 0})

    def send(n):
        producer.produce(world.topic, b'{"n":%d}' % n, partition=n % 2)
        assert producer.flush(60) == 0
    assert count_late(send, lambda n: world.db.value("SELECT true FROM number WHERE n = %s", (n,))) <= LATE
