"""POST /events with a form, as HTML, Spring's @RequestParam and `curl -d` have it; and batches without any event."""
import gzip
import json
import subprocess

import pytest

from lib.api import split_answers
from lib.publish_world import Whole, record_at
from lib.wait import wait_for

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_forms")
    yield whole
    whole.close()


def form(whole, query, body, **headers):
    return whole.post(query, body, **dict({"Content_Type": FORM}, **headers))


def test_a_form_is_the_query_in_another_place(whole):
    """Where each parameter is makes no difference; curl -d sends it as it is."""
    url = f"http://127.0.0.1:{whole.api.port}/events"
    sent = subprocess.run(["curl", "-sS", url, "-d", "eventType=Temperature", "-d", "eventData=30C"], capture_output=True, text=True, check=True)
    path = "/events/" + json.loads(sent.stdout)["id"]
    wait_for(lambda: whole.api.get(path).status == 200, path + " is processed")
    row = whole.api.get(path).json()
    assert (row["type"], row["value"], row["unit"]) == ("Temperature", 30, "°C")
    for query, body in (("?eventType=Temperature&eventData=30C", None), ("", "eventType=Temperature&eventData=30C"),
                        ("?eventType=Temperature", "eventData=30C"), ("?eventData=30C&", "&eventType=Temperature&")):
        answer = form(whole, query, body) if body else whole.post(query)
        row = whole.row(answer)
        assert (row["type"], row["value"], row["source"]) == ("Temperature", 30, "/events"), (query, body)
    answer = form(whole, "", "eventType=a%26b&eventData=30+%C2%B0C&source=s&key=k&id=form-1&time=2026-01-31T12:00:00%2B01:00", Content_Type=FORM + "; charset=UTF-8")
    record = record_at(whole.broker, answer.json())
    assert record.key() == b"k" and json.loads(record.value()) == {
        "specversion": "1.0", "id": "form-1", "source": "s", "type": "a&b", "time": "2026-01-31T12:00:00+01:00", "data": "30 °C"}
    assert whole.row(form(whole, "", gzip.compress(b"eventType=packed&eventData=1C"), Content_Encoding="gzip"))["value"] == 1
    # longer than a target may be
    assert whole.row(form(whole, "", "eventType=long&eventData=" + "x" * 100_000))["note"] == "x" * 100_000
    answer = form(whole, "?wait=processed", "eventType=wait&eventData=1C&timeout=60s")
    assert answer.status == 200 and "pipelines" in answer.json()
    # no body is no form, and a CloudEvent in binary mode has data of any type
    assert form(whole, "?eventType=a&eventData=1", "").status == 202
    assert whole.row(form(whole, "", "a=b", ce_specversion="1.0", ce_type="ce"))["note"] == "a=b"


def test_what_is_refused_of_a_form(whole):
    before = whole.messages()
    for query, body, status, code, said in (
            ("?eventType=a", "eventType=a", 400, "MR-110", 'Parameter "eventType" is given twice.'),
            ("", "eventType=a&event%54ype=a", 400, "MR-110", "given twice"), ("", "eventTyp=a", 400, "MR-110", 'did you mean "eventType"?'),
            ("?wait=processed", "eventType=a&wait=processed", 400, "MR-110", "given twice"), ("", "eventType=a&wait=written", 400, "MR-111", 'wait is "written", expected processed.'),
            ("", "=a", 400, "MR-110", "no name"), ("", "&".join(f"p{i}=1" for i in range(65)), 400, "MR-110", "more than 64"),
            ("", "eventType=a b", 400, "MR-119", "%XX"), ("", "eventType=ä".encode(), 400, "MR-119", "%XX"), ("", b"eventType=a\0", 400, "MR-119", "%XX"),
            ("", "eventType=a\r\n", 400, "MR-119", "%XX"), ("", "eventType=%0", 400, "MR-119", "hexadecimal"), ("", "eventType=%00", 400, "MR-119", "NUL"),
            ("", "eventType=%FF", 400, "MR-119", "UTF-8"), ("", "eventData=1", 400, "MR-119", "type"), ("", "&", 400, "MR-119", "no event"),
            ("", '{"type": "a"}', 415, "MR-116", "no form"), ("", '[{"type": "a"}]', 415, "MR-116", "no form")):
        answer = form(whole, query, body)
        assert (answer.status, answer.json()["code"]) == (status, code) and said in answer.json()["detail"], (query, body, answer)
    assert "application/json" in form(whole, "", '{"type": "a"}').json()["hint"]
    # only here: the body of a verb is JSON, whatever curl calls it
    assert whole.api.request("POST", "/dead-letters/replay", {"Content-Type": FORM}, "pipeline=events").status in (400, 403)
    assert form(whole, "", "x" * 11_000_000).status == 413
    assert whole.messages() == before


