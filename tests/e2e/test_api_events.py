"""GET /events and GET /events/{id}: pages, filters, representations, conditional requests; and no way into the SQL."""
import contextlib
import csv
import io
import json
import signal
import urllib.parse

import pytest

from lib.api import Api
from lib.api_world import ApiWorld
from lib.wait import wait_for

NAMES = ["id", "type", "source", "time", "value", "note", "number", "doc", "topic", "partition", "offset"]


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_events")
    world.fill(999)
    world.start("--cursor-secret", "of the test")
    yield world
    world.close()


def numbers(answer):
    assert answer.status == 200, answer
    return [row["doc"]["i"] for row in answer.json()]


def order(world, condition="true", direction="DESC"):
    return [r[0] for r in world.db.run(f"SELECT (doc ->> 'i')::int FROM events WHERE {condition} ORDER BY time {direction}, id {direction}")]


def test_a_row_as_json(web):
    row = web.api.get("/events?limit=1").json()[0]
    assert list(row) == NAMES
    i = row["doc"]["i"]
    assert row["number"] == str(9007199254740993 + i) and row["offset"] == str(i // 4)  # beyond what JSON numbers keep
    assert row["partition"] == i % 4 and row["value"] == i / 8 and row["note"] is None
    assert row["time"].startswith("2026-01-01T00:05:32") and row["time"].endswith("+00:00")


def test_pages_forward_and_back(web):
    """Each row once, in order, whatever the limit; the way back gives the same pages."""
    expected = order(web)
    for limit in (7, 333, 1000):
        pages, path = [], f"/events?limit={limit}"
        while path:
            answer = web.api.get(path)
            pages.append(numbers(answer))
            last, path = path, answer.links().get("next")
        assert [i for page in pages for i in page] == expected
        assert all(len(page) == limit for page in pages[:-1])
        back, path = [], web.api.get(last).links().get("prev")
        while path:
            answer = web.api.get(path)
            back.insert(0, numbers(answer))
            path = answer.links().get("prev")
        assert [i for page in back for i in page] == [i for page in pages[:-1] for i in page]
        assert answer.links()["first"] == f"/events?limit={limit}"


def test_pages_while_rows_are_added(web):
    first = web.api.get("/events?limit=100")
    seen = numbers(first)
    web.fill(30)
    path = first.links()["next"]
    while path:
        answer = web.api.get(path)
        seen += numbers(answer)
        path = answer.links().get("next")
    assert seen == order(web, f"(doc ->> 'i')::int < {web.rows - 30}")
    newer = web.api.get(web.api.get(first.links()["next"]).links()["prev"])
    assert numbers(newer) == seen[:100]  # those before the second page, newest first


def test_a_far_page_reads_as_little_as_the_first(cluster):
    """Rows that are taken from the table: those of the page, however many are before it."""
    world = ApiWorld(cluster, "api_far")
    try:
        world.fill(12000)
        world.start("--threads", "1", "--pool", "1")
        path, pages = "/events?limit=100", 1
        while path:
            far, path = path, world.api.get(path).links().get("next")
            pages += 1
        assert pages > 100

        def fetched():
            return world.db.value("SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'events'")

        # a session shows its counters some seconds later
        before = [0]

        def stays():
            before.append(fetched())
            return before[-1] == before[-2] > 12000

        wait_for(stays, "all is counted", every=1.5)
        for path in ("/events?limit=100", far):
            begin = before[-1]
            for _ in range(20):
                assert len(numbers(world.api.get(path))) == 100
            wait_for(lambda b=begin: fetched() >= b + 2000, "it is counted")
            wait_for(stays, "all is counted", every=1.5)
            assert before[-1] - begin <= 20 * 101, path
    finally:
        world.close()


def test_filters(web):
    for query, condition in (
            ("type=humidity", "type = 'humidity'"),
            ("type=eq.humidity", "type = 'humidity'"),
            ("type=in.(humidity,pressure)", "type IN ('humidity', 'pressure')"),
            ('type=in.("humidity","a,b")', "type = 'humidity'"),
            ("value=gte.50", "value >= 50"),
            ("value=lt.1.5&type=pressure", "value < 1.5 AND type = 'pressure'"),
            ("from=2026-01-01T00:01:00Z&to=2026-01-01T00:02:00Z", "time >= '2026-01-01 00:01Z' AND time < '2026-01-01 00:02Z'"),
            ("time=2026-01-01T00:01:00Z", "time = '2026-01-01 00:01Z'"),
            ("type=nothing", "false"),
            ("type=not.found", "false"), ("type=is.nullable", "false"), ("type=match.started", "false"),
            ("type=hum%69dity", "type = 'humidity'")):
        path = "/events?limit=1000&" + query.replace('"', "%22")
        assert numbers(web.api.get(path)) == order(web, condition), query
    row = web.api.get("/events?limit=1").json()[0]
    assert web.api.get("/events?id=" + row["id"]).json() == [row]


def test_an_estimated_count(web):
    """Content-Range says how many rows there are on all pages: the planner's guess, or what is known."""
    def count(path, prefer="count=estimated"):
        answer = web.api.get(path, Prefer=prefer)
        assert answer.status == 200, answer
        return answer.headers.get("content-range"), answer.headers.get("preference-applied")

    assert count("/events?limit=1", "return=minimal") == (None, None)
    size, applied = count("/events?limit=1")
    rows = int(size[2:])
    assert size.startswith("*/") and applied == "count=estimated" and 0.5 * web.rows <= rows <= 1.5 * web.rows
    size, _ = count("/events?limit=1&type=humidity")
    assert int(size[2:]) < 0.7 * rows  # by the statistics of the column
    assert count("/events?limit=10&type=nothing")[0] == "*/0"  # one page: these are all
    assert count("/events?limit=10&to=2026-01-01T00:00:01Z")[0] == "*/3"
    # time and value go together, which the planner does not know: it expects fewer rows than the page has, and one that follows
    assert count("/events?limit=30&from=2026-01-01T00:01:00Z&to=2026-01-01T00:01:20Z&value=lt.30")[0] == "*/31"
    assert web.api.get("/events?value=warm", Prefer="count=estimated").json()["code"] == "MR-111"


def test_full_text(cluster):
    """q= searches the column of type tsvector within a range of time, as a web search writes it."""
    world = ApiWorld(cluster, "api_text")
    try:
        world.fill(30)
        api = world.start()
        answer = api.get("/events?q=storm&from=2026-01-01T00:00:00Z").json()
        assert answer["code"] == "MR-110" and "ADD search tsvector" in answer["hint"]
        api.kill()
        world.db.run("ALTER TABLE events ADD search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(note, ''))) STORED;"
                     " UPDATE events SET note = CASE WHEN value < 1 THEN 'a storm over the sea' WHEN value < 2 THEN 'storm warning' END;"
                     " ALTER DATABASE api_text SET default_text_search_config = 'pg_catalog.simple'")
        api = world.start()
        for words, condition in (("storm", "value < 2"), ("storm -sea", "value >= 1 AND value < 2"), ('"over the"', "value < 1"),
                                 ("sea or warning", "value < 2"), ("calm", "false"), ("'&|!(", "false"), ('"', "false")):
            answer = api.get(f"/events?limit=1000&from=2026-01-01T00:00:00Z&q={urllib.parse.quote(words)}")
            assert numbers(answer) == order(world, condition), words
        assert api.get("/events?q=storm").json()["code"] == "MR-113" and "from=" in api.get("/events?q=storm").json()["hint"]
        # it is a filter of the list: its pages have it, too; and the column is shown when it is named
        first = api.get("/events?q=storm&from=2026-01-01T00:00:00Z&limit=7")
        second = api.get(first.links()["next"])
        assert numbers(first) + numbers(second) == order(world, "value < 2")[:14]
        assert api.get(first.links()["next"].replace("q=storm", "q=sea")).json()["code"] == "MR-112"
        row = first.json()[0]
        assert "search" not in row and "search" not in api.get("/events/" + row["id"]).json()
        assert "'storm':1" in api.get("/events?limit=1&fields=search&q=warning&from=2026-01-01T00:00:00Z").json()[0]["search"]
    finally:
        world.close()


def test_fields(web):
    assert web.api.get("/events?limit=2&fields=value,id").json() == [
        {"value": r["value"], "id": r["id"]} for r in web.api.get("/events?limit=2").json()]


def test_what_is_refused(web):
    for path, code, hint in (
            ("/events?typ=a", "MR-110", 'Did you mean \\"type\\"?'),
            ("/events?lmit=1", "MR-110", 'Did you mean \\"limit\\"?'),
            ("/events?form=2026-01-01", "MR-110", 'Did you mean \\"from\\"?'),
            ("/events?something=1", "MR-110", "named as the columns"),
            # what clients of other services write
            ("/events?select=id", "MR-110", '\\"fields\\"'), ("/events?order=time.desc", "MR-110", "newest first"), ("/events?page=2", "MR-110", "Link"),
            ("/events?size=9", "MR-110", '\\"limit\\"'), ("/events?type=like.hum*", "MR-111", "eq, gte"), ("/events?type=neq.a", "MR-111", "eq, gte"),
            ("/events?type=is.null", "MR-111", "eq, gte"), ("/events?type=not.in.(a,b)", "MR-111", "eq, gte"), ("/events?type=ilike.a", "MR-111", '\\"eq.\\"'),
            ("/events?fields=form", "MR-111", "shows the columns"),
            ("/events?from=2026-01-01T00:00:00+01:00", "MR-111", "%2B"), ("/events?time=gte.2026-01-01T00:00:00+01:00", "MR-111", "%2B"),
            ("/events?type=a&type=b", "MR-110", "Give each parameter once"),
            ("/events?=b", "MR-110", "name=value"),
            ("/events?limit=0", "MR-111", "links"), ("/events?limit=1001", "MR-111", "links"),
            ("/events?limit=-1", "MR-111", "links"), ("/events?limit=1e2", "MR-111", "links"),
            ("/events?limit=", "MR-111", "links"), ("/events?fields=", "MR-111", "shows the columns"),
            ("/events?fields=id,id", "MR-111", "once"), ("/events?fields=vale", "MR-111", 'Did you mean \\"value\\"?'),
            ("/events?csv=yes", "MR-111", "spreadsheets"),
            ("/events?value=warm", "MR-111", ""), ("/events?from=yesterdy", "MR-111", ""),
            ("/events?type=in.(a", "MR-111", "double quotes"), ("/events?type=in.(a)b", "MR-111", "double quotes"),
            ("/events?type=in.(" + ",".join("a" * 51) + ")", "MR-111", "double quotes"),
            ("/events?source=sensor-1", "MR-113", 'CREATE INDEX ON public.events (source, \\"time\\", id)'),
            ("/events?doc=1", "MR-113", "CREATE INDEX"),
            ("/events?cursor=AAAA", "MR-112", "Link header"), ("/events?cursor=", "MR-112", "Link header"),
            ("/events/not-a-uuid", "MR-111", ""), ("/events/x?a=b", "MR-110", "no parameters")):
        answer = web.api.get(path)
        body = answer.body.decode()
        assert answer.status == 400 and answer.headers["content-type"] == "application/problem+json", path
        assert f'"code":"{code}"' in body and hint in body, (path, body)
        assert answer.json()["instance"] == path.split("?")[0]
    assert web.api.get("/events?type=eq.like.hum*").json() == web.api.get("/events?type=is.land").json() == []  # values


def test_a_cursor_is_signed(web):
    path = web.api.get("/events?limit=5&type=humidity").links()["next"]
    assert web.api.get(path).status == 200
    assert web.api.get(path.replace("limit=5", "limit=9")).status == 200  # the same list
    for changed in (path.replace("type=humidity", "type=pressure"), path.replace("type=humidity&", ""), path + "A", path[:-1],
                    path[:-30] + ("B" if path[-30] == "A" else "A") + path[-29:]):
        assert web.api.get(changed).json()["code"] == "MR-112", changed
    # the same secret in another process, and another one
    for secret, status in (("of the test", 200), ("another", 400)):
        other = Api(web.db.dsn("web"), "--cursor-secret", secret).start()
        assert other.get(path).status == status
        other.stop()


def test_representations(web):
    rows = web.api.get("/events?limit=3").json()
    lines = web.api.get("/events?limit=3", Accept="application/x-ndjson")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.body.splitlines()] == rows
    table = web.api.get("/events?limit=3&fields=id,value,note", Accept="text/csv;q=0.9, application/json;q=0.1")
    for answer in (lines, table, web.api.get("/events?limit=3")):  # none is kept for somebody else, or given for another type
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("private, no-cache", "nosniff")
        assert {"Accept", "Prefer"} <= set(answer.headers["vary"].split(", "))
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(table.body.decode()))) == [["id", "value", "note"]] + [
        [r["id"], f"{r['value']:g}", ""] for r in rows]
    for accept, status in (("*/*", 200), ("application/*", 200), ("text/html, */*;q=0.1", 200), ("text/html", 406),
                           ("application/json;q=0", 406), ("", 200)):
        assert web.api.get("/events?limit=1", Accept=accept).status == status, accept
    assert web.api.get("/events?limit=1", Accept="text/html").json()["code"] == "MR-114"


