"""Watermarks of windows: what moves them, what holds them back, and what is closed, final and late by them.
Lanes and reports of an ingestor are played by hand, the engine is real."""
import concurrent.futures
import contextlib
import json

from lib.cluster import ConnectionLost
from lib.lane import Lane
from lib.wait import LIMIT, wait_for
from test_target_changes import Feed
from test_windows import check_exact, window

TABLE = "CREATE TABLE t (n int, at timestamptz)"
GROUPED = "SELECT date_bin('1 min', at, '2000-01-01') AS window_start, count(*) AS n FROM t GROUP BY 1"


class Watched:
    """Partitions that are fed by hand, and a window over what they give."""

    def __init__(self, world, partitions=2, transform="SELECT n, at FROM event WHERE n IS NOT NULL", pipeline=None, before="", **arguments):
        self.world = world
        self.feed = Feed(world, f"{TABLE}; {before}", "n int, at timestamptz", transform, partitions=partitions, **(pipeline or {}))
        window(world, "w", **arguments)

    def send(self, partition, *times, n=1):
        """Times of 1 January 2026."""
        self.feed.send(*(json.dumps(dict(n=n, at=time if "-" in time else f"2026-01-01T{time}Z")) for time in times), partition=partition)
        return self

    def settled(self):
        self.feed.settled()
        return self

    def report(self, more=0):
        """Ends of the partitions: where they are, or behind it."""
        positions = self.world.positions()
        partitions = sorted(positions)
        self.world.db.run("SELECT millrace.report_watermarks(%s, %s, %s)",
                          (self.world.pipeline_name, partitions, [positions[p] + more for p in partitions]))
        return self

    def fold(self):
        self.world.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")
        return self

    def mark(self):
        """Watermark, the partition that holds it, and why."""
        self.fold()
        return self.world.db.run("SELECT to_char(watermark AT TIME ZONE 'UTC', 'HH24:MI:SS'), held_by, held_why FROM millrace.windows WHERE name = 'w'")[0]

    def values(self):
        return {start: rest for start, *rest in self.world.db.run(
            "SELECT to_char(window_start AT TIME ZONE 'UTC', 'HH24:MI'), n, closed, final FROM millrace.window_w")}


def test_lowest_partition(world):
    """Each partition holds it until all that there is of it is settled; it never goes back."""
    watched = Watched(world, delay="10 s")
    watched.send(0, "12:05:30", "12:01:00").settled()
    assert watched.mark() == (None, 1, "no ingestor reads the partition")
    watched.report(more=9)
    assert watched.mark() == (None, 1, "events of the partition are to be read")
    watched.send(1, "12:03:20").settled()
    assert watched.mark() == ("12:03:10", 1, "events of the partition are to be read")
    assert watched.values() == {"12:01": [1, True, True], "12:03": [1, False, False], "12:05": [1, False, False]}
    watched.report()
    assert watched.mark() == ("12:05:20", None, None)
    watched.report(more=1)
    assert watched.mark() == ("12:05:20", 1, "events of the partition are to be read")
    watched.send(1, "12:04:00").settled()
    assert watched.mark()[0] == "12:05:20"
    check_exact(world.db, "millrace.window_w", GROUPED)


def test_rewound_pipeline(world):
    """What comes again moves nothing back: it is late for what was final, and counts."""
    watched = Watched(world, partitions=1)
    watched.send(0, "12:01:00", "12:05:30").settled().report()
    assert watched.mark()[0] == "12:05:30"
    with world.db.session("app", autocommit=False) as s:
        s.run("DELETE FROM t")
        s.run("SELECT millrace.rebuild_window('w')")
        assert s.value("SELECT millrace.rewind(%s, 0, allow_duplicates => true)", (world.pipeline_name,)) == 1
        s.connection.commit()
    assert watched.mark()[0] == "12:05:30"
    watched.feed.lane.close()
    watched.feed.lane = Lane(world.db, world.pipeline_name).assign([0])
    assert watched.feed.lane.positions == {0: 0}
    watched.send(0, "12:01:00").settled().report()
    assert watched.mark() == ("12:05:30", None, None)
    assert watched.values() == {"12:01": [1, True, True]}
    assert world.db.run("SELECT late FROM millrace.windows") == [(1,)]
    watched.send(0, "12:05:30").settled().report()
    assert watched.mark()[0] == "12:05:30"
    check_exact(world.db, "millrace.window_w", GROUPED)


