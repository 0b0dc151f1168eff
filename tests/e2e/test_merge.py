"""merge: an upsert that builds on the old row. Each event takes effect once, in order, wherever a batch is cut."""
import random

import pytest
from confluent_kafka import Producer

from lib.lane import Lane
from lib.wait import wait_for
from test_deletes import Keyed, doc
from test_failures import QUICK, kill_something

COUNT = "hits = old.hits + new.hits, big = coalesce(new.big, old.big), trail = old.trail || new.trail"
ROW = "CREATE TABLE t (id bigint PRIMARY KEY, hits bigint, big int, trail text, changes int NOT NULL DEFAULT 0)"
FIELDS = dict(fields="op text, id bigint, hits bigint, big int, trail text", transform="SELECT id, hits, big, trail FROM event")
# What is seen of the rows between: each of these makes the stored row differ from the one that is written.
SHAPES = {
    "plain": ROW,
    "generated": ROW.replace("changes int", "twice bigint GENERATED ALWAYS AS (hits * 2) STORED, changes int"),
    "partitioned": ROW + " PARTITION BY HASH (id); CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
                         "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "triggers": ROW + """; CREATE TABLE seen (id bigint, hits bigint);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.id, NEW.hits); RETURN NULL; END $$;
        CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
        CREATE FUNCTION adds() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changes := OLD.changes + 1; RETURN NEW; END $$;
        CREATE TRIGGER adds BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION adds()""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_events_of_one_batch_build_on_each_other(world, shape):
    feed = Keyed(world, SHAPES[shape], merge=COUNT, **FIELDS)
    feed.send(*((None, doc(id=i % 3, hits=1, trail=f"{i} ", **({"big": i} if i % 5 == 0 else {}))) for i in range(30)))
    counters = feed.settled()
    assert (counters["written"], counters["rows"], counters["superseded"], counters["dead"]) == (30, 30, 0, 0)
    trail = lambda k: "".join(f"{i} " for i in range(k, 30, 3))
    assert feed.rows("SELECT id, hits, big, trail FROM t ORDER BY 1") == [(0, 10, 15, trail(0)), (1, 10, 25, trail(1)), (2, 10, 20, trail(2))]
    if shape == "generated":
        assert feed.rows("SELECT DISTINCT twice FROM t") == [(20,)]
    if shape == "triggers":  # each event's row is seen
        assert feed.rows("SELECT changes FROM t") == [(9,), (9,), (9,)]
        assert feed.rows("SELECT id, hits FROM seen ORDER BY 1, 2") == [(k, n) for k in range(3) for n in range(1, 11)]


def test_columns_that_are_not_named(world):
    """They get the new value; those of the target alone can be assigned to; the first row is inserted as it is."""
    feed = Keyed(world, ROW, **dict(FIELDS, merge="hits = old.hits + new.hits, changes = old.changes + 1"))
    feed.send((None, doc(id=1, hits=1, big=5, trail="a")), (None, doc(id=1, hits=2, trail="b"))).settled()
    assert feed.rows("SELECT * FROM t") == [(1, 3, None, "b", 1)]


def test_a_row_between_that_the_table_refuses(world):
    """CHECK is asked for the row of each event, not for the last one alone."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, hits bigint CONSTRAINT no_debt CHECK (hits >= 0), last bigint NOT NULL)",
                 fields="id bigint, hits bigint, last bigint", transform="SELECT id, hits, last FROM event",
                 merge="hits = old.hits + new.hits, last = nullif(new.last, 5)")
    amounts = [10, -4, -9, 3, -9, 1]  # the third is refused; the fifth leaves nothing; the sixth has no last
    feed.send(*((None, doc(id=1, hits=n, last=i)) for i, n in enumerate(amounts)))
    counters = feed.settled()
    assert feed.rows("SELECT * FROM t") == [(1, 0, 4)]
    assert (counters["written"], counters["dead"]) == (4, 2)
    assert [(offset, sqlstate) for _, _, _, sqlstate, _, _, offset, *_ in world.dead_letters()] == [(2, "23514"), (5, "23502")]


@pytest.mark.parametrize("more", ["", "; CREATE UNIQUE INDEX ON t (name)"])
def test_events_that_carry_a_part_of_the_row(world, more):
    """What the table demands of a row, the merged one must have; that of an event only where there is no row yet."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, gone int, name text NOT NULL CHECK (name <> ''), city text DEFAULT 'none', hits int NOT NULL DEFAULT 0);"
                        "ALTER TABLE t DROP COLUMN gone" + more,
                 fields="id bigint, name text, city text", transform="SELECT id, name, city FROM event",
                 merge="name = coalesce(new.name, old.name), city = coalesce(new.city, old.city), hits = old.hits + 1")
    feed.send((None, doc(id=1, name="a")), (None, doc(id=1, city="Oslo")), (None, doc(id=2, city="Rome")), (None, doc(id=2, name="b"))).settled()
    counters = feed.send((None, doc(id=1, city="Bergen")), (None, doc(id=2, city="Rome")), (None, doc(id=2, city="Bari"))).settled()
    assert feed.rows("SELECT * FROM t ORDER BY 1") == [(1, "a", "Bergen", 2), (2, "b", "Bari", 2)]
    assert (counters["written"], counters["dead"]) == (6, 1)