def test_csv_is_no_formula(cluster):
    world = ApiWorld(cluster, "api_csv")
    try:
        world.db.run("CREATE DOMAIN celsius AS real; ALTER TABLE events ADD degrees numeric(5, 1) DEFAULT -3.5, ADD felt celsius DEFAULT -4.5, ADD took interval DEFAULT '-1 h', ADD \"=note\" text")
        notes = ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "\rx", "-3.5", 'a "quoted", text', "two\nlines", "plain", ""]
        for i, note in enumerate(notes):
            world.db.run("INSERT INTO events (id, type, time, value, number, doc, note, topic, partition, \"offset\") VALUES (md5(%s)::uuid, 'a', %s, -1.5, -7, '-2', %s, 'e', 0, %s)",
                         (str(i), f"2026-01-01 00:00:{59 - i}Z", note, i))
        world.start()
        # a number is one by the type of its column, or as a value of JSON
        for query, expected in (("", ["'" + n if n[:1] and n[0] in "=+-@\t\r" else n for n in notes]), ("&csv=raw", notes)):
            body = world.api.get("/events?fields=value,degrees,felt,number,doc,note" + query, Accept="text/csv").body.decode()
            rows = list(csv.reader(io.StringIO(body, newline="")))
            assert rows[1:] == [["-1.5", "-3.5", "-4.5", "-7", "-2", n] for n in expected]
            body = world.api.get("/events?fields=took,=note" + query, Accept="text/csv").body.decode()
            assert body.splitlines()[:2] == (["took,=note", "-01:00:00,"] if query else ["took,\"'=note\"", "\"'-01:00:00\","])
    finally:
        world.close()


