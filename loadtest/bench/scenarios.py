"""The runs of the benchmark. Each starts from a fresh database; topics are filled before the clock runs."""
import os
import signal
import subprocess
import time

import work
from lib import paths
from lib.cluster import bin_dir
from lib.events import Events
from lib.ingestor import Ingestor
from lib.process import Process, cpu_seconds, free_port, peak_rss_mb
from lib.spread import PIPELINE, TABLE, Spread
from lib.wait import wait_for
from sampler import Sampler

SEED = 42

# A run of the whole pipeline: its title, and the arguments of Bench.pipeline()
PIPELINES = {
    "end_to_end": ("end to end", {"broken": 0.1}),
    "broken": ("1 % broken", {"check": True, "broken": 0.5, "db_refused": 0.5}),
    "ordered": ("1 % broken, order by key", {"check": True, "ordering": "key", "broken": 0.5, "db_refused": 0.5}),
    "coordinate": ("key (partition, offset)", {"key": "coordinate", "broken": 0.1}),
    "windows": ("two windows of 1 minute", {"windows": 2, "broken": 0.1}),
}


class Topics:
    """Topics of 6 partitions with n events each. A topic is filled once, whoever reads it."""

    def __init__(self, broker, n):
        self.broker, self.n = broker, n
        self._filled = set()

    def fill(self, **options):
        """The name of the topic with events of these options."""
        topic = "bench_" + "_".join(f"{k}{v}" for k, v in sorted(options.items())).replace(".", "_")
        if topic not in self._filled:
            self._filled.add(topic)
            self.broker.create_topic(topic, 6)
            Events(self.n, seed=SEED, **options).send(self.broker, topic)
        return topic


