"""Dead letters in Kafka: each once when read read_committed, whatever is killed, doubled, set back or away."""
import os
import random
import signal
import struct
import subprocess
import time

from confluent_kafka import Producer

from lib import paths
from lib.dead_letters import check_each_once, dlq, headers, read_topic, unpublished, wait_published
from lib.events import Events
from lib.wait import holds_for, wait_for
from test_kafka_shapes import produce


def make_letters(world, n, seed, **pipeline):
    """n dead letters in the table, and none of them in Kafka yet."""
    world.create_topic()
    world.create_pipeline(dlq="off", **pipeline)
    ingestor = world.start_ingestor()
    events = Events(n, seed=seed, broken=100)
    events.send(world.broker, world.topic)
    world.wait_settled()
    ingestor.stop()
    assert unpublished(world) == n
    return events


def hold_last(world):
    """A session; until it is closed the last letter, and those of its batch, cannot be marked."""
    session = world.db.session(autocommit=False)
    session.run("SELECT FROM millrace.dead_letter WHERE id = (SELECT max(id) FROM millrace.dead_letter) FOR UPDATE")
    return session


def switch_on(world, **options):
    options = ", ".join(f"{name} => '{value}'" for name, value in dict({"dlq": dlq(world)}, **options).items())
    world.db.run(f"SELECT millrace.alter_pipeline('{world.pipeline_name}', {options})")


