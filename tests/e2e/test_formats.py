"""The setting `format`, through real Kafka: each message gives its row, or is a dead letter that keeps it to the byte and says
why, also of messages that are hostile to their format."""
import json
import re

from confluent_kafka import Producer

from lib.wait import wait_for

EVENT = dict(specversion="1.0", id="a", source="/s", type="t")
BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"b"), ("ce_source", b"/s"), ("ce_type", b"t"), ("ce_ext", b"7")]


def framed(schema, document):
    return b"\0" + schema.to_bytes(4, "big") + document


def event(**more):
    return json.dumps(dict(EVENT, **more)).encode()


# What of a message: (value, headers), and the row that it gives as JSON, or SQLSTATE and message of its dead letter.
CONFLUENT = [
    ((framed(7, b'{"id": 1}'), []), {"id": 1, "schema_id": 7, "payload": {"id": 1}}),
    ((framed(2 ** 31 - 1, b' {"id": 2, "id": 3} '), []), {"id": 3, "schema_id": 2 ** 31 - 1, "payload": {"id": 3}}),
    ((b'{"id": 4}', []), {"id": 4, "schema_id": None, "payload": {"id": 4}}),
    ((b"\0", []), ("22P03", "payload of 1 bytes begins with a zero byte, but ends before the schema id does")),
    ((framed(7, b""), []), ("22032", "payload is empty")),
    ((framed(7, b'{"id": '), []), ("22032", "it ends too early, at byte 7")),
    ((framed(7, b"\x02\x06abc"), []), ("22032", "expected a value at byte 0")),
    ((framed(7, framed(7, b'{"id": 1}')), []), ("22032", "expected a value at byte 0")),
    ((framed(7, b'{"id": "\xff"}'), []), ("22021", "invalid UTF-8")),
    ((framed(7, b'{"id": "x"}'), []), ("22P02", 'field "id" of type integer: found string "x"')),
    ((framed(7, b"[1]"), []), ("2203C", "payload is an array, expected an object")),
    ((b"\x01" + framed(7, b"{}"), []), ("22032", "expected a value at byte 0")),
]
CONNECT = [
    ((b'{"schema": {"type": "struct"}, "payload": {"id": 1}}', []), {"id": 1, "schema": {"type": "struct"}, "payload": {"id": 1}}),
    ((b'{"payload": {"id": 1}, "payload": {"id": 2}, "schema": null}', []), {"id": 2, "schema": None, "payload": {"id": 2}}),
    ((b'{"schema": null, "payload": {"payload": {"id": 9}, "id": 3}}', []), {"id": 3, "schema": None, "payload": {"id": 3, "payload": {"id": 9}}}),
    ((b'{"schema": null, "payload": null}', []), ("22004", "no payload")),
    ((b'{"id": 1}', []), ("2203A", 'message has no key "payload"')),
    ((b'[{"payload": {"id": 1}}]', []), ("2203C", "payload is an array, expected an object")),
    ((b'{"schema": {}, "payload": {"id": 1}', []), ("22032", "ends too early")),
    ((b'{"schema": {}, "payload": [1]}', []), ("2203C", "payload is an array, expected an object")),
    ((b'{"schema": ' + b"[" * 600 + b"]" * 600 + b', "payload": {"id": 1}}', []), ("22032", "nested more than 512 levels deep")),
    ((b'{"schema": "' + b"x" * 1_000_000 + b'", "payload": {"id": 4}}', []), {"id": 4, "schema": "x" * 1_000_000, "payload": {"id": 4}}),
    ((b"", []), ("22032", "payload is empty")),
]
DEBEZIUM = [
    ((b'{"op": "r", "before": null, "after": {"id": 1}, "source": {"lsn": 5}}', []), {"id": 1, "op": "r", "source": {"lsn": 5}, "payload": {"id": 1}}),
    ((b'{"schema": {}, "payload": {"op": "u", "before": {"id": 1}, "after": {"id": 2}}}', []), {"id": 2, "op": "u", "source": None, "payload": {"id": 2}}),
    ((b'{"op": "d", "before": {"id": 3}, "after": null}', []), {"id": 3, "op": "d", "source": None, "payload": {"id": 3}}),
    ((b'{"op": "c", "op": "d", "before": {"id": 4}, "after": {"id": 5}}', []), {"id": 4, "op": "d", "source": None, "payload": {"id": 4}}),
    ((b'{"op": "t", "source": {}}', []), ("22023", "the source table was truncated")),
    ((b'{"op": "m", "message": {}}', []), ("22023", 'op is "m", expected c, r, u, d or t')),
    ((b'{"op": "u", "after": null}', []), ("2203C", 'op is "u", but "after" is null')),
    ((b'{"op": "u", "after": {"id": "__debezium_unavailable_value"}}', []), ("22004", 'field "id" was left out by the source')),
    ((b'{"op": "c", "after": {"id": {}}}', []), ("22P02", 'field "id" of type integer: found an object')),
    ((b'{"op": "c", "after": {"id": "\xff"}}', []), ("22021", "invalid UTF-8")),
    ((b'{"op": "c", "after": {"id": 1}', []), ("22032", "ends too early")),
    ((b'{"id": 1}', []), ("2203A", 'message has no key "op"')),
    ((b"", []), ("22032", "payload is empty")),
]
CLOUDEVENTS = [
    ((event(data={"id": 1}, time="2026-01-31T12:00:00Z", x={"y": 1}), []),
     {"id": 1, "ce_id": "a", "ce_type": "t", "ce_time": "2026-01-31T12:00:00+00:00", "ce_extensions": {"x": {"y": 1}}, "payload": {"id": 1}}),
    ((event(data_base64="eyJpZCI6IDJ9"), [("content-type", b"application/cloudevents+json")]),
     {"id": 2, "ce_id": "a", "ce_type": "t", "ce_time": None, "ce_extensions": {}, "payload": {"id": 2}}),
    ((b'{"id": 3}', BINARY + [("content-type", b"application/json"), ("ce_time", b"2026-01-31T12:00:00+01:00")]),
     {"id": 3, "ce_id": "b", "ce_type": "t", "ce_time": "2026-01-31T11:00:00+00:00", "ce_extensions": {"ext": "7"}, "payload": {"id": 3}}),
    ((event(), []), {"id": None, "ce_id": "a", "ce_type": "t", "ce_time": None, "ce_extensions": {}, "payload": None}),
    ((b"", BINARY), {"id": None, "ce_id": "b", "ce_type": "t", "ce_time": None, "ce_extensions": {"ext": "7"}, "payload": None}),
    ((b'{"id": 1}', []), ("2203A", "message is not a CloudEvent")),
    ((b'{"id": 1}', BINARY[:2]), ("2203A", 'attribute "source" of the CloudEvent is missing or empty')),
    ((b'{"id": 1}', BINARY + [("ce_subject", b"\xff")]), ("22P02", 'attribute "subject" of the CloudEvent is no text')),
    ((b'{"id": 1}', BINARY + [("ce_ext", b"\xff")]), ("22021", "an extension attribute of the CloudEvent is no text")),
    ((b"{", BINARY), ("22032", "ends too early")),
    ((event(specversion="0.3"), []), ("22023", 'specversion of the CloudEvent is "0.3"')),
    ((event(id=5), []), ("22P02", 'attribute "id" of the CloudEvent is a number, expected a string')),
    ((event(time="soon"), []), ("22007", 'field "ce_time"')),
    ((event(data=1, data_base64="e30="), []), ("22023", "both data and data_base64")),
    ((event(data_base64="%"), []), ("22P02", 'field "data_base64"')),
    ((event(data=[1]), []), ("2203C", "payload is an array, expected an object")),
    ((b"[" + event() + b"]", [("content-type", b"application/cloudevents-batch+json")]), ("22023", "content-type is")),
]
FORMATS = {
    "confluent-json": (CONFLUENT, "schema_id integer, payload jsonb"),
    "connect": (CONNECT, "schema jsonb, payload jsonb"),
    "debezium": (DEBEZIUM, "op text, source jsonb, payload jsonb"),
    "cloudevents": (CLOUDEVENTS, "ce_id text, ce_type text, ce_time timestamptz, ce_extensions jsonb, payload jsonb"),
}


