"""Dead letters of a world's pipeline, in the table and in their topic in Kafka."""
from confluent_kafka import Consumer, KafkaError, TopicPartition

from .wait import LIMIT, wait_for


def dlq(world):
    return world.topic + ".dlq"


def read_topic(world, topic, isolation="read_committed"):
    """All messages of a topic up to its end."""
    consumer = Consumer({"bootstrap.servers": world.broker.address, "group.id": "reader", "isolation.level": isolation,
                         "enable.partition.eof": True, "enable.auto.commit": False, "log_level": "0"})
    try:
        left = world.broker.partitions(topic)
        consumer.assign([TopicPartition(topic, p, 0) for p in range(left)])
        messages = []
        while left:
            message = consumer.poll(LIMIT)
            assert message is not None, f"{topic} cannot be read to its end"
            if not message.error():
                messages.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left -= 1
            else:
                raise AssertionError(message.error())
        return messages
    finally:
        consumer.close()


def headers(message):
    return dict(message.headers())


def unpublished(world):
    return world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE published_at IS NULL")


def wait_published(world, timeout=LIMIT):
    try:
        wait_for(lambda: unpublished(world) == 0, "all dead letters are marked", timeout, every=0.2)
    except AssertionError as e:
        raise AssertionError(f"{e}; {world.db.run('SELECT * FROM millrace.dlqs')} {world.describe()}")


def check_each_once(world):
    """Topic and table have the same letters, each once, and the marks say where."""
    letters = world.db.run("""SELECT q.origin || '/' || p.name || '/' || l.topic || '/' || l.partition || '/' || l."offset" || '/' || l.replay_count,
                                     l.dlq_partition, l.dlq_offset, l.payload, l.key
                              FROM millrace.dead_letter AS l JOIN millrace.pipeline AS p ON p.id = l.pipeline_id
                              JOIN millrace.dlq AS q ON q.pipeline_id = p.id""")
    found = {}
    for message in read_topic(world, dlq(world)):
        letter = headers(message)["millrace-id"].decode()
        assert letter not in found, f"{letter} is there twice"
        found[letter] = (message.partition(), message.offset(), message.value(), message.key())
    expected = {i: (p, o, payload and bytes(payload), key and bytes(key)) for i, p, o, payload, key in letters}
    assert len(found) == len(expected), f"{len(found)} in the topic, {len(expected)} in the table"
    assert found == expected
    return len(found)
