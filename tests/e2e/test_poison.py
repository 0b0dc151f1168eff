"""One event that only the database refuses, among 20,000: one dead letter and 20,000 rows."""
import pytest

from lib.events import Events
from test_kafka_shapes import produce

POISON_ID = "00000000-0000-4000-8000-000000000001"


def event(**fields):
    import json
    body = dict({"id": POISON_ID, "type": "power", "source": "sensor-0001", "ts": "2026-03-01T00:00:00.000Z",
                 "value": 1.0, "unit": "W"}, **fields)
    return {"key": b"sensor-0001", "value": json.dumps(body).encode()}


TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.unit = 'poison' THEN RAISE EXCEPTION 'no poison here' USING ERRCODE = 'MR999'; END IF;
        RETURN new;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION refuse()"""

DEFERRED = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.unit = 'poison' THEN RAISE EXCEPTION 'no poison here' USING ERRCODE = 'MR999'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON reading DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()"""


@pytest.mark.parametrize("kind, setup, poison, stage, sqlstate", [
    ("nul", None, event(type="po\u0000wer"), "decode", "22P05"),
    ("check", None, event(value=5e6), "write", "23514"),
    ("not_null", None, event(source="stranger"), "write", "23502"),
    ("trigger", TRIGGER, event(unit="poison"), "write", "MR999"),
    ("deferred_trigger", DEFERRED, event(unit="poison"), "write", "MR999"),
    ("division", None, event(value=77, unit="divide"), "transform", "22012"),
    ("unique", "CREATE UNIQUE INDEX ON reading (id)", event(), "write", "23505"),
], ids=["nul", "check", "not_null", "trigger", "deferred_trigger", "division", "unique"])
def test_poison(world, kind, setup, poison, stage, sqlstate):
    world.create_topic()
    if setup:
        world.db.run(setup)
    extra = {}
    if kind == "division":
        from lib.world import TRANSFORM
        extra["transform"] = TRANSFORM.replace("ELSE event.value END", "WHEN event.unit = 'divide' THEN 1 / (event.value - 77)"
                                               " ELSE event.value END")
    if kind == "unique":
        world.db.run("INSERT INTO reading (id, type, source, site, ts, value, unit, kafka_partition, kafka_offset)"
                     " VALUES (%s, '', '', '', now(), 0, '', -1, -1)", (POISON_ID,))
    first = Events(10000, seed=91)
    first.send(world.broker, world.topic)
    produce(world, poison)
    second = Events(10000, seed=92)
    second.send(world.broker, world.topic)
    world.create_pipeline(**extra)
    world.start_ingestor()
    world.wait_settled()
    assert world.db.value("SELECT count(*) FROM reading WHERE kafka_partition >= 0") == 20000
    dead = world.dead_letters()
    assert len(dead) == 1
    payload, key, found_stage, found_sqlstate, message, *_ = dead[0]
    assert bytes(payload) == poison["value"] and bytes(key) == b"sensor-0001"
    assert (found_stage, found_sqlstate) == (stage, sqlstate), message


def test_many_poisons_cost_few_transaction_ids(world):
    """1 % broken, half by decode and half by the database."""
    world.create_topic()
    events = Events(100000, seed=93, broken=0.5, db_refused=0.5)
    events.send(world.broker, world.topic)
    world.create_pipeline()
    before = world.db.value("SELECT pg_current_xact_id()::text::bigint")
    world.start_ingestor()
    world.wait_settled()
    used = world.db.value("SELECT pg_current_xact_id()::text::bigint") - before
    world.check(events)
    assert used / 100000 <= 0.05, f"{used} transaction ids"


def test_all_poison(world):
    world.create_topic(partitions=2)
    events = Events(5000, seed=94, db_refused=100)
    events.send(world.broker, world.topic)
    world.create_pipeline()
    world.start_ingestor()
    world.wait_settled()
    world.check(events)