def test_a_page_of_another_site_sends_no_form(whole):
    """A browser sends a form to anybody without asking: it is refused as any other POST."""
    before, body = whole.messages(), "eventType=site&eventData=1"
    for headers in ({"Origin": "http://example.com"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://localhost.example.com"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:3000"}):
        answer = whole.api.request("POST", "/events", dict({"Content-Type": FORM}, **headers), body)
        assert (answer.status, answer.json()["code"]) == (403, "MR-203"), headers
    answer = whole.api.request("POST", "/events", {"Content-Type": FORM, "Host": "evil.example"}, body)
    assert (answer.status, answer.json()["code"]) == (421, "MR-118")
    assert whole.messages() == before
    assert whole.api.request("POST", "/events", {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin"}, body).status == 202


def test_a_form_with_a_key(whole):
    """The same form is the same request, however long it waits; another one is not."""
    before, key = whole.messages(), {"Idempotency_Key": "form-key"}
    first = form(whole, "", "eventType=once&eventData=1C", **key)
    for query, body in (("", "eventType=once&eventData=1C"), ("?wait=processed", "eventType=once&eventData=1C&timeout=60s")):
        again = form(whole, query, body, **key)
        assert (again.status, again.json()["id"], again.headers["idempotency-replayed"]) == (200 if query else 202, first.json()["id"], "true")
    for query, body in (("", "eventType=once&eventData=2C"), ("", "eventType=once&eventData=1C&source=s"), ("?source=s", "eventType=once&eventData=1C")):
        other = form(whole, query, body, **key)
        assert (other.status, other.json()["code"]) == (422, "MR-123"), (query, body)
    assert whole.post("?eventType=once&eventData=1C", **key).json()["code"] == "MR-123", "another media type"
    assert whole.messages() == before + 1


def test_a_batch_without_events(whole):
    """[] is a batch (JSON format of CloudEvents, section 4), and a text of no lines one of NDJSON: all of it is published."""
    before = whole.messages()
    for content_type, body in (("application/cloudevents-batch+json", "[]"), ("application/cloudevents-batch+json; charset=utf-8", " [\n] "),
                               ("application/x-ndjson", "\n \r\n"), ("application/x-ndjson", "")):
        for query, headers in (("", {}), ("?wait=processed", {}), ("", {"Idempotency_Key": "empty" + str(len(content_type + body))}), ("", {"Idempotency_Key": "empty" + str(len(content_type + body))})):
            answer = whole.post(query, body, Content_Type=content_type, **headers)
            assert (answer.status, answer.body) == (202, b'{"accepted":0,"rejected":[]}\n'), (content_type, body, answer)
        assert answer.headers["idempotency-replayed"] == "true"
    # what is cut off is none
    for content_type, body in (("application/cloudevents-batch+json", ""), ("application/cloudevents-batch+json", "["), ("application/cloudevents-batch+json", "[] x"),
                               ("application/json", "[]")):
        answer = whole.post("", body, Content_Type=content_type)
        assert (answer.status, answer.json()["code"]) == (400, "MR-119"), (content_type, body)
    bare = b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\r\n"
    assert [a[0] for a in split_answers(whole.api.raw(bare))] == [411]
    assert whole.messages() == before
