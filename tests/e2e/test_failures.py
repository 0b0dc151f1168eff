"""Events that fail: tried again, given up, sent back; and trouble that is nobody's fault. The lane is played by hand
where Kafka does not matter."""
import random
import string

from lib.cluster import ConnectionLost
from lib.events import Events
from lib.lane import Lane
from lib.wait import wait_for

from test_exactly_once import kill_backend
from test_target_changes import Feed

QUICK = dict(retry_delay="50 ms", retry_factor=1.5, retry_max_delay="300 ms")
PARENT = "CREATE TABLE parent (n int PRIMARY KEY); CREATE TABLE t (n int REFERENCES parent, v text)"


def dead(world, columns="ended, attempts, sqlstate, jsonb_array_length(history)"):
    return world.db.run(f"SELECT {columns} FROM millrace.dead_letter ORDER BY id")


def retrying(world):
    return world.db.value("SELECT count(*) FROM millrace.retry")


def test_a_retry_succeeds_when_its_cause_goes(world):
    feed = Feed(world, PARENT, retry_delay="300 ms", max_retries=20).send('{"n":1,"v":"a"}')
    feed.settled()
    assert retrying(world) == 1 and feed.rows() == []
    feed.ddl("INSERT INTO parent VALUES (1)")
    wait_for(lambda: feed.rows() == [(1, "a")], "the retry")
    wait_for(lambda: world.counters()["written"] == 1, "counted")
    assert retrying(world) == 0 and dead(world) == []
    assert world.db.value("SELECT retrying FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,)) == 0


def test_a_large_event_is_tried_again(world):
    """Its row in millrace.retry has its bytes out of line: they are removed with it, and when it is written again."""
    text = "".join(random.Random(1).choices(string.ascii_letters, k=20000))
    feed = Feed(world, PARENT, max_retries=1000, **QUICK).send(f'{{"n":1,"v":"{text}"}}')
    wait_for(lambda: (world.db.value("SELECT max(attempts) FROM millrace.retry") or 0) > 1, "tried again")
    feed.ddl("INSERT INTO parent VALUES (1)")
    wait_for(lambda: feed.rows() == [(1, text)], "the retry")
    wait_for(lambda: retrying(world) == 0, "settled")


def test_attempts_never_exceed_the_limit(world):
    feed = Feed(world, PARENT, max_retries=2, **QUICK).send(*(f'{{"n":{i}}}' for i in range(20)))
    wait_for(lambda: len(dead(world)) == 20, "all given up")
    assert set(dead(world)) == {("exhausted", 3, "23503", 3)}
    details = "SELECT count(*) FROM millrace.dead_letter WHERE history -> -1 ->> 'detail' = detail AND detail LIKE 'Key (n)=%'"
    assert world.db.value(details) == 20
    assert retrying(world) == 0 and feed.settled()["dead"] == 20


def test_permanent_errors_are_not_retried(world):
    Feed(world, "CREATE TABLE t (n int CHECK (n > 0), v text)", **QUICK).send('{"n":-1}', '{"n":"x"}').settled()
    assert [d[:3] for d in dead(world)] == [("permanent", 1, "23514"), ("permanent", 1, "22P02")]


def test_error_classes_can_be_edited(world):
    feed = Feed(world, "CREATE TABLE t (n int CONSTRAINT positive CHECK (n > 0), v text)", max_retries=1, **QUICK)
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('23514', 'retry', pipeline => %s, constraint_name => 'positive')",
              (world.pipeline_name,))
    feed.send('{"n":-1}')
    wait_for(lambda: len(dead(world)) == 1, "given up")
    assert dead(world) == [("exhausted", 2, "23514", 2)]
    last = world.db.value("SELECT history -> -1 FROM millrace.dead_letter")
    assert last["constraint_name"] == "positive"
    assert world.db.value("SELECT to_jsonb((%s)::timestamptz) #>> '{}'", (last["at"],)) == last["at"]


def test_too_old(world):
    Feed(world, PARENT, max_retries=1000, retry_delay="100 ms", retry_factor=1, retry_age="1 s").send('{"n":1}')
    wait_for(lambda: len(dead(world)) == 1, "given up")
    assert dead(world, "ended") == [("too_old",)]