def test_messages_of_each_format(world):
    producer = Producer({"bootstrap.servers": world.broker.address, "message.max.bytes": 8_000_000})
    for name, (cases, columns) in FORMATS.items():
        topic = f"{world.topic}-{name}"
        table = name.replace("-", "_")
        world.broker.create_topic(topic, 1)
        world.db.run(f"CREATE TABLE {table} (id int, {columns}, nth bigint); ALTER TABLE {table} OWNER TO app")
        names = ", ".join(c.split()[0] for c in columns.split(", "))
        world.create_pipeline(name=table, topic=topic, format=name, fields="id int", target=table, dlq="off", tombstone="dead_letter",
                              transform=f'SELECT id, {names}, event."offset" AS nth FROM event')
        for (value, headers), _ in cases:
            producer.produce(topic, value, headers=headers, partition=0)
    assert producer.flush(120) == 0
    world.start_ingestor("--max-message-bytes", "4000000")
    for name, (cases, columns) in FORMATS.items():
        table = name.replace("-", "_")
        world.wait_settled(pipeline=table, topic=f"{world.topic}-{name}")
        rows = dict(world.db.run(f"SELECT nth, to_jsonb(t) - 'nth' FROM {table} AS t"))
        letters = {nth: letter for nth, *letter in world.db.run(
            'SELECT "offset", raw, sqlstate, message, hint FROM millrace.dead_letters WHERE pipeline = %s', (table,))}
        for nth, ((value, _), expected) in enumerate(cases):
            what = f"{name}: {value[:100]!r}"
            if isinstance(expected, dict):
                assert rows.pop(nth, letters.get(nth)) == expected, what
            else:
                raw, sqlstate, message, _ = letters.pop(nth)
                assert bytes(raw) == value and sqlstate == expected[0] and re.search(re.escape(expected[1]), message), f"{what}: {message}"
        assert not rows and not letters
        counters = world.counters(pipeline=table)
        assert counters["events"] == len(cases) == counters["written"] + counters["dead"]

    # a dead letter of another format is read once the format is right, by the way of the hint
    with world.db.session("app") as app:
        app.run("CREATE TABLE later (id int)")
        app.run("SELECT millrace.create_pipeline('later', topic => %s, target => 'later', fields => 'id int NOT NULL', dlq => 'off',"
                " transform => 'SELECT id FROM event')", (f"{world.topic}-confluent-json",))
        wait_for(lambda: world.counters(pipeline="later")["events"] == len(CONFLUENT), "all settled")
        hint = app.value("SELECT hint FROM millrace.dead_letters WHERE pipeline = 'later' AND \"offset\" = 0")
        assert "format => 'confluent-json'" in hint
        app.run("SELECT millrace.alter_pipeline('later', format => 'confluent-json')")
        app.run("SELECT millrace.replay('later', ids => ARRAY[(SELECT id FROM millrace.dead_letters WHERE pipeline = 'later' AND \"offset\" = 0)])")
        wait_for(lambda: app.run("SELECT id FROM later ORDER BY 1") == [(1,), (4,)], "replayed")
