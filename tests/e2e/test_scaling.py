"""What docs/scaling.md says can be added while events flow: partitions, ingestors, workers. Nothing is lost or doubled."""
from lib.events import Events
from lib.wait import wait_for


def settled_more(world, sent):
    """Events beside the generator's, which may be done by now."""
    before = world.counters()["events"]
    sent.append(Events(2000, seed=1302 + len(sent), broken=0.5).send(world.broker, world.topic))
    wait_for(lambda: world.counters()["events"] >= before + 2000, "2000 events more", 120)


def alter(world, **settings):
    call = ", ".join(f"{name} => %({name})s" for name in settings)
    with world.db.session("app") as s:
        s.run(f"SELECT millrace.alter_pipeline(%(pipeline)s, {call})", dict(settings, pipeline=world.pipeline_name))


def lanes(world):
    return world.db.value("SELECT count(*) FROM millrace.lanes WHERE pipeline = %s AND writer_pid > 0", (world.pipeline_name,))


def test_more_of_everything_under_load_and_less_again(world):
    world.create_topic(partitions=2)
    world.create_pipeline()
    world.start_ingestor("--topic-refresh", "1s", "--poll-interval", "500ms", topic_metadata_refresh_interval_ms="1000").wait_ready()
    # a producer that sees new partitions while it runs
    events = Events(150000, seed=1301, broken=0.5, filtered=2)
    sent = []
    generator = world.start_generator(events, "--rate", "10000", "-X", "topic.metadata.refresh.interval.ms=1000")
    settled_more(world, sent)
    world.broker.add_partitions(world.topic, 6)
    wait_for(lambda: len(world.positions()) == 6, "the new partitions are known", 90)
    alter(world, workers=3)
    wait_for(lambda: lanes(world) >= 3, "a lane for each worker", 90)
    settled_more(world, sent)
    second = world.start_ingestor("--topic-refresh", "1s", "--poll-interval", "500ms").wait_ready()
    wait_for(lambda: second.metric("millrace_ingestor_partitions") > 0, "the second one has partitions", 90)
    settled_more(world, sent)
    alter(world, workers=1)
    settled_more(world, sent)
    assert second.stop() == 0
    assert generator.popen.wait(300) == 0, generator.tail()
    world.wait_settled(180)
    assert all(next_offset > 0 for next_offset in world.positions().values()), "some of the new partitions have events"
    world.check(events, *sent)