def test_one_event(web):
    row = web.api.get("/events?limit=1").json()[0]
    by_id = web.api.get("/events/" + row["id"])
    coordinate = f"{row['topic']}:{row['partition']}:{row['offset']}"
    assert by_id.json() == row == web.api.get("/events/" + coordinate).json()
    tag = by_id.headers["etag"]
    for header, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200), (tag[:-1], 200)):
        answer = web.api.get("/events/" + row["id"], If_None_Match=header)
        assert (answer.status, answer.headers["etag"]) == (status, tag), header
        assert status == 200 or answer.body == b""
    web.db.run("UPDATE events SET note = 'changed' WHERE id = %s", (row["id"],))
    assert web.api.get("/events/" + row["id"], If_None_Match=tag).json()["note"] == "changed"
    for path in ("/events/" + "0" * 32, "/events/events:0:999999", "/events/nothing:0:0"):
        assert (web.api.get(path).status, web.api.get(path).json()["code"]) == (404, "MR-402")
        assert "/status" in web.api.get(path).json()["hint"]
    for path in ("/events/", "/events/a/b", "/event", "/events%2f"):
        assert (web.api.get(path).status, web.api.get(path).json()["code"]) == (404, "MR-401"), path


def test_head_and_other_methods(web):
    for path in ("/events?limit=3", "/events/events:0:1", "/events/events:0:999999", "/none"):
        get, head = web.api.get(path), web.api.request("HEAD", path)
        assert head.body == b"" and (head.status, head.headers["content-length"]) == (get.status, get.headers["content-length"])
    # nothing is between such a head and the next answer, which clients that know the method would not see
    for head in ("HEAD /events?limit=3 HTTP/1.1", "HEAD /none HTTP/1.1", "HEAD /openapi.json HTTP/1.1\r\nAccept-Encoding: gzip", "GET /events/events:0:1 HTTP/1.1\r\nIf-None-Match: *"):
        data = web.api.raw(f"{head}\r\nHost: localhost\r\n\r\nGET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert data.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 404 "), (head, data)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "QUERY"):
        answer = web.api.request(method, "/events/events:0:1")
        assert (answer.status, answer.headers["allow"], answer.json()["code"]) == (405, "GET, HEAD", "MR-115")


