"""Upserts: keys repeated inside a batch, two lanes on the same keys, replays of older events."""
from confluent_kafka import Producer

from lib.events import Events
from lib.wait import wait_for

from test_target_changes import Feed, peak_of_workers

LATEST = """
    CREATE TABLE latest (source text PRIMARY KEY, ts timestamptz NOT NULL, value double precision NOT NULL,
                         id uuid NOT NULL, n bigint NOT NULL);
    ALTER TABLE latest OWNER TO app"""


def upsert_pipeline(world, **more):
    world.db.run(LATEST)
    world.create_pipeline(**dict(dict(
        target="latest", on_conflict="update", conflict_key=["source"], newer_by="ts",
        transform="SELECT event.source, event.ts, event.value, event.id, event.\"offset\" AS n FROM event"), **more))


def test_two_lanes_upsert_the_same_keys(world):
    """No key of the message: the same source is in all partitions, both lanes and workers meet at each row."""
    world.create_topic(partitions=4)
    upsert_pipeline(world, workers=2)
    world.start_ingestor()
    events = Events(150000, seed=121)
    events.send(world.broker, world.topic, "--no-key")
    world.wait_settled()
    counters = world.counters()
    assert counters["events"] == 150000
    assert counters["written"] + counters["superseded"] == 150000, counters
    assert counters["dead"] == 0, world.dead_letters()[:3]
    # the newest of each source is there: ts grows with the event's number
    import json
    import subprocess
    newest = {}
    for line in subprocess.run([*events._args(), "--dump", "events"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.splitlines():
        body = json.loads(line.split("\t")[1])
        if body["source"] not in newest or body["ts"] > newest[body["source"]][0]:
            newest[body["source"]] = (body["ts"], body["id"])
    rows = dict(world.db.run("SELECT source, id::text FROM latest"))
    wrong = [s for s, (_, i) in newest.items() if rows.get(s) != i]
    assert not wrong and len(rows) == len(newest), f"{len(wrong)} sources do not hold their newest event"


def test_ignore_keeps_the_first(world):
    world.create_topic(partitions=1)
    world.db.run("CREATE UNIQUE INDEX reading_id ON reading (id)")
    world.create_pipeline(on_conflict="ignore", conflict_key=["id"])
    world.start_ingestor()
    events = Events(5000, seed=122)
    events.send(world.broker, world.topic)
    events.send(world.broker, world.topic)  # the same again
    world.wait_settled()
    counters = world.counters()
    assert counters["events"] == 10000 and counters["dead"] == 0
    assert counters["written"] == 5000 and counters["superseded"] == 5000, counters
    assert world.db.value("SELECT max(kafka_offset) FROM reading") < 5000


def test_tombstone_deletes(world):
    world.create_topic(partitions=1)
    world.db.run("CREATE TABLE state (name text PRIMARY KEY, value int); ALTER TABLE state OWNER TO app")
    world.create_pipeline(fields="name text NOT NULL, value int", target="state", on_conflict="update",
                          conflict_key=["name"], tombstone="delete",
                          transform="SELECT event.name, event.value FROM event")
    world.start_ingestor()
    producer = Producer({"bootstrap.servers": world.broker.address})
    for key, value in ((b"a", b'{"name":"a","value":1}'), (b"b", b'{"name":"b","value":1}'), (b"b", None), (b"a", None),
                       (b"a", b'{"name":"a","value":2}'), (b"c", None)):
        producer.produce(world.topic, key=key, value=value)
    producer.flush(120)
    world.wait_settled()
    assert world.db.run("SELECT name, value FROM state") == [("a", 2)]
    counters = world.counters()
    assert counters["dead"] == counters["skipped"] == 0 and counters["written"] + counters["superseded"] == 6


def test_a_refused_row_supersedes_nothing(world):
    """The last row of a key is refused by the table: the one before it counts, in the same commit."""
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text CHECK (v <> 'bad'))", on_conflict="update",
                conflict_key=["n"])
    counters = feed.send('{"n":1,"v":"first"}', '{"n":1,"v":"second"}', '{"n":1,"v":"bad"}', '{"n":2,"v":"bad"}',
                         '{"n":2,"v":"last"}', '{"n":3,"v":"bad"}').settled()
    assert feed.rows() == [(1, "second"), (2, "last")]
    assert (counters["written"], counters["superseded"], counters["dead"]) == (2, 2, 2)


def test_one_key_whose_rows_are_all_refused(world):
    """Each refused row lets the one before it be tried: as often as there are rows, but not all in one batch, nor in memory."""
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text CHECK (v <> 'bad'))", on_conflict="update",
                conflict_key=["n"], batch_rows=20000)
    feed.send(*['{"n":1,"v":"good"}'] + ['{"n":1,"v":"bad"}'] * 10000)
    wait_for(lambda: world.positions() == feed.lane.positions, "settled")
    assert feed.rows() == [(1, "good")] and world.counters()["dead"] == 10000
    peak = peak_of_workers(world)
    assert 0 < peak < 390, f"{peak:.0f} MB"