class Bench:
    def __init__(self, cluster, broker, topics, latency_seconds=0, tree=paths.ROOT):
        """tree: the work tree whose ingestor is run; the cluster has that of the extension."""
        self.cluster, self.broker, self.topics, self.tree = cluster, broker, topics, tree
        self.n, self.latency_seconds = topics.n, latency_seconds

    def ingestor(self, db):
        return Ingestor(db.dsn("ingestor"), self.broker.address, tree=self.tree)

    def quiesce(self, db):
        """What the last run left to do is not this one's cost."""
        db.run("CHECKPOINT")
        time.sleep(3)

    # -- the pipeline

    def pipeline(self, name, key="uuid", check=False, ordering="none", windows=0, **options):
        topic = self.topics.fill(**options)
        db = self.cluster.create_database(name)
        work.make_table(db, key, check)
        work.make_pipeline(db, topic, key, ordering=ordering)
        work.make_windows(db, windows)
        self.quiesce(db)
        xids = db.value("SELECT pg_current_xact_id()::text::bigint")
        ingestor = self.ingestor(db).start(wait=False)
        sampler = Sampler(self.cluster, db, self.broker.process.pid, ingestor.pid)
        sampler.start()
        try:
            with db.session() as session:
                wait_for(lambda: work.settled(session) >= self.n or not ingestor.alive(), "all settled", 300, every=0.2)
                xids = session.value("SELECT pg_current_xact_id()::text::bigint") - xids
            assert ingestor.alive(), ingestor.process.tail()
            time.sleep(0.3)
        finally:
            sampler.stop()
            ingestor.stop()
        result = self.rates(db, sampler)
        result["xids_per_event"] = xids / self.n
        return db, result

    def rates(self, db, sampler):
        rows, first, last, (t10, t20, t90) = work.row_times(db)
        return {
            "rows": rows,
            "events_per_s": self.n / (last - first),
            "events_per_s_middle": 0.7 * self.n / (t90 - t20),
            "cpu": sampler.cpu_us_per_event(first, last, self.n),
            "rss_mb": sampler.rss_mb,
            "last_tenth_ratio": (t10 - first) / (last - t90),
        }

    def all_broken(self, events=200000):
        """Every event fails, half in decode, half in the database alone: events/s from the first dead letter to the last."""
        topic = "bench_all_broken"
        self.broker.create_topic(topic, 6)
        Events(events, seed=SEED, broken=50, db_refused=50).send(self.broker, topic)
        db = self.cluster.create_database("all_broken")
        work.make_table(db, check=True)
        work.make_pipeline(db, topic)
        self.quiesce(db)
        ingestor = self.ingestor(db).start()
        try:
            with db.session() as session:
                wait_for(lambda: work.settled(session) >= events, "all settled", 300, every=0.2)
        finally:
            ingestor.stop()
        dead, seconds = db.run("SELECT count(*), extract(epoch FROM max(failed_at) - min(failed_at))::float8"
                               " FROM millrace.dead_letter")[0]
        assert dead == events, f"{dead} dead letters"
        db.drop()
        return dead / seconds

    # -- PostgreSQL alone

    def floor(self, source, sessions):
        """COPY of finished rows into the same table by so many sessions: rows/s."""
        files = self.export(source, sessions)
        db = self.cluster.create_database(f"floor{sessions}")
        work.make_table(db)
        self.quiesce(db)
        psql = os.path.join(bin_dir(), "psql")
        begin = time.monotonic()
        copies = [subprocess.Popen([psql, "-X", "-q", "-h", self.cluster.dir, "-p", self.cluster.port,
                                    "-U", "postgres", "-d", db.name, "-c",
                                    f"\\copy readings ({work.COLUMNS}) FROM '{file}'"]) for file in files]
        assert all(copy.wait() == 0 for copy in copies)
        seconds = time.monotonic() - begin
        rows = db.value("SELECT count(*) FROM readings")
        db.drop()
        for file in files:
            os.unlink(file)
        return rows / seconds

    def export(self, source, parts):
        """Each part has every parts-th row, as partitions of a topic would."""
        files = []
        with source.session() as session:
            for part in range(parts):
                file = os.path.join(paths.run_dir(), f"floor-{part}.copy")
                with open(file, "wb") as f, session.connection.cursor() as cursor:
                    cursor.copy_expert(f"COPY (SELECT {work.COLUMNS} FROM (SELECT *, row_number() OVER () AS n FROM readings)"
                                       f" AS r WHERE n % {parts} = {part}) TO STDOUT", f)
                files.append(file)
        return files

    # -- latency

    def latency(self, rate=10000):
        """Produced to visible, at a steady rate. Visible is the commit's time stamp; produced is the producer's time
        stamp of the message, whole milliseconds rounded down, so that half a millisecond too much is measured."""
        self.cluster.configure({"track_commit_timestamp": "on"})
        self.cluster.restart()
        try:
            self.broker.create_topic("latency", 6)
            db = self.cluster.create_database("latency")
            work.make_table(db, kafka_ts=True)
            work.make_pipeline(db, "latency", kafka_ts=True)
            self.quiesce(db)
            ingestor = self.ingestor(db).start().wait_ready()
            events = Events(rate * self.latency_seconds, seed=SEED, broken=0.1)
            events.send(self.broker, "latency", "--rate", str(rate))
            with db.session() as session:
                wait_for(lambda: work.settled(session) >= events.n, "all settled", 60)
            rss = peak_rss_mb(ingestor.pid)
            ingestor.stop()
            # the first third warms everything up, the broker's just-in-time compiler above all
            p50, p99, worst = db.run("""
                SELECT (percentile_disc(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY ms))[1:3] FROM (
                    SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - kafka_ts) * 1000 AS ms FROM readings
                    WHERE kafka_ts > (SELECT min(kafka_ts) FROM readings) + interval '1 s' * %s) AS l""",
                (self.latency_seconds / 3,))[0][0]
            db.drop()
            return {"p50": float(p50), "p99": float(p99), "max": float(worst), "rss_mb": rss}
        finally:
            self.cluster.configure({"track_commit_timestamp": "off"})
            self.cluster.restart()

    # -- many partitions

    def batches(self):
        """{partitions: CPU ms of the worker for a batch of 20,000 events}, with as little work for each event as can be."""
        return {n: self._spread(n, lambda s: s.cost_of_a_batch(40)) * 1e3 for n in (6, 3000)}

    def emptying(self, rounds=100):
        """{shared_buffers: CPU ms of worker and writer when a segment is emptied}"""
        out = {}
        for size in ("128MB", "2GB"):
            self.cluster.configure({"shared_buffers": f"'{size}'"})
            self.cluster.restart()
            out[size] = self._spread(1, lambda s: self._turns(s, rounds)) * 1e3
        self.cluster.configure({"shared_buffers": self.cluster.settings["shared_buffers"]})
        self.cluster.restart()
        return out

    def _spread(self, partitions, measure):
        db = self.cluster.create_database(f"spread{partitions}")
        db.run("CREATE EXTENSION millrace")
        db.run(TABLE)
        db.run("SELECT millrace.grant_ingestor('ingestor'), millrace.grant_topics('app', read => '{spread}')")
        with db.session("app") as session:
            call = ", ".join(f"{name} => %({name})s" for name in PIPELINE)
            session.run(f"SELECT millrace.create_pipeline('spread', topic => 'spread', {call})", PIPELINE)
        self.quiesce(db)
        spread = Spread(db, "spread", partitions)
        try:
            return measure(spread)
        finally:
            spread.close()
            db.drop()

    @staticmethod
    def _turns(spread, rounds):
        def cost(turn):
            before = spread.worker_cpu() + cpu_seconds(spread.lane.session.pid)
            for _ in range(rounds):
                spread.lane.send(0, [b'{"n":1}'])
                position = spread.lane.positions[0]
                wait_for(lambda: spread.db.value("SELECT next_offset FROM millrace.partitions") == position, "settled", 10, every=0.002)
                if turn:
                    spread.lane.next_segment()
            return (spread.worker_cpu() + cpu_seconds(spread.lane.session.pid) - before) / rounds
        cost(True)
        return max(cost(True) - cost(False), 0)

    # -- the peer

    def flink(self, kit):
        """The kit's Flink job on the same broker, topic and server; its DLQ topic is the broker's work too."""
        topic = self.topics.fill(broken=0.1)
        self.broker.create_topic("dlq_flink", 1)
        db = self.cluster.create_database("flink")
        work.make_table(db)
        self.quiesce(db)
        sites = os.path.join(paths.run_dir(), "sites.csv")
        with open(sites, "w") as f:
            f.writelines(f"{source},{name}\n" for source, name in work.SITES)
        environment = dict(os.environ, TOPIC=topic, DLQ="dlq_flink", BROKERS=self.broker.address, GROUP="flink",
                           DB=f"jdbc:postgresql://127.0.0.1:{self.cluster.tcp_port}/{db.name}", SITES=sites,
                           REST=str(free_port()), CKPT=os.path.join(paths.run_dir(), "checkpoints"),
                           JOPTS="-XX:+UseParallelGC")
        truth = len(Events(self.n, seed=SEED, broken=0.1).truth()["row"])
        job = Process([os.path.join(kit, "flink/run.sh")], os.path.join(paths.run_dir(), "flink.log"), env=environment)
        sampler = Sampler(self.cluster, db, self.broker.process.pid, job.pid)
        sampler.start()
        try:
            with db.session() as session:
                wait_for(lambda: not job.alive() or session.value("SELECT pg_relation_size('readings')") > truth * 100
                         and session.value("SELECT count(*) FROM readings") >= truth, "all rows", 300, every=0.25)
            assert job.alive(), job.tail()
        finally:
            sampler.stop()
            job.signal(signal.SIGTERM)
            job.kill()
        return self.rates(db, sampler)