def test_what_is_no_idleness(world):
    """A partition whose end is known and reached holds it all the same while nobody would see more of it."""
    watched = Watched(world, partitions=1)
    name = world.pipeline_name
    watched.send(0, "12:05:30").settled().report()
    assert watched.mark() == ("12:05:30", None, None)
    with world.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (name,))
        assert watched.mark()[1:] == (0, "the pipeline is paused")
        s.run("SELECT millrace.resume(%s)", (name,))
    world.db.run("INSERT INTO millrace.breaker (pipeline_id, worker, kind, state, since, opened) SELECT id, 9, 'lane', 'open', now(), 1 FROM millrace.pipeline")
    assert watched.mark()[1:] == (0, "the circuit breaker is open")
    world.db.run("DELETE FROM millrace.breaker WHERE worker = 9")
    world.db.run("UPDATE millrace.watermark SET read_at = read_at - interval '1 min'")
    assert watched.mark()[1:] == (0, "no ingestor reads the partition")
    watched.report()
    world.db.run("UPDATE millrace.partition SET state = 'stopped'")
    assert watched.mark()[1] == 0


def test_staged_events_hold(world):
    """The end that was reported is reached, and there is more in staging than that."""
    watched = Watched(world, partitions=1)
    watched.send(0, "12:05:30").settled()
    with world.db.session("app", autocommit=False) as s:
        s.run("LOCK TABLE t IN SHARE MODE")  # the batch waits for it
        watched.send(0, "12:05:40")
        watched.report()
        assert watched.mark() == ("12:05:30", 0, "events are staged")
        s.connection.rollback()
    watched.settled().report()
    assert watched.mark() == ("12:05:40", None, None)


def test_skewed_filtered_and_strange_times(world):
    """They move nothing, and are counted where they count."""
    watched = Watched(world, partitions=1, max_skew="1 min", lateness="1 min")
    watched.send(0, "12:05:30", "9999-01-01", "294276-12-31T23:59:59Z").settled()
    watched.feed.send('{"n": 1}', '{"n": 1, "at": "infinity"}', '{"at": "2026-01-01T23:00:00Z"}').settled()
    watched.report()
    assert watched.mark()[0] == "12:05:30"
    assert world.db.run("SELECT outside, skewed, late FROM millrace.windows") == [(3, 2, 0)]
    watched.send(0, "4713-11-24 00:00:00 BC").settled().report()
    assert watched.mark()[0] == "12:05:30"


def test_late_rows(world):
    """Closed windows are repaired without a word, final ones too: those rows are counted, by window."""
    watched = Watched(world, partitions=1, lateness="2 min")
    window(world, "sliding", size="3 min", slide="1 min")
    watched.send(0, "12:00:10", "12:03:30").settled().report()
    assert watched.mark()[0] == "12:03:30"
    assert watched.values() == {"12:00": [1, True, True], "12:03": [1, False, False]}
    late = "SELECT to_char(window_start AT TIME ZONE 'UTC', 'HH24:MI'), rows FROM millrace.late_rows WHERE \"window\" = %s ORDER BY 1"
    watched.send(0, "12:00:20", "12:01:20", "12:00:30", "12:02:59").settled().fold()
    assert watched.values() == {"12:00": [3, True, True], "12:01": [1, True, False], "12:02": [1, True, False], "12:03": [1, False, False]}
    assert world.db.run(late, ("w",)) == [("12:00", 2)]
    # without lateness what is closed is final; 12:01:20 is late for 11:59, not yet for 12:00 to 12:02
    assert world.db.run(late, ("sliding",)) == [("11:58", 2), ("11:59", 3), ("12:00", 4)]
    watched.send(0, "12:00:40").settled().fold()
    assert world.db.run(late, ("w",)) == [("12:00", 3)]
    assert world.db.run("SELECT name, late FROM millrace.windows ORDER BY 1") == [("sliding", 5), ("w", 3)]
    check_exact(world.db, "millrace.window_w", GROUPED)


