"""What the API's benchmark runs on: the default pipeline with a table of so many events, a broker, an API that may do all."""
import hashlib
import json
import random
import uuid

from lib import default_pipeline
from lib.api import Api
from lib.ingestor import Ingestor
from lib.wait import wait_for

FIRST = "2025-01-01T00:00:00Z"  # the time of the first event; they are a second apart
PUBLISHED = 10_000  # events that go the whole way, so that their status can be asked for
LINES = 1000  # events of an NDJSON body

ROWS = """
    INSERT INTO events (id, type, source, site, time, value, unit, topic, partition, "offset")
    SELECT md5(i::text)::uuid, (ARRAY['temperature', 'humidity', 'pressure', 'wind', 'rain'])[i %% 5 + 1], 'sensor-' || i %% 1000,
           'site-' || i %% 50, timestamptz %s + i * interval '1 s', i %% 1000 / 8.0, '°C', 'bench', i %% 6, i / 6
    FROM generate_series(0, %s - 1) AS i
"""
INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'events'::regclass AND NOT indisprimary
"""


class System:
    def __init__(self, cluster, broker, events):
        self.cluster, self.broker, self.events = cluster, broker, events
        self.db = cluster.create_database("bench_api")
        self.api = None

    def fill(self):
        """The table; and events that are published and processed. The ingestor is stopped then: what the API does is measured."""
        default_pipeline.deploy(self.db)
        indexes = self.db.run(INDEXES)  # made when the rows are there: a third of the time
        for name, _ in indexes:
            self.db.run(f"DROP INDEX {name}")
        self.db.run(ROWS, (FIRST, self.events))
        for _, definition in indexes:
            self.db.run(definition)
        self.broker.create_topic("events", 6)
        ingestor = Ingestor(self.db.dsn("millrace_ingestor"), self.broker.address).start().wait_ready()
        api = self.start_api()
        for _ in range(PUBLISHED // LINES):
            answer = api.request("POST", "/events", {"Content-Type": "application/x-ndjson"}, self.lines())
            assert answer.status == 202, answer
        wait_for(lambda: self.db.value("SELECT coalesce(sum(events), 0) FROM millrace.stats") >= PUBLISHED, "what was published is processed", 120)
        self.places = [f"{topic}:{partition}:{offset}" for topic, partition, offset in
                       self.db.run("SELECT topic, partition, \"offset\" FROM events WHERE topic = 'events'")]
        api.stop()
        ingestor.stop()
        self.db.run("VACUUM ANALYZE events")
        self.db.run("CHECKPOINT")

    def start_api(self, *options):
        """Over TCP, as the peer's driver connects."""
        self.api = Api(self._dsn("millrace_api"), "--operate-dsn", self._dsn("events_owner"), "--anonymous", "read,publish,operate",
                       "--brokers", self.broker.address, *options).start()
        return self.api

    def _dsn(self, user):
        return f"host=127.0.0.1 port={self.cluster.tcp_port} dbname={self.db.name} user={user}"

    # -- what is asked for

    def ids(self, count):
        """Of events that are there, in no order."""
        chosen = random.Random(1)
        return [str(uuid.UUID(hashlib.md5(str(chosen.randrange(self.events)).encode()).hexdigest())) for _ in range(count)]

    def times(self, count):
        """Moments between the events, behind the first 1,000."""
        return [moment for (moment,) in self.db.run(
            "SELECT to_char(timestamptz %s + (1000 + i * 7919::bigint %% greatest(%s - 1000, 1)) * interval '1 s', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
            " FROM generate_series(1, %s) AS i", (FIRST, self.events, count))]

    @staticmethod
    def lines():
        return "".join(json.dumps({"type": "Temperature", "source": f"sensor-{i}", "data": f"{i % 40}C"}) + "\n" for i in range(LINES)).encode()
