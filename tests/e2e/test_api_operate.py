"""Routes that show the state of pipelines and what failed, and that pause and resume: as the reader, and as a member of the
owner."""
import json

import pytest
from confluent_kafka import Producer

from lib.api import Api
from lib.wait import wait_for


@pytest.fixture
def served(world):
    """A pipeline with one good event and one dead letter; an API that operates, and one that does not."""
    for role in ("web", "operator"):
        if not world.db.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,)):
            world.db.run(f"CREATE ROLE {role} LOGIN")
    world.db.run("GRANT app TO operator; SELECT millrace.grant_api('web');"
                 " CREATE TABLE events (id uuid PRIMARY KEY, time timestamptz NOT NULL); CREATE INDEX ON events (time, id); GRANT SELECT ON events TO web")
    world.create_topic(1)
    world.create_pipeline()
    world.start_ingestor()
    producer = Producer({"bootstrap.servers": world.broker.address})
    good = dict(id="00000000-0000-4000-8000-000000000001", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")
    producer.produce(world.topic, json.dumps(good))
    producer.produce(world.topic, json.dumps(dict(good, value="calm")), key=b"k")
    producer.flush(10)
    world.wait_settled()
    apis = [Api(world.db.dsn("web"), "--operate-dsn", world.db.dsn("operator")).start(), Api(world.db.dsn("web")).start()]
    wait_for(lambda: apis[0].get("/dead-letters/groups").status == 200, "it can operate", 5)
    yield (world, *apis)
    for api in apis:
        api.kill()


def test_operate(served):
    world, api, reader = served
    name = world.pipeline_name

    # the state of pipelines is for the reader, too
    for a in (api, reader):
        (row,) = a.get("/pipelines").json()
        assert (row["name"], row["topic"], row["status"], row["target"]) == (name, world.topic, "running", "public.reading")
        assert a.get("/pipelines/" + name).json() == row
        assert a.get("/pipelines/nothing").json()["code"] == "MR-403"
        with world.db.session("web") as web:
            wanted = web.run("SELECT severity, what, detail, command FROM millrace.doctor()")
        assert [tuple(f.values()) for f in a.get("/doctor").json()] == wanted

    # what happened to an event
    (status,) = api.get(f"/events/{world.topic}:0:0/status").json()
    assert (status["pipeline"], status["detail"]["position"]) == (name, 2)
    (status,) = api.get(f"/events/{world.topic}:0:1/status").json()
    assert status["status"] == "dead" and "dead" in [t["what"] for t in status["detail"]["timeline"]]
    assert api.get("/events/nothing:0:0/status").json()["code"] == "MR-402"
    assert api.get("/events/1/status").json()["code"] == "MR-111"

    # what failed
    (group,) = api.get("/dead-letters/groups").json()
    assert (group["pipeline"], group["stage"], group["count"], group["open"]) == (name, "decode", "1", "1")
    letter = api.get("/dead-letters/" + group["sample_id"]).json()
    assert (letter["offset"], letter["key"], letter["state"], letter["fingerprint"]) == ("1", "k", "open", group["fingerprint"])
    assert json.loads(letter["payload"])["value"] == "calm"
    assert api.get("/dead-letters/999999").json()["code"] == "MR-404"
    assert api.get("/dead-letters/x").json()["code"] == "MR-111"

    # pause and resume
    assert api.request("POST", f"/pipelines/{name}/pause").json() == {"name": name, "paused": True}
    assert api.get("/pipelines/" + name).json()["status"] == "paused"
    assert api.request("POST", f"/pipelines/{name}/pause").status == 200  # again: it is
    assert api.request("POST", f"/pipelines/{name}/resume").json() == {"name": name, "paused": False}
    wait_for(lambda: api.get("/pipelines/" + name).json()["status"] == "running", "it runs", 10)
    answer = api.request("POST", "/pipelines/nothing/pause")
    assert (answer.status, answer.json()["code"], answer.json()["sqlstate"]) == (404, "MR-403", "42704")
    assert api.request("POST", f"/pipelines/{name}/pause", {"Origin": "http://example.com"}).json()["code"] == "MR-203"
    assert api.request("GET", f"/pipelines/{name}/pause").headers["allow"] == "POST"

    # nothing of that without --operate-dsn, and only what the role may
    for method, path in (("GET", f"/events/{world.topic}:0:1/status"), ("GET", "/dead-letters/groups"), ("GET", "/dead-letters/1"),
                         ("POST", f"/pipelines/{name}/pause"), ("POST", f"/pipelines/{name}/resume")):
        assert (reader.request(method, path).status, reader.request(method, path).json()["code"]) == (403, "MR-202"), path
    world.db.run("REVOKE app FROM operator")
    assert api.get("/dead-letters/groups").json() == []
    assert api.get("/dead-letters/" + group["sample_id"]).json()["code"] == "MR-404"
    assert api.get(f"/events/{world.topic}:0:1/status").json()["code"] == "MR-402"
    answer = api.request("POST", f"/pipelines/{name}/pause")
    assert (answer.status, answer.json()["code"]) == (403, "MR-204")
    assert world.db.value("SELECT status FROM millrace.pipelines") == "running"
