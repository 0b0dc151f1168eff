"""POST /events?wait=processed: the answer comes when the event is final, and says of that event what became of it."""
import concurrent.futures
import signal
import time

import pytest

from lib.api import timed
from lib.publish_world import Whole
from lib.wait import LIMIT, wait_for

LONGEST = 60  # seconds that a request may wait


@pytest.fixture(scope="module")
def whole(cluster, broker):
    # what a request waits for here is its event, not the moment at which Kafka or PostgreSQL is given up
    whole = Whole(cluster, broker, "api_wait", ("--publish-timeout", f"{LIMIT}s", "--query-timeout", f"{LIMIT}s"))
    whole.row(whole.post("?eventType=first&eventData=1"))  # from here on the pipeline reads
    yield whole
    whole.close()


def post_and_wait(whole, query="", body=None, **headers):
    """The answer to an event that is final. Where a busy machine needs longer for that than a request may wait, it is sent again."""
    end = time.monotonic() + LIMIT + 2 * LONGEST
    while True:
        answer, took = timed(lambda: whole.post(f"{query}{'&' if query else '?'}wait=processed&timeout={LONGEST}s", body, **headers))
        if answer.status != 202 or time.monotonic() > end:
            return answer
        assert took >= LONGEST, f"after {took} s its time was not over: {answer}"


def test_wait_until_it_is_processed(whole):
    """200 with the state in each pipeline, when it is final; the row is there then."""
    answer = post_and_wait(whole, "?eventType=wait&eventData=1C")
    assert answer.status == 200 and set(answer.json()) == {"id", "topic", "partition", "offset", "pipelines"}
    row = whole.api.get(answer.headers["location"])
    assert (row.status, row.json()["value"]) == (200, 1)
    for query, body, status in (("?eventType=heartbeat", None, "filtered"), ("", '{"type": "wait", "time": "2026-02-31T00:00:00Z"}', "dead"),
                                ("", '{"type": "wait"}', "processed")):
        answer = post_and_wait(whole, query, body, Content_Type="application/json")
        # settled: what was settled in the same second differs
        assert answer.status == 200 and [p["status"] for p in answer.json()["pipelines"]] in ([status], ["settled"] * (status != "dead")), answer
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda i: post_and_wait(whole, f"?eventType=waits&eventData={i}"), range(300)))
    assert {a.status for a in answers} == {200}
    assert whole.db.value("SELECT count(DISTINCT value) FROM events WHERE type = 'waits'") == 300
    # with a key: the second request waits for the first one's event
    first = post_and_wait(whole, "?eventType=wait&eventData=1", Idempotency_Key="wait-1")
    second = whole.post("?eventType=wait&eventData=1&wait=processed&timeout=50s", Idempotency_Key="wait-1")
    assert (first.status, second.status, second.headers["idempotency-replayed"]) == (200, 200, "true")
    assert second.json()["id"] == first.json()["id"] and "pipelines" in second.json()
    lines = "".join('{"type": "several", "data": %d}\n' % i for i in range(2000)) + "no event\n"
    several = post_and_wait(whole, "", lines, Content_Type="application/x-ndjson")
    assert (several.status, several.json()["accepted"]) == (200, 2000)
    assert whole.db.value("SELECT count(DISTINCT value) FROM events WHERE type = 'several'") == 2000
    # what is done is said, however little the service may hold
    small = whole.start_api("--buffers", "1MB")
    try:
        answer = post_and_wait(whole, "", '{"type": "one"}\n' + "x\n" * 9999, api=small, Content_Type="application/x-ndjson")
        assert len(answer.body) > 1 << 20 and (answer.status, answer.json()["accepted"]) == (200, 1)
    finally:
        small.kill()
    for query in ("?eventType=a&wait=written", "?eventType=a&timeout=1s", "?eventType=a&wait=processed&timeout=61s"):
        refused = whole.post(query)
        assert (refused.status, refused.json()["code"]) == (400, "MR-111"), query


