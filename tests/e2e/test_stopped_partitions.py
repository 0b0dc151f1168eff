"""What is said of partitions that are not read: stopped, held, or given to somebody else by the group. And each command
that is printed works when it is pasted."""
import pytest
from confluent_kafka import Consumer

from lib.commands import commands_of
from lib.events import Events
from lib.kafka_records import delete_records
from lib.wait import holds_for, wait_for


def stopped_hint(world, partition=0):
    return wait_for(lambda: world.db.value("SELECT hint FROM millrace.partition WHERE partition = %s AND state = 'stopped'",
                                           (partition,)), "the partition is stopped")


def lag(world, partition=0):
    names = ("end_offset", "lag", "lost", "behind", "start_offset")
    return dict(zip(names, world.db.run(
        f"SELECT {', '.join(names)} FROM millrace.lag WHERE partition = %s", (partition,))[0]))


def status(world, offset, partition=0):
    with world.db.session("app") as s:
        return s.run("SELECT status, detail ->> 'reason' FROM millrace.event_status(%s, %s, %s)", (world.topic, partition, offset))[0]


def paste(world, command):
    with world.db.session("app") as s:
        s.run(command)


@pytest.mark.parametrize("kept", [500, 0])
def test_retention_was_faster_than_a_restart(world, kept):
    """The end that was reported before is a few seconds old, and wrong. kept: what Kafka still has, of 3000."""
    world.create_topic(partitions=1)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(2000, seed=131).send(world.broker, world.topic)
    world.wait_settled()
    wait_for(lambda: lag(world)["end_offset"] == 2000, "the end is reported")
    ingestor.stop()
    Events(3000, seed=132).send(world.broker, world.topic)
    delete_records(world.broker, world.topic, 0, 5000 - kept)
    ingestor.start()
    hint = stopped_hint(world)
    expected = (5000, 3000, 3000 - kept, 5000 - kept)
    found = wait_for(lambda: tuple((found := lag(world))[k] for k in ("end_offset", "lag", "lost", "start_offset")) == expected and found,
                     f"the ends are known again, and are {expected}")
    assert found["behind"].total_seconds() > 0
    wait_for(lambda: world.db.value("SELECT lag FROM millrace.stats") == 3000, "statistics say the same")
    assert status(world, 2000)[0] == status(world, 4999 - kept)[0] == "lost"
    if kept:
        assert status(world, 5000 - kept)[0] == "pending" and "stopped" in status(world, 5000 - kept)[1]
    command, = commands_of(hint)
    paste(world, command)
    world.wait_settled()
    assert world.counters()["events"] == 2000 + kept
    assert status(world, 2000)[0] == "left_out"
    wait_for(lambda: lag(world)["lag"] == 0, "no lag is left")


def test_the_hint_works_as_soon_as_it_is_there(world):
    world.create_topic(partitions=1)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    for round_ in range(3):
        first = Events(100, seed=133 + 2 * round_).send(world.broker, world.topic)
        world.wait_settled()
        wait_for(lambda: lag(world)["end_offset"] == world.broker.watermarks(world.topic)[0][1], "the end is reported")
        ingestor.stop()
        Events(100, seed=134 + 2 * round_).send(world.broker, world.topic)
        delete_records(world.broker, world.topic, 0, world.broker.watermarks(world.topic)[0][1])
        ingestor.start()
        paste(world, commands_of(stopped_hint(world))[0])
        world.wait_settled()
    assert first and world.counters()["events"] == 300


@pytest.mark.parametrize("choice, settled", [(0, 9000), (1, 5000)])
def test_a_recreated_topic(world, choice, settled):
    """Offsets have passed the position. The hint offers all that there is now, and to go on at the position."""
    world.create_topic(partitions=1)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(4000, seed=135).send(world.broker, world.topic)
    world.wait_settled()
    ingestor.stop()
    world.broker.delete_topic(world.topic)
    world.create_topic(partitions=1)
    Events(9000, seed=136).send(world.broker, world.topic)
    ingestor.start()
    hint = stopped_hint(world)
    assert status(world, 4500)[0] == "pending" and "not the one" in status(world, 4500)[1]
    wait_for(lambda: (behind := lag(world)["behind"]) and behind.total_seconds() > 0, "it is said how far it is behind")
    paste(world, commands_of(hint)[choice])
    world.wait_settled()
    assert world.counters()["events"] == 4000 + settled


@pytest.mark.parametrize("choice, settled", [(0, 1000), (1, 0)])
def test_a_shorter_topic(world, choice, settled):
    """The position is beyond its end. The hint offers all that there is now, and to go on at its end."""
    world.create_topic(partitions=1)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(4000, seed=137).send(world.broker, world.topic)
    world.wait_settled()
    ingestor.stop()
    world.broker.delete_topic(world.topic)
    world.create_topic(partitions=1)
    Events(1000, seed=138).send(world.broker, world.topic)
    ingestor.start()
    hint = stopped_hint(world)
    wait_for(lambda: (found := lag(world))["lag"] is None and found["behind"] and found["behind"].total_seconds() > 0, "the lag is not known")
    paste(world, commands_of(hint)[choice])
    world.wait_settled()
    Events(500, seed=139).send(world.broker, world.topic)
    world.wait_settled()
    assert world.counters()["events"] == 4000 + settled + 500


