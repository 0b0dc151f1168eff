"""Rows that events delete: tombstones and delete_when, in the order of the events, wherever a batch is cut."""
import json
import random

import pytest

from lib.lane import Batch, Lane
from lib.wait import LIMIT, wait_for
from test_failures import QUICK, kill_something

ROW = "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint, made text DEFAULT 'default')"


class Keyed:
    """A pipeline fed by hand with keys; parts can be anything as long as each is whole."""

    def __init__(self, world, ddl=ROW, partitions=1, **more):
        self.world = world
        with world.db.session("app") as s:
            s.run(ddl)
        world.create_pipeline(**dict(dict(fields="op text, id bigint, v text, n bigint", target="t", on_conflict="update", conflict_key=["id"],
                                          transform="SELECT id, v, n FROM event"), **more))
        world.db.run("SELECT millrace.add_partitions(%s, 0, %s)", (world.pipeline_name, [0] * partitions))
        self.lane = Lane(world.db, world.pipeline_name).assign(list(range(partitions)))

    def send(self, *events, partition=0):
        """Events are (key, payload), each bytes or None."""
        batch, position = Batch(), self.lane.positions[partition]
        for i, (key, payload) in enumerate(events):
            batch.event(partition, position + i, payload, key=key)
        batch.entry(partition, self.lane.epochs[partition], position, position + len(events))
        self.lane.stage(batch)
        self.lane.positions[partition] += len(events)
        return self

    def settled(self, timeout=LIMIT):
        wait_for(lambda: self.world.positions() == self.lane.positions, "settled", timeout)
        counters = self.world.counters()
        retrying = self.world.db.value("SELECT retrying FROM millrace.stats WHERE pipeline = %s", (self.world.pipeline_name,))
        assert counters["events"] == sum(counters[c] for c in ("written", "filtered", "superseded", "skipped", "dead")) + retrying
        return counters

    def rows(self, sql="SELECT id, v FROM t ORDER BY 1"):
        return self.world.db.run(sql)


def doc(**values):
    return json.dumps(values).encode()


@pytest.mark.parametrize("column, keys, more", [
    ("bigint", [b"1", b" 2", b'"3"', b'{"id": 4}', b'{"other": 1, "id": "5"}'], {}),
    ("text", [b"1", b"2", b'"3"', b'{"id": "4"}', b'{"id": 5}'], {}),
    ("numeric", [b"1", b"2.0", b'"3"', b'{"id": 4}', b'{"id": 5.00}'], {}),
    ("bigint", [b'{"schema": {}, "payload": {"id": %d}}' % i for i in (1, 2, 3, 4, 5)], dict(tombstone_key="id bigint PATH '$.payload.id'")),
])
def test_a_tombstone_names_its_row(world, column, keys, more):
    feed = Keyed(world, f"CREATE TABLE t (id {column} PRIMARY KEY, v text)", transform="SELECT id, v FROM event", tombstone="delete", **more)
    feed.send(*((b"", doc(id=i, v="x")) for i in range(1, 7))).send(*((key, None) for key in keys), (None, None), (b"{", None), (b"\xff", None))
    counters = feed.settled()
    assert feed.rows("SELECT id::int FROM t") == [(6,)], world.dead_letters()
    dead = 2 if column == "text" else 3  # "{" is a text
    assert (counters["written"] + counters["superseded"], counters["dead"]) == (14 - dead, dead)
    assert all(stage == "decode" and "tombstone" in message for _, _, stage, _, message, *_ in world.dead_letters())


def test_composite_keys_and_types(world):
    feed = Keyed(world, "CREATE TABLE t (day date, \"a Name\" uuid, v text, PRIMARY KEY (\"a Name\", day))", conflict_key=["day", "a Name"],
                 fields="day date, who uuid, v text", transform="SELECT day, who AS \"a Name\", v FROM event", tombstone="delete")
    who = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    feed.send(*((None, doc(day=f"2026-01-0{i}", who=who, v="x")) for i in (1, 2)))
    feed.send((doc(day="2026-01-01", **{"a Name": who}), None), (doc(day="2026-01-02"), None), (who.encode(), None))
    assert feed.settled()["dead"] == 2
    assert feed.rows("SELECT day::text FROM t") == [("2026-01-02",)]


def test_bytes_are_a_key(world):
    feed = Keyed(world, "CREATE TABLE t (id bytea PRIMARY KEY, v text)", fields="v text", transform="SELECT event.key AS id, v FROM event",
                 tombstone="delete")
    feed.send((b"\x00\xff", doc(v="a")), (b"two", doc(v="b")), (b"\x00\xff", None))
    assert feed.settled()["dead"] == 0
    assert feed.rows("SELECT convert_from(id, 'UTF8'), v FROM t") == [("two", "b")]


