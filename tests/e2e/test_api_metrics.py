"""The admin port of the API: requests by route and outcome, durations as histograms, and each figure that the documentation has."""
import concurrent.futures
import os
import re
import signal

import pytest

from lib import paths
from lib.api import Api
from lib.api_world import ApiWorld
from lib.publish_world import Whole
from lib.wait import wait_for

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@pytest.fixture
def web(cluster):
    """No broker is there: it is not ready, and what publishing counts is shown all the same."""
    world = ApiWorld(cluster, "api_metrics")
    world.fill(10)
    world.api = Api(world.db.dsn("web"), "--brokers", "127.0.0.1:1", "--publish-timeout", "1s").start(wait=False)
    wait_for(lambda: world.api.admin("/livez")[0] == 200 and world.api.get("/events?limit=1").status == 200, "it serves")
    yield world
    world.close()


def samples(text):
    """[(name, labels, value)]"""
    found = [SAMPLE.match(line).groups() for line in text.splitlines() if not line.startswith("#")]
    return [(name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")), float(value)) for name, labels, value in found]


def test_metrics(web):
    api = web.api

    def count(route, status):
        return sum(v for n, labels, v in samples(api.admin("/metrics")[1])
                   if n == "millrace_api_requests_total" and labels["route"] == route and labels["status"] == status)

    expected = {("GET /events", "2xx"): 3, ("GET /events", "4xx"): 2, ("GET /events/{id}", "2xx"): 4, ("GET /events/{id}", "4xx"): 1, ("none", "4xx"): 2,
                ("POST /events", "5xx"): 2}
    before = {key: count(*key) for key in expected}
    for path, times in (("/events?limit=2", 3), ("/events?limit=0", 2), ("/events/events:0:0", 4), ("/events/events:9:9", 1), ("/none", 1), ("/a/b/c", 1)):
        for _ in range(times):
            api.get(path)
    for _ in range(2):
        assert api.request("POST", "/events?eventType=a").status == 503
    # one is counted when its answer has gone out
    wait_for(lambda: all(count(*key) == before[key] + n for key, n in expected.items()), "each is counted by the template of its route")

    text = api.admin("/metrics")[1]
    found = samples(text)
    names = {name for name, _, _ in found}
    assert not any("events:0:0" in str(labels) or "/a/b" in str(labels) for _, labels, _ in found), "no path of a client is a label"
    for name in names:
        family = re.sub(r"_(bucket|sum|count)$", "", name) if f"# TYPE {name} " not in text else name
        assert f"# HELP {family} " in text and f"# TYPE {family} " in text, name
    (build,) = [(labels, value) for name, labels, value in found if name == "millrace_api_build_info"]
    assert build[1] == 1 and build[0]["version"]
    # a histogram for each route: buckets grow, and the last has all
    buckets = [(float(labels["le"]), value) for name, labels, value in found
               if name == "millrace_api_request_seconds_bucket" and labels["route"] == "GET /events"]
    assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets) and buckets[-1][0] == float("inf")
    (total,) = [v for n, labels, v in found if n == "millrace_api_request_seconds_count" and labels["route"] == "GET /events"]
    assert total == buckets[-1][1] == sum(v for n, labels, v in found if n == "millrace_api_requests_total" and labels["route"] == "GET /events")
    # each pool by itself
    assert {labels["pool"] for name, labels, _ in found if name == "millrace_api_pool_open"} == {"read", "keys"}
    assert api.metric("millrace_api_queries_total", pool="read") > 0 and api.metric("millrace_api_queries_total", pool="keys") == 0
    # the documentation has each of them, and TLS, which this one does not speak
    with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
        documented = set(re.findall(r"^\| `(millrace_api_\w+)", f.read(), re.M))
    assert {n for n in documented if "_tls_" not in n} == set(re.findall(r"^# TYPE (millrace_api_\w+) ", text, re.M))
    # nothing of it on the port of the clients
    assert [api.get(path).status for path in ("/metrics", "/livez", "/readyz")] == [404] * 3
    assert "no event can be published: " in api.admin("/readyz")[1] and api.admin("/livez")[0] == 200


def test_what_publishing_counts(cluster, broker):
    """Events are queued until Kafka acknowledges them, and published from then on."""
    whole = Whole(cluster, broker, "api_metrics_publish", ("--publish-timeout", "5min"))

    def counts():
        return tuple(whole.api.metric(f"millrace_api_{name}") for name in ("producer_queued", "published_total", "publish_failures_total", "producer_open"))

    try:
        assert whole.post("?eventType=counted&eventData=1").status == 202
        wait_for(lambda: counts() == (0, 1, 0, 0), "it is acknowledged")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            broker.process.signal(signal.SIGSTOP)
            try:
                waiting = [pool.submit(whole.post, "?eventType=counted&eventData=2") for _ in range(3)]
                wait_for(lambda: counts() == (3, 1, 0, 0), "three wait for their acknowledgement")
            finally:
                broker.process.signal(signal.SIGCONT)
            assert [answer.result().status for answer in waiting] == [202] * 3
        wait_for(lambda: counts() == (0, 4, 0, 0), "they have it")
    finally:
        whole.close()