def test_a_stopped_partition_keeps_its_lag(world):
    """Its end goes on in Kafka, and is seen."""
    world.create_topic(partitions=2)
    world.create_pipeline()
    world.start_ingestor()
    Events(2000, seed=140).send(world.broker, world.topic)
    world.wait_settled()
    epoch = world.db.value("SELECT epoch FROM millrace.partition WHERE partition = 1")
    assert world.db.value("SELECT millrace.stop_partition(%s, 1, %s, 'a test', 'resume it')", (world.pipeline_name, epoch))
    before = world.positions()[1]
    Events(2000, seed=141).send(world.broker, world.topic)
    end = world.broker.watermarks(world.topic)[1][1]
    wait_for(lambda: lag(world, 1)["lag"] == end - before > 0, "the lag is shown")
    wait_for(lambda: (behind := lag(world, 1)["behind"]) and behind.total_seconds() > 0, "it is said how far it is behind")
    paste(world, f"SELECT millrace.resume('{world.pipeline_name}')")
    world.wait_settled()


def test_a_paused_pipeline_shows_how_much_waits(world):
    """Its lane is blocked and nothing is fetched: the end that the last fetch saw is not the end."""
    world.cluster.psql("postgres", "-c", "ALTER SYSTEM SET millrace.segment_size = '1MB'", "-c",
                       "ALTER SYSTEM SET millrace.ring_segments = 2", "-c", "SELECT pg_reload_conf()")
    try:
        world.create_topic(partitions=1)
        world.create_pipeline()
        ingestor = world.start_ingestor("--hold-after", "500ms")
        Events(100, seed=142).send(world.broker, world.topic)
        world.wait_settled()
        paste(world, f"SELECT millrace.pause('{world.pipeline_name}')")
        first = Events(60000, seed=143).send(world.broker, world.topic)
        wait_for(lambda: 'state="held"} 1' in ingestor.get("/metrics")[1], "the partition is held")
        second = Events(40000, seed=144).send(world.broker, world.topic)
        wait_for(lambda: lag(world)["end_offset"] == 100100, "the end is seen")
        assert lag(world)["lag"] == 100000
        assert 'millrace_ingestor_end_offset{pipeline="%s",topic="%s",partition="0"} 100100' % (world.pipeline_name, world.topic) in ingestor.get("/metrics")[1]
        delete_records(world.broker, world.topic, 0, 99000)
        wait_for(lambda: lag(world)["lost"] == 98900, "what is lost is shown")
        command = wait_for(lambda: world.db.value("SELECT command FROM millrace.doctor() WHERE what LIKE '%%has lost events'", ()), "doctor() has a command")
        paste(world, command)
        paste(world, f"SELECT millrace.resume('{world.pipeline_name}')")
        world.wait_settled()
        assert world.counters()["events"] == 1200 and first and second
    finally:
        world.cluster.psql("postgres", "-c", "ALTER SYSTEM RESET millrace.segment_size", "-c",
                           "ALTER SYSTEM RESET millrace.ring_segments", "-c", "SELECT pg_reload_conf()")


def test_partitions_that_the_group_gives_to_somebody_else(world):
    """A stranger in the consumer group has half of them: their ends are reported all the same."""
    world.create_topic(partitions=4)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(2000, seed=145).send(world.broker, world.topic)
    world.wait_settled()
    group = world.db.value("SELECT group_id FROM millrace.ingestor_pipelines()")
    stranger = Consumer({"bootstrap.servers": world.broker.address, "group.id": group, "enable.auto.commit": "false",
                         "partition.assignment.strategy": "cooperative-sticky", "log_level": "0"})
    try:
        stranger.subscribe([world.topic])
        wait_for(lambda: (stranger.poll(0.1), len(stranger.assignment()) == 2)[1], "the stranger has two")
        wait_for(lambda: (stranger.poll(0.1), ingestor.metric("millrace_ingestor_settled_offset") >= 0)[1], "it is polled")
        taken = sorted(p.partition for p in stranger.assignment())
        before = world.positions()
        Events(2000, seed=146).send(world.broker, world.topic)
        ends = [high for _, high in world.broker.watermarks(world.topic)]
        # as if half a minute had passed
        world.db.run("UPDATE millrace.watermark SET reported_at = reported_at - interval '1 min' WHERE partition = ANY (%s)", (taken,))
        wait_for(lambda: (stranger.poll(0.1), all(lag(world, p)["lag"] == ends[p] - before[p] > 0 for p in taken))[1],
                 "the lag of its partitions is shown")
    finally:
        stranger.close()
    world.wait_settled()
    # those that come back are reported by their new owner
    wait_for(lambda: all(lag(world, p)["lag"] is not None for p in range(4)), "all are known")
    holds_for(lambda: all(lag(world, p)["lag"] is not None for p in range(4)), "all are known", 1)
