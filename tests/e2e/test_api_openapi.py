"""The document of the API and its routes are the same, and the routes do what the document says."""
import os
import re
import subprocess

import pytest
from confluent_kafka import Producer

from lib import paths
from lib.api import Api
from lib.api_world import ApiWorld
from lib.default_pipeline import deploy
from lib.ingestor import Ingestor
from lib.wait import wait_for
from lib.world import ensure_roles

LIB = os.path.join(paths.ROOT, "tests/lib")


def test_openapi(cluster):
    world = ApiWorld(cluster, "api_openapi")
    try:
        api = world.start()
        answer = api.get("/openapi.json")
        document = answer.json()
        assert document["openapi"] == "3.1.0"
        with open(f"{paths.ROOT}/api/resource/routes.c", encoding="utf-8") as f:
            routes = {(method.lower(), path) for method, path in re.findall(r'\{MR_METHOD_(\w+), "([^"]+)"', f.read())}
        assert {(method, path) for path, methods in document["paths"].items() for method in methods} == routes
        # each path that the document has is routed: another method is 405, and Allow lists those it has
        for path, methods in document["paths"].items():
            refused = api.request("PUT", re.sub(r"{\w+}", "x", path))
            allowed = {m.strip().lower() for m in refused.headers["allow"].split(",")} - {"head"}
            assert refused.status == 405 and allowed == set(methods), path
        assert api.get("/openapi.json", If_None_Match=answer.headers["etag"]).status == 304
        assert api.get("/openapi.json?a=b").json()["code"] == "MR-110"
        # the codes that the documentation explains are those there are
        with open(f"{paths.ROOT}/docs/api.md", encoding="utf-8") as f:
            explained = set(re.findall(r"^\| (MR-\d+) \|", f.read(), re.M))
        with open(f"{paths.ROOT}/api/control/problem.c", encoding="utf-8") as f:
            assert explained == set(re.findall(r'"(MR-\d+)"', f.read()))
    finally:
        world.close()


@pytest.fixture(scope="module")
def schemathesis():
    found = subprocess.run([f"{LIB}/pypi.sh", "schemathesis"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if found.returncode == 77:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture
def served(cluster, broker):
    """The default pipeline with rows and a dead letter, behind an API that publishes and operates. Its relation is one that
    cannot be followed: an endless answer ends no test."""
    db = cluster.create_database("api_schemathesis")
    deploy(db)
    db.run("ALTER TABLE events ADD search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(note, ''))) STORED")
    ensure_roles(cluster, "operator")
    db.run("GRANT events_owner TO operator")
    broker.create_topic("events", 3)
    ingestor = Ingestor(db.dsn("millrace_ingestor"), broker.address).start()
    api = Api(db.dsn("millrace_api"), "--operate-dsn", db.dsn("operator"), "--brokers", broker.address, "--xid-column", "none",
              "--anonymous", "read,publish,operate", "--query-timeout", "60s", "--publish-timeout", "60s").start()
    producer = Producer({"bootstrap.servers": broker.address})
    for event in (b'{"type": "Temperature", "data": "30C"}', b'{"data": "of no type"}'):
        producer.produce("events", event)
    producer.flush(120)
    yield api
    api.kill()
    ingestor.kill()
    db.drop()
    broker.delete_topic("events")


def test_schemathesis(served, schemathesis, tmp_path):
    """Requests that the document allows are served, others refused, and each answer is one of those it describes."""
    wait_for(lambda: served.get("/dead-letters").json() and served.get("/events").json(), "there is something to see")
    run = subprocess.run([schemathesis, "--config-file", f"{LIB}/schemathesis.toml", "run", f"http://localhost:{served.port}/openapi.json",
                          "--checks", "all", "--max-examples", "5", "--generation-deterministic", "--request-timeout", "60", "--no-color"],
                         env=dict(os.environ, SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=LIB), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    assert re.search(r"Tested: +(\d+)", run.stdout)[1] == re.search(r"Selected: +(\d+)", run.stdout)[1], run.stdout