def test_two_lanes_merge_the_same_keys(world):
    """No order between partitions, and each event once all the same."""
    world.create_topic(partitions=4)
    with world.db.session("app") as s:
        s.run(ROW)
    world.create_pipeline(target="t", on_conflict="update", conflict_key=["id"], fields=FIELDS["fields"], transform=FIELDS["transform"],
                          merge="hits = old.hits + new.hits", delete_when="op = 'd' AND id < 0", workers=2, batch_rows=500)
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 5})
    draw = random.Random(7)
    total = [0] * 30
    for i in range(20000):
        key = draw.randrange(30)
        total[key] += 1
        producer.produce(world.topic, doc(id=key, hits=1), partition=i % 4)
    producer.flush(120)
    world.start_ingestor()
    world.wait_settled()
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 0, "no retries")
    assert [n for _, n in world.db.run("SELECT id, hits FROM t ORDER BY id")] == total
    assert world.counters()["dead"] == 0


@pytest.mark.parametrize("insert_again", (False, True))
def test_a_row_that_comes_while_the_statement_runs(world, insert_again):
    """The row of another transaction, inserted, or deleted and inserted again, is not there for an UPDATE that has begun: it waits for row 1 here."""
    with world.db.session("app") as s:
        s.run(ROW)
        s.run("INSERT INTO t (id, hits) VALUES (1, 100)")
        if insert_again:
            s.run("INSERT INTO t (id, hits) VALUES (2, 100)")
    world.create_pipeline(target="t", on_conflict="update", conflict_key=["id"], merge="hits = old.hits + new.hits", **FIELDS)
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0])
    other = world.db.session("app", autocommit=False)
    other.run("SELECT FROM t WHERE id = 1 FOR UPDATE")
    other.run("DELETE FROM t WHERE id = 2")
    other.run("INSERT INTO t (id, hits) VALUES (2, 200)")
    lane.send(0, [doc(id=i, hits=1) for i in (1, 2, 2, 3)])
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM millrace.workers)") == 1, "the worker waits")
    other.run("COMMIT")
    other.close()
    wait_for(lambda: world.positions() == lane.positions, "settled")
    assert world.db.run("SELECT id, hits FROM t ORDER BY id") == [(1, 101), (2, 202), (3, 1)]
    assert world.counters()["written"] == 4


def test_a_merge_that_fails(world):
    """The event's failure, at stage write; what is behind it follows the rule of ordering."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, hits bigint)", fields="id bigint, hits bigint", transform="SELECT id, hits FROM event",
                 merge="hits = old.hits * 10 + 6 / new.hits", max_retries=2, ordering="key", retry_delay="1 h")
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (world.pipeline_name,))
    feed.send(*((b"a", doc(id=1, hits=n)) for n in (1, 2, 0, 3, 6)), *((b"b", doc(id=2, hits=n)) for n in (1, 6, 3))).settled()
    assert feed.rows("SELECT * FROM t ORDER BY 1") == [(1, 13), (2, 112)]
    state = 'SELECT "offset", state FROM millrace.retries WHERE pipeline = %s ORDER BY 1'
    assert world.db.run(state, (world.pipeline_name,)) == [(2, "retrying"), (3, "parked"), (4, "parked")]
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, max_retries => 0, retry_delay => '0')", (world.pipeline_name,))
        world.db.run("UPDATE millrace.retry SET next_at = now() WHERE state = 'retrying'")
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    wait_for(lambda: world.counters()["dead"] == 1 and not world.db.run(state, (world.pipeline_name,)), "what was parked goes on")
    assert feed.rows("SELECT * FROM t ORDER BY 1") == [(1, 1321), (2, 112)]


def test_several_rows_of_an_event(world):
    """They go in by the order of the events, whichever keys they share; all of an event's or none."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, trail text CHECK (trail NOT LIKE '%x%'))", fields="ids bigint[], v text",
                 transform="SELECT id, v AS trail FROM event CROSS JOIN LATERAL unnest(ids) AS id", merge="trail = old.trail || new.trail")
    feed.send(*((None, doc(ids=ids, v=v)) for v, ids in (("a", [3, 5]), ("b", [1, 5, 5]), ("x", [5, 2]), ("c", [2, 5, 3]), ("d", [1]))))
    counters = feed.settled()
    assert feed.rows("SELECT * FROM t ORDER BY 1") == [(1, "bd"), (2, "c"), (3, "ac"), (5, "abbc")]
    assert (counters["written"], counters["rows"], counters["dead"]) == (4, 9, 1)


