"""The ingestor as a program: options, secrets, topics, metrics, several pipelines."""
import os
import re
import signal

from lib import paths
from lib.events import Events
from lib.ingestor import run_once
from lib.wait import wait_for
from lib.world import TRANSFORM


def test_help_lists_every_option(broker):
    status, text = run_once("--help")
    assert status == 0
    for option in ("--dsn", "--brokers", "-X", "--admin-listen", "--create-topic", "--log-format"):
        assert option in text, option


def test_wrong_options_are_reported(broker):
    for arguments, words in ((["--nonsense"], ["nonsense"]), (["--batch-rows", "many"], ["batch-rows", "many"]),
                             (["-X", "no.such.property=1", "--brokers", "127.0.0.1:1"], ["no.such.property"]),
                             (["-X", "group.id=mine", "--brokers", "127.0.0.1:1"], ['"group.id" is "mine"', "the program chooses it", "leave it out"]),
                             (["-X", "enable.auto.commit=true", "--brokers", "127.0.0.1:1"],
                              ['"enable.auto.commit" is "true", expected "false"', "leave it out"]),
                             (["-X", "group.protocol=consumer", "--brokers", "127.0.0.1:1"],
                              ['"group.protocol" is "consumer"', "leave it out"])):
        status, text = run_once(*arguments)
        assert status != 0, arguments
        for word in words:
            assert word in text, f"{arguments}: {word!r} not in {text!r}"


def test_secrets_are_read_from_files_and_never_printed(world):
    secret = "sesame-open-the-door"
    file = os.path.join(paths.run_dir(), "dsn")
    with open(file, "w") as f:
        f.write(world.db.dsn("ingestor") + f" password={secret}\n")
    os.environ["MILLRACE_DSN_FILE"] = file
    try:
        world.create_topic()
        world.create_pipeline()
        from lib.ingestor import Ingestor
        ingestor = Ingestor("", world.broker.address, "--log-level", "debug")
        world.ingestors.append(ingestor)
        from lib.process import Process, free_port
        ingestor.port = free_port()
        ingestor.process = Process([paths.program("millrace-ingestor"), "--brokers", world.broker.address,
                                    "--admin-listen", f"127.0.0.1:{ingestor.port}", "--log-level", "debug"],
                                   ingestor.log, cwd="/")
        ingestor.wait_ready()
    finally:
        del os.environ["MILLRACE_DSN_FILE"]
    assert secret not in ingestor.log_text() and secret not in ingestor.get("/metrics")[1]


def test_create_topic(broker):
    status, text = run_once("--brokers", broker.address, "--create-topic", "made:5:1:60000")
    assert status == 0, text
    wait_for(lambda: broker.partitions("made") == 5, "5 partitions")
    status, text = run_once("--brokers", broker.address, "--create-topic", "made:5:1:60000")
    assert status == 0, f"a topic that is there already: {text}"


def test_metrics_are_well_formed(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    Events(5000, seed=161).send(world.broker, world.topic)
    world.wait_settled()
    status, text = ingestor.get("/metrics")
    assert status == 200
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert types
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        match = re.fullmatch(r'([a-z_]+)(\{[^}]*\})? [-+0-9.eE]+(inf|nan)?', line)
        assert match, line
        name = re.sub(r"_(bucket|sum|count)$", "", match[1])
        assert name.startswith("millrace_") or name.startswith("process_"), line
        assert match[1] in types or name in types, line
    assert ingestor.get("/nothing")[0] == 404


def test_sighup_and_log_format(world):
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor("--log-format", "json").wait_ready()
    os.kill(ingestor.pid, signal.SIGHUP)
    events = Events(1000, seed=162)
    events.send(world.broker, world.topic)
    world.wait_settled()
    assert ingestor.alive()
    import json
    for line in ingestor.log_text().splitlines():
        json.loads(line)


def test_several_pipelines_of_one_database(world):
    """Two on the same topic, one on another: each gets all of its own."""
    world.create_topic()
    world.create_pipeline()
    world.db.run("CREATE TABLE again (LIKE reading INCLUDING ALL); ALTER TABLE again OWNER TO app")
    world.create_pipeline(name="again", target="again")
    world.broker.create_topic(world.topic + "_other", 2)
    world.db.run("CREATE TABLE other (LIKE reading INCLUDING ALL); ALTER TABLE other OWNER TO app")
    world.create_pipeline(name="other", topic=world.topic + "_other", target="other", transform=TRANSFORM)
    world.start_ingestor()
    events, others = Events(20000, seed=163, filtered=1), Events(5000, seed=164)
    events.send(world.broker, world.topic)
    others.send(world.broker, world.topic + "_other")
    world.wait_settled()
    world.wait_settled(pipeline="again")
    world.wait_settled(pipeline="other", topic=world.topic + "_other")
    world.check(events)
    rows = len(events.truth()["row"])
    assert world.db.value("SELECT count(DISTINCT id) FROM again") == world.db.value("SELECT count(*) FROM again") == rows
    assert world.db.value("SELECT count(DISTINCT id) FROM other") == world.db.value("SELECT count(*) FROM other") == 5000


def test_only_the_named_pipelines(world):
    world.create_topic(partitions=2)
    world.create_pipeline()
    world.db.run("CREATE TABLE again (LIKE reading INCLUDING ALL); ALTER TABLE again OWNER TO app")
    world.create_pipeline(name="again", target="again")
    world.start_ingestor("--pipeline", world.pipeline_name)
    events = Events(2000, seed=165)
    events.send(world.broker, world.topic)
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM again") == 0


def test_pipeline_created_and_dropped_while_it_runs(world):
    ingestor = world.start_ingestor()
    world.create_topic(partitions=2)
    events = Events(2000, seed=166)
    events.send(world.broker, world.topic)
    world.create_pipeline()
    world.wait_settled()
    world.check(events)
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ingestor'") <= 1,
             "its lanes are closed")
    assert ingestor.alive()
