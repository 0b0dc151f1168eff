"""Emptying a segment looks for its own pages, however large shared_buffers is. No broker: staging is played by hand."""
import pytest

from lib.cluster import Cluster
from lib.lane import Lane
from lib.wait import wait_for
from lib.world import ensure_roles
from test_workers import create_pipeline, pids, prepare

BUFFERS = 2 * 1024 * 1024 // 8  # shared_buffers = 2GB
# BufferDescPadded of the server; whoever looks through all buffers reads all of them
DESCRIPTORS_KB = BUFFERS * 64 // 1024


@pytest.fixture
def cluster():
    # pages of 4 kB, so that each process shows how many of them it has touched
    cluster = Cluster("emptying", settings={"shared_buffers": "'2GB'", "huge_pages": "off"}).init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


def touched_kb(pid):
    """Shared memory that the process has read or written since it began."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssShmem:"))


def send(db, lane, n):
    """An event whose payload is out of line; returns when it is settled."""
    lane.send(0, [b'{"n":%d,"v":"%s"}' % (n, b"x" * 20000)])
    wait_for(lambda: db.value("SELECT count(*) FROM number WHERE n = %s", (n,)) == 1, "the row is there")


def test_emptying_a_segment_does_not_look_through_all_buffers(cluster):
    """Worker and writer turn the ring round, with payloads in its TOAST tables, and touch much less shared memory than the
    descriptors of all buffers take. What the server does elsewhere to truncate a table is seen that way."""
    db = cluster.create_database("emptying")
    prepare(db)
    create_pipeline(db)
    lane = Lane(db, "p").assign([0])
    segments = db.value("SELECT count(*) FROM millrace.segment")
    send(db, lane, 0)
    worker, = pids(db)
    processes = worker, lane.session.pid
    before = [touched_kb(pid) for pid in processes]
    for i in range(1, 3 * segments):
        lane.next_segment()
        send(db, lane, i)
    assert pids(db) == [worker]
    assert db.value("SELECT count(*) FROM millrace.segment") == segments, "all of them were emptied and filled again"
    assert max(touched_kb(pid) - kb for pid, kb in zip(processes, before)) < DESCRIPTORS_KB // 2
    lane.close()
    with db.session() as session:
        session.run("CREATE TABLE plain (n int); INSERT INTO plain VALUES (1)")
        kb = touched_kb(session.pid)
        session.run("TRUNCATE plain")
        assert touched_kb(session.pid) - kb > DESCRIPTORS_KB // 2, "looking through all of them does not show"
