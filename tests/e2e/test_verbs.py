"""Verbs beside each other, in sessions that hold their locks."""
import psycopg2
import pytest

from lib.events import Events
from lib.wait import holds_for, wait_for


def test_replay_preview_blocks_nobody(world):
    """BEGIN; replay() shows how many there are: until it is rolled back the ingestor and the other verbs go on."""
    world.create_topic(2)
    world.create_pipeline()
    with world.db.session("app") as preview, world.db.session("ingestor") as ingestor, world.db.session("app") as owner:
        preview.run("BEGIN")
        assert preview.value("SELECT millrace.replay(%s)", (world.pipeline_name,)) == 0
        ingestor.run("SET lock_timeout = '60s'")
        assert ingestor.value("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,)) == 2
        owner.run("SET lock_timeout = '60s'")
        owner.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        owner.run("SELECT millrace.alter_pipeline(%s, workers => 2)", (world.pipeline_name,))
        owner.run("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            owner.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
        preview.run("ROLLBACK")
        owner.run("SET lock_timeout = '60s'")
        owner.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))


def test_two_verbs_close_no_loop_of_dlqs(world):
    """Each alone would be allowed: the second waits for the first, and is refused. Other verbs do not wait."""
    one, two = world.topic + ".one", world.topic + ".two"
    world.create_pipeline(name="other", dlq="off")
    world.db.run("CREATE TABLE t (id uuid); ALTER TABLE t OWNER TO app")
    create = ("SELECT millrace.create_pipeline(%s, topic => %s, dlq => %s, target => 't', fields => 'id uuid',"
              " transform => 'SELECT event.id FROM event')")
    with world.db.session("app") as first, world.db.session("app") as second:
        first.run("BEGIN")
        first.run(create, ("a", one, two))
        second.run("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            second.run(create, ("b", two, one))
        second.run("SELECT millrace.alter_pipeline('other', workers => 2)")
        first.run("COMMIT")
        with pytest.raises(psycopg2.errors.InvalidParameterValue):
            second.run(create, ("b", two, one))


def test_two_verbs_do_not_exceed_the_workers_of_a_role_together(world):
    """Neither sees the pipeline of the other: the one that commits last is refused. Until then nobody waits."""
    def create(session, name):
        session.run("SET lock_timeout = '60s'")
        session.run("BEGIN")
        session.run("SELECT millrace.create_pipeline(%s, topic => %s, dlq => 'off', workers => 10, target => 'reading', fields => 'id uuid',"
                    " transform => 'SELECT event.id, ''a'' AS type, ''b'' AS source, ''c'' AS site, now() AS ts, 1 AS value, ''d'' AS unit,"
                    " event.partition AS kafka_partition, event.\"offset\" AS kafka_offset FROM event')", (name, world.topic))
    with world.db.session("app") as first, world.db.session("app") as second:
        create(first, "a")
        create(second, "b")
        first.run("COMMIT")
        with pytest.raises(psycopg2.errors.ConfigurationLimitExceeded, match="would have 20 workers, expected at most 16"):
            second.run("COMMIT")
    assert world.db.run("SELECT name FROM millrace.pipelines") == [("a",)]


def test_a_revoked_topic_is_not_served(world):
    """Neither its events are read nor its dead letters published, until it is granted again."""
    world.create_topic(2)
    world.create_pipeline()
    world.start_ingestor()
    first, second = Events(2000, seed=171, broken=1), Events(2000, seed=172, broken=1)
    unpublished = "SELECT count(*) FROM millrace.dead_letter WHERE published_at IS NULL"
    first.send(world.broker, world.topic)
    world.wait_settled()
    wait_for(lambda: world.db.value(unpublished) == 0, "published")

    served = "SELECT count(*) FROM millrace.lanes WHERE writer_pid IS NOT NULL"
    world.db.run("SELECT millrace.revoke_topics('app')")
    wait_for(lambda: world.db.value(served) == 0, "no ingestor has a lane")
    assert world.db.run("SELECT status, hint FROM millrace.pipelines") == [
        ("topic not granted", f"As a superuser: SELECT millrace.grant_topics('app', read => '{{{world.topic}}}');")]
    second.send(world.broker, world.topic)
    holds_for(lambda: world.counters()["events"] == 2000, "nothing is read", 2)

    world.db.run("SELECT millrace.grant_topics('app', read => ARRAY[%s])", (world.topic,))
    world.wait_settled()
    world.check(first, second)
    left = world.db.value(unpublished)
    assert left > 0
    holds_for(lambda: world.db.value(unpublished) == left, "nothing is published", 2)

    world.db.run("SELECT millrace.grant_topics('app', dlq => ARRAY[%s])", (world.topic + ".dlq",))
    wait_for(lambda: world.db.value(unpublished) == 0, "published")


def test_creation_says_what_samples_show(world):
    """A key that no field reads, and a sample that fails, are said when the pipeline is made, which it is all the same."""
    with world.db.session("app") as app:
        app.run("CREATE TABLE r (id int)")
        del app.connection.notices[:]
        app.run("SELECT millrace.create_pipeline('r', topic => 'r', dlq => 'off', target => 'r', fields => 'id int', transform => 'SELECT id FROM event',"
                """ samples => ARRAY['{"id": 1, "more": 2}', '{"id": "x"}'])""")
        said = "".join(app.connection.notices)
        assert "NOTICE:  no field reads key more of the samples\nHINT:  Declare it in fields" in said, said
        assert "WARNING:  sample 2 fails in stage decode" in said, said
        assert app.value("SELECT count(*) FROM r") == 0 and app.value("SELECT status FROM millrace.pipelines WHERE name = 'r'") is not None
        del app.connection.notices[:]
        app.run("SELECT millrace.create_pipeline('s', topic => 'r', dlq => 'off', target => 'r', fields => 'id int', transform => 'SELECT id FROM event')")
        assert "samples" not in "".join(app.connection.notices)
