"""What is staged in another order, twice, of another form, or of a partition nobody knows: no event is passed over, and
the worker goes on. Lanes are played by hand."""
import pytest

from lib.lane import Batch, Lane, _row, int2, int4, int8
from lib.wait import wait_for


@pytest.fixture
def lane(world):
    """A pipeline of two partitions without a topic, and a lane that has them."""
    world.db.run("CREATE TABLE number (n int PRIMARY KEY); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0, 1])
    yield lane
    lane.close()


def numbers(world):
    return [r[0] for r in world.db.run("SELECT n FROM number ORDER BY n")]


def wait_position(world, partition, position):
    wait_for(lambda: world.positions()[partition] == position, f"partition {partition} at {position}")


def wait_new_epoch(world, lane, partition=0):
    wait_for(lambda: world.db.value("SELECT epoch FROM millrace.partition WHERE partition = %s", (partition,))
             != lane.epochs[partition], "a new epoch")


def batch_of(partition, offsets):
    batch = Batch()
    for offset in offsets:
        batch.event(partition, offset, b'{"n":%d}' % offset)
    return batch


def test_rows_out_of_order(world, lane):
    """As the second reading of a segment may find them."""
    lane.stage(batch_of(0, [2, 0, 4, 1, 3]).entry(0, lane.epochs[0], 0, 5))
    wait_position(world, 0, 5)
    assert numbers(world) == [0, 1, 2, 3, 4]
    lane.stage(batch_of(0, [8, 3, 6, 5, 7, 4]).entry(0, lane.epochs[0], 3, 9))  # and some that were settled before
    wait_position(world, 0, 9)
    assert numbers(world) == list(range(9))


@pytest.mark.parametrize("offsets", [[0, 1, 1], [0, 1, 2, 7]])
def test_an_event_that_would_be_lost(world, lane, offsets):
    """One comes twice, one is beyond the batch's end: fetched again rather than passed over."""
    lane.stage(batch_of(0, offsets).entry(0, lane.epochs[0], 0, 3))
    wait_new_epoch(world, lane)
    assert numbers(world) == [] and world.positions()[0] == 0
    lane.assign([0])
    lane.stage(batch_of(0, [0, 1, 2]).entry(0, lane.epochs[0], 0, 3))
    wait_position(world, 0, 3)
    assert numbers(world) == [0, 1, 2]


@pytest.mark.parametrize("junk", [b"", b"\x00\x00\x00\x09" + bytes(60), b"\x00\x00\x00\x01\x7f\xff\xff\xff"])
def test_trailer_of_unknown_form(world, lane, junk):
    """The batch is dropped and will be fetched again; what is staged behind it is not held up."""
    batch = batch_of(0, [0, 1])
    data = batch.copy_data(trailer=False)[:-2]
    data += _row(int8(batch.id), int8(0), int8(0), int4(-1), int2(1), None, None, junk) + int2(-1)
    batch.copy_data = lambda trailer: data
    lane.stage(batch)
    wait_new_epoch(world, lane)
    lane.assign([0])
    lane.send(0, [b'{"n":7}'])
    lane.send(1, [b'{"n":8}'])
    wait_position(world, 0, 1)
    wait_position(world, 1, 1)
    assert numbers(world) == [7, 8]


@pytest.mark.parametrize("table", ["partition", "progress"])
def test_partition_whose_row_is_lost(world, lane, table):
    """The other partitions of its lane go on."""
    holder = world.db.session(autocommit=False)
    holder.run("INSERT INTO number VALUES (100)")
    lane.send(1, [b'{"n":100}'])
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), "the worker waits with this one")
    lane.send(0, [b'{"n":0}'])
    lane.send(1, [b'{"n":101}'])
    world.db.run(f"DELETE FROM millrace.{table} WHERE partition = 0")
    holder.close()
    wait_position(world, 1, 2)
    assert numbers(world) == [100, 101]


@pytest.mark.parametrize("ts", [9_300_000_000_000_000, 9_224_318_016_000_000, 9_224_318_015_999_999, 2**63 - 1, -5])
def test_timestamps_a_producer_made_up(world, lane, ts):
    """Those PostgreSQL has no timestamp for are none."""
    lane.send(0, [b'{"n":1}', b'{"n":"x"}'], ts=ts)
    wait_position(world, 0, 2)
    assert world.db.value("SELECT kafka_ts IS NULL FROM millrace.dead_letters") == (ts != 9_224_318_015_999_999)
    for view in ("dead_letters", "partitions", "lag", "retries"):
        world.db.run(f"SELECT v::text FROM millrace.{view} AS v")
    world.db.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
    wait_for(lambda: world.db.value("SELECT state FROM millrace.dead_letters") == "open"
             and world.db.value("SELECT replay_count FROM millrace.dead_letters") == 1, "it was replayed")
    world.db.run("COPY millrace.dead_letter TO '/dev/null'")
