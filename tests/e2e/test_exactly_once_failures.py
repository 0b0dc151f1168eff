"""Exactly once, for events that fail: rows, retries, dead letters and the DLQ topic, whatever is killed meanwhile.
What must have become of each event is made again from the seed and compared."""
import collections
import random
import threading
import time

from confluent_kafka import Producer

from lib.cluster import ConnectionLost, Database
from lib.dead_letters import dlq, headers, read_topic, wait_published
from lib.events import compare
from lib.wait import LIMIT, wait_for
from test_exactly_once import dice, kill_broker, kill_ingestor, kill_postmaster, kill_worker

PARTITIONS = 4
MAX_RETRIES = 80  # some 24 s of tries: enough for a key that is late, whatever is killed and started again meanwhile
SLICES = 10  # of time; a late event needs the key of its slice, which comes when the slice is over
NEVER = 999  # the key that never comes
SCHEMA = """
    CREATE TABLE parent (n int PRIMARY KEY);
    INSERT INTO parent VALUES (0);
    CREATE TABLE t (id int NOT NULL, parent int NOT NULL REFERENCES parent, value int CONSTRAINT small CHECK (value < 1000),
                    kafka_partition int, kafka_offset bigint);
    ALTER TABLE parent OWNER TO app; ALTER TABLE t OWNER TO app"""
FIELDS = "id int NOT NULL, parent int NOT NULL, value int NOT NULL, kind text"
TRANSFORM = """SELECT id, parent, value, event.partition AS kafka_partition, event."offset" AS kafka_offset
               FROM event WHERE kind IS DISTINCT FROM 'filtered'"""

# fate: (share, stage, sqlstate and end of its dead letter)
FATES = {"row": (62, None), "late": (10, None), "filtered": (8, None), "never": (4, ("write", "23503", "exhausted")),
         "refused": (6, ("write", "23514", "permanent")), "cut": (4, ("decode", "22032", "permanent")),
         "wrong": (4, ("decode", "22P02", "permanent")), "missing": (2, ("decode", "23502", "permanent"))}


class Failing:
    """n events of a seed; event i has i as its key."""

    def __init__(self, n, seed):
        self.n, self.seed = n, seed
        draw = random.Random(seed)
        self.fates = draw.choices(list(FATES), [share for share, _ in FATES.values()], k=n)

    def key(self, i):
        return {"late": 100 + i * SLICES // self.n, "never": NEVER}.get(self.fates[i], 0)

    def payload(self, i):
        fate = self.fates[i]
        value = 5000 if fate == "refused" else i % 1000
        whole = f'{{"id":{i},"parent":{self.key(i)},"value":{value},"kind":"{fate}"}}'
        return {"cut": whole[:-3], "wrong": whole.replace(f'"value":{value}', '"value":"none"'),
                "missing": whole.replace(f'"value":{value},', "")}.get(fate, whole).encode()

    def of(self, *fates):
        return {i for i, fate in enumerate(self.fates) if fate in fates}

    def dead(self):
        return self.of(*(fate for fate, (_, letter) in FATES.items() if letter))

    def send(self, world, seconds):
        """In the background, for about so long."""
        self.sent = 0
        thread = threading.Thread(target=self._send, args=(world.broker.address, world.topic, seconds))
        thread.start()
        return thread

    def _send(self, brokers, topic, seconds):
        producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5, "log_level": "0"})
        begin = time.monotonic()
        for i in range(self.n):
            producer.produce(topic, self.payload(i), key=b"%d" % i, partition=i % PARTITIONS, headers=[("i", b"%d" % i)])
            producer.poll(max(begin + seconds * i / self.n - time.monotonic(), 0))
            self.sent = i + 1
        assert producer.flush(300) == 0


def stop_ingestor(world, draw):
    """SIGTERM; it drains and is started again."""
    ingestor = draw.choice([i for i in world.ingestors if i.alive()])
    ingestor.stop()
    ingestor.start(wait=False)


VICTIMS = [kill_ingestor, kill_worker, kill_postmaster, kill_broker, stop_ingestor]


def rampage(world, draw, n, between):
    """n kills, each kind at least once if n allows; between() after each."""
    victims = (VICTIMS + draw.choices(VICTIMS, k=n))[:n]
    draw.shuffle(victims)
    for victim in victims:
        time.sleep(draw.uniform(0.1, 1.2))  # any moment: not after a condition
        victim(world, draw)
        between()


def asked(world, sql, what="the database answers"):
    """A statement that may meet a server that is down."""
    def ask():
        try:
            world.db.run(sql)
            return True
        except ConnectionLost:
            return False
    wait_for(ask, what)


def check_rows(world, expected):
    compare("rows", expected, [r[0] for r in world.db.run("SELECT id FROM t")])
    assert world.db.value("SELECT count(*) FROM (SELECT DISTINCT kafka_partition, kafka_offset FROM t) AS d") == len(expected)


