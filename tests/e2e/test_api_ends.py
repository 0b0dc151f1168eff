"""GET /events/{id}/status, of events that are in Kafka while its partitions change, or have a transaction open."""
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from lib.publish_world import Whole
from lib.wait import LIMIT, wait_for


@pytest.fixture
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_ends")
    yield whole
    whole.close()


@pytest.fixture
def api(whole):
    api = whole.start_api("--operate-dsn", whole.db.dsn("events_owner"), "--anonymous", "read,publish,operate")
    yield api
    api.kill()


def status(api, partition, offset):
    return api.get(f"/events/events:{partition}:{offset}/status").status


def test_an_event_behind_an_open_transaction(whole, api):
    """It is acknowledged, and so it is there, although consumers of committed messages do not see it yet."""
    other = Producer({"bootstrap.servers": whole.broker.address, "transactional.id": "api-ends"})
    other.init_transactions(LIMIT)
    other.begin_transaction()
    try:
        for partition in range(3):
            other.produce("events", b"x", partition=partition)
        other.flush(LIMIT)
        place = whole.post("?eventType=acked&eventData=1", api=api).json()
        assert status(api, place["partition"], place["offset"]) == 200
        assert status(api, place["partition"], int(place["offset"]) + 1) == 404
    finally:
        other.abort_transaction(LIMIT)
    assert "isolation.level" not in api.log_text(), "librdkafka says of it that it does not count for a producer"


def test_an_event_of_a_new_partition(whole, api):
    """The process has not heard of the partition: it is not known whether the event is there, and soon it is."""
    place = whole.post("?eventType=acked&eventData=1", api=api).json()
    assert status(api, place["partition"], place["offset"]) == 200
    admin = AdminClient({"bootstrap.servers": whole.broker.address})
    admin.create_partitions([NewPartitions("events", 6)])["events"].result(LIMIT)
    other = Producer({"bootstrap.servers": whole.broker.address})
    wait_for(lambda: len(other.list_topics("events", LIMIT).topics["events"].partitions) == 6, "the broker has the partitions")
    other.produce("events", b'{"specversion":"1.0","id":"n1","source":"/x","type":"t"}', partition=5)
    assert other.flush(LIMIT) == 0
    answers = []

    def is_known():
        answers.append(status(api, 5, 0))
        return answers[-1] == 200
    wait_for(is_known, "the event is known")
    assert set(answers) <= {200, 503}, answers
    assert status(api, 6, 0) == 404
