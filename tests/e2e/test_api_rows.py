"""A row as JSON is what PostgreSQL's row_to_json() makes of it, byte for byte: for each type, for values that are hard to write,
whatever the role's settings are; in lists, by id and in streams."""
import hashlib
import json
import signal
import urllib.parse

import pytest

from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.wait import wait_for

HARD_TEXTS = ["''", "'plain'", "'\"quotes\" and \\ back/slashes'", r"E'\x01\x02\x1f\x7f'", r"E'\b\f\n\r\t\v'", "'größe ☃ 😀 \u2028'", "' blanks '", "'null'", "'{\"a\":1}'",
              r"'\u0041'", "repeat('\"', 5000)", r"repeat(E'\x1f', 3000)"]
NUMBERS = ["0", "-1", "12", "0.1", "-0.5", "'NaN'", "'Infinity'", "'-Infinity'"]
MOMENTS = ["'2026-01-02 03:04:05{z}'", "'2026-01-02 03:04:05.000001{z}'", "'2026-01-02 23:59:59.9{z}'", "'0001-01-01 00:00:00{z}'", "'0044-03-15 12:00:00.5{z} BC'",
           "'4714-11-24 00:00:00{z} BC'", "'294276-12-31 23:59:59.999999{z}'", "'12345-06-07 00:00:00{z}'", "'infinity'", "'-infinity'"]

# column: type and values; the columns of a domain over each type come by themselves
TYPES = {
    "a_boolean": ("boolean", ["true", "false"]),
    "a_smallint": ("smallint", ["0", "-32768", "32767"]),
    "an_integer": ("integer", ["0", "-2147483648", "2147483647"]),
    "a_bigint": ("bigint", ["0", "-9223372036854775808", "9007199254740993"]),
    "a_real": ("real", [*NUMBERS, "'1e30'", "'-0'", "'1.1754944e-38'", "'16777216'"]),
    "a_double": ("double precision", [*NUMBERS, "'1e300'", "'-0'", "'5e-324'", "'123456789012345678'", "'1e15'", "'1e16'", "'1e-5'", "0.1::float8 + 0.2::float8"]),
    "a_numeric": ("numeric", [*NUMBERS, "'0.000'", "'1e300'", "'-123456789012345678901234567890.0123456789'"]),
    "a_short_numeric": ("numeric(10,3)", ["1", "-2.5", "'NaN'"]),
    "a_text": ("text", HARD_TEXTS),
    "a_varchar": ("character varying(6000)", HARD_TEXTS),
    "a_char": ("character(6)", ["'a'", "'\"'", "''"]),
    "a_byte": ('"char"', ["'a'", "'\"'", "''", r"'\'"]),
    "a_name": ("name", ["'a'", "'\"\\'", "''"]),
    "a_uuid": ("uuid", ["'00000000-0000-0000-0000-000000000000'", "'FFFFFFFF-0000-4000-8000-00000000000a'"]),
    "a_bytea": ("bytea", [r"'\x00ff5c22'", "''"]),
    "a_date": ("date", ["'2026-01-02'", "'0044-03-15 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'"]),
    "a_timestamp": ("timestamp without time zone", [m.format(z="") for m in MOMENTS]),
    "a_moment": ("timestamp with time zone", [m.format(z="Z") for m in MOMENTS]),
    "a_short_moment": ("timestamp(3) with time zone", [m.format(z="Z") for m in MOMENTS[:3]]),
    "a_clock": ("time", ["'00:00:00'", "'24:00:00'", "'12:34:56.000001'"]),
    "a_zoned_clock": ("time with time zone", ["'12:34:56.5+05:30'", "'00:00:00-08'"]),
    "an_interval": ("interval", ["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-1 day'"]),
    "a_json": ("json", [r"""'{"a": 1, "a": [null, "\u0000\""]}'""", "'null'", "'\"text\"'", "' 1 '", "E'{\\n\"a\":\\r\\n 1}'"]),
    "a_jsonb": ("jsonb", [r"""'{"b": 1, "a": [null, "\""]}'""", "'null'", "'1e2'"]),
    "an_xid": ("xid", ["'1'"]),
    "an_xid8": ("xid8", ["'1'", "'18446744073709551615'"]),
    "an_oid": ("oid", ["0", "4294967295"]),
    "an_inet": ("inet", ["'::1'", "'10.0.0.0/8'"]),
    "a_cidr": ("cidr", ["'10.0.0.0/8'", "'2001:db8::/32'"]),
    "a_mac": ("macaddr", ["'08:00:2b:01:02:03'"]),
    "words": ("tsvector", ["'a:1 ''b''''\"c'':2'", "''"]),
    # what the API does not know
    "a_query": ("tsquery", ["'a & ''b\"c'''"]),
    "a_long_mac": ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    "bits": ("bit varying", ["B'0101'", "B''"]),
    "a_price": ("money", ["'12.34'", "'-0.01'"]),
    "a_point": ("point", ["'(1,2.5)'"]),
    "a_range": ("tstzrange", ["'[2026-01-01Z,)'", "'empty'"]),
    "a_multirange": ("int4multirange", ["'{[1,3),[5,7)}'"]),
    "a_place": ("pg_lsn", ["'16/B374D848'"]),
    "a_class": ("regclass", ["'pg_class'"]),
    "numbers": ("integer[]", ["'{}'", "'{{1,2},{3,NULL}}'"]),
    "texts": ("text[]", [r"""'{"a\"b","c,d",NULL}'"""]),
    "moments": ("timestamptz[]", ["'{2026-01-01Z,infinity}'"]),
    "big_numbers": ("bigint[]", ["'{9007199254740993}'"]),
    "a_vector": ("int2vector", ["'1 2 3'"]),
    "a_mood": ("mood", ["'so \"so\"'", "'good'"]),
    "a_pair": ("pair", ["ROW(1, 'a\"b', '2026-01-01Z')", "ROW(NULL, NULL, NULL)"]),
    "pairs": ("pair[]", ["ARRAY[ROW(1, 'a', NULL)::pair]"]),
    "a_degree": ("degree", ["'20'"]),
    "a_deep_bigint": ("deep", ["9007199254740993"]),
}
# names that are hard to write, and those that the statement uses itself
NAMES = {'a"b\\c': "1", "größe\n": "2", "t": "3", "e": "4", "j": "5", "json": "6", "at": "7", "Id": "8"}
DOMAINS = [name for name, (kind, _) in TYPES.items() if kind != "deep"]

