"""Nothing lost, nothing twice: the happy path, and processes killed at any moment."""
import os
import random
import signal
import time

import pytest

from lib.cluster import ConnectionLost
from lib.events import Events
from lib.process import wait_gone
from lib.wait import wait_for


def test_every_event_ends_in_one_place(world):
    world.create_topic()
    events = Events(100000, seed=11, broken=2, db_refused=0.5, filtered=5, unknown=0.5, tombstones=0.2)
    events.send(world.broker, world.topic, "--headers")
    world.create_pipeline()
    world.start_ingestor()
    world.wait_settled()
    world.check(events)
    # the coordinate of each row is its own
    assert world.db.value("SELECT count(*) FROM (SELECT DISTINCT kafka_partition, kafka_offset FROM reading) AS d") \
        == world.db.value("SELECT count(*) FROM reading")


def test_mixed_sizes(world):
    world.create_topic()
    events = Events(20000, seed=12, pad=12000, broken=1)
    world.create_pipeline(workers=2)
    world.start_ingestor()
    events.send(world.broker, world.topic)
    world.wait_settled()
    world.check(events)


def test_events_that_come_while_it_runs(world):
    """One at a time and in bursts: batches of one event and of thousands."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    slow = Events(1500, seed=13, filtered=3, broken=1)
    slow.send(world.broker, world.topic, "--rate", "500")
    burst = Events(50000, seed=14, filtered=3, broken=1)
    burst.send(world.broker, world.topic)
    world.wait_settled()
    world.check(slow, burst)


def dice():
    """Other moments and victims in each run; SEED=… throws the same again."""
    seed = int(os.environ.get("SEED", time.time()))
    print(f"SEED={seed}")
    return random.Random(seed)


def kill_ingestor(world, draw):
    ingestor = draw.choice([i for i in world.ingestors if i.alive()])
    ingestor.kill()
    ingestor.start(wait=False)


def kill_worker(world, draw):
    """A worker's kill -9 makes the postmaster restart everything."""
    def find():
        try:
            return [r[0] for r in world.db.run("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'millrace worker%'")]
        except ConnectionLost:
            return None
    wait_for(lambda: (pids := find()) and kill_backend(world.cluster, draw.choice(pids)), "a worker is killed")


def kill_backend(cluster, pid):
    """Whether it was there to be killed; returns when the server is back."""
    position = cluster.log_position()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    wait_for(lambda: "ready to accept connections" in cluster.log_text(position), "the server is back")
    return True


def kill_postmaster(world, _draw):
    world.cluster.kill_postmaster()
    world.cluster.start()


def kill_broker(world, _draw):
    world.broker.kill()
    world.broker.start()


def test_twenty_kills(world):
    draw = dice()
    world.create_topic()
    world.create_pipeline(workers=2)
    for _ in range(2):
        world.start_ingestor()
    events = Events(400000, seed=21, broken=1, db_refused=0.05, filtered=3)
    # with several requests in flight librdkafka 2.0 may lose the order of its sequence numbers when a broker is killed, and give up
    world.start_generator(events, "--rate", "8000", "-X", "max.in.flight.requests.per.connection=1",
                          "-X", "message.timeout.ms=900000")
    victims = [kill_ingestor, kill_worker, kill_postmaster, kill_broker] * 5
    draw.shuffle(victims)
    for victim in victims:
        time.sleep(draw.uniform(0.2, 1.5))  # any moment: not after a condition
        victim(world, draw)
    world.processes[0].popen.wait(300)
    assert world.processes[0].popen.returncode == 0, world.processes[0].tail()
    world.wait_settled()
    world.check(events)


def test_twenty_rebalances(world):
    """Three ingestors, one of them always leaving or coming, by SIGTERM or kill -9."""
    draw = dice()
    world.create_topic(partitions=6)
    world.create_pipeline(workers=2)
    for _ in range(3):
        world.start_ingestor().wait_ready()
    events = Events(300000, seed=34, broken=0.5, filtered=2)
    generator = world.start_generator(events, "--rate", "10000")
    for n in range(10):
        ingestor = draw.choice(world.ingestors)
        if n % 3 == 2:
            ingestor.kill()
        else:
            ingestor.wait_live()  # before its first line a program cannot catch the signal
            assert ingestor.stop() == 0, ingestor.process.tail()
        time.sleep(draw.uniform(0.1, 0.6))  # the group changes again before it has come to rest
        ingestor.start(wait=False)
        time.sleep(draw.uniform(0.1, 0.8))
    generator.popen.wait(300)
    world.wait_settled()
    world.check(events)


def test_stopped_ingestor_wakes_after_its_partitions_moved(world):
    world.create_topic()
    world.create_pipeline()
    sleeper = world.start_ingestor().wait_ready()
    events = Events(120000, seed=41, broken=0.5, filtered=2)
    generator = world.start_generator(events, "--rate", "8000")
    wait_for(lambda: world.counters()["events"] > 10000, "the first ingestor works")
    sleeper.freeze()
    before = world.counters()["events"]
    other = world.start_ingestor()
    wait_for(lambda: world.counters()["events"] > before + 20000, "the second one has taken over")
    sleeper.thaw()
    generator.popen.wait(300)
    world.wait_settled()
    assert other.alive()
    world.check(events)


@pytest.mark.alone
@pytest.mark.parametrize("how, seconds", [("kill", 15), ("stop", 2)])
def test_takeover(world, how, seconds):
    """The promised times, with the group timeouts users have by default."""
    world.create_topic()
    world.create_pipeline()
    first = world.start_ingestor(session_timeout_ms="10000").wait_ready()
    second = world.start_ingestor(session_timeout_ms="10000").wait_ready()
    generator = world.start_generator(Events(10 ** 6, seed=51), "--rate", "500")
    wait_for(lambda: all(i.metric("millrace_ingestor_events_total") > 100 for i in (first, second)), "both work")
    gone = time.monotonic()
    getattr(first, how)()

    # from now on: a partition of the one that went may still have had a batch in flight
    before = world.positions()
    wait_for(lambda: all(now > before[p] for p, now in world.positions().items()), "all partitions move again", seconds + 5)
    took = time.monotonic() - gone
    generator.kill()
    assert took <= seconds, f"took {took:.1f} s"
    assert second.alive()


def test_sigterm_drains(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    generator = world.start_generator(Events(10 ** 6, seed=52), "--rate", "5000")
    wait_for(lambda: world.counters()["events"] > 5000, "it works")
    begin = time.monotonic()
    assert ingestor.stop() == 0, ingestor.process.tail()
    assert time.monotonic() - begin < 20
    wait_gone(ingestor.pid)
    generator.kill()
    # its lanes are free again: no session of it is left
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ingestor'") == 0,
             "its sessions are gone")
