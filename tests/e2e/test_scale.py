"""A pipeline of thousands of partitions: what its batches cost, and that the ledger in which they keep their positions, and
its leaving for whoever changes a partition otherwise, lose and double nothing. Lanes are played by hand."""
import random
import threading

import pytest

from lib.cluster import ConnectionLost
from lib.lane import Batch, Lane
from lib.spread import PIPELINE, TABLE, Spread
from lib.wait import wait_for
from test_copies import restore

MANY = 200  # partitions: enough for a ledger


def cost_of_a_batch(world, partitions):
    """CPU seconds of the worker."""
    world.db.run(TABLE)
    world.create_pipeline(**PIPELINE)
    spread = Spread(world.db, world.pipeline_name, partitions)
    cost = spread.cost_of_a_batch(5)
    assert world.db.value("SELECT count(*) FROM number") == spread.sent
    assert set(world.positions().values()) == {spread.position}
    spread.close()
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    world.db.run("DROP TABLE number")
    return cost


def test_a_batch_of_many_partitions_costs_little_more(world):
    """1.2 times. A look-up of each event's partition by linear search makes it ten times."""
    few, many = cost_of_a_batch(world, 10), cost_of_a_batch(world, 3000)
    assert many < 3 * few, f"{many * 1e3:.0f} ms for a batch of 3,000 partitions, {few * 1e3:.0f} ms for one of 10"


# -- exactly once

class Wide:
    """A pipeline that writes the coordinate of each event, with a key: one that comes twice is an error."""

    def __init__(self, world, workers=1, **more):
        self.world, self.db, self.name = world, world.db, world.pipeline_name
        self.db.run("CREATE TABLE t (p int, o bigint, PRIMARY KEY (p, o)); ALTER TABLE t OWNER TO app")
        arguments = dict(fields="n int", target="t", transform='SELECT event.partition AS p, event."offset" AS o FROM event',
                         workers=workers, dlq="off")
        world.create_pipeline(**dict(arguments, **more))
        self.db.run("SELECT millrace.add_partitions(%s, 0, %s::bigint[])", (self.name, [0] * MANY))
        self.lanes, self.sent = [], dict.fromkeys(range(MANY), 0)

    def lane(self, partitions=range(MANY), preferred=0):
        self.lanes.append(Lane(self.db, self.name, preferred).assign(list(partitions)))
        return self.lanes[-1]

    def send(self, lane, partitions, events=2, payload=b"{}"):
        batch = Batch()
        for p in partitions:
            for i in range(events):
                batch.event(p, self.sent[p] + i, payload)
        for p in partitions:
            batch.entry(p, lane.epochs[p], self.sent[p], self.sent[p] + events)
        lane.stage(batch)
        for p in partitions:
            self.sent[p] += events

    def in_ledger(self):
        return self.db.value("SELECT count(*) FROM millrace._ledger_entry")

    def wait(self):
        wait_for(lambda: self.world.positions() == self.sent, "all settled")

    def check(self):
        """Every event is there once, positions and counters agree, also where they will be read next."""
        self.wait()
        self.same()
        with self.db.session("app") as s:  # all leave the ledger
            s.run("SELECT millrace.pause(%s)", (self.name,))
        assert self.in_ledger() == 0
        self.same()
        assert self.world.positions() == self.sent

    def same(self):
        assert self.db.value("SELECT count(*) FROM t") == sum(self.sent.values())
        assert self.db.value("SELECT count(*) FROM (SELECT p FROM t GROUP BY p HAVING max(o) + 1 <> count(*)) AS gaps") == 0
        assert self.db.run("SELECT sum(events), sum(written) FROM millrace.partitions") == [(sum(self.sent.values()),) * 2]
        assert dict(self.db.run("SELECT partition, events FROM millrace.partitions")) == self.sent
        assert self.db.run("SELECT partition, next_offset FROM millrace.positions(%s) WHERE next_offset <> millrace._next_offset(("
                           "SELECT id FROM millrace.pipeline), partition)", (self.name,)) == []

    def close(self):
        for lane in self.lanes:
            lane.close()


@pytest.fixture
def wide(world):
    wide = Wide(world)
    yield wide
    wide.close()