def test_failed_events_hold(world):
    """Where their partition was when the first of them failed, for 5 minutes at most; dead letters hold nothing."""
    watched = Watched(world, transform="SELECT n, at + (n / n - 1) * interval '1 s' AS at FROM event", pipeline=dict(retry_delay="1 h"))
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (world.pipeline_name,))
    watched.send(0, "12:00:10").send(1, "12:09:00").settled().report()
    assert watched.mark()[0] == "12:09:00"
    watched.send(0, "12:10:00", n=0).settled().send(0, "12:12:00").send(1, "12:15:00").settled().report()
    assert watched.mark() == ("12:09:00", 0, "events are to be tried again")
    watched.send(0, "12:20:00").settled().report()
    assert watched.mark() == ("12:09:00", 0, "events are to be tried again")
    world.db.run("UPDATE millrace.retry SET entered_at = entered_at - interval '5 min'")
    assert watched.report().mark() == ("12:20:00", None, None)
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'dead_letter', pipeline => %s)", (world.pipeline_name,))
    watched.send(0, "12:30:00", n=0).settled().send(0, "12:31:00").settled().report()
    assert watched.mark() == ("12:31:00", None, None)


def test_parked_events_hold(world):
    """Where their partition was when they were parked, also once they are tried and fail themselves, for 5 minutes in all. A success after that repairs the window."""
    watched = Watched(world, partitions=1, before="CREATE TABLE gate (n int)",
                      transform="SELECT n, at + CASE WHEN n <= (SELECT max(g.n) FROM gate AS g) THEN interval '0' ELSE 1 / (n - n) * interval '0' END AS at FROM event",
                      pipeline=dict(ordering="key", retry_delay="300 ms", retry_max_delay="300 ms", max_retries=1000))
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (world.pipeline_name,))
    world.db.run("INSERT INTO gate VALUES (1)")
    watched.send(0, "12:00:00").settled().report()
    assert watched.mark()[0] == "12:00:00"
    watched.feed.lane.send(0, [b'{"n": 2, "at": "2026-01-01T12:00:10Z"}', b'{"n": 3, "at": "2026-01-01T12:00:20Z"}'], key=b"k")
    watched.settled().send(0, "12:05:00").settled().report()
    states = "SELECT array_agg(state ORDER BY id) FROM millrace.retry"
    assert world.db.value(states) == ["retrying", "parked"]
    assert watched.mark() == ("12:00:00", 0, "events are to be tried again")
    world.db.run("INSERT INTO gate VALUES (2)")
    wait_for(lambda: world.db.value(states) == ["retrying"] and world.db.value("SELECT attempts FROM millrace.retry") > 0, "the second one fails, too")
    assert watched.report().mark() == ("12:00:00", 0, "events are to be tried again")
    world.db.run("UPDATE millrace.retry SET entered_at = entered_at - interval '5 min'")
    assert watched.report().mark() == ("12:05:00", None, None)
    assert watched.values() == {"12:00": [2, True, True], "12:05": [1, False, False]}
    world.db.run("INSERT INTO gate VALUES (3)")
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 0, "it succeeds")
    assert watched.values()["12:00"] == [3, True, True]
    assert watched.report().mark() == ("12:05:00", None, None)
    assert world.db.run("SELECT late FROM millrace.windows") == [(1,)]
    check_exact(world.db, "millrace.window_w", GROUPED)


def test_success_that_a_fold_leaves_for_later(world):
    """Of a recomputed window a fold takes a part of what waits. An event that was tried again and has succeeded behind that part holds its partition
    as before: its window is not published without it."""
    watched = Watched(world, partitions=1, before="CREATE INDEX ON t (at); CREATE TABLE gate (open int)", aggregates="count(DISTINCT n) AS n", output_topic="windows",
                      transform="SELECT n, at + CASE WHEN n = 0 THEN 1 / (SELECT count(*) FROM gate) * interval '0' ELSE interval '0' END AS at FROM event",
                      pipeline=dict(retry_delay="300 ms", retry_max_delay="300 ms", max_retries=1000))
    id = world.db.value("SELECT id FROM millrace.window_definition")
    mark = "SELECT to_char(watermark AT TIME ZONE 'UTC', 'HH24:MI:SS') FROM millrace.windows"
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (world.pipeline_name,))
    watched.send(0, "12:00:30").settled().report(more=1000)
    assert watched.mark()[0] == "12:00:30"
    with world.db.session(autocommit=False) as held:
        held.run("SELECT millrace._lock_window(%s, true)", (id,))  # nobody else folds
        watched.send(0, "12:00:40", n=0).settled()
        assert world.db.value("SELECT count(*) FROM millrace.retry") == 1
        for second in range(120):
            watched.send(0, f"12:05:{second % 60:02}").settled()
        world.db.run("INSERT INTO gate VALUES (1)")
        wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.retry") == 0, "the retry has succeeded")
        wait_for(lambda: held.value("SELECT due_at < clock_timestamp() FROM millrace.window_cursor ORDER BY fold DESC LIMIT 1"), "the next fold is due")
        assert not held.value("SELECT millrace._fold_window(%s, true, false)", (id,)), "some is left"
        assert held.value("SELECT count(*) FROM millrace._window_%s_partial WHERE retried = '{0}'", (id,)) == 1
        assert held.value(mark) == "12:00:30"
        held.connection.commit()
    wait_for(lambda: world.db.value(mark) == "12:05:59", "the rest is folded")
    published = "SELECT convert_from(payload, 'UTF8')::json FROM millrace.window_output"
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.window_output") > 0, "published")
    assert [(row["n"], row["final"], row["revision"]) for (row,) in world.db.run(published)] == [(2, True, 1)]
    assert world.db.value("SELECT late FROM millrace.windows") == 0


