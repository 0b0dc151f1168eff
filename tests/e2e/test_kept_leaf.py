"""Entries of indexes are put into a leaf that is kept from one row to the next: what PostgreSQL makes of such an index afterwards."""
import pytest

from lib.events import Events
from lib.wait import wait_for

from test_target_changes import Feed
from test_upsert_direct import fill, upsert, wait_blocked

# Ascending and descending, of several columns, with more columns than the key, with many entries of a key, in two collations, of some of the rows
INDEXES = """
    CREATE TABLE {t} (id uuid PRIMARY KEY, source text COLLATE "C", ts timestamptz, value double precision, n bigint);
    CREATE UNIQUE INDEX ON {t} (source DESC, ts, id) INCLUDE (value);
    CREATE INDEX ON {t} (source COLLATE "C.utf8" DESC NULLS FIRST, n);
    CREATE INDEX ON {t} (source);
    CREATE INDEX ON {t} (value);
    CREATE INDEX ON {t} (n) WHERE value > 0;
    ALTER TABLE {t} OWNER TO app"""

# Each row has its entry, and is found from the root; parents and siblings agree
CHECK = """
    SELECT count(bt_index_parent_check(i.indexrelid, heapallindexed => true, rootdescend => true)::text)
    FROM pg_index AS i WHERE i.indrelid = %s::regclass"""


def test_a_crash_in_the_middle(world):
    """What the log has of an entry makes the same page: the server compares each when it recovers, and amcheck the whole afterwards."""
    world.create_topic(partitions=4)
    world.db.run("CREATE EXTENSION amcheck")
    world.db.run("ALTER SYSTEM SET wal_consistency_checking = 'btree'")
    world.db.run("SELECT pg_reload_conf()")
    transform = 'SELECT event.id, event.source, event.ts, event.value, event."offset" AS n FROM event'
    for name, more in (("inserted", {}), ("upserted", {"on_conflict": "update", "conflict_key": ["id"]})):
        world.db.run(INDEXES.format(t=name))
        world.create_pipeline(name=name, target=name, transform=transform, workers=2, batch_rows=1000, **more)
    try:
        world.start_ingestor()
        events = Events(12000, seed=451)
        events.send(world.broker, world.topic)
        wait_for(lambda: all(world.db.value(f"SELECT count(*) FROM {name}") > 2000 for name in ("inserted", "upserted")), "some rows")
        world.cluster.kill_postmaster()
        world.cluster.start()
        for name in ("inserted", "upserted"):
            world.wait_settled(pipeline=name)
    finally:
        world.db.run("ALTER SYSTEM RESET wal_consistency_checking")
        world.db.run("SELECT pg_reload_conf()")
    for name in ("inserted", "upserted"):
        assert world.db.run(f"SELECT count(*), count(DISTINCT id) FROM {name}") == [(12000, 12000)]
        assert world.db.value(CHECK, (name,)) == 6
    assert world.counters(pipeline="inserted")["dead"] == 0, world.dead_letters()[:3]


@pytest.mark.parametrize("index", ["ALTER TABLE t ADD PRIMARY KEY (n)", "CREATE INDEX ON t (n)", "CREATE INDEX ON t (n) WHERE v <> ''"])
def test_rows_of_a_leaf_cost_one_descent(world, index):
    """Between the rows of others, in the order of the key: pages of the index are looked up for some of them, not for each."""
    feed = Feed(world, f"CREATE TABLE t (n int, v text); {index}")
    world.db.run("INSERT INTO t SELECT 20 * n, 'old' FROM generate_series(1, 20000) AS n")
    hits = "SELECT idx_blks_hit + idx_blks_read FROM pg_statio_all_tables WHERE relid = 't'::regclass"
    written = "SELECT n_tup_ins FROM pg_stat_all_tables WHERE relid = 't'::regclass"
    wait_for(lambda: world.db.value(written) == 20000, "what was before is reported")
    before = world.db.value(hits)
    feed.send(*(f'{{"n":{20 * n + 7},"v":"new"}}' for n in range(1000, 3000))).settled()
    wait_for(lambda: world.db.value(written) == 22000, "the worker reports", 30)
    assert world.db.value(hits) - before < 1000


def test_keys_that_are_there(world):
    """Of rows that are there, that come twice, or that another session is about to insert, the index says so, as without."""
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text)")
    world.db.run("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 1000, 2) AS n")
    counters = feed.send(*(f'{{"n":{n},"v":"new"}}' for n in range(1, 1001)), '{"n":2,"v":"twice"}').settled()
    assert (counters["written"], counters["dead"]) == (500, 501), counters
    with world.db.session(autocommit=False) as other:
        other.run("INSERT INTO t VALUES (2003, 'other')")
        feed.send(*(f'{{"n":{n},"v":"new"}}' for n in (2001, 2002, 2003, 2004)))
        wait_blocked(world)
        other.run("commit")
    counters = feed.settled()
    assert (counters["written"], counters["dead"]) == (503, 502), counters
    assert feed.rows("SELECT v FROM t WHERE n = 2003") == [("other",)]


def test_many_rows_of_a_key(world):
    """Which are one entry then, or several, or none: rows come behind the others and, where VACUUM has made room, in between."""
    feed = Feed(world, "CREATE TABLE t (n int, v text) WITH (autovacuum_enabled = off); CREATE INDEX ON t (n); CREATE INDEX ON t (v) WHERE n > 2", workers=2)
    for _ in range(6):
        feed.send(*(f'{{"n":{n % 5},"v":"{n % 3 or ""}"}}' for n in range(3000))).settled()
        world.db.run("DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE hashtid(ctid) % 3 = 0)")
        world.db.run("VACUUM t")
    feed.send(*(f'{{"n":{n % 5},"v":"last"}}' for n in range(3000))).settled()
    world.db.run("CREATE EXTENSION amcheck")
    assert world.db.value(CHECK, ("t",)) == 2
    with world.db.session() as s:
        s.run("SET enable_seqscan = off")
        assert s.run("SELECT n, count(*) FROM t WHERE n BETWEEN 0 AND 4 AND v = 'last' GROUP BY n ORDER BY n") == [(n, 600) for n in range(5)]


def test_versions_of_a_key(world):
    """Rows with many old versions in an index, all of which have entries of their own."""
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text, kept text); CREATE INDEX ON t (v)", on_conflict="update", conflict_key=["n"])
    fill(world, *range(1, 200))
    for version in range(12):
        feed.send(*(upsert(n, f"v{version}") for n in range(1, 300))).settled()
    assert feed.rows("SELECT count(*), min(v), max(v) FROM t") == [(299, "v11", "v11")]
    world.db.run("CREATE EXTENSION amcheck")
    assert world.db.value(CHECK, ("t",)) == 2
