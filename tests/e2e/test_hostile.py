"""Hostile messages through real Kafka, a table of them: each ends where it should, with a reason a person understands;
what was sent is kept to the byte, here and in the DLQ topic; and the good events in between are all written, once."""
import json
import re
import time

from confluent_kafka import Producer

from lib.dead_letters import dlq, read_topic, wait_published
from lib.wait import wait_for
from test_target_changes import Feed

FIELDS = "n int, s text, d double precision, x numeric, at timestamptz, day date, id uuid, j jsonb, list int[], raw_bytes bytea, ip inet"
DDL = """CREATE TABLE t (n int, s text CHECK (s <> 'refused'), d double precision, x numeric, at timestamptz, day date, id uuid, j jsonb,
                         list int[], raw_bytes bytea, kafka_ts timestamptz, kafka_partition int, kafka_offset bigint);
         ALTER TABLE t OWNER TO app"""
TRANSFORM = """SELECT n, s, d, x, at, day, id, j, list, raw_bytes, event.kafka_ts, event.partition AS kafka_partition,
                      event."offset" AS kafka_offset FROM event WHERE s IS DISTINCT FROM 'filtered'"""

SQL = "'); DROP TABLE t; --"
DEEP = 100_000
NOT_JSON = "payload is not JSON: "
MAX_BYTES = 4_000_000  # what this ingestor takes


def text(s):
    return s.encode()


def obj(**fields):
    return json.dumps(fields).encode()


def written(name, value, column, expected, **more):
    """column: SQL over the row that must give expected."""
    return dict(name=name, message=dict(value=value, **more), written=(column, expected))


def filtered(name, value, **more):
    return dict(name=name, message=dict(value=value, **more), filtered=True)


def dead(name, value, sqlstate, message, kept=True, **more):
    return dict(name=name, message=dict(value=value, **more), dead=(sqlstate, message), kept=kept)