def test_headers(world):
    world.create_topic(partitions=4)
    world.create_pipeline()
    world.start_ingestor()
    sent_at = int(time.time() * 1000) - 60000
    places = produce(world, dict(value=b"no json", key=b"a key", timestamp=sent_at,
                                 headers=[("trace", b"\x00\xff"), ("millrace-id", b"from elsewhere"), ("empty", None)]))
    produce(world, dict(value=b"", key=None), dict(value=b"[]", key=b""))
    world.wait_settled()
    wait_published(world)
    assert world.broker.partitions(dlq(world)) == 4
    assert check_each_once(world) == 3
    letter = next(m for m in read_topic(world, dlq(world)) if m.value() == b"no json")
    partition, offset = places[0]
    place = world.db.run("""SELECT d.fingerprint, l.message FROM millrace.dead_letters AS d JOIN millrace.dead_letter AS l ON l.id = d.id
                            WHERE d.partition = %s AND d."offset" = %s""", (partition, offset))[0]
    h = headers(letter)
    assert letter.partition() == partition and letter.key() == b"a key"
    assert letter.headers()[:3] == [("trace", b"\x00\xff"), ("millrace-id", b"from elsewhere"), ("empty", None)]
    assert h["__connect.errors.topic"] == world.topic.encode() == h["kafka_dlt-original-topic"]
    assert h["__connect.errors.partition"] == b"%d" % partition
    assert h["__connect.errors.offset"] == b"%d" % offset
    assert h["__connect.errors.connector.name"] == world.pipeline_name.encode() == h["millrace-pipeline"]
    assert h["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert h["__connect.errors.exception.message"] == place[1].encode() == h["kafka_dlt-exception-message"]
    assert h["__connect.errors.exception.class.name"] == h["kafka_dlt-exception-fqcn"]
    assert place[1].encode() in h["__connect.errors.exception.stacktrace"]
    assert struct.unpack(">i", h["kafka_dlt-original-partition"])[0] == partition
    assert struct.unpack(">q", h["kafka_dlt-original-offset"])[0] == offset
    assert struct.unpack(">q", h["kafka_dlt-original-timestamp"])[0] == sent_at
    assert (h["millrace-version"], h["millrace-attempts"]) == (b"1", b"1")
    assert len(h["millrace-sqlstate"]) == 5 and h["millrace-fingerprint"] == place[0].encode()
    assert sum(name.startswith("__connect.errors.") for name, _ in letter.headers()) == 10


def test_kills(world):
    """kill -9 again and again, at every moment of fencing, reading, publishing and marking."""
    make_letters(world, 12000, seed=301)
    switch_on(world)
    dice = random.Random(302)
    progress = []
    hold = hold_last(world)
    for kill in range(7):
        ingestor = world.start_ingestor(wait=False)
        # the session of one that was killed may still mark its last letters; an ingestor without letters opens no relay
        wait_for(lambda: "relays dead letters" in ingestor.log_text() or unpublished(world) == 0, "it relays", every=0.005)
        if unpublished(world) == 0:
            ingestor.kill()
            break
        if kill == 0:  # how fast it is must not matter: one kill is in the middle
            wait_for(lambda: unpublished(world) < 12000, "some are published")
        else:
            time.sleep(dice.uniform(0, 0.6))  # any moment: not after a condition
        ingestor.kill()
        progress.append(unpublished(world))
        hold.close()
    assert any(0 < left < 12000 for left in progress), f"the kills came too early or too late: {progress}"
    world.start_ingestor()
    wait_published(world)
    assert check_each_once(world) == 12000


def test_fewer_partitions_than_the_source(world):
    """The partition is the source's modulo the number there are, and the key stays: events of one key stay in one partition."""
    world.create_topic(partitions=6)
    world.broker.create_topic(dlq(world), 4)
    world.create_pipeline()
    world.start_ingestor()
    Events(600, seed=319, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    assert check_each_once(world) == 600
    places = {(struct.unpack(">i", headers(m)["kafka_dlt-original-partition"])[0], m.partition()) for m in read_topic(world, dlq(world))}
    assert places == {(p, p % 4) for p in range(6)}


STEPS = ("rd_kafka_init_transactions", "rd_kafka_begin_transaction", "rd_kafka_flush", "rd_kafka_commit_transaction",
         "rd_kafka_consume_start_queue", "PQsendQueryParams", "PQgetResult")


def kill_at_library():
    library = os.path.join(paths.run_dir(), "kill_at.so")
    if not os.path.exists(library):
        flags = subprocess.run(["pkg-config", "--cflags", "rdkafka", "libpq"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", *flags, "-o", library, os.path.join(paths.ROOT, "tests/lib/kill_at.c")],
                       check=True)
    return library


def test_killed_before_and_after_each_step(world):
    """kill -9 at every step of a round: fence, begin, produce, commit, read, mark."""
    world.create_topic(partitions=2)
    world.create_pipeline()
    sent = 0
    for seed, step in enumerate(f"{when} {function}" for function in STEPS for when in ("before", "after")):
        Events(20, seed=320 + seed, broken=100).send(world.broker, world.topic)
        sent += 20
        ingestor = world.start_ingestor(wait=False, wrapper=("env", f"LD_PRELOAD={kill_at_library()}", f"KILL_AT={step}"))
        wait_for(lambda: not ingestor.alive(), f"killed {step}")
        assert ingestor.process.popen.returncode == -signal.SIGKILL, step
    world.start_ingestor()
    world.wait_settled()
    wait_published(world)
    assert check_each_once(world) == sent


def test_two_ingestors(world):
    """One of them relays; when it is killed the other one does; a frozen one that wakes up is fenced."""
    make_letters(world, 8000, seed=303)
    hold = hold_last(world)  # the first one is not done before it is frozen
    ingestors = [world.start_ingestor(), world.start_ingestor()]
    switch_on(world)

    def active():
        return [i for i in ingestors if i.metric("millrace_ingestor_relay_active") == 1]
    first = wait_for(active, "one relays")[0]
    wait_for(lambda: unpublished(world) < 8000, "it works")
    first.freeze()
    # as idle_session_timeout would after a minute
    world.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace-relay'"
                 " AND datname = current_database()")
    ingestors.remove(first)
    wait_for(active, "the other one relays")
    hold.close()
    wait_published(world)
    first.thaw()
    Events(500, seed=304, broken=100).send(world.broker, world.topic)
    ingestors.append(first)
    world.wait_settled()
    wait_published(world)
    wait_for(lambda: len(active()) == 1, "one of them relays")
    assert check_each_once(world) == 8500


def test_zombies(world):
    """Two relays that both believe to be the one (there is no lock between the databases' sessions of a split brain)."""
    make_letters(world, 6000, seed=305)
    switch_on(world)
    ingestors = [world.start_ingestor(wait=False), world.start_ingestor(wait=False)]
    # whoever has the lock loses it, all the time
    for _ in range(25):
        world.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace-relay'"
                     " AND datname = current_database()")
        time.sleep(0.15)
    wait_published(world)
    assert all(i.alive() for i in ingestors)
    assert check_each_once(world) == 6000


def test_database_went_back(world):
    """Restored to before the marks: what is in the topic is found there; under a running relay as well."""
    events = make_letters(world, 3000, seed=306)
    switch_on(world)
    ingestor = world.start_ingestor()
    wait_published(world)
    back = "UPDATE millrace.dead_letter SET published_at = NULL, dlq_partition = NULL, dlq_offset = NULL"
    ingestor.stop()
    world.db.run(back)
    world.db.run("DELETE FROM millrace.dlq_scan")
    ingestor.start()
    wait_published(world)
    assert check_each_once(world) == 3000
    with world.db.session(autocommit=False) as s:
        s.run(back + ' WHERE "offset" > 100')
        s.run("UPDATE millrace.dlq_scan SET next_offset = 100")
        s.connection.commit()
    wait_published(world)
    assert ingestor.metric("millrace_ingestor_relay_published_total") == 0
    assert check_each_once(world) == 3000
    world.check(events)


def test_replayed_and_dead_again(world):
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor()
    Events(200, seed=307, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    world.db.run(f"SELECT millrace.replay('{world.pipeline_name}')")
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE replay_count = 1 AND state = 'open'") == 200,
             "dead again")
    wait_published(world)
    ids = [headers(m)["millrace-id"].decode() for m in read_topic(world, dlq(world))]
    assert len(ids) == len(set(ids)) == 400
    assert sum(i.endswith("/1") for i in ids) == 200


def test_relay_waits_for_a_broker_that_is_down(world):
    """Dead letters that come meanwhile wait in the table; then all go out."""
    make_letters(world, 2000, seed=308)
    ingestor = world.start_ingestor().wait_ready()
    world.broker.stop()
    switch_on(world)
    wait_for(lambda: ingestor.metric("millrace_ingestor_relay_errors_total") > 0, "the relay fails")
    wait_for(lambda: world.db.value("SELECT error FROM millrace.dlqs"), "the error is reported")
    assert ingestor.get("/livez")[0] == 200
    world.broker.start()
    wait_published(world)
    Events(500, seed=309, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    wait_for(lambda: world.db.value("SELECT error FROM millrace.dlqs") is None, "no error any more")
    assert check_each_once(world) == 2500


def test_no_role_can_keep_a_relay_from_its_work(world):
    """Whoever may connect can take any advisory lock of SQL's; none of them is the relay's."""
    world.create_topic()
    world.create_pipeline()
    key = world.db.value("SELECT hashtextextended(transactional_id, 0) FROM millrace.relay_pipelines()")
    pipeline = world.db.value("SELECT id FROM millrace.pipeline")
    with world.db.session("app") as s:
        s.run("SELECT pg_advisory_lock(%s), pg_advisory_lock(%s), pg_advisory_lock(%s, 0)", (key, pipeline, pipeline))
        world.start_ingestor()
        produce(world, dict(value=b"no json"))
        world.wait_settled()
        wait_published(world)
    assert check_each_once(world) == 1


def test_topic_that_takes_nothing(world):
    """The pipeline goes on; when the topic is repaired all letters come."""
    world.create_topic()
    world.broker.create_topic(dlq(world), 2, cleanup_policy="compact")
    world.create_pipeline()
    ingestor = world.start_ingestor()
    produce(world, *[dict(value=b"no key: a compacted topic refuses it", key=None)] * 20)
    wait_for(lambda: world.db.value("SELECT error FROM millrace.dlqs"), "the error is reported")
    events = Events(5000, seed=310)
    events.send(world.broker, world.topic)
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading") == 5000
    wait_for(lambda: ingestor.metric("millrace_ingestor_relay_failing") == 1, "it is shown")
    # another ingestor goes on: what the first one met is not shown any more
    ingestor.kill()
    world.db.run(f"SELECT millrace.alter_pipeline('{world.pipeline_name}', dlq => '{world.topic}.dead')")
    world.start_ingestor()
    wait_published(world)
    wait_for(lambda: world.db.value("SELECT error FROM millrace.dlqs") is None, "no error any more")
    assert len(read_topic(world, world.topic + ".dead")) == 20


def test_too_large_for_the_topic(world):
    world.create_topic(partitions=1)
    world.broker.create_topic(dlq(world), 1, max_message_bytes=20000)
    world.create_pipeline()
    world.start_ingestor()
    random_bytes = random.Random(311).randbytes
    produce(world, dict(value=b"small", key=b"1"), dict(value=random_bytes(30000), key=b"2"),
            dict(value=b"x", key=b"3", headers=[("big", random_bytes(30000))]), dict(value=b"small too", key=b"4"))
    world.wait_settled()
    wait_published(world)
    letters = {headers(m)["kafka_dlt-original-offset"][-1]: m for m in read_topic(world, dlq(world))}
    assert sorted(letters) == [0, 1, 2, 3]
    assert letters[0].value() == b"small" and letters[3].value() == b"small too"
    assert letters[1].value() is None and letters[1].key() == b"2"
    assert headers(letters[1])["millrace-payload-left-out"] == b"30000"
    assert letters[2].key() is None and "big" not in headers(letters[2])


def test_open_transaction_of_a_stranger(world):
    """It hides what stands behind it. The relay waits for its end instead of sending that again."""
    make_letters(world, 500, seed=312)
    world.broker.create_topic(dlq(world), 6)
    stranger = Producer({"bootstrap.servers": world.broker.address, "transactional.id": "stranger", "transaction.timeout.ms": 600000})
    stranger.init_transactions(120)
    stranger.begin_transaction()
    for p in range(6):
        stranger.produce(dlq(world), b"not ours", partition=p, headers={"millrace-id": b"\xff garbage"})
    stranger.flush(120)
    switch_on(world)
    ingestor = world.start_ingestor()
    holds_for(lambda: ingestor.metric("millrace_ingestor_relay_published_total") == 0, "nothing is published", 3)
    stranger.commit_transaction(120)
    wait_published(world)
    # once more, with letters of ours behind it, and no marks
    stranger.begin_transaction()
    for p in range(6):
        stranger.produce(dlq(world), b"not ours", partition=p, headers={"millrace-id": b"\xff garbage"})
    stranger.flush(120)
    Events(500, seed=313, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    # all of them, or those that were dead when the relay looked: it does not go on before it has seen these
    wait_for(lambda: ingestor.metric("millrace_ingestor_relay_published_total") > 500, "published")
    ingestor.kill()
    ingestor = world.start_ingestor()
    holds_for(lambda: ingestor.metric("millrace_ingestor_relay_published_total") == 0, "nothing is published", 3)
    assert unpublished(world) == 500
    stranger.commit_transaction(120)
    wait_published(world)
    ids = [headers(m)["millrace-id"] for m in read_topic(world, dlq(world)) if m.value() != b"not ours"]
    assert len(ids) == len(set(ids)) == 1000


def test_at_least_once(world):
    make_letters(world, 3000, seed=314)
    switch_on(world, dlq_delivery="at_least_once")
    ingestor = world.start_ingestor()
    wait_for(lambda: unpublished(world) < 3000, "it works", every=0.01)
    ingestor.kill()
    world.start_ingestor()
    wait_published(world)
    ids = {headers(m)["millrace-id"] for m in read_topic(world, dlq(world))}
    assert len(ids) == 3000
    # the marks hold where it was seen, and another delivery begins where this one ended
    switch_on(world, dlq_delivery="exactly_once")
    Events(100, seed=315, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)


def test_sigterm_while_relaying(world):
    make_letters(world, 8000, seed=316)
    switch_on(world)
    left = []
    for delay in (0, 0.1, 0.3):
        ingestor = world.start_ingestor(wait=False)
        # on a quick machine nothing may be left for the later ones
        wait_for(lambda: "relays dead letters" in ingestor.log_text() or unpublished(world) == 0, "it relays", every=0.005)
        time.sleep(delay)
        begin = time.monotonic()
        assert ingestor.stop() == 0
        assert time.monotonic() - begin < 10
        left.append(unpublished(world))
    world.start_ingestor()
    wait_published(world)
    assert check_each_once(world) == 8000


def test_topic_recreated_under_the_relay(world):
    """Deleted and made again while the relay holds it open: positions of the old one say nothing of the new one."""
    world.create_topic(partitions=2)
    world.create_pipeline()
    ingestor = world.start_ingestor()
    Events(400, seed=317, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    world.broker.delete_topic(dlq(world))
    world.broker.create_topic(dlq(world), 2)
    Events(100, seed=318, broken=100).send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    assert ingestor.alive()
    ids = [headers(m)["millrace-id"] for m in read_topic(world, dlq(world))]
    assert len(ids) == len(set(ids)) == 100, f"{len(ids)} messages of {len(set(ids))} dead letters"


def test_what_was_replayed_is_not_published_again(world):
    """A replay that passes writes a new version of a letter that is out; the relay must not take it for one that is not."""
    world.create_topic()
    world.create_pipeline()
    ingestor = world.start_ingestor()
    events = Events(1000, seed=319, db_refused=100)
    events.send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    world.db.run("ALTER TABLE reading DROP CONSTRAINT reading_value_check")
    world.db.run(f"SELECT millrace.replay('{world.pipeline_name}', rate => 1000000)")
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE state = 'replayed'") == 1000, "replayed")
    # by the index the relay reads, whose condition nobody checks again
    with world.db.session() as s:
        s.run("SET enable_seqscan = off")
        assert s.value("SELECT count(*) FROM millrace.dead_letter WHERE pipeline_id = 1 AND published_at IS NULL") == 0
    holds_for(lambda: ingestor.metric("millrace_ingestor_relay_published_total") == 1000, "none goes out again", 2.5)
    assert check_each_once(world) == 1000
