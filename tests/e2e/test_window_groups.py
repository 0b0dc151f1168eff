"""What is grouped by never repeats: as many groups as events. The window keeps no more than it may, and the pipeline goes on."""
import os
import time

from lib.events import Events
from lib.wait import LIMIT, wait_for
from test_windows import window

EVENTS = int(os.environ.get("WINDOW_GROUPS", 300_000))  # 10,000,000, the default of max_groups, takes minutes and 4 GB of the disk
PARTITIONS = 6
MAX_GROUPS = EVENTS // 15
PATIENCE = max(LIMIT, EVENTS // 10_000)
LAST_WINDOW = EVENTS % (PARTITIONS * 6000)  # events, by the transform: they are open, and less than MAX_GROUPS


def test_groups_that_never_repeat(world):
    world.create_topic(PARTITIONS)
    world.db.run("CREATE TABLE t (id uuid NOT NULL, at timestamptz NOT NULL); ALTER TABLE t OWNER TO app")
    world.create_pipeline(fields="id uuid NOT NULL", target="t", dlq="off",
                          transform="""SELECT event.id, timestamptz '2026-01-01 00:00:00+00' + event."offset" * interval '10 ms' AS at FROM event""")
    window(world, "w", group_by=["id"], max_groups=MAX_GROUPS, lateness="1 h")
    world.start_ingestor(wait=False)
    Events(EVENTS, seed=11).send(world.broker, world.topic)
    world.wait_settled(PATIENCE)
    assert world.counters()["written"] == EVENTS

    # all that is closed and too much leaves, though nothing comes any more; what is open stays
    groups = lambda: world.db.value("SELECT groups FROM millrace.windows")
    wait_for(lambda: groups() <= MAX_GROUPS, "no more groups than there may be", PATIENCE)
    assert groups() >= LAST_WINDOW
    kept_from = world.db.value("SELECT kept_from FROM millrace.windows WHERE left_at IS NOT NULL")
    id = world.db.value("SELECT id FROM millrace.window_definition")
    assert world.db.value(f"SELECT count(*) FROM millrace._window_{id}_folded") <= MAX_GROUPS
    # what is kept is whole
    assert world.db.run("""SELECT count(*), count(*) FILTER (WHERE n = 1) FROM millrace.window_w""") == world.db.run(
        "SELECT count(*), count(*) FROM t WHERE at >= %s", (kept_from,))
    with world.db.session("app") as s:
        assert s.value("SELECT count(*) FROM millrace.doctor() WHERE what ~ '^window \"w\": (its oldest windows leave early|too many groups are open)'") > 0


def test_a_worker_waits_for_the_fold(world):
    """Partial values that nobody folds do not pile up: the worker waits, staging fills, and Kafka has the rest."""
    world.create_topic(PARTITIONS)
    world.db.run("CREATE TABLE t (id uuid NOT NULL, at timestamptz NOT NULL); ALTER TABLE t OWNER TO app")
    world.create_pipeline(fields="id uuid NOT NULL", target="t", dlq="off", batch_rows=10000,
                          transform="""SELECT event.id, timestamptz '2026-01-01 00:00:00+00' + event."offset" * interval '10 ms' AS at FROM event""")
    window(world, "w", group_by=["id"])
    id = world.db.value("SELECT id FROM millrace.window_definition")
    with world.db.session(autocommit=False) as s:
        assert s.value("SELECT millrace._lock_window(%s, true)", (id,))  # as another process that folds and does not end
        world.start_ingestor(wait=False)
        Events(EVENTS, seed=12).send(world.broker, world.topic)
        written = lambda: world.counters()["written"]
        wait_for(lambda: written() >= 200000 and world.db.value("SELECT staged_waiting FROM millrace.stats") > 0, "so many that it goes no further")
        for _ in range(20):  # however long it is looked at; a worker that goes on is seen sooner or later
            assert world.db.value("SELECT sum(n) FROM millrace.window_w") <= 210000
            time.sleep(0.1)
        s.connection.rollback()
    world.wait_settled()
    assert world.db.run("SELECT count(*), sum(n) FROM millrace.window_w")[0] == (EVENTS, EVENTS)
