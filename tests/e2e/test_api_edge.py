"""Between the API and its clients: compression, pages of other origins, traces, proxies."""
import gzip
import hashlib
import json
import re

import pytest

from lib.api import Api
from lib.api_world import ApiWorld
from lib.wait import wait_for

PAGE = "https://app.example"
KEY = "mr_0123456789"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_edge")
    world.fill(300)
    world.start("--cors-origin", PAGE, "--trusted-proxy", "127.0.0.1", "--access-log", "all")
    yield world
    world.close()


def test_compression(web):
    for path, headers in (("/events?limit=200", {}), ("/events?limit=200", {"Accept": "text/csv"}), ("/openapi.json", {}), ("/", {})):
        plain, packed = (web.api.request("GET", path, dict(headers, **{"Accept-Encoding": coding})) for coding in ("identity", "br, gzip;q=0.9"))
        assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
        assert "Accept-Encoding" in plain.headers["vary"] and plain.headers["vary"] == packed.headers["vary"]
        head = web.api.request("HEAD", path, dict(headers, **{"Accept-Encoding": "gzip"}))
        assert head.headers["content-length"] == str(len(packed.body)) and head.headers["content-encoding"] == "gzip"
        # each form has a strong entity tag of its own, and either is known again
        if "etag" in plain.headers:
            assert packed.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
            for tag in (plain.headers["etag"], packed.headers["etag"]):
                for coding, wanted in (("identity", plain), ("gzip", packed)):
                    answer = web.api.get(path, If_None_Match=tag, Accept_Encoding=coding)
                    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", wanted.headers["etag"])
                    assert "content-encoding" not in answer.headers and "Accept-Encoding" in answer.headers["vary"]