INJECTIONS = ["'", "''", '"', "' OR '1'='1", "'; DROP TABLE events; --", "1; SELECT pg_sleep(10)", "$1", "$$", "\\", "\\'", "/*", "--", "%", "_",
              "{1,2}", "(SELECT 1)", "NULL", "eq.", "gte.", "in.()", "in.(')", "x'||pg_sleep(10)||'", "\u0085", "\u2028", "ʼ OR 1=1", "1e999",
              "infinity", "NaN", "0x1", "\x01", "🦀", "a" * 2000, "' UNION SELECT usename FROM pg_user --", "E'\\x27'", "U&'\\0027'", ");--", "{{7*7}}", "../../etc/passwd"]


def test_what_a_client_writes_is_a_value(web):
    """Through every parameter, and through the path: an answer of ours, never the server's error, and all rows stay."""
    with contextlib.closing(web.api.connect()) as connection:
        for text in INJECTIONS + [a + b for a in INJECTIONS for b in ("'", "; SELECT 1", "\\")]:
            quoted = urllib.parse.quote(text, safe="")
            for path in ([f"/events?limit=1&{name}={quoted}" for name in ("type", "value", "id", "time", "from", "to", "fields", "cursor", "csv", "source", "doc")]
                         + [f"/events?{quoted}=1", f"/events?limit={quoted}", f"/events/{quoted}", f"/events/events:{quoted}:0"]):
                answer = web.api.request("GET", path, connection=connection)
                assert answer.status in (200, 400, 404), (path, answer)
                if answer.status == 400:
                    assert answer.json()["code"] in ("MR-110", "MR-111", "MR-112", "MR-113"), (path, answer)
    assert web.db.value("SELECT count(*) FROM events") == web.rows
    assert "a query failed" not in web.api.log_text()


