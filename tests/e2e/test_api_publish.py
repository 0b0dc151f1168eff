"""POST /events, through Kafka and the default pipeline of migrations/events, to GET /events/{id}."""
import concurrent.futures
import gzip
import json
import os
import random
import signal
import socket
import statistics
import time

import pytest
from confluent_kafka import Producer

from lib import paths
from lib.api import Api, split_answers, timed
from lib.default_pipeline import changes, run_change
from lib.process import peak_rss_mb, reset_peak_rss
from lib.publish_world import Whole, record_at
from lib.wait import wait_for


@pytest.fixture(scope="module")
def whole(cluster, broker):
    whole = Whole(cluster, broker)
    yield whole
    whole.close()


def test_the_mission(whole):
    """POST /events?eventType=Temperature&eventData=30C, with an empty body."""
    answer = whole.post("?eventType=Temperature&eventData=30C")
    assert answer.status == 202 and set(answer.json()) == {"id", "topic", "partition", "offset"}
    row = whole.row(answer)
    assert (row["type"], row["value"], row["unit"], row["note"]) == ("Temperature", 30, "°C", None)
    assert f"{row['topic']}:{row['partition']}:{row['offset']}" == answer.json()["id"]
    assert whole.api.get("/events?type=Temperature&limit=1").json() == [row]


def test_readings(whole):
    """Numbers and units of data, in any form it comes in."""
    whole.db.run("INSERT INTO event_source VALUES ('sensor-1', 'Roof')")
    texts = [("30C", 30, "°C", None), ("86 F", 30, "°C", None), ("1013.2 hPa", 1013.2, "hPa", None), ("45 %", 45, "%", None),
             ("-3.5e1 °C", -35, "°C", None), (".5mm", 0.5, "mm", None), ("+7", 7, None, None), ("300K", 26.85, "°C", None),
             ("36 km/h", 10, "m/s", None), ("12 lux", 12, "lux", None), ("calm", None, None, "calm"), ("", None, None, ""),
             ("30C 40C", None, None, "30C 40C"), ("1.2.3", None, None, "1.2.3"), ("0x10", None, None, "0x10"), ("C30", None, None, "C30")]
    posted = [whole.post("", json.dumps({"type": "t", "source": "sensor-1", "data": text}), Content_Type="application/json") for text, *_ in texts]
    posted += [whole.post("", json.dumps({"eventType": "t", "eventData": data}), Content_Type="application/json") for data in (21.5, {"a": 1}, None, True)]
    posted.append(whole.post("", '{"type": "t", "value": 50, "unit": "F", "ts": "2026-01-01T00:00:00Z"}', Content_Type="application/json"))
    rows = [whole.row(answer) for answer in posted]
    assert [(r["value"], r["unit"], r["note"]) for r in rows] == [t[1:] for t in texts] + [
        (21.5, None, None), (None, None, '{"a": 1}'), (None, None, None), (None, None, "true"), (10, "°C", None)]
    assert {r["site"] for r in rows[: len(texts)]} == {"Roof"} and rows[-1]["site"] is None
    assert rows[-1]["time"] == "2026-01-01T00:00:00+00:00"


def test_heartbeats_are_filtered_and_what_has_no_type_is_dead(whole):
    before = dict(zip(("filtered", "dead"), whole.db.run("SELECT filtered, dead FROM millrace.stats")[0]))
    whole.post("?eventType=Heartbeat&eventData=1")
    records_before = whole.db.value("SELECT count(*) FROM events")
    producer = Producer({"bootstrap.servers": whole.broker.address})
    producer.produce("events", b'{"data": 1}')
    producer.flush(120)
    wait_for(lambda: whole.db.run("SELECT filtered, dead FROM millrace.stats")[0] == (before["filtered"] + 1, before["dead"] + 1), "both are counted")
    assert whole.db.value("SELECT count(*) FROM events") == records_before