def test_replay_after_a_repair(world):
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n > 0), v text)").send('{"n":-1}', '{"n":-2}', '{"n":3}')
    feed.settled()
    feed.ddl("ALTER TABLE t DROP CONSTRAINT t_n_check; ALTER TABLE t ADD CHECK (n > -2)")
    with world.db.session("app") as s:
        assert s.value("SELECT millrace.replay(%s)", (world.pipeline_name,)) == 2
    states = "SELECT state, replay_count, changed_at > failed_at FROM millrace.dead_letter ORDER BY id"
    wait_for(lambda: world.db.run(states) == [("replayed", 0, True), ("open", 1, None)], "replayed")
    assert feed.rows("SELECT n FROM t ORDER BY 1") == [(-1,), (3,)]
    counters = world.counters()
    assert (counters["events"], counters["written"], counters["dead"]) == (3, 2, 1)


def test_breaker_opens_for_a_missing_table_and_closes(world):
    feed = Feed(world, "CREATE TABLE t (n int, v text); CREATE TABLE lookup (n int, v text)",
                transform="SELECT event.n, lookup.v FROM event LEFT JOIN lookup ON lookup.n = event.n").send('{"n":1}')
    feed.settled()
    feed.ddl("ALTER TABLE lookup RENAME TO hidden")
    feed.send(*(f'{{"n":{i}}}' for i in range(2, 12)))
    state = "SELECT state FROM millrace.breaker"
    wait_for(lambda: world.db.value(state) == "open", "open")
    assert dead(world) == [] and retrying(world) == 0
    feed.ddl("ALTER TABLE hidden RENAME TO lookup")
    feed.settled()
    wait_for(lambda: world.db.value(state) == "closed", "closed")
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(11, 11)]


def test_breaker_with_a_long_reason_closes(world):
    """The reason lies out of line; the worker that opened the breaker closes it."""
    feed = Feed(world, "CREATE TABLE t (n int, v text); CREATE FUNCTION broken() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION USING ERRCODE = '58030', MESSAGE = (SELECT string_agg(md5(i::text), '') "
                "FROM generate_series(1, 200) AS i); END $$", transform="SELECT n, v FROM event WHERE (SELECT broken())")
    worker = "SELECT pid FROM millrace.workers WHERE pipeline = %s"
    pid = wait_for(lambda: world.db.value(worker, (world.pipeline_name,)), "a worker")
    feed.send('{"n":1,"v":"a"}')
    wait_for(lambda: (world.db.value("SELECT length(reason) FROM millrace.breaker WHERE state = 'open'") or 0) > 1900, "open")
    feed.ddl("CREATE OR REPLACE FUNCTION broken() RETURNS bool LANGUAGE sql AS 'SELECT true'")
    wait_for(lambda: world.db.value("SELECT state FROM millrace.breaker") == "closed", "closed")
    assert feed.rows() == [(1, "a")] and world.db.value(worker, (world.pipeline_name,)) == pid


def test_breaker_opens_on_a_share_of_failures(world):
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n > 0), v text)", failure_share=0.5, failure_window=10)
    feed.send(*(f'{{"n":{-i}}}' for i in range(1, 21)))
    wait_for(lambda: world.db.value("SELECT state FROM millrace.breaker") == "open", "open")
    assert dead(world) == []
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, failure_share => 0)", (world.pipeline_name,))
    wait_for(lambda: len(dead(world)) == 20, "settled")


def kill_something(world, draw):
    """kill -9 of a worker (the postmaster restarts everything) or of the postmaster."""
    if draw.random() < 0.3:
        world.cluster.kill_postmaster()
        world.cluster.start()
        return
    pids = query(world, "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'millrace worker%'")
    if pids:
        kill_backend(world.cluster, draw.choice(pids)[0])


def query(world, sql):
    """The rows, or None while the server is away."""
    try:
        return world.db.run(sql)
    except ConnectionLost:
        return None


def test_exactly_once_through_retries_and_kills(world):
    """Foreign keys come late, a fifth at a time; worker and postmaster are killed meanwhile."""
    draw = random.Random()
    feed = Feed(world, PARENT, max_retries=1000, retry_delay="100 ms", retry_factor=1.2, retry_max_delay="500 ms",
                retry_age="1 hour")
    feed.send(*(f'{{"n":{i},"v":"x"}}' for i in range(1000)))
    feed.settled()
    for i in range(5):
        insert = f"INSERT INTO parent SELECT generate_series({i * 200}, {i * 200 + 199}) ON CONFLICT DO NOTHING"
        wait_for(lambda: query(world, insert) is not None, "parents")
        kill_something(world, draw)
    wait_for(lambda: query(world, "SELECT count(*), count(DISTINCT n) FROM t") == [(1000, 1000)], "all rows")
    wait_for(lambda: world.counters()["written"] == 1000, "counted")
    assert retrying(world) == 0 and dead(world) == []


