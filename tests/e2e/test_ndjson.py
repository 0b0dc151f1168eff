"""format => 'ndjson': several documents in one message, each with an outcome of its own: written, filtered, tried again, dead,
replayed and published by itself; and the counters remain true."""
import json

import pytest
from confluent_kafka import Producer

from lib.crash_on import create_crash_on
from lib.dead_letters import read_topic
from lib.lane import Lane
from lib.wait import wait_for

from test_crashes import query

BOM = b"\xef\xbb\xbf"
LETTERS = ('SELECT "offset", document, raw, stage, sqlstate, message FROM millrace.dead_letters WHERE pipeline = %s'
           ' ORDER BY "offset", document NULLS FIRST')


def lines(*documents):
    return b"\n".join(d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents)


def produce(world, *messages, key=None):
    producer = Producer({"bootstrap.servers": world.broker.address, "message.max.bytes": 8_000_000})
    for message in messages:
        producer.produce(world.topic, message, key=key, partition=0)
    assert producer.flush(120) == 0


def balance(world, **pipeline):
    """Each document is in exactly one place."""
    names = ("events", "written", "filtered", "superseded", "skipped", "dead", "rows", "retrying")
    *c, retrying = world.db.run(f"SELECT {', '.join(names)} FROM millrace.stats WHERE pipeline = %s", (pipeline.get("pipeline", world.pipeline_name),))[0]
    c = dict(zip(names, c))
    assert c["events"] == c["written"] + c["filtered"] + c["superseded"] + c["skipped"] + c["dead"] + retrying, (c, retrying)
    return c


def try_again(world):
    """What waits for an hour is due, and from now on such waits are short."""
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, retry_delay => '100 ms')", (world.pipeline_name,))
        world.db.run("UPDATE millrace.retry SET next_at = now() WHERE state = 'retrying'")
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))


@pytest.fixture
def docs(world):
    world.broker.create_topic(world.topic, 1)
    world.db.run("CREATE TABLE docs (id int PRIMARY KEY CHECK (id <> 66), document int, nth bigint); ALTER TABLE docs OWNER TO app")
    world.arguments = dict(
        fields="id int NOT NULL, keep boolean DEFAULT true", format="ndjson", target="docs",
        transform='SELECT id / (CASE WHEN id = 77 THEN 0 ELSE 1 END) AS id, document, event."offset" AS nth FROM event WHERE keep')
    return world


