"""The runs of the benchmark. Each starts from a fresh database; topics are filled before the clock runs."""
import os
import statistics
import subprocess
import time

import beside
import copy_rows
import latency
import work
from lib import paths, rest
from lib.cluster import Cluster
from lib.events import Events
from lib.ingestor import Ingestor
from lib.process import cpu_seconds, peak_rss_mb, thread_cpu_seconds
from lib.spread import PIPELINE, TABLE, Spread
from lib.wait import wait_for
from lib.world import World, ensure_roles
from sampler import Progress, Sampler

SEED = 42
PAYLOAD_BYTES = 500_000_000  # of a run with large payloads

# A run of the whole pipeline: its title, and the arguments of Bench.pipeline()
PIPELINES = {
    "end_to_end": ("end to end", {"broken": 0.1}),
    "broken": ("1 % broken", {"check": True, "broken": 0.5, "db_refused": 0.5}),
    "ordered": ("1 % broken, order by key", {"check": True, "ordering": "key", "broken": 0.5, "db_refused": 0.5}),
    "coordinate": ("key (partition, offset)", {"key": "coordinate", "broken": 0.1}),
    "windows": ("two windows of 1 minute", {"windows": 2, "broken": 0.1}),
    "in_order": ("order by key", {"ordering": "key", "broken": 0.1}),
    "upsert": ("upsert of 1,048,576 keys", {"key": "million", "broken": 0.1}),
    "upsert_keyed": ("the same, it is the message key", {"key": "million", "broken": 0.1, "key_digits": 5}),
    "upsert_indexed": ("upsert, index (source, ts)", {"key": "million", "recomputed": True, "broken": 0.1}),
    "windows_recompute": ("the same, recomputed window", {"key": "million", "windows": 1, "recomputed": True, "broken": 0.1}),
    "snapshot": ("beside a held snapshot", {"beside_it": "snapshot", "broken": 0.1}),
    "dump": ("beside pg_dump", {"beside_it": "dump", "broken": 0.1}),
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
        """What the last run left to do is not this one's cost, neither the server's nor the kernel's: the broker writes its log
        through the kernel, which does it half a minute later."""
        db.run("CHECKPOINT")
        os.sync()
        time.sleep(3)

    # -- the pipeline

    def pipeline(self, name, key="uuid", check=False, ordering="none", windows=0, recomputed=False, beside_it="nothing", **options):
        topic, pad = self.topics.fill(**options), "pad" in options
        db = self.cluster.create_database(name)
        work.make_table(db, key, check, pad=pad)
        work.make_pipeline(db, topic, key, ordering=ordering, pad=pad)
        work.make_windows(db, windows, recomputed)
        with beside.WHAT[beside_it](db):
            self.quiesce(db)
            xids = db.value("SELECT pg_current_xact_id()::text::bigint")
            sampler, progress = self.follow(db)
            xids = db.value("SELECT pg_current_xact_id()::text::bigint") - xids
        result = self.rates(sampler, *(progress.times() if key == "million" else work.row_times(db)))
        result["xids_per_event"] = xids / self.n
        return db, result

    def measure(self, name):
        """The result of that run of PIPELINES, whose database is dropped."""
        db, result = self.pipeline(name, **PIPELINES[name][1])
        db.drop()
        return result

    def follow(self, db):
        """Runs an ingestor until all events are settled."""
        ingestor = self.ingestor(db).start(wait=False)
        sampler, progress = Sampler(self.cluster, db, self.broker.process.pid, ingestor.pid), Progress()
        sampler.start()
        try:
            with db.session() as session:
                wait_for(lambda: progress.add(work.settled(session)) >= self.n or not ingestor.alive(), "all settled",
                         300 + self.n / 10_000, every=0.2)
            assert ingestor.alive(), ingestor.process.tail()
            time.sleep(0.3)
        finally:
            sampler.stop()
            ingestor.stop()
        return sampler, progress

    def rates(self, sampler, rows, first, last, shares):
        t10, t20, t90 = shares
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

    # -- large payloads

    def payload(self, size):
        """Payloads of so many bytes on average, stored as they are: MB/s of ours, and of COPY of the same rows by two sessions."""
        bench = Bench(self.cluster, self.broker, Topics(self.broker, PAYLOAD_BYTES // size), tree=self.tree)
        db, result = bench.pipeline(f"payload{size}", pad=2 * size)
        files = copy_rows.export(db, 2, pad=True)
        db.drop()
        db, rate = copy_rows.load(self, files, pad=True)
        db.drop()
        return {"mb_per_s": result["events_per_s"] * size / 1e6, "copy_mb_per_s": rate * size / 1e6}

    # -- latency

    def latency(self, rate):
        """Produced to visible, at a steady rate, in ms. Visible is when another session has seen that it is; produced is the
        producer's time stamp of the message, whole milliseconds rounded down, so that half a millisecond too much is measured.
        "plain", "commit" and "late" are the floors of the same time (latency.py)."""
        topic = f"latency{rate}"
        self.broker.create_topic(topic, 6)
        db = self.cluster.create_database(topic)
        work.make_table(db, kafka_ts=True)
        work.make_pipeline(db, topic, kafka_ts=True)
        self.quiesce(db)
        ingestor = self.ingestor(db).start().wait_ready()
        events = Events(rate * self.latency_seconds, seed=SEED, broken=0.1)
        # at a high rate a second consumer of all would take some of the time it is to measure
        with latency.beside(db, self.broker, topic, range(6 if rate <= 1000 else 1)) as (sight, floor, plain):
            events.send(self.broker, topic, "--rate", str(rate))
            with db.session() as session:
                wait_for(lambda: work.settled(session) >= events.n, "all settled", 60)
        rss = peak_rss_mb(ingestor.pid)
        ingestor.stop()
        # the first third warms everything up, the broker's just-in-time compiler above all
        since = db.value("SELECT extract(epoch FROM min(kafka_ts))::float8 FROM readings") + self.latency_seconds / 3
        rows = db.run("SELECT xmin::text::bigint, extract(epoch FROM kafka_ts)::float8 FROM readings"
                      " WHERE kafka_ts > to_timestamp(%s)", (since,))
        db.drop()
        seen_at = sight.seen_at(xid for xid, _ in rows)
        floors = {"plain": plain.messages, "commit": floor.commits, "late": floor.wakes}
        return dict(latency.percentiles([(seen_at[xid] - produced_at) * 1e3 for xid, produced_at in rows]), rss_mb=rss,
                    **{name: latency.percentiles([ms for at, ms in measured if at > since]) for name, measured in floors.items()})

    # -- many partitions

    def batches(self):
        """{partitions: CPU ms of the worker for a batch of 20,000 events}, with as little work for each event as can be."""
        return {n: self._spread(n, lambda s: s.cost_of_a_batch(40)) * 1e3 for n in (6, 3000)}

    # -- rest

    def at_rest(self, windows=5, window_s=10):
        """Shares of a core that the server and an ingestor use with 40 pipelines and no event: of both, and of the ingestor alone;
        the median of some windows."""
        cluster = Cluster("rest", settings=rest.SETTINGS, tree=self.tree).init().start()
        ensure_roles(cluster)
        world = World(cluster, self.broker, "rest")
        try:
            ingestor, processes = rest.begin(world)
            time.sleep(2 * window_s)  # what they do to begin with
            used = [rest.used(processes, window_s) for _ in range(windows)]
            return {"all": statistics.median(sum(u.values()) for u in used) / window_s,
                    "ingestor": statistics.median(u[ingestor.pid] for u in used) / window_s}
        finally:
            world.close()
            cluster.stop("immediate")

    # -- statistics

    def keeping(self, rounds=9, batches=10):
        """What statistics cost the worker of a batch of 20,000 events, with as little work for each event as can be: CPU ms without
        those in shared memory, with them, and with counters by type too; and both as shares of the first. In turns, and the shares
        within a turn, so that all meet the same machine; medians."""
        kept = {"without": ("off", "''"), "live": ("on", "''"), "by_type": ("on", "'type'")}
        payloads = [b'{"n":1,"type":"t%d"}' % i for i in range(10)]

        def measure(spread):
            costs = {name: [] for name in kept}
            for _ in range(rounds):
                for name, (live, type_field) in kept.items():
                    spread.db.run(f"ALTER SYSTEM SET millrace.live_statistics = {live}")
                    spread.db.run("SELECT pg_reload_conf()")
                    with spread.db.session("app") as session:
                        session.run(f"SELECT millrace.alter_pipeline('spread', type_field => {type_field})")
                    costs[name].append(spread.cost_of_a_batch(batches) * 1e3)
            spread.db.run("ALTER SYSTEM RESET millrace.live_statistics")
            spread.db.run("SELECT pg_reload_conf()")
            return ({name: statistics.median(ms) for name, ms in costs.items()},
                    {name: statistics.median(a / b for a, b in zip(costs[name], costs["without"])) for name in ("live", "by_type")})
        return self._spread(6, measure, payloads, fields="n int NOT NULL, type text")

    def looking(self, rate=100_000, seconds=15):
        """ms of a look at a view while events flow at that rate into the table of the benchmark: median, the longest, the median of
        its processor time, which other work on the machine does not lengthen, and of the first look of a session, which makes
        its plans. "none" is a look at nothing: what the machine takes to answer at all."""
        looks = {"none": "SELECT 1", "stats": "SELECT * FROM millrace.stats", "metric": "SELECT * FROM millrace.metric"}
        took = {name: {"kept": [], "cpu": [], "first": []} for name in looks}

        def look(session, name):
            began, used = time.monotonic(), thread_cpu_seconds(session.pid)
            session.run(looks[name])
            return (time.monotonic() - began) * 1e3, (thread_cpu_seconds(session.pid) - used) * 1e3

        def round_of_looks(db, session):
            for name, ms in took.items():
                kept, cpu = look(session, name)
                ms["kept"].append(kept)
                ms["cpu"].append(cpu)
                with db.session() as another:
                    ms["first"].append(look(another, name)[0])
        self._while_events_flow(rate, seconds, round_of_looks)
        return {name: {"median": statistics.median(ms["kept"][1:]), "max": max(ms["kept"][1:]), "cpu": statistics.median(ms["cpu"][1:]),
                       "first": statistics.median(ms["first"])} for name, ms in took.items()}

    def _while_events_flow(self, rate, seconds, act, pause_s=0.1):
        """Calls act(database, session) again and again while so many events a second flow into the table of the benchmark."""
        topic = f"looking{rate}"
        self.broker.create_topic(topic, 6)
        db = self.cluster.create_database(topic)
        work.make_table(db)
        work.make_pipeline(db, topic)
        ingestor = self.ingestor(db).start().wait_ready()
        producer = subprocess.Popen(Events(rate * seconds, seed=SEED, broken=0.1).command(self.broker, topic, "--rate", str(rate)),
                                    stdout=subprocess.DEVNULL)
        try:
            with db.session() as session:
                wait_for(lambda: work.settled(session) > rate, "events flow", 60)
                while producer.poll() is None:
                    act(db, session)
                    time.sleep(pause_s)
                wait_for(lambda: work.settled(session) >= rate * seconds, "all settled", 120)
        finally:
            producer.kill()
            producer.wait()
            ingestor.stop()
        db.drop()

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

    def _spread(self, partitions, measure, payloads=(b'{"n":1}',), **changed):
        """changed: arguments of create_pipeline() that differ."""
        arguments = dict(PIPELINE, **changed)
        db = self.cluster.create_database(f"spread{partitions}")
        db.run("CREATE EXTENSION millrace")
        db.run(TABLE)
        db.run("SELECT millrace.grant_ingestor('ingestor'), millrace.grant_topics('app', read => '{spread}')")
        with db.session("app") as session:
            call = ", ".join(f"{name} => %({name})s" for name in arguments)
            session.run(f"SELECT millrace.create_pipeline('spread', topic => 'spread', {call})", arguments)
        self.quiesce(db)
        spread = Spread(db, "spread", partitions, payloads)
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
