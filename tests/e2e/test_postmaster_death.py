"""kill -9 of the postmaster: its processes end by themselves within a second, whatever they do, or the next server could not start."""
import os
import signal
import time

import pytest

from lib.cluster import Cluster, Database
from lib.lane import Lane
from lib.process import wait_gone
from lib.wait import wait_for
from lib.world import ensure_roles
from test_workers import create_pipeline, prepare, wait_pids

SOON = 3  # s; a second on a machine that has nothing else to do

# No sleep, which would notice by itself.
BURN = "CREATE FUNCTION burn(n int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM generate_series(1, n) AS i WHERE i % 7 = 3'"


@pytest.fixture
def cluster():
    cluster = Cluster("orphans").init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


@pytest.mark.alone
@pytest.mark.parametrize("work", ["backlog", "batch", "lock", "none"])
def test_nobody_outlives_the_postmaster(cluster, work):
    db = cluster.create_database("orphans")
    prepare(db)
    db.run(BURN)
    db.run("CREATE TABLE busy (); ALTER TABLE busy OWNER TO app")
    batch = {"backlog": "burn(1000000)", "batch": "burn(500000000)", "lock": "(SELECT count(*) FROM busy)", "none": "0"}[work]
    create_pipeline(db, transform=f"SELECT (event.n + {batch})::int AS n FROM event", batch_rows=1)
    ours = wait_pids(db) + wait_pids(db, "supervisor") + wait_pids(db, "launcher")
    lane = Lane(db, "p").assign([0])
    locker = db.session(autocommit=False)
    if work == "lock":
        locker.run("LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
    if work != "none":
        for n in range(200 if work == "backlog" else 1):
            lane.send(0, [b'{"n":%d}' % n])
        wait_for(lambda: db.value("SELECT state FROM millrace._workers()") == "busy", "a batch is at work")
    os.kill(cluster.process.pid, signal.SIGKILL)
    began = time.monotonic()
    for pid in ours:
        wait_gone(pid, 60)
    took = time.monotonic() - began
    cluster.kill_postmaster()  # waits for the others
    lane.close()
    locker.close()
    assert took < SOON, f"they ended after {took:.1f} s"
    Database(cluster.start(), "orphans").close()
