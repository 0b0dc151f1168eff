"""ordering => 'key' against a model: whatever fails at random, and whoever is killed, the events of a key take effect in the
order of their offsets, each once, unless it is a dead letter."""
import json
import random
from collections import defaultdict

import pytest
from confluent_kafka import Producer

from lib.wait import wait_for
from test_failures import QUICK, kill_something, query

PARTITIONS = 3

# A fifth of the tries fails in the trigger, a tenth in the transform: neither says anything of the event.
SCHEMA = """
    CREATE TABLE written (seq bigserial, key text, partition int, "offset" bigint);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF random() < 0.2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = 'ZZ001'; END IF;
        RETURN NEW;
      END $$;
    CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO written (key, partition, "offset") VALUES (NEW.key, NEW.partition, NEW.n);
        RETURN NEW;
      END $$;
    CREATE FUNCTION stumble(n bigint) RETURNS bigint VOLATILE LANGUAGE plpgsql AS $$
      BEGIN
        IF random() < 0.1 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = 'ZZ002'; END IF;
        RETURN n;
      END $$;"""
TARGETS = {
    "append": """CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), key text, partition int, n bigint, v text CHECK (v <> 'bad'))""",
    "upsert": """CREATE TABLE t (key text, partition int, n bigint, v text CHECK (v <> 'bad'), PRIMARY KEY (partition, key))""",
}
TRIGGERS = """
    CREATE TRIGGER a BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER b AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION record();"""


def some_busy_keys(draw):
    """A few are busy, many idle; some events have none."""
    return draw.choice(["hot", f"k{draw.randrange(10)}", f"k{draw.randrange(200)}", None])


def produce(world, draw, count, draw_key, padding=0):
    """Events with keys by draw_key(draw); some are broken. Returns (partition, offset, key, fate) of each."""
    sent = []
    producer = Producer({"bootstrap.servers": world.broker.address, "linger.ms": 5})
    for _ in range(count):
        name = draw_key(draw)
        fate = draw.choices(["fine", "refused", "broken", "filtered"], [90, 3, 2, 5])[0]
        payload = "{" if fate == "broken" else json.dumps({"v": {"refused": "bad", "filtered": "no"}.get(fate, "x"),
                                                          "pad": draw.randbytes(padding // 2).hex()})
        partition = draw.randrange(PARTITIONS) if name is None else hash_of(name) % PARTITIONS

        def note(error, message, name=name, fate=fate):
            assert error is None, error
            sent.append((message.partition(), message.offset(), name, fate))
        producer.produce(world.topic, payload, name, partition=partition, on_delivery=note)
    producer.flush(120)
    assert len(sent) == count
    return sent


def hash_of(name):
    return sum(name.encode())


COUNTED = """
    SELECT s.parked = (SELECT count(*) FROM millrace.retry WHERE state = 'parked')
           AND s.dead_letters_open = (SELECT count(*) FROM millrace.dead_letter WHERE state = 'open')
    FROM millrace.stats AS s"""


def counts_are_true(world):
    """What waits, and what is open, is counted without being counted: in each snapshot the figures are those of the rows."""
    found = query(world, COUNTED)
    if not found:
        return False
    assert found[0][0], query(world, "SELECT * FROM millrace.stats")
    return True


def discard_some(world):
    """What holds a key is released, now and then."""
    return query(world, f"SELECT millrace.discard('{world.pipeline_name}', 'true')") is not None


def start(world, target, on_dead, **settings):
    """Topic, target, pipeline and ingestor."""
    world.create_topic(partitions=PARTITIONS)
    with world.db.session("app") as s:
        s.run(SCHEMA + TARGETS[target] + ";" + TRIGGERS)
    upsert = dict(on_conflict="update", conflict_key=["partition", "key"]) if target == "upsert" else {}
    world.create_pipeline(
        fields="v text", target="t", ordering="key", on_dead=on_dead, transform="""
            SELECT coalesce(convert_from(event.key, 'UTF8'), format('none-%s', event."offset")) AS key, event.partition,
                   stumble(event."offset") AS n, event.v FROM event WHERE event.v <> 'no'""",
        **dict(dict(workers=2, max_retries=1000, **QUICK), **upsert, **settings))
    with world.db.session("app") as s:
        for state in ("ZZ001", "ZZ002"):
            s.run("SELECT millrace.set_error_class(%s, 'retry', pipeline => %s)", (state, world.pipeline_name))
    world.start_ingestor()


@pytest.mark.parametrize("target, on_dead", [("append", "release"), ("append", "hold"), ("upsert", "release"), ("upsert", "hold")])
def test_order_of_keys_under_random_failures(world, target, on_dead):
    seed = random.SystemRandom().randrange(10**9)
    draw = random.Random(seed)
    start(world, target, on_dead, max_parked=500, max_parked_per_key=100, batch_rows=200)
    sent = produce(world, draw, 1500, some_busy_keys)
    if on_dead == "release":
        for _ in range(2):
            kill_something(world, draw)
    settled = lambda: counts_are_true(world) and discard_some(world) and world.lag() == 0 and world.counters()["events"] == len(sent) and \
        world.db.value("SELECT count(*) FROM millrace.retry") == 0
    wait_for(settled, f"all settled (seed {seed})", every=0.2)
    assert counts_are_true(world) and world.db.value("SELECT parked FROM millrace.stats") == 0, seed
    check(world, sent, target, f"seed {seed}")


def check(world, sent, target, seed):
    dead = {(p, o) for p, o in world.db.run("SELECT partition, \"offset\" FROM millrace.dead_letter")}
    broken = {(p, o) for p, o, _, fate in sent if fate == "broken"}
    refused = {(p, o) for p, o, _, fate in sent if fate == "refused"}
    # an upsert does not try a row that another one of the batch takes the place of
    assert broken <= dead <= broken | refused if target == "upsert" else dead == broken | refused, seed
    fine = {(p, o) for p, o, _, fate in sent if fate == "fine"}
    written = world.db.run("SELECT key, partition, \"offset\" FROM written ORDER BY seq")
    found = [(p, o) for _, p, o in written]
    assert len(found) == len(set(found)), f"{seed}: written twice"
    if target == "append":
        assert set(found) == fine, seed
    else:
        last = {}
        for p, o, name, fate in sent:
            if fate == "fine" and name is not None:
                last[p, name] = max(o, last.get((p, name), -1))
        rows = {(p, key): n for key, p, n in world.db.run("SELECT key, partition, n FROM t WHERE key NOT LIKE 'none-%'")}
        assert rows == last, seed
    order = defaultdict(list)
    for key, partition, offset in written:
        order[partition, key].append(offset)
    wrong = {k: o for k, o in order.items() if o != sorted(o)}
    assert not wrong, f"{seed}: out of order {wrong}"
