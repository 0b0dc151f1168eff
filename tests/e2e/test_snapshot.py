"""Throughput does not decay while another session holds an old snapshot."""
import statistics
import time

from lib.lane import Lane
from lib.wait import wait_for

ROUND = 4000


def commits(world):
    return world.db.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


def one_round(world, lane):
    """Batches of one event, as fast as they go, until all are settled: batches/s."""
    begin = time.monotonic()
    for i in range(ROUND):
        lane.send(i % 2, [b'{"n":%d}' % i])
    wait_for(lambda: world.positions() == lane.positions, "settled", 30, every=0.005)
    return ROUND / (time.monotonic() - begin)


def test_old_snapshot_does_not_slow_it(world):
    """REPEATABLE READ, idle in transaction, having read staging and target, for 100,000 commits. Every batch updates or
    appends the partition's progress: a row that had to be followed through all its versions would show."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0, 1])
    one_round(world, lane)
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.run(f"SELECT count(*) FROM {lane.segment}")
    seen = old.value("SELECT count(*) FROM number")
    start = commits(world)
    rates = []
    while commits(world) - start < 100000 or len(rates) < 20:
        rates.append(one_round(world, lane))
        assert len(rates) < 200
    assert old.value("SELECT count(*) FROM number") == seen  # it is really held
    old.close()
    first, last = statistics.median(rates[:7]), statistics.median(rates[-7:])
    assert last >= 0.9 * first, f"slower and slower: {[round(r) for r in rates]}"
    assert world.db.value("SELECT count(*) FROM number") == ROUND * (len(rates) + 1)
    lane.close()
