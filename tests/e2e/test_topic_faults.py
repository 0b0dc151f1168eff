"""The topic is not the one we knew, or no longer holds our position: stop with a hint, never jump."""
from lib.events import Events
from lib.wait import LIMIT, holds_for, wait_for


def stopped(world, words, timeout=LIMIT):
    def reason():
        row = world.db.run("SELECT state, error, hint FROM millrace.partition WHERE state = 'stopped' LIMIT 1")
        return row and row[0]
    state, error, hint = wait_for(reason, "a partition is stopped", timeout)
    for word in words:
        assert word in f"{error} {hint}", f"{word!r} not in {error!r} / {hint!r}"


def test_topic_deleted_and_recreated(world):
    world.create_topic(partitions=2)
    first = Events(4000, seed=71)
    first.send(world.broker, world.topic)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    world.wait_settled()
    ingestor.stop()
    world.broker.delete_topic(world.topic)
    world.create_topic(partitions=2)
    # more than before: a position alone would not notice
    second = Events(9000, seed=72)
    second.send(world.broker, world.topic)
    ingestor.start()
    stopped(world, ["skip_to"])
    holds_for(lambda: world.counters()["events"] == 4000, "nothing of the new topic is read", 3)
    world.check(first)


def test_topic_recreated_under_a_running_ingestor(world):
    world.create_topic(partitions=1)
    first = Events(3000, seed=73)
    first.send(world.broker, world.topic)
    world.create_pipeline()
    ingestor = world.start_ingestor(topic_metadata_refresh_interval_ms="1000")
    world.wait_settled()
    world.broker.delete_topic(world.topic)
    # Deleted, made again and filled between two fetches, it could not be distinguished from the old one: the client
    # library of Debian 12 knows no topic ids.
    wait_for(lambda: ingestor.metric("millrace_ingestor_kafka_errors_total") > 0, "its absence is noticed")
    world.create_topic(partitions=1)
    Events(9000, seed=74).send(world.broker, world.topic)
    stopped(world, [])
    assert world.counters()["events"] == 3000
    world.check(first)


def test_position_behind_the_end(world):
    """A shorter topic of the same name: the position is beyond its end."""
    world.create_topic(partitions=1)
    Events(5000, seed=75).send(world.broker, world.topic)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    world.wait_settled()
    ingestor.stop()
    world.broker.delete_topic(world.topic)
    world.create_topic(partitions=1)
    Events(10, seed=76).send(world.broker, world.topic)
    ingestor.start()
    stopped(world, [])
    assert world.counters()["events"] == 5000


def test_retention_passes_the_position(world):
    world.create_topic(partitions=1, segment_bytes=1048576, retention_ms=-1)
    first = Events(2000, seed=77)
    first.send(world.broker, world.topic)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    world.wait_settled()
    ingestor.stop()
    # a lot comes and goes while nobody consumes
    Events(40000, seed=78).send(world.broker, world.topic)
    from confluent_kafka.admin import ConfigResource
    resource = ConfigResource("topic", world.topic, set_config={"retention.bytes": "1048576",
                                                                "segment.bytes": "1048576"})
    world.broker._client().alter_configs([resource])[resource].result(120)
    low = wait_for(lambda: world.broker.watermarks(world.topic)[0][0] > 2000 and
                   world.broker.watermarks(world.topic)[0][0], "retention has passed the position")
    ingestor.start()
    stopped(world, ["skip_to"])
    holds_for(lambda: world.counters()["events"] == 2000, "no silent jump", 2)
    # the hint's way on: skip what is lost, and it is on record
    low = world.broker.watermarks(world.topic)[0][0]
    with world.db.session("app") as s:
        s.run("SELECT millrace.skip_to(%s, 0, %s)", (world.pipeline_name, low))
    world.wait_settled()
    assert world.counters()["events"] == 2000 + 42000 - low
    assert world.db.run("SELECT from_offset, to_offset FROM millrace.position_change WHERE verb = 'skip_to'") \
        == [(2000, low)]


def test_low_mark_at_the_position_is_no_loss(world):
    """Retention up to exactly the position, with nothing behind it: all was read, nothing is lost."""
    world.create_topic(partitions=1)
    first = Events(1000, seed=79)
    first.send(world.broker, world.topic)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    world.wait_settled()
    ingestor.stop()
    from lib.kafka_records import delete_records
    delete_records(world.broker, world.topic, 0, 1000)
    second = Events(1000, seed=80)
    second.send(world.broker, world.topic)
    ingestor.start()
    world.wait_settled()
    world.check(first, second)
