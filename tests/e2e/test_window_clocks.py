"""Clocks that are wrong and partitions that are idle, while processes are killed: windows equal GROUP BY over the target, what is not counted is the truth, and
the watermark is where it has to be."""
import collections
import json
from datetime import datetime, timedelta, timezone

from lib.cluster import ConnectionLost
from lib.wait import wait_for
from test_exactly_once import dice, kill_broker, kill_ingestor, kill_postmaster, kill_worker
from test_kafka_shapes import produce
from test_sessions import session_window, sessions
from test_windows import NEAR, check_exact, window

# what is of one step is never late, in whatever order its partitions come; what is older than that always is
STEP, DELAY, LATENESS = timedelta(minutes=10), timedelta(seconds=30), timedelta(minutes=20)
PARTITIONS, SLEEPER, NEVER = 4, 2, 3  # one that gets nothing for a while, and one that never does
SLEPT = 4  # steps
FOREVER = 2**63 - 1
START = "date_bin('1 min', {}, '2000-01-01')"

TABLE = """CREATE TABLE t (id bigint NOT NULL, step int NOT NULL, source text, v int, at timestamptz, stamp timestamptz); CREATE INDEX ON t (source, at); CREATE INDEX ON t (at);
           CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF random() < 0.003 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END IF; RETURN new; END $$;
           CREATE TRIGGER trouble BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trouble()"""
FUTURE = ["9999-12-31T23:59:59Z", "284999-12-31T23:59:59Z", "294276-12-31T23:59:59Z"]  # the last one is in no window
PAST = ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "4699-06-01 00:00:00 BC"]
NOWHERE = [None, "infinity", "-infinity", "4713-11-24 00:00:00 BC"]
WINDOWS = {  # event time and aggregates; stamps are those of Kafka
    "sums": ("at", "count(*) AS n, sum(v) AS s, min(at) AS first"), "kinds": ("at", "count(*) AS n, count(DISTINCT v) AS s"),
    "stamps": ("stamp", "count(*) AS n, sum(v) AS s"), "closing": ("at", "count(*) AS n")}