def test_what_is_published(whole):
    """A CloudEvents document; of what a client sends as JSON each byte is kept, and what is missing is added."""
    text = '{ "type": "kept", "id": "order-7", "time": "2026-02-03T04:05:06.7+01:00", "data": 30.10, "extra": [1e2, "\\u00e4"] }'
    answer = whole.post("", text, Content_Type="application/json; charset=utf-8")
    place = answer.json()
    record = record_at(whole.broker, place)
    assert text[1:].encode().strip() in record.value() and record.value().startswith(b'{"specversion":"1.0","source":"/events",')
    assert dict(record.headers())["content-type"] == b"application/cloudevents+json" and record.key() is None
    assert dict(record.headers())["traceparent"].decode() == answer.headers["traceparent"]
    row = whole.row(answer)
    assert (row["value"], row["time"]) == (30.1, "2026-02-03T03:05:06.7+00:00")
    # the same id again: one row
    again = whole.post("", text, Content_Type="application/json").json()
    wait_for(lambda: whole.db.value("SELECT superseded FROM millrace.stats") >= 1, "the second is superseded")
    assert whole.db.value("SELECT count(*) FROM events WHERE type = 'kept'") == 1
    assert again["id"] != place["id"]


def test_the_key_is_the_source(whole):
    places = {whole.post(f"?eventType=a&eventData={i}&source=one").json()["partition"] for i in range(10)}
    assert len(places) == 1
    assert {whole.post(f"?eventType=a&eventData={i}&source=one&key={i}").json()["partition"] for i in range(30)} == {0, 1, 2}


def test_cloudevents(whole):
    event = {"specversion": "1.0", "type": "ce", "source": "/s", "id": "1", "data": {"x": 1}}
    assert whole.row(whole.post("", json.dumps(event), Content_Type="application/cloudevents+json"))["note"] == '{"x": 1}'
    row = whole.row(whole.post("", "30C", Content_Type="text/plain", ce_specversion="1.0", ce_type="ce%C3%A4", ce_source="/s", ce_id="2"))
    assert (row["type"], row["source"], row["value"]) == ("ceä", "/s", 30)
    row = whole.row(whole.post("", "[1,2]", Content_Type="application/json", ce_specversion="1.0", ce_type="ce", ce_source="/s", ce_id="3"))
    assert row["note"] == "[1, 2]"
    batch = whole.post("", json.dumps([event, {"type": 1}, dict(event, id="4")]), Content_Type="application/cloudevents-batch+json")
    assert batch.json() == {"accepted": 2, "rejected": [{"line": 2, "code": "MR-119", "detail": "The event's type is not a string."}]}


def test_what_is_published_is_read_by_format_cloudevents(whole):
    """Whatever it came in as: attributes are columns of event, data is its document."""
    whole.db.run("CREATE TABLE ce (id text, type text, source text, at timestamptz, ext jsonb, x int); ALTER TABLE ce OWNER TO events_owner")
    with whole.db.session("events_owner") as owner:
        owner.run("""SELECT millrace.create_pipeline('ce', topic => 'events', target => 'ce', format => 'cloudevents', start_at => 'latest',
                     fields => 'x int', dlq => 'off',
                     transform => 'SELECT ce_id AS id, ce_type AS type, ce_source AS source, ce_time AS at, ce_extensions AS ext, x FROM event')""")
    wait_for(lambda: whole.db.value("SELECT count(next_offset) FROM millrace.partitions WHERE pipeline = 'ce'") == 3, "it reads")
    whole.post("", '{"type": "a", "id": "ce-1", "source": "/s", "time": "2026-01-31T12:00:00Z", "data": {"x": 1}, "ext": "e"}', Content_Type="application/json")
    whole.post("", '{"x": 2}', Content_Type="application/json", ce_specversion="1.0", ce_type="b", ce_source="/s", ce_id="ce-2", ce_time="2026-01-31T12:00:00Z")
    wait_for(lambda: whole.db.run("SELECT id, type, source, at::text, ext, x FROM ce WHERE id LIKE 'ce-_' ORDER BY id") == [
        ("ce-1", "a", "/s", "2026-01-31 12:00:00+00", {"ext": "e"}, 1), ("ce-2", "b", "/s", "2026-01-31 12:00:00+00", {}, 2)], "both are read")
    with whole.db.session("events_owner") as owner:
        owner.run("SELECT millrace.drop_pipeline('ce', discard_dead_letters => true)")


