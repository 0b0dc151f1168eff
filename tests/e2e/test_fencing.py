"""The seam between ingestor and engine, with a lane played by hand: epochs, gaps, overlaps, short batches."""
import psycopg2
import pytest

from lib.lane import FORMAT_VERSION, Batch, Lane, int4, pack, packed_event
from lib.wait import holds_for, wait_for


@pytest.fixture
def lane(world):
    """A pipeline of two partitions without a topic, and a lane that has them."""
    world.db.run("CREATE TABLE number (n int, kafka_partition int, kafka_offset bigint); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform='SELECT event.n, event.partition AS'
                          ' kafka_partition, event."offset" AS kafka_offset FROM event')
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0, 1])
    lane.world = world
    yield lane
    lane.close()


class UnreadableBatch(Batch):
    def copy_data(self, trailer=True):
        form = int4(FORMAT_VERSION) + int4(len(self.entries))
        return super().copy_data(trailer).replace(form, int4(FORMAT_VERSION - 1) + form[4:])


def numbers(world):
    return [r[0] for r in world.db.run("SELECT n FROM number ORDER BY n")]


def events(n, first=0):
    return [b'{"n":%d}' % i for i in range(first, first + n)]


def wait_position(world, partition, position):
    wait_for(lambda: world.positions()[partition] == position, f"partition {partition} at {position}")


def epoch_changes(world, partition, epoch):
    wait_for(lambda: world.db.value("SELECT epoch FROM millrace.partition WHERE partition = %s", (partition,)) != epoch,
             "a new epoch")


def test_a_batch_is_settled(world, lane):
    lane.send(0, events(10))
    lane.send(1, events(10, 10))
    wait_position(world, 0, 10)
    wait_position(world, 1, 10)
    assert numbers(world) == list(range(20))


def test_one_event_is_quick(world, lane):
    lane.send(0, events(1))
    wait_position(world, 0, 1)
    worst = world.db.value("SELECT max(settled_at) FROM millrace.partitions")
    assert worst is not None


def test_stale_epoch_is_refused_by_stage(world, lane):
    other = Lane(world.db, world.pipeline_name).assign([0])
    with pytest.raises(psycopg2.Error) as e:
        lane.send(0, events(5))
    assert e.value.pgcode == "MR001"
    other.send(0, events(3, 100))
    wait_position(world, 0, 3)
    assert numbers(world) == [100, 101, 102]
    other.close()


def test_staged_before_the_partition_moved_is_ignored(world, lane):
    """The batch is in the segment when the partition is assigned again: compare-and-set drops it."""
    locker = world.db.session(autocommit=False)
    locker.run("LOCK TABLE number IN ACCESS EXCLUSIVE MODE")  # the worker waits here with the first batch
    lane.send(1, events(1, 500))
    lane.send(0, events(5))
    # as a paused ingestor's stage() that passed just before: the epoch goes in between
    world.db.run("UPDATE millrace.partition SET epoch = epoch + 1 WHERE partition = 0")
    locker.close()
    wait_position(world, 1, 1)
    holds_for(lambda: world.positions()[0] == 0, "nothing of the old epoch is settled", 1.5)
    assert numbers(world) == [500]


def test_unknown_incarnation(world, lane):
    lane.incarnation += 1
    with pytest.raises(psycopg2.Error) as e:
        lane.send(0, events(1))
    assert e.value.pgcode == "MR002"


def test_gap_gives_a_new_epoch(world, lane):
    """previous is beyond the position: something between is missing; never settled."""
    epoch = lane.epochs[0]
    batch = Batch().event(0, 7, b'{"n":7}').entry(0, epoch, 7, 8)
    lane.stage(batch)
    epoch_changes(world, 0, epoch)
    assert world.positions()[0] == 0 and numbers(world) == []
    lane.assign([0])
    lane.send(0, events(2))
    wait_position(world, 0, 2)


def test_overlap_is_filtered(world, lane):
    lane.send(0, events(5))
    wait_position(world, 0, 5)
    batch = Batch()
    for i in range(3, 8):
        batch.event(0, i, b'{"n":%d}' % i)
    lane.stage(batch.entry(0, lane.epochs[0], 3, 8))
    wait_position(world, 0, 8)
    assert numbers(world) == list(range(8))


def test_the_same_batch_twice(world, lane):
    batch = Batch()
    for i in range(4):
        batch.event(0, i, b'{"n":%d}' % i)
    batch.entry(0, lane.epochs[0], 0, 4)
    lane.stage(batch)
    lane.stage(batch)
    lane.positions[0] = 4
    lane.send(0, events(1, 4))
    wait_position(world, 0, 5)
    assert numbers(world) == list(range(5))


def test_short_batch_is_never_settled(world, lane):
    """The trailer says three rows, two are there."""
    epoch = lane.epochs[0]
    batch = Batch().event(0, 0, b'{"n":0}').event(0, 1, b'{"n":1}').entry(0, epoch, 0, 3, rows=3)
    lane.stage(batch)
    epoch_changes(world, 0, epoch)
    assert world.positions()[0] == 0 and numbers(world) == []


def test_rows_without_trailer_do_not_exist(world, lane):
    batch = Batch().event(0, 0, b'{"n":66}')
    lane.stage(batch, trailer=False)
    lane.stage(Batch().event(0, 0, b'{"n":77}'), commit=False)  # an aborted COPY
    lane.send(0, events(2))
    wait_position(world, 0, 2)
    assert numbers(world) == [0, 1]


def test_position_moves_past_a_gap_without_events(world, lane):
    """Markers and compaction: an empty batch that moves the position; the chain goes on."""
    lane.send(0, events(2))
    lane.stage(Batch().entry(0, lane.epochs[0], 2, 9))
    lane.positions[0] = 9
    lane.send(0, events(1, 2))
    wait_position(world, 0, 10)
    assert world.db.run("SELECT n, kafka_offset FROM number ORDER BY 1") == [(0, 0), (1, 1), (2, 9)]