class Model:
    def __init__(self, world, draw):
        self.world, self.db, self.draw = world, world.db, draw
        self.base = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(days=1)
        self.step = self.id = 0
        self.highest = {}  # event times that are not wrong
        self.final = {}    # of each window, when a step begins
        self.late = {name: collections.Counter() for name in WINDOWS}
        self.seen = {}     # watermarks
        world.create_topic(PARTITIONS, retention_ms=-1, segment_ms=FOREVER, message_timestamp_after_max_ms=FOREVER)
        with world.db.session("app") as s:
            s.run(TABLE)
        world.create_pipeline(fields="id bigint NOT NULL, step int NOT NULL, source text, v int, at timestamptz", target="t", workers=2, batch_rows=100, dlq="off",
                              transform="SELECT id, step, source, v, at, event.kafka_ts AS stamp FROM event WHERE source IS DISTINCT FROM 'filtered'",
                              retry_delay="200 ms", retry_factor=1, retry_jitter=0, max_retries=1000)
        for name, (at, aggregates) in WINDOWS.items():
            window(world, name, event_time=at, group_by=["source"], aggregates=aggregates, delay="30 s", lateness="20 min", max_skew="5 min",
                   close_idle="1 s" if name == "closing" else None)
        session_window(world, "runs", gap="20 s", max_session="5 min", group_by=["source"])

    # -- events

    def clock(self, column, step, wrongs):
        """A time of a step, or a wrong one. In the first step none of the past, where some windows may be final and others not."""
        right = self.base + step * STEP + timedelta(milliseconds=self.draw.randrange(STEP // timedelta(milliseconds=1)))
        wrongs = [wrong for wrong, is_past in wrongs if self.step > 0 or not is_past]
        if self.step > 0:  # in the last window that is final
            end = self.final["sums" if column == "at" else "stamps"].replace(second=0, microsecond=0)
            wrongs += [end - timedelta(milliseconds=self.draw.randrange(1, 60000))] * 3
        if self.draw.random() < 0.1:
            return self.draw.choice(wrongs)
        self.highest[column] = max(right, self.highest.get(column, right))
        return right

    def events(self, n, wakes):
        partitions = [p for p in range(PARTITIONS) if p != NEVER and (p != SLEEPER or wakes)]
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        for _ in range(n):
            partition = self.draw.choice(partitions)
            step = self.step - SLEPT if partition == SLEEPER and self.step >= SLEPT else self.step
            source, kind = self.draw.choice(["a", "b", "ü", None]), self.draw.random()
            if kind < 0.05:
                source, at, stamp = "filtered", self.draw.choice(FUTURE), tomorrow
            elif kind < 0.07:
                at, stamp = "2026-13-32", tomorrow  # cannot be read
            else:
                at = self.clock("at", step, [(t, False) for t in [*FUTURE, tomorrow, *NOWHERE]] + [(t, True) for t in PAST])
                stamp = self.clock("stamp", step, [(tomorrow, False), (tomorrow + timedelta(days=10**6), False), (datetime(1970, 1, 2, tzinfo=timezone.utc), True)])
            self.id += 1
            yield dict(value=json.dumps(dict(id=self.id, step=self.step, source=source, v=self.draw.randrange(100), at=at), default=datetime.isoformat).encode(),
                       partition=partition, timestamp=round(stamp.timestamp() * 1000))

    def send(self, wakes):
        produce(self.world, *self.events(self.draw.randrange(100, 500), wakes))

    # -- the watermark

    def expected(self, name, highest):
        """Where it is when all is settled."""
        high = highest[WINDOWS[name][0]]
        if name == "closing":  # the end of the last window
            return max(high.replace(second=0, microsecond=0) + timedelta(minutes=1), high - DELAY)
        return high - DELAY

    def look(self):
        """It never goes back, and never beyond what is right. True: the server is there."""
        try:
            rows = self.db.run("SELECT name, watermark FROM millrace.windows WHERE name = ANY (%s)", (list(WINDOWS),))
        except ConnectionLost:
            return False
        for name, watermark in rows:
            assert watermark is not None or name not in self.seen, name
            if watermark is not None:
                assert self.seen.get(name, watermark) <= watermark <= self.expected(name, self.highest), (name, self.seen.get(name), watermark)
                self.seen[name] = watermark
        return True

    def fold(self):
        self.db.run("SELECT millrace._fold_window(id, true, true) FROM millrace.window_definition")

    def holds(self, why, before):
        """While partitions cannot be read to their ends none is idle, however long nothing comes."""
        def held():
            self.fold()
            self.look()
            assert self.seen == before
            return set(self.db.run("SELECT held_why FROM millrace.windows")) == {(why,)}
        wait_for(held, why)

    # -- when all is settled

    def settle(self):
        highest = dict(self.highest)
        wait_for(lambda: self.look() and self.world.lag() == 0, "all is settled")
        wait_for(lambda: self.db.value("SELECT count(*) FROM millrace.retry") == 0, "all has been tried again")

        def at_rest():
            self.fold()
            self.look()
            return set(self.db.run("SELECT held_by FROM millrace.windows")) == {(None,)} and all(self.seen[name] == self.expected(name, highest) for name in WINDOWS)
        wait_for(at_rest, "no partition holds the watermark", every=0.3)

    def check(self):
        for name, (at, aggregates) in WINDOWS.items():
            start, near = START.format(at), NEAR.replace("at", at)
            check_exact(self.db, f"millrace.window_{name}", f"SELECT {start} AS window_start, source, {aggregates} FROM t WHERE {near} GROUP BY 1, 2")
            if name in self.final:
                rows = self.db.run(f"SELECT {start}::text, count(*) FROM t WHERE step = %s AND {near} AND {start} + interval '1 min' <= %s GROUP BY 1", (self.step, self.final[name]))
                self.late[name].update(dict(rows))
                limit = self.seen[name] - LATENESS
                assert self.db.value(f"SELECT count(*) FROM t WHERE step = %s AND {near} AND {start} + interval '1 min' > %s AND {start} + interval '1 min' <= %s",
                                     (self.step, self.final[name], limit)) == 0, "the model would not know whether these are late"
            assert dict(self.db.run("SELECT window_start::text, rows FROM millrace.late_rows WHERE \"window\" = %s", (name,))) == +self.late[name], name
            truth = self.db.run(f"SELECT count(*) FILTER (WHERE ({near}) IS NOT TRUE), count(*) FILTER (WHERE isfinite({at}) AND {at} > now() + interval '5 min') FROM t")
            assert self.db.run("SELECT outside, skewed FROM millrace.windows WHERE name = %s", (name,)) == truth, name
            assert self.db.run("SELECT late FROM millrace.windows WHERE name = %s", (name,)) == [(sum(self.late[name].values()),)], name
            assert self.db.value(f"SELECT count(*) FROM millrace.window_{name} WHERE closed <> (window_end <= %s) OR final <> (window_end <= %s)",
                                 (self.seen[name], self.seen[name] - LATENESS)) == 0, name
        check_exact(self.db, "millrace.window_runs", sessions("count(*) AS n", "20 s", "5 min"))


def without_ingestor(model, wakes):
    model.world.ingestors[0].kill()
    wait_for(lambda: model.db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ingestor'") == 0, "its sessions are gone")
    model.db.run("UPDATE millrace.watermark SET read_at = read_at - interval '1 min'")  # as long as it takes until an end says nothing any more
    model.send(wakes)
    yield "no ingestor reads the partition"
    model.world.ingestors[0].start(wait=False)


def paused(model, wakes):
    name = model.world.pipeline_name
    with model.db.session("app") as s:
        s.run("SELECT millrace.pause(%s)", (name,))
    model.send(wakes)
    yield "the pipeline is paused"
    with model.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (name,))


def with_open_breaker(model, wakes):
    model.db.run("ALTER TABLE t OWNER TO postgres; GRANT SELECT ON t TO app; REVOKE INSERT ON t FROM app")
    model.send(wakes)
    wait_for(lambda: model.look() and model.db.value("SELECT status FROM millrace.pipelines") == "breaker open", "the breaker opens")
    yield "the circuit breaker is open"
    model.db.run("ALTER TABLE t OWNER TO app")


def test_wrong_clocks_and_idle_partitions(world):
    draw = dice()
    model = Model(world, draw)
    assert model.db.run("SELECT DISTINCT watermark FROM millrace.windows") == [(None,)]
    world.start_ingestor()
    kills = [kill_worker, kill_ingestor, kill_broker, kill_postmaster, kill_worker, kill_ingestor]
    steps = [*kills, without_ingestor, paused, with_open_breaker]
    draw.shuffle(steps)
    for model.step, what in enumerate([None, *steps]):
        model.final = {name: watermark - LATENESS for name, watermark in model.seen.items()}
        wakes = model.step in (0, SLEPT + 1, SLEPT + 3)
        if what is None or what in kills:
            model.send(wakes)
            wait_for(lambda n=draw.randrange(50): model.look() and model.db.value("SELECT count(*) FROM t WHERE step = %s", (model.step,)) > n, "some are in")
            if what is not None:
                what(world, draw)
        else:
            before = dict(model.seen)
            held = what(model, wakes)
            why = next(held)
            model.holds(why, before)
            kill_postmaster(world, draw)
            wait_for(model.look, "the server is back")
            model.holds(why, before)
            assert next(held, None) is None
        model.settle()
        model.check()
    assert all(model.late[name] for name in WINDOWS)
