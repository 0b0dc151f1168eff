"""The peer: the Flink job of the peers' kit, in one JVM (parallelism 2, parallel collector, batches of 5,000 rows, a
checkpoint each 10 s: at-least-once into a table with a key), on our broker, topic and server."""
import os
import signal
import time

import work
from lib import paths
from lib.events import Events
from lib.process import Process, free_port
from lib.wait import wait_for
from sampler import Sampler
from scenarios import PIPELINES, SEED

OPTIONS = PIPELINES["end_to_end"][1]  # of the events: the same as ours


def run(bench, kit):
    """Its database, and a result as that of Bench.rates(). Its DLQ topic is the broker's work too."""
    topic, group = bench.topics.fill(**OPTIONS), f"flink-{time.time_ns()}"
    bench.broker.create_topic(group, 1)
    db = bench.cluster.create_database("flink")
    work.make_table(db)
    bench.quiesce(db)
    sites = os.path.join(paths.run_dir(), "sites.csv")
    with open(sites, "w") as f:
        f.writelines(f"{source},{name}\n" for source, name in work.SITES)
    environment = dict(os.environ, TOPIC=topic, DLQ=group, BROKERS=bench.broker.address, GROUP=group,
                       DB=f"jdbc:postgresql://127.0.0.1:{bench.cluster.tcp_port}/{db.name}", SITES=sites,
                       REST=str(free_port()), CKPT=os.path.join(paths.run_dir(), group), JOPTS="-XX:+UseParallelGC")
    rows = Events(bench.n, seed=SEED, **OPTIONS).counts()["row"]
    job = Process([os.path.join(kit, "flink/run.sh")], os.path.join(paths.run_dir(), "flink.log"), env=environment)
    sampler = Sampler(bench.cluster, db, bench.broker.process.pid, job.pid)
    sampler.start()
    try:
        with db.session() as session:
            wait_for(lambda: not job.alive() or session.value("SELECT pg_relation_size('readings')") > rows * 100
                     and session.value("SELECT count(*) FROM readings") >= rows, "all rows", 300 + bench.n / 10_000, every=0.25)
        assert job.alive(), job.tail()
    finally:
        sampler.stop()
        job.signal(signal.SIGTERM)
        job.kill()
    return db, bench.rates(sampler, *work.row_times(db))
