"""What doctor(), millrace.pipelines and /readyz say when nothing is read, as a new user would meet it: how soon, with which
cause, and that a command of theirs can be pasted."""
import os
import re
import signal
import subprocess
import time

import pytest

from lib import acl, paths
from lib.events import Events
from lib.process import free_port
from lib.secure import PASSWORD, USER, SecureBroker
from lib.wait import LIMIT, wait_for
from test_doctor import finding, findings

SOON = 20  # ten, on a machine that keeps up


def state(world):
    return world.db.run("SELECT status, reason, hint FROM millrace.pipelines WHERE name = %s", (world.pipeline_name,))[0]


def unread(world, ingestor, cause, timeout=SOON):
    """All three say so, with this cause; the row of doctor()."""
    what = f'pipeline "{world.pipeline_name}": its ingestor cannot read topic "{world.topic}"'
    line = f'pipeline {world.pipeline_name}: cannot read topic "{world.topic}": '

    def said():
        """At one time: the words of the client library change from one try to the next."""
        row = finding(world, "cannot read topic")
        if not row or row[:2] != ("error", what) or not re.search(cause, row[2]):
            return None
        status, reason, hint = state(world)
        code, text = ingestor.get("/readyz")
        return (status == "kafka error" and re.search(cause, reason) and hint == row[3]
                and code == 503 and line in text and re.search(cause, text) and f"; hint: {hint}" in text and row)
    return wait_for(said, f"all say {cause}", timeout)


def well(world, timeout=LIMIT):
    served = "SELECT ingestors > 0 AND kafka_error IS NULL FROM millrace.service WHERE pipeline = %s"
    wait_for(lambda: findings(world) == [] and state(world)[:2] == ("running", None) and world.db.value(served, (world.pipeline_name,)),
             "all is well", timeout)


def settle(world, seed):
    events = Events(500, seed=seed)
    events.send(world.broker, world.topic)
    world.wait_settled()


