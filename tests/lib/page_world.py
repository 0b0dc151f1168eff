"""What a test of the status page has: a pipeline with good events and dead letters, an API that operates, a browser."""
import json

from confluent_kafka import Producer

from .api import Api
from .wait import wait_for
from .world import World, ensure_roles

HOSTILE = '<img src=x onerror="document.title=\'run\'"><script>document.title="run"</script>'
BIG = 9007199254740993123
ESCAPE, TAB, ENTER = "\ue00c", "\ue004", "\ue007"  # as WebDriver names keys


class Page(World):
    """A pipeline with good events and dead letters, one of which holds markup; an API that operates."""

    def __init__(self, cluster, broker):
        super().__init__(cluster, broker, "page")
        ensure_roles(cluster, "web", "operator")
        self.db.run("GRANT app TO operator; SELECT millrace.grant_api('web');"
                    " CREATE TABLE events (id bigint PRIMARY KEY, time timestamptz NOT NULL, note text, price numeric, doc jsonb, topic text, partition int, \"offset\" bigint);"
                    " CREATE INDEX ON events (time, id); CREATE UNIQUE INDEX ON events (topic, partition, \"offset\"); GRANT SELECT ON events TO web")
        self.db.run("INSERT INTO events VALUES (%s, now(), %s, 12345678901234567890.50, %s, 'page', 0, 0)", (BIG, HOSTILE, json.dumps({"n": BIG, "of": [1.5, "7.0"]})))
        self.create_topic(2)
        self.create_pipeline(type_field="type")
        with self.db.session("app") as s:
            s.run("SELECT millrace.create_window('by_minute', %s, event_time => 'ts', size => '1 min', aggregates => 'count(*)')", (self.pipeline_name,))
        self.start_ingestor()
        self.good = dict(id="00000000-0000-4000-8000-000000000001", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")
        self.send(json.dumps(self.good))
        for i in range(3):
            self.send(json.dumps(dict(self.good, value="calm")), key=f"k{i}")
        self.send(HOSTILE, key=HOSTILE)
        self.wait_settled()
        self.api = Api(self.db.dsn("web"), "--operate-dsn", self.db.dsn("operator"), "--anonymous", "read,operate").start()
        wait_for(lambda: self.api.get("/dead-letters/groups").status == 200, "it can operate")
        self.base = f"http://127.0.0.1:{self.api.port}"

    def send(self, *values, key=None, headers=()):
        producer = Producer({"bootstrap.servers": self.broker.address})
        for value in values:
            producer.produce(self.topic, value, key=key, partition=0, headers=list(headers))
        producer.flush(120)

    def letters(self, state):
        return self.db.value("SELECT count(*) FROM millrace.dead_letters WHERE state = %s", (state,))

    def close(self):
        self.api.kill()
        super().close()
