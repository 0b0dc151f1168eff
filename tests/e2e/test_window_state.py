"""What windows are kept in is removed row by row, in steps, and never truncated: a snapshot has all that was there, whatever becomes of the window meanwhile,
and nothing waits for a lock such as that of pg_dump."""
import json

import pytest

from lib.lane import Lane
from lib.wait import wait_for
from test_target_changes import Feed
from test_windows import check_exact, window

TABLE = "CREATE TABLE t (id bigint, source text, at timestamptz, v int); CREATE INDEX ON t (source, at)"
ROWS = 40  # of a batch
FOLDS = 17  # after which what they have left is merged, and what is to go is removed


class Life:
    """A pipeline with a window of each kind."""

    def __init__(self, world):
        self.world, self.db = world, world.db
        self.feed = Feed(world, TABLE, "id bigint, source text, at timestamptz, v int", "SELECT id, source, at, v FROM event")
        self.sent = 0
        window(world, "sums", group_by=["source"], aggregates="count(*) AS n, sum(v) AS s", lateness="30 days", output_topic=world.topic + ".sums")
        window(world, "slid", size="4 min", slide="2 min", aggregates="count(*) AS n, sum(v) AS s")
        window(world, "ids", group_by=["id"], max_groups=60)
        window(world, "kinds", group_by=["source"], aggregates="count(DISTINCT v) AS n")
        with world.db.session("app") as s:
            s.run("""SELECT millrace.create_session_window('runs', %s, event_time => 'at', gap => '20 s', group_by => '{source}', aggregates => 'count(*) AS n')""", (world.pipeline_name,))
        self.windows = world.db.run("SELECT id, name FROM millrace.window_definition ORDER BY id")

    def send(self, minute, n=ROWS):
        self.feed.send(*(json.dumps(dict(id=self.sent + i, source=f"s{i % 4}", v=i, at=f"2026-01-01T{minute // 60:02}:{minute % 60:02}:{i:02}Z")) for i in range(n))).settled()
        self.sent += n
        self.world.db.run("SELECT millrace.report_watermarks(%s, '{0}', %s)", (self.world.pipeline_name, [self.world.positions()[0]]))

    def fold(self):
        for id, _ in self.windows:
            self.db.run("SET lock_timeout = '60s'; SELECT millrace._fold_window(%s, true, true)", (id,))
            self.db.run("SET lock_timeout = '60s'; SELECT millrace._publish_window(%s, 5000)", (id,))

    def rounds(self, first, n):
        for minute in range(first, first + n):
            self.send(minute)
            self.send(max(minute - 3, 0), 8)  # late ones
            self.fold()

    def tables(self):
        return [r[0] for r in self.db.run("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'r' AND relname ~ '^(_window_[0-9]+|window)_' ORDER BY 1")]

    def files(self):
        return dict(self.db.run("SELECT t, pg_relation_filenode(t::regclass) FROM unnest(%s) AS t", (self.tables(),)))


def content(session, tables):
    return {table: sorted(r[0] for r in session.run(f"SELECT t::text FROM {table} AS t")) for table in tables}


class Snapshot:
    """Of a session that has read nothing yet: what is truncated meanwhile it would miss. locked: it has all tables, as pg_dump."""

    def __init__(self, life, locked):
        self.tables = life.tables()
        self.session = life.db.session(autocommit=False)
        self.session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        exported = self.session.value("SELECT pg_export_snapshot()")
        if locked:
            self.session.run(f"LOCK TABLE {', '.join(self.tables)} IN ACCESS SHARE MODE")
        with life.db.session(autocommit=False) as other:
            other.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            other.run(f"SET TRANSACTION SNAPSHOT '{exported}'")
            self.content = content(other, self.tables)

    def check(self):
        found = content(self.session, self.tables)
        assert [table for table in self.tables if found[table] != self.content[table]] == []
        self.session.close()


