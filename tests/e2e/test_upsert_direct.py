"""Upserts of a plain table, which go without ON CONFLICT, beside other sessions that are at the same keys. The lane is played by
hand, the engine is real."""
import json
import random

import pytest
from lib.cluster import Cluster
from lib.wait import wait_for
from lib.world import World, ensure_roles

from test_target_changes import Feed

UPSERT = dict(on_conflict="update", conflict_key=["n"])
TABLE = "CREATE TABLE t (n int PRIMARY KEY, v text, kept text DEFAULT 'default')"

# The table's second index waits where the value is "wait": behind the look at the keys of a batch, in front of its first entry
WAITING = """
    CREATE FUNCTION waiting(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN IF v = 'wait' THEN PERFORM pg_advisory_xact_lock(4711); END IF; RETURN v; END $$;
    CREATE INDEX t_waits ON t (waiting(v))"""


def upsert(n, v="new", **more):
    return json.dumps(dict(n=n, v=v, **more))


def wait_blocked(world, what="the worker waits"):
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                    " AND backend_type LIKE 'millrace worker%%' AND wait_event_type = 'Lock'") == 1, what, 30)


def fill(world, *rows):
    world.db.run("INSERT INTO t " + ", ".join(["VALUES (%s, 'old', 'old')"] + ["(%s, 'old', 'old')"] * (len(rows) - 1)), rows)


def test_no_row_is_locked_or_inserted_by_itself(world):
    """What it saves: one record of the log for a page of new rows, one for a row that is replaced."""
    world.db.run("CREATE EXTENSION pg_walinspect")
    feed = Feed(world, TABLE, **UPSERT)
    fill(world, *range(50))
    world.db.run("CHECKPOINT")
    start = world.db.value("SELECT pg_current_wal_insert_lsn()")
    feed.send(*(upsert(n) for n in range(100))).settled()
    wrote = dict(world.db.run("""
        SELECT resource_manager || ' ' || split_part(record_type, '+', 1), count(*)
        FROM pg_get_wal_records_info(%s, pg_current_wal_flush_lsn())
        WHERE block_ref LIKE '%%/' || pg_relation_filenode('t') || ' %%' AND resource_manager LIKE 'Heap%%' GROUP BY 1""", (start,)))
    assert wrote.get("Heap LOCK", 0) == wrote.get("Heap INSERT", 0) == 0 < wrote["Heap2 MULTI_INSERT"], wrote
    assert wrote.get("Heap UPDATE", 0) + wrote.get("Heap HOT_UPDATE", 0) == 50, wrote
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t WHERE v = 'new'") == [(100, 100)]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_rows_another_session_is_at(world, end):
    """One is updated, one deleted, one inserted by a transaction that has not ended: the worker waits for it, and what it sees then counts."""
    feed = Feed(world, TABLE, **UPSERT)
    fill(world, 1, 2, 3, 4)
    with world.db.session(autocommit=False) as other:
        other.run("UPDATE t SET kept = 'other' WHERE n = 2")
        other.run("DELETE FROM t WHERE n = 3")
        other.run("INSERT INTO t VALUES (5, 'other', 'other')")
        feed.send(*(upsert(n) for n in (1, 2, 3, 4, 5, 6)))
        wait_blocked(world)
        other.run(end)
    counters = feed.settled()
    assert counters["written"] == 6 and counters["dead"] == 0, counters
    found = {"commit": ["old", "other", "default", "old", "other", "default"],
             "rollback": ["old", "old", "old", "old", "default", "default"]}[end]
    assert feed.rows() == [(n, "new", kept) for n, kept in zip(range(1, 7), found)]


def test_keys_that_change_behind_the_look(world):
    """Other sessions insert, update, delete and replace rows whose keys were looked up already, and commit."""
    feed = Feed(world, TABLE, **UPSERT)
    fill(world, 2, 3, 5)
    world.db.run(WAITING)
    with world.db.session(autocommit=False) as gate, world.db.session() as other:
        gate.run("SELECT pg_advisory_xact_lock(4711)")
        feed.send(upsert(1, "wait"), *(upsert(n) for n in (2, 3, 4, 5, 6)))
        wait_blocked(world)
        other.run("UPDATE t SET kept = 'other' WHERE n = 2")
        other.run("DELETE FROM t WHERE n = 3")
        other.run("DELETE FROM t WHERE n = 5; INSERT INTO t VALUES (5, 'other', 'other')")
        gate.run("rollback")
    counters = feed.settled()
    assert counters["written"] == 6 and counters["dead"] == 0, counters
    assert feed.rows() == [(1, "wait", "default"), (2, "new", "other"), (3, "new", "default"), (4, "new", "default"),
                           (5, "new", "other"), (6, "new", "default")]


