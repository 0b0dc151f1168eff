"""Errors that are a value's: one that the client sent is named, one of a row stays inside."""
import pytest

from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.wait import wait_for

VIEW = """
    ALTER TABLE events ADD COLUMN secret text, ADD COLUMN code varchar(3), ADD COLUMN fixed char(3), ADD COLUMN price numeric(4,2);
    UPDATE events SET secret = '1', code = 'abc', fixed = 'ab', price = 12.5;
    CREATE INDEX ON events (code, time, id); CREATE INDEX ON events (fixed, time, id); CREATE INDEX ON events (price, time, id);
    CREATE VIEW odd_events AS SELECT id, time, type, code, fixed, price, secret::int AS number, 1 / nullif(length(secret) - 1, 1) AS quotient FROM events;
    GRANT SELECT ON odd_events TO web;
"""


@pytest.fixture
def web(cluster, request):
    world = ApiWorld(cluster, request.node.name.replace("test_", "api_")[:60])
    world.fill(20)
    world.db.run(VIEW)
    yield world
    world.close()


def test_a_row_that_cannot_be_computed(web):
    """The text of the error has what the row has, which the view does not show."""
    web.db.run("UPDATE events SET secret = 'hunter2' WHERE id = (SELECT id FROM events ORDER BY time DESC, id DESC LIMIT 1)")
    (row_id,) = web.db.run("SELECT id FROM events WHERE secret = 'hunter2'")[0]
    api = web.start("--events", "odd_events")
    for path in ("/events?fields=id,number", f"/events/{row_id}"):
        answer = api.get(path)
        assert (answer.status, answer.json()["code"]) == (500, "MR-505"), answer
        assert answer.json()["sqlstate"] == "22P02" and "hunter2" not in answer.body.decode() and "integer" not in answer.body.decode()
    assert api.log_text().count("hunter2") >= 2
    assert api.get("/events?fields=id,type").status == 200
    # the others divide by zero
    answer = api.get("/events?fields=id,quotient&limit=2")
    assert (answer.status, answer.json()["code"]) == (500, "MR-505") and "zero" not in answer.body.decode()


def test_a_value_of_the_client_is_named(web):
    api = web.start("--events", "odd_events")
    for path, said in (("/events?from=yesterdy", "yesterdy"), ("/events?price=warm", "warm"), ("/events?price=in.(1,warm)", "warm"), ("/events/17x", "17x")):
        answer = api.get(path)
        assert (answer.status, answer.json()["code"]) == (400, "MR-111") and said in answer.json()["detail"], (path, answer)


def test_a_stream_of_rows_that_cannot_be_computed(web):
    """It says that something is wrong, and no more."""
    web.db.run("ALTER TABLE events ADD COLUMN IF NOT EXISTS xid xid8 DEFAULT pg_current_xact_id()")
    web.db.run("""CREATE INDEX ON events (xid, id);
                  CREATE VIEW odd_stream AS SELECT id, time, xid, secret::int AS number FROM events; GRANT SELECT ON odd_stream TO web""")
    api = web.start("--events", "odd_stream")
    stream = EventStream(api, "/events/stream")
    assert stream.status == 200
    wait_for(lambda: stream.line() == "retry: 2000", "it begins")
    web.db.run("""INSERT INTO events (id, time, type, topic, partition, "offset", secret)
                  SELECT gen_random_uuid(), now(), 'a', 'events', 0, 9999, 'hunter2'""")
    lines = []
    wait_for(lambda: lines.append(stream.line()) or lines[-1].startswith("data:"), "a problem is reported")
    assert "MR-505" in lines[-1] and "hunter2" not in "".join(lines)


@pytest.mark.parametrize("filters, rows", [("code=abc", 20), ("code=abcd", 0), ("fixed=ab", 20), ("fixed=abc", 0), ("fixed=abcdef", 0), ("price=12.50", 20),
                                           ("price=12345", 0), ("price=lt.12345", 20)])
def test_filters_by_types_with_a_length(web, filters, rows):
    """A value that is too long for the column is no row's: it is neither cut off nor an error."""
    api = web.start("--events", "odd_events")
    answer = api.get("/events?fields=id&" + filters)
    assert answer.status == 200 and len(answer.json()) == rows, answer