def test_a_row_behind_a_delete_is_a_new_one(world):
    """Whether they share a batch or not."""
    feed = Keyed(world, delete_when="op = 'd'")
    with world.db.session("app") as s:
        s.run("INSERT INTO t VALUES (1, 'old', 0, 'by hand'), (2, 'old', 0, 'by hand'), (3, 'old', 0, 'by hand')")
    feed.send((None, doc(op="d", id=1)), (None, doc(op="u", id=1, v="x")), (None, doc(op="u", id=2, v="y")), (None, doc(op="u", id=3, v="z")),
              (None, doc(op="d", id=3)))
    counters = feed.settled()
    assert feed.rows("SELECT id, v, made FROM t ORDER BY 1") == [(1, "x", "default"), (2, "y", "by hand")]
    assert (counters["written"], counters["superseded"]) == (4, 1)


def test_a_tombstone_knows_its_place_when_newer_by_is_the_offset(world):
    feed = Keyed(world, transform='SELECT id, v, "offset" AS n FROM event', tombstone="delete", newer_by="n", **QUICK)
    feed.send((b"1", doc(id=1, v="a")), (b"1", None), (b"2", doc(id=2, v="b"))).settled()
    with world.db.session("app") as s:
        s.run("INSERT INTO t VALUES (1, 'newer', 100)")
        s.run("SELECT millrace.rewind(%s, 0)", (world.pipeline_name,))
    feed.lane.assign([0])
    feed.send((b"1", doc(id=1, v="a")), (b"1", None), (b"2", doc(id=2, v="b"))).settled()
    assert feed.rows() == [(1, "newer"), (2, "b")]


def test_what_refers_to_a_row_keeps_it(world):
    """The delete fails as an event does; the others of its batch do not."""
    feed = Keyed(world, ROW + "; CREATE TABLE child (id bigint REFERENCES t); ", delete_when="op = 'd'", max_retries=0)
    feed.send(*((None, doc(op="u", id=i, v="x")) for i in range(20))).settled()
    with world.db.session("app") as s:
        s.run("INSERT INTO child VALUES (7)")
    counters = feed.send(*((None, doc(op="d", id=i)) for i in range(20))).settled()
    assert feed.rows("SELECT id FROM t") == [(7,)] and counters["dead"] == 1


TARGETS = {
    "plain": ROW,
    "partitioned": "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint) PARTITION BY HASH (id);"
                   "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
                   "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
}


@pytest.mark.parametrize("target, newer", [("plain", False), ("plain", True), ("partitioned", True)])
def test_against_a_model(world, target, newer):
    """Whatever the batches are, and whoever is killed, the table is what the events make one after another. Some tries fail."""
    seed = random.SystemRandom().randrange(10**9)
    draw = random.Random(seed)
    partitions = 4
    world.create_topic(partitions=partitions)
    with world.db.session("app") as s:
        s.run(TARGETS[target] + """; CREATE FUNCTION stumble(n bigint) RETURNS bigint VOLATILE LANGUAGE plpgsql AS $$
          BEGIN IF random() < 0.02 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = 'ZZ002'; END IF; RETURN n; END $$""")
    more = dict(newer_by="n") if newer else dict(ordering="key")
    world.create_pipeline(fields="op text, id bigint, v text, n bigint", target="t", on_conflict="update", conflict_key=["id"],
                          transform="SELECT stumble(id) AS id, v, n FROM event", delete_when="op = 'd'", tombstone="delete",
                          workers=2, batch_rows=draw.choice([3, 50, 20000]), **dict(dict(max_retries=1000, **QUICK), **more))
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('ZZ002', 'retry', pipeline => %s)", (world.pipeline_name,))
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 5})
    table, n = {}, 0
    for _ in range(3000):
        key = draw.randrange(40)
        # with newer_by a late one must lose; a key's last event is its greatest, so that order is no matter
        n += 1
        op = draw.choice("uuud" if newer else "uuudt")
        if op == "u":
            table[key] = f"v{n}"
        else:
            table.pop(key, None)
        producer.produce(world.topic, None if op == "t" else doc(op=op, id=key, v=f"v{n}", n=n), str(key), partition=key % partitions)
    if newer:  # nothing older can come behind a delete: each key ends with an upsert
        for key in range(40):
            n += 1
            table[key] = f"v{n}"
            producer.produce(world.topic, doc(op="u", id=key, v=f"v{n}", n=n), str(key), partition=key % partitions)
    producer.flush(120)
    world.start_ingestor()
    for _ in range(2):
        kill_something(world, draw)
    wait_for(lambda: world.lag() == 0 and world.db.value("SELECT count(*) FROM millrace.retry") == 0, f"all settled (seed {seed})", every=0.2)
    assert dict(world.db.run("SELECT id, v FROM t")) == table, f"seed {seed}"
    counters = world.counters()
    assert counters["dead"] == 0 and counters["written"] + counters["superseded"] == counters["events"], f"{counters}, seed {seed}"