def test_a_key_that_comes_behind_the_look(world):
    """It is the index that says so; the rows are written by ON CONFLICT then, none fails and none comes twice."""
    feed = Feed(world, TABLE, **UPSERT)
    world.db.run(WAITING)
    with world.db.session(autocommit=False) as gate, world.db.session() as other:
        gate.run("SELECT pg_advisory_xact_lock(4711)")
        feed.send(upsert(1, "wait"), upsert(2), upsert(3))
        wait_blocked(world)
        other.run("INSERT INTO t VALUES (2, 'other', 'other')")
        gate.run("rollback")
    counters = feed.settled()
    assert (counters["written"], counters["dead"]) == (3, 0), counters
    assert feed.rows() == [(1, "wait", "default"), (2, "new", "other"), (3, "new", "default")]


def test_a_worker_that_ends_in_the_middle(world):
    """Nothing of the batch is there; the next one does all of it."""
    feed = Feed(world, TABLE, **UPSERT)
    fill(world, 1, 3)
    world.db.run(WAITING)
    with world.db.session(autocommit=False) as gate, world.db.session() as other:
        gate.run("SELECT pg_advisory_xact_lock(4711)")
        feed.send(upsert(1), upsert(2, "wait"), upsert(3))
        wait_blocked(world)
        first = world.db.value("SELECT pid FROM millrace.workers WHERE pipeline = %s", (world.pipeline_name,))
        other.run("SELECT pg_terminate_backend(%s)", (first,))
        wait_for(lambda: other.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (first,)) == 0, "it is gone", 30)
        assert feed.rows() == [(1, "old", "old"), (3, "old", "old")]
        gate.run("rollback")
    counters = feed.settled()
    assert counters["written"] == 3 and counters["dead"] == 0, counters
    assert feed.rows() == [(1, "new", "old"), (2, "wait", "default"), (3, "new", "old")]


def test_update_revoked_while_it_runs(world):
    """Trouble of the pipeline, not of an event."""
    feed = Feed(world, TABLE, **UPSERT)
    feed.send(upsert(1)).settled()
    world.db.run("ALTER TABLE t OWNER TO postgres; GRANT SELECT, INSERT ON t TO app")
    feed.send(upsert(1, "newer"))
    wait_for(lambda: world.db.value("SELECT status FROM millrace.pipelines WHERE name = %s", (world.pipeline_name,)) == "breaker open",
             "the breaker opens", 20)
    assert feed.rows() == [(1, "new", "default")] and world.counters()["dead"] == 0
    world.db.run("GRANT UPDATE ON t TO app")
    feed.settled()
    assert feed.rows() == [(1, "newer", "default")]


def test_keys_that_only_the_index_takes_for_one(world):
    """Two rows of a batch are one by the index, not by the order of the keys; in one buffer of rows, and in two."""
    feed = Feed(world, """
        CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (n text COLLATE "C" NOT NULL, v text, kept text DEFAULT 'default');
        CREATE UNIQUE INDEX t_n ON t (n COLLATE blind)""", fields="n text, v text", **UPSERT)
    fill(world, "a")
    many = [f"D{i:05}" for i in range(2500)]
    counters = feed.send(*(upsert(n, n) for n in ("A", "a", "B", "b", "C", *many, "c"))).settled()
    assert counters["written"] == 2506 and counters["dead"] == 0, counters
    assert feed.rows("SELECT n, lower(v), kept FROM t WHERE n NOT LIKE 'D%%' ORDER BY lower(n)") == [
        ("a", "a", "old"), ("B", "b", "default"), ("C", "c", "default")]


@pytest.fixture(scope="module")
def published_world(broker):
    """Of a server whose tables may be replicated."""
    cluster = Cluster("logical", settings=dict(wal_level="'logical'")).init().start()
    ensure_roles(cluster)
    world = World(cluster, broker, "published")
    yield world
    world.close()
    cluster.stop("immediate")