def test_lines(whole):
    """One bad line of ten thousand: the others are published."""
    lines = ['{"type": "line", "source": "s%d", "data": %d}' % (i % 50, i) for i in range(9999)]
    lines.insert(5000, '{"type": "line", "data": }')
    answer = whole.post("", "\n".join(lines) + "\r\n\n", Content_Type="application/x-ndjson")
    assert answer.status == 202 and answer.json()["accepted"] == 9999
    assert [(r["line"], r["code"]) for r in answer.json()["rejected"]] == [(5001, "MR-119")]
    with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
        assert answer.body.decode() in f.read()
    assert "published" not in answer.json()
    wait_for(lambda: whole.db.value("SELECT count(*) FROM events WHERE type = 'line'") == 9999, "all are processed")
    assert whole.db.value("SELECT count(DISTINCT value) FROM events WHERE type = 'line'") == 9999
    too_many = whole.post("", '{"type":"no"}\n' * 10001, Content_Type="application/x-ndjson")
    assert (too_many.status, too_many.json()["code"]) == (413, "MR-303")


def test_ids_of_lines(whole):
    """Asked for, each line has its outcome: the coordinate by which its row is found, or why it has none."""
    lines = ['{"type": "listed", "data": %d}' % i for i in range(300)]
    lines[7], lines[100] = "{", ""
    kinds = (("\n".join(lines), "application/x-ndjson", 8),
             ("[" + ",".join(['{"type": "listed", "data": %d}' % i for i in range(7)] + ["1"]) + "]", "application/cloudevents-batch+json", 8))
    for body, content_type, wrong in kinds:
        answer = whole.post("", body, Content_Type=content_type, Prefer="return=representation", Idempotency_Key=content_type.replace("/", "-")).json()
        assert [r["line"] for r in answer["rejected"]] == [wrong] and answer["accepted"] == len(answer["published"])
        for entry in random.Random(wrong).sample(answer["published"], 5):
            row = wait_for(lambda e=entry: (a := whole.api.get(f"/events/{e['id']}")).status == 200 and a.json(), "its row is there")
            assert row["value"] == entry["line"] - 1, (entry, row)
        assert answer == whole.post("", body, Content_Type=content_type, Idempotency_Key=content_type.replace("/", "-")).json(), "the first answer"


def test_compressed_bodies(whole):
    """Each kind of body is what it was before gzip, also for its Idempotency-Key; other codings are refused, and say which is taken."""
    one, lines = '{"type":"packed","data":"1C"}', "".join(f'{{"type":"packed","data":"{i}C"}}\n' for i in range(2000))
    before, packed = whole.messages(), {"Content_Encoding": "gzip"}
    answer = whole.post("", gzip.compress(one.encode()), Content_Type="application/json", **packed)
    assert whole.row(answer)["value"] == 1
    for coding in ("x-gzip", "GZIP"):
        answer = whole.post("", gzip.compress(lines[:700].encode()) + gzip.compress(lines[700:].encode()), Content_Type="application/x-ndjson", Content_Encoding=coding)
        assert (answer.status, answer.json()["accepted"]) == (202, 2000), answer
    key = "packed-once"
    first = whole.post("", one, Content_Type="application/json", Idempotency_Key=key)
    again = whole.post("", gzip.compress(one.encode()), Content_Type="application/json", Idempotency_Key=key, **packed)
    assert (again.status, again.body, again.headers.get("idempotency-replayed")) == (202, first.body, "true")
    assert whole.post("", one, Content_Type="application/json", Content_Encoding="identity").status == 202
    assert whole.messages() == before + 1 + 4000 + 2
    for coding in ("br", "deflate", "gzip, gzip", "gzip,br", "gzipped"):
        answer = whole.post("", gzip.compress(one.encode()), Content_Type="application/json", Content_Encoding=coding)
        assert (answer.status, answer.json()["code"], answer.headers["accept-encoding"]) == (415, "MR-124", "gzip"), coding
    text = gzip.compress(one.encode())
    for broken in (one.encode(), text[:-1], text + b"more", text[:-5] + b"\0" + text[-4:], b"\x1f"):
        answer = whole.post("", broken, Content_Type="application/json", **packed)
        assert (answer.status, answer.json()["code"]) == (400, "MR-125"), broken
    assert whole.post("?eventType=packed&eventData=1C", Content_Encoding="br").status == 202, "there is no body"


