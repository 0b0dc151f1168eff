"""Idempotency-Key of POST /events: one message and one answer for each key, whatever happens on the way."""
import concurrent.futures
import json
import signal
import socket
import uuid

import pytest

from lib.keys import Keys
from lib.publish_world import Whole, record_at
from lib.wait import wait_for


@pytest.fixture(scope="module")
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_idempotency")
    yield whole
    whole.close()


def new_key():
    return f'"{uuid.uuid4()}"'


def status_of_claim(whole, key):
    """[status of the recorded answer] of a key that is claimed, [] of another."""
    return [row[0] for row in whole.db.run("SELECT status FROM millrace.idempotency_key WHERE key = %s", (key.strip('"'),))]


def test_one_answer_for_a_key(whole):
    """The same from each process, also a new one; another body is 422, another key another event."""
    key, before = new_key(), whole.messages()
    first = whole.post("?eventType=once&eventData=1C", Idempotency_Key=key)
    assert first.status == 202 and "idempotency-replayed" not in first.headers
    other = whole.start_api()
    try:
        for api in (whole.api, other):
            again = whole.post("?eventType=once&eventData=1C", api=api, Idempotency_Key=key)
            assert (again.status, again.body, again.headers["location"], again.headers["idempotency-replayed"]) == (
                202, first.body, first.headers["location"], "true")
            # the key is the text between the quotes
            assert whole.post("?eventType=once&eventData=1C", api=api, Idempotency_Key=key.strip('"')).body == first.body
            refused = whole.post("?eventType=once&eventData=2C", api=api, Idempotency_Key=key)
            assert (refused.status, refused.json()["code"]) == (422, "MR-123")
            refused = whole.post("", '{"type": "once"}', api=api, Idempotency_Key=key, Content_Type="application/json")
            assert (refused.status, refused.json()["code"]) == (422, "MR-123")
    finally:
        other.kill()
    assert whole.messages() == before + 1
    assert whole.row(first)["value"] == 1
    assert whole.post("?eventType=once&eventData=1C", Idempotency_Key=new_key()).json() != first.json()
    assert whole.messages() == before + 2


def test_what_makes_another_request(whole):
    """All that its events are made of, however they are sent; how long it waits, and for which language, does not."""
    bodies = (("", '{"type": "other", "data": 1}', dict(Content_Type="application/json")), ("?eventType=other&eventData=1&source=a", "", {}),
              ("", "1", dict(Content_Type="application/json", ce_specversion="1.0", ce_type="other", ce_source="/a", ce_id="a")))
    others = ((("", '{"type": "other", "data": 2}', {}), ("", None, dict(Content_Type="application/cloudevents+json"))),
              (("?eventType=other&eventData=1&source=b", None, {}), ("?eventType=other&eventData=1&source=a&key=b", None, {})),
              tuple(("", None, {name: value}) for name, value in (("ce_type", "else"), ("ce_source", "/b"), ("ce_id", "b"), ("ce_time", "2026-01-01T00:00:00Z"),
                                                                   ("Content_Type", "text/plain"))))
    for (query, body, headers), different in zip(bodies, others):
        key, before = new_key(), whole.messages()
        first = whole.post(query, body, Idempotency_Key=key, **headers)
        assert first.status == 202, first
        again = whole.post(query + ("&" if query else "?") + "wait=processed&timeout=1ms", body, Idempotency_Key=key, Accept_Language="de", **headers)
        assert again.status in (200, 202) and again.headers["idempotency-replayed"] == "true" and again.json()["id"] == first.json()["id"]
        for its_query, its_body, its_headers in different:
            refused = whole.post(its_query, body if its_body is None else its_body, Idempotency_Key=key, **dict(headers, **its_headers))
            assert (refused.status, refused.json()["code"]) == (422, "MR-123"), (its_query, its_body, its_headers)
        assert whole.messages() == before + 1


def test_the_same_key_of_two_clients(whole, tmp_path):
    """It belongs to the API key that it comes with, whatever the process: an event for each client, and another client's request
    is none of its matter."""
    keys, key, before = Keys(str(tmp_path / "keys")).write(first="publish", second="publish"), new_key(), whole.messages()
    apis = [whole.start_api("--keys", keys.path) for _ in range(2)]

    def post(client, api=apis[0], data="1C"):
        return whole.post(f"?eventType=clients&eventData={data}", api=api, Idempotency_Key=key, **(keys.header(client) if client else {}))

    try:
        made = {client: post(client) for client in ("first", "second")}
        made[None] = post(None, whole.api)  # one without a key is a client, too
        assert all(answer.status == 202 and "idempotency-replayed" not in answer.headers for answer in made.values()), made
        assert whole.messages() == before + 3
        for client in ("first", "second"):
            for api in apis:
                again = post(client, api)
                assert (again.status, again.body, again.headers["idempotency-replayed"]) == (202, made[client].body, "true"), client
            refused = post(client, data="2C")
            assert (refused.status, refused.json()["code"]) == (422, "MR-123")
    finally:
        for api in apis:
            api.kill()
    assert whole.messages() == before + 3
    assert status_of_claim(whole, key) == [202] * 3
    # nor are their events taken for one
    assert len({whole.row(answer)["id"] for answer in made.values()}) == 3