def test_a_subscriber_can_apply_it(published_world):
    """What one row gives up in a unique column another one of its batch takes, which is a new one: the log has them in this order."""
    world = published_world
    ddl = "CREATE TABLE t (n int PRIMARY KEY, one int UNIQUE)"
    feed = Feed(world, ddl, fields="n int, one int", transform="SELECT n, one FROM event", **UPSERT)
    world.db.run("INSERT INTO t VALUES (1, 10), (3, 30); CREATE PUBLICATION p FOR TABLE t")
    copy = world.cluster.create_database("copy")
    copy.run(ddl + "; INSERT INTO t VALUES (1, 10), (3, 30)")
    world.db.run("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')")
    copy.run(f"CREATE SUBSCRIPTION s CONNECTION 'host={world.cluster.dir} user=postgres dbname={world.db.name}' PUBLICATION p"
             " WITH (create_slot = false, slot_name = 'copy', copy_data = false)")
    feed.send(*(json.dumps(dict(n=n, one=one)) for n, one in ((1, 11), (2, 10), (3, 31), (4, 30)))).settled()
    rows = [(1, 11), (2, 10), (3, 31), (4, 30)]
    assert feed.rows() == rows
    wait_for(lambda: copy.run("SELECT * FROM t ORDER BY 1") == rows, "the subscriber has them", 30)
    copy.run("DROP SUBSCRIPTION s")


# What ON CONFLICT makes of the same events: a trigger that does nothing makes the target one that is not plain
PLANNED = """
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER nothing BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()"""
MODEL = """
    CREATE TABLE t (gone int, a text COLLATE "C", b numeric, at int, v text CHECK (v <> 'bad'), one int UNIQUE, big text,
                    kept int DEFAULT 7 CHECK (kept > 0), UNIQUE (b, a));
    ALTER TABLE t DROP COLUMN gone;
    CREATE INDEX t_at ON t USING brin (at);
    CREATE INDEX t_v ON t (v) WHERE at > 3"""


def model_events(seed):
    """Few keys in several batches: equal numerics of another form, nulls, refused values, another unique column, values out of line."""
    rng = random.Random(seed)
    for _ in range(rng.randrange(4, 8)):
        yield [json.dumps(dict(a=rng.choice(["x", "y", None]), b=rng.choice(["1", "1.0", "2", "3", None]), at=rng.choice([None, *range(9)]),
                               v=rng.choice(["bad", "u", "v", "w", "z"]), one=rng.choice([None] * 12 + [1, 2]),
                               big=rng.choice([None, "b", "b" * 9000])))
               for _ in range(rng.randrange(1, 40))]


@pytest.mark.parametrize("newer_by", [None, "at"])
def test_rows_are_those_of_on_conflict(world, newer_by):
    """The same batches into a plain table and into one with a trigger: rows, values that stay, and what became of the events."""
    outcomes = []
    for ddl in (MODEL, MODEL + ";" + PLANNED):
        feed = Feed(world, ddl, fields="a text, b numeric, at int, v text, one int, big text",
                    transform="SELECT a, b, at, v, one, big FROM event", on_conflict="update", conflict_key=["a", "b"], max_retries=0,
                    **({"newer_by": newer_by} if newer_by else {}))
        for i, batch in enumerate(batch for seed in range(3) for batch in model_events(seed)):
            feed.send(*batch).settled()
            if i == 4:
                world.db.run("UPDATE t SET kept = 8 WHERE b = 1")
        counters = world.counters()
        letters = world.db.run("""SELECT "offset", stage, sqlstate, message, detail FROM millrace.dead_letter ORDER BY 1""")
        outcomes.append(([counters[k] for k in ("written", "superseded", "dead", "rows")], letters,
                         feed.rows("SELECT a, b::text, at, v, one, md5(big), kept FROM t ORDER BY t::text")))
        feed.lane.close()
        world.db.run("SELECT millrace.drop_pipeline(%s, discard_dead_letters => true)", (world.pipeline_name,))
        world.db.run("DROP TABLE t")
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0][2] > 0 and len(outcomes[0][2]) > 4
