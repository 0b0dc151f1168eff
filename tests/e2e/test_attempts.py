"""Attempts never exceed the limit, whatever fails: random pipelines whose limit is changed while they run."""
import json
import random

import pytest

from lib.wait import wait_for
from test_exactly_once import dice
from test_failures import retrying
from test_target_changes import Feed

# What an event can do, and which of its failures the classes let it repeat. `where` says which of the user's code fails.
KINDS = {
    "transform_retry": True,  # a class that set_error_class() made one to be tried again
    "custom": True,
    "foreign_key": True,
    "deferred": True,
    "trigger": False,
    "trigger_retry": True,
    "deferred_trigger": True,
    "serialization": True,
    "deadlock": True,
    "lock": True,
    "timeout": True,
    "disk": True,
    "break": None,  # 42P01: tried again when it is alone, its own fault as soon as a neighbour passes
    "check": False,
    "decode": False,
}
RAISED = {"transform_retry": "22012", "custom": "XYZ01", "serialization": "40001", "deadlock": "40P01", "lock": "55P03",
          "disk": "53100", "break": "42P01", "trigger": "P0001", "trigger_retry": "XYZ02", "deferred_trigger": "XYZ03"}
DDL = """
    CREATE TABLE parent (n int PRIMARY KEY);
    INSERT INTO parent VALUES (0);
    CREATE TABLE t (n int, kind text CHECK (kind <> 'check'), a int REFERENCES parent, b int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE repaired (yes boolean);
    CREATE FUNCTION state_of(kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '{states}'::jsonb ->> kind $$;
    CREATE FUNCTION f(kind text) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM repaired) THEN RETURN 0; END IF;
        IF kind = 'timeout' THEN PERFORM pg_sleep(10); END IF;
        IF kind NOT LIKE '%%trigger%%' AND state_of(kind) IS NOT NULL THEN RAISE 'f fails' USING ERRCODE = state_of(kind); END IF;
        RETURN 0;
    END $$;
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM repaired) OR NOT new.kind = ANY (tg_argv) THEN RETURN new; END IF;
        RAISE 'tf fails' USING ERRCODE = state_of(new.kind);
    END $$;
    CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf('trigger', 'trigger_retry');
    CREATE CONSTRAINT TRIGGER b AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tf('deferred_trigger')
    """.replace("{states}", json.dumps(RAISED)).replace("%%", "%")
TRANSFORM = """SELECT n, kind, (kind = 'foreign_key')::int AS a, (kind = 'deferred')::int AS b FROM event WHERE f(kind) = 0"""


def payload(n, kind):
    return f'{{"n":{n},"kind":"{kind}"}}' if kind != "decode" else f'{{"n":{n},"kind":'


def letters(world):
    return world.db.run("SELECT \"offset\", attempts, jsonb_array_length(history), ended, sqlstate, replay_count, state"
                        " FROM millrace.dead_letter ORDER BY id")


def check(world, kinds, limits, rounds):
    """limits: every max_retries that was in force; rounds: how often each letter died."""
    for offset, attempts, history, ended, sqlstate, *_ in letters(world):
        kind = kinds[offset]
        what = f"{kind} {sqlstate}: {attempts} attempts, {ended}, {history} on record, limits {limits}"
        assert attempts <= max(limits) + 1, what
        if KINDS[kind] is None:
            assert ended in ("permanent", "exhausted"), what
        elif KINDS[kind] and ended == "exhausted":
            # the limit may have been lowered below the attempts made
            assert attempts >= min(limits) + 1, what
        else:
            assert (attempts, ended) == (1, "permanent") and not KINDS[kind], what
        assert history <= attempts + (rounds - 1) * (max(limits) + 1), what
        assert rounds > 1 or history == attempts, what


@pytest.mark.parametrize("nth", range(4))
def test_attempts_never_exceed_the_limit_on_any_path(world, nth):
    draw = random.Random(dice().random() + nth)
    limits = [draw.randrange(6)]
    feed = Feed(world, DDL, fields="n int, kind text", transform=TRANSFORM, max_retries=limits[0], retry_delay="10 ms", dlq="off",
                retry_factor=draw.choice([1, 1.5]), retry_max_delay="50 ms", statement_timeout="150 ms", batch_rows=draw.choice([5, 100, 20000]))
    with world.db.session("app") as s:
        for state in ("22012", "XYZ01", "XYZ02", "XYZ03"):
            s.run("SELECT millrace.set_error_class(%s, 'retry', %s)", (state, world.pipeline_name))
    kinds = []
    for _ in range(3):
        # slow: each time out costs its time, in each try
        some = ["good"] * draw.randrange(8, 30) + draw.choices([k for k in KINDS if k != "timeout"], k=draw.randrange(1, 12)) \
            + ["timeout"] * draw.randrange(2)
        draw.shuffle(some)
        feed.send(*(payload(len(kinds) + i, kind) for i, kind in enumerate(some)))
        kinds += some
        limits.append(draw.randrange(6))
        with world.db.session("app") as s:
            s.run("SELECT millrace.alter_pipeline(%s, max_retries => %s)", (world.pipeline_name, limits[-1]))
    bad = sum(kind != "good" for kind in kinds)
    wait_for(lambda: world.positions() == feed.lane.positions and retrying(world) == 0, "all have come to their end")
    counters = world.counters()
    assert (counters["dead"], counters["written"]) == (bad, len(kinds) - bad)
    check(world, kinds, limits, 1)

    # again, with the limit in force now, then with the causes gone
    with world.db.session("app") as s:
        s.run("SELECT millrace.replay(%s)", (world.pipeline_name,))
    wait_for(lambda: retrying(world) == 0, "replayed in vain")
    assert {replays for *_, replays, state in letters(world)} <= {1}
    check(world, kinds, limits, 2)
    feed.ddl("INSERT INTO repaired VALUES (true); INSERT INTO parent VALUES (1); ALTER TABLE t DROP CONSTRAINT t_kind_check")
    with world.db.session("app") as s:
        s.run("SELECT millrace.replay(%s, 'sqlstate <> ''22032''')", (world.pipeline_name,))
    wait_for(lambda: retrying(world) == 0, "replayed")
    broken = kinds.count("decode")
    assert sum(state == "replayed" for *_, state in letters(world)) == bad - broken
    assert world.db.run("SELECT count(*), count(DISTINCT n) FROM t") == [(len(kinds) - broken, len(kinds) - broken)]


def test_broken_alone_again_and_again(world):
    """Class break, and no neighbour ever: tried as often as the limit says, the breaker stays closed."""
    feed = Feed(world, DDL, fields="n int, kind text", transform=TRANSFORM, max_retries=2, retry_delay="10 ms", dlq="off")
    for n, kind in enumerate(["break", "disk", "break", "disk"]):
        feed.send(payload(n, kind))
        wait_for(lambda: len(letters(world)) == n + 1, "given up")
    assert {letter[1:4] for letter in letters(world)} == {(3, 3, "exhausted")}
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]
