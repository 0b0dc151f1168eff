"""Routes that show the state of pipelines and what failed, and that pause and resume: as the reader, and as a member of the
owner."""
import hashlib
import json
import random
import re
import time

import pytest
from confluent_kafka import Producer

from lib.api import Api, split_answers
from lib.wait import wait_for
from lib.world import ensure_roles


KEY = "mr_0123456789"


@pytest.fixture
def served(world, tmp_path):
    """A pipeline with one good event and six dead letters, of two kinds; an API that operates, and one that does not."""
    ensure_roles(world.cluster, "web", "operator")
    world.db.run("GRANT app TO operator; SELECT millrace.grant_api('web');"
                 " CREATE TABLE events (id uuid PRIMARY KEY, time timestamptz NOT NULL); CREATE INDEX ON events (time, id); GRANT SELECT ON events TO web")
    world.create_topic(1)
    world.create_pipeline()
    world.start_ingestor()
    producer = Producer({"bootstrap.servers": world.broker.address})
    good = dict(id="00000000-0000-4000-8000-000000000001", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")
    producer.produce(world.topic, json.dumps(good))
    producer.produce(world.topic, json.dumps(dict(good, value="calm")), key=b"k")
    producer.flush(120)
    for i in range(5):
        producer.produce(world.topic, json.dumps(dict(good, id="", value=i)))
    producer.flush(120)
    world.wait_settled()
    keys = tmp_path / "keys"
    keys.write_text(f"ops operate {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    apis = [Api(world.db.dsn("web"), "--operate-dsn", world.db.dsn("operator"), "--keys", str(keys), "--anonymous", "read,operate").start(),
            Api(world.db.dsn("web"), "--anonymous", "read,operate").start()]
    wait_for(lambda: apis[0].get("/dead-letters/groups").status == 200, "it can operate")
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
            wait_for(lambda: [tuple(f.values()) for f in a.get("/doctor").json()]
                     == web.run("SELECT severity, what, detail, command FROM millrace.doctor()"), "both say the same")

    # what happened to an event
    (status,) = api.get(f"/events/{world.topic}:0:0/status").json()
    assert (status["pipeline"], status["detail"]["position"]) == (name, 7)
    (status,) = api.get(f"/events/{world.topic}:0:1/status").json()
    assert status["status"] == "dead" and "dead" in [t["what"] for t in status["detail"]["timeline"]]
    unread = api.get("/events/nothing:0:0/status").json()
    assert unread["code"] == "MR-402" and "reads the topic" in unread["hint"]
    assert api.get("/events/1/status").json()["code"] == "MR-111"

    # what failed
    group = next(g for g in api.get("/dead-letters/groups").json() if g["count"] == "1")
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
    assert api.request("POST", f"/pipelines/{name}/resume", {"Authorization": "Bearer " + KEY}).json() == {"name": name, "paused": False}
    wait_for(lambda: api.get("/pipelines/" + name).json()["status"] == "running", "it runs")
    assert world.db.run("SELECT verb, by, via FROM millrace.pipeline_changes ORDER BY at") == [
        ("pause", "operator", "millrace-api"), ("resume", "operator", "millrace-api key ops")]
    answer = api.request("POST", "/pipelines/nothing/pause")
    assert (answer.status, answer.json()["code"], answer.json()["sqlstate"]) == (404, "MR-403", "42704")
    assert api.request("POST", f"/pipelines/{name}/pause", {"Origin": "http://example.com"}).json()["code"] == "MR-203"
    assert api.request("GET", f"/pipelines/{name}/pause").headers["allow"] == "POST"

    # what would become of these, with the owner's rights and without any effect
    good = dict(id="00000000-0000-4000-8000-000000000002", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")
    samples = [good, json.dumps(good), dict(good, value="calm"), dict(good, type="heartbeat"), "{", None]
    before = world.db.value("SELECT count(*) FROM reading")

    def dry_run(body, pipeline=name, a=api):
        return a.request("POST", f"/pipelines/{pipeline}/dry-run", {"Content-Type": "application/json"}, body)

    tried = dry_run(json.dumps({"samples": samples, "key": "k", "time": "2026-01-01T00:00:00Z"})).json()
    with world.db.session("app") as owner:
        assert [t["outcome"] for t in tried] == [row[0] for row in owner.run(
            "SELECT outcome FROM millrace.dry_run(%s, %s) ORDER BY sample", (name, [s if s is None or isinstance(s, str) else json.dumps(s) for s in samples]))]
    assert [t["outcome"] for t in tried[:5]] == ["written", "written", "dead", "filtered", "dead"]
    assert [tried[i]["rows"][0]["value"] for i in (0, 1)] == [33.8, 33.8]
    assert (tried[2]["stage"], tried[2]["sqlstate"]) == ("decode", "22P02")
    assert dry_run("").json() == [] and dry_run('{"staged": 5}').json() == []
    assert world.db.value("SELECT count(*) FROM reading") == before
    assert (dry_run("", "nothing").status, dry_run("", "nothing").json()["code"]) == (404, "MR-403")
    assert dry_run("", a=reader).json()["code"] == "MR-202"
    for body in ("[]", '{"sample": []}', '{"staged": 0}'):
        assert (dry_run(body).status, dry_run(body).json()["code"]) == (400, "MR-120"), body
    assert dry_run('{"samples": [1], "time": "soon"}').json()["sqlstate"] == "22007"

    # nothing of that without --operate-dsn, and only what the role may
    for method, path in (("GET", f"/events/{world.topic}:0:1/status"), ("GET", "/dead-letters/groups"), ("GET", "/dead-letters/1"),
                         ("POST", f"/pipelines/{name}/pause"), ("POST", f"/pipelines/{name}/resume")):
        assert (reader.request(method, path).status, reader.request(method, path).json()["code"]) == (403, "MR-202"), path
    world.db.run("REVOKE app FROM operator")
    assert api.get("/dead-letters/groups").json() == []
    assert api.get("/dead-letters/" + group["sample_id"]).json()["code"] == "MR-404"
    assert api.get(f"/events/{world.topic}:0:1/status").json()["code"] == "MR-402"
    for verb in ("pause", "dry-run"):
        answer = api.request("POST", f"/pipelines/{name}/{verb}")
        assert (answer.status, answer.json()["code"]) == (403, "MR-204"), verb
    assert world.db.value("SELECT status FROM millrace.pipelines") == "running"


def test_a_dry_run_keeps_to_the_owner(served):
    """The transform is the owner's SQL: it does not get at what else the API's role may, nor at the API's session."""
    world, api, _ = served
    ensure_roles(world.cluster, "other")
    world.db.run("CREATE TABLE secret AS SELECT 'hidden' AS word; ALTER TABLE secret OWNER TO other; GRANT other TO operator;"
                 " CREATE TABLE seen (word text); ALTER TABLE seen OWNER TO app; GRANT USAGE, CREATE ON SCHEMA public TO app")
    with world.db.session("app") as app:
        app.run("""CREATE FUNCTION peek(command text) RETURNS text LANGUAGE plpgsql AS $$
                   DECLARE found text; BEGIN EXECUTE command; SELECT word INTO found FROM secret; SET LOCAL ROLE app; RETURN found; END $$""")
        app.run("SELECT millrace.create_pipeline('peek', topic => %s, fields => 'command text', target => 'seen', dlq => 'off',"
                " transform => 'SELECT public.peek(event.command) AS word FROM event')", (world.topic,))
    commands = ("SET LOCAL ROLE other", "SET LOCAL ROLE operator", "RESET ROLE", "PREPARE pause AS SELECT 1", "SELECT 1")
    for command in commands:
        (tried,) = api.request("POST", "/pipelines/peek/dry-run", {"Content-Type": "application/json"}, json.dumps({"samples": [{"command": command}]})).json()
        assert (tried["sqlstate"], tried["rows"]) == ("42501", None), (command, tried)
    assert api.request("POST", "/pipelines/peek/pause").json() == {"name": "peek", "paused": True}


def test_dead_letters(served):
    world, api, reader = served
    name = world.pipeline_name

    def states():
        return dict(world.db.run("SELECT \"offset\", state FROM millrace.dead_letters"))

    def verb(verb, status=200, **body):
        answer = api.request("POST", f"/dead-letters/{verb}", {"Content-Type": "application/json", "Authorization": "Bearer " + KEY}, json.dumps(dict({"pipeline": name}, **body)))
        assert answer.status == status, answer
        return answer.json()

    # pages and filters
    letters = api.get("/dead-letters").json()
    assert [int(r["offset"]) for r in letters] == [6, 5, 4, 3, 2, 1] and "payload" not in letters[0]
    first = api.get("/dead-letters?limit=4&state=open")
    second = api.get(first.links()["next"])
    assert first.json() + second.json() == letters and "link" not in second.headers
    fingerprint = letters[0]["fingerprint"]
    assert api.get(f"/dead-letters?fingerprint={fingerprint}").json() == letters[:5]
    assert api.get(f"/dead-letters?pipeline={name}&stage=decode&topic={world.topic}&partition=0&sqlstate={letters[5]['sqlstate']}").json()[-1] == letters[5]
    assert api.get("/dead-letters?pipeline=nothing").json() == []
    for query, code in (("?limit=0", "MR-111"), ("?limit=1001", "MR-111"), ("?partition=x", "MR-111"), ("?before=x", "MR-111"),
                        ("?fingerprnt=a", "MR-110"), ("?where=true", "MR-110")):
        assert api.get("/dead-letters" + query).json()["code"] == code, query
    for name_of, typo in (("state", "opened"), ("stage", "Decode"), ("state", "")):
        (known,) = [re.findall(r"'(\w+)'", c) for c, in world.db.run(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'millrace.dead_letter'::regclass AND conname = %s", (f"dead_letter_{name_of}_check",))]
        assert {api.get(f"/dead-letters?{name_of}={value}").status for value in known} == {200}
        answer = api.get(f"/dead-letters?{name_of}={typo}")
        assert (answer.status, answer.json()["code"], answer.json()["detail"]) == (
            400, "MR-111", f'{name_of} is "{typo}", expected {", ".join(known[:-1])} or {known[-1]}.')
    assert api.get("/dead-letters?limit=+1").json()["detail"] == 'limit is " 1", expected a number from 1 to 1000.'
    assert api.get("/dead-letters?fingerprnt=a").json()["detail"] == 'There is no parameter "fingerprnt"; did you mean "fingerprint"?'

    # what would happen, and that nothing has
    ids = {int(r["offset"]): r["id"] for r in letters}
    assert verb("replay", fingerprint=fingerprint, dry_run=True) == {"pipeline": name, "dry_run": True, "count": 5}
    assert verb("discard", all=True, dry_run=True)["count"] == 6
    assert set(states().values()) == {"open"} and world.db.value("SELECT count(*) FROM millrace.dead_letter_actions") == 0

    # replay one with another payload, discard some by id, the rest by their kind
    row = dict(id="00000000-0000-4000-8000-000000000002", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=2, unit="C")
    assert verb("replay", ids=[ids[1]], payload=json.dumps(row)) == {"pipeline": name, "dry_run": False, "count": 1}
    wait_for(lambda: states()[1] == "replayed", "it is replayed")
    assert world.db.value("SELECT count(*) FROM reading WHERE id = %s", (row["id"],)) == 1
    assert json.loads(api.get("/dead-letters/" + ids[1]).json()["edited_payload"]) == row
    assert verb("discard", ids=[ids[2], ids[3]], reason="tested")["count"] == 2
    assert verb("discard", fingerprint=fingerprint, sqlstate=letters[0]["sqlstate"])["count"] == 3
    assert [states()[i] for i in range(1, 7)] == ["replayed"] + ["discarded"] * 5
    actions = world.db.run("SELECT verb, by, count, condition, reason, via FROM millrace.dead_letter_actions ORDER BY at")
    assert {a[5] for a in actions} == {"millrace-api key ops"}
    assert [(a[0], a[1], a[2]) for a in actions] == [("replay", "operator", 1), ("discard", "operator", 2), ("discard", "operator", 3)]
    assert actions[1][4] == "tested" and actions[2][3] == f"fingerprint is {fingerprint}, sqlstate is {letters[0]['sqlstate']} (HTTP API)"

    # what cannot be done, which a dry run says as well
    assert verb("replay", ids=[ids[2], ids[3]], dry_run=True)["count"] == 2 and verb("replay", all=True, dry_run=True)["count"] == 0
    for route, status, id in (("discard", 409, ids[1]), ("replay", 409, ids[1]), ("discard", 409, ids[2]), ("replay", 404, "999999")):
        dry, done = (verb(route, status, ids=[id], dry_run=dry) for dry in (True, False))
        assert (dry["code"], dry["sqlstate"], dry["detail"]) == (done["code"], done["sqlstate"], done["detail"])
    assert {actions[i] for i in range(3)} == set(world.db.run("SELECT verb, by, count, condition, reason, via FROM millrace.dead_letter_actions"))
    answer = verb("discard", 409, ids=[ids[1]])
    assert (answer["code"], answer["sqlstate"]) == ("MR-121", "55000") and "it is replayed" in answer["detail"]
    assert verb("discard", 404, ids=["999999"])["code"] == "MR-404"
    assert verb("replay", 404, pipeline="nothing", all=True)["code"] == "MR-404"
    assert {verb(v, 404, pipeline="nothing", all=True, dry_run=True)["code"] for v in ("replay", "discard")} == {"MR-404"}
    assert verb("replay", 400, all=True, dry_run="yes")["detail"] == 'dry_run is "yes", expected true or false.'
    assert verb("replay", 400, where="true")["code"] == "MR-120"
    assert verb("replay", 400, ids=["1; DROP TABLE reading"])["code"] == "MR-120"
    assert verb("replay", 400, all=True, rate=0)["code"] == "MR-120"
    for route in ("replay", "discard"):
        bare = f"POST /dead-letters/{route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert [(a[0], json.loads(a[2])["code"]) for a in split_answers(api.raw(bare.encode()))] == [(411, "MR-126")]
    assert reader.request("POST", "/dead-letters/replay", body=json.dumps({"pipeline": name, "all": True})).json()["code"] == "MR-202"
    world.db.run("REVOKE app FROM operator")
    assert verb("discard", 403, all=True)["code"] == "MR-204"


def test_rate_of_a_replay(served):
    """So many a second: the pipeline is paused, so that all of them can be seen to wait for their time."""
    world, api, _ = served
    assert api.request("POST", f"/pipelines/{world.pipeline_name}/pause").status == 200
    body = {"pipeline": world.pipeline_name, "all": True, "rate": 4}
    assert api.request("POST", "/dead-letters/replay", {"Content-Type": "application/json"}, json.dumps(body)).json()["count"] == 6
    times = [at for at, in world.db.run("SELECT extract(epoch FROM next_at)::float8 FROM millrace.retries ORDER BY next_at")]
    assert [round(b - a, 3) for a, b in zip(times, times[1:])] == [0.25] * 5
    assert api.request("POST", f"/pipelines/{world.pipeline_name}/resume").status == 200
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letters WHERE state = 'open' AND replay_count = 1") == 6, "each was tried again")


def ask(api, method, path, body=None):
    """Sent, and not waited for."""
    s = api.socket()
    text = json.dumps(body).encode() if body is not None else b""
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
    return s


def what_is_done(world):
    """All that a verb changes, and its record."""
    return [world.db.run(query) for query in (
        'SELECT "offset", state, replay_count FROM millrace.dead_letters ORDER BY 1', "SELECT * FROM millrace.dead_letter_actions", "SELECT * FROM millrace.retries",
        "SELECT verb, via FROM millrace.pipeline_changes ORDER BY at", "SELECT status FROM millrace.pipelines", "SELECT * FROM reading")]


def test_a_client_that_leaves_a_verb(served):
    """Its last step is held up: what it has done is undone, its connection serves the next one, and the verb can be asked for again."""
    world, *_ = served
    name = world.pipeline_name
    api = Api(world.db.dsn("web"), "--operate-dsn", world.db.dsn("operator"), "--anonymous", "read,operate", "--threads", "1", "--query-timeout", "120s", "--access-log", "all").start()
    good = dict(id="00000000-0000-4000-8000-000000000002", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=1, unit="C")
    actions, changes = "millrace.dead_letter_action", "millrace.pipeline_change"
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'operator' AND state = 'active'" + " AND datname = current_database()"
    try:
        wait_for(lambda: api.get("/dead-letters/groups").status == 200, "it can operate")
        for path, body, held, done in (
                (f"/pipelines/{name}/dry-run", {"samples": [good]}, "public.reading", None),
                (f"/pipelines/{name}/pause", None, changes, ("pause", "millrace-api")),
                (f"/pipelines/{name}/resume", None, changes, ("resume", "millrace-api")),
                ("/dead-letters/replay", {"pipeline": name, "all": True}, actions, ("replay", 6)),
                ("/dead-letters/discard", {"pipeline": name, "all": True}, actions, ("discard", 6))):
            wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retries") == 0
                     and world.db.value("SELECT count(*) FROM millrace.dead_letters WHERE state = 'open'") == 6
                     and world.db.value("SELECT status FROM millrace.pipelines") in ("running", "paused"), "nothing is under way")
            before = what_is_done(world)
            with world.db.session() as blocker:
                blocker.run("BEGIN")
                blocker.run(f"LOCK TABLE {held} IN EXCLUSIVE MODE")
                leaving = [ask(api, "POST", path, body) for _ in range(2)]
                wait_for(lambda: world.db.value(waiting + " AND wait_event_type = 'Lock'") == 2, path + " is held up, on each connection")
                neighbour = ask(api, "GET", "/dead-letters/groups")
                wait_for(lambda: api.metric("millrace_api_pool_waiting", pool="operate") == 1, "another request waits for one")
                for s in leaving:
                    s.close()
                assert neighbour.recv(12) == b"HTTP/1.1 200", path
                neighbour.close()
                wait_for(lambda: world.db.value(waiting) == 0, "neither goes on")
                blocker.run("COMMIT")
            assert what_is_done(world) == before, path
            assert api.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body) if body else None).status == 200
            record = world.db.run("SELECT verb, count::integer FROM millrace.dead_letter_actions ORDER BY at") if held == actions else world.db.run(
                "SELECT verb, via FROM millrace.pipeline_changes ORDER BY at")
            assert record[-1:] == ([done] if done else []) and len(record) == len(before[1 if held == actions else 3]) + (done is not None), (path, record)
        assert [api.metric("millrace_api_query_cancels_total", pool=pool) for pool in ("operate", "read")] == [10, 0]
        assert api.log_text().count("answer=lost") == 10
        assert api.metric("millrace_api_requests_total", status="lost") == 10 and api.metric("millrace_api_requests_total", status="5xx") == 0
    finally:
        api.kill()


def test_clients_that_leave_verbs_at_any_moment(served):
    """Each verb is done with its record, or not at all; and one that was answered is done."""
    world, api, _ = served
    name = world.pipeline_name
    producer = Producer({"bootstrap.servers": world.broker.address})
    for i in range(60):
        producer.produce(world.topic, f'{{"id": "", "value": {i}}}')
    producer.flush(120)
    world.wait_settled()
    ids = [row[0] for row in world.db.run("SELECT id FROM millrace.dead_letters ORDER BY id")]
    answered = set()
    moments = random.Random(7)
    for i, letter in enumerate(ids):
        verbs = [ask(api, "POST", "/dead-letters/discard", {"pipeline": name, "ids": [str(letter)]}),
                 ask(api, "POST", f"/pipelines/{name}/{'resume' if i % 2 else 'pause'}"), ask(api, "POST", f"/pipelines/{name}/dry-run", {"samples": [{"id": ""}]})]
        if i % 4 == 0:
            assert verbs[0].recv(12) == b"HTTP/1.1 200"
            answered.add(letter)
        time.sleep(moments.uniform(0, 0.02))
        for s in verbs:
            s.close()
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'operator' AND state = 'active' AND datname = current_database()") == 0
             and api.metric("millrace_api_requests_in_flight") == 0, "all has ended")
    discarded = {row[0] for row in world.db.run("SELECT id FROM millrace.dead_letters WHERE state = 'discarded'")}
    assert answered <= discarded
    assert sorted(world.db.run("SELECT condition, count FROM millrace.dead_letter_actions")) == sorted((f"id = ANY ('{{{i}}}')", 1) for i in discarded)
    changes = [row[0] for row in world.db.run("SELECT verb FROM millrace.pipeline_changes ORDER BY at")]
    assert changes == ["pause", "resume"] * (len(changes) // 2) + ["pause"] * (len(changes) % 2)
    assert world.db.value("SELECT status FROM millrace.pipelines") == ("paused" if len(changes) % 2 else "running")
    assert world.db.value("SELECT count(*) FROM reading") == 1
    for verb in ("pause", "resume"):
        assert api.request("POST", f"/pipelines/{name}/{verb}").status == 200
    assert api.metric("millrace_api_requests_total", status="5xx") == 0