def check_counters(world, **expected):
    found = world.counters()
    found["retrying"] = world.db.value("SELECT retrying FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,))
    assert {name: found[name] for name in expected} == expected
    assert found["events"] == sum(found[k] for k in ("written", "filtered", "superseded", "skipped", "dead", "retrying"))
    assert world.db.value("SELECT count(*) FROM millrace.retry") == 0


def check_letters(world, events, expected):
    """Each that must be is dead, once, for the right reason, after the right number of tries."""
    letters = world.db.run("SELECT key, stage, sqlstate, ended, attempts, jsonb_array_length(history), payload, headers"
                           " FROM millrace.dead_letter WHERE state = 'open'")
    compare("dead letters", expected, [int(bytes(letter[0])) for letter in letters])
    for key, stage, sqlstate, ended, attempts, history, payload, packed in letters:
        i = int(bytes(key))
        assert (stage, sqlstate, ended) == FATES[events.fates[i]][1], f"event {i} {events.fates[i]}: {stage} {sqlstate} {ended}"
        assert bytes(payload) == events.payload(i) and b"%d" % i in bytes(packed)
        yield i, attempts, history


def check_topic(world, events, generations):
    """Read read_committed, each letter is there once for each time it died; the table says where the last one is."""
    copies = collections.Counter()
    places = {}
    for message in read_topic(world, dlq(world)):
        letter = headers(message)["millrace-id"].decode()
        i = int(message.key())
        coordinate = letter.rsplit("/", 1)[0]
        assert copies[letter] == 0, f"{letter} is there twice"
        copies[letter] += 1
        assert message.value() == events.payload(i)
        assert f"/{headers(message)['__connect.errors.partition'].decode()}/{headers(message)['__connect.errors.offset'].decode()}/" in letter
        places.setdefault(coordinate, {})[letter] = (message.partition(), message.offset())
    table = world.db.run("""SELECT q.origin || '/' || p.name || '/' || l.topic || '/' || l.partition || '/' || l."offset", l.replay_count,
                                   l.dlq_partition, l.dlq_offset, l.published_at IS NOT NULL, l.partition
                            FROM millrace.dead_letter AS l JOIN millrace.pipeline AS p ON p.id = l.pipeline_id
                            JOIN millrace.dlq AS q ON q.pipeline_id = p.id""")
    assert {row[0] for row in table} == set(places), "topic and table have not the same letters"
    for coordinate, replays, partition, offset, published, source in table:
        assert published and places[coordinate][f"{coordinate}/{replays}"] == (partition, offset)
        assert partition == source, "its source's partition"
        assert len(places[coordinate]) == replays + 1, f"{coordinate} died {replays + 1} times"
    assert sum(copies.values()) == generations, f"{sum(copies.values())} messages"


def start(world, seed, n):
    world.db.run(SCHEMA)
    world.create_topic(partitions=PARTITIONS)
    world.create_pipeline(fields=FIELDS, transform=TRANSFORM, target="t", workers=2, max_retries=MAX_RETRIES, retry_delay="100 ms",
                          retry_factor=1.3, retry_max_delay="300 ms")
    for _ in range(2):
        world.start_ingestor()
    return Failing(n, seed)


def wait_ended(world, timeout=LIMIT):
    """Everything has come to its end: nothing waits in Kafka, to be tried again, or to be published."""
    wait_for(lambda: world.broker._led(world.topic) == PARTITIONS, "the broker leads all partitions again")
    world.wait_settled(timeout)
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 0, "no event is tried again", timeout, every=0.2)
    wait_published(world)


def keys_come(db, events):
    """Each when its slice is over, until all are there."""
    last = 0
    while last < 100 + SLICES - 1:
        last = 100 + events.sent * SLICES // events.n - 1
        try:
            db.run("INSERT INTO parent SELECT generate_series(100, %s) ON CONFLICT DO NOTHING", (last,))
        except ConnectionLost:
            last = 0
        time.sleep(0.1)
    db.close()


def test_failing_events_end_once_whatever_is_killed(world):
    draw = dice()
    events = start(world, draw.random(), 4000)
    sender = events.send(world, seconds=14)
    # beside the kills: however long a server takes to come back, a key is late by a slice and no more
    keys = threading.Thread(target=keys_come, args=(Database(world.cluster, world.db.name), events))
    keys.start()
    rampage(world, draw, 8, lambda: None)
    sender.join()
    keys.join()
    wait_ended(world)

    check_rows(world, events.of("row", "late"))
    for i, attempts, history in check_letters(world, events, events.dead()):
        assert attempts == history == (MAX_RETRIES + 1 if events.fates[i] == "never" else 1), f"event {i}: {attempts} tries, {history} on record"
    counts = dict(filtered=len(events.of("filtered")), skipped=0, superseded=0, retrying=0, events=events.n)
    check_counters(world, written=len(events.of("row", "late")), dead=len(events.dead()), **counts)
    check_topic(world, events, len(events.dead()))

    # repaired: all that the database refused is sent back, and is written once; the rest dies again
    asked(world, f"ALTER TABLE t DROP CONSTRAINT small; INSERT INTO parent VALUES ({NEVER})")
    asked(world, f"SELECT millrace.replay('{world.pipeline_name}', rate => 100)")
    broken = events.of("cut", "wrong", "missing")
    rampage(world, draw, 5, lambda: None)
    wait_ended(world)
    check_rows(world, set(range(events.n)) - broken - events.of("filtered"))
    for i, attempts, history in check_letters(world, events, broken):
        assert (attempts, history) == (1, 2), f"event {i}"
    assert world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE state = 'replayed' AND replay_count = 0") == len(events.dead() - broken)
    check_counters(world, written=events.n - len(broken) - counts["filtered"], dead=len(broken), **counts)
    check_topic(world, events, len(events.dead()) + len(broken))