def test_wide_and_narrow_batches_in_turn(wide):
    lane = wide.lane()
    chance = random.Random(1)
    for i in range(60):
        wide.send(lane, sorted(chance.sample(range(MANY), chance.choice([1, 10, 63, 64, 100, MANY]))))
        if i % 7 == 0:
            wide.wait()
    wide.send(lane, range(MANY))
    wide.wait()
    assert wide.in_ledger() == MANY
    wide.check()


def test_a_wide_batch_writes_few_rows(wide):
    """A row of the ledger for every 22 partitions, and progress of at most 110 partitions."""
    def written():
        return wide.db.value("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_all_tables WHERE relname IN ('progress', 'ledger')")
    lane = wide.lane()
    wide.send(lane, range(MANY))
    wide.wait()
    before, batches = written(), 50
    for _ in range(batches):
        wide.send(lane, range(MANY), events=1)
    wide.wait()
    wait_for(lambda: written() > before, "statistics")
    assert written() - before < batches * MANY / 2


def test_wide_batches_hold_few_locks(world):
    """Three lanes at work on all of their partitions, as a migration of the target holds all of them up: the lock table has
    no entry for each partition, or few servers would have room for them."""
    wide = Wide(world, workers=3)
    parts = [range(i, MANY, 3) for i in range(3)]
    lanes = [wide.lane(part, preferred=i) for i, part in enumerate(parts)]
    for lane, part in zip(lanes, parts):
        wide.send(lane, part)
    wide.wait()
    assert wide.in_ledger() == MANY
    held = """
        SELECT count(DISTINCT l.pid) FILTER (WHERE NOT l.granted AND l.relation = 't'::regclass), count(*) FILTER (WHERE l.locktype = 'advisory')
        FROM pg_locks AS l JOIN millrace.workers AS w ON w.pid = l.pid"""
    with world.db.session("app", autocommit=False) as s:
        s.run("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
        for lane, part in zip(lanes, parts):
            wide.send(lane, part)
        seen = []
        # all in one look: one that has waited for lock_timeout begins again
        wait_for(lambda: seen.append(world.db.run(held)[0]) or seen[-1][0] == 3, "three workers wait for the table")
        assert 3 <= seen[-1][1] <= 30, seen
        s.connection.rollback()
    wide.check()
    wide.close()


def test_the_history_of_a_slow_stream_is_written_in_turns(wide):
    """However long ago a batch was: it appends progress of a bounded number of partitions, those first that waited longest."""
    def history():
        return wide.db.value("SELECT count(*) FROM millrace.progress")
    lane = wide.lane()
    wide.send(lane, range(MANY))
    wide.wait()
    turns = -(-MANY // 110)
    for _ in range(3 * turns):
        wide.db.run("UPDATE millrace.ledger SET appended_at = appended_at - interval '1 hour'")
        before = history()
        wide.send(lane, range(MANY))
        wide.wait()
        assert 0 < history() - before <= 110
    counts = wide.db.run("SELECT min(n), max(n) FROM (SELECT count(*) AS n FROM millrace.progress GROUP BY partition) AS c")[0]
    assert counts[0] >= 3 and counts[1] - counts[0] <= 1
    wide.check()


def test_a_dump_of_a_filled_ledger(wide):
    """It carries the positions, and the copy goes on from them."""
    lane = wide.lane()
    wide.send(lane, range(MANY))
    wide.wait()
    wide.send(lane, range(0, MANY, 2))
    wide.wait()
    assert wide.in_ledger() == MANY
    positions = "SELECT partition, next_offset, events, written FROM millrace.partitions ORDER BY 1"
    before = wide.db.run(positions)
    wide.close()
    wide.lanes = []
    wide.db = restore(wide.world, wide.world.name + "_copy")
    try:
        assert wide.db.run(positions) == before
        assert wide.in_ledger() == MANY
        wide.db.run("SELECT millrace.grant_ingestor('ingestor')")
        with wide.db.session("app") as s:
            s.run("SELECT millrace.adopt(%s)", (wide.name,))
        lane = wide.lane()
        assert lane.positions == wide.sent
        wide.send(lane, range(MANY))
        wait_for(lambda: dict(wide.db.run("SELECT partition, next_offset FROM millrace.partitions")) == wide.sent, "all settled")
        wide.same()
        assert wide.in_ledger() == MANY
    finally:
        wide.close()
        wide.lanes = []


def test_partitions_change_lanes(world):
    """What the lane that has lost them has still staged does not count, and both lanes go on."""
    wide = Wide(world, workers=2)
    first = wide.lane()
    wide.send(first, range(MANY))
    wide.wait()
    second = wide.lane(range(0, MANY, 2), preferred=1)
    stale = Batch()
    for p in range(0, MANY, 2):
        stale.event(p, wide.sent[p], b"{}").entry(p, first.epochs[p], wide.sent[p], wide.sent[p] + 1)
    odd, even = range(1, MANY, 2), range(0, MANY, 2)
    first.epochs = {p: first.epochs[p] for p in odd}  # stage() would refuse the others at once
    first.stage(stale)
    for _ in range(10):
        wide.send(first, odd)
        wide.send(second, even)
    wide.wait()
    assert wide.in_ledger() == MANY
    wide.check()
    wide.close()


def test_a_partition_leaves_for_its_new_assignment(wide):
    """While its lane's batches go on; what was staged under its old epoch is void."""
    lane = wide.lane()
    wide.send(lane, range(MANY))
    wide.wait()
    for _ in range(5):
        wide.send(lane, range(MANY))
        wide.wait()
        before = dict(lane.epochs)
        lane.assign([7, 8])
        assert [lane.positions[p] for p in (7, 8)] == [wide.sent[p] for p in (7, 8)]
        batch = Batch()
        for p in (7, 8):
            batch.event(p, wide.sent[p], b"{}").entry(p, before[p], wide.sent[p], wide.sent[p] + 1)
        lane.stage(batch)
    wide.send(lane, range(MANY))
    wide.check()


def test_a_gap_gives_a_new_epoch(wide):
    lane = wide.lane()
    wide.send(lane, range(MANY))
    wide.wait()
    batch = Batch()
    for p in range(MANY):
        hole = 5 if p == 42 else 0
        batch.event(p, wide.sent[p] + hole, b"{}").entry(p, lane.epochs[p], wide.sent[p] + hole, wide.sent[p] + hole + 1)
        wide.sent[p] += 0 if hole else 1
    lane.stage(batch)
    wide.wait()
    wait_for(lambda: wide.db.value("SELECT epoch FROM millrace.partition WHERE partition = 42") != lane.epochs[42], "a new epoch")
    assert wide.in_ledger() == MANY
    with pytest.raises(Exception, match="stale epoch of partition 42"):
        wide.send(lane, range(MANY))
    lane.assign([42])
    wide.send(lane, range(MANY))
    wide.check()


def test_verbs_see_where_a_wide_batch_came_to(wide):
    lane = wide.lane()
    wide.send(lane, range(MANY), events=5)
    wide.wait()
    with wide.db.session("app") as s:
        assert s.value("SELECT millrace.skip_to(%s, 3, 9)", (wide.name,)) == 4
        wide.db.run("DELETE FROM t WHERE o >= 2 AND p <> 3")
        assert s.value('SELECT millrace.rewind(%s, "offset" => 2, allow_duplicates => true)', (wide.name,)) == MANY
    assert set(wide.world.positions().values()) == {2}
    wide.db.run("DELETE FROM t WHERE p = 3 AND o >= 2")
    wide.sent = dict.fromkeys(range(MANY), 2)
    lane.assign(list(range(MANY)))
    wide.send(lane, range(MANY))
    wide.wait()
    assert wide.db.value("SELECT count(*) FROM t") == 4 * MANY


def test_a_verb_in_the_middle_of_wide_batches(world):
    """Again and again: all partitions leave and join, while both lanes are assigned again and send."""
    wide = Wide(world, workers=2)
    done = threading.Event()
    log = world.cluster.log_position()

    def pause_and_resume():
        with world.db.session("app") as s:
            def workers(state):
                return s.value(f"SELECT count(*) FROM millrace.workers WHERE {state}")

            while not done.is_set():
                s.run("SELECT millrace.pause(%s)", (wide.name,))
                # one that is started again before it was missed waits twice as long each time, as after a failure
                wait_for(lambda: workers("true") == 0, "all workers have ended")
                s.run("SELECT millrace.resume(%s)", (wide.name,))
                wait_for(lambda: workers("pid > 0") > 0 or done.is_set(), "a worker runs")

    halves = range(0, MANY, 2), range(1, MANY, 2)
    lanes = [wide.lane(half, preferred=i) for i, half in enumerate(halves)]
    verbs = threading.Thread(target=pause_and_resume)
    verbs.start()
    try:
        for i in range(30):
            for lane, half in zip(lanes, halves):
                wide.send(lane, half)
                if i % 5 == 4:
                    wide.wait()
                    lane.assign(list(half)[:70])
                    assert lane.positions[half[0]] == wide.sent[half[0]]
    finally:
        done.set()
        verbs.join()
    wide.check()
    assert "deadlock detected" not in world.cluster.log_text(log)
    wide.close()


def test_failing_events_of_wide_batches(world):
    """They are tried again by worker 0 while another worker has the ledger of their lane, and are dead letters once each."""
    wide = Wide(world, workers=2, retry_delay="50 ms", max_retries=2, transform="""
        SELECT event.partition AS p, event."offset" AS o FROM event WHERE event.n IS NULL OR 1 / (event.n - 1) > 0""")
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (wide.name,))
    lane = wide.lane(preferred=1)
    dead = 0
    for i in range(40):
        bad = i % MANY
        batch = Batch()
        for p in range(MANY):
            batch.event(p, wide.sent[p], b'{"n":1}' if p == bad else b"{}").entry(p, lane.epochs[p], wide.sent[p], wide.sent[p] + 1)
            wide.sent[p] += 1
        lane.stage(batch)
        dead += 1
    wide.wait()
    wait_for(lambda: wide.db.value("SELECT count(*) FROM millrace.dead_letter") == dead, "dead letters")
    wait_for(lambda: wide.db.value("SELECT count(*) FROM millrace.retry") == 0, "nothing waits")
    total = sum(wide.sent.values())
    counters = "SELECT sum(events), sum(written), sum(dead), sum(retrying) FROM millrace.partitions"
    assert wide.db.run(counters) == [(total, total - dead, dead, 0)]
    with wide.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (wide.name,))
    assert wide.db.run(counters) == [(total, total - dead, dead, 0)]
    assert wide.db.value("SELECT count(*) FROM t") == total - dead
    wide.close()


