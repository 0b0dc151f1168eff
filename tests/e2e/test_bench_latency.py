"""What `make bench` calls latency: the moment that others see a row, beside what producer, broker and disk take of it."""
import os
import sys
import threading
import time

import pytest

from lib import paths
from lib.cluster import Cluster
from lib.wait import wait_for

sys.path.append(os.path.join(paths.ROOT, "loadtest/bench"))

import latency  # noqa: E402
from scenarios import Bench, Topics  # noqa: E402


@pytest.fixture(scope="module")
def stamped():
    """A server that keeps the time stamps of commits."""
    cluster = Cluster("stamped", settings={"shared_preload_libraries": "''", "track_commit_timestamp": "on"}).init().start()
    yield cluster
    cluster.stop("immediate")


def wait_for_standby(db, standby):
    """Commits of sessions that begin now wait for that standby; '': for none, those that wait already go on."""
    db.run(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    db.run("SELECT pg_reload_conf()")
    wait_for(lambda: db.value("SHOW synchronous_standby_names") == standby, "the setting")


def test_visible_is_when_another_session_sees_it(stamped):
    """Not the time stamp of the commit, which is earlier than the wait for disk and standby."""
    db = stamped.create_database("sight")
    db.run("SET synchronous_commit = local")
    db.run("CREATE TABLE t (n int)")
    wait_for_standby(db, "nobody")
    sight = latency.Sight(db)
    sight.start()
    with db.session() as session, db.session(autocommit=False) as other:
        other.run("INSERT INTO t VALUES (2)")
        unseen = other.value("SELECT xmin::text::bigint FROM t")
        writer = threading.Thread(target=session.run, args=("INSERT INTO t VALUES (1)",), daemon=True)
        writer.start()
        wait_for(lambda: db.value("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s", (session.pid,)), "it waits")
        released_at = time.time()
        wait_for_standby(db, "")
        writer.join()
        xid, stamped_at = db.run("SELECT xmin::text::bigint, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM t")[0]
        wait_for(lambda: xid in sight.seen_at([xid]), "it is seen")
        sight.stop()
        seen = sight.seen_at([xid, unseen])
    assert seen.keys() == {xid}
    assert stamped_at < released_at <= seen[xid] <= time.time()


def test_latency_has_its_floors(cluster, broker, monkeypatch):
    bench = Bench(cluster, broker, Topics(broker, 1), latency_seconds=3)
    monkeypatch.setattr(bench, "quiesce", lambda db: None)
    result = bench.latency(100)
    for figures in (result, result["plain"], result["commit"], result["late"]):
        assert figures["p50"] <= figures["p99"] <= figures["max"]
    assert result["p50"] > 0 and result["plain"]["p50"] > 0 and result["commit"]["p50"] > 0