@pytest.mark.parametrize("locked", [False, True], ids=["snapshot", "locks"])
def test_never_truncated(world, locked):
    life = Life(world)
    files = life.files()
    snapshots = []

    def look():
        """Between two of what happens to windows: with rows that are not folded, and groups that are to be published again."""
        life.send(20, 10)
        with life.db.session(autocommit=False) as s:
            for id, _ in life.windows:
                s.run("SELECT millrace._lock_window(%s, true)", (id,))  # nobody folds before it is taken
            life.send(20, 10)
            snapshots.append(Snapshot(life, locked))

    life.rounds(20, 3)
    look()
    life.rounds(23, FOLDS)  # windows are folded, closed, repaired, published, and leave
    assert life.db.value("SELECT count(*) FROM millrace.windows WHERE kept_from IS NOT NULL") == 1
    assert life.db.value("SELECT count(*) FROM millrace.late_rows") > 0
    look()
    with life.db.session("app") as s:
        for _, name in life.windows:
            s.run("SELECT millrace.rebuild_window(%s)", (name,))
    look()
    with life.db.session("app", autocommit=False) as s:
        s.run("DELETE FROM t WHERE at >= '2026-01-01 00:30Z'")
        s.run("SELECT millrace.rebuild_window('kinds')")
        s.run("SELECT millrace.rebuild_window('runs')")
        assert s.value("SELECT millrace.rewind(%s, 100, allow_duplicates => true)", (world.pipeline_name,)) == 1
        s.connection.commit()
    life.feed.lane.close()
    life.feed.lane = Lane(world.db, world.pipeline_name).assign([0])
    life.rounds(40, 2)
    check_exact(world.db, "millrace.window_sums", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, source, count(*) AS n, sum(v) AS s FROM t GROUP BY 1, 2")
    check_exact(world.db, "millrace.window_kinds", "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, source, count(DISTINCT v) AS n FROM t GROUP BY 1, 2")
    look()
    with life.db.session("app") as s:
        for _, name in life.windows:
            s.run("SELECT millrace.alter_window(%s, retention => '1 day')", (name,))
    life.rounds(42, FOLDS)
    for id, name in life.windows:
        # what was added since it was removed the last time
        assert life.db.value(f"SELECT count(*) FROM millrace._window_{id}_folded WHERE window_start < '2026-01-01 00:40Z'") == 0, name
        assert life.db.value(f"SELECT count(*) FROM millrace.window_{name}") == 0
    # each of them had something to lose
    empty = set.intersection(*({table for table, rows in snapshot.content.items() if rows == []} for snapshot in snapshots))
    assert empty <= {"millrace.window_backfill", "millrace.window_failure", "millrace.window_sighting", "millrace.window_outside"}
    for snapshot in snapshots:
        snapshot.check()
    assert life.files() == files


def test_removed_in_several_transactions(world):
    """By the worker, of a window that leaves: what a transaction removes is bounded."""
    groups = 26000
    feed = Feed(world, "CREATE TABLE t (id bigint, at timestamptz)", "id bigint, at timestamptz", "SELECT id, at FROM event")
    window(world, "ids", group_by=["id"], max_groups=10)
    id = world.db.value("SELECT id FROM millrace.window_definition")
    world.db.run(f"""CREATE TABLE removed (transaction xid8, rows bigint); GRANT INSERT ON removed TO PUBLIC;
                     CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                       INSERT INTO public.removed SELECT pg_current_xact_id(), count(*) FROM gone HAVING count(*) > 0; RETURN NULL; END $$""")
    feed.send(*(json.dumps(dict(id=i, at="2026-01-01T12:00:00Z")) for i in range(groups))).settled()
    folded = lambda: world.db.value("SELECT groups FROM millrace.windows")
    wait_for(lambda: folded() == groups and world.db.value("SELECT added FROM millrace.window_cursor ORDER BY fold DESC LIMIT 1") == 0, "it is open, and has all")
    world.db.run(f"CREATE TRIGGER note AFTER DELETE ON millrace._window_{id}_folded REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note()")
    feed.send(json.dumps(dict(id=-1, at="2026-01-01T12:05:00Z"))).settled()
    wait_for(lambda: folded() == 1, "its rows are gone")
    removed = [rows for _, rows in world.db.run("SELECT transaction::text, sum(rows) FROM removed GROUP BY 1")]
    assert sum(removed) == groups and len(removed) >= 3 and max(removed) <= 10000 + 2
    assert world.db.run("SELECT id FROM millrace.window_ids") == [(-1,)]
