"""Topics of a pipeline: lists and patterns, each of their partitions exactly once; and its other names in Kafka."""
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from lib.dead_letters import check_each_once, headers, read_topic, wait_published
from lib.events import Events
from lib.wait import LIMIT, holds_for, wait_for

QUICK = ("--topic-refresh", "1s", "--poll-interval", "500ms")


def positions(world):
    """{(topic, partition): next offset}"""
    return {(t, p): o for t, p, o in world.db.run("SELECT topic, partition, next_offset FROM millrace.partitions WHERE pipeline = %s",
                                                  (world.pipeline_name,))}


def wait_read(world, *topics, timeout=LIMIT):
    """All of these topics is settled, and nothing of another one."""
    expected = {(t, p): high for t in topics for p, (low, high) in enumerate(world.broker.watermarks(t))}
    try:
        wait_for(lambda: positions(world) == expected, f"{topics} are read", timeout, every=0.1)
    except AssertionError as e:
        raise AssertionError(f"{e}; {positions(world)}, expected {expected}; {world.db.run('SELECT * FROM millrace.doctor()')} {world.describe()}")


def send(world, topic, *bodies):
    producer = Producer({"bootstrap.servers": world.broker.address})
    for body in bodies:
        producer.produce(topic, body, partition=0)
    assert producer.flush(120) == 0


def tenants(world, name, topic, **arguments):
    """A small pipeline over several topics."""
    with world.db.session("app") as s:
        s.run("CREATE TABLE IF NOT EXISTS tenant (pipeline text, topic text, id bigint)")
    world.create_pipeline(name=name, topic=topic, target="tenant", fields="id bigint NOT NULL",
                          transform=f"SELECT '{name}' AS pipeline, topic, id FROM event", **arguments)


def found(world, name):
    return world.db.run("SELECT topic, id FROM tenant WHERE pipeline = %s ORDER BY topic, id", (name,))


def groups(world):
    admin = AdminClient({"bootstrap.servers": world.broker.address})
    return {g.id for g in admin.list_groups(timeout=LIMIT)}


def test_group_prefix_changes_while_running(world):
    """Another group and another transactional id: positions stay, nothing is lost or doubled, dead letters neither."""
    world.create_topic()
    world.create_pipeline(group_prefix="team-a.")
    world.start_ingestor()
    first = Events(3000, seed=2801, broken=50)
    first.send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    name = f"millrace.{world.db.value('SELECT id FROM millrace.instance')}.{world.pipeline_name}"
    assert {g for g in groups(world) if g.endswith(name)} == {"team-a." + name}
    second = Events(20000, seed=2802, broken=50)
    generator = world.start_generator(second)
    world.db.run(f"SELECT millrace.alter_pipeline('{world.pipeline_name}', group_prefix => 'team-b-')")
    wait_for(lambda: not generator.alive(), "all is sent")
    world.wait_settled()
    wait_for(lambda: "team-b-" + name in groups(world), "the new group is joined")
    wait_published(world)
    world.check(first, second)
    check_each_once(world)


