"""What goes on in the database beside a run."""
import contextlib
import os
import subprocess
import threading
import time

from lib.cluster import bin_dir

# As a dump over a network reads: the archive lasts for longer than a run
DUMP_BYTES_PER_S = 10_000_000
ARCHIVE_ROWS = 3_000_000


@contextlib.contextmanager
def snapshot(db):
    """A transaction that keeps the snapshot it took before the run."""
    with db.session() as session:
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.run("SELECT count(*) FROM pg_class")
        yield


@contextlib.contextmanager
def dump(db):
    """pg_dump of the database, which also has a table of 300 MB, written long ago."""
    db.run("CREATE TABLE archive AS SELECT n, repeat('x', 80) AS note FROM generate_series(1, %s) AS n", (ARCHIVE_ROWS,))
    db.run("VACUUM (FREEZE) archive")
    process = subprocess.Popen([os.path.join(bin_dir(), "pg_dump"), "-h", db.cluster.dir, "-p", db.cluster.port, "-U", "postgres", db.name],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reader = threading.Thread(target=_read, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        yield
        assert process.poll() is None, "pg_dump ended before the run did"
    finally:
        process.terminate()
        process.wait()
        reader.join()


def _read(pipe):
    while pipe.read(DUMP_BYTES_PER_S // 20):
        time.sleep(0.05)


WHAT = {"nothing": lambda db: contextlib.nullcontext(), "snapshot": snapshot, "dump": dump}
