"""Throughput does not decay when another session holds an old snapshot."""
import time

from lib.events import Events
from lib.wait import wait_for


def test_old_snapshot_does_not_slow_it(world):
    """REPEATABLE READ, idle in transaction, having read staging and target, for 100,000 commits."""
    world.create_topic(partitions=2)
    world.create_pipeline()
    # small batches: many commits of the worker and of the lane in a short time
    world.start_ingestor("--batch-rows", "1").wait_ready()
    world.db.run("SELECT relation::regclass FROM millrace.segment")
    old = world.db.session(autocommit=False)
    old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    for (segment,) in old.run("SELECT relation::regclass::text FROM millrace.segment"):
        old.run(f"SELECT count(*) FROM {segment}")
    old.run("SELECT count(*) FROM reading")

    def commits():
        with world.db.session() as s:
            return s.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    start = commits()
    rates = []
    seed = 110
    sent = []
    begin = time.monotonic()
    while commits() - start < 100000 and time.monotonic() - begin < 240:
        events = Events(12000, seed=seed)
        seed += 1
        before = time.monotonic()
        events.send(world.broker, world.topic)
        world.wait_settled(120)
        rates.append(12000 / (time.monotonic() - before))
        sent.append(events)
        wait_for(lambda: True, "")
    old.run("SELECT 1")
    done = commits() - start
    old.close()
    assert done >= 100000, f"only {done} commits, rates {rates}"
    third = max(1, len(rates) // 3)
    first, last = sorted(rates[:third]), sorted(rates[-third:])
    assert last[len(last) // 2] >= 0.9 * first[len(first) // 2], f"slower and slower: {[round(r) for r in rates]}"
    world.check(*sent)
