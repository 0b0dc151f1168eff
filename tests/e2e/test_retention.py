"""Dead letters that have ended are deleted, and nothing else changes: under an old snapshot, and while the pipeline runs."""
from lib.wait import wait_for
from test_target_changes import Feed


def test_ended_letters_go(world):
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n < 100), v text)", dead_letter_retention="1 s", dlq="off")
    feed.send(*(f'{{"n":{n}}}' for n in (1, 200, 201, 202, 203))).settled()
    letters = lambda: [n for n, in world.db.run("SELECT \"offset\" FROM millrace.dead_letters ORDER BY 1")]
    assert letters() == [1, 2, 3, 4]
    with world.db.session("app") as s, world.db.session("app", autocommit=False) as old:
        old.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.run("SELECT FROM millrace.stats")
        s.run("SELECT millrace.discard(%s, '\"offset\" IN (1, 2, 3)')", (world.pipeline_name,))
        assert s.value("SELECT millrace.purge_dead_letters(%s, '\"offset\" = 1')", (world.pipeline_name,)) == 1
        wait_for(lambda: letters() == [4], "the others go by themselves")
        assert old.value("SELECT count(*) FROM millrace.dead_letters") == 4  # as before
        counters = feed.send('{"n":2}', '{"n":300}').settled()
    assert letters() == [4, 6]
    assert (counters["events"], counters["written"], counters["dead"]) == (7, 2, 5)
    by = world.db.run("SELECT verb, by, count FROM millrace.dead_letter_actions ORDER BY at")
    assert by[-1] == ("purge", "dead_letter_retention", 2)
    # what the counters around it say
    assert world.db.value("SELECT status FROM millrace.event_status(%s, 0, 2)", (world.topic,)) in ("settled", "processed", "dead")
