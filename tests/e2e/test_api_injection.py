"""What clients send is never taken for SQL, for a header field, for a path or for markup: 2,000 strings that try, through every
parameter of every route. A seventh of them goes through each parameter, all kinds among them; INJECTIONS=all sends all."""
import concurrent.futures
import json
import os
import re
import socket
import urllib.parse

import pytest
from confluent_kafka import Producer

from lib import paths
from lib.api import Api
from lib.default_pipeline import deploy
from lib.ingestor import Ingestor
from lib.injections import strings
from lib.wait import wait_for
from lib.world import ensure_roles

TOGETHER = 40  # requests that are sent at once on a connection
CONNECTIONS = 4
STEP = 1 if os.environ.get("INJECTIONS") == "all" else 7  # not a divisor of the number of kinds, which come in turn
FIELDS = {"date", "content-type", "content-length", "x-content-type-options", "traceparent", "cache-control", "vary", "etag", "link", "location", "allow",
          "retry-after", "content-range", "preference-applied", "idempotency-replayed", "content-security-policy", "referrer-policy", "x-frame-options",
          "cross-origin-opener-policy", "cross-origin-resource-policy", "www-authenticate", "content-encoding", "content-disposition", "connection"}
JSON = "application/json"
# Beside what the document of the API has: header fields that are read on every route, and the query of POST /events
MORE = {"get /events": [("query", "cursor"), ("query", "value"), ("query", "note"), ("header", "Accept"), ("header", "traceparent"), ("header", "X-Forwarded-For"), ("header", "Origin")],
        "get /events/{id}": [("query", "fields"), ("header", "If-None-Match"), ("header", "tracestate"), ("header", "User-Agent")],
        "get /windows/{name}": [("query", "cursor"), ("query", "fields")],
        "post /events": [("query", name) for name in ("eventType", "eventData", "source", "id", "time", "key", "timeout")]
        + [("header", name) for name in ("ce-specversion", "ce-type", "ce-source", "ce-id", "ce-time", "Content-Type")]}
# Bodies, in which "?" stands for the string
BODIES = {"post /events": ['{"type":?}', '{"type":"a","source":?}', '{"type":"a","id":?,"data":?}', '{"type":"a","time":?}', '{"type":"a",?:1}'],
          "post /dead-letters/replay": ['{"pipeline":?,"all":true}', '{"pipeline":"events","ids":[?]}', '{"pipeline":"events","fingerprint":?}',
                                        '{"pipeline":"events","fingerprint":"a","sqlstate":?}', '{"pipeline":"events","ids":["1"],"payload":?,"dry_run":true}',
                                        '{"pipeline":"events","all":?,"rate":?}'],
          "post /dead-letters/discard": ['{"pipeline":?,"all":true}', '{"pipeline":"events","fingerprint":"a","reason":?}', '{"pipeline":"events",?:true}'],
          "post /pipelines/{name}/dry-run": ['{"samples":[?],"key":?,"topic":?}', '{"samples":[1],"headers":{"a":?},"time":?}', '{"staged":?}']}
# Rows and catalogues: what an injection would change. A replay that finds no letter is on record, too: as one of none
STATE = """
    SELECT 'relation', n.nspname || '.' || c.relname || c.relkind::text || coalesce(c.relacl::text, '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'millrace') AND c.relname !~ '^(lane|segment|claim|idempotency)'
    UNION ALL SELECT 'role', rolname || rolsuper::text FROM pg_roles
    UNION ALL SELECT 'event', e::text FROM events e UNION ALL SELECT 'unit', u::text FROM event_unit u
    UNION ALL SELECT 'letter', (d.id, d.state)::text FROM millrace.dead_letters d
    UNION ALL SELECT 'action', a::text FROM millrace.dead_letter_actions a WHERE count > 0 UNION ALL SELECT 'change', c::text FROM millrace.pipeline_changes c
    UNION ALL SELECT 'pipeline', (name, topic, target, owner, status = 'paused')::text FROM millrace.pipelines
"""


@pytest.fixture(scope="module")
def served(cluster, broker):
    """The default pipeline with some rows and a dead letter; its ingestor is gone, so that nothing else changes the database."""
    db = cluster.create_database("api_injection")
    deploy(db)
    ensure_roles(cluster, "operator")
    db.run("GRANT events_owner TO operator")
    broker.create_topic("events", 1)
    ingestor = Ingestor(db.dsn("millrace_ingestor"), broker.address).start()
    producer = Producer({"bootstrap.servers": broker.address})
    for event in (b'{"type": "Temperature", "data": "30C"}', b'{"data": "of no type"}'):
        producer.produce("events", event)
    producer.flush(20)
    wait_for(lambda: db.value("SELECT count(*) FROM millrace.dead_letters") and db.value("SELECT count(*) FROM events"), "there is something to harm")
    ingestor.stop()
    api = Api(db.dsn("millrace_api"), "--operate-dsn", db.dsn("operator"), "--brokers", broker.address, "--anonymous", "read,publish,operate",
              "--query-timeout", "60s", "--publish-timeout", "60s").start()
    yield db, api
    api.kill()
    db.drop()
    broker.delete_topic("events")


def ways(document):
    """[(route, function that makes the bytes of a request of a string, None where the string cannot be sent there)]"""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            route, parameters = f"{method} {path}", [(p["in"], p["name"]) for p in operation.get("parameters", [])]
            parameters += MORE.get(route, []) + [("name", "")]
            for where, name in parameters:
                # a filter that is valid begins a stream without an end; the list has the same ones
                if route != "get /events/stream" or where == "header" or name in ("fields", ""):
                    found.append((route, maker(method, path, where, name)))
            found += [(route, body_maker(path, template)) for template in BODIES.get(route, [])]
    return found