def test_outcome_of_each_document(docs):
    world = docs
    world.create_pipeline(tombstone="dead_letter", **world.arguments)
    many = lines(*({"id": 1000 + n} for n in range(20_000)))
    too_many = b"{}\n" * 100_001
    huge = lines({"id": 10, "x": "y" * 1_000_000}, {"id": 11})
    produce(world,
            lines({"id": 1}, {"id": 66}, {"id": "x"}, {"id": 77}, {"id": 2}, {"id": 3, "keep": False}),
            b'\r\n{"id": 4}\r\n \t\r\n\n{"id": 5}\r\n\r\n',
            BOM + lines({"id": 6}, {"id": 7}),
            b"", b"\n \r\n\n", lines({"id": 8}, b'{"id": 9'), None, too_many, huge, many)
    world.start_ingestor("--max-message-bytes", "4000000")
    world.wait_settled()
    rows = world.db.run("SELECT id, document, nth FROM docs WHERE id < 1000 ORDER BY 1")
    assert rows == [(1, 1, 0), (2, 5, 0), (4, 1, 1), (5, 2, 1), (7, 2, 2), (8, 1, 5), (10, 1, 8), (11, 2, 8)]
    assert world.db.run("SELECT count(*), min(document), max(document) FROM docs WHERE id >= 1000 AND nth = 9") == [(20_000, 1, 20_000)]
    letters = [(nth, document, raw and bytes(raw), stage, sqlstate) for nth, document, raw, stage, sqlstate, _ in
               world.db.run(LETTERS, (world.pipeline_name,))]
    assert letters == [
        (0, 2, b'{"id": 66}', "write", "23514"), (0, 3, b'{"id": "x"}', "decode", "22P02"), (0, 4, b'{"id": 77}', "transform", "22012"),
        (2, 1, BOM + b'{"id": 6}', "decode", "22032"), (5, 2, b'{"id": 9', "decode", "22032"),
        (6, None, None, "decode", "22004"), (7, None, too_many, "decode", "54000")]
    c = balance(world)
    assert (c["written"], c["filtered"], c["skipped"], c["dead"]) == (20_008, 1, 2, 7)

    # each is in the DLQ topic once, and says which document it is
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letters WHERE published_at IS NULL") == 0, "published")
    messages = read_topic(world, world.topic + ".dlq")
    places = [(dict(m.headers())["__connect.errors.offset"], dict(m.headers()).get("millrace-document")) for m in messages]
    assert sorted(places, key=str) == sorted(((b"%d" % n, d and b"%d" % d) for n, d, *_ in letters), key=str)
    assert len({dict(m.headers())["millrace-id"] for m in messages}) == len(letters)
    assert b'{"id": 66}' in [m.value() for m in messages]

    with world.db.session("app") as app:
        status, detail = app.run("SELECT status, detail FROM millrace.event_status(%s, 0, 0)", (world.topic,))[0]
        assert status == "dead" and {e.get("document") for e in detail["timeline"] if e["what"] == "dead"} == {2, 3, 4}
        # a document is replayed by itself
        app.run("ALTER TABLE docs DROP CONSTRAINT docs_id_check")
        assert app.value("SELECT millrace.replay(%s, 'document = 2 AND \"offset\" = 0')", (world.pipeline_name,)) == 1
        wait_for(lambda: app.run("SELECT document, nth FROM docs WHERE id = 66") == [(2, 0)], "replayed")
        letter = app.value("SELECT id FROM millrace.dead_letters WHERE document = 3")
        app.run("SELECT millrace.replay(%s, ids => ARRAY[%s::bigint], payload => '{\"id\": 33}')", (world.pipeline_name, letter))
        wait_for(lambda: app.run("SELECT document, nth FROM docs WHERE id = 33") == [(3, 0)], "replayed with another payload")
    assert world.db.value("SELECT count(*) FROM docs WHERE nth = 0") == 4
    assert (c := balance(world))["dead"] == 5 and c["events"] == 20_018

    # one that is a letter as a whole is taken apart when it is replayed; what fails is a letter of its own
    with world.db.session("app") as app:
        letter = app.value("SELECT id FROM millrace.dead_letters WHERE \"offset\" = 7")
        app.run("SELECT millrace.replay(%s, ids => ARRAY[%s::bigint], payload => %s::text)",
                (world.pipeline_name, letter, lines({"id": "a"}, {"id": 70}, {"id": "b"}, {"id": 71}).decode()))
        wait_for(lambda: app.run("SELECT id, document FROM docs WHERE nth = 7 ORDER BY 1") == [(70, 2), (71, 4)], "taken apart")
        found = app.run("SELECT id, document, payload, state FROM millrace.dead_letters WHERE \"offset\" = 7 ORDER BY document")
        assert [f[1:] for f in found] == [(1, '{"id": "a"}', "open"), (3, '{"id": "b"}', "open")] and found[0][0] == letter
    assert (c := balance(world))["dead"] == 6 and c["events"] == 20_021