def table():
    now = int(time.time() * 1000)
    rows = [
        # -- no JSON
        dead("empty", b"", "22032", "^payload is empty$"),
        dead("blank", b" \n\t ", "22032", "^payload is empty$"),
        dead("null payload", None, "22004", r"no payload \(a tombstone\)"),
        dead("NUL byte", b"\0", "22032", NOT_JSON + "expected a value at byte 0"),
        dead("many NUL bytes", bytes(100_000), "22032", NOT_JSON + "expected a value at byte 0"),
        dead("NUL byte behind", b'{"n":1}\0', "22032", NOT_JSON + "something follows the document at byte 7"),
        dead("NUL byte in a string", b'{"s":"a\0b"}', "22032", NOT_JSON + "control character in a string"),
        dead("schema registry frame", b"\0\0\0\0\x17" + obj(n=1), "22032", NOT_JSON),
        dead("byte order mark", b"\xef\xbb\xbf" + obj(n=1), "22032", NOT_JSON + "byte order mark"),
        dead("UTF-16", '{"n":1}'.encode("utf-16"), "22032", NOT_JSON),
        dead("gzip", b"\x1f\x8b\x08\0" + bytes(range(256)), "22032", NOT_JSON),
        dead("all bytes", bytes(range(256)) * 40, "22032", NOT_JSON),
        dead("trailing garbage", b'{"n":1}xyz', "22032", "something follows the document at byte 7"),
        dead("two documents", b'{"n":1}{"n":2}', "22032", "something follows the document at byte 7"),
        dead("two lines", b'{"n":1}\n{"n":2}', "22032", "something follows the document at byte 8"),
        dead("trailing comma", b'{"n":1,}', "22032", "expected a key in double quotes"),
        dead("single quotes", b"{'n':1}", "22032", "expected a key in double quotes"),
        dead("comment", b'{"n":1 // one\n}', "22032", NOT_JSON),
        dead("cut off", b'{"n":1,"s":"ab', "22032", "it ends too early, at byte 14"),
        dead("bare NaN", b'{"d":NaN}', "22032", NOT_JSON),
        dead("bare Infinity", b'{"d":-Infinity}', "22032", NOT_JSON),
        dead("leading zero", b'{"n":01}', "22032", "malformed number"),
        dead("number", b"5", "2203C", "payload is a number, expected an object"),
        dead("null", b"null", "2203C", "payload is null, expected an object"),
        dead("array", b'[{"n":1}]', "2203C", "payload is an array, expected an object"),
        dead("string of JSON", json.dumps('{"n":1}').encode(), "2203C", "payload is a string, expected an object"),
        # -- characters
        dead("\\u0000", rb'{"s":"a\u0000b"}', "22P05", r'field "s" of type text: .* has the character \\u0000'),
        dead("\\u0000 deep in a jsonb", rb'{"j":{"a":[{"\u0000":1}]}}', "22P05", 'field "j" of type jsonb'),
        written("\\u0000 nobody wants", rb'{"n":7,"other":"\u0000"}', "n", 7),
        dead("lone high surrogate", rb'{"s":"\ud800"}', "22032", "half of a surrogate pair"),
        dead("lone low surrogate", rb'{"s":"\udc00x"}', "22032", "half of a surrogate pair"),
        dead("swapped surrogates", rb'{"s":"\udc00\ud800"}', "22032", "half of a surrogate pair"),
        dead("lone surrogate nobody wants", rb'{"n":1,"other":"\ud83d"}', "22032", "half of a surrogate pair"),
        dead("invalid UTF-8", b'{"s":"\xff"}', "22021", "invalid UTF-8 at byte 6"),
        dead("Latin-1", '{"s":"né"}'.encode("latin-1"), "22021", "invalid UTF-8"),
        dead("overlong UTF-8", b'{"s":"\xc0\xaf"}', "22021", "invalid UTF-8"),
        dead("surrogate in UTF-8", b'{"s":"\xed\xa0\x80"}', "22021", "invalid UTF-8"),
        dead("invalid UTF-8 in a key", b'{"\xff":1}', "22021", "invalid UTF-8"),
        written("emoji and escapes", rb'{"s":"\ud83d\ude00\n\u00e9"}', "s", "\U0001f600\né"),
        written("right-to-left and zero width", text('{"s":"\u202eabc\u200b"}'), "s", "\u202eabc\u200b"),
        # -- depth and size
        dead("100,000 arrays deep", b"[" * DEEP, "22032", "nested more than 512 levels deep"),
        dead("100,000 arrays deep and back", b'{"j":' + b"[" * DEEP + b"]" * DEEP + b"}", "22032", "nested more than 512 levels deep"),
        dead("100,000 objects deep", b'{"a":' * DEEP, "22032", "nested more than 512 levels deep"),
        written("500 arrays deep", b'{"j":' + b"[" * 500 + b"]" * 500 + b"}", "length(j::text)", 1000),
        written("string of 3.9 MB", obj(s="x" * 3_900_000), "length(s)", 3_900_000),
        dead("wrong string of 3.9 MB", obj(n="x" * 3_900_000), "22P02", 'field "n" of type integer: found string "x{60}..."'),
        dead("wrong string of 3.9 MB, of a type the server reads", obj(ip="x" * 3_900_000), "22P02", r'field "ip" of type inet: invalid input .*xxx\.\.\.$'),
        dead("larger than the ingestor takes", obj(s="x" * (MAX_BYTES + 100)), "54000", "larger than the ingestor's max.message.bytes", kept=False),
        dead("garbage larger than the ingestor takes", b"\xff" * (MAX_BYTES + 1), "54000", "larger than the ingestor's", kept=False),
        written("100,000 keys", b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(DEEP)) + b',"n":8}', "n", 8),
        written("key of 1 MB", b'{"' + b"k" * 1_000_000 + b'":1,"n":9}', "n", 9),
        written("duplicate keys", b'{"n":1,"n":"x","n":3}', "n", 3),
        dead("duplicate keys, the last is wrong", b'{"n":1,"n":"x"}', "22P02", 'found string "x", expected an integer'),
        # -- numbers
        dead("1e400000 as integer", b'{"n":1e400000}', "22003", 'field "n" of type integer: number 1e400000 is out of range'),
        dead("1e400000 as double", b'{"d":1e400000}', "22003", "number 1e400000 is out of range"),
        dead("1e400000 as numeric", b'{"x":1e400000}', "22003", "number 1e400000 is out of range"),
        written("1e400000 nobody wants", b'{"n":10,"other":1e400000}', "n", 10),
        dead("a hundred 1e131071 as jsonb", b'{"j":[' + b",".join([b"1e131071"] * 100) + b"]}", "22003", "number that is out of range"),
        written("1e131071 as numeric", b'{"x":1e131071}', "length(x::text)", 131072),
        dead("1e131072 as numeric", b'{"x":1e131072}', "22003", "out of range"),
        dead("endless exponent", b'{"d":1e' + b"9" * 100_000 + b"}", "22003", "out of range"),
        dead("number of a million digits", b'{"n":' + b"1" * 1_000_000 + b"}", "22003", r"number 1{60}\.\.\. is out of range"),
        written("fraction of a million digits", b'{"d":0.' + b"3" * 1_000_000 + b"}", "d", 0.3333333333333333),
        dead("integer overflow", b'{"n":2147483648}', "22003", "number 2147483648 is out of range"),
        dead("integer underflow", b'{"n":-99999999999999999999}', "22003", "out of range"),
        dead("fraction for an integer", b'{"n":1.5}', "22P02", "found number 1.5, expected an integer"),
        written("NaN in quotes", b'{"d":"NaN"}', "d::text", "NaN"),
        dead("NaN for an integer", b'{"n":"NaN"}', "22P02", 'found string "NaN", expected an integer'),
        # -- times
        dead("year 999999999", b'{"at":"999999999-01-01T00:00:00Z"}', "22008", "out of range"),
        dead("30th of February", b'{"day":"2026-02-30"}', "22008", 'string "2026-02-30" is out of range'),
        dead("month 13", b'{"at":"2026-13-01T00:00:00Z"}', "22008", "out of range"),
        dead("time as a number", b'{"at":17e300}', "22007", "found number 17e300, expected a timestamp such as"),
        dead("endless time", b'{"at":"' + b"2026-" * 100_000 + b'"}', "22007", "found string"),
        written("year 1 before Christ", b'{"at":"0001-01-01 00:00:00+00 BC"}', "extract(year FROM at AT TIME ZONE 'UTC')::int", -1),
        written("infinity", b'{"at":"infinity"}', "at::text", "infinity"),
        written("Kafka timestamp of 1970", obj(n=11), "extract(epoch FROM kafka_ts)::int", 0, timestamp=1),
        written("Kafka timestamp of the year 250000", obj(n=12), "to_char(kafka_ts AT TIME ZONE 'UTC', 'YYYYYY') LIKE '250%%'", True,
                timestamp=(250_000 - 1970) * 31_556_952_000),
        written("Kafka timestamp beyond timestamptz", obj(n=13), "kafka_ts IS NULL", True, timestamp=2 ** 62),
        dead("broken, with an absurd Kafka timestamp", b"{", "22032", "ends too early", timestamp=2 ** 62),
        written("Kafka timestamp of an hour to come", obj(n=14), "kafka_ts > now()", True, timestamp=now + 3_600_000),
        # -- types
        dead("object for a string", b'{"s":{}}', "22P02", 'field "s" of type text: found an object, expected a string'),
        dead("ragged array", b'{"list":[[1],[2,3]]}', "2202E", "inner arrays that differ"),
        dead("array of seven dimensions", b'{"list":[[[[[[[1]]]]]]]}', "54000", "more than 6 dimensions"),
        dead("bad uuid", b'{"id":"5e41ab08"}', "22P02", "expected a uuid"),
        dead("bad base64", b'{"raw_bytes":"%%"}', "22P02", "expected base64"),
        # -- SQL in every field, key and header
        written("SQL in a string", obj(s=SQL), "s", SQL, key=text(SQL), headers=[(SQL, text(SQL))]),
        dead("SQL in the others", obj(n=SQL, d=SQL, x=SQL, at=SQL, day=SQL, id=SQL, list=SQL, raw_bytes=SQL), "22P02", "DROP TABLE"),
        written("SQL in a jsonb", obj(j={SQL: SQL}), "j::text", json.dumps({SQL: SQL})),
        written("SQL in a name", text('{"n":15,"' + SQL + '":1}'), "n", 15),
        dead("format directives", obj(n="%s%n%d%1000000000s"), "22P02", 'found string "%s%n%d'),
        dead("terminal escapes", rb'{"n":"\u001b[2J\u202e"}', "22P02", r'found string "\\u001b\[2J\\u202e"'),
        # -- keys and headers
        written("binary key", obj(n=16), "n", 16, key=bytes(range(256))),
        dead("broken, with a binary key", b"{", "22032", "ends too early", key=bytes(range(255, -1, -1))),
        dead("broken, with a key of 1 MB", b"[", "22032", "ends too early", key=b"\xff\0" * 500_000),
        written("key of 1 MB beside a good payload", obj(n=17), "n", 17, key=b"k" * 1_000_000),
        dead("broken, with an empty key", b"]", "22032", NOT_JSON, key=b""),
        dead("10,000 headers", b"no json", "22032", NOT_JSON, headers=[(f"h{i}", b"v%d" % i) for i in range(10_000)]),
        written("10,000 headers on a good one", obj(n=18), "n", 18, headers=[("same", b"%d" % i) for i in range(10_000)]),
        dead("headers: null, empty, binary, nameless", b"no json", "22032", NOT_JSON,
             headers=[("null", None), ("empty", b""), ("binary", bytes(range(256))), ("", b"nameless"), ("\u00e9\u202e", b"\xff")]),
        dead("header of 1 MB", b"no json", "22032", NOT_JSON, headers=[("large", b"\0\xff" * 500_000)]),
        dead("headers that look like ours", b"no json", "22032", NOT_JSON,
             headers=[("millrace-id", b"forged"), ("__connect.errors.topic", b"elsewhere"), ("kafka_dlt-original-offset", b"x")]),
        # -- decodes, and is hostile further on
        filtered("filtered", obj(s="filtered")),
        dead("refused by the table", obj(s="refused"), "23514", "violates check constraint"),
        written("nothing known", b'{"other":[]}', "num_nulls(n, s, d, x, at, day, id, j, list, raw_bytes)", 10),
    ]
    names = [r["name"] for r in rows]
    assert len(names) == len(set(names)) and len(rows) >= 60
    return rows