def has_worker(db):
    try:
        return db.value("SELECT count(*) FROM millrace.workers WHERE pid > 0") == 1
    except ConnectionLost:
        return False


def test_crashes_between_wide_batches(world):
    """The server is killed again and again; the lane goes on from the positions it is given."""
    wide = Wide(world)
    for i in range(4):
        lane = wide.lane()
        wide.sent = dict(lane.positions)
        stop = threading.Event()
        killer = threading.Timer(0.7, lambda: (world.cluster.stop("immediate"), stop.set()))
        killer.start()
        try:
            while not stop.is_set():
                wide.send(lane, range(MANY))
        except Exception:
            pass
        killer.join()
        wide.lanes.clear()
        world.cluster.start()
        wait_for(lambda: has_worker(world.db), "a worker")
    lane = wide.lane()
    wide.sent = dict(lane.positions)
    assert min(wide.sent.values()) > 0
    wide.send(lane, range(MANY))
    wide.check()
    wide.close()


def test_rates_and_status_of_wide_batches(wide):
    lane = wide.lane()
    for _ in range(3):
        wide.send(lane, range(MANY))
    wide.wait()
    status = wide.db.run("SELECT status FROM millrace.event_status(%s, 5, 3)", (wide.world.topic,))
    assert status == [("processed",)]

    def rate_is_seen():
        """A rate is of the last seconds, whenever those are looked at."""
        wide.send(lane, range(MANY))
        wide.wait()
        return wide.db.value("SELECT events_per_s FROM millrace.stats") > 0

    wait_for(rate_is_seen, "there is a rate")
    wait_for(lambda: wide.db.value("SELECT events_per_s FROM millrace.stats") == 0, "the rate of nothing is 0")