SETTINGS = """
    ALTER ROLE web SET DateStyle = 'German, DMY'; ALTER ROLE web SET TimeZone = 'America/St_Johns'; ALTER ROLE web SET IntervalStyle = 'iso_8601';
    ALTER ROLE web SET extra_float_digits = -10; ALTER ROLE web SET bytea_output = 'escape'; ALTER ROLE web SET search_path = public;
    ALTER ROLE web SET client_encoding = 'LATIN1'; ALTER ROLE web SET standard_conforming_strings = off;
    ALTER DATABASE {0} SET DateStyle = 'SQL, MDY'; ALTER DATABASE {0} SET extra_float_digits = 0; ALTER DATABASE {0} SET lc_monetary = 'C';
"""
OURS = """
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
    SET search_path = pg_catalog, pg_temp;
"""


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def schema():
    columns = ["id uuid PRIMARY KEY DEFAULT gen_random_uuid()", "time timestamptz NOT NULL", "number integer NOT NULL",
               "xid xid8 NOT NULL DEFAULT pg_current_xact_id()", "double integer GENERATED ALWAYS AS (number * 2) STORED"]
    domains = []
    for name, (kind, _) in TYPES.items():
        columns.append(f"{name} {kind}")
        if name in DOMAINS:
            domains.append(f"CREATE DOMAIN {name}_domain AS {kind};")
            columns.append(f"{name}_of_domain {name}_domain")
    columns += [f"{quoted(name)} integer DEFAULT {value}" for name, value in NAMES.items()]
    return f"""
        CREATE TYPE mood AS ENUM ('so "so"', 'good');
        CREATE TYPE pair AS (a bigint, b text, c timestamptz);
        CREATE TYPE degree AS ENUM ('20');
        CREATE FUNCTION as_json(degree) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('degree', $1::text::int) $$;
        CREATE CAST (degree AS json) WITH FUNCTION as_json(degree);
        CREATE DOMAIN shallow AS bigint;
        CREATE DOMAIN deep AS shallow;
        {' '.join(domains)}
        CREATE TABLE rows ({', '.join(columns)});
        CREATE INDEX ON rows (time, id);
        CREATE INDEX ON rows (xid, id);
        GRANT SELECT ON rows TO web;
    """


ROW_COUNT = max(len(values) for _, values in TYPES.values()) + 1  # the first one is null as far as it can be


def insert(i, number=0):
    """The i-th values of each column, and its moment as the row's time."""
    columns, values = ["time", "number"], [MOMENTS[i % len(MOMENTS)].format(z="Z"), str(number + i)]
    for name, (kind, all_values) in TYPES.items():
        value = "NULL" if i == 0 else f"({all_values[(i - 1) % len(all_values)]})::{kind}"
        columns.append(name)
        values.append(value)
        if name in DOMAINS:
            columns.append(f"{name}_of_domain")
            values.append(value)
    return f"INSERT INTO rows ({', '.join(columns)}) VALUES ({', '.join(values)});"


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_rows")
    world.db.run(schema())
    world.db.run("".join(insert(i) for i in range(ROW_COUNT)))
    world.db.run(SETTINGS.format("api_rows"))
    world.start("--events", "rows")
    yield world
    world.db.run("ALTER ROLE web RESET ALL")
    world.close()


