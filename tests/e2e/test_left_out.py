"""Values that a source left out of a change event: the row keeps its own, wherever a batch is cut."""
import json
import random

import pytest
from confluent_kafka import Producer

from lib.wait import wait_for
from test_deletes import Keyed
from test_failures import QUICK
from test_merge import SHAPES

LEFT_OUT = "__debezium_unavailable_value"
MIRROR = dict(format="debezium", fields="id bigint NOT NULL, hits bigint, trail text NOT NULL, big int", transform="SELECT id, hits, trail, big FROM event")


def change(op, schema=False, lsn=None, **row):
    event = {"op": op, "before": row if op == "d" else None, "after": None if op == "d" else row, "source": {"lsn": lsn}}
    return json.dumps({"schema": {"type": "struct"}, "payload": event} if schema else event).encode()


@pytest.mark.parametrize("more", [{}, dict(merge="hits = old.hits + new.hits, trail = old.trail || new.trail"), dict(delete_when="false")],
                         ids=["upsert", "merge", "keeps_deleted"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_equal_a_model(world, shape, more):
    """Random changes of five keys, cut at random; an update without a row to keep values of fails, and no other."""
    feed = Keyed(world, SHAPES[shape], **dict(MIRROR, max_retries=0, **more))
    chance = random.Random(shape)
    model, dead, batch = {}, 0, []
    for i in range(300):
        key, op = chance.randrange(5), chance.choice("cruuuuud")
        row = dict(id=key, hits=1, trail=chance.choice([f"{i} ", LEFT_OUT] if op == "u" else [f"{i} "]), big=i)
        if op == "d":
            batch.append((None, change(op, id=key, trail=LEFT_OUT)))
            if "delete_when" in more:  # its row is written as it is
                old = model.get(key)
                model[key] = (None, LEFT_OUT, None)
            else:
                model.pop(key, None)
        else:
            batch.append((None, change(op, schema=i % 2 == 0, **row)))
            old = model.get(key)
            if row["trail"] == LEFT_OUT and old is None:
                dead += 1
            else:
                trail = old[1] if row["trail"] == LEFT_OUT else row["trail"]
                model[key] = (old[0] + 1, old[1] + trail, i) if old and "merge" in more else (1, trail, i)
        if chance.random() < 0.05 or i == 299:
            feed.send(*batch)
            batch = []
    counters = feed.settled()
    assert {k: tuple(v) for k, *v in feed.rows("SELECT id, hits, trail, big FROM t")} == model
    assert counters["dead"] == dead > 0
    assert {(stage, sqlstate) for _, _, stage, sqlstate, *_ in world.dead_letters()} == {("write", "MR012")}


def test_a_row_that_is_on_its_way(world):
    """The update waits for it as what refers to a row does, and keeps its value; a later replay does, too."""
    feed = Keyed(world, **dict(MIRROR, fields="id bigint, v text, n bigint", transform="SELECT id, v, n FROM event", **dict(QUICK, max_retries=3)))
    feed.send((None, change("u", id=1, v=LEFT_OUT, n=2)), (None, change("u", id=2, v=LEFT_OUT, n=2)))
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retries WHERE sqlstate = 'MR012'"), "retried")
    with world.db.session("app") as s:
        s.run("INSERT INTO t VALUES (1, 'kept', 1)")
    wait_for(lambda: feed.rows("SELECT id, v, n FROM t ORDER BY 1") == [(1, "kept", 2)], "its row")
    wait_for(lambda: world.counters()["dead"] == 1, "no row for the other")
    with world.db.session("app") as s:
        s.run("INSERT INTO t VALUES (2, 'also', 1)")
        assert s.run("SELECT d.message ~ 'left out by the source', d.hint ~ 'Replay' FROM millrace.dead_letters AS d") == [(True, True)]
        s.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
    wait_for(lambda: feed.rows("SELECT id, v, n FROM t ORDER BY 1") == [(1, "kept", 2), (2, "also", 2)], "replayed")


def test_what_cannot_keep_its_value(world):
    """A field in an expression, of the key or of newer_by; and one that the transform does not name does not matter."""
    feed = Keyed(world, "CREATE TABLE t (id text PRIMARY KEY, v text, n text, w text)", **dict(
        MIRROR, fields="id text, v text, n text, twice text, nobody text NOT NULL",
        transform="SELECT id, upper(v) AS v, n, twice AS w FROM event WHERE twice <> ''", newer_by="n", max_retries=0))
    whole = dict(id="1", v="a", n="1", twice="b", nobody="c")
    feed.send(*((None, change("u", **dict(whole, **lack))) for lack in [{}] + [{name: LEFT_OUT} for name in whole]))
    counters = feed.settled()
    assert feed.rows("SELECT * FROM t") == [("1", "A", "1", "b")]
    assert (counters["dead"], counters["written"] + counters["superseded"]) == (4, 2)
    letters = world.db.run("SELECT sqlstate, message, hint ~ 'event.unavailable' FROM millrace.dead_letters ORDER BY \"offset\"")
    assert letters == [("22004", f'field "{name}" was left out by the source: the change did not touch it', True) for name in ("id", "v", "n", "twice")]


def test_a_long_value_that_is_stored_out_of_line(world):
    """As in the source; an older change does not take the place of a newer one, and takes nothing from it."""
    feed = Keyed(world, "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint); ALTER TABLE t ALTER v SET STORAGE EXTERNAL", **dict(
        MIRROR, fields="id bigint, v text", transform="SELECT id, v, (source ->> 'lsn')::bigint AS n FROM event", newer_by="n"))
    feed.send((None, change("r", id=1, v="x" * 100_000, lsn=5)))
    feed.send(*((None, change("u", id=1, v=LEFT_OUT, lsn=n)) for n in (7, 6, 9, 8)))
    feed.send((None, change("u", id=1, v=LEFT_OUT, lsn=10)), (None, change("d", id=1, lsn=9)), (None, change("u", id=1, v=LEFT_OUT, lsn=3)))
    assert feed.settled()["dead"] == 0
    assert feed.rows("SELECT v = repeat('x', 100000), n FROM t") == [(True, 10)]


def test_a_hot_key(world):
    """Thousands of updates of one row, of which each lacks what the one before it has."""
    feed = Keyed(world, **dict(MIRROR, fields="id bigint, v text, n bigint", transform="SELECT id, v, n FROM event"))
    feed.send((None, change("c", id=1, v="kept", n=0)), *((None, change("u", id=1, v=LEFT_OUT, n=n)) for n in range(1, 3000)))
    assert feed.settled()["dead"] == 0
    assert feed.rows("SELECT id, v, n FROM t") == [(1, "kept", 2999)]


@pytest.mark.parametrize("schema", [False, True])
def test_a_mirror_through_kafka(world, schema):
    """Snapshot, insert, update, delete and its tombstone, truncate; with a schema beside the change and without."""
    world.create_topic(partitions=1)
    with world.db.session("app") as s:
        s.run("CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint)")
    world.create_pipeline(target="t", on_conflict="update", conflict_key=["id"], newer_by="n", format="debezium", fields="id bigint NOT NULL, v text",
                          transform="SELECT id, v, (source ->> 'lsn')::bigint AS n FROM event", **QUICK)
    producer = Producer({"bootstrap.servers": world.broker.address})
    changes = [(1, change("r", schema, 1, id=1, v="a")), (2, change("r", schema, 1, id=2, v="b")), (3, change("c", schema, 2, id=3, v="c")),
               (1, change("u", schema, 3, id=1, v=LEFT_OUT)), (2, change("u", schema, 4, id=2, v="d")), (3, change("d", schema, 5, id=3)), (3, None),
               (2, change("u", schema, 6, id=2, v=LEFT_OUT)), (0, json.dumps({"op": "t", "source": {}}).encode())]
    for key, value in changes:
        producer.produce(world.topic, value, key=json.dumps({"id": key}).encode(), partition=0)
    assert producer.flush(120) == 0
    world.start_ingestor()
    world.wait_settled()
    with world.db.session("app") as s:
        assert s.run("SELECT * FROM t ORDER BY id") == [(1, "a", 3), (2, "d", 6)]
    assert [(sqlstate, "truncated" in message) for _, _, _, sqlstate, message, *_ in world.dead_letters()] == [("22023", True)]