def test_what_becomes_too_much(whole):
    """A body may have --max-body bytes, decompressed too, and all of them together --buffers: what is not taken is not kept either."""
    api = whole.start_api("--max-body", "1MB", "--buffers", "3MB")
    try:
        reset_peak_rss(api.process.pid)
        before = peak_rss_mb(api.process.pid)
        event = b'{"type":"bomb","data":"' + b"x" * 100_000 + b'"}'
        for pad, status in ((1_048_576 - len(event), 202), (1_048_577 - len(event), 413), (60_000_000, 413)):
            body = gzip.compress(event + b" " * pad)
            assert len(body) < 100_000
            answer = whole.post("", body, api=api, Content_Type="application/json", Content_Encoding="gzip")
            assert answer.status == status, answer
            if status == 413:
                assert (answer.json()["code"], answer.json()["detail"]) == ("MR-303", "Decompressed it has more than 1048576 bytes.")
        assert peak_rss_mb(api.process.pid) - before < 30, "none of the 60 MB is kept"
        wait_for(lambda: api.metric("millrace_api_buffered_bytes") == 0, "nothing is held")
    finally:
        api.kill()


def test_what_is_refused(whole):
    for query, body, content_type, status, code in (
            ("", None, None, 400, "MR-119"), ("", "", "application/json", 400, "MR-119"),
            ("?eventData=1", None, None, 400, "MR-119"), ("?eventType=", None, None, 400, "MR-119"),
            ("?eventTyp=a", None, None, 400, "MR-110"), ("?eventType=a&limit=1", None, None, 400, "MR-110"),
            ("?eventType=a", "{}", "application/json", 400, "MR-119"), ("?eventType=a&time=now", None, None, 400, "MR-119"),
            ("?eventType=" + "a" * 256, None, None, 400, "MR-119"), ("?eventType=a&id=", None, None, 400, "MR-119"),
            ("", "a", None, 415, "MR-116"), ("", "a", "text/plain", 415, "MR-116"), ("", "<a/>", "application/xml", 415, "MR-116"),
            ("", "a=b", "multipart/form-data", 415, "MR-116"), ("", "{}", "application/jsonx", 415, "MR-116"),
            ("", "{", "application/json", 400, "MR-119"), ("", "[]", "application/json", 400, "MR-119"), ("", "1", "application/json", 400, "MR-119"),
            ("", '{"type": "a"} x', "application/json", 400, "MR-119"), ("", '{"type": "a", "type": "b"}', "application/json", 400, "MR-119"),
            ("", '{"type": 1}', "application/json", 400, "MR-119"), ("", '{"type": null}', "application/json", 400, "MR-119"),
            ("", '{"type": "a", "data": "\\u0000"}', "application/json", 400, "MR-119"), ("", b'{"type": "\xff"}', "application/json", 400, "MR-119"),
            ("", '{"type": "a", "specversion": "0.3"}', "application/cloudevents+json", 400, "MR-119"),
            ("", '{"type": "a", "data_base64": "AA=="}', "application/cloudevents+json", 400, "MR-119"),
            ("", "{}", "application/cloudevents-batch+json", 400, "MR-119"),
            ("", "[" * 100000, "application/json", 400, "MR-119")):
        answer = whole.post(query, body, **({"Content_Type": content_type} if content_type else {}))
        assert (answer.status, answer.json()["code"]) == (status, code), (query, str(body)[:50], answer)
    for fields, status, code in ((b"Content-Type: application/json\r\n", 411, "MR-126"), (b"Content-Type: application/json\r\nContent-Length: 0\r\n", 400, "MR-119"),
                                 (b"", 400, "MR-119")):
        answers = split_answers(whole.api.raw(b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields + b"\r\n"))
        assert [(a[0], json.loads(a[2])["code"]) for a in answers] == [(status, code)], fields
    assert whole.post("", "a", ce_type="a", Content_Type="text/plain").json()["detail"] == "The header field ce-specversion is missing."
    large = whole.post("", '{"type": "a", "data": "%s"}' % ("a" * 9_000_000), Content_Type="application/json")
    assert (large.status, large.json()["code"]) == (413, "MR-303")  # more than Kafka takes


def test_other_sites(whole):
    """A page of another origin, in a browser on this machine, publishes nothing."""
    for headers, status in (({"Origin": "http://example.com"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
                            ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "http://localhost.example.com"}, 403), ({"Origin": ""}, 403),
                            ({"Origin": "http://localhost:3000"}, 202), ({"Sec-Fetch-Site": "same-origin"}, 202), ({"Sec-Fetch-Site": "none"}, 202)):
        answer = whole.api.request("POST", "/events?eventType=site&eventData=1", headers)
        assert answer.status == status, headers
    assert whole.api.request("GET", "/events?limit=1", {"Origin": "http://example.com"}).status == 200