def test_a_view(cluster):
    """A view is served when the indexes below serve its order."""
    world = ApiWorld(cluster, "api_view")
    try:
        world.fill(100)
        world.db.run("CREATE SCHEMA app; CREATE VIEW app.warm AS SELECT id, time AS at, value, source AS sensor, 'warm' AS kind FROM events WHERE type = 'temperature';"
                     " GRANT USAGE ON SCHEMA app TO web; GRANT SELECT ON app.warm TO web")
        api = world.start("--events", "app.warm", "--time-column", "at")
        rows = api.get("/events?limit=1000").json()
        assert len(rows) == world.db.value("SELECT count(*) FROM app.warm") and set(rows[0]) == {"id", "at", "value", "sensor", "kind"}
        assert api.get("/events?kind=warm").json()["hint"] == "Index the table public.events under the view app.warm by what is (kind, at, id) there; then send SIGHUP to millrace-api."
        # what the hint says helps
        answer = api.get("/events?sensor=1").json()
        assert (answer["code"], answer["hint"]) == ("MR-113", 'CREATE INDEX ON public.events (source, "time", id); then send SIGHUP to millrace-api.')
        world.db.run(answer["hint"].split(";")[0])
        api.process.signal(signal.SIGHUP)
        wait_for(lambda: api.get("/events?sensor=1").status == 200, "the filter is served")
        assert api.get("/events/events:0:0").json()["code"] == "MR-111"  # it has no coordinate
    finally:
        world.close()


