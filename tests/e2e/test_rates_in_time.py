"""What shared memory shows of the last second to the last hour, while hours pass within seconds: the clock of durations is moved on."""
import time

import pytest

from lib.clock import Clock
from lib.cluster import Cluster
from lib.lane import Lane
from lib.wait import wait_for
from lib.world import ensure_roles
from test_workers import create_pipeline, prepare

HOUR = 3600
WINDOWS = (1, 10, 60, 300, 3600)


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture
def cluster(clock):
    cluster = Cluster("time", {"millrace.max_workers": "2"}, wrapper=clock.wrapper()).init().start()
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

    def send(self, events):
        total = sum(n for _, _, n in self.batches) + events
        began = self.clock.now()
        self.lane.send(0, [b'{"n":1}'] * events, ts=int(time.time() * 1000))
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
        largest = self.db.value("SELECT largest_batch FROM millrace.stats")
        seen = self.db.value("SELECT events FROM millrace.latency WHERE stage = 'produced_to_visible' AND over = '1 min'")
        end = self.clock.now()
        assert tuple(sorted(rates)) == tuple(sorted(shown)) == WINDOWS
        for window in WINDOWS:
            early = 1 if window <= 60 else 60
            least, most = sum(self.since(end - window)), sum(self.since(begin - window - early, before=True))
            longest, shortest = min(window + early, max(end - self.batches[0][0], 1)), min(window, max(begin - self.batches[0][1], 1))
            for rate in (rates[window], shown[window]):
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
