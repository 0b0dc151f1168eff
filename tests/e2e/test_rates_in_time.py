"""What shared memory shows of the last second to the last hour, while hours pass within seconds: the clock of durations is moved on."""
import time

import pytest

from lib.clock import Clock
from lib.cluster import Cluster, ConnectionLost
from lib.lane import Lane
from lib.wait import wait_for
from lib.world import ensure_roles
from test_workers import create_pipeline, prepare, setting

HOUR = 3600
WINDOWS = (1, 10, 60, 300, 3600)


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture
def cluster(clock):
    cluster = Cluster("time", {"millrace.max_workers": "2", "millrace.stats_retention": "'1h'"}, wrapper=clock.wrapper()).init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


class Watched:
    """A pipeline that is fed by hand, whose batches are known: when each was added to shared memory, and what it had."""

    def __init__(self, cluster, clock, name):
        self.clock, self.db = clock, cluster.create_database(name)
        prepare(self.db)
        create_pipeline(self.db)
        self.lane = Lane(self.db, "p").assign([0])
        self.batches = []  # not before, not after, events

    def send(self, events, age=0):
        """age: of the messages, in seconds."""
        total = sum(n for _, _, n in self.batches) + events
        began = self.clock.now()
        self.lane.send(0, [b'{"n":1}'] * events, ts=int((time.time() + self.clock.wall - age) * 1000))
        wait_for(lambda: self.db.value("SELECT taken FROM millrace._live_totals()") == total, "the batch is counted", every=0.002)
        self.batches.append((began, self.clock.now(), events))

    def since(self, moment, before=False):
        """Events of the batches that came then or later; before: of those that may have."""
        return [n for began, known, n in self.batches if (known if before else began) >= moment]

    def check(self):
        """A window of up to a minute may begin a second early, a longer one a minute, and those of latencies ten seconds. None is longer than
        it is since the first batch."""
        begin = self.clock.now()
        rates = dict(self.db.run("SELECT window_s, events FROM millrace._live_rates()"))
        shown = dict(self.db.run("SELECT extract(epoch FROM over)::integer, events_per_s::float8 FROM millrace.rates"))
        in_stats = dict(zip((10, 60), zip(*[map(float, row) for row in self.db.run(
            "SELECT events_per_s, events_per_s_minute FROM millrace.stats UNION ALL SELECT rows_per_s, rows_per_s_minute FROM millrace.stats")])))
        largest = self.db.value("SELECT largest_batch FROM millrace.stats")
        seen = self.db.value("SELECT events FROM millrace.latency WHERE stage = 'produced_to_visible' AND over = '1 min'")
        end = self.clock.now()
        assert tuple(sorted(rates)) == tuple(sorted(shown)) == WINDOWS
        for window in WINDOWS:
            early = 1 if window <= 60 else 60
            least, most = sum(self.since(end - window)), sum(self.since(begin - window - early, before=True))
            longest, shortest = min(window + early, max(end - self.batches[0][0], 1)), min(window, max(begin - self.batches[0][1], 1))
            for rate in (rates[window], shown[window], *in_stats.get(window, ())):
                assert least / longest - 0.06 <= rate <= most / shortest + 0.06, (window, rate, least, most)
        least, most = self.since(end - 60), self.since(begin - 70, before=True)
        assert sum(least) <= seen <= sum(most), (least, seen, most)
        assert max(least, default=0) <= (largest or 0) <= max(most, default=0) and (largest is None or largest > 0), (least, largest, most)


def test_each_window_has_what_came_in_it(cluster, clock):
    """Longer than what is kept: rings of seconds, minutes and tens of seconds begin again more than once, and empty as time passes."""
    watched = Watched(cluster, clock, "windows")
    watched.send(1)
    watched.check()
    for step in (3, 20, 40, 200, 2 * HOUR):
        clock.pass_by(step)
        watched.send(100)
        watched.check()
    clock.pass_by(2 * HOUR)
    watched.check()
    for step in (1, 60):
        for i in range(140):
            clock.pass_by(step)
            watched.send(1 + i * i % 37)
            if i % 5 == 0:
                watched.check()
    for step in (2, 5, 7, 30, 30, 60, 200, 300, HOUR, 2 * HOUR):
        clock.pass_by(step)
        watched.check()
    assert watched.db.run("SELECT max(events_per_s), max(busy_workers) FROM millrace.rates") == [(0, 0)]
    watched.send(5)
    watched.check()
    assert watched.db.value("SELECT events FROM millrace.stats") == sum(n for _, _, n in watched.batches)
    watched.lane.close()