def test_dry_run_leaves_nothing(world):
    Feed(world, "CREATE TABLE t (n int CHECK (n > 0), v text)")
    with world.db.session("app") as s:
        s.run("SELECT pg_advisory_lock(4711)")
        found = s.run("SELECT outcome, sqlstate, rows FROM millrace.dry_run(%s, ARRAY['{\"n\":1}', '{\"n\":-1}', '{', NULL])",
                      (world.pipeline_name,))
        assert s.value("SELECT pg_advisory_unlock(4711)"), "the session's own lock is left alone"
    assert [f[:2] for f in found] == [("written", None), ("dead", "23514"), ("dead", "22032"), ("dead", "22004")]
    assert found[0][2] == [{"n": 1, "v": None}]
    assert world.db.value("SELECT count(*) FROM t") == 0 and dead(world) == []


def test_dry_run_of_many_that_fail(world):
    """A worker would settle them in parts; a dry run has one part."""
    Feed(world, "CREATE TABLE t (n int PRIMARY KEY CHECK (n % 2 = 0), v text)")
    samples = [f'{{"n":{i}}}' for i in range(300)]
    with world.db.session("app") as s:
        found = s.run("SELECT outcome, count(*) FROM millrace.dry_run(%s, %s) GROUP BY 1 ORDER BY 1", (world.pipeline_name, samples))
        assert found == [("dead", 150), ("written", 150)]
        s.run("SELECT millrace.alter_pipeline(%s, on_conflict => 'update', conflict_key => '{n}')", (world.pipeline_name,))
        found = s.run("SELECT outcome, count(*) FROM millrace.dry_run(%s, %s) GROUP BY 1 ORDER BY 1", (world.pipeline_name, ['{"n":1}'] * 120))
        assert found == [("dead", 120)]


def test_dry_run_that_fails_leaves_the_session_usable(world):
    """Trouble of the pipeline is raised out of the rolled-back subtransaction."""
    Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text)")
    with world.db.session("app") as s:
        s.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
              "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$")
        s.run("CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION refuse()")
        try:
            s.run("SELECT * FROM millrace.dry_run(%s, ARRAY['{\"n\":1}'])", (world.pipeline_name,))
            assert False, "no error"
        except Exception as e:
            assert "no" in str(e)
        assert s.value("SELECT count(*) FROM t") == 0


def test_all_broken(world):
    """Every event fails, in decode or in the database: each is one dead letter, and it takes no age."""
    world.create_topic()
    world.create_pipeline(workers=2)
    events = Events(20000, seed=91, broken=50, db_refused=50)
    world.start_ingestor().wait_ready()
    events.send(world.broker, world.topic)
    world.wait_settled()
    world.check(events)


def test_times_of_a_timeline_ascend(world):
    """An event cannot be dead before it failed, nor replayed before that; a try that failed has the same time everywhere."""
    feed = Feed(world, PARENT, dlq="off", max_retries=1, **QUICK)
    feed.send('{"n":1}', *['{"n":2}'] * 50).settled()
    wait_for(lambda: world.counters()["dead"] == 51, "all dead")
    world.db.run("INSERT INTO parent VALUES (1)")
    with world.db.session("app") as s:
        s.run("SELECT millrace.replay(%s, \"where\" => '\"offset\" = 0')", (world.pipeline_name,))
    wait_for(lambda: world.counters()["written"] == 1, "the replay passes")
    with world.db.session("app") as s:
        for offset, steps in [(0, ["failed", "failed", "dead", "replayed"]), (50, ["failed", "failed", "dead"])]:
            line = s.value("SELECT detail -> 'timeline' FROM millrace.event_status(%s, 0, %s)", (world.topic, offset))
            line = [e for e in line if e["what"] in steps]
            assert [e["what"] for e in line] == steps
            at = [e["at"] for e in line]
            assert at == sorted(at) and at[1] == at[2], at
