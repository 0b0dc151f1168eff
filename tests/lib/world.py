"""What one end-to-end test has: a database with the extension and a target, a topic, ingestors."""
import os
import re
import signal

from . import events as ev
from . import paths
from .cluster import ConnectionLost, Database
from .ingestor import Ingestor
from .process import Process
from .wait import LIMIT, wait_for

FIELDS = """id uuid NOT NULL, type text NOT NULL, source text NOT NULL, ts timestamptz NOT NULL,
            value double precision NOT NULL, unit text NOT NULL"""

TRANSFORM = """
    SELECT event.id, event.type, event.source, site.name AS site, event.ts,
           CASE WHEN event.type = 'temperature' THEN event.value * 9 / 5 + 32 ELSE event.value END AS value,
           CASE WHEN event.type = 'temperature' THEN 'F' ELSE event.unit END AS unit,
           event.partition AS kafka_partition, event."offset" AS kafka_offset
    FROM event LEFT JOIN site ON site.source = event.source
    WHERE event.type <> 'heartbeat'"""

# No key: an event that is written twice is then two rows, not an error that hides it.
SCHEMA = """
    CREATE TABLE reading (
        id uuid NOT NULL, type text NOT NULL, source text NOT NULL, site text NOT NULL, ts timestamptz NOT NULL,
        value double precision NOT NULL CHECK (value < 1000000), unit text NOT NULL,
        kafka_partition int NOT NULL, kafka_offset bigint NOT NULL, ins_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE site (source text PRIMARY KEY, name text NOT NULL);
    INSERT INTO site SELECT format('sensor-%s', to_char(i, 'FM0000')), format('site-%s', i * 7919 % 50)
        FROM generate_series(1, 1000) AS i;
    ANALYZE site;
    ALTER TABLE reading OWNER TO app;
    ALTER TABLE site OWNER TO app;
"""