def test_trailers_that_lie(world, lane):
    """A broken trailer is the ingestor's fault: nothing settled, the worker lives."""
    for junk in (b"", b"\x00\x00\x00\x09" + bytes(60), b"\x00\x00\x00\x01\x7f\xff\xff\xff", bytes(3)):
        batch = Batch().event(0, 0, b'{"n":1}')
        data = batch.copy_data(trailer=False)[:-2]
        from lib.lane import _row, int2, int4, int8
        data += _row(int8(batch.id), int8(0), int8(0), int4(-1), int2(1), None, None, junk) + int2(-1)
        batch.copy_data = lambda trailer, data=data: data
        try:
            lane.stage(batch)
        except psycopg2.Error:
            lane.close()
            lane.__init__(world.db, world.pipeline_name)
            lane.assign([0, 1])
    lane.close()
    lane.__init__(world.db, world.pipeline_name)
    lane.assign([0, 1])
    lane.send(0, events(3))
    wait_position(world, 0, 3)
    assert numbers(world) == [0, 1, 2]


def test_several_trailers_that_cannot_be_read(world, lane):
    """As another release of the ingestor may write them: those that a worker reads at once are dropped together, and what is behind them is settled."""
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        for i in range(3):
            lane.stage(UnreadableBatch().event(0, i, b'{"n":66}').event(1, i, b'{"n":66}'))
        lane.send(1, events(2))
        epoch = lane.epochs[0]
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    epoch_changes(world, 0, epoch)
    lane.assign([0, 1])
    lane.send(0, events(3))
    lane.send(1, events(2, 3))
    wait_position(world, 0, 3)
    wait_position(world, 1, 2)
    assert numbers(world) == [0, 1, 2, 3, 4]


def test_packs_and_rows_in_one_batch(world, lane):
    """Of several partitions, in any order; a key, headers and an empty payload among them."""
    one, two, three, four = (packed_event(0, i, b'{"n":%d}' % i, key=b"k" * i, headers=bytes(4)) for i in range(4))
    other = packed_event(1, 0, b'{"n":10}', key=b"")
    batch = Batch().pack(pack(three, other, four)).event(0, 4, b'{"n":4}').pack(pack(one, two)).pack(pack())
    lane.stage(batch.entry(0, lane.epochs[0], 0, 5, rows=5).entry(1, lane.epochs[1], 0, 1, rows=1))
    wait_position(world, 0, 5)
    wait_position(world, 1, 1)
    assert numbers(world) == [0, 1, 2, 3, 4, 10]
    unpacked = world.db.run(f"SELECT e.partition, e.\"offset\", e.key, e.headers, e.payload, e.kind FROM {lane.segment} AS s"
                            " CROSS JOIN LATERAL millrace.unpack(s.payload) AS e WHERE s.kind = 16 ORDER BY 1, 2")
    assert [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in unpacked] \
        == [(0, i, b"k" * i, bytes(4), b'{"n":%d}' % i, 0) for i in range(4)] + [(1, 0, b"", None, b'{"n":10}', 0)]


def test_packs_that_lie(world, lane):
    """A broken pack has no events: its batch is never settled, and the partition is fetched again."""
    event = packed_event(0, 0, b'{"n":66}')
    for junk in (b"", bytes(3), int4(2) + event, int4(1) + event + bytes(4), int4(-1) + event, int4(1) + event[:-4],
                 int4(1) + event[:32] + int4(0x7fffffff) + event[36:], int4(1) + event[:24] + int4(-2) + event[28:],
                 pack(packed_event(0, 0, b'{"n":66}', kind=1)), pack(packed_event(0, 0, b'{"n":66}', kind=16))):
        epoch = lane.epochs[0]
        lane.stage(Batch().pack(junk).entry(0, epoch, 0, 1, rows=1))
        epoch_changes(world, 0, epoch)
        lane.assign([0])
    lane.send(0, events(3))
    wait_position(world, 0, 3)
    assert numbers(world) == [0, 1, 2]
    assert "a pack of staged events has an unknown form" in world.cluster.log_text(world.log_start)


def test_partitions_of_one_batch_are_independent(world, lane):
    """One partition's entry is stale, the other's is good."""
    batch = Batch().event(0, 0, b'{"n":1}').event(1, 5, b'{"n":2}')
    batch.entry(0, lane.epochs[0], 0, 1).entry(1, lane.epochs[1], 5, 6)
    lane.stage(batch)
    wait_position(world, 0, 1)
    holds_for(lambda: world.positions()[1] == 0, "the gap is not settled", 1)
    assert numbers(world) == [1]


def test_application_roles_cannot_forge(world, lane):
    """No one but an ingestor may stage, no one at all may settle."""
    with world.db.session("app") as s:
        for sql in ("SELECT millrace.lane_open('x', 0)", "SELECT millrace.assign('x', 1, '{0}')",
                    "SELECT millrace.set_position('x', 0, 0, 0)", f"INSERT INTO {lane.segment} DEFAULT VALUES",
                    "UPDATE millrace.progress SET next_offset = 0", "DELETE FROM millrace.dead_letter",
                    "UPDATE millrace.partition SET epoch = 0"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                s.run(sql)
    with world.db.session("ingestor") as s:
        for sql in ("SELECT millrace.create_pipeline('y', topic => 't', transform => '', target => 'number')",
                    "UPDATE millrace.progress SET next_offset = 0", "SELECT * FROM number",
                    "SELECT payload FROM millrace.dead_letter"):
            with pytest.raises(psycopg2.Error):
                s.run(sql)
