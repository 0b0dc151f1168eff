"""The system under load: one that runs already, or one of our own, as the benchmark makes it."""
import contextlib

import psycopg2

from lib.api import Api
from lib.cluster import bin_dir
from lib.ingestor import Ingestor
from lib.process import children
from lib.world import ensure_roles
import machine
import work

PARTITIONS = 6


class Running:
    """What somebody else started: its processes are not ours to measure or to end."""

    def __init__(self, dsn, brokers, topic, pipeline, api):
        self.dsn, self.address, self.topic, self.pipeline, self.api = dsn, brokers, topic, pipeline, api

    def start(self):
        with self.session() as cursor:
            cursor.execute("SELECT status FROM millrace.pipelines WHERE name = %s", (self.pipeline,))
            row = cursor.fetchone()
            if row is None:
                raise SystemExit(f"loadtest: there is no pipeline {self.pipeline!r}, or the role that connects may not see it")
            if row[0] != "running":
                raise SystemExit(f"loadtest: pipeline {self.pipeline!r} is {row[0]}, expected running")

    @contextlib.contextmanager
    def session(self):
        """A cursor; each statement is a transaction."""
        with contextlib.closing(psycopg2.connect(self.dsn, application_name="millrace-loadtest")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def processes(self):
        """{what: pids}"""
        return {}

    def stop_consumer(self):
        self._verb("pause")

    def start_consumer(self):
        self._verb("resume")

    def _verb(self, verb):
        with self.session() as cursor:
            cursor.execute(f"SELECT millrace.{verb}(%s)", (self.pipeline,))

    def close(self):
        pass


class Own(Running):
    """A broker, a server with default durability, an ingestor and an API, on this machine, for this run alone. The work
    is that of the benchmark (bench/work.py), and an index for the API's order."""

    def __init__(self):
        self.cluster, self.broker = machine.make_cluster("loadtest"), machine.make_broker()
        self.topic, self.pipeline = "readings", "readings"
        self.ingestor = self.server = None

    def start(self):
        self.cluster.init().start()
        ensure_roles(self.cluster)
        ensure_roles(self.cluster, "web")
        self.broker.start()
        self.broker.create_topic(self.topic, PARTITIONS)
        self.db = self.cluster.create_database("loadtest")
        self.dsn, self.address = self.db.dsn("postgres"), self.broker.address
        work.make_table(self.db)
        self.db.run("CREATE INDEX ON readings (ts, id)")
        work.make_pipeline(self.db, self.topic)
        self.db.run("SELECT millrace.grant_api('web'); GRANT SELECT ON readings TO web")
        self.ingestor = Ingestor(self.db.dsn("ingestor"), self.address).start().wait_ready()
        self.server = Api(self.db.dsn("web"), "--events", "readings", "--time-column", "ts").start()
        self.api = f"http://127.0.0.1:{self.server.port}"

    def processes(self):
        server = [self.cluster.process.pid, *children(self.cluster.process.pid)]
        return {"broker": [self.broker.process.pid], "ingestor": [self.ingestor.pid], "PostgreSQL": server,
                "API": [self.server.process.pid]}

    def stop_consumer(self):
        self.ingestor.stop()

    def start_consumer(self):
        self.ingestor.start(wait=False)

    def close(self):
        for process in (self.server, self.ingestor, self.broker, self.cluster):
            try:
                process and process.stop()
            except Exception as e:  # the others still have to go
                print(f"loadtest: {e}")