@contextlib.contextmanager
def fold_at_work(world):
    """A fold that has seen what there was before the block, and ends behind it."""
    id = world.db.value("SELECT id FROM millrace.window_definition")
    world.db.run(f"""CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                       IF current_setting('application_name') = 'held' THEN PERFORM pg_advisory_xact_lock(77); END IF; RETURN NULL; END $$;
                     CREATE TRIGGER hold BEFORE DELETE ON millrace._window_{id}_partial FOR EACH STATEMENT EXECUTE FUNCTION hold()""")
    with concurrent.futures.ThreadPoolExecutor(1) as pool, world.db.session() as held, world.db.session() as gate:
        gate.run("SELECT pg_advisory_lock(77)")
        held.run("SET application_name = 'held'")
        fold = pool.submit(held.run, f"SELECT millrace._fold_window({id}, true, true)")
        wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted", (held.pid,)) == 1, "it is at work")
        try:
            yield
        finally:
            gate.run("SELECT pg_advisory_unlock(77)")
        fold.result(LIMIT)


def test_partition_that_becomes_idle_while_a_fold_is_at_work(world):
    """Its last rows are not in that fold, so it is not idle for that fold: they would be late."""
    watched = Watched(world)
    watched.send(0, "12:05:30").settled().report(more=9)
    assert watched.mark() == (None, 1, "events of the partition are to be read")
    with fold_at_work(world):
        watched.send(1, "12:03:20").settled().report()
    assert watched.mark() == ("12:05:30", None, None)
    assert world.db.run("SELECT late FROM millrace.windows") == [(0,)]


def test_partition_that_is_idle_and_not_folded_to_its_end(world):
    """A fold of a recomputed window may leave some for the next one: what it leaves would be late."""
    watched = Watched(world, before="CREATE INDEX ON t (at)", size="100 min", slide="1 min", aggregates="count(DISTINCT n) AS n")
    watched.send(0, "12:05:30").settled().fold()
    world.db.run("UPDATE millrace.window_cursor SET due_at = clock_timestamp() + interval '9 min'")  # no worker folds meanwhile
    for time in ("12:01:00", "12:03:20"):
        watched.send(1, time).settled()
    watched.report()
    assert world.db.run("""WITH due AS (UPDATE millrace.window_cursor SET due_at = clock_timestamp() RETURNING window_id)
                           SELECT max(window_id) FROM due; SELECT millrace._fold_window(id, true, false) FROM millrace.window_definition""") == [(False,)]
    assert world.db.run("SELECT to_char(watermark AT TIME ZONE 'UTC', 'HH24:MI:SS'), held_by, held_why FROM millrace.windows") == [("12:01:00", 1, "rows are to be folded")]
    assert watched.mark() == ("12:05:30", None, None)
    assert world.db.run("SELECT late FROM millrace.windows") == [(0,)]


def test_event_that_succeeds_while_a_fold_is_at_work(world):
    """Its row is not in that fold, so it holds the watermark for that fold: it would be late."""
    watched = Watched(world, partitions=1, transform="SELECT n, at + (n / (n + (SELECT count(*) FROM good)::int) - n / (n + (SELECT count(*) FROM good)::int)) * interval '1 s' AS at FROM event",
                      before="CREATE TABLE good (n int)", pipeline=dict(retry_delay="200 ms", retry_factor=1, retry_jitter=0, max_retries=1000))
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('22012', 'retry', pipeline => %s)", (world.pipeline_name,))
    watched.send(0, "12:00:10").settled().report()
    assert watched.mark()[0] == "12:00:10"
    watched.send(0, "12:01:00", n=0).settled().send(0, "12:10:00").settled().report()
    assert watched.mark() == ("12:00:10", 0, "events are to be tried again")
    with fold_at_work(world):
        world.db.run("INSERT INTO good VALUES (1)")
        wait_for(lambda: world.counters()["written"] == 3, "it is written")
        watched.report()
    watched.report()
    assert watched.mark() == ("12:10:00", None, None)
    assert world.db.run("SELECT late FROM millrace.windows") == [(0,)]