def test_a_view_that_is_sorted_is_refused(cluster):
    """The start asks for the plan of its order: one with a Sort would read all of it for each page. So does SIGHUP, and the
    relation that was served stays."""
    world = ApiWorld(cluster, "api_sorted")
    sorts = {"app.latest": "SELECT max(id::text)::uuid AS id, max(time) AS time FROM events GROUP BY type",
             "app.several": "SELECT DISTINCT ON (source) id, time FROM events ORDER BY source, time",
             "app.later": "SELECT id, time + interval '1 hour' AS time FROM events"}
    try:
        world.fill(100)
        world.db.run("CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO web;" + "".join(
            f" CREATE VIEW {name} AS {query}; GRANT SELECT ON {name} TO web;" for name, query in sorts.items()))
        for name in sorts:
            api = Api(world.db.dsn("web"), "--events", name).start(wait=False)
            wait_for(lambda a=api: not a.process.alive(), "it ends")
            assert api.process.popen.returncode == 1, name
            assert f"no index of relation {name} serves the order" in api.log_text(), name
            assert f"Index the table public.events under the view {name} by what is" in api.log_text(), name
        world.db.run("CREATE VIEW app.plain AS SELECT id, time FROM events; GRANT SELECT ON app.plain TO web")
        api = world.start("--events", "app.plain")
        world.db.run("CREATE OR REPLACE VIEW app.plain AS SELECT id, time FROM events ORDER BY md5(id::text)")
        api.process.signal(signal.SIGHUP)
        wait_for(lambda: "serves the order" in api.log_text(), "the log says so")
        assert api.process.alive()
    finally:
        world.close()


def test_the_start_says_what_is_missing(cluster):
    world = ApiWorld(cluster, "api_start")
    try:
        def started(*options):
            api = Api(world.db.dsn("web"), *options).start(wait=False)
            wait_for(lambda: not api.process.alive(), "it ends")
            assert api.process.popen.returncode == 1
            return api.log_text()

        assert "relation \\\"nothing\\\" does not exist" in started("--events", "nothing")
        assert "has no column \\\"at\\\"" in started("--time-column", "at")
        world.db.run("REVOKE SELECT ON events FROM web")
        assert "GRANT SELECT ON public.events TO web" in started()
        world.db.run("GRANT SELECT ON events TO web; DROP INDEX events_time_id_idx, events_type_time_id_idx, events_value_time_id_idx")
        assert "CREATE INDEX ON public.events (\\\"time\\\", id)" in started()
        world.db.run("CREATE INDEX ON events (time, id); DROP EXTENSION millrace")
        assert "CREATE EXTENSION millrace" in started()
    finally:
        world.close()


def test_reload(cluster):
    """SIGHUP: a new index serves its filter, a new column is shown."""
    world = ApiWorld(cluster, "api_reload")
    try:
        world.fill(10)
        api = world.start()
        assert api.get("/events?source=sensor-1").status == 400
        assert api.get("/events/events:0:0").status == 200
        world.db.run("CREATE INDEX ON events (source, time, id); ALTER TABLE events ADD extra text DEFAULT 'x', DROP note")
        api.process.signal(signal.SIGHUP)
        wait_for(lambda: api.get("/events?source=sensor-1").status == 200, "the filter is served")
        assert api.get("/events/events:0:0").json()["extra"] == "x"
    finally:
        world.close()