def test_wait_for_what_is_not_processed(whole):
    """202 when the time is over, and when the service stops."""
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.pause('events')")
    try:
        answer = whole.post("?eventType=late&eventData=1&wait=processed&timeout=200ms")
        assert answer.status == 202 and set(answer.json()) == {"id", "topic", "partition", "offset"}
        assert whole.post("?wait=processed&timeout=200ms", '{"type": "late"}\n' * 500, Content_Type="application/x-ndjson").status == 202
        # a client that waits for its answer is not idle
        stopping = whole.start_api("--idle-timeout", "1s")
        assert whole.post("?eventType=late&eventData=2&wait=processed&timeout=3s", api=stopping).status == 202
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(whole.post, "?eventType=late&eventData=2&wait=processed&timeout=60s", api=stopping)
            wait_for(lambda: stopping.metric("millrace_api_published_total") == 2, "it is published")
            stopping.process.signal(signal.SIGTERM)
            assert waiting.result(30).status == 202
        assert stopping.process.popen.wait(20) == 0
    finally:
        with whole.db.session("events_owner") as owner:
            owner.run("SELECT millrace.resume('events')")
    assert whole.post("?eventType=late&eventData=3&wait=processed&timeout=60s").status == 200


def test_one_connection_asks_for_all_that_wait(whole):
    """Whichever threads have the requests: the process has one poller."""
    api = whole.start_api("--threads", "4")
    asked = "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = 'millrace-api' AND query ~ 'millrace.final_events' AND datname = current_database()"
    others = dict(whole.db.run(asked))  # of the API that all tests have
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.pause('events')")
    try:
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            waiting = [pool.submit(whole.post, f"?eventType=shared&eventData={i}&wait=processed&timeout=60s", api=api) for i in range(32)]
            wait_for(lambda: api.metric("millrace_api_published_total") == 32, "they are published")
            for _ in range(5):  # each thread would have asked meanwhile
                before = dict(whole.db.run(asked))
                wait_for(lambda: any(start != before.get(pid) for pid, start in whole.db.run(asked)), "it is asked again")
            pids = [pid for pid, _ in whole.db.run(asked) if pid not in others]
            with whole.db.session("events_owner") as owner:
                owner.run("SELECT millrace.resume('events')")
            assert {w.result().status for w in waiting} == {200}
        assert len(pids) == 1, pids
    finally:
        with whole.db.session("events_owner") as owner:
            owner.run("SELECT millrace.resume('events')")
        api.kill()


@pytest.fixture
def others(whole):
    """An API for another topic, of which a pipeline filters all."""
    whole.broker.create_topic("others", 3)
    whole.db.run("SELECT millrace.grant_topics('events_owner', read => '{others}', dlq => '{others.dlq}')")
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.create_pipeline('others', topic => 'others', fields => 'type text', target => 'events', "
                  "transform => $$SELECT md5(event.type)::uuid AS id, event.type, 'x' AS source, event.kafka_ts AS time, event.topic, event.partition, "
                  "event.\"offset\" FROM event WHERE false$$)")
    api = whole.start_api("--topic", "others")
    yield api
    api.kill()
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.drop_pipeline('others')")
    whole.broker.delete_topic("others")


def test_the_event_of_another_topic(whole, others):
    """Each waits for the event of its own topic, at the same place of both, and for the pipelines that read that."""
    query = "?eventType=a&eventData=1&key=k&wait=processed&timeout=60s"
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.pause('events')")
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(whole.post, query, Idempotency_Key="of-both")
            filtered = whole.post(query, api=others, Idempotency_Key="of-both")
            assert filtered.status == 200 and "idempotency-replayed" not in filtered.headers
            assert filtered.json()["pipelines"] in ([{"pipeline": "others", "status": s}] for s in ("filtered", "settled"))
            assert whole.post("?eventType=a&key=k&wait=processed&timeout=200ms").status == 202
            assert not waiting.done()
            with whole.db.session("events_owner") as owner:
                owner.run("SELECT millrace.resume('events')")
            processed = waiting.result()
    finally:
        with whole.db.session("events_owner") as owner:
            owner.run("SELECT millrace.resume('events')")
    assert processed.status == 200 and [p["pipeline"] for p in processed.json()["pipelines"]] == ["events"]
    # an answer that was recorded for a place of another topic is given as it is: of that place this API knows nothing
    moved = processed.headers["location"].replace("/events:", "/others:")
    whole.db.run("UPDATE millrace.idempotency_key SET location = %s WHERE topic = 'events' AND key = 'of-both'", (moved,))
    again = whole.post(query, Idempotency_Key="of-both")
    assert (again.status, again.headers["location"], again.headers["idempotency-replayed"]) == (202, moved, "true")
    assert "pipelines" not in again.json()