def test_lines_with_a_key(whole):
    key, before = new_key(), whole.messages()
    lines = '{"type": "lines", "data": 1}\nno event\n{"type": "lines", "data": 2, "id": "mine"}\n'
    first = whole.post("", lines, Idempotency_Key=key, Content_Type="application/x-ndjson")
    assert first.status == 202 and first.json()["accepted"] == 2 and [r["line"] for r in first.json()["rejected"]] == [2]
    again = whole.post("", lines, Idempotency_Key=key, Content_Type="application/x-ndjson")
    assert (again.status, again.body, again.headers["idempotency-replayed"]) == (202, first.body, "true")
    assert whole.messages() == before + 2


def test_what_is_no_key(whole):
    before = whole.messages()
    for key in ('""', '"', "a b", '"a";b', "a,b", "a" * 256, "", '"\\n"'):
        answer = whole.post("?eventType=a&eventData=1", Idempotency_Key=key)
        assert (answer.status, answer.json()["code"]) == (400, "MR-103"), key
    data = whole.api.raw(b"POST /events?eventType=a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 400 ")
    # what is wrong with the event is said as ever, and claims nothing
    key = new_key()
    assert whole.post("?eventData=1", Idempotency_Key=key).json()["code"] == "MR-119"
    assert whole.post("?eventTyp=1", Idempotency_Key=key).json()["code"] == "MR-110"
    assert status_of_claim(whole, key) == []
    assert whole.messages() == before


def test_many_at_once(whole):
    """400 requests with 20 keys over two processes: 20 messages, and an answer for each key."""
    keys, before = [new_key() for _ in range(20)], whole.messages()
    other = whole.start_api()
    try:
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda i: (i % 20, whole.post("?eventType=many&eventData=1", api=(whole.api, other)[i % 2],
                                                                  Idempotency_Key=keys[i % 20])), range(400)))
    finally:
        other.kill()
    given = {}
    for key, answer in answers:
        assert answer.status in (202, 409), answer
        if answer.status == 202:
            given.setdefault(key, set()).add(answer.body)
        else:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("MR-122", "1")
    assert {key: len(bodies) for key, bodies in given.items()} == dict.fromkeys(range(20), 1)
    assert whole.messages() == before + 20


def test_claims_are_counted(whole):
    """Each outcome, a lease that has ended, and an answer that is not recorded: by a process that has had no others."""
    key, api = new_key(), whole.start_api()

    def counts():
        return ({o: api.metric("millrace_api_idempotency_claims_total", outcome=o) for o in ("made", "repeated", "in_flight", "conflicting", "failed")}
                | {n: api.metric(f"millrace_api_idempotency_{n}_total") for n in ("leases_expired", "unrecorded")})

    def post(data):
        return whole.post(f"?eventType=counted&eventData={data}", api=api, Idempotency_Key=key).status

    def claimed(lease):
        """By a request that does not end."""
        whole.db.run("UPDATE millrace.idempotency_key SET status = NULL, location = NULL, body = NULL, leased_until = now() + %s::interval WHERE key = %s",
                     (lease, key.strip('"')))

    try:
        assert [post(data) for data in ("1C", "1C", "2C")] == [202, 202, 422]
        claimed("1 day")
        assert post("1C") == 409
        claimed("-1 s")
        assert post("1C") == 202
        wanted = {"made": 2, "repeated": 1, "conflicting": 1, "in_flight": 1, "failed": 0, "leases_expired": 1, "unrecorded": 0}
        wait_for(lambda: counts() == wanted and api.metric("millrace_api_idempotency_claims_open") == 0, "all are counted")
    finally:
        api.kill()


def test_a_client_that_leaves(whole):
    """Its request goes on without it: who asks again gets the answer."""
    before = whole.messages()
    for i in range(20):
        key = new_key()
        with socket.create_connection(("127.0.0.1", whole.api.port)) as s:
            s.sendall(f"POST /events?eventType=left&eventData={i} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n\r\n".encode())
        wait_for(lambda: status_of_claim(whole, key) == [202], "it is recorded")
        again = whole.post(f"?eventType=left&eventData={i}", Idempotency_Key=key)
        assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    assert whole.messages() == before + 20