def test_many_at_once(whole):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda i: whole.post(f"?eventType=many&eventData={i}"), range(500)))
    assert {a.status for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 500
    wait_for(lambda: whole.db.value("SELECT count(DISTINCT value) FROM events WHERE type = 'many'") == 500, "all are processed")


def test_a_trace_state_in_several_fields(whole):
    """It is one list. Of a trace that is not taken up none is left."""
    def headers_of(parents):
        fields = "".join(f"traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n" for trace in parents) + "tracestate: a=1,b=2\r\ntracestate: c=3\r\n"
        data = whole.api.raw(f"POST /events?eventType=state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: 0\r\n\r\n".encode())
        return dict(record_at(whole.broker, json.loads(data.split(b"\r\n\r\n")[1])).headers())

    first, second = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
    taken_up = headers_of([first])
    assert (taken_up["traceparent"][3:35].decode(), taken_up["tracestate"]) == (first, b"a=1,b=2, c=3")
    begun = headers_of([first, second])
    assert begun["traceparent"][3:35].decode() not in (first, second) and "tracestate" not in begun


def test_a_client_that_leaves(whole):
    """Its event is published all the same, and nothing is left of its request."""
    for i in range(20):
        with socket.create_connection(("127.0.0.1", whole.api.port)) as s:
            s.sendall(b"POST /events?eventType=left&eventData=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i)
    wait_for(lambda: whole.db.value("SELECT count(DISTINCT value) FROM events WHERE type = 'left'") == 20, "all are processed")
    wait_for(lambda: whole.api.metric("millrace_api_requests_in_flight") == 0, "none in flight")


def test_status_of_what_kafka_does_not_have(whole):
    """404 at and beyond the end of a partition, which Kafka itself says: what was just published is known at once. 503 when it
    cannot say, where the answer depends on it. Without --brokers what the ingestor saw is all there is."""
    operate = ("--operate-dsn", whole.db.dsn("events_owner"), "--anonymous", "read,publish,operate")
    api = whole.start_api(*operate)
    blind = Api(whole.db.dsn("millrace_api"), *operate).start()
    try:
        def status(partition, offset, a=api):
            answer = a.get(f"/events/events:{partition}:{offset}/status")
            return answer.status, answer.json()[0]["status"] if answer.status == 200 else answer.json()["code"], answer

        place = whole.post("?eventType=known&eventData=1&wait=processed&timeout=60s", api=api).json()
        done = (place["partition"], int(place["offset"]))
        assert status(*done)[0] == 200 and status(*done)[1] in ("processed", "settled")
        for i in range(30):  # long before an ingestor says where the topic ends
            place = whole.post(f"?eventType=known&eventData={i}", api=api).json()
            assert status(place["partition"], place["offset"])[0] == 200, place
        for partition, (_, high) in enumerate(whole.broker.watermarks("events")):
            found = status(partition, high)
            assert found[:2] == (404, "MR-402") and found[2].json()["detail"] == f"The partition ends at offset {high}."
            assert status(partition, 2**62)[:2] == (404, "MR-402")
        assert status(99, 0)[:2] == (404, "MR-402")  # no such partition
        assert status(0, 2**62, blind)[:2] == (200, "pending")
        wait_for(lambda: "when the ingestor last looked" in status(0, 2**62, blind)[2].json()[0]["detail"].get("reason", ""), "it says so")
        assert status(*done, blind)[0] == 200
        whole.broker.process.signal(signal.SIGSTOP)
        try:
            answers = [status(0, 2**62) for _ in range(3)]
            assert {a[:2] for a in answers} == {(503, "MR-508")} and answers[0][2].headers["retry-after"] == "1"
            assert status(*done)[0] == 200
            # many at once wait for one answer of Kafka's, not each for its own
            with concurrent.futures.ThreadPoolExecutor(32) as pool:
                found, took = timed(lambda: list(pool.map(lambda i: status(i % 3, 2**62)[:2], range(64))))
            assert set(found) == {(503, "MR-508")} and took < 30
        finally:
            whole.broker.process.signal(signal.SIGCONT)
        wait_for(lambda: status(0, 2**62)[0] == 404, "Kafka answers again")
    finally:
        api.kill()
        blind.kill()


def test_the_broker_is_down(whole):
    """POST: 503, at once after the first; GET as ever. Soon published again when it is back, and nothing twice."""
    api = whole.start_api("--publish-timeout", "2s")
    whole.broker.kill()
    first = whole.post("?eventType=down&eventData=1", api=api)
    assert first.status in (503, 504)
    wait_for(lambda: api.metric("millrace_api_producer_open") == 1, "the breaker is open")
    answers, took = zip(*[timed(lambda: whole.post("?eventType=down&eventData=1", api=api)) for _ in range(20)])
    assert {(a.status, a.json()["code"], a.headers["retry-after"]) for a in answers} == {(503, "MR-506", "1")}
    assert statistics.median(took) < 0.5  # of the two seconds of --publish-timeout
    assert api.get("/events?limit=1").status == 200
    wait_for(lambda: "no event can be published: " in api.admin("/readyz")[1], "not ready")
    whole.broker.start()
    whole.messages()  # it leads the topic again
    began = time.monotonic()
    wait_for(lambda: whole.post("?eventType=up&eventData=1", api=api).status == 202, "published again")
    assert time.monotonic() - began < 10
    wait_for(lambda: api.admin("/readyz")[0] == 200 == whole.api.admin("/readyz")[0], "ready")
    api.kill()


def test_the_broker_is_silent(whole):
    """It takes connections and answers nothing: 504 after --publish-timeout, since what was sent may be there or not, then 503 at
    once; sent again with its key, the event has one row."""
    api = whole.start_api("--publish-timeout", "2s")
    try:
        assert whole.post("?eventType=silent&eventData=1", api=api).status == 202
        whole.broker.process.signal(signal.SIGSTOP)
        try:
            sent = whole.post("?eventType=silent&eventData=2", api=api, Idempotency_Key="silent-1")
            assert (sent.status, sent.json()["code"]) == (504, "MR-507") and "retry-after" not in sent.headers
            assert "Idempotency-Key" in sent.json()["hint"]
            answers, took = zip(*[timed(lambda: whole.post("?eventType=silent&eventData=3", api=api)) for _ in range(5)])
            assert {(a.status, a.json()["code"]) for a in answers} == {(503, "MR-506")}
            assert statistics.median(took) < 0.5  # of the two seconds of --publish-timeout
            assert api.get("/events?limit=1").status == 200
        finally:
            whole.broker.process.signal(signal.SIGCONT)
        again = []

        def is_published():
            again.append(whole.post("?eventType=silent&eventData=2", api=api, Idempotency_Key="silent-1"))
            return again[-1].status == 202

        wait_for(is_published, "it is published")
        assert "idempotency-replayed" not in again[-1].headers, "an outcome that is not known is not kept"
        last = whole.post("?eventType=silent&eventData=4&wait=processed&timeout=60s", api=api)
        assert last.status == 200
        wait_for(lambda: whole.db.run("SELECT value FROM events WHERE type = 'silent' ORDER BY value") == [(1,), (2,), (4,)], "each has one row")
    finally:
        api.kill()


def test_a_topic_that_is_not_there_and_no_brokers(whole):
    for options, detail in ((("--brokers", whole.broker.address, "--topic", "not-there"), None), ((), "This service does not publish.")):
        api = Api(whole.db.dsn("millrace_api"), *options).start(wait=False)
        try:
            wait_for(lambda: api.admin("/livez")[0] == 200, "it lives")
            wait_for(lambda: api.get("/events?limit=1").status == 200, "it serves")
            answer = api.request("POST", "/events?eventType=a&eventData=1")
            assert (answer.status, answer.json()["code"], answer.json().get("detail")) == (503, "MR-506", detail)
        finally:
            api.kill()


def test_the_end_waits_for_acknowledgements(whole):
    api = Api(whole.db.dsn("millrace_api"), "--brokers", whole.broker.address, "--publish-timeout", "60s", "--drain-timeout", "60s").start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        whole.broker.process.signal(signal.SIGSTOP)  # it acknowledges nothing until the end has begun
        try:
            waiting = pool.submit(api.request, "POST", "/events?eventType=end&eventData=1")
            wait_for(lambda: api.metric("millrace_api_requests_in_flight") == 1, "it is in flight")
            api.process.signal(signal.SIGTERM)
            wait_for(lambda: api.admin("/readyz") == (503, "draining\n"), "it ends")
        finally:
            whole.broker.process.signal(signal.SIGCONT)
        assert waiting.result(60).status == 202
    assert api.process.popen.wait(300) == 0


def test_revert(whole):
    whole.api.kill()
    whole.ingestor.stop()
    for change in reversed(changes()):
        run_change(whole.db, "revert", change)
    assert whole.db.run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