@pytest.mark.parametrize("ordering", ["none", "key"])
def test_too_many_failures_for_one_commit(docs, ordering):
    """Each failure needs a subtransaction, and a message has no smaller parts but its documents."""
    world = docs
    world.db.run("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN IF new.id % 2 = 0 THEN RAISE EXCEPTION 'no % here', new.id; END IF; RETURN new; END $$;
                    CREATE TRIGGER refuse BEFORE INSERT ON docs FOR EACH ROW EXECUTE FUNCTION refuse()""")
    world.create_pipeline(dlq="off", ordering=ordering, **world.arguments)
    produce(world, lines(*({"id": 1000 + n} for n in range(400))), lines({"id": 1}), key=b"k")
    world.start_ingestor()
    wait_for(lambda: world.counters()["dead"] == 200, "all failed")
    wait_for(lambda: world.counters()["written"] == 201, "the others are written")
    assert world.db.run("SELECT count(*), count(DISTINCT document), sum(id % 2) FROM docs WHERE nth = 0") == [(200, 200, 200)]
    assert world.db.run("SELECT count(*), count(DISTINCT document) FROM millrace.dead_letters") == [(200, 200)]
    assert balance(world)["events"] == 401
    assert world.db.value("SELECT count(*) FROM millrace.retry") == 0
    assert world.db.value("SELECT last_value FROM millrace.retry_id_seq") in (400, 401), "each waited there once"


def test_too_large_rows_for_one_commit(docs):
    """The rows of all documents together exceed millrace.batch_memory; a failure of one would name the event instead."""
    world = docs
    world.db.run("CREATE TABLE wide (document int, body text); ALTER TABLE wide OWNER TO app")
    world.create_pipeline(dlq="off", **dict(world.arguments, target="wide", transform="SELECT document, repeat('x', 3000000 + id) AS body FROM event"))
    produce(world, lines(*({"id": n} for n in range(24))))
    world.start_ingestor()
    wait_for(lambda: world.counters()["written"] == 24, "all written")
    assert world.db.run("SELECT count(DISTINCT document), sum(length(body) - 3000000)::int FROM wide") == [(24, 276)]
    assert balance(world)["events"] == 24 and world.db.value("SELECT count(*) FROM millrace.retry") == 0
    assert world.db.value("SELECT last_value FROM millrace.retry_id_seq") == 24, "each waited there once"


def test_documents_keep_the_order_of_their_key(docs):
    """ordering => 'key': documents behind one that is tried again wait, those before it do not."""
    world = docs
    world.db.run("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE log (n serial, id int REFERENCES parent, document int);"
                 "ALTER TABLE log OWNER TO app; ALTER TABLE parent OWNER TO app; INSERT INTO parent VALUES (1), (3), (4)")
    world.create_pipeline(**dict(world.arguments, target="log", dlq="off", ordering="key", retry_delay="100 ms", max_retries=1000,
                                 transform="SELECT id, document FROM event"))
    produce(world, lines({"id": 1}, {"id": 2}, {"id": 3}), lines({"id": 4}, {"id": 1}), key=b"k")
    world.start_ingestor()
    world.wait_settled()
    waiting = world.db.run('SELECT "offset", document, state FROM millrace.retries ORDER BY "offset", document')
    assert [w[:2] for w in waiting] in ([(0, 2), (0, 3), (1, 1), (1, 2)], [(0, 2), (0, 3), (1, None)])
    assert [w[2] for w in waiting] == ["retrying"] + ["parked"] * (len(waiting) - 1)
    assert world.db.run("SELECT id FROM log ORDER BY n") == [(1,)]
    balance(world)
    world.db.run("INSERT INTO parent VALUES (2)")
    wait_for(lambda: world.counters()["written"] == 5, "all written")
    assert world.db.run("SELECT id, document FROM log ORDER BY n") == [(1, 1), (2, 2), (3, 3), (4, 1), (1, 2)]
    assert balance(world)["events"] == 5 and world.db.value("SELECT count(*) FROM millrace.retry") == 0


def test_message_parked_as_a_whole(docs):
    """A message that waits behind another of its key is taken apart when its turn comes."""
    world = docs
    world.db.run("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE log (n serial, id int REFERENCES parent, document int);"
                 "ALTER TABLE log OWNER TO app; ALTER TABLE parent OWNER TO app; INSERT INTO parent VALUES (3), (4)")
    world.create_pipeline(**dict(world.arguments, target="log", dlq="off", ordering="key", retry_delay="1 h", max_retries=1000, type_field="keep",
                                 transform="SELECT id, document FROM event"))
    world.start_ingestor()
    produce(world, lines({"id": 2}), key=b"k")
    world.wait_settled()
    produce(world, lines({"id": 3}, {"id": "x"}, {"id": 5}, {"id": 4}), key=b"k")
    world.wait_settled()
    assert world.db.run('SELECT "offset", document FROM millrace.retries ORDER BY "offset"') == [(0, 1), (1, None)]
    assert balance(world)["events"] == 2
    world.db.run("INSERT INTO parent VALUES (2)")
    try_again(world)
    wait_for(lambda: world.db.run("SELECT id FROM log ORDER BY n") == [(2,), (3,)], "its first document")
    wait_for(lambda: world.db.run("SELECT document FROM millrace.retries ORDER BY document") == [(3,), (4,)], "the others wait")
    assert balance(world)["events"] == 5
    world.db.run("INSERT INTO parent VALUES (5)")
    wait_for(lambda: world.counters()["written"] == 4, "all written")
    assert world.db.run("SELECT id, document FROM log ORDER BY n") == [(2, 1), (3, 1), (5, 3), (4, 4)]
    assert world.db.run("SELECT \"offset\", document FROM millrace.dead_letters") == [(1, 2)]
    assert (c := balance(world))["dead"] == 1 and c["events"] == 5
    # none was tried before it was taken apart, and so each is counted by its type then
    assert world.db.run("SELECT sum(events)::int, sum(bytes)::int FROM millrace.stats_by_type") == [(5, sum(len(lines({"id": n})) for n in (2, 3, "x", 5, 4)))]


def test_batches_count_documents(docs):
    """batch_rows bounds the documents of a batch, but for one message alone; whatever the sizes of messages, each is there once."""
    world = docs
    world.create_pipeline(dlq="off", **dict(world.arguments, batch_rows=100))
    sizes = [1, 99, 100, 101, 250, 3, 97, 1, 1, 60, 60, 0, 5] * 4 + [1] * 300
    ids = iter(range(1000, 100_000))
    produce(world, *(lines(*({"id": next(ids)} for _ in range(n))) for n in sizes))
    world.start_ingestor()
    world.wait_settled()
    assert world.db.run("SELECT count(*), count(DISTINCT (nth, document)), max(id) - min(id) FROM docs") == [(sum(sizes), sum(sizes), sum(sizes) - 1)]
    assert world.db.run("SELECT count(*) FROM docs GROUP BY nth ORDER BY nth") == [(n,) for n in sizes if n > 0]
    assert (c := balance(world))["skipped"] == sizes.count(0) and c["events"] == sum(sizes) + sizes.count(0)


def test_what_is_left_of_a_message_that_was_replayed(docs):
    """Its first document is tried again before it dies: the letter is that document all the same, and the others are not done twice."""
    world = docs
    world.db.run("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE log (id int REFERENCES parent, document int);"
                 "ALTER TABLE log OWNER TO app; ALTER TABLE parent OWNER TO app; INSERT INTO parent VALUES (3)")
    world.create_pipeline(**dict(world.arguments, target="log", dlq="off", tombstone="dead_letter", retry_delay="100 ms", max_retries=1,
                                 transform="SELECT id, document FROM event"))
    produce(world, None)
    world.start_ingestor()
    wait_for(lambda: world.counters()["dead"] == 1, "a letter as a whole")
    letters = "SELECT id, document, convert_from(payload, 'UTF8'), state, replay_count FROM millrace.dead_letter"
    letter = world.db.run(letters)[0][0]
    with world.db.session("app") as app:
        app.run("SELECT millrace.replay(%s, ids => ARRAY[%s::bigint], payload => %s::text)",
                (world.pipeline_name, letter, lines({"id": 2}, {"id": 3}).decode()))
        wait_for(lambda: world.db.run(letters) == [(letter, 1, '{"id": 2}', "open", 1)], "its first document is left")
        assert world.db.run("SELECT id, document FROM log") == [(3, 2)]
        app.run("INSERT INTO parent VALUES (2)")
        app.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
        wait_for(lambda: world.db.run("SELECT id, document FROM log ORDER BY 2") == [(2, 1), (3, 2)], "written once each")
    assert balance(world)["events"] == 2 and world.db.value("SELECT count(*) FROM millrace.retry") == 0


def stage(world, *messages, key=None):
    """Messages of which each is staged by a lane of its own, for a partition of its own."""
    world.db.run("SELECT millrace.add_partitions(%s, 0, %s)", (world.pipeline_name, [0] * len(messages)))
    lanes = [Lane(world.db, world.pipeline_name, preferred=i).assign([i]) for i in range(len(messages))]
    for i, (lane, message) in enumerate(zip(lanes, messages)):
        lane.send(i, [message], key=key)
    return lanes


def test_too_many_failures_in_two_lanes(docs):
    """One worker, and a message in each of its lanes that has to come in parts."""
    world = docs
    world.db.run("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN IF new.id % 2 = 0 THEN RAISE EXCEPTION 'no % here', new.id; END IF; RETURN new; END $$;
                    CREATE TRIGGER refuse BEFORE INSERT ON docs FOR EACH ROW EXECUTE FUNCTION refuse()""")
    world.create_pipeline(dlq="off", **world.arguments)
    with world.db.session(autocommit=False) as s:
        s.run("LOCK TABLE docs IN SHARE ROW EXCLUSIVE MODE")  # until both are there
        lanes = stage(world, *(lines(*({"id": first + n} for n in range(200))) for first in (1000, 2000)))
        s.connection.rollback()
    wait_for(lambda: world.counters()["written"] == 200 and world.counters()["dead"] == 200, "both are done")
    assert balance(world)["events"] == 400 and world.db.value("SELECT count(*) FROM millrace.retry") == 0
    for lane in lanes:
        lane.close()