def columns_of(world):
    """Those that are shown: name, and is it to be a string?"""
    return world.db.run("""
        SELECT a.attname::text, 'bigint'::regtype IN (a.atttypid, t.typbasetype) FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = 'rows'::regclass AND a.attnum > 0 AND a.atttypid <> 'tsvector'::regtype ORDER BY a.attnum""")


def rendered(world, names=None, order="time DESC, id DESC"):
    """[(id, row_to_json())] by PostgreSQL itself."""
    shown = columns_of(world) if names is None else [(name, False) for name in names]
    select = ", ".join(f"t.{quoted(name)}{'::text' if is_bigint else ''} AS {quoted(name)}" for name, is_bigint in shown)
    with world.db.session() as session:
        return session.run(f"{OURS} SELECT t.id::text, (SELECT row_to_json(j.*)::text FROM (SELECT {select}) AS j) FROM public.rows AS t ORDER BY {order}")


def test_lists(web):
    expected = rendered(web)
    assert len(expected) == ROW_COUNT
    assert web.api.get("/events?limit=1000").body.decode() == "[" + ",\n".join(row for _, row in expected) + "]\n"
    assert json.loads("[" + ",".join(row for _, row in expected) + "]")
    answer = web.api.get("/events?limit=1000", Accept="application/x-ndjson")
    # line breaks between the tokens of a json, the only ones there are, are blanks: a row is a line
    assert any("\n" in row and "\r" in row for _, row in expected)
    assert answer.body.decode() == "".join(row.replace("\n", " ").replace("\r", " ") + "\n" for _, row in expected)
    assert [json.loads(line) for line in answer.body.decode().split("\n")[:-1]] == [json.loads(row) for _, row in expected]
    # the same rows, some at a time, from a position that is a time of each kind
    path, seen = "/events?limit=2", []
    while path:
        answer = web.api.get(path)
        seen.append(answer.body.decode()[1:-2])
        path = answer.links().get("next")
    assert ",\n".join(seen) == ",\n".join(row for _, row in expected)


def test_fields(web):
    for names in (["a_text"], ["time", "a_bigint_of_domain"], ["words"], ["pairs", "id", "a_deep_bigint"], list(NAMES)):
        shown = dict(columns_of(web))
        answer = web.api.get("/events?limit=1000&fields=" + urllib.parse.quote(",".join(names)))
        assert answer.status == 200, answer
        expected = [json.loads(row) for _, row in rendered(web, names)]
        for row in expected:
            for name in names:
                if shown.get(name) and row[name] is not None:
                    row[name] = str(row[name])
        assert answer.json() == expected
        assert [list(row) for row in answer.json()] == [names] * ROW_COUNT


def test_by_id(web):
    for row_id, row in rendered(web):
        answer = web.api.get(f"/events/{row_id}")
        assert answer.body.decode() == row + "\n"
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
        assert web.api.get(f"/events/{row_id}", If_None_Match=answer.headers["etag"]).status == 304


def test_streams(web):
    stream = EventStream(web.api, "/events/stream?number=gte.100")
    assert stream.status == 200
    wait_for(lambda: stream.line() == "retry: 2000", "it begins")
    web.db.run("".join(insert(i, 100) for i in range(ROW_COUNT)))
    expected = {row_id: json.loads(row) for row_id, row in rendered(web)}
    for _ in range(ROW_COUNT):
        row = stream.next().json()
        assert row == expected[row["id"]]
    web.db.run("DELETE FROM rows WHERE number >= 100")


def test_a_type_that_changes(web):
    """Until SIGHUP the API knows the columns as they were: what it answers is a document all the same, and then the row again."""
    row_id, _ = rendered(web, order="number DESC")[0]
    web.db.run("ALTER TABLE rows ALTER an_oid TYPE integer[] USING ARRAY[1, 2], ALTER an_xid TYPE json USING '[3]', ALTER bits TYPE text USING 'a'")
    for path in ("/events?limit=1000", f"/events/{row_id}"):
        for _ in range(5):
            wait_for(lambda p=path: web.api.get(p).status == 200, "it is served")
            answer = web.api.get(path).json()
            row = answer if isinstance(answer, dict) else next(r for r in answer if r["id"] == row_id)
            assert row["an_oid"] in ("{1,2}", [1, 2]) and row["an_xid"] == [3] and row["bits"] == "a"
    web.api.process.signal(signal.SIGHUP)
    wait_for(lambda: web.api.get(f"/events/{row_id}").json()["an_oid"] == [1, 2], "the relation is described again")
    assert web.api.get("/events?limit=1000").body.decode() == "[" + ",\n".join(row for _, row in rendered(web)) + "]\n"
