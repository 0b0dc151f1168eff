"""A system at rest: pipelines without events, and what their processes use."""
import os
import time

from .process import children
from .wait import wait_for

PIPELINES = 40
# room for each to have a lane and a worker of its own
SETTINGS = {"millrace.max_lanes": "64", "millrace.max_workers_per_role": "64", "max_worker_processes": "64"}


def begin(world):
    """Makes the pipelines and starts an ingestor. Returns it, and the pids of all processes: its own and those of the server."""
    world.create_topic(2)
    world.db.run("CREATE TABLE t (n int); ALTER TABLE t OWNER TO app")
    for i in range(PIPELINES):
        world.create_pipeline(name=f"p{i}", fields="n int", transform="SELECT n FROM event", target="t")
    ingestor = world.start_ingestor().wait_ready()
    positions = "SELECT count(*) FROM millrace.progress WHERE next_offset = 0"
    wait_for(lambda: world.db.value(positions) == 2 * PIPELINES, "all partitions are known")
    return ingestor, [ingestor.pid, *children(world.cluster.process.pid)]


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def run_seconds(pid):
    """Processor time of all threads, to the nanosecond: a tick of 10 ms sees little of what wakes up for microseconds."""
    total = 0
    for thread in threads(pid):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def wakeups(pids):
    """How often threads have gone to sleep so far."""
    total = 0
    for pid in pids:
        for thread in threads(pid):
            try:
                with open(f"/proc/{pid}/task/{thread}/status") as f:
                    total += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches:"))
            except OSError:
                pass
    return total


def wakeups_per_s(pids, window_s):
    before, start = wakeups(pids), time.monotonic()
    time.sleep(window_s)
    return (wakeups(pids) - before) / (time.monotonic() - start)


def used(pids, window_s):
    """What each process used in the window."""
    before = {pid: run_seconds(pid) for pid in pids}
    time.sleep(window_s)
    return {pid: run_seconds(pid) - before[pid] for pid in pids}
