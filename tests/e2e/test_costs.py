"""What one event may cost the others: time, locks and memory. The lane is played by hand, so that neighbours are neighbours
for sure."""
import json

import pytest

from lib.wait import wait_for
from test_broken_memory import PROCESSES, own_memory_mb
from test_target_changes import Feed

TIMEOUT_S = 4
GOOD = 300


def payloads(bad):
    good = [f'{{"n":{n},"v":"{n}"}}' for n in range(1, GOOD + 1)]
    return [*good[:200], bad, *good[200:]]


# It counts its naps where no rollback reaches: how long it ran, at most, however busy the machine was.
NAP_S = 0.05
ENDLESS_DDL = f"""CREATE SEQUENCE naps; CREATE FUNCTION endless() RETURNS int LANGUAGE plpgsql AS $$
                  BEGIN LOOP PERFORM pg_sleep({NAP_S}); PERFORM nextval('naps'); END LOOP; END $$;"""
ENDLESS = {
    "transform": ("CREATE TABLE t (n int, v text)", "SELECT n, v FROM event WHERE n > 0 OR endless() IS NULL"),
    # a trigger after the row is fired when all rows have been inserted: it is not known for which one
    "trigger_after": ("""CREATE TABLE t (n int, v text); CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN IF new.n < 0 THEN PERFORM endless(); END IF; RETURN new; END $$;
                   CREATE TRIGGER refuse AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()""", "SELECT n, v FROM event"),
}


@pytest.mark.parametrize("where", ENDLESS)
def test_an_endless_event_costs_little_more_than_its_first_timeout(world, where):
    """With its retries, of which there are as many as by default."""
    ddl, transform = ENDLESS[where]
    feed = Feed(world, ENDLESS_DDL + ddl, transform=transform, statement_timeout=f"{TIMEOUT_S} s", retry_delay="10 ms", retry_factor=1, dlq="off")
    feed.send(*payloads('{"n":-1,"v":"endless"}')).settled()
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(GOOD, GOOD)]
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter") == 1, "the dead letter")
    assert world.db.run("SELECT sqlstate, ended, attempts FROM millrace.dead_letter") == [("57014", "exhausted", 4)]
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]
    ran_s = NAP_S * world.db.value("SELECT last_value FROM naps WHERE is_called")
    assert ran_s <= 1.5 * TIMEOUT_S, f"{ran_s:.2f} s"  # 5 times without bounds


MANY = 2000
CHILDREN = f"""CREATE TABLE parent (n int PRIMARY KEY, v text); INSERT INTO parent SELECT generate_series(1, {MANY});
               CREATE TABLE t (n int REFERENCES parent, v text)"""


@pytest.mark.parametrize("blocked", [1, 20])
def test_locked_rows_cost_one_wait(world, blocked):
    """However many they are: they go to retry together, the others are written at once. The server logs each wait of more than a
    second; lock_timeout is five."""
    world.db.run(f"ALTER ROLE app IN DATABASE {world.db.name} SET log_lock_waits = on")
    feed = Feed(world, CHILDREN, retry_delay="8 s", retry_factor=1, max_retries=1000, dlq="off")  # not in the batch's time
    with world.db.session(autocommit=False) as locker:
        locker.run("SELECT FROM parent WHERE n %% %s = 7 FOR UPDATE", (MANY // blocked,))
        log = world.cluster.log_position()
        feed.send(*[f'{{"n":{n}}}' for n in range(1, MANY + 1)]).settled()
        waits = world.cluster.log_text(log).count("still waiting for ")
        assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(MANY - blocked, MANY - blocked)]
        assert world.db.run("SELECT DISTINCT history -> 0 ->> 'sqlstate' FROM millrace.retry") == [("55P03",)]
        assert waits == 1  # not one at each level of the halving, which are eleven
    wait_for(lambda: world.counters()["written"] == MANY, "the blocked ones are written")
    assert world.db.value("SELECT count(*) FROM millrace.dead_letter") == 0


def test_an_upsert_does_not_wait_for_rows_that_refer_to_its_row(world):
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old'); CREATE TABLE child (n int REFERENCES t)",
                on_conflict="update", conflict_key=["n"], dlq="off")
    with world.db.session("app", autocommit=False) as other:
        other.run("INSERT INTO child VALUES (1)")
        feed.send('{"n":1,"v":"new"}').settled()
        assert feed.rows() == [(1, "new")]
        assert world.db.value("SELECT count(*) FROM millrace.retry") == 0


def test_an_upsert_of_nothing_but_a_key(world):
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1)", transform="SELECT n FROM event",
                on_conflict="update", conflict_key=["n"], dlq="off")
    counters = feed.send('{"n":1}', '{"n":2}').settled()
    assert counters["written"] == 2 and feed.rows("SELECT n FROM t ORDER BY 1") == [(1,), (2,)]


