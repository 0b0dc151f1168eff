"""docker compose up -d --wait, and what a user does then. The tests share one stack and run in this order."""
import json
import os
import signal
import threading

from lib import paths
from lib.docker import name_of
from lib.events import Events, compare, merge
from lib.wait import wait_for

ONCE = {"secrets", "topics", "migrate"}
# Their start scripts write into the image's own folder.
WRITABLE = {"kafka", "connect"}
sent = []  # Events that came through Kafka
posted = []  # ids of events that came through the API or Connect


def test_everything_is_healthy_with_no_file_edited(stack):
    stack.up()
    for name in stack.services():
        for container in stack.containers(name):
            state = container["State"]
            if name in ONCE:
                assert (state["Status"], state["ExitCode"]) == ("exited", 0), name
            else:
                assert state["Health"]["Status"] == "healthy", name


def test_containers_may_do_little(stack):
    for name in stack.services():
        for container in stack.containers(name):
            config, host = container["Config"], container["HostConfig"]
            assert name == "secrets" or config["User"].split(":")[0] not in ("", "0", "root"), name
            assert host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges:true"], name
            assert host["ReadonlyRootfs"] == (name not in WRITABLE), name
            published = [p for ports in (host["PortBindings"] or {}).values() for p in ports]
            assert all(p["HostIp"] == "127.0.0.1" for p in published), name


def test_images_are_small(stack):
    """What ours add to the images they are made from, in MB: of the programs mostly libraries."""
    for image, base, most in (("ingestor", "debian", 60), ("api", "debian", 60), ("load", "debian", 60), ("postgres", "postgres", 10)):
        added = size(stack, f"millrace-{image}:local") - size(stack, name_of(base))
        assert 0 < added < most * 1_000_000, f"{image}: {added}"


def test_secrets_are_read_by_their_container_alone(stack):
    password = stack.compose("exec", "-T", "postgres", "cat", "/run/secrets/postgres/postgres").stdout
    assert len(password) >= 32
    key = stack.compose("exec", "-T", "api", "cat", "/run/secrets/api/key").stdout.strip()
    assert stack.http("GET", "/dead-letters", Authorization=f"Bearer {key}")[0] == 200
    assert stack.http("GET", "/dead-letters")[0] in (401, 403)
    for file in ("api/key", "postgres/postgres", "migrate/postgres", "all/postgres", "monitor/password"):
        refused = stack.compose("exec", "-T", "ingestor", "cat", f"/run/secrets/{file}", check=False)
        assert refused.returncode != 0 and "Permission denied" in refused.stdout, file
    for name in stack.services():
        for container in stack.containers(name):
            history = stack.docker.run("history", "--no-trunc", container["Image"]).stdout
            assert password not in json.dumps(container) + history and key not in json.dumps(container) + history, name


def test_an_event_through_the_api_and_back(stack):
    status, body = stack.http("POST", "/events?eventType=Temperature&eventData=86F&source=kitchen")
    assert status == 202, body
    row = row_of(stack, json.loads(body)["id"])
    posted.append(row["id"])
    assert (row["type"], row["source"], row["value"], row["unit"]) == ("Temperature", "kitchen", 30, "°C")


def test_prometheus_has_all_of_it(stack):
    for job in ("millrace-ingestor", "millrace-api", "millrace-postgres"):
        wait_for(lambda: [v for _, v in stack.query(f'up{{job="{job}"}}')] == [1], f"{job} is scraped", 180)
    wait_for(lambda: stack.query('millrace_events_total{pipeline="events"} == 1'), "the event is counted", 180)
    status, body = stack.http("GET", "/api/v1/alertmanagers", "PROMETHEUS_PORT")
    assert status == 200 and len(json.loads(body)["data"]["activeAlertmanagers"]) == 1, body
    assert stack.http("GET", "/-/healthy", "ALERTMANAGER_PORT")[0] == 200


def test_lines_of_a_file_become_rows_through_connect(stack):
    def put():
        return stack.http("PUT", "/connectors/inbox/config", "CONNECT_PORT", read("packaging/docker/file-source.json"),
                          **{"Content-Type": "application/json"})
    # 409: the worker has not joined its group yet
    wait_for(lambda: put()[0] in (200, 201), "the connector is taken", 120, every=0.5)
    append_lines(stack, 0, 50)
    stack.compose("restart", "connect")
    append_lines(stack, 50, 60)
    wait_for(lambda: stack.value("SELECT count(*) FROM events WHERE source = 'file'") == "60", "the lines are rows", 240)
    posted.extend(stack.sql("SELECT id FROM events WHERE source = 'file'"))