def test_ingestor_is_killed(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    well(world)
    ingestor.kill()
    begin = time.monotonic()
    severity, what, detail, command = wait_for(lambda: finding(world, "has no ingestor"), "doctor() says so", SOON)
    assert time.monotonic() - begin < SOON
    assert severity == "error" and f'No ingestor has reported on topic "{world.topic}" since' in detail and "start millrace-ingestor" in command
    assert state(world)[:2] == ("no ingestor", f'no ingestor reads topic "{world.topic}"')
    assert findings(world) == [what], "and nothing else"
    world.start_ingestor()
    well(world)


def test_no_ingestor_was_ever_started(world):
    world.create_topic()
    world.create_pipeline()
    assert findings(world) == [], "it has some seconds to come"
    severity, what, detail, command = wait_for(lambda: finding(world, "has no ingestor"), "doctor() says so", SOON + 1)
    assert severity == "error" and f'No ingestor has ever reported on topic "{world.topic}".' == detail
    world.start_ingestor()
    well(world)


def test_broker_stops_and_comes_back(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    settle(world, 601)
    well(world)
    world.broker.stop()
    _, _, _, command = unread(world, ingestor, "Connection refused")
    assert f"check --brokers of millrace-ingestor ({world.broker.address})" in command
    assert len(findings(world)) == 1
    world.broker.start()
    well(world)
    wait_for(lambda: ingestor.get("/readyz")[0] == 200, "ready")
    settle(world, 602)


def test_broker_hangs(world):
    """No connection breaks, and an idle consumer waits for nothing: the cluster is asked."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    settle(world, 603)
    well(world)
    world.broker.process.signal(signal.SIGSTOP)
    try:
        unread(world, ingestor, "imed out|transport failure")
    finally:
        world.broker.process.signal(signal.SIGCONT)
    well(world)


@pytest.mark.alone
def test_broker_hangs_under_many_pipelines(world):
    """All say so within some seconds, not one after the other."""
    for i in range(10):
        world.broker.create_topic(f"{world.name}_{i}", 1)
        world.create_pipeline(name=f"{world.name}_{i}", topic=f"{world.name}_{i}")
    world.start_ingestor().wait_ready()
    unread_now = "SELECT count(*) FROM millrace.service WHERE is_unread"
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.service WHERE ingestors = 1 AND failing = 0") == 10, "all are served")
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.ingestor_reports WHERE about ? 'retention_ms'") == 10, "all is asked for")
    world.broker.process.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: world.db.value(unread_now) == 10, "all say so", 25)
    finally:
        world.broker.process.signal(signal.SIGCONT)
    wait_for(lambda: world.db.value(unread_now) == 0 and findings(world) == [], "all is well")


def test_topic_that_is_missing(world):
    world.create_pipeline()
    ingestor = world.start_ingestor()
    _, _, detail, command = unread(world, ingestor, "does not exist")
    assert detail == f'topic "{world.topic}" does not exist'
    # the ingestor of the tests has a -X property
    assert command == (f"millrace-ingestor --brokers '{world.broker.address}' --create-topic {world.topic}:6"
                       " # with the -X properties of the running one")
    assert "the topic cannot be read" in ingestor.log_text() and "--create-topic" in ingestor.log_text()
    # pasted into a shell
    path = os.path.dirname(paths.program("millrace-ingestor")) + ":" + os.environ["PATH"]
    subprocess.run(["sh", "-c", command], check=True, env=dict(os.environ, PATH=path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    well(world)
    assert world.broker.partitions(world.topic) == 6
    settle(world, 604)


def test_topic_is_deleted(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    settle(world, 605)
    well(world)
    world.broker.delete_topic(world.topic)
    unread(world, ingestor, "does not exist|Unknown topic", LIMIT)


def test_wrong_address(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor()
    ingestor.kill()
    ingestor.brokers = f"127.0.0.1:{free_port()}"
    ingestor.start()
    _, _, _, command = unread(world, ingestor, f"Connect to ipv4#{ingestor.brokers} failed: Connection refused")
    assert f"--brokers of millrace-ingestor ({ingestor.brokers})" in command
    ingestor.kill()
    ingestor.brokers = "no.such.host.invalid:9092"
    ingestor.start()
    _, _, _, command = unread(world, ingestor, "Failed to resolve 'no.such.host.invalid:9092'")
    assert "check the host names" in command
    # another one can: that is a warning, of one ingestor
    world.start_ingestor()
    one = ("warning", f'pipeline "{world.pipeline_name}": 1 of its 2 ingestors cannot read topic "{world.topic}"')
    wait_for(lambda: (r := finding(world, "cannot read topic")) and r[:2] == one and state(world)[:2] == ("running", None), "one of two")
    ingestor.kill()
    well(world)


@pytest.fixture
def secure(world):
    broker = SecureBroker("secure").start()
    world.broker, shared = broker, world.broker
    yield broker
    world.broker = shared
    for ingestor in world.ingestors:
        ingestor.kill()
    broker.stop()


def test_secured_broker(world, secure):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    group = world.db.value("SELECT format('millrace.%%s.%%s', i.id, %s::text) FROM millrace.instance AS i", (world.pipeline_name,))

    def again(brokers, **properties):
        ingestor.kill()
        ingestor.brokers = brokers
        ingestor.properties.update(properties)
        ingestor.start()
        return ingestor
    tls = secure.address_of("SSL")
    again(tls)
    assert "security.protocol" in unread(world, ingestor, "brokers are down|isconnected|transport")[3]
    again(tls, security_protocol="SSL")
    assert "check ssl.ca.location" in unread(world, ingestor, "certificate verify failed")[3]
    again(tls, ssl_ca_location=secure.certificate)
    well(world)
    del ingestor.properties["ssl_ca_location"]
    sasl = secure.address_of("SASL_PLAINTEXT")
    again(sasl, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username=USER, sasl_password="wrong")
    assert "sasl.password" in unread(world, ingestor, "Authentication failed: Invalid username or password")[3]
    again(sasl, sasl_password=PASSWORD)
    well(world)
    # access rules: of the group, of reading, of all
    acl.add_rules(secure, acl.GROUP, group, (acl.ALL, acl.DENY), principal=f"User:{USER}")
    again(sasl)
    assert f'to use group "{group}"' in unread(world, ingestor, "Group authorization failed")[3]
    acl.remove_rules(secure, acl.GROUP, group)
    well(world)
    acl.add_rules(secure, acl.TOPIC, world.topic, (acl.ALL, acl.ALLOW), (acl.READ, acl.DENY), principal=f"User:{USER}")
    again(sasl)
    assert f'to read topic "{world.topic}"' in unread(world, ingestor, "Topic authorization failed", LIMIT)[3]
    acl.add_rules(secure, acl.TOPIC, world.topic, (acl.ALL, acl.DENY), principal=f"User:{USER}")
    again(sasl)
    assert f'to read topic "{world.topic}"' in unread(world, ingestor, "Topic authorization failed")[3]
    acl.remove_rules(secure, acl.TOPIC, world.topic)
    well(world)
    assert PASSWORD not in str(world.db.run("SELECT * FROM millrace.ingestors"))


def test_role_that_was_not_granted(world):
    """A new role, connected in vain; the command it gets can be pasted."""
    world.create_topic()
    world.create_pipeline()
    world.db.run('DROP ROLE IF EXISTS "New one"')
    world.db.run('CREATE ROLE "New one" LOGIN')
    ingestor = world.start_ingestor(dsn=world.db.dsn("New one").replace("user=New one", "user='New one'"))
    severity, what, detail, command = wait_for(lambda: finding(world, 'role "New one" is no ingestor'), "doctor() says so", SOON)
    assert severity == "error" and command == """as a superuser: SELECT millrace.grant_ingestor('"New one"');"""
    hint = f'; hint: as a superuser, in database "{world.db.name}": SELECT millrace.grant_ingestor(\'"New one"\');'
    denied = "the pipelines are not known yet: permission denied for function ingestor_pipelines" + hint
    wait_for(lambda: (said := ingestor.get("/readyz"))[0] == 503 and denied in " ".join(said[1].split("  ")), "/readyz says so")
    wait_for(lambda: "grant_ingestor" in ingestor.log_text(), "the log says so")
    world.db.run(command.split(": ", 1)[1])
    well(world)
    ingestor.kill()
    world.db.run('DROP OWNED BY "New one"; DROP ROLE "New one"')


def test_database_without_the_extension(world):
    world.create_topic()
    world.create_pipeline()
    other = world.create_database(world.name[:40] + "_other", schema=False)
    ingestor = world.start_ingestor(db=other)
    hint = (f'database "{other.name}" has no extension millrace: name another one in --dsn, or, as a superuser there: '
            "CREATE EXTENSION millrace; SELECT millrace.grant_ingestor('ingestor');")
    wait_for(lambda: f'schema "millrace" does not exist; hint: {hint}' in ingestor.get("/readyz")[1], "/readyz says so", SOON)
    wait_for(lambda: "has no extension millrace" in ingestor.log_text(), "the log says so")
    wait_for(lambda: (r := finding(world, "has no ingestor")) and r[2].endswith(f'One is connected to database "{other.name}".'), "where it belongs", SOON + 1)
    other.run(hint.split("there: ")[1])
    wait_for(lambda: ingestor.get("/readyz")[0] == 200, "pasted, it works")


def test_lane_that_does_not_move(world):
    world.create_topic()
    world.create_pipeline(workers=2)
    ingestor = world.start_ingestor().wait_ready()
    settle(world, 606)
    well(world)
    pid = world.db.value("SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
                         (f"millrace-ingestor {world.pipeline_name}/1",))
    os.kill(pid, signal.SIGSTOP)
    try:
        Events(2000, seed=607).send(world.broker, world.topic)
        severity, what, detail, command = wait_for(lambda: finding(world, "a lane of its ingestor does not move"), "doctor() names it")
        assert severity == "error" and re.fullmatch(r"In the ingestor, lane 1 has been \w+ for \d+ s: the server does not answer it\.", detail)
        wait_for(lambda: re.search(r"lane 1 has been \w+ for \d+ s", ingestor.get("/readyz")[1]), "/readyz names it")
        states = re.findall(r'millrace_ingestor_lane_state_seconds\{[^}]*lane="(\d+)",state="(\w+)"\} (\S+)', ingestor.get("/metrics")[1])
        assert [lane for lane, state, s in states if float(s) > 30 and state not in ("idle", "closed")] == ["1"], states
        assert pid in [row[0] for row in world.db.run(command.replace("%", "%%"))], "pasted, it shows the session"
        assert findings(world) == [what]
    finally:
        os.kill(pid, signal.SIGCONT)
    world.wait_settled()
    well(world)