def test_event_time_that_fails(world):
    """It is that event's failure, in stage window; the others of its batch are written and move the watermark."""
    watched = Watched(world, partitions=1, event_time="at + (100 / n - 100) * interval '1 s'")
    watched.send(0, "12:00:10").feed.send(*(json.dumps(dict(n=n, at="2026-01-01T12:05:00Z")) for n in (1, 0, 1)))
    watched.settled().report()
    assert watched.mark()[0] == "12:05:00"
    assert world.db.run("SELECT stage, sqlstate, \"offset\" FROM millrace.dead_letter") == [("window", "22012", 2)]
    assert watched.values() == {"12:00": [1, True, True], "12:05": [2, False, False]}


def test_closed_after_a_restart(world):
    """What was left is folded and closed without another event."""
    watched = Watched(world, partitions=1, close_idle="1 s")
    watched.send(0, "12:03:00").settled()
    world.cluster.stop("immediate")
    world.cluster.start()

    def closed():
        try:
            watched.report()
            return world.db.run("SELECT closed FROM millrace.window_w") == [(True,)]
        except ConnectionLost:
            return False
    wait_for(closed, "its window is closed")


def test_last_window_is_closed(world):
    """When nothing comes for a while, if that is wanted; its rows are late then."""
    watched = Watched(world, partitions=1, size="10 min", slide="5 min", close_idle="1 s")
    watched.send(0, "12:03:00").settled().report()
    wait_for(lambda: watched.report().mark()[0] == "12:10:00", "it is closed")
    assert watched.values() == {"11:55": [1, True, True], "12:00": [1, True, True]}
    watched.send(0, "12:04:00").settled().report()
    assert watched.mark()[0] == "12:10:00"
    assert world.db.run("SELECT w.late, sum(l.rows) FROM millrace.windows AS w JOIN millrace.late_rows AS l ON l.\"window\" = w.name GROUP BY 1") == [(1, 2)]
    # to its row, and a second later to the end of its window
    watched.send(0, "12:13:00").settled().report()
    assert watched.mark()[0] in ("12:13:00", "12:20:00")


def test_alter_window(world):
    """Another delay counts from then on; nothing goes back."""
    watched = Watched(world, partitions=1, delay="1 min", lateness="1 min")
    watched.send(0, "12:05:30").settled().report()
    assert watched.mark()[0] == "12:04:30"
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_window('w', delay => '0', lateness => '5 min')")
        assert watched.mark()[0] == "12:05:30"
        s.run("SELECT millrace.alter_window('w', delay => '1 h')")
        assert watched.mark()[0] == "12:05:30"
    assert world.db.run("SELECT delay::text, lateness::text FROM millrace.windows") == [("01:00:00", "00:05:00")]


def test_windows_at_rest(world):
    """Of a pipeline without events a worker looks at all windows at once, and folds none, until something changes.
    It looks every 5 s, and that is what this waits for."""
    world.db.run(f"ALTER DATABASE \"{world.db.value('SELECT current_database()')}\" SET track_functions = 'pl'")
    watched = Watched(world, partitions=1)
    for i in range(9):
        window(world, f"w{i}", close_idle="1 s")

    seen = [0, 0]

    def rests():
        """It has looked twice since it folded."""
        folds, looks = world.db.run("SELECT coalesce(sum(calls) FILTER (WHERE funcname = '_fold_window'), 0), coalesce(sum(calls) FILTER (WHERE funcname = '_windows_state'), 0)"
                                    " FROM pg_stat_user_functions WHERE schemaname = 'millrace'")[0]
        if folds != seen[0]:
            seen[:] = folds, looks
        return folds > 0 and looks >= seen[1] + 2

    watched.send(0, "12:05:30").settled()
    wait_for(rests, "no window is folded")
    assert world.db.run("SELECT count(*) FROM millrace.windows WHERE watermark = '2026-01-01 12:05:30Z'") == [(10,)]
    # an ingestor comes, and all windows but the first are closed for nothing comes
    wait_for(lambda: watched.report() and world.db.value("SELECT count(*) FROM millrace.windows WHERE watermark = '2026-01-01 12:06Z'") == 9, "they are closed")
