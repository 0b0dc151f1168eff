"""Connections that break at the worst moment, hang, or never come."""

from lib.events import Events
from lib.proxy import Proxy
from lib.wait import holds_for, wait_for


def test_cut_between_commit_and_its_answer(world):
    """The batch may be committed or not: nothing is sent again, the position is asked."""
    proxy = Proxy(world.cluster, cut_every=7)
    try:
        world.create_topic()
        world.create_pipeline(workers=2)
        ingestor = world.start_ingestor("--batch-rows", "200", dsn=proxy.dsn(world.db.name, "ingestor"))
        events = Events(40000, seed=131, broken=1, filtered=1)
        events.send(world.broker, world.topic)
        wait_for(lambda: proxy.cuts >= 5, "several cuts")
        proxy.cut_every = 0
        world.wait_settled()
        assert ingestor.alive()
        world.check(events)
    finally:
        proxy.close()


def test_silent_connection(world):
    """Nothing comes through any more, and no connection is closed (a cable, a firewall). Another ingestor takes over;
    what the first one still has in its pipes is not written when it comes through."""
    proxy = Proxy(world.cluster)
    try:
        world.create_topic()
        world.create_pipeline()
        first = world.start_ingestor(dsn=proxy.dsn(world.db.name, "ingestor")).wait_ready()
        events = Events(60000, seed=132, broken=0.5)
        generator = world.start_generator(events, "--rate", "6000")
        wait_for(lambda: world.counters()["events"] > 5000, "it works")
        proxy.blocked.set()
        first.freeze()
        before = world.counters()["events"]
        world.start_ingestor()
        wait_for(lambda: world.counters()["events"] > before + 5000, "the other one works")
        first.thaw()
        proxy.blocked.clear()
        generator.popen.wait(300)
        world.wait_settled()
        world.check(events)
    finally:
        proxy.blocked.clear()
        proxy.close()


def test_database_down_for_a_while(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    world.cluster.stop()
    events = Events(10000, seed=133)
    events.send(world.broker, world.topic)
    wait_for(lambda: ingestor.get("/readyz")[0] != 200, "not ready")
    wait_for(lambda: "no connection to PostgreSQL: " in ingestor.get("/readyz")[1], "and why")
    wait_for(lambda: "of partition 0 is not open: " in ingestor.get("/readyz")[1], "and why of the lane")
    holds_for(lambda: ingestor.get("/livez")[0] == 200, "alive without a database", 2)
    world.cluster.start()
    world.wait_settled()
    world.check(events)


def test_broker_down_for_a_while(world):
    world.create_topic()
    world.create_pipeline()
    first = Events(2000, seed=134)
    first.send(world.broker, world.topic)
    ingestor = world.start_ingestor().wait_ready()
    world.wait_settled()
    world.broker.stop()
    holds_for(ingestor.alive, "alive", 3)
    world.broker.start()
    second = Events(2000, seed=135)
    second.send(world.broker, world.topic)
    world.wait_settled()
    world.check(first, second)


def test_started_before_everything_else(world):
    """No topic, no pipeline, no extension yet: it waits and says so, and begins when they are there."""
    world.db.run("DROP EXTENSION millrace")
    ingestor = world.start_ingestor()
    holds_for(lambda: ingestor.alive() and ingestor.get("/readyz")[0] != 200, "alive, not ready", 2)
    assert "schema \"millrace\" does not exist" in ingestor.get("/readyz")[1]
    assert ingestor.log_text().count("call failed") <= 2, "the same failure is logged once"
    world.db.run("CREATE EXTENSION millrace")
    world.grant(world.db)
    world.create_pipeline()
    # between the two it may have found a database without pipelines, for which it is ready
    wait_for(lambda: "cannot read topic" in ingestor.get("/readyz")[1], "the topic is named")
    holds_for(lambda: ingestor.alive() and ingestor.get("/readyz")[0] != 200, "alive, not ready without a topic", 1)
    world.create_topic()
    events = Events(3000, seed=136)
    events.send(world.broker, world.topic)
    world.wait_settled()
    world.check(events)


def test_cancel_in_the_middle_of_a_copy(world):
    """An error that comes while a batch is being sent (a cancel, a full disk): libpq has read it before the COPY ends.
    The lane notices, and goes on with a new assignment."""
    world.create_topic()
    world.create_pipeline(workers=2)
    ingestor = world.start_ingestor("--batch-rows", "20000", "--batch-bytes", "8MB").wait_ready()
    events = Events(400000, seed=137, broken=0.1, filtered=1)
    generator = world.start_generator(events, "--rate", "60000")
    canceled = 0
    while generator.alive():
        canceled += world.db.value("""SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity
                                      WHERE datname = current_database() AND state = 'active' AND query LIKE '%COPY%'
                                      AND usename = 'ingestor'""")
    assert generator.popen.wait(300) == 0
    assert canceled >= 10, f"only {canceled} cancels met a COPY"
    world.wait_settled()
    assert ingestor.alive()
    world.check(events)
