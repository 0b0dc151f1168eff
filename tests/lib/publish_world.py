"""What a test of POST /events has: the default pipeline of migrations/events, its topic, an ingestor, an API that publishes."""
from confluent_kafka import Consumer, TopicPartition

from .api import Api
from .default_pipeline import deploy
from .ingestor import Ingestor
from .wait import wait_for


def record_at(broker, place):
    """The message that an answer to POST /events names."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "look"})
    try:
        consumer.assign([TopicPartition(place["topic"], place["partition"], int(place["offset"]))])
        return wait_for(lambda: consumer.poll(1), "the record")
    finally:
        consumer.close()


class Whole:
    """Database with the migrations, broker with the topic, ingestor, API."""

    def __init__(self, cluster, broker, name="api_publish", options=("--publish-timeout", "10s")):
        self.broker = broker
        self.options = options  # of each API
        self.db = cluster.create_database(name)
        deploy(self.db)
        broker.create_topic("events", 3)
        self.ingestor = Ingestor(self.db.dsn("millrace_ingestor"), broker.address).start()
        self.api = self.start_api()

    def start_api(self, *options):
        """Another one beside the first."""
        return Api(self.db.dsn("millrace_api"), "--brokers", self.broker.address, *self.options, *options).start()

    def post(self, query="", body=None, api=None, **headers):
        return (api or self.api).request("POST", "/events" + query, {k.replace("_", "-"): v for k, v in headers.items()}, body)

    def row(self, answer):
        """The row of what a POST has published, once it is processed."""
        assert answer.status == 202, answer
        path = answer.headers["location"]
        assert path == "/events/" + answer.json()["id"]
        wait_for(lambda: self.api.get(path).status == 200, path + " is processed")
        return self.api.get(path).json()

    def messages(self):
        """How many the topic has."""
        marks = wait_for(lambda: self.broker.watermarks("events"), "the broker leads the topic")
        return sum(high for _, high in marks)

    def close(self):
        self.api.kill()
        self.ingestor.kill()
        self.db.drop()
        self.broker.delete_topic("events")