def test_a_slot_that_is_idle_gives_way(cluster, clock):
    """There are as many as there can be workers. That of a pipeline which is gone is taken over after ten minutes, the others stay."""
    first = Watched(cluster, clock, "first")
    first.send(500)
    second = Watched(cluster, clock, "second")
    second.send(4)
    first.lane.close()
    first.db.run("SELECT millrace.drop_pipeline('p')")
    third = Watched(cluster, clock, "third")
    looks = 0

    def is_counted():
        return third.db.value("SELECT count(*) FROM millrace._live_totals()") == 1

    # those that are there are not old enough
    for _ in range(3):
        third.lane.send(0, [b'{"n":1}'])
        looks += 1
        wait_for(lambda: third.db.value("SELECT count(*) FROM number") == looks, "it is settled")
        clock.pass_by(150)
        second.send(4)
    assert not is_counted()
    clock.pass_by(200)

    def is_taken():
        third.lane.send(0, [b'{"n":1}'])
        return is_counted()

    wait_for(is_taken, "a slot is its own", every=0.1)
    assert third.db.value("SELECT taken FROM millrace._live_totals()") < 500, "with nothing of what was in it"
    second.send(4)
    second.check()
    assert first.db.value("SELECT count(*) FROM millrace._live_totals()") == 0
    second.lane.close()
    third.lane.close()