def test_newer_by_and_deletes(world):
    feed = Keyed(world, ROW, **dict(FIELDS, transform="SELECT id, hits, big, trail FROM event", merge="hits = old.hits + new.hits", newer_by="big",
                                    delete_when="op = 'd'"))
    feed.send(*((None, doc(op=op, id=1, hits=1, big=n, trail=f"{n}")) for op, n in
                (("u", 5), ("u", 4), ("u", 6), ("d", 3), ("u", 6), ("d", 7), ("u", 1), ("u", 2), ("u", 0))))
    counters = feed.settled()
    assert feed.rows("SELECT id, hits, big, trail FROM t") == [(1, 2, 2, "2")]
    assert (counters["written"], counters["superseded"]) == (6, 3)


@pytest.mark.parametrize("shape", ["plain", "triggers"])
def test_a_hot_key(world, shape):
    """All events of a large batch are of one key."""
    n = 20000 if shape == "plain" else 3000
    feed = Keyed(world, SHAPES[shape], merge="hits = old.hits + new.hits", **FIELDS)
    for _ in range(n // 1000):
        feed.send(*[(None, doc(id=1, hits=1))] * 1000)
    counters = feed.settled()
    assert feed.rows("SELECT hits FROM t") == [(n,)] and counters["written"] == n


@pytest.mark.parametrize("shape", ["plain", "triggers", "partitioned"])
def test_against_a_model(world, shape):
    """Sums and trails of each key are those of its events, each once, whatever fails, whoever is killed, with two lanes."""
    seed = random.SystemRandom().randrange(10**9)
    draw = random.Random(seed)
    partitions = 4
    world.create_topic(partitions=partitions)
    with world.db.session("app") as s:
        s.run(SHAPES[shape] + """; CREATE FUNCTION stumble(n bigint) RETURNS bigint VOLATILE LANGUAGE plpgsql AS $$
          BEGIN IF random() < 0.01 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = 'ZZ002'; END IF; RETURN n; END $$""")
    world.create_pipeline(target="t", on_conflict="update", conflict_key=["id"], fields=FIELDS["fields"], transform=FIELDS["transform"],
                          merge=COUNT.replace("new.hits", "stumble(new.hits)"), delete_when="op = 'd'", ordering="key", workers=2,
                          batch_rows=draw.choice([3, 50, 20000]), max_retries=1000, **QUICK)
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('ZZ002', 'retry', pipeline => %s)", (world.pipeline_name,))
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 5})
    table, sent = {}, 3000
    for i in range(sent):
        key = draw.choice([0, draw.randrange(10), draw.randrange(100)])
        op = draw.choices("ud", [20, 1])[0]
        big = draw.choice([None, i])
        if op == "d":
            table.pop(key, None)
        else:
            hits, old, trail = table.get(key, (0, None, ""))
            table[key] = (hits + 1, big if big is not None else old, trail + f"{i} ")
        producer.produce(world.topic, doc(op=op, id=key, hits=1, big=big, trail=f"{i} "), str(key), partition=key % partitions)
    producer.flush(120)
    world.start_ingestor()
    for _ in range(2):
        kill_something(world, draw)
    wait_for(lambda: world.lag() == 0 and world.db.value("SELECT count(*) FROM millrace.retry") == 0, f"all settled (seed {seed})", 90, every=0.2)
    found = {id_: rest for id_, *rest in world.db.run("SELECT id, hits, big, trail FROM t")}
    wrong = {k: (found.get(k), table.get(k)) for k in found.keys() | table.keys() if found.get(k) != (list(table[k]) if k in table else None)}
    assert not wrong, f"seed {seed}: {wrong}"
    counters = world.counters()
    assert counters["dead"] == 0 and counters["events"] == sent == counters["written"] + counters["superseded"], f"seed {seed}: {counters}"


def test_many_rows_of_one_event_and_key(world):
    """More than are written in rounds as a rule: a batch of one event cannot be made smaller."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, n bigint, twice bigint GENERATED ALWAYS AS (n * 2) STORED)", fields="n int",
                 transform="SELECT 1 AS id, 1 AS n FROM event CROSS JOIN generate_series(1, event.n)", merge="n = old.n + new.n")
    assert feed.send((None, doc(n=600))).settled()["rows"] == 600
    assert feed.rows("SELECT n, twice FROM t") == [(600, 1200)]
