"""Nothing but broken events: what the workers hold of them is bounded."""
from lib.events import Events
from lib.wait import wait_for

EVENTS = 200000
BOUND_MB = 160  # a worker's own memory; a clean stream takes about 60

# Whichever serves a worker: it may change at any moment.
PROCESSES = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace worker' AND datname = current_database()"


def own_memory_mb(pid):
    """Without shared buffers, which are no worker's."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0


def test_memory_is_bounded_when_every_event_is_broken(world):
    world.create_topic()
    events = Events(EVENTS, seed=95, broken=50, db_refused=50)
    events.send(world.broker, world.topic)
    world.create_pipeline(workers=2, dlq="off")
    world.start_ingestor()
    peak = 0

    def settled():
        nonlocal peak
        peak = max([peak] + [own_memory_mb(pid) for pid, in world.db.run(PROCESSES)])
        return world.counters()["events"] == EVENTS
    wait_for(settled, "all settled", every=0.02)
    assert peak > 5 and peak < BOUND_MB, f"{peak:.0f} MB"
    print(f"peak {peak:.0f} MB")
    world.check(events)