def test_no_field_comes_twice(web):
    """Several of one name are a list to some, and the last of them to others."""
    for path in ("/", "/docs", "/page/page.css", "/openapi.json", "/events?limit=1", "/events/events:0:1", "/events/all", "/none", "/events?typ=a"):
        for extra in ("", f"Origin: {PAGE}\r\n", "Accept-Encoding: gzip\r\n"):
            head = web.api.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}\r\n".encode()).partition(b"\r\n\r\n")[0]
            names = [line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
            assert len(names) > 3 and len(set(names)) == len(names), (path, names)


def test_what_is_not_compressed(web):
    for coding in ("", "br", "gzip;q=0", "*;q=0", "gzip;q=0.2, identity;q=0.5"):
        assert "content-encoding" not in web.api.get("/openapi.json", Accept_Encoding=coding).headers, coding
    assert "content-encoding" in web.api.get("/openapi.json", Accept_Encoding="*").headers
    small = web.api.get("/events?limit=1", Accept_Encoding="gzip")
    assert len(small.body) < 1000 and "content-encoding" not in small.headers
    connection = web.api.connect()
    connection.request("GET", "/events/all", headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip"})
    stream = connection.getresponse()
    assert stream.getheader("content-encoding") is None and stream.readline() == b"retry: 2000\n"
    connection.close()


def test_pages_of_other_origins(web):
    """The named origin, and no other, may read answers, ask beforehand, and publish without a key."""
    for path, status in (("/events?limit=1", 200), ("/events?limit=x", 400), ("/none", 404)):
        answer = web.api.get(path, Origin=PAGE)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        # what a page reads of an answer beside what browsers show it anyway
        assert set(answer.headers["access-control-expose-headers"].split(", ")) == {
            "Accept-Encoding", "Allow", "Content-Range", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied", "Retry-After", "WWW-Authenticate", "traceparent"}
        assert "Origin" in answer.headers["vary"]
        for other in (PAGE + ".evil.example", "https://evil.example", "http://app.example", "null", "*"):
            foreign = web.api.get(path, Origin=other)
            assert "access-control-allow-origin" not in foreign.headers and "Origin" in foreign.headers["vary"], other
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = web.api.request("OPTIONS", "/events", asked)
    assert (answer.status, answer.body, answer.headers["access-control-allow-methods"]) == (204, b"", "GET, HEAD, POST")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer", "traceparent"} <= set(
        answer.headers["access-control-allow-headers"].split(", ")) and answer.headers["access-control-max-age"] == "600"
    for path, headers in (("/events", dict(asked, Origin="https://evil.example")), ("/events", {"Origin": PAGE}), ("/events", {})):
        assert web.api.request("OPTIONS", path, headers).status == 405
    assert web.api.request("OPTIONS", "/none", asked).status == 404
    # without a key a POST of the named origin is its own (503: this service does not publish), another's is refused
    for origin, code in ((PAGE, "MR-506"), ("https://evil.example", "MR-203")):
        assert web.api.request("POST", "/events?eventType=a", {"Origin": origin, "Sec-Fetch-Site": "cross-site"}).json()["code"] == code
    assert "access-control-allow-credentials" not in str(answer.headers)


def test_pages_of_any_origin(web, tmp_path):
    """* opens reading, and what has a key; never what is allowed without one."""
    keys = tmp_path / "keys"
    keys.write_text(f"page publish {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    api = Api(web.db.dsn("web"), "--cors-origin", "*", "--keys", str(keys), "--anonymous", "read,publish").start()
    try:
        answer = api.get("/events?limit=1", Origin="https://any.example")
        assert answer.headers["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in answer.headers
        post = {"Origin": "https://any.example"}
        assert api.request("POST", "/events?eventType=a", post).json()["code"] == "MR-203"
        assert api.request("POST", "/events?eventType=a", dict(post, Authorization="Bearer " + KEY)).json()["code"] == "MR-506"
    finally:
        api.kill()


def logged(web, words):
    """The line with these words: it is written when the answer has gone out."""
    return wait_for(lambda: next((line for line in web.api.log_text().splitlines() if words in line), None), f"the log has {words}")


def test_traces(web):
    """A request's trace is in its answer, in problem documents and in the log; one without a trace begins one."""
    answer = web.api.get("/none/traced", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    assert answer.json()["trace_id"] == TRACE and re.fullmatch(f"00-{TRACE}-(?!00f067aa0ba902b7)[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    others = {web.api.get("/events?limit=1", **headers).headers["traceparent"][3:35]
              for headers in ({}, {}, {"traceparent": f"00-{TRACE}-0000000000000000-01"}, {"traceparent": "x"})}
    assert len(others) == 4 and TRACE not in others
    assert f"trace={TRACE}" in logged(web, "/none/traced")


def test_access_log(web):
    """A line for each request, without what queries, header fields and bodies hold; by default for errors of the service alone."""
    api = Api(web.db.dsn("web")).start()
    try:
        for a in (web.api, api):
            assert a.get("/events?limit=1&type=hidden-word", User_Agent="hidden-word", Authorization="Bearer hidden-word").status == 200
            assert a.get("/none/logged%0Aline=1?a=hidden-word").status == 404
            assert a.request("POST", "/events?eventType=hidden-word", body="hidden-word").status == 503
        line = logged(web, "/none/logged")
        assert re.search(r'msg=request status=404 path="?/none/logged%0Aline=1"? us=\d+ from=127\.0\.0\.1 trace=[0-9a-f]{32} key="" answer=sent$', line), line
        for log in (web.api, api):
            wait_for(lambda log=log: "status=503 path=/events" in log.log_text(), "the last is logged")
            assert "hidden-word" not in log.log_text()
        assert "status=404" not in api.log_text() and "status=200" not in api.log_text()
    finally:
        api.kill()


def test_two_parents_are_none(web):
    """Also two that are the same, as W3C's tests of Trace Context have it: which one is the caller's is not known."""
    for second in (f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE[::-1]}-00f067aa0ba902b7-01", "x", ""):
        head, *_ = web.api.raw(f"GET /events?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"
                               f"TraceParent: {second}\r\n\r\n".encode()).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        given = re.search(rb"\r\ntraceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01", head)[1].decode()
        assert given not in (TRACE, TRACE[::-1]), second


def test_proxies(web):
    """What a proxy says of its client counts from a trusted one; the last word is its own."""
    def client(name, lines):
        fields = "".join(f"X-Forwarded-For: {line}\r\n" for line in lines)
        web.api.raw(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n".encode())
        return re.search(r"from=(\S+)", logged(web, f"path=/{name} "))[1]

    assert client("direct", []) == "127.0.0.1"
    assert client("one", ["203.0.113.9"]) == "203.0.113.9"
    assert client("spoofed", ["10.0.0.1", "203.0.113.9"]) == "203.0.113.9"
    assert client("listed", ["10.0.0.1, 203.0.113.9"]) == "203.0.113.9"
    assert client("nonsense", ["203.0.113.9, what"]) == "127.0.0.1"


def test_options_that_are_wrong(web):
    for option, value in (("--cors-origin", "app.example"), ("--cors-origin", "https://app.example/page"), ("--trusted-proxy", "10.0.0.0/99")):
        api = Api("dbname=nothing", option, value).start(wait=False)
        wait_for(lambda: not api.process.alive(), "it ends")
        assert api.process.popen.returncode == 2 and f"{option} is " in api.log_text() and json.dumps(value)[1:-1] in api.log_text()