def test_scaled_out(stack):
    stack.up("--scale", "ingestor=3", "--scale", "api=2")
    assert [len(stack.containers(name)) for name in ("ingestor", "api")] == [3, 2]
    for job, number in (("millrace-ingestor", 3), ("millrace-api", 2)):
        wait_for(lambda: sum(v for _, v in stack.query(f'up{{job="{job}"}}')) == number, f"{number} of {job} are scraped", 180)

    before = answers(stack)

    def both_have_answered():
        for _ in range(10):
            assert stack.http("GET", "/events?limit=1")[0] == 200
        return sum(n > before.get(instance, 0) for instance, n in answers(stack).items()) == 2
    wait_for(both_have_answered, "the proxy asks both", 180, every=1)


def test_a_killed_ingestor_loses_nothing(stack):
    """kill -9 of one of three under load; Docker starts it again."""
    victim = stack.containers("ingestor")[0]
    load = Load(stack, 40000, seed=7, rate=4000)
    wait_for(lambda: seen(stack) > load.before + 5000, "events come", 180)
    os.kill(victim["State"]["Pid"], signal.SIGKILL)
    load.join()
    wait_for(lambda: any(c["Id"] == victim["Id"] and c["RestartCount"] >= 1 and c["State"]["Health"]["Status"] == "healthy"
                         for c in stack.containers("ingestor")), "it is back", 180)
    all_is_there(stack)


def test_chaos_loses_nothing(stack):
    env = {"CHAOS_INTERVAL": "2", "CHAOS_DURATION": "2", "CHAOS_SERVICES": "ingestor api postgres"}
    load = Load(stack, 40000, seed=8, rate=1500)
    wait_for(lambda: seen(stack) > load.before, "events come", 180)
    stack.compose("--profile", "chaos", "up", "-d", "--no-deps", "chaos", env=env)

    def faults():
        return stack.compose("--profile", "chaos", "logs", "chaos").stdout.count("chaos: ")
    wait_for(lambda: faults() >= 4, "four faults", 300, every=0.5)
    stack.compose("--profile", "chaos", "stop", "chaos")
    load.join()
    all_is_there(stack)


def test_volumes_outlive_the_containers(stack):
    key = stack.compose("exec", "-T", "api", "cat", "/run/secrets/api/key").stdout
    stack.down()
    assert stack.containers("postgres") == []
    stack.up()
    assert stack.compose("exec", "-T", "api", "cat", "/run/secrets/api/key").stdout == key
    all_is_there(stack)
    test_an_event_through_the_api_and_back(stack)
    all_is_there(stack)


class Load(threading.Thread):
    """`docker compose run --rm load`, meanwhile."""

    def __init__(self, stack, n, seed, rate):
        super().__init__()
        self.before = seen(stack)
        self.error = None
        self.stack, self.env = stack, {"LOAD_EVENTS": str(n), "LOAD_SEED": str(seed), "LOAD_RATE": str(rate)}
        sent.append(Events(n, seed, filtered=2))
        self.start()

    def run(self):
        try:
            self.stack.run("load", **self.env)
        except AssertionError as e:
            self.error = e

    def join(self, timeout=None):
        super().join(timeout)
        if self.error:
            raise self.error


def read(name):
    with open(os.path.join(paths.ROOT, name), "rb") as f:
        return f.read()


def size(stack, image):
    return int(stack.docker.run("image", "inspect", "--format", "{{.Size}}", image).stdout)


def answers(stack):
    """{instance of the API: answers}"""
    return {labels["instance"]: n for labels, n in stack.query("sum by (instance) (millrace_api_requests_total)")}


def row_of(stack, coordinate):
    path = f"/events/{coordinate}"
    return json.loads(wait_for(lambda: [b for s, b in [stack.http("GET", path)] if s == 200], f"GET {path}")[0])


def append_lines(stack, first, end):
    lines = "".join(json.dumps({"id": f"line-{i}", "type": "line", "source": "file", "data": str(i)}) + "\n" for i in range(first, end))
    stack.compose("exec", "-T", "--user", "0", "connect", "tee", "-a", "/inbox/events.ndjson", text=lines)


def seen(stack):
    return int(stack.value("SELECT events FROM millrace.stats WHERE pipeline = 'events'"))


def all_is_there(stack):
    """Rows and counters against what was produced: the key of the table would hide a second copy, the counters do not."""
    truth = merge(*(events.truth() for events in sent))
    n = sum(events.n for events in sent) + len(posted)
    wait_for(lambda: seen(stack) >= n, f"{n} events have ended", 300, every=0.5)
    compare("rows", truth["row"] | set(posted), stack.sql("SELECT id FROM events"))
    counters = stack.value("SELECT events, written, filtered, superseded + skipped + dead + retrying FROM millrace.stats WHERE pipeline = 'events'")
    assert counters == f"{n}|{len(truth['row']) + len(posted)}|{len(truth['filtered'])}|0"