class peak_of_worker:
    """The most memory of its own that the worker has in the block, until all is settled that was sent there."""

    def __init__(self, feed):
        self.feed, self.mb = feed, 0

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        def settled():
            self.mb = max([self.mb] + [own_memory_mb(pid) for pid, in self.feed.world.db.run(PROCESSES)])
            return self.feed.world.positions() == self.feed.lane.positions
        if not failed:
            wait_for(settled, "settled", every=0.005)


def test_rows_of_a_batch_are_bounded_in_bytes(world):
    """A batch of small events that give 4 MB each is settled in parts; an event that gives 80 MB is a dead letter."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)", dlq="off", max_retries=0, rows_per_event=100,
                transform="SELECT event.n, repeat(event.v, 400000) AS v FROM event CROSS JOIN LATERAL"
                          " generate_series(1, CASE WHEN event.n < 0 THEN 20 ELSE 1 END)")
    with peak_of_worker(feed) as peak:
        feed.send(*[f'{{"n":{n},"v":"0123456789"}}' for n in [*range(1, 60), -1, *range(60, 100)]])
    assert feed.rows("SELECT count(*), count(DISTINCT n), min(length(v)), max(length(v)) FROM t") == [(99, 99, 4000000, 4000000)]
    letter, = world.db.run("SELECT sqlstate, stage, message, hint FROM millrace.dead_letter")
    assert letter[:3] == ("54000", "transform", "the event gives more than 65536 kB of rows") and "millrace.batch_memory" in letter[3]
    assert 2 < peak.mb < 160, f"{peak.mb:.0f} MB"  # of 470 MB of rows
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]


def test_attempts_that_fail_leave_no_rows_in_memory(world):
    """Sorted, all rows of an attempt but the bad event's come out before it fails, and the batch is halved: 60 MB, 30, 15 …"""
    feed = Feed(world, """CREATE TABLE t (n int, v text); CREATE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
                IF n > 299 THEN RAISE 'too high'; END IF; RETURN n; END $f$""", dlq="off", max_retries=0,
                transform="SELECT f(event.n) AS n, repeat(event.v, 20000) AS v FROM event ORDER BY event.n")
    with peak_of_worker(feed) as peak:
        feed.send(*[f'{{"n":{n},"v":"0123456789"}}' for n in [*range(150), 300, *range(150, 300)]])
    assert feed.rows("SELECT count(*) FROM t") == [(300,)]
    assert 2 < peak.mb < 130, f"{peak.mb:.0f} MB"


DOCUMENTS = {  # of 8 MB in all: the payload, and the most MB that the worker may have
    "numbers": (dict(fields=None, transform="SELECT (event.payload -> 0)::int AS n, 'x' AS v FROM event"),
                lambda n: "[" + ",".join("1" for _ in range(4000)) + "]", 110),
    "objects": (dict(fields=None, transform="SELECT (event.payload -> 'n')::int AS n, 'x' AS v FROM event"),
                lambda n: json.dumps({"n": n, "v": [{"c": 1}] * 900}), 90),
    "array": (dict(fields="n int, v numeric[]", transform="SELECT event.n, v[1]::text AS v FROM event"),
              lambda n: json.dumps({"n": n, "v": [1] * 2600}, separators=(",", ":")), 70),
}


@pytest.mark.parametrize("form", DOCUMENTS)
def test_decoding_keeps_values_only(world, form):
    """The parse of a document takes some fifty times its bytes: for one event at a time, not for the batch."""
    more, payload, bound = DOCUMENTS[form]
    feed = Feed(world, "CREATE TABLE t (n int, v text)", dlq="off", **more)
    with peak_of_worker(feed) as peak:
        feed.send(*[payload(n) for n in range(1000)])
    assert feed.rows("SELECT count(*) FROM t") == [(1000,)]
    assert 2 < peak.mb < bound, f"{peak.mb:.0f} MB"


def test_large_defaults_are_written_a_few_at_a_time(world):
    """A page of rows is buffered by the bytes of all its values, not only of those that the transform gives."""
    feed = Feed(world, "CREATE TABLE t (n int, v text, w text DEFAULT repeat(random()::text, 12000))", dlq="off")
    with peak_of_worker(feed) as peak:
        feed.send(*[f'{{"n":{n}}}' for n in range(1000)])
    assert feed.rows("SELECT count(*) FROM t WHERE length(w) > 100000") == [(1000,)]
    assert 2 < peak.mb < 60, f"{peak.mb:.0f} MB"


def test_headers_and_keys_count_in_a_batch(world):
    """Ten staged batches of 10 MB of headers are not read at once."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)", dlq="off")
    with peak_of_worker(feed) as peak, world.db.session(autocommit=False) as locker:
        locker.run("LOCK TABLE t")
        feed.send('{"n":0}')  # the worker waits with it, and reads the rest together
        for i in range(10):
            feed.lane.send(0, [b'{"n":1}'] * 10, headers=bytes(1000000))
    assert feed.rows("SELECT count(*) FROM t") == [(101,)]
    assert 2 < peak.mb < 60, f"{peak.mb:.0f} MB"