def test_messages_that_waited_come_in_batches_of_documents(docs):
    world = docs
    world.db.run("""CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE log (id int REFERENCES parent, document int);
                    ALTER TABLE log OWNER TO app; ALTER TABLE parent OWNER TO app; INSERT INTO parent VALUES (3);
                    CREATE TABLE size (n int); ALTER TABLE size OWNER TO app;
                    CREATE FUNCTION measure() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO size SELECT count(*) FROM fresh; RETURN NULL; END $$;
                    CREATE TRIGGER measure AFTER INSERT ON log REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION measure()""")
    world.create_pipeline(**dict(world.arguments, target="log", dlq="off", ordering="key", batch_rows=100, retry_delay="1 h", max_retries=1000,
                                 transform="SELECT id, document FROM event"))
    world.start_ingestor()
    produce(world, lines({"id": 2}), key=b"k")
    world.wait_settled()
    produce(world, *[lines(*[{"id": 3}] * 40)] * 20, key=b"k")
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM millrace.retry") == 21
    world.db.run("INSERT INTO parent VALUES (2)")
    try_again(world)
    wait_for(lambda: world.counters()["written"] == 801, "all written")
    assert world.db.run("SELECT count(*) FROM log") == [(801,)] and 40 < world.db.value("SELECT max(n) FROM size") <= 100
    assert balance(world)["events"] == 801