def request_of(method, target, headers=(), body=b""):
    length = [f"Content-Length: {len(body)}"] if method == "post" else []
    return "\r\n".join((f"{method.upper()} {target} HTTP/1.1", "Host: localhost", *length, *headers, "", "")).encode() + body


def maker(method, path, where, name):
    def make(text):
        quoted = urllib.parse.quote(text, safe="")
        target = re.sub(r"{\w+}", quoted if where == "path" else "events", path)
        if where == "path" and text in (".", ".."):
            return None  # another path
        if where == "query":
            target += f"?{name}={quoted}"
        elif where == "name":
            target += f"?{quoted}=1"
        headers, body = [], b""
        if where == "header":
            if not text.isprintable() or text != text.strip():
                return None  # no field can have it: test_api_guard.py
            headers.append(f"{name}: {text}")
            if name.startswith("ce-") and name != "ce-type":
                headers.append("ce-type: a")
            headers += ["ce-specversion: 1.0"] if name.startswith("ce-") and name != "ce-specversion" else []
        if method == "post" and path == "/events" and where == "header":
            body = b'{"type":"a"}'
            headers += [] if name == "Content-Type" else ["Content-Type: " + JSON]
        elif method == "post" and path == "/events" and name in ("wait", "timeout", ""):
            headers, body = headers + ["Content-Type: " + JSON], b'{"type":"a"}'
        elif method == "post" and path == "/events" and name != "eventType":
            target += "&eventType=a"
        return request_of(method, target, headers, body)
    return make


def body_maker(path, template):
    def make(text):
        body = template.replace("?", json.dumps(text, ensure_ascii=False)).encode()
        return request_of("post", path.replace("{name}", "events"), ["Content-Type: " + JSON], body)
    return make


def read_answers(s, count):
    """[(status, {field: value}, body)], up to one that closes the connection."""
    answers, data = [], b""
    while len(answers) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        fields = dict(re.findall(rb"\r\n([^:\r\n]*): ?([^\r\n]*)", head)) if end else {}
        length = int({k.lower(): v for k, v in fields.items()}.get(b"content-length", 0)) if end else 0
        if end and len(rest) >= length:
            answers.append((int(head[9:12]), {k.decode().lower(): v.decode() for k, v in fields.items()}, rest[:length]))
            data = rest[length:]
            if answers[-1][1].get("connection") == "close":
                break
            continue
        piece = s.recv(1 << 16)
        assert piece, f"closed behind {answers[-1:]}, {data[:500]}"
        data += piece
    return answers


def complaint(document, codes, route, text, answer):
    """What is wrong with an answer, None: nothing."""
    status, fields, body = answer
    method, path = route.split(" ", 1)
    if status >= 500 or str(status) not in document["paths"][path][method]["responses"]:
        return "its status is not among those of the route"
    if unknown := fields.keys() - FIELDS:
        return f"it has the fields {unknown}"
    kind = fields.get("content-type", "")
    if fields.get("x-content-type-options") != "nosniff" and status != 304:
        return "browsers may take it for something else"
    if status < 400:
        return None if "html" not in kind or path in ("/", "/docs") else "it is HTML"
    if kind != "application/problem+json":
        return "it is no problem document"
    problem = json.loads(body)
    if problem["code"] not in codes:
        return "its code is not documented"
    if len(text) > 3 and re.search(r"[<>\x00-\x1f]", text) and text.encode() in body:
        return "it has what was sent as it was"
    return None


def test_injections(served):
    """No answer from 500 on, none that is not documented, nothing sent back as a field or as markup, and the database as it was."""
    db, api = served
    document = api.get("/openapi.json").json()
    with open(f"{paths.ROOT}/docs/api.md", encoding="utf-8") as f:
        codes = set(re.findall(r"^\| (MR-\d+) \|", f.read(), re.M))
    before = sorted(db.run(STATE))
    texts = strings()
    requests = [(route, text, data) for i, (route, make) in enumerate(ways(document)) for text in texts[i % STEP::STEP] if (data := make(text)) is not None]
    wrong = []

    def send(mine):
        while mine:
            with socket.create_connection(("127.0.0.1", api.port), timeout=60) as s:
                mine = mine[send_some(s, mine):]

    def send_some(s, mine):
        """Until the answer to one closes the connection; returns how many are answered."""
        for i in range(0, len(mine), TOGETHER):
            part = mine[i:i + TOGETHER]
            s.sendall(b"".join(data for _, _, data in part))
            try:
                answers = read_answers(s, len(part))
            except (AssertionError, OSError) as e:
                raise AssertionError(f"{e}; one of {[data for *_, data in part]}") from e
            for (route, text, data), answer in zip(part, answers):
                why = complaint(document, codes, route, text, answer)
                if why:
                    wrong.append((why, data, answer))
            if answers[-1][1].get("connection") == "close":
                return i + len(answers)
        return len(mine)

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, (requests[i::CONNECTIONS] for i in range(CONNECTIONS))))
    assert not wrong, f"{len(wrong)} of {len(requests)}, such as {wrong[:3]}"
    after = sorted(db.run(STATE))
    assert after == before, f"{set(before) ^ set(after)}"
