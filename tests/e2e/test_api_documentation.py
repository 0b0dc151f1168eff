"""Each curl line of docs/api.md, as it is written, by a shell: it prints what is printed there. Each route has such a line."""
import re

import pytest
from confluent_kafka import Producer

from lib.api_world import ROWS, ApiWorld, add_windows
from lib.curl_lines import check, check_stream, curl_lines, page, route_of, routes
from lib.publish_world import Whole
from lib.wait import wait_for

# Which test has a line: the first whose pattern is found in it
TESTS = (
    ("not run", r"https://events\.example"),  # a name and a certificate: test_api_tls.py
    ("full text", r"q=storm"),
    ("followed", r"/events/stream"),
    ("windows", r"/windows"),
    ("operating", r"/pipelines|/dead-letters|/status|/events/all|/doctor"),
    ("publishing", r"-X (POST|OPTIONS)|--data-binary|-H 'traceparent|^for i in"),
    ("rows", r"localhost:8080/"),
)
OPERATE = ("--anonymous", "read,publish,operate")
LETTERS = 5


def lines_of(test):
    return [(command, printed) for command, printed in curl_lines() if next((t for t, pattern in TESTS if re.search(pattern, command)), None) == test]


def test_each_line_is_run_and_each_route_has_an_answer():
    placed = [line for test, _ in TESTS for line in lines_of(test)]
    assert sorted(placed) == sorted(curl_lines()) and all(lines_of(test) for test, _ in TESTS)
    assert routes() - {route_of(command) for command, printed in curl_lines() if printed.strip() and (command, printed) not in lines_of("not run")} == set()


@pytest.fixture(scope="module")
def rows(cluster):
    world = ApiWorld(cluster, "api_documentation_rows")
    world.fill(999)
    yield world
    world.close()


@pytest.fixture(scope="module")
def whole(cluster, broker):
    """With events of another producer in partition 0: one that is a row, and some without a type."""
    whole = Whole(cluster, broker, "api_documentation")
    producer = Producer({"bootstrap.servers": broker.address})
    for event in ['{"type": "Temperature", "data": "30C", "source": "kitchen"}'] + ['{"data": "21C", "source": "cellar"}'] * LETTERS:
        producer.produce("events", event, key=b"k", partition=0)
    producer.flush(120)
    wait_for(lambda: whole.db.value("SELECT count(*) FROM millrace.dead_letters") == LETTERS, "the dead letters are there")
    yield whole
    whole.close()


def test_rows(rows, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(re.search(r"^ops read,operate [0-9a-f]{64}\n", page(), re.M)[0])  # the line that --new-key prints there
    for command, printed in lines_of("rows"):
        api = rows.start(*(("--keys", str(keys)) if "Bearer" in command else ()))
        check(command, printed, api)
        api.kill()


def test_full_text(rows):
    rows.db.run("ALTER TABLE events ADD search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(note, ''))) STORED;"
                " UPDATE events SET note = CASE WHEN value < 1 THEN 'a storm over the sea' WHEN value < 2 THEN 'storm warning' END")
    api = rows.start()
    for command, printed in lines_of("full text"):
        check(command, printed, api)
    api.kill()


def test_followed(rows):
    rows.db.run("ALTER TABLE events ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id(); CREATE INDEX ON events (xid, id)")
    api = rows.start()
    for command, printed in lines_of("followed"):
        rows.db.run("DELETE FROM events WHERE value > 124.6")
        check_stream(command, printed, api, lambda text: "id: " in text and rows.db.run(ROWS + "ON CONFLICT DO NOTHING", (997, 997)))
    api.kill()


def test_windows(cluster):
    world = ApiWorld(cluster, "api_documentation_windows")
    try:
        add_windows(world)
        with world.db.session("app") as app:
            app.run("GRANT SELECT ON millrace.window_by_minute TO web")
        api = world.start()
        for command, printed in lines_of("windows"):
            check(command, printed, api)
    finally:
        world.close()


def test_publishing(whole):
    options = {"OPTIONS": ("--cors-origin", "https://app.example"), "for i in": ("--rate-limit", "1", "--rate-burst", "2")}
    for command, printed in lines_of("publishing"):
        kind = next((k for k in options if k in command), None)
        api = whole.start_api(*options.get(kind, ()))
        try:
            if "Idempotency-Replayed: true" in printed:
                check(command, "", api)
            # the third of three requests is refused when it comes within a second, and an event is processed in the seconds it is given
            check(command, printed, api, every=3 if kind == "for i in" or "timeout=" in command else None)
        finally:
            api.kill()


def test_operating(whole):
    """In the order of the page: what is paused is resumed, and letters go one after the other."""
    api = whole.start_api("--operate-dsn", whole.db.dsn("events_owner"), *OPERATE)
    whole.db.run("SELECT millrace._record_minute(date_trunc('minute', now()), '1 day')")
    try:
        for command, printed in lines_of("operating"):
            live = route_of(command)[0] == "GET"
            if " -N " in command:
                check_stream(command, printed, api, live=True)
            else:
                # a cluster of the tests may have findings of its own
                check(command, re.sub(r"^\[(.*)\]$", r"[...\1...]", printed) if "/doctor" in command else printed, api, live, every=0.2 if live else None)
    finally:
        api.kill()