def test_metrics_of_shared_memory(cluster, clock):
    """Sizes of batches, latencies and the time that the worker was busy, of batches that are made for the purpose."""
    began = time.monotonic()
    watched = Watched(cluster, clock, "metrics")
    with watched.db.session(autocommit=False) as locker:
        locker.run("LOCK TABLE number IN ACCESS EXCLUSIVE MODE")
        watched.lane.send(0, [b'{"n":1}'] * 10, ts=int(time.time() * 1000))
        wait_for(lambda: watched.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1, "the worker waits")
        waited = time.monotonic()
        time.sleep(1)
        waited = time.monotonic() - waited
    watched.batches.append((began, began, 10))
    wait_for(lambda: watched.db.value("SELECT taken FROM millrace._live_totals()") == 10, "the batch is counted")
    # the second age is in the last bucket before a bound of the histogram
    ages = [0] * 10
    for events, age in ((4, 0), (16, 0), (1, 0), (5, 0), (280, 29.5), (25, 300), (6, 5000)):
        watched.send(events, age)
        ages += [age] * events
    took = time.monotonic() - began
    found = {(name, labels.get("stage"), labels.get("quantile") or labels.get("le")): value for name, labels, value in
             watched.db.run("SELECT name, labels, value FROM millrace.metric WHERE name ~ '^millrace_(batch|latency|event_latency|worker_busy|largest)'")}

    def batches(bound):
        return found["millrace_batch_events_bucket", None, bound]

    assert [batches(b) for b in ("1", "4", "16", "64", "256", "1024", "+Inf")] == [1, 2, 6, 7, 7, 8, 8]
    assert (found["millrace_batch_events_count", None, None], found["millrace_batch_events_sum", None, None], found["millrace_batches_total", None, None]) == (8, 347, 8)
    busy = found["millrace_worker_busy_seconds_total", None, None]
    assert waited <= busy <= took
    assert found["millrace_largest_batch_events", None, None] == 280 or took > 50
    # the same as rates, as far as they are rounded
    events, batches_per_s, busy_workers, per_batch, per_batch_in_stats = map(float, watched.db.run(
        "SELECT r.events_per_s, r.batches_per_s, r.busy_workers, r.events_per_batch, s.events_per_batch FROM millrace.rates AS r, millrace.stats AS s WHERE r.over = '1 h'")[0])
    assert abs(batches_per_s - events * 8 / 347) < 0.0051 + 0.051 * 8 / 347 and abs(busy_workers - events * busy / 347) < 0.0006 + 0.051 * busy / 347
    assert per_batch == round(347 / 8, 1) and (per_batch_in_stats == per_batch or took > 50)
    # nothing comes any more: a rate that is read between two others is between them
    by_view = "SELECT extract(epoch FROM over)::integer || 's', events_per_s::float8 FROM millrace.rates"
    before, during, after = (dict(watched.db.run(query)) for query in (
        by_view, "SELECT labels ->> 'over', value FROM millrace.metric WHERE name = 'millrace_events_per_second'", by_view))
    assert before.keys() == during.keys() == {"1s", "10s", "60s", "300s", "3600s"} and during["3600s"] > 0
    assert all(after[over] - 0.06 <= rate <= before[over] + 0.06 for over, rate in during.items()), (before, during, after)
    wait_for(lambda: dict(watched.db.run("SELECT labels ->> 'state', value FROM millrace.metric WHERE name = 'millrace_worker_states' AND value > 0")) == {"idle": 1}, "its worker is idle")
    assert watched.db.value("SELECT value FROM millrace.metric WHERE name = 'millrace_workers'") == 1
    for stage in ("produced_to_visible", "produced_to_staged"):
        buckets = {bound: n for (name, its, bound), n in found.items() if name == "millrace_event_latency_seconds_bucket" and its == stage}
        assert len(buckets) == 17 and [buckets[b] for b in ("16.777216", "+Inf")] == [36, 347], buckets
        assert buckets["33.554432"] == 316 or took > 4, buckets
        assert found["millrace_event_latency_seconds_count", stage, None] == 347
        assert sum(ages) - 1 <= found["millrace_event_latency_seconds_sum", stage, None] <= sum(ages) + 347 * took
        for quantile, age in (("0.5", 29.5), ("0.95", 300), ("0.99", 5000)):
            assert age * 0.8 <= found["millrace_latency_seconds", stage, quantile] <= age * 1.25 + took
        assert 4999 <= found["millrace_latency_max_seconds", stage, None] <= 5000 + took
        percentiles = watched.db.run("SELECT p50_ms, p95_ms, p99_ms, max_ms FROM millrace.latency WHERE stage = %s AND over = '1 min'", (stage,))[0]
        assert [abs(float(ms) / 1000 - found["millrace_latency_seconds", stage, q]) < 0.001 for ms, q in zip(percentiles, ("0.5", "0.95", "0.99"))] == [True] * 3
        assert abs(float(percentiles[3]) / 1000 - found["millrace_latency_max_seconds", stage, None]) < 0.001
    assert waited <= found["millrace_latency_max_seconds", "staged_to_visible", None] <= found["millrace_event_latency_seconds_sum", "staged_to_visible", None] <= 347 * took
    watched.lane.close()


def known_or_nothing(db, query):
    """The first look after a restart may meet the session of before."""
    try:
        return db.value(query)
    except ConnectionLost:
        return None


class Minutes:
    """Of a pipeline, as the supervisor writes them; the wall clock is put to where a minute has begun before each one."""

    def __init__(self, watched):
        self.watched, self.db, self.clock = watched, watched.db, watched.clock
        self.next()

    def next(self, minutes=1):
        now = time.time() + self.clock.wall
        step = 60 * minutes - int(now % 60) + 5
        self.clock.set(self.clock.wall + step)
        self.clock.pass_by(step)

    def ended(self):
        """The row of the minute that goes on now, when it has ended."""
        minute = self.db.value("SELECT date_trunc('minute', now())")
        self.next()
        self.db.run("SELECT pg_reload_conf()")  # who sleeps looks at the clock again
        names = "up, events, batches, largest_batch, busy_workers, max_ms, p99_ms, lag, seen"
        found = wait_for(lambda: self.db.run("SELECT h.up, h.events, h.batches, h.largest_batch, h.busy_workers::float8, h.max_ms, h.p99_ms, h.lag,"
                                             " (SELECT sum(n)::bigint FROM unnest(h.produced_to_visible) AS n) FROM millrace.stats_history AS h WHERE h.minute = %s", (minute,)),
                         "it is recorded", 60)
        return dict(zip(names.split(", "), found[0]))


