"""GET /events/all: the document is what the views say, few queries serve many requests, and it survives the database."""
import json
import threading
import time
import uuid

import pytest
from confluent_kafka import Producer

from lib.api import Api
from lib.wait import LIMIT, wait_for
from lib.world import ensure_roles

GOOD = dict(id="00000000-0000-4000-8000-000000000001", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")


@pytest.fixture
def served(world):
    ensure_roles(world.cluster, "web")
    world.db.run("SELECT millrace.grant_api('web'); CREATE TABLE events (id text PRIMARY KEY, time timestamptz NOT NULL);"
                 " CREATE INDEX ON events (time, id); GRANT SELECT ON events TO web")
    world.create_topic(1)
    world.create_pipeline(type_field="type")
    with world.db.session("app") as s:
        s.run("SELECT millrace.create_window('by_minute', %s, event_time => 'ts', size => '1 min', aggregates => 'count(*)')", (world.pipeline_name,))
    world.start_ingestor()
    producer = Producer({"bootstrap.servers": world.broker.address})
    producer.produce(world.topic, json.dumps(GOOD))
    producer.produce(world.topic, json.dumps(dict(GOOD, value="calm")))
    producer.flush(120)
    world.wait_settled()
    api = Api(world.db.dsn("web")).start()
    yield world, api
    api.kill()


def test_document(served):
    world, api = served
    answer = api.get("/events/all")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"

    # what ingestor and workers report follows within seconds
    def totals_are_shown():
        (pipeline,) = api.get("/events/all").json()["pipelines"]
        with world.db.session("web") as web:
            (row,) = web.run("SELECT pipeline, events::text, written::text, retrying::text, dead::text, dead_lettered::text, lag::text, staged::text,"
                             " staged_bytes::text, staged_waiting::text, without_time::text, from_future::text FROM millrace.stats")
        assert (row[1], row[4]) == ("2", "1")
        staging, timestamps = pipeline["staging"], pipeline["timestamps"]
        return (pipeline["name"], pipeline["totals"]["events"], pipeline["totals"]["written"], pipeline["retries"]["waiting"],
                pipeline["dead_letters"]["present"], pipeline["dead_letters"]["made"], pipeline["lag"]["records"], staging["events"],
                staging["bytes"], staging["waiting"], timestamps["missing"], timestamps["future"]) == row and row[6] == "0" and row[7] == "2"

    wait_for(totals_are_shown, "the totals are as the view has them")
    (pipeline,) = api.get("/events/all").json()["pipelines"]
    assert [r["over_s"] for r in pipeline["rates"]] == [1, 10, 60, 300, 3600]
    assert pipeline["breaker"]["state"] == "closed"
    with world.db.session("web") as web:
        columns = ", ".join(f"{name}::text" for name in pipeline["types"][0])
        assert [tuple(t.values()) for t in pipeline["types"]] == web.run(f"SELECT {columns} FROM millrace.stats_by_type")
    assert pipeline["types"][0] == dict(type="temperature", events="2", bytes=pipeline["totals"]["bytes"], written="1", filtered="0", superseded="0",
                                        skipped="0", failed="1", retried="0", dead_lettered="1", replayed="0")
    # a mark is made within seconds, and what it says may change with the next
    def window_is_shown():
        with world.db.session("web") as web:
            (mark,) = web.run("SELECT held_topic, held_by, held_why, late::text, skewed::text, outside::text, watermark IS NULL FROM millrace.windows")
        (window,) = api.get("/events/all").json()["pipelines"][0]["windows"]
        return window["name"] == "by_minute" and mark == (*(window[k] for k in ("held_topic", "held_by", "held_why", "late", "skewed", "outside")),
                                                          window["watermark"] is None)

    wait_for(window_is_shown, "the window is as the view has it")
    assert api.get("/events/all?a=b").json()["code"] == "MR-110"
    assert api.get("/events/all", Accept="text/csv").status == 406
    head, get = api.request("HEAD", "/events/all"), api.get("/events/all")
    assert (head.status, head.body) == (200, b"") and set(head.headers) == set(get.headers)
    assert head.headers["content-type"] == "application/json" and int(head.headers["content-length"]) > 0
    # while nothing changes the tag stays; rates do change, so it is asked at once
    wait_for(lambda: api.get("/events/all", If_None_Match=api.get("/events/all").headers["etag"]).status == 304, "not modified")


def rows_of(world, columns, view, order):
    """Of a view as the API's role sees it, as JSON."""
    with world.db.session("web") as web:
        return [row for (row,) in web.run(f"SELECT row_to_json(v) FROM (SELECT {columns} FROM millrace.{view} ORDER BY {order}) AS v")]


def shown(api, part):
    (pipeline,) = api.get("/events/all").json()["pipelines"]
    return pipeline[part]


def send(world, good, bad=0):
    """Events that are written, and those whose value is none."""
    producer = Producer({"bootstrap.servers": world.broker.address})
    for i in range(good + bad):
        producer.produce(world.topic, json.dumps(dict(GOOD, id=str(uuid.uuid4()), value=i if i < good else "calm")))
    producer.flush(LIMIT)


def test_rates_and_latencies(served):
    """Each figure of the views, by its name."""
    world, api = served
    send(world, 3000, bad=60)
    world.wait_settled()
    columns = ("extract(epoch FROM over)::integer AS over_s, events_per_s, rows_per_s, bytes_per_s, failures_per_s, dead_letters_per_s, retries_per_s,"
               " batches_per_s, busy_workers, events_per_batch")

    def rates_are_shown():
        rates = rows_of(world, columns, "rates", "over")
        # those of the last hour do not end with the events
        hour = {name: value for name, value in rates[-1].items() if name != "retries_per_s"}
        return shown(api, "rates") == rates and all(hour.values()) and hour["events_per_s"] > hour["rows_per_s"] > hour["batches_per_s"]

    wait_for(rates_are_shown, "the rates are as the view has them")
    columns = "stage, extract(epoch FROM over)::integer AS over_s, events::text, p50_ms, p95_ms, p99_ms, max_ms"

    def latencies_are_shown():
        latencies = rows_of(world, columns, "latency", "over, stage")
        seen = [row for row in latencies if row["events"] not in ("0", None)]
        return (shown(api, "latency") == latencies and {row["stage"] for row in seen} == {"produced_to_staged", "staged_to_visible", "produced_to_visible"}
                and all(0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"] for row in seen)
                and any(row["p50_ms"] < row["p99_ms"] for row in seen))

    wait_for(latencies_are_shown, "the latencies are as the view has them")


def test_an_open_breaker(served):
    """Why nothing is written, since when, and when that is tried again."""
    world, api = served
    columns = "state, since, sqlstate, opened::text, next_probe_at, retries_state, retries_since, retries_sqlstate"

    def is_shown(state):
        (breaker,) = rows_of(world, columns, "breakers", "pipeline")
        return breaker["state"] == state and shown(api, "breaker") == breaker and breaker

    world.db.run("CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$;"
                 " CREATE TRIGGER fill BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION fill()")
    send(world, 50)  # several, so that it is no event's fault
    opened = wait_for(lambda: is_shown("open"), "the open breaker is as the view has it")
    assert (opened["sqlstate"], opened["opened"]) == ("53100", "1") and opened["since"] < opened["next_probe_at"]
    world.db.run("DROP TRIGGER fill ON reading")
    closed = wait_for(lambda: is_shown("closed"), "the closed one, too")
    assert (closed["opened"], closed["next_probe_at"]) == ("1", None) and closed["since"] > opened["since"]


def test_an_event_whose_id_is_all(served):
    """The route wins; the event is found by its filter."""
    world, api = served
    world.db.run("INSERT INTO events VALUES ('all', '2026-01-01')")
    assert list(api.get("/events/all").json()) == ["pipelines"]
    assert [row["id"] for row in api.get("/events?id=all").json()] == ["all"]


def test_many_requests_share_queries(served):
    """The process asks at most once per 100 ms, however many threads it has and requests come; what one of them has, all have."""
    world, api = served
    world.db.run(f'ALTER ROLE web IN DATABASE "{world.db.name}" SET log_statement = \'all\'')
    api.kill()
    api = Api(world.db.dsn("web"), "--threads", "4").start()
    statuses, stale, shown, done = [], [], [], threading.Event()

    def client():
        connection = api.connect()
        while not done.is_set():
            seen = len(shown)
            answer = api.request("GET", "/events/all", connection=connection)
            statuses.append(answer.status)
            names = {window["name"] for window in answer.json()["pipelines"][0]["windows"]}
            stale.extend(name for name in shown[:seen] if name not in names)
            shown.extend(names - set(shown))
        connection.close()

    try:
        threads = [threading.Thread(target=client) for _ in range(50)]
        assert api.get("/events/all").status == 200
        start, began = world.cluster.log_position(), time.monotonic()
        for t in threads:
            t.start()
        # what changes meanwhile is seen
        with world.db.session("app") as s:
            for i in range(5):
                s.run(f"SELECT millrace.create_window('w{i}', %s, event_time => 'ts', size => '1 min', aggregates => 'count(*)')", (world.pipeline_name,))
                wait_for(lambda i=i: f"w{i}" in [w["name"] for w in api.get("/events/all").json()["pipelines"][0]["windows"]], "it is shown")
        wait_for(lambda: len(statuses) > 1000 and len(set(shown)) == 6, "many requests, and all is seen")
        done.set()
        for t in threads:
            t.join()
        took = time.monotonic() - began
        asked = world.cluster.log_text(start).count("execute statistics: ")
    finally:
        done.set()
        api.kill()
    assert set(statuses) == {200} and stale == []
    assert 5 <= asked <= took / 0.1 + 2


def test_the_database_is_killed(served, cluster):
    _, api = served
    assert api.get("/events/all").status == 200
    cluster.kill_postmaster()
    try:
        # the document may still be fresh: all that counts is in one answer
        wait_for(lambda: api.get("/events/all").json().get("code") == "MR-501", "it is refused")
        wait_for(lambda: api.admin("/readyz")[0] == 503, "no thread has a connection")
    finally:
        cluster.start()
    wait_for(lambda: api.get("/events/all").status == 200, "it is served again")