def test_what_a_client_that_leaves_has_sent(whole):
    """It leaves before its key is claimed: its event, and the trace in its headers, are what it has sent; and they are held meanwhile."""
    key, state = new_key(), "vendor=" + "x" * 500
    trace, body = "4bf92f3577b34da6a3ce929d0e0e4736", json.dumps({"type": "traced", "data": "x" * 500_000})

    def answered():
        return whole.api.metric("millrace_api_requests_total")

    wait_for(lambda: whole.api.metric("millrace_api_connections") == 0, "all that came before is answered, and counted")
    before = answered()
    with whole.db.session() as blocking:
        blocking.run("BEGIN; LOCK TABLE millrace.idempotency_key IN ACCESS EXCLUSIVE MODE")
        with socket.create_connection(("127.0.0.1", whole.api.port)) as s:
            s.sendall(f"POST /events HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: {state}\r\n\r\n{body}".encode())
            # else its end would be that of a request that is not complete
            wait_for(lambda: whole.db.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'claim_idempotency_key' AND wait_event_type = 'Lock'"), "it asks")
        wait_for(lambda: answered() == before + 1, "it has left")
        assert whole.api.metric("millrace_api_buffered_bytes") >= len(body)
        blocking.run("ROLLBACK")
    wait_for(lambda: status_of_claim(whole, key) == [202], "it is recorded")
    topic, partition, offset = whole.db.value("SELECT location FROM millrace.idempotency_key WHERE key = %s", (key.strip('"'),)).split("/")[-1].split(":")
    headers = dict(record_at(whole.broker, {"topic": topic, "partition": int(partition), "offset": offset}).headers())
    wait_for(lambda: whole.api.metric("millrace_api_buffered_bytes") == 0, "nothing is held")
    assert headers["tracestate"].decode() == state and trace in headers["traceparent"].decode()


def test_a_crash_before_the_record(whole):
    """Acknowledged, not recorded: in flight until the lease ends, then a second message with the same id, and one row."""
    key, before = new_key(), whole.messages()
    event = dict(query="", body=json.dumps({"type": "crash", "data": "5C"}), Idempotency_Key=key, Content_Type="application/json")
    crashing = whole.start_api("--publish-timeout", "5min")
    with whole.db.session() as blocking, concurrent.futures.ThreadPoolExecutor(1) as pool:
        whole.broker.process.signal(signal.SIGSTOP)  # no acknowledgement before its record is held up
        try:
            lost = pool.submit(whole.post, api=crashing, **event)
            wait_for(lambda: status_of_claim(whole, key) == [None], "it is claimed")
            blocking.run("BEGIN; SELECT FROM millrace.idempotency_key WHERE key = %s FOR UPDATE", (key.strip('"'),))
        finally:
            whole.broker.process.signal(signal.SIGCONT)
        wait_for(lambda: whole.messages() == before + 1, "it is in Kafka")
        assert whole.post(**event).json()["code"] == "MR-122"
        crashing.kill()
        with pytest.raises(OSError):
            lost.result(20)
        blocking.run("ROLLBACK")
    wait_for(lambda: whole.db.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'end_idempotency_claim' AND pid <> pg_backend_pid() AND state = 'active'") == 0,
             "nobody records")
    if status_of_claim(whole, key) == [None]:  # else the server recorded what the dead process had sent
        assert whole.post(**event).json()["code"] == "MR-122"
        whole.db.run("UPDATE millrace.idempotency_key SET leased_until = now() WHERE key = %s", (key.strip('"'),))
        assert whole.post(**event).status == 202
        assert whole.messages() == before + 2
    rows = "SELECT value FROM events WHERE type = 'crash'"
    whole.row(whole.post("?eventType=behind&eventData=1"))
    wait_for(lambda: whole.db.value("SELECT count(*) FROM millrace.lag WHERE lag <> 0") == 0, "all is processed")
    assert whole.db.run(rows) == [(5,)]


def test_kafka_is_down(whole):
    """Nothing is published: the key is free again, and its event is published once Kafka is back."""
    key, api = new_key(), whole.start_api("--publish-timeout", "2s")
    whole.broker.kill()
    wait_for(lambda: whole.post("?eventType=down&eventData=1", api=api).json()["code"] == "MR-506"
             and api.metric("millrace_api_producer_open") == 1, "the breaker is open")
    assert whole.post("?eventType=down&eventData=1", api=api, Idempotency_Key=key).json()["code"] == "MR-506"
    whole.broker.start()
    wait_for(lambda: whole.post("?eventType=down&eventData=1", api=api, Idempotency_Key=key).status == 202, "published")
    assert whole.post("?eventType=down&eventData=1", api=api, Idempotency_Key=key).headers["idempotency-replayed"] == "true"
    api.kill()
    wait_for(lambda: whole.api.metric("millrace_api_producer_open") == 0, "the other one publishes, too")


def test_postgresql_is_down(whole, cluster):
    """What has a key is refused, and not published; the rest is published."""
    key = new_key()
    cluster.stop("immediate")
    try:
        wait_for(lambda: whole.post("?eventType=without&eventData=1", Idempotency_Key=key).status == 503, "refused")
        before = whole.messages()
        for _ in range(5):
            answer = whole.post("?eventType=without&eventData=1", Idempotency_Key=key)
            assert (answer.status, answer.json()["code"], answer.headers["retry-after"]) == (503, "MR-501", "1")
        assert whole.post("?eventType=unkeyed&eventData=1").status == 202
        assert whole.messages() == before + 1
    finally:
        cluster.start()
    wait_for(lambda: whole.post("?eventType=without&eventData=1", Idempotency_Key=key).status == 202, "published")
    assert whole.messages() == before + 2
