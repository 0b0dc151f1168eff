"""What Kafka can hold: transactions, tombstones, gaps, headers, large and empty messages, more partitions."""
from confluent_kafka import Producer

from lib.events import Events
from lib.wait import holds_for, wait_for

RAW_TABLE = """
    CREATE TABLE raw (kafka_partition int, kafka_offset bigint, key bytea, body jsonb, bytes int,
                      header_count int, kafka_ts timestamptz, topic text);
    ALTER TABLE raw OWNER TO app"""


def produce(world, *messages, **config):
    """messages: dicts of Producer.produce; returns the offsets by partition and message."""
    producer = Producer(dict({"bootstrap.servers": world.broker.address, "message.max.bytes": 8000000,
                              "partitioner": "murmur2_random"}, **config))
    places = []

    def delivered(error, message):
        assert error is None, error
        places.append((message.partition(), message.offset()))
    for message in messages:
        producer.produce(world.topic, on_delivery=delivered, **message)
    assert producer.flush(120) == 0
    return places


def good(n, **more):
    """A good event, by hand."""
    body = f'{{"id":"00000000-0000-4000-8000-{n:012d}","type":"power","source":"sensor-0001",' \
           f'"ts":"2026-03-01T00:00:00Z","value":{n},"unit":"W"}}'
    return dict({"value": body.encode(), "key": b"sensor-0001"}, **more)


