"""Throughput does not decay while another session holds an old snapshot."""
import pytest

from lib.lane import Lane
from lib.wait import wait_for

ROUND = 4000


def one_round(world, lane):
    """Batches of one event, as fast as they go, until all are settled. Asked seldom: a question looks at more pages than a commit."""
    for i in range(ROUND):
        lane.send(i % 2, [b'{"n":%d}' % i])
    wait_for(lambda: world.positions() == lane.positions, "settled", every=0.2)


def buffers(world):
    """(commits, pages that were looked at) as far as sessions have reported them, each both at once."""
    return world.db.run("SELECT xact_commit, blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")[0]


def pages_per_commit(world, lane, n):
    """Of so many commits."""
    begin = end = buffers(world)
    while end[0] - begin[0] < n:
        one_round(world, lane)
        end = buffers(world)
    return (end[1] - begin[1]) / (end[0] - begin[0])


@pytest.mark.alone
def test_old_snapshot_does_not_slow_it(world):
    """REPEATABLE READ, idle in transaction, having read staging and target, for 100,000 commits. Every batch updates or
    appends the partition's progress: a row that had to be followed through all its versions would show in the pages that a commit looks at,
    on any machine. How fast it is beside a held snapshot is measured by `make bench SCENARIOS=snapshot`."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0, 1])
    one_round(world, lane)
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run(f"SELECT count(*) FROM {lane.segment}")
    seen = old.value("SELECT count(*) FROM number")
    first = pages_per_commit(world, lane, 20000)
    pages_per_commit(world, lane, 60000)
    last = pages_per_commit(world, lane, 20000)
    assert old.value("SELECT count(*) FROM number") == seen  # it is really held
    old.close()
    assert last < 1.2 * first
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