class World:
    def __init__(self, cluster, broker, name):
        self.cluster, self.broker = cluster, broker
        self.name = re.sub(r"\W", "_", name)[:50]
        self.topic = self.pipeline_name = self.name
        self.ingestors, self.processes, self.databases = [], [], []
        self.log_start = cluster.log_position()
        self.db = self.create_database(self.name)

    def create_database(self, name, schema=True):
        db = self.cluster.create_database(name)
        self.databases.append(db)
        if schema:
            self.prepare(db)
        return db

    @staticmethod
    def prepare(db):
        db.run("CREATE EXTENSION millrace")
        db.run("GRANT CREATE ON SCHEMA public TO app")
        db.run(SCHEMA)
        World.grant(db)

    @staticmethod
    def grant(db):
        db.run("SELECT millrace.grant_ingestor('ingestor'), millrace.grant_topics('app', read => '{*}', dlq => '{*}', output => '{*}')")

    # -- making things

    def create_topic(self, partitions=6, **config):
        self.broker.create_topic(self.topic, partitions, **config)

    def create_pipeline(self, db=None, user="app", name=None, **arguments):
        """Made by its owner; the standard pipeline unless an argument differs."""
        defaults = dict(pipeline=name or self.pipeline_name, topic=self.topic, fields=FIELDS, transform=TRANSFORM, target="reading")
        arguments = {k: v for k, v in dict(defaults, **arguments).items() if v is not None}
        call = ", ".join(f"{key} => %({key})s" for key in arguments)
        with (db or self.db).session(user) as s:
            return s.value(f"SELECT millrace.create_pipeline({call})", arguments)

    def start_ingestor(self, *options, db=None, dsn=None, wait=True, **properties):
        ingestor = Ingestor(dsn or (db or self.db).dsn("ingestor"), self.broker.address, *options, **properties)
        self.ingestors.append(ingestor)
        return ingestor.start(wait)

    def start_generator(self, events, *more):
        log = os.path.join(os.path.dirname(self.cluster.log), f"generate-{self.name}.log")
        process = Process(events.command(self.broker, self.topic, *more), log)
        self.processes.append(process)
        return process

    # -- looking

    def positions(self, db=None, pipeline=None):
        """{partition: next offset}"""
        rows = (db or self.db).run("SELECT partition, next_offset FROM millrace.partitions WHERE pipeline = %s",
                                   (pipeline or self.pipeline_name,))
        return dict(rows)

    def partition_states(self, pipeline=None):
        return dict(self.db.run("SELECT partition, state FROM millrace.partitions WHERE pipeline = %s",
                                (pipeline or self.pipeline_name,)))

    def lag(self, db=None, pipeline=None, topic=None):
        """Events (or offsets) not settled yet; None while nothing is known."""
        try:
            positions = self.positions(db, pipeline)
        except ConnectionLost:
            return None
        marks = self.broker.watermarks(topic or self.topic)
        if marks is None or len(positions) != len(marks):
            return None
        return sum(high - positions[p] for p, (low, high) in enumerate(marks))

    def wait_settled(self, timeout=LIMIT, db=None, pipeline=None, topic=None):
        try:
            wait_for(lambda: self.lag(db, pipeline, topic) == 0, "all settled", timeout, every=0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.describe(db)}")

    def counters(self, db=None, pipeline=None):
        """The newest cumulative counters, summed over the partitions."""
        names = ("events", "written", "filtered", "superseded", "skipped", "dead", "rows")
        row = (db or self.db).run(f"SELECT {', '.join(names)} FROM millrace.stats WHERE pipeline = %s",
                                  (pipeline or self.pipeline_name,))[0]
        return dict(zip(names, row))

    def dead_letters(self, db=None):
        return (db or self.db).run("SELECT payload, key, stage, sqlstate, message, partition, \"offset\","
                                   " constraint_name, column_name FROM millrace.dead_letter ORDER BY id")

    def describe(self, db=None):
        """For the message of a failure."""
        db = db or self.db
        parts = []
        for what in ("pipelines", "partitions", "workers", "lanes"):
            columns = {"pipelines": "name, status, reason", "partitions": "partition, state, next_offset, error"}.get(what, "*")
            sql = f"SELECT {columns} FROM millrace.{what}"
            try:
                parts.append(f"{what}: {db.run(sql)}")
            except Exception as e:
                parts.append(f"{what}: {e}")
        return "; ".join(parts)

    # -- proving

    def check(self, *batches, db=None, table="reading", tombstones="dead"):
        """Target ∪ filtered ∪ dead letters is exactly what was produced: nothing lost, nothing twice.
        batches: Events or truths."""
        db = db or self.db
        truth = ev.merge(*(b.truth() if isinstance(b, ev.Events) else b for b in batches))
        ev.compare("rows", truth["row"], [r[0] for r in db.run(f"SELECT id::text FROM {table}")])
        dead = set(truth["dead"])
        skipped = 0
        if tombstones == "dead":
            dead |= truth["tombstone"]
        else:
            skipped = len(truth["tombstone"])
        ev.compare("dead letters", dead, [ev.event_id(payload, key) for payload, key, *_ in self.dead_letters(db)])
        counters = self.counters(db)
        expected = {"written": len(truth["row"]), "filtered": len(truth["filtered"]), "dead": len(dead),
                    "skipped": skipped}
        found = {name: counters[name] for name in expected}
        assert found == expected, f"counters {found}, expected {expected}"
        assert counters["events"] == sum(expected.values()), f"events {counters}"

    # -- the end

    def close(self):
        for process in (*self.processes, *(i.process for i in self.ingestors)):
            if process is not None and process.alive():
                process.signal(signal.SIGCONT)
                process.kill()
        if not self.cluster.process or not self.cluster.process.alive():
            self.cluster.start()
        if not self.broker.process.alive():
            self.broker.start()
        for db in self.databases:
            if paths.KEEP:
                db.close()
            else:
                db.drop()

    def report(self):
        """The ends of the logs, for a test that failed."""
        parts = [i.process.tail(40) for i in self.ingestors if i.process]
        server = self.cluster.log_text(self.log_start).splitlines()
        parts.append("server:\n" + "\n".join(server[-60:]))
        return "\n".join(parts)


def ensure_roles(cluster, *roles):
    """Roles that may log in: the owner of pipelines and the ingestor's, unless others are named."""
    db = Database(cluster, "postgres")
    for role in roles or ("app", "ingestor"):
        if not db.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,)):
            db.run(f"CREATE ROLE {role} LOGIN")
    db.close()