def test_transactions_aborted_ones_and_markers(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    events = Events(30000, seed=61, transaction=1000, abort_every=3, broken=1, filtered=2)
    events.send(world.broker, world.topic, "--transactional-id", world.name)
    # the end of a partition is behind a marker, not behind an event: the position has to get there
    world.wait_settled()
    assert sum(high for _, high in world.broker.watermarks(world.topic)) > 30000
    world.check(events)


def test_open_transaction_is_not_read(world):
    world.create_topic(partitions=1)
    world.create_pipeline()
    world.start_ingestor()
    producer = Producer({"bootstrap.servers": world.broker.address, "transactional.id": world.name,
                         "transaction.timeout.ms": 60000})
    producer.init_transactions(120)
    producer.begin_transaction()
    producer.produce(world.topic, **good(1))
    producer.flush(120)
    holds_for(lambda: world.db.value("SELECT count(*) FROM reading") == 0, "nothing uncommitted is read", 1.5)
    producer.commit_transaction(120)
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading") == 1


def test_compacted_topic(world):
    """Compaction leaves gaps between offsets; the position must not mind."""
    world.create_topic(partitions=1, cleanup_policy="compact", segment_bytes=1048576, min_cleanable_dirty_ratio=0.01,
                       max_compaction_lag_ms=500, segment_ms=500)
    for first in (0, 20000, 40000):
        Events(20000, seed=62, first=first).send(world.broker, world.topic)

    def offsets():
        from confluent_kafka import Consumer, TopicPartition
        consumer = Consumer({"bootstrap.servers": world.broker.address, "group.id": "x", "enable.partition.eof": True,
                             "enable.auto.commit": False})
        consumer.assign([TopicPartition(world.topic, 0, 0)])
        found = 0
        while True:
            message = consumer.poll(120)
            assert message is not None, "the topic cannot be read to its end"
            if message.error():
                break
            found += 1
        consumer.close()
        return found
    wait_for(lambda: offsets() < 50000, "the cleaner has compacted", every=1)
    left = offsets()
    world.create_pipeline()
    world.start_ingestor()
    world.wait_settled()
    counters = world.counters()
    assert counters["events"] == counters["written"] <= left
    assert counters["written"] >= 1000  # each key has a last event
    assert world.db.value("SELECT count(*) - count(DISTINCT id) FROM reading") == 0


def test_tombstones_choices(world):
    world.create_topic()
    events = Events(5000, seed=63, tombstones=5)
    events.send(world.broker, world.topic)
    world.create_pipeline(tombstone="skip")
    world.start_ingestor()
    world.wait_settled()
    world.check(events, tombstones="skip")


def test_messages_of_every_shape(world):
    """Headers, null keys, empty keys, empty payloads, 1 MB, over the size cap, and what Kafka says of them."""
    world.db.run(RAW_TABLE)
    world.create_topic(partitions=2, max_message_bytes=8000000)
    world.create_pipeline(fields=None, target="raw", transform="""
        SELECT event.partition AS kafka_partition, event."offset" AS kafka_offset, event.key, event.payload AS body,
               length(event.payload::text) AS bytes, event.kafka_ts, event.topic FROM event""")
    world.start_ingestor("--max-message-bytes", "2MB")
    big = b'{"blob":"' + b"x" * 1_000_000 + b'"}'
    over = b'{"blob":"' + b"y" * 6_000_000 + b'"}'
    places = produce(world,
                     {"value": b'{"a":1}', "key": None, "partition": 0},
                     {"value": b'{"a":2}', "key": b"", "partition": 0},
                     {"value": b'{"a":3}', "key": bytes(range(256)), "partition": 0,
                      "headers": [("h", b"\x00\xff"), ("h", b"twice"), ("null", None), ("empty", b"")]},
                     {"value": b"", "key": b"empty", "partition": 0},
                     {"value": None, "key": b"tombstone", "partition": 0},
                     {"value": big, "key": b"big", "partition": 0},
                     {"value": over, "key": b"over", "partition": 0},
                     {"value": b'{"a":4}', "key": b"last", "partition": 0})
    assert len(places) == 8
    world.wait_settled()
    rows = world.db.run("SELECT kafka_offset, key, body->>'a', bytes, kafka_ts IS NOT NULL, topic FROM raw ORDER BY 1")
    assert [r[0] for r in rows] == [0, 1, 2, 5, 7]
    assert [r[2] for r in rows] == ["1", "2", "3", None, "4"]
    assert rows[0][1] is None and bytes(rows[1][1]) == b"" and bytes(rows[2][1]) == bytes(range(256))
    assert rows[3][3] >= 1_000_000
    assert all(r[4] and r[5] == world.topic for r in rows)
    dead = {d[6]: d for d in world.dead_letters()}
    assert sorted(dead) == [3, 4, 6]
    assert bytes(dead[3][0]) == b"" and dead[4][0] is None and dead[6][0] is None
    assert bytes(dead[6][1]) == b"over"
    assert all(d[2] == "decode" for d in dead.values())


def test_partitions_added_while_it_runs(world):
    world.create_topic(partitions=2)
    world.create_pipeline()
    world.start_ingestor(topic_metadata_refresh_interval_ms="1000")
    first = Events(5000, seed=64)
    first.send(world.broker, world.topic)
    world.wait_settled()
    world.broker.add_partitions(world.topic, 5)
    # some of it is there before anybody looks: new partitions begin at the earliest
    second = Events(5000, seed=65)
    second.send(world.broker, world.topic)
    world.wait_settled()
    assert sorted(world.positions()) == [0, 1, 2, 3, 4]
    world.check(first, second)


def test_start_latest_and_timestamp(world):
    world.create_topic(partitions=2)
    Events(1000, seed=66).send(world.broker, world.topic)
    world.create_pipeline(start_at="latest")
    world.start_ingestor()
    wait_for(lambda: world.lag() == 0, "at the end at once")
    assert world.counters()["events"] == 0
    later = Events(1000, seed=67)
    later.send(world.broker, world.topic)
    world.wait_settled()
    world.check(later)


def test_committed_offsets_follow(world):
    """For lag tools: Kafka's committed offsets come after the database's positions, and catch up."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    Events(5000, seed=68).send(world.broker, world.topic)
    world.wait_settled()
    group = world.db.value("SELECT group_id FROM millrace.ingestor_pipelines()")
    ends = [high for _, high in world.broker.watermarks(world.topic)]
    wait_for(lambda: world.broker.committed(group, world.topic) == ends, "offsets committed", every=0.5)


def test_wrong_committed_offsets_do_not_matter(world):
    """They are never read for correctness."""
    from confluent_kafka import Consumer, TopicPartition
    world.create_topic(partitions=2)
    events = Events(5000, seed=69)
    events.send(world.broker, world.topic)
    world.create_pipeline()
    group = world.db.value("SELECT group_id FROM millrace.ingestor_pipelines()")
    consumer = Consumer({"bootstrap.servers": world.broker.address, "group.id": group})
    consumer.commit(offsets=[TopicPartition(world.topic, p, 1000) for p in range(2)], asynchronous=False)
    consumer.close()
    world.start_ingestor()
    world.wait_settled()
    world.check(events)