def unpack(headers):
    """What millrace keeps headers as: see docs/architecture.md."""
    if headers is None:
        return []
    data, at, found = bytes(headers), 4, []

    def piece():
        nonlocal at
        size = int.from_bytes(data[at:at + 4], "big", signed=True)
        at += 4 + max(size, 0)
        return None if size < 0 else data[at - size:at]
    for _ in range(int.from_bytes(data[:4], "big")):
        found.append((piece().decode(), piece()))
    assert at == len(data)
    return found


def good(i):
    return dict(value=obj(n=1_000_000 + i, s="good"), key=b"good")


def send(world, rows):
    """Each hostile message between good ones; {place: row}."""
    producer = Producer({"bootstrap.servers": world.broker.address, "message.max.bytes": 8_000_000, "linger.ms": 5})
    places = {}

    def delivered(row):
        def note(error, message):
            assert error is None, f"{row['name']}: {error}"
            places[(message.partition(), message.offset())] = row
        return note
    for i, row in enumerate(rows):
        producer.produce(world.topic, **good(2 * i))
        producer.produce(world.topic, **row["message"], partition=i % 3, on_delivery=delivered(row))
        producer.produce(world.topic, **good(2 * i + 1))
        producer.poll(0)
    assert producer.flush(120) == 0 and len(places) == len(rows)
    return places


