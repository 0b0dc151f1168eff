"""rebuild_window() while events flow: no batch waits for it, and what they write meanwhile is counted once.
Held by locks at chosen moments, and killed at any."""
import concurrent.futures
import contextlib
import json
import random

import psycopg2
import pytest

from lib.cluster import ConnectionLost
from lib.events import Events
from lib.wait import LIMIT, wait_for
from test_exactly_once import kill_backend, kill_worker
from test_target_changes import Feed
from test_windows import EXACT, FIELDS, NEAR, TABLE, TRANSFORM, check_exact, check_stream, create_stream_windows, grouped, payloads, window

FOLD = "SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition"
CHANGED = "DELETE FROM t WHERE id % 5 = 0; UPDATE t SET i = i + 1 WHERE id % 7 = 0; INSERT INTO t (id, source, at, i) SELECT -id, 'more', at, id FROM t WHERE id % 11 = 0"


class Watched:
    """Two windows over what is fed by hand: one of them incremental, the other one recomputed."""

    def __init__(self, world):
        self.world = world
        self.feed = Feed(world, TABLE + "; CREATE INDEX ON t (source, at)", FIELDS, TRANSFORM, partitions=2)
        self.draw = random.Random(17)
        self.sent = 0
        window(world, "added", group_by=["source"], aggregates=EXACT)
        window(world, "again", group_by=["source"], aggregates="count(*) AS n, count(DISTINCT i) AS kinds")
        self.send(300).settled()

    def send(self, n):
        for partition in (0, 1):
            self.feed.send(*payloads(self.draw, n // 2, self.sent), partition=partition)
            self.sent += n // 2
        return self

    def settled(self):
        self.feed.settled()
        return self

    def check(self):
        check_exact(self.world.db, "millrace.window_added", grouped(EXACT, where=NEAR))
        check_exact(self.world.db, "millrace.window_again", grouped("count(*) AS n, count(DISTINCT i) AS kinds", where=NEAR))
        outside = self.world.db.value(f"SELECT count(*) FROM t WHERE ({NEAR}) IS NOT TRUE")
        assert self.world.db.run("SELECT DISTINCT outside FROM millrace.windows") == [(outside,)]

    def check_folded(self):
        """Before the next fold and behind it."""
        self.check()
        self.world.db.run(FOLD)
        self.check()


@contextlib.contextmanager
def at_work(world, sql):
    """That statement, in another session, from inside to outside of the block; its result is what the block is given."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool, world.db.session("app") as session:
        result = pool.submit(session.value, sql)
        try:
            yield session, result
        except BaseException:
            world.db.run("SELECT pg_terminate_backend(%s)", (session.pid,))  # else nothing may end it
            raise
        result.result(LIMIT)


def waits(world, session, count=1):
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted", (session.pid,)) == count, "it waits")


def test_batches_are_committed_while_it_is_open(world):
    """A rebuild whose transaction has not ended: batches, readers and verbs of the pipeline go on."""
    watched = Watched(world)
    window(world, "later", group_by=["source"], aggregates=EXACT, backfill=False)
    watched.send(100).settled()
    world.db.run(CHANGED)
    with world.db.session("app", autocommit=False) as rebuild:
        for name in ("added", "again", "later"):
            assert rebuild.value("SELECT millrace.rebuild_window(%s)", (name,)) > 0
        watched.send(200).settled()
        with world.db.session("app") as s:
            s.run("SET lock_timeout = '10 s'; SELECT millrace.pause(%s)", (world.pipeline_name,))
            s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
        watched.send(200).settled()
        rebuild.connection.commit()
    for _ in range(2):
        watched.check_folded()
        check_exact(world.db, "millrace.window_later", grouped(EXACT, where=NEAR))
        watched.send(100).settled()


@pytest.mark.parametrize("part", [None, ("2026-03-29 00:10Z", "2026-03-29 00:40Z")], ids=["all", "part"])
def test_batches_between_its_snapshot_and_its_read(world, part):
    """What a batch commits after the statement has begun is not in what it reads, and is added to that; what came before it, folded or not, is."""
    watched = Watched(world)
    world.db.run(FOLD)
    watched.send(100).settled()
    if part is None:  # of another part nothing may change
        world.db.run(CHANGED)
    for name in ("added", "again"):
        id = world.db.value("SELECT id FROM millrace.window_definition WHERE name = %s", (name,))
        world.db.run(f"""CREATE FUNCTION hold_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END $$;
                         CREATE TRIGGER hold BEFORE DELETE ON millrace._window_{id}_folded FOR EACH STATEMENT EXECUTE FUNCTION hold_{name}()""")
        with world.db.session() as gate:
            gate.run("SELECT pg_advisory_lock(77)")
            sql = f"SELECT millrace.rebuild_window('{name}'{''.join(f', {time!r}' for time in part or ())})"
            with at_work(world, sql) as (session, result):
                waits(world, session)
                watched.send(200).settled()
                assert not result.done()
                gate.run("SELECT pg_advisory_unlock(77)")
            assert result.result() > 0
        world.db.run(f"DROP TRIGGER hold ON millrace._window_{id}_folded")
    watched.check_folded()
    for id, groups in world.db.run("SELECT DISTINCT ON (window_id) window_id, groups FROM millrace.window_cursor ORDER BY window_id, fold DESC"):
        assert world.db.value(f"SELECT count(*) FROM millrace._window_{id}_folded") == groups


def test_verbs_that_need_the_window_wait_for_it_alone(world):
    """Not with the pipeline in their hands: batches are committed while they wait for the rebuild."""
    watched = Watched(world)
    with world.db.session("app", autocommit=False) as rebuild:
        for argument in ("target_since => '2000-01-01'", "delay => '1 h'", "lateness => '1 h'"):
            rebuild.run("SELECT millrace.rebuild_window('added')")
            with at_work(world, f"SELECT millrace.alter_window('added', {argument})") as (session, _):
                waits(world, session)
                watched.send(100).settled()
                rebuild.connection.commit()
        rebuild.run("SELECT millrace.rebuild_window('added')")
        with at_work(world, f"SELECT millrace.rewind('{world.pipeline_name}', 0, allow_duplicates => true)") as (session, _):
            waits(world, session)
            watched.send(100).settled()
            rebuild.connection.commit()
        rebuild.run("SELECT millrace.rebuild_window('again')")
        with world.db.session("app") as s, pytest.raises(psycopg2.errors.LockNotAvailable, match='window "again" is in use by another session'):
            s.run("SELECT millrace.drop_window('again')")
        rebuild.connection.commit()


def test_the_target_is_written_again(world):
    """By ALTER TABLE: a fold that waits for it computes from the rows, not from what its snapshot shows of a table that is new; a reader has to try
    again. A worker does not wait for the table with the pipeline in its hands."""
    watched = Watched(world)
    id = world.db.value("SELECT id FROM millrace.window_definition WHERE name = 'again'")
    rewrite = "ALTER TABLE t ALTER i TYPE int USING i + 0"
    left = f"SELECT count(*) FROM millrace._window_{id}_partial"
    with world.db.session(autocommit=False) as holder, world.db.session() as fold, world.db.session(autocommit=False) as ddl, concurrent.futures.ThreadPoolExecutor(1) as pool:
        holder.run(f"SELECT millrace._lock_window({id}, true)")
        watched.send(100).settled()
        assert world.db.value(left) > 0
        folded = pool.submit(fold.value, f"SELECT millrace._fold_window({id}, true, true)")
        waits(world, fold)
        ddl.run(rewrite)
        holder.connection.rollback()
        wait_for(lambda: world.db.value("SELECT count(*) FROM pg_locks WHERE pid = %s AND relation = 't'::regclass AND NOT granted", (fold.pid,)) == 1, "it waits for the table")
        ddl.connection.commit()
        assert folded.result(LIMIT)
        watched.check()

        holder.run(f"SELECT millrace._lock_window({id}, true)")
        watched.send(100).settled()
        ddl.run(rewrite)
        with pytest.raises(psycopg2.errors.SerializationFailure, match='the target of window "again" was written again'), \
                at_work(world, "SELECT count(*) FROM millrace.window_again") as (session, _):
            waits(world, session)
            ddl.connection.commit()
        watched.check()

        ddl.run(rewrite)
        holder.connection.rollback()
        first = world.db.value("SELECT min(id) FROM millrace.window_definition")
        world.db.run(f"""CREATE SEQUENCE folds; CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.folds'); RETURN NULL; END $$;
                         CREATE TRIGGER counted BEFORE DELETE ON millrace._window_{first}_partial FOR EACH STATEMENT EXECUTE FUNCTION counted()""")
        wait_for(lambda: world.db.value("SELECT last_value FROM folds") >= 3, "a worker has gone past the other window, and begins again")
        assert world.db.value(left) > 0
        ddl.connection.commit()
    wait_for(lambda: world.db.value(left) == 0, "a worker folds it")
    watched.check()


class Rebuilt:
    """Windows that are rebuilt one after the other, by a session that may be killed."""

    def __init__(self):
        self.times, self.pid, self.end = 0, None, False

    def run(self, world, names):
        while not self.end:
            with contextlib.suppress(psycopg2.Error, ConnectionLost), world.db.session("app") as s:
                self.pid = s.pid
                while not self.end:
                    s.run("SELECT millrace.rebuild_window(%s)", (names[self.times % len(names)],))
                    self.times += 1

    def kill(self, world, _draw):
        wait_for(lambda: kill_backend(world.cluster, self.pid), "it is killed")


@contextlib.contextmanager
def rebuilt_all_the_time(world, names):
    rebuilt = Rebuilt()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(rebuilt.run, world, names)
        try:
            yield rebuilt
        finally:
            rebuilt.end = True
        done.result(LIMIT)


def test_rebuilt_at_any_moment(world):
    """Two workers, several partitions, failures, kill -9 of workers and of the rebuild, which goes on all the time: each settled row is counted once."""
    draw = random.Random(6)
    world.create_topic()
    world.create_pipeline(workers=2, batch_rows=500, retry_delay="300 ms")
    create_stream_windows(world)
    with world.db.session("app") as s:
        s.run("CREATE INDEX ON reading (ts)")
    window(world, "kinds", event_time="ts", size="1 day", group_by=["source"], aggregates="count(*) AS n, count(DISTINCT value) AS kinds")
    world.start_ingestor()
    events = Events(40000, seed=29, broken=1, db_refused=0.5, filtered=5)
    generator = world.start_generator(events, "--rate", "8000")
    with rebuilt_all_the_time(world, ("by_minute", "by_month", "kinds")) as rebuilt:
        for part, kill in zip(range(6000, 40000, 8000), (kill_worker, rebuilt.kill, kill_worker, rebuilt.kill)):
            wait_for(lambda part=part: world.counters()["events"] > part, "some are in")
            kill(world, draw)
            wait_for(lambda: world.lag() is not None, "it goes on")
        wait_for(lambda before=rebuilt.times: rebuilt.times > before + 3, "it is rebuilt after that")
    generator.popen.wait(300)
    world.wait_settled()
    world.check(events)
    check_stream(world)
    truth = grouped("count(*) AS n, count(DISTINCT value) AS kinds", "date_trunc('day', ts, 'UTC')", ("source",), "true", "reading")
    check_exact(world.db, "millrace.window_kinds", truth)
    world.db.run(FOLD)
    check_stream(world)
    check_exact(world.db, "millrace.window_kinds_folded", truth)


MANY = 10  # windows, so that few events make many partial values


@pytest.mark.parametrize("trouble", ["held", "failing"])
def test_workers_take_no_batch_while_too_much_is_unfolded(world, trouble):
    """Since another session has the windows, or folds fail: 200,000 partial values are the limit. The pipeline can be paused meanwhile."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz)", "n int, at timestamptz", "SELECT n, at FROM event", batch_rows=1000)
    for k in range(MANY):
        window(world, f"w{k}", group_by=["n AS k"])
    id = world.db.value("SELECT max(id) FROM millrace.window_definition")
    with world.db.session(autocommit=False) as other:
        if trouble == "held":
            other.run(f"SELECT millrace._lock_window({id}, true)")
        else:
            world.db.run(f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no fold'; END $$;
                             CREATE TRIGGER fail BEFORE DELETE ON millrace._window_{id}_partial FOR EACH STATEMENT EXECUTE FUNCTION fail()""")
        for first in range(0, 30000, 1000):
            feed.send(*(json.dumps(dict(n=n, at="2026-01-01T00:00:00Z")) for n in range(first, first + 1000)))
        wait_for(lambda: world.db.value("SELECT state FROM millrace.workers") == "waiting", "the worker waits")
        wait_for(lambda: world.db.value("SELECT reason FROM millrace.pipelines") == "it waits: its windows have as much to fold as they may", "it says so")
        settled = world.counters()["events"]
        assert 200000 / MANY <= settled <= 200000 / MANY + 1000
        with world.db.session("app") as s:
            s.run("SET lock_timeout = '10 s'; SELECT millrace.pause(%s)", (world.pipeline_name,))
            s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
        other.connection.rollback()
    if trouble == "failing":
        world.db.run(f"DROP TRIGGER fail ON millrace._window_{id}_partial")
    feed.settled()
    assert world.db.value(f"SELECT count(*) FROM millrace.window_w{MANY - 1}") == 30000


def many_windows(world):
    """What feeds them, and the id of the first one."""
    feed = Feed(world, "CREATE TABLE t (n int, at timestamptz)", "n int, at timestamptz", "SELECT n, at FROM event", batch_rows=1000)
    for k in range(MANY):
        window(world, f"w{k}", group_by=["n AS k"])
    return feed, world.db.value("SELECT min(id) FROM millrace.window_definition")


def send_numbers(feed, first, last):
    for k in range(first, last, 1000):
        feed.send(*(json.dumps(dict(n=n, at="2026-01-01T00:00:00Z")) for n in range(k, k + 1000)))


def test_a_rebuild_in_parts_lets_a_full_worker_go_on(world):
    """Each part has folded what was there, and the next one has the window before a worker can."""
    feed, id = many_windows(world)
    with world.db.session(autocommit=False) as part, world.db.session(autocommit=False) as following, concurrent.futures.ThreadPoolExecutor(1) as pool:
        part.run(f"SELECT millrace._lock_window({id}, true)")
        send_numbers(feed, 0, 30000)
        wait_for(lambda: world.db.value("SELECT state FROM millrace.workers") == "waiting", "the worker waits")
        settled = world.counters()["events"]
        locked = pool.submit(following.value, f"SELECT millrace._lock_window({id}, true)")
        waits(world, following)
        part.run("SELECT millrace.rebuild_window('w0')")
        part.connection.commit()
        assert locked.result(LIMIT)
        wait_for(lambda: world.counters()["events"] > settled, "it takes batches, though another session has the window")
        following.connection.rollback()
    feed.settled()
    assert world.db.value("SELECT count(*) FROM millrace.window_w0") == 30000


def test_one_window_that_is_held_is_tried_by_itself(world):
    """Every 100 ms, while much is unfolded; the others are folded every 5 seconds, as long as little is added to them."""
    feed, id = many_windows(world)
    with world.db.session(autocommit=False) as other:
        other.run(f"SELECT millrace._lock_window({id}, true)")
        send_numbers(feed, 0, 10000)
        feed.settled()
        last = world.db.value("SELECT max(id) FROM millrace.window_definition")
        wait_for(lambda: world.db.value(f"SELECT count(*) FROM millrace._window_{last}_partial") == 0, "the others are folded")
        world.db.run(f"""CREATE SEQUENCE folds; CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.folds'); RETURN NULL; END $$;
                         CREATE TRIGGER counted BEFORE DELETE ON millrace._window_{last}_partial FOR EACH STATEMENT EXECUTE FUNCTION counted()""")
        began = world.db.value("SELECT clock_timestamp()")
        wait_for(lambda: world.db.value("SELECT last_value FROM folds") >= 3, "they are folded three times")
        assert world.db.value("SELECT clock_timestamp() - %s > interval '5 s'", (began,))
        other.connection.rollback()
    feed.settled()
    wait_for(lambda: world.db.value(f"SELECT count(*) FROM millrace._window_{id}_partial") == 0, "it is folded when it is free")