def test_minutes_are_recorded_as_they_end(cluster, clock):
    """By the supervisor: each has what came in it, and nothing of the one before; those of a server that is down are not up; old ones go."""
    watched = Watched(cluster, clock, "minutes")
    watched.send(3)
    minutes = Minutes(watched)
    minutes.ended()
    lengths = []
    for batches, age in (([500, 20, 1], 50), ([7, 7], 5), ([90], 0)):
        began = time.monotonic()
        with watched.db.session(autocommit=False) as locker:
            if age == 50:
                locker.run("LOCK TABLE number IN ACCESS EXCLUSIVE MODE")
                watched.lane.send(0, [b'{"n":1}'] * 30, ts=int((time.time() + clock.wall - age) * 1000))
                wait_for(lambda: watched.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1, "the worker waits")
                time.sleep(1)  # so that it has been busy for longer than in all that follows
                watched.batches.append((clock.now(), clock.now(), 30))
        for n in batches:
            watched.send(n, age)
        lengths.append(time.monotonic() - began)
        row = minutes.ended()
        more = [30] if age == 50 else []
        assert (row["up"], row["events"], row["seen"], row["largest_batch"]) == (True, sum(batches + more), sum(batches + more), max(batches)), row
        assert row["batches"] == len(batches + more) and row["lag"] is None, row
        assert age * 1000 - 1 <= row["max_ms"] <= (age + lengths[-1] + 1) * 1000 and 0 <= row["p99_ms"] <= row["max_ms"], row
        # to the last digit that is shown
        assert (1 / 60 if more else 0) <= row["busy_workers"] + 0.0006 <= lengths[-1] / 60 + 0.0012, (row, lengths)
    idle = minutes.ended()
    assert idle == dict(up=True, events=0, batches=0, largest_batch=None, busy_workers=0, max_ms=None, p99_ms=None, lag=None, seen=None)

    watched.lane.close()
    cluster.stop("fast")
    minutes.next(5)
    cluster.start()
    watched.lane = Lane(watched.db, "p").assign([0])
    known = sum(n for _, _, n in watched.batches)
    watched.lane.send(0, [b'{"n":1}'] * 11)
    wait_for(lambda: known_or_nothing(watched.db, "SELECT count(*) FROM number") == known + 11, "it goes on")
    row = minutes.ended()
    assert row["up"]
    rows = watched.db.run("SELECT minute, up, events FROM millrace.stats_history ORDER BY minute")
    assert [(b[0] - a[0]).total_seconds() for a, b in zip(rows, rows[1:])] == [60] * (len(rows) - 1)
    assert 4 <= sum(not up for _, up, _ in rows) <= 5 and all(events == 0 for _, up, events in rows if not up), rows
    assert sum(events for _, _, events in rows) == known + 11 == watched.db.value("SELECT events FROM millrace.stats")
    minutes.next(80)
    watched.db.run("SELECT pg_reload_conf()")
    wait_for(lambda: watched.db.run("SELECT count(*), max(minute) - min(minute) = interval '1 h', max(minute) = date_trunc('minute', now()) - interval '1 min'"
                                    " FROM millrace.stats_history") == [(61, True, True)], "what is kept", 60)

    # more minutes than are made up in one step
    setting(cluster, "millrace.stats_retention", "60 d")
    days = 50
    minutes.next(days * 24 * 60)
    last = watched.db.value("SELECT date_trunc('minute', now()) - interval '1 min'")
    watched.db.run("SELECT pg_reload_conf()")
    up = wait_for(lambda: watched.db.run("SELECT up FROM millrace.stats_history WHERE minute = %s", (last,)), "the last one", 120)
    assert up == [(True,)], "in the next steps, not as a minute in which nobody looked"
    assert watched.db.run("SELECT count(*) > %s, count(*) = extract(epoch FROM max(minute) - min(minute)) / 60 + 1 FROM millrace.stats_history", (days * 24 * 60,)) == [(True, True)]
    watched.lane.close()