def test_a_document_that_crashes_the_server(docs):
    """Of documents that wait to be tried again: it is a letter, and those behind it are not to blame."""
    world = docs
    create_crash_on(world.db)
    world.db.run("""CREATE TABLE log (id int, document int); ALTER TABLE log OWNER TO app;
                    CREATE TABLE gate (open boolean); INSERT INTO gate VALUES (false); GRANT SELECT ON gate TO app;
                    CREATE FUNCTION through(v text) RETURNS text LANGUAGE plpgsql AS $$
                    BEGIN
                        IF NOT (SELECT open FROM gate) THEN RAISE EXCEPTION 'not yet' USING ERRCODE = 'ZZ001'; END IF;
                        RETURN crash_on(v);
                    END $$;
                    SELECT millrace.set_error_class('ZZ001', 'retry')""")
    world.create_pipeline(**dict(world.arguments, fields="id int, v text", target="log", dlq="off", max_retries=1000, retry_delay="200 ms",
                                 retry_factor=1, retry_max_delay="300 ms",
                                 transform="SELECT id, document FROM event WHERE through(v) IS NOT NULL"))
    lanes = stage(world, lines(*({"id": n, "v": "segv" if n in (4, 7) else "x"} for n in range(1, 11))))
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 10, "all wait")
    lanes[0].close()
    world.db.run("UPDATE gate SET open = true")
    wait_for(lambda: query(world, "SELECT count(*) FROM millrace.retry") == [(0,)], "none waits any more", 90)
    assert query(world, "SELECT document, ended FROM millrace.dead_letter ORDER BY 1") == [(4, "crashed"), (7, "crashed")]
    assert query(world, "SELECT id FROM log ORDER BY 1") == [(n,) for n in range(1, 11) if n not in (4, 7)]
    assert balance(world)["events"] == 10
