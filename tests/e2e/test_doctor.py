"""doctor() on what only a whole system shows: reports of a real ingestor, retention, lag, a server without preload."""
import os
import signal
import time

from confluent_kafka.admin import RESOURCE_TOPIC, AdminClient, ConfigResource

from lib import acl
from lib.broker import Broker
from lib.cluster import Cluster
from lib.events import Events
from lib.ingestor import run_once
from lib.wait import wait_for
from test_kafka_shapes import good, produce

WEEK_MS = 7 * 24 * 3600 * 1000
MINUTE_MS = 60 * 1000


def findings(world, db=None):
    return [what for _, what, _, _ in (db or world.db).run("SELECT * FROM millrace.doctor()")]


def finding(world, words):
    """The row with these words, None when there is none."""
    rows = [row for row in world.db.run("SELECT * FROM millrace.doctor()") if words in row[1]]
    assert len(rows) <= 1, rows
    return rows[0] if rows else None


def about(world):
    return world.db.value("SELECT about FROM millrace.ingestor_reports WHERE pipeline = %s", (world.pipeline_name,)) or {}


def set_retention(world, ms):
    admin = AdminClient({"bootstrap.servers": world.broker.address})
    resource = ConfigResource(RESOURCE_TOPIC, world.topic, set_config={"retention.ms": str(ms)})
    admin.alter_configs([resource])[resource].result(120)