def test_pattern_and_a_topic_that_appears(world):
    """Topics with different numbers of partitions, one of them new while it runs, ingestors killed: each event once."""
    a, b, c = (f"{world.name}.{t}" for t in "abc")
    world.broker.create_topic(a, 1)
    world.broker.create_topic(b, 4)
    world.broker.create_topic("not-" + a, 1)
    world.broker.create_topic(world.pipeline_name + ".dlq", 2)  # the pattern would match it
    batches = [Events(6000, seed=2810, broken=20), Events(9000, seed=2811, broken=20), Events(7000, seed=2812, broken=20)]
    world.create_pipeline(topic=rf"^{world.name}\..*", workers=2)
    ingestor = world.start_ingestor(*QUICK)
    batches[0].send(world.broker, a)
    batches[1].send(world.broker, b)
    wait_for(lambda: world.counters()["events"] > 2000, "it works")
    ingestor.kill()
    other = world.start_ingestor(*QUICK)
    world.broker.create_topic(c, 3)
    batches[2].send(world.broker, c)
    wait_for(lambda: any(t == c for t, _ in positions(world)), "the new topic is found")
    other.kill()
    world.start_ingestor(*QUICK)
    world.start_ingestor(*QUICK)
    wait_read(world, a, b, c)
    world.check(*batches)
    # dead letters: true coordinates, each once in the topic
    wait_published(world)
    letters = {headers(m)["millrace-id"].decode().split("/", 2)[2]: m for m in read_topic(world, world.pipeline_name + ".dlq")}
    known = world.db.run('SELECT topic, partition, "offset", payload, key FROM millrace.dead_letters')
    assert sorted(letters) == sorted(f"{t}/{p}/{o}/0" for t, p, o, _, _ in known) and len(known) > 100
    assert {t for t, *_ in known} == {a, b, c}
    for t, p, o, payload, key in known:
        message = letters[f"{t}/{p}/{o}/0"]
        assert headers(message)["kafka_dlt-original-topic"].decode() == t
        assert message.partition() == p % 2, "where a letter goes follows from its partition"
    for t, p, o, _, _ in known[::500]:
        status = world.db.run("SELECT pipeline, status FROM millrace.event_status(%s, %s, %s)", (t, p, o))
        assert status == [(world.pipeline_name, "dead")]
    # the transform saw them, too
    assert world.db.value("SELECT count(DISTINCT kafka_partition) FROM reading") == 4
    assert world.broker.partitions(world.pipeline_name + ".dlq") == 2


def test_list_position_of_each_topic(world):
    """rewind, skip_to, lag and event_status name a topic and its partition."""
    a, b = world.name + ".a", world.name + "-b"
    world.broker.create_topic(a, 2)
    world.broker.create_topic(b, 1)
    tenants(world, world.pipeline_name, f"{a}, {b}", on_conflict="error")
    send(world, a, *[f'{{"id": {n}}}' for n in range(1, 4)])
    send(world, b, *[f'{{"id": {n}}}' for n in range(11, 13)])
    ingestor = world.start_ingestor(*QUICK)
    wait_read(world, a, b)
    assert found(world, world.pipeline_name) == [(b, 11), (b, 12), (a, 1), (a, 2), (a, 3)]
    name = world.pipeline_name
    assert world.db.value("SELECT status FROM millrace.event_status(%s, 0, 1)", (b,)) == "processed"
    assert world.db.value("SELECT status FROM millrace.event_status(%s, 1, 1)", (b,)) == "unknown"
    with world.db.session("app") as s:
        s.run("SELECT millrace.rewind(%s, \"offset\" => 1, topic => %s, partition => 0, allow_duplicates => true)", (name, a))
        wait_for(lambda: len(found(world, name)) == 7, "two of the one topic come again")
        assert found(world, name).count((a, 1)) == 1 and found(world, name).count((a, 3)) == 2
        assert s.value("SELECT millrace.rewind(%s, to_time => '-infinity', topic => %s, allow_duplicates => true)", (name, b)) == 1
        wait_for(lambda: len(found(world, name)) == 9, "all of the other")
        s.run("SELECT millrace.pause(%s)", (name,))
        send(world, b, '{"id": 13}', '{"id": 14}')
        wait_for(lambda: s.run("SELECT topic, partition, lag FROM millrace.lag WHERE lag > 0") == [(b, 0, 2)], "its lag is shown")
        assert s.value("SELECT millrace.skip_to(%s, 0, 3, topic => %s)", (name, b)) == 1
        s.run("SELECT millrace.resume(%s)", (name,))
    wait_read(world, a, b)
    assert (b, 13) not in found(world, name) and (b, 14) in found(world, name)
    changes = world.db.run("SELECT topic, partition, verb, to_offset FROM millrace.position_changes WHERE verb <> 'start' ORDER BY at")
    assert changes == [(a, 0, "rewind", 1), (b, 0, "rewind", 0), (b, 0, "skip_to", 3)]
    # one that is not there is named, and keeps nobody from reading the others
    world.broker.delete_topic(a)
    wait_for(lambda: a in str(world.db.run("SELECT kafka_error, kafka_hint FROM millrace.ingestors")), "the missing topic is reported")
    wait_for(lambda: a in ingestor.get("/readyz")[1], "/readyz names it")
    send(world, b, '{"id": 15}')
    wait_for(lambda: (b, 15) in found(world, name), "the other one is read")


