"""Staging is a cache: it may fill, vanish or stay, and no event depends on it."""
import time

from lib.events import Events
from lib.wait import wait_for


def segments(world):
    return [r[0] for r in world.db.run("SELECT relation::regclass::text FROM millrace.segment ORDER BY 1")]


def staged_bytes(world):
    return sum(world.db.value("SELECT pg_relation_size(%s)", (s,)) for s in segments(world))


def block_target(world):
    """Holds a lock that no worker gets past."""
    locker = world.db.session(autocommit=False)
    locker.run("LOCK TABLE site IN ACCESS EXCLUSIVE MODE")
    return locker


def test_full_ring_pushes_back(world):
    """With the worker held up, staging stays bounded, the ingestor stays in its group, and all goes on after."""
    world.cluster.psql("postgres", "-c", "ALTER SYSTEM SET millrace.segment_size = '1MB'", "-c",
                       "ALTER SYSTEM SET millrace.ring_segments = 2", "-c", "SELECT pg_reload_conf()")
    try:
        world.create_topic()
        world.create_pipeline()
        ingestor = world.start_ingestor().wait_ready()
        locker = block_target(world)
        events = Events(150000, seed=81, broken=0.5)
        events.send(world.broker, world.topic)
        time.sleep(8)  # longer than a lock_timeout of the worker, so that its retries are in it
        size = staged_bytes(world)
        assert size < 40 * 1024 * 1024, f"{size} bytes staged, {segments(world)}"
        assert world.counters()["events"] < 150000
        assert ingestor.get("/livez")[0] == 200
        locker.close()
        world.wait_settled()
        world.check(events)
    finally:
        world.cluster.psql("postgres", "-c", "ALTER SYSTEM RESET millrace.segment_size", "-c",
                           "ALTER SYSTEM RESET millrace.ring_segments", "-c", "SELECT pg_reload_conf()")


def test_small_segments_turn_round_and_round(world):
    world.cluster.psql("postgres", "-c", "ALTER SYSTEM SET millrace.segment_size = '1MB'", "-c",
                       "SELECT pg_reload_conf()")
    try:
        world.create_topic()
        world.create_pipeline(workers=2)
        world.start_ingestor()
        events = Events(200000, seed=82, broken=0.5, filtered=1)
        events.send(world.broker, world.topic)
        world.wait_settled()
        world.check(events)
        assert len(segments(world)) < 40
    finally:
        world.cluster.psql("postgres", "-c", "ALTER SYSTEM RESET millrace.segment_size", "-c",
                           "SELECT pg_reload_conf()")


def fill_staging(world, events):
    """Stages events that cannot be settled yet; returns the lock's session."""
    locker = block_target(world)
    events.send(world.broker, world.topic)
    wait_for(lambda: staged_bytes(world) > 1000000, "events are staged")
    return locker


def test_crash_empties_staging(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    events = Events(30000, seed=83, broken=0.5)
    fill_staging(world, events)
    world.cluster.kill_postmaster()
    world.cluster.start()
    world.wait_settled()
    world.check(events)


def test_immediate_stop_empties_staging(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    events = Events(30000, seed=84, broken=0.5)
    fill_staging(world, events)
    world.cluster.restart("immediate")
    world.wait_settled()
    world.check(events)


def test_clean_restart_keeps_staging(world):
    """Unlogged rows survive a clean restart: what is in there must not be taken for new."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    events = Events(30000, seed=85, broken=0.5)
    locker = fill_staging(world, events)
    del locker
    ingestor.freeze()
    world.cluster.restart("fast")
    ingestor.thaw()
    world.wait_settled()
    world.check(events)


def test_vacuum_and_aborted_copies_on_segments(world):
    """Space that an aborted COPY left behind must not be filled out of order (the free space map is not used)."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    events = Events(120000, seed=86, pad=3000, broken=0.5)
    generator = world.start_generator(events, "--rate", "12000")
    for _ in range(8):
        time.sleep(0.8)
        # the lane's backend dies in the middle of whatever it does, a COPY likely
        world.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ingestor'")
        for segment in segments(world):
            try:
                world.db.run(f"VACUUM {segment}")
            except Exception as e:  # it may have been dropped or be locked in between
                assert "does not exist" in str(e) or "lock" in str(e), e
    generator.popen.wait(300)
    world.wait_settled()
    assert ingestor.alive()
    world.check(events)


def test_staging_is_not_logged(world):
    """A staging commit writes no WAL of its own: staged, not settled."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    wait_for(lambda: segments(world), "lanes")
    world.db.run("CHECKPOINT")
    locker = block_target(world)
    events = Events(50000, seed=87)
    before = world.db.value("SELECT pg_current_wal_insert_lsn()")
    events.send(world.broker, world.topic)
    wait_for(lambda: staged_bytes(world) > 8000000, "events are staged")
    written = world.db.value("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", (before,))
    locker.close()
    assert written < 4000000, f"{written} bytes of WAL for staging"
    world.wait_settled()
    world.check(events)