def as_bytes(value):
    return None if value is None else bytes(value)


def check_dead(row, letter, copy):
    payload, key, headers, sqlstate, message, dlq_at = letter
    name, sent = row["name"], row["message"]
    assert "dead" in row, f"{name} is a dead letter: {sqlstate} {message}"
    assert sqlstate == row["dead"][0] and re.search(row["dead"][1], message), f"{name}: {sqlstate} {message}"
    assert len(message) < 2010 and message.isprintable(), f"{name}: {message!r}"
    whole = (sent["value"] if row["kept"] else None, sent.get("key"), sent.get("headers", []))
    assert (as_bytes(payload), as_bytes(key), unpack(headers)) == whole, f"{name}: not kept as sent"
    assert dlq_at == (copy.partition(), copy.offset()), name
    assert (copy.value(), copy.key(), copy.headers()[:len(whole[2])]) == whole, f"{name}: the copy in Kafka is not as sent"


def test_hostile(world):
    rows = table()
    # times long gone and to come: neither refused nor retention's
    world.create_topic(partitions=3, message_timestamp_after_max_ms=2 ** 63 - 1, retention_ms=-1)
    world.broker.create_topic(dlq(world), 3, max_message_bytes=8_000_000)
    world.db.run(DDL)
    world.create_pipeline(fields=FIELDS, transform=TRANSFORM, target="t", workers=2)
    places = send(world, rows)
    world.start_ingestor("--max-message-bytes", str(MAX_BYTES))
    world.wait_settled()
    wait_published(world)

    # whoever is in the way of nobody: all good ones, each once
    assert world.db.run("SELECT count(*), count(DISTINCT n) FROM t WHERE s = 'good'") == [(2 * len(rows), 2 * len(rows))]
    letters = {(p, o): letter for p, o, *letter in world.db.run(
        'SELECT partition, "offset", payload, key, headers, sqlstate, message, ARRAY[dlq_partition, dlq_offset] FROM millrace.dead_letter')}
    copies = {(m.partition(), m.offset()): m for m in read_topic(world, dlq(world))}
    for place, row in places.items():
        letter = letters.pop(place, None)
        found = world.db.value("SELECT count(*) FROM t WHERE (kafka_partition, kafka_offset) = (%s, %s)", place)
        if letter is not None:
            assert found == 0, row["name"]
            letter[-1] = tuple(letter[-1])
            check_dead(row, letter, copies.pop(letter[-1]))
        elif "filtered" in row:
            assert found == 0, row["name"]
        else:
            assert "written" in row and found == 1, f"{row['name']}: {found} rows, no dead letter"
            column, expected = row["written"]
            value = world.db.value(f"SELECT {column} FROM t WHERE (kafka_partition, kafka_offset) = (%s, %s)", place)
            assert value == expected, f"{row['name']}: {value!r}"
    assert not letters and not copies
    counts = [sum(k in row for row in rows) for k in ("written", "filtered", "dead")]
    counters = world.counters()
    assert [counters[k] for k in ("written", "filtered", "dead")] == [counts[0] + 2 * len(rows), counts[1], counts[2]]
    assert counters["events"] == 3 * len(rows)
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]
    # readable for a person, whatever it holds
    assert world.db.value("SELECT count(*) FROM millrace.dead_letters WHERE length(payload) >= 0 OR payload IS NULL") == counts[2]
    assert world.db.value("SELECT sum(count) FROM millrace.dead_letter_groups") == counts[2]


def test_headers_that_cannot_be_read(world):
    """The event dies alone, with its payload, and a replay takes it without headers."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)", transform="SELECT n, event.headers::text AS v FROM event", dlq="off")
    feed.send('{"n":1}')
    feed.lane.send(0, [b'{"n":2}'], kind=8)  # MR_KIND_BAD_HEADERS
    counters = feed.send('{"n":3}').settled()
    assert (counters["written"], counters["dead"]) == (2, 1)
    assert world.db.run("SELECT stage, sqlstate, message, convert_from(payload, 'UTF8') FROM millrace.dead_letter") == [
        ("decode", "22P03", "the headers of the message could not be read", '{"n":2}')]
    world.db.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
    wait_for(lambda: feed.rows("SELECT n FROM t ORDER BY 1") == [(1,), (2,), (3,)], "replayed")
