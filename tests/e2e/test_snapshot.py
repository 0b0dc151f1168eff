"""Throughput does not decay while another session holds an old snapshot."""
import time

import pytest

from lib.lane import Lane
from lib.process import cpu_seconds
from lib.wait import wait_for

ROUND = 4000


def commits(world):
    return world.db.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


def one_round(world, lane, pids):
    """Batches of one event, as fast as they go, until all are settled: batches/s, and batches per second of CPU."""
    begin, cpu = time.monotonic(), sum(cpu_seconds(pid) for pid in pids)
    for i in range(ROUND):
        lane.send(i % 2, [b'{"n":%d}' % i])
    wait_for(lambda: world.positions() == lane.positions, "settled", every=0.005)
    return ROUND / (time.monotonic() - begin), ROUND / (sum(cpu_seconds(pid) for pid in pids) - cpu)


def kept(rates):
    """The last third against the first, by the best of each: whatever else the machine does only makes it slower."""
    third = len(rates) // 3
    return max(rates[-third:]) / max(rates[:third])


@pytest.mark.alone
def test_old_snapshot_does_not_slow_it(world):
    """REPEATABLE READ, idle in transaction, having read staging and target, for 100,000 commits. Every batch updates or
    appends the partition's progress: a row that had to be followed through all its versions would show."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0, 1])
    pids = [lane.session.pid, *(r[0] for r in world.db.run(
        "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'millrace worker%' AND datname = current_database()"))]
    one_round(world, lane, pids)
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run(f"SELECT count(*) FROM {lane.segment}")
    seen = old.value("SELECT count(*) FROM number")
    start = commits(world)
    rates = []

    def has_kept():  # on a machine that is busy with other things the clock says little, but CPU time does
        return max(kept([r[0] for r in rates]), kept([r[1] for r in rates])) >= 0.9

    # what slows a run down for a while is over sooner or later; versions that have to be followed become more and more
    while commits(world) - start < 100000 or len(rates) < 20 or (not has_kept() and commits(world) - start < 250000):
        rates.append(one_round(world, lane, pids))
        assert len(rates) < 500
    assert old.value("SELECT count(*) FROM number") == seen  # it is really held
    old.close()
    by_clock, by_cpu = kept([r[0] for r in rates]), kept([r[1] for r in rates])
    assert has_kept(), f"{by_clock:.2f} by the clock, {by_cpu:.2f} by CPU: {rates}"
    assert world.db.value("SELECT count(*) FROM number") == ROUND * (len(rates) + 1)
    lane.close()


RETRIES = """
    INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, payload)
    SELECT id, 1, topic, 0, i, -1, 0, 1, now() + %s * interval '1 s', now(), '{"n":1}'
    FROM millrace.pipeline, generate_series(1, %s) AS i"""


def test_old_snapshot_does_not_slow_retries(world):
    """What was tried again and is gone stays in the index while the snapshot is held: it is not stepped over at each look.
    A row that comes late, its time long past, is found all the same."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run("SELECT count(*) FROM number")
    gone = 50000
    world.db.run("BEGIN; " + RETRIES % (-100, gone) + "; DELETE FROM millrace.retry; COMMIT")

    def read():
        return world.db.run("SELECT idx_tup_read, idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'retry_due_idx'")[0]
    wait_for(lambda: read()[0] >= gone, "a look at all")
    # rows that wait for minutes to come: the looks go on, and have something to find
    world.db.run(RETRIES % (600, 1))
    tuples, scans = read()
    wait_for(lambda: read()[1] >= scans + 8, "some looks")
    assert read()[0] - tuples < 3 * gone, "each look reads all that is gone"
    world.db.run(RETRIES % (-100, 1))
    wait_for(lambda: world.db.value("SELECT count(*) FROM number") == 1, "the late one")
    old.close()