def test_ingestor_reports_on_itself(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    Events(1000, seed=401).send(world.broker, world.topic)
    world.wait_settled()
    wait_for(lambda: "retention_ms" in about(world), "all is reported")
    reported = about(world)
    version = run_once("--version")[1]
    assert set(reported) == {"version", "librdkafka", "libevent", "retention_ms"}
    assert f"millrace-ingestor {reported['version']} (librdkafka {reported['librdkafka']}," in version
    assert reported["libevent"].startswith("2.1.") and reported["retention_ms"] == WEEK_MS
    wait_for(lambda: findings(world) == [], "all is well")
    # what the topic keeps is looked at again
    set_retention(world, -1)
    os.kill(ingestor.pid, signal.SIGHUP)
    wait_for(lambda: about(world).get("retention_ms") == -1, "for ever")
    # and reported again on a new connection, to a database that knows nothing of it
    world.db.run("DELETE FROM millrace.ingestor_report")
    world.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace-ingestor' AND datname = current_database()")
    wait_for(lambda: about(world) == dict(reported, retention_ms=-1), "reported again")
    # one that is not asked of anybody any more
    world.db.run("SELECT millrace.report(%s, '{\"librdkafka\": \"1.9.2\"}')", (world.pipeline_name,))
    assert finding(world, "the ingestor runs with librdkafka 1.9.2")
    os.kill(ingestor.pid, signal.SIGHUP)
    wait_for(lambda: findings(world) == [], "it is the ingestor's word that counts")


def test_compacted_topic_keeps_for_ever(world):
    world.create_topic(cleanup_policy="compact", retention_ms=1000)
    world.create_pipeline()
    world.start_ingestor()
    wait_for(lambda: about(world).get("retention_ms") == -1, "for ever")


def test_retention_shorter_than_the_lag(world):
    world.create_topic(partitions=1)
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    produce(world, good(1, timestamp=int(time.time() * 1000) - 10 * MINUTE_MS))
    world.wait_settled()
    wait_for(lambda: about(world).get("retention_ms") == WEEK_MS, "a week")
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    produce(world, good(2))
    wait_for(lambda: world.db.value("SELECT lag FROM millrace.lag") == 1, "the lag is seen")
    wait_for(lambda: findings(world) == [f'pipeline "{world.pipeline_name}": paused'], "nothing else is said")
    set_retention(world, 12 * MINUTE_MS)
    os.kill(ingestor.pid, signal.SIGHUP)
    severity, what, detail, command = wait_for(lambda: finding(world, "is about to lose events"), "it is found")
    assert severity == "error" and "keeps messages for 00:12:00" in detail and f'retention.ms of topic "{world.topic}"' in command
    set_retention(world, WEEK_MS)
    os.kill(ingestor.pid, signal.SIGHUP)
    wait_for(lambda: not finding(world, "is about to lose events"), "it is repaired")
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    world.wait_settled()
    wait_for(lambda: findings(world) == [], "all is well")


def test_cluster_that_does_not_say_its_retention(world):
    """Its events come all the same, and what is not known is not guessed."""
    broker = Broker("strict", properties={"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                                          "allow.everyone.if.no.acl.found": "true"}).start()
    world.broker, shared = broker, world.broker
    try:
        world.create_topic()
        acl.add_topic_rules(broker, world.topic, (acl.ALL, acl.ALLOW), (acl.DESCRIBE_CONFIGS, acl.DENY))
        world.create_pipeline()
        ingestor = world.start_ingestor("--log-level", "debug").wait_ready()
        events = Events(1000, seed=402)
        events.send(broker, world.topic)
        world.wait_settled()
        world.check(events)
        wait_for(lambda: "could not ask for the topic's retention" in ingestor.log_text(), "it was refused")
        wait_for(lambda: set(about(world)) == {"version", "librdkafka", "libevent"}, "the rest is reported")
        wait_for(lambda: findings(world) == [], "all is well")
    finally:
        world.broker = shared
        for i in world.ingestors:
            i.kill()
        broker.stop()


def test_no_ingestor_any_more(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    wait_for(lambda: "retention_ms" in about(world) and world.db.value("SELECT count(*) FROM millrace.lag WHERE end_offset IS NOT NULL") == 6,
             "it has reported everything")
    ingestor.stop()
    assert findings(world) == []
    # three minutes later
    world.db.run("UPDATE millrace.watermark SET reported_at = reported_at - interval '3 min'")
    assert not finding(world, "has no ingestor"), "it reads nothing, but has reported on itself"
    world.db.run("UPDATE millrace.ingestor_report SET reported_at = reported_at - interval '3 min'")
    assert not finding(world, "has no ingestor"), "it was there a moment ago"
    world.db.run("UPDATE millrace.ingestor_presence SET seen_at = seen_at - interval '3 min'")
    severity, what, detail, command = wait_for(lambda: finding(world, "has no ingestor"), "the server is not young any more")
    assert severity == "error" and f'No ingestor has reported on topic "{world.topic}" since' in detail and "start millrace-ingestor" in command
    world.start_ingestor()
    wait_for(lambda: findings(world) == [], "there is one again")


def test_topic_that_does_not_exist(world):
    """An ingestor that can read nothing is not an absent one."""
    world.create_pipeline()
    world.start_ingestor()
    wait_for(lambda: about(world), "it is there")
    severity, what, detail, command = wait_for(lambda: finding(world, "its ingestor cannot read topic"), "it says so")
    assert severity == "error" and f'topic "{world.topic}" does not exist' in detail and f"--create-topic {world.topic}:" in command
    world.db.run("UPDATE millrace.pipeline SET created_at = created_at - interval '3 min'")
    assert finding(world, "its ingestor cannot read topic"), "one row, however long it lasts"
    assert not finding(world, "has no ingestor")
    world.create_topic()
    wait_for(lambda: findings(world) == [], "it is read")


def test_lag_of_a_running_pipeline(world):
    world.create_topic(partitions=1)
    world.create_pipeline()
    world.start_ingestor()
    produce(world, good(1, timestamp=int(time.time() * 1000) - 10 * MINUTE_MS))
    world.wait_settled()
    with world.db.session(autocommit=False) as s:
        s.run("LOCK TABLE reading IN EXCLUSIVE MODE")
        produce(world, good(2))
        severity, what, detail, command = wait_for(lambda: finding(world, "lags behind"), "it is found")
        assert severity == "warning" and "1 event waits;" in detail and "workers => 2" in command
    world.wait_settled()
    wait_for(lambda: findings(world) == [], "caught up")


def test_doctor_without_preload(broker):
    cluster = Cluster("nopreload", {"shared_preload_libraries": "'auto_explain'"}).init().start()
    try:
        db = cluster.create_database("nopreload")
        db.run("CREATE EXTENSION millrace")
        (severity, what, detail, command), = db.run("SELECT * FROM millrace.doctor()")
        assert (severity, what) == ("error", "millrace is not preloaded")
        assert command == "ALTER SYSTEM SET shared_preload_libraries = auto_explain, millrace; then restart the server"
        db.close()
        cluster.configure({"shared_preload_libraries": "'auto_explain, millrace'"})
        cluster.restart()
        wait_for(lambda: db.run("SELECT * FROM millrace.doctor()") == [], "all is well")
        db.close()
    finally:
        cluster.stop("immediate")
