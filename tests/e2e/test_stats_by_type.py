"""Counters by type of event: what counts where, and that they are true with many types, two workers and crashes."""
import collections
import json
import random

from confluent_kafka import Producer

from lib.wait import wait_for
from test_exactly_once import kill_worker
from test_target_changes import Feed

NAMES = ("events", "written", "filtered", "skipped", "failed", "retried", "dead_lettered", "replayed")


def by_type(world):
    """{type: {counter: value}}, without those that are 0"""
    rows = world.db.run(f"SELECT type, {', '.join(NAMES)} FROM millrace.stats_by_type WHERE pipeline = %s", (world.pipeline_name,))
    return {row[0]: {name: n for name, n in zip(NAMES, row[1:]) if n} for row in rows}


def test_what_counts_where(world):
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n < 100), v text)", fields="n int NOT NULL, v text, kind text", type_field="kind",
                transform="SELECT n, v FROM event WHERE kind IS DISTINCT FROM 'idle'", tombstone="skip", max_retries=1, retry_delay="10ms")
    long = "x" * 201
    feed.send('{"n":1,"kind":"a"}', '{"n":2,"kind":"b"}', '{"kind":"a","n":300}', '{"kind":"idle","n":1}', '{"n":3}', '{"n":4,"kind":null}',
              '{"n":"none","kind":"b"}',  # the field that fails is before the one with the type
              '{"kind":"b","n":1', '{"kind":17,"n":5}', f'{{"n":6,"kind":"{long}"}}', '{"n":7,"kind":"other"}', '{"n":8,"kind":"none"}',
              '{"n":9,"kind":"Größe \\u00e9"}', '{"n":10,"kind":""}').settled()
    expected = {"a": dict(events=2, written=1, failed=1, dead_lettered=1), "b": dict(events=2, written=1, failed=1, dead_lettered=1),
                "idle": dict(events=1, filtered=1), "none": dict(events=4, written=3, failed=1, dead_lettered=1),
                "17": dict(events=1, written=1), "other": dict(events=2, written=2), "Größe é": dict(events=1, written=1), "": dict(events=1, written=1)}
    assert by_type(world) == expected
    # a replay counts for the type it has then, and is no new event
    feed.ddl("ALTER TABLE t DROP CONSTRAINT t_n_check")
    with world.db.session("app") as s:
        assert s.value("SELECT millrace.replay(%s, 'true')", (world.pipeline_name,)) == 3
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE state = 'replaying'") == 0, "all are replayed")
    expected["a"].update(written=2, retried=1, replayed=1)
    expected["b"].update(retried=1, dead_lettered=2)
    expected["none"].update(retried=1, dead_lettered=2)
    assert by_type(world) == expected


def test_parked_events_count_when_they_are_tried(world):
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n < 100), v text)", fields="n int NOT NULL, v text, kind text", type_field="kind",
                ordering="key", on_dead="hold")
    feed.lane.send(0, [b'{"n":300,"kind":"a"}', b'{"n":1,"kind":"b"}', b'{"n":2,"kind":"b"}'], key=b"k")
    feed.settled()
    first = {"a": dict(events=1, failed=1, dead_lettered=1)}
    assert by_type(world) == first
    feed.lane.send(0, [b'{"n":3,"kind":"c"}'], key=b"k")
    feed.settled()
    assert by_type(world) == first
    with world.db.session("app") as s:
        assert s.value("SELECT millrace.discard(%s, 'true')", (world.pipeline_name,)) == 1
    wait_for(lambda: world.db.value("SELECT count(*) FROM t") == 3, "what waited continues")
    assert by_type(world) == {**first, "b": dict(events=2, written=2), "c": dict(events=1, written=1)}


def test_many_types_two_workers_and_crashes(world):
    """A type that has a name has all its events under it, whichever worker met it first and whatever was rolled back."""
    n, partitions = 12000, 4
    draw = random.Random(61)
    kinds = [f"kind-{i:02}" for i in range(80)]
    world.create_topic(partitions=partitions)
    with world.db.session("app") as s:
        s.run("CREATE TABLE t (n int NOT NULL, kind text)")
    world.create_pipeline(fields="n int NOT NULL, kind text", transform="SELECT n, kind FROM event WHERE n % 10 > 0", target="t", workers=2,
                          batch_rows=500, type_field="kind")
    world.start_ingestor().wait_ready()
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 5, "log_level": "0"})
    truth = collections.Counter()

    def send(first, last):
        for i in range(first, last):
            # all types come early and at the same time to both workers
            kind = kinds[i % len(kinds)] if i < 400 else draw.choice(kinds)
            truth[kind] += 1
            producer.produce(world.topic, json.dumps(dict(n=i, kind=kind)).encode(), partition=i % partitions)
        assert producer.flush(120) == 0

    for part in range(3):
        send(part * n // 3, (part + 1) * n // 3)
        if part < 2:
            kill_worker(world, draw)
    world.wait_settled()
    found = by_type(world)
    assert world.db.value("SELECT count(*) FROM t") == n * 9 // 10
    named = {kind: c["events"] for kind, c in found.items() if kind != "other"}
    assert len(named) == 50 and named == {kind: truth[kind] for kind in named}
    assert found["other"]["events"] == sum(truth[kind] for kind in kinds if kind not in named)
    written = dict(world.db.run("SELECT kind, count(*) FROM t GROUP BY 1"))
    assert {kind: c["written"] for kind, c in found.items() if kind != "other"} == {kind: written[kind] for kind in named}
    assert sum(c["filtered"] for c in found.values()) == n // 10
    # few rows, however many batches there were: those of two streams, of the types that have come
    assert world.db.value("SELECT count(*) FROM millrace.event_type_count") <= 8
    assert world.db.value("SELECT max(number) FROM millrace.event_type") == 51
