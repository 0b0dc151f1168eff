"""Streams of server-sent events: /events/all once a second, many clients, slow ones, and the ends they come to."""
import http.client
import socket
import time

import pytest

from lib.api import killed_at_the_end
from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.wait import wait_for

PIPELINES = 12


@pytest.fixture(scope="module")
def web(cluster):
    """Several pipelines that never run: their statistics are some KiB."""
    world = ApiWorld(cluster, "api_streams")
    world.db.run("CREATE TABLE target (id integer, t text)")
    for i in range(PIPELINES):
        world.db.run("SELECT millrace.create_pipeline(%s, topic => 'streams', fields => 'id integer', transform => 'SELECT id FROM event', target => 'target', allow_superuser => true)",
                     (f"p{i:02}",))
    yield world
    world.close()


@pytest.fixture
def start(web):
    with killed_at_the_end(lambda *options: web.start(*options)) as run:
        yield run


def test_statistics_once_a_second(start):
    """The same document as GET has it, once a second, however many clients there are."""
    api = start("--heartbeat", "300ms")
    began = time.monotonic()
    streams = [EventStream(api, "/events/all") for _ in range(40)]
    first = [s.next() for s in streams]
    for s, event in zip(streams, first):
        assert (s.status, s.headers["content-type"], s.headers["cache-control"], s.headers["connection"]) == (200, "text/event-stream", "no-store", "close")
        assert (event.name, event.id, s.retry) == ("message", "", 2000)
        assert [p["name"] for p in event.json()["pipelines"]] == [f"p{i:02}" for i in range(PIPELINES)]
    for _ in range(3):
        for s in streams:
            assert s.next().name == "message"
    # from the beginning: what has come while this process was held up is here at once, and no earlier than it was sent
    assert 1.5 < time.monotonic() - began, "an event comes once a second"
    assert all(s.comments > 0 for s in streams), "comments come between the events"
    assert set(first[0].json()["pipelines"][0]) == set(api.get("/events/all").json()["pipelines"][0])
    wait_for(lambda: api.metric("millrace_api_streams") == 40, "all are counted")
    for s in streams:
        s.close()
    wait_for(lambda: api.metric("millrace_api_streams") == 0, "all are gone")
    assert api.metric("millrace_api_streams_total") == 40 and api.metric("millrace_api_streams_slow_total") == 0


def test_none_is_late(start):
    """Some in a row without the comment that a silence of 2 s has: the process says so itself, however late they are read."""
    stream = EventStream(start("--heartbeat", "2s"), "/events/all")

    def come():
        stream.next()
        before = stream.comments
        return {stream.next().name for _ in range(4)} == {"message"} and stream.comments == before

    wait_for(come, "four events with less than 2 s between them")
    stream.close()


def test_which_representation(start):
    api = start("--max-streams", "1", "--threads", "1")
    assert api.get("/events/all", Accept="text/event-stream;q=0.5, application/json").headers["content-type"] == "application/json"
    assert api.get("/events/all", Accept="*/*").headers["content-type"] == "application/json"
    head = api.request("HEAD", "/events/all", {"Accept": "text/event-stream"})
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream", b"") and "content-length" not in head.headers
    assert EventStream(api, "/events/all?a=b").status == 400
    with EventStream(api, "/events/all").response:
        refused = EventStream(api, "/events/all")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    # without chunks, for HTTP/1.0: the stream ends with the connection
    wait_for(lambda: api.metric("millrace_api_streams") == 0, "it is gone")
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as s:
        s.sendall(b"GET /events/all HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nAccept: text/event-stream\r\n\r\n")
        text = b""
        while text.count(b"data: ") < 2:
            text += s.recv(65536)
    assert b"chunked" not in text and b"Connection: close" in text and b"\r\n\r\nretry: 2000\n\ndata: {" in text


def test_a_client_that_does_not_read(start):
    """It is closed at the bound; the others have their events."""
    api = start("--stream-buffer", "4kB")
    slow = EventStream(api, "/events/all", receive_buffer=1024)
    good = EventStream(api, "/events/all")
    try:
        wait_for(lambda: good.next() and api.metric("millrace_api_streams_slow_total") == 1, "the slow one is closed")
        with pytest.raises(http.client.IncompleteRead):
            slow.read_to_end()
        assert good.next().name == "message"
        wait_for(lambda: api.metric("millrace_api_streams") == 1, "one is left")
    finally:
        slow.close()
        good.close()


def test_what_a_client_sends_into_a_stream(start):
    """Requests behind it are dropped, and its leaving is noticed all the same."""
    api = start("--threads", "1")
    stream = EventStream(api, "/events/all")
    assert stream.next().name == "message"
    stream.socket.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
    assert stream.next().name == "message" and stream.next().name == "message"
    stream.close()
    wait_for(lambda: api.metric("millrace_api_streams") == 0, "it is gone")
    assert api.get("/events/all").status == 200


def test_stop_ends_streams(start):
    """They are complete, and the process does not wait for its drain timeout."""
    api = start("--drain-timeout", "60s")
    streams = [EventStream(api, "/events/all") for _ in range(10)]
    assert all(s.next() for s in streams)
    began = time.monotonic()
    assert api.stop() == 0
    assert time.monotonic() - began < 30
    for s in streams:
        s.read_to_end()
        s.close()


def is_refused(api):
    """A stream that begins in spite of that does not end: nothing of it is read."""
    stream = EventStream(api, "/events/all")
    stream.close()
    return stream if stream.status == 503 else None


def test_the_database_is_away(start, web, cluster):
    """The stream says so, and goes on when it is back."""
    api = start()
    stream = EventStream(api, "/events/all")
    assert stream.next().name == "message"
    cluster.kill_postmaster()
    try:
        event = stream.next()
        while event.name == "message":
            event = stream.next()
        assert event.name == "problem"
        assert (event.json()["status"], event.json()["code"], event.json()["instance"]) == (503, "MR-501", "/events/all")
        refused = wait_for(lambda: is_refused(api), "a new stream is refused")
        assert (refused.headers["content-type"], refused.headers["retry-after"]) == ("application/problem+json", "1")
    finally:
        cluster.start()
    event = stream.next()
    while event.name == "problem":
        event = stream.next()
    assert event.name == "message" and len(event.json()["pipelines"]) == PIPELINES
    stream.close()