def test_pattern_grants_overlap_and_new_topics(world):
    """A pattern that matches nothing yet; one pipeline's DLQ in another one's pattern; what is not granted is named, not read."""
    world.db.run("SELECT millrace.revoke_topics('app', read => '{*}'), millrace.grant_topics('app', read => %s)",
                 ([world.name + ".open.*"],))
    tenants(world, "wide", rf"^{world.name}\..*", dlq=world.name + ".open.letters")
    tenants(world, "narrow", rf"^{world.name}\.open\..*", dlq=world.name + ".open.narrow", start_at="latest")
    ingestor = world.start_ingestor(*QUICK)
    ingestor.wait_ready()
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.pipeline WHERE looked_at IS NOT NULL") == 2, "both have looked")
    yet = "SELECT count(*) FROM millrace.doctor() WHERE severity = 'info' AND what LIKE '%matches%yet'"
    wait_for(lambda: world.db.value(yet) == 2, "doctor() says that they match nothing yet")
    one, closed = world.name + ".open.one", world.name + ".closed"
    for topic in (one, closed):
        world.broker.create_topic(topic, 1)
        send(world, topic, '{"id": 1}', "no json")
    # what appears later is read from its beginning, whatever start_at says
    for name in ("wide", "narrow"):
        wait_for(lambda: found(world, name) == [(one, 1)], f"{name} reads the granted topic")
    wait_published(world)
    holds_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter") == 2, "no letter is an event", 3)
    doctor = wait_for(lambda: world.db.run("SELECT detail, command FROM millrace.doctor() WHERE what LIKE '%not granted'"), "doctor() says so")
    assert len(doctor) == 1 and closed in doctor[0][0] and closed in doctor[0][1]
    world.db.run(doctor[0][1].split(": ", 1)[1])
    wait_for(lambda: found(world, "wide") == [(closed, 1), (one, 1)], "granted, it is read")
    assert found(world, "narrow") == [(one, 1)]
    assert world.db.run("SELECT topic FROM millrace.topics ORDER BY pipeline, topic") == [(one,), (closed,), (one,)]


def test_topic_of_a_pattern_deleted_and_recreated(world):
    """Gone, it is no trouble; back as another one, its partition stops with the command that names it."""
    a, b = world.name + ".a", world.name + ".b"
    for topic in (a, b):
        world.broker.create_topic(topic, 1)
        send(world, topic, '{"id": 1}')
    tenants(world, world.pipeline_name, rf"^{world.name}\..*")
    world.start_ingestor(*QUICK, topic_metadata_refresh_interval_ms="1000")
    wait_read(world, a, b)
    world.broker.delete_topic(a)
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.topics WHERE gone_at IS NOT NULL") == 1, "it is gone")
    wait_for(lambda: world.db.value("SELECT status FROM millrace.pipelines") == "running", "no trouble")
    send(world, b, '{"id": 2}')
    wait_for(lambda: (b, 2) in found(world, world.pipeline_name), "the other one is read")
    world.broker.create_topic(a, 1)
    send(world, a, '{"id": 7}', '{"id": 8}', '{"id": 9}')

    def stopped():
        return world.db.run("SELECT topic, partition, hint FROM millrace.partitions WHERE state = 'stopped'")
    (topic, partition, hint), = wait_for(stopped, "its partition is stopped")
    assert (topic, partition) == (a, 0) and f"topic => '{a}', partition => 0" in hint
    wait_for(lambda: f'partition 0 of topic "{a}"' in (world.db.value("SELECT reason FROM millrace.pipelines") or ""), "the view says so")
    with world.db.session("app") as s:
        s.run(hint[hint.index("SELECT millrace.rewind"):].split(";")[0])
    wait_for(lambda: [r for r in found(world, world.pipeline_name) if r[0] == a] == [(a, 1), (a, 7), (a, 8), (a, 9)], "all of the new one is read")
