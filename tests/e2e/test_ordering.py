"""ordering => 'key': events of a failing key wait in order behind it, others pass. The lane is played by hand, so that what
is in one batch is known; the model at the end runs on random failures."""
from lib.lane import Batch
from lib.wait import wait_for

from test_failures import QUICK
from test_target_changes import Feed

# seq shows the order rows were written in
LOG = """
    CREATE TABLE parent (n int PRIMARY KEY);
    INSERT INTO parent SELECT generate_series(100, 200);
    CREATE TABLE t (n int REFERENCES parent, v text CHECK (v <> 'bad'), seq bigserial);"""


class KeyFeed(Feed):
    def __init__(self, world, ddl=LOG, **more):
        super().__init__(world, ddl, **dict(dict(ordering="key", max_retries=1000, **QUICK), **more))

    def put(self, *events):
        """(key, n) or (key, n, v): one staged batch."""
        position = self.lane.positions[0]
        batch = Batch()
        for i, (key, n, *v) in enumerate(events):
            batch.event(0, position + i, f'{{"n":{n},"v":"{v[0] if v else "x"}"}}'.encode(), key=key)
        batch.entry(0, self.lane.epochs[0], position, position + len(events))
        self.lane.stage(batch)
        self.lane.positions[0] += len(events)
        return self

    def order(self):
        return [n for n, in self.rows("SELECT n FROM t ORDER BY seq")]

    def waiting(self):
        return self.world.db.run("SELECT \"offset\", state, behind FROM millrace.retries ORDER BY 1")

    def call(self, sql, *parameters):
        with self.world.db.session("app") as s:
            return s.value(sql, parameters)

    def emptied(self):
        wait_for(lambda: self.waiting() == [], "no event waits")
        return self


def letters(world):
    return world.db.run("SELECT \"offset\", state, ended, attempts FROM millrace.dead_letter ORDER BY 1")


def add_parent(feed, n):
    feed.ddl(f"INSERT INTO parent VALUES ({n})")


def test_a_key_waits_and_others_pass(world):
    feed = KeyFeed(world).put((b"a", 1), (b"b", 100), (b"a", 101), (None, 102), (b"", 103), (b"a", 104))
    feed.settled()
    assert sorted(feed.order()) == [100, 102, 103]
    assert feed.waiting() == [(0, "retrying", None), (2, "parked", 0), (5, "parked", 0)]
    feed.put((b"a", 105), (b"b", 106)).settled()
    assert sorted(feed.order()) == [100, 102, 103, 106]
    assert world.counters()["events"] == 8 and world.counters()["written"] == 4
    waiting = "SELECT retrying, parked FROM millrace.stats WHERE pipeline = %s"
    assert world.db.run(waiting, (world.pipeline_name,)) == [(4, 3)]
    status = world.db.run("SELECT status, detail ->> 'reason' FROM millrace.event_status(%s, 0, 2)", (world.topic,))
    assert status == [("parked", "waits behind offset 0 of its key")]
    add_parent(feed, 1)
    feed.emptied()
    assert [n for n in feed.order() if n not in (100, 102, 103, 106)] == [1, 101, 104, 105]
    counters = world.counters()
    assert (counters["events"], counters["written"]) == (8, 8)
    assert world.db.run(waiting, (world.pipeline_name,)) == [(0, 0)]


def test_null_keys_are_no_key(world):
    feed = KeyFeed(world).put((None, 1), (None, 100), (None, 2), (None, 101))
    feed.settled()
    assert sorted(feed.order()) == [100, 101]
    assert [w[:2] for w in feed.waiting()] == [(0, "retrying"), (2, "retrying")]


def test_rows_of_a_waiting_event_are_taken_back(world):
    """Rows go in by the target's key, so the later event's row is in before the earlier one fails."""
    feed = KeyFeed(world, LOG + "CREATE UNIQUE INDEX ON t (v);", on_conflict="update", conflict_key=["v"],
                   transform="SELECT n, v FROM event")
    feed.put((b"a", 100, "z"), (b"a", 1, "y"), (b"a", 101, "b"), (b"b", 102, "c"), (b"a", 103, "z"))
    feed.settled()
    assert feed.rows("SELECT v, n FROM t ORDER BY 1") == [("c", 102), ("z", 100)]
    assert feed.waiting() == [(1, "retrying", None), (2, "parked", 1), (4, "parked", 1)]
    add_parent(feed, 1)
    feed.emptied()
    assert feed.rows("SELECT v, n FROM t ORDER BY 1") == [("b", 101), ("c", 102), ("y", 1), ("z", 103)]


def test_a_dead_letter_releases_its_key(world):
    feed = KeyFeed(world, max_retries=2).put((b"a", 1), (b"a", 100), (b"a", 101, "bad"), (b"a", 102))
    wait_for(lambda: len(letters(world)) == 2, "given up")
    feed.emptied()
    assert letters(world) == [(0, "open", "exhausted", 3), (2, "open", "permanent", 1)]
    assert feed.order() == [100, 102]


def test_a_dead_letter_holds_its_key_until_it_is_replayed(world):
    feed = KeyFeed(world, max_retries=0, on_dead="hold").put((b"a", 1), (b"a", 100), (b"b", 101))
    feed.put((b"a", 102)).settled()
    held = [(0, "held", None), (1, "parked", 0), (3, "parked", 0)]
    assert feed.order() == [101] and feed.waiting() == held
    assert letters(world) == [(0, "open", "permanent", 1)] or letters(world) == [(0, "open", "exhausted", 1)]
    # fails again: holds again
    assert feed.call("SELECT millrace.replay(%s)", world.pipeline_name) == 1
    wait_for(lambda: world.db.value("SELECT replay_count FROM millrace.dead_letter") == 1, "the replay")
    assert feed.waiting() == held and feed.order() == [101]
    add_parent(feed, 1)
    assert feed.call("SELECT millrace.replay(%s)", world.pipeline_name) == 1
    feed.emptied()
    assert feed.order() == [101, 1, 100, 102]
    assert letters(world)[0][1] == "replayed"
    counters = world.counters()
    assert (counters["events"], counters["written"], counters["dead"]) == (4, 4, 0)


def test_a_discarded_dead_letter_lets_its_key_go(world):
    feed = KeyFeed(world, on_dead="hold").put((b"a", 100, "bad"), (b"a", 101), (b"c", 102, "bad"), (b"c", 103))
    feed.settled()
    assert feed.order() == []
    found = {(what, detail) for what, detail in world.db.run("SELECT what, detail FROM millrace.doctor()")}
    assert any("2 dead letters" in what and "wait" in what for what, _ in found), found
    assert feed.call("SELECT millrace.discard(%s, ids => ARRAY[(SELECT min(id) FROM millrace.dead_letters)])",
                     world.pipeline_name) == 1
    wait_for(lambda: feed.order() == [101], "the queue")
    assert feed.waiting() == [(2, "held", None), (3, "parked", 2)]


def test_a_full_queue_lets_the_pipeline_wait(world):
    feed = KeyFeed(world, max_parked_per_key=3).put((b"a", 1)).put((b"a", 100), (b"a", 101))
    feed.settled()
    before = dict(feed.lane.positions)
    feed.put((b"b", 102), (b"a", 103), (b"b", 104))
    wait_for(lambda: world.db.value("SELECT state FROM millrace.workers") == "waiting", "the pipeline waits")
    assert world.positions() == {0: before[0] + 1} and feed.order() == [102]
    assert len(feed.waiting()) == 3
    reason = "SELECT reason FROM millrace.pipelines WHERE status = 'running'"
    wait_for(lambda: world.db.value(reason) == "it waits: its queues of failed keys are full", "the first view to look at says so")
    wait_for(lambda: any("wait" in what for what, in world.db.run("SELECT what FROM millrace.doctor() WHERE severity = 'error'")), "doctor() says so")
    add_parent(feed, 1)
    feed.settled()
    feed.emptied()
    assert [n for n in feed.order() if n not in (102, 104)] == [1, 100, 101, 103]


def test_queues_are_never_longer_than_allowed(world):
    """A batch that would overfill them is settled in parts."""
    feed = KeyFeed(world, max_parked=10)
    feed.put(*((b"%d" % (i % 40), i) for i in range(1, 81)))
    wait_for(lambda: world.db.value("SELECT state FROM millrace.workers") == "waiting", "the pipeline waits")
    assert len(feed.waiting()) == 10
    feed.ddl("INSERT INTO parent SELECT generate_series(1, 80)")
    feed.settled()
    feed.emptied()
    for key in range(40):
        mine = [n for n in feed.order() if n % 40 == key]
        assert mine == sorted(mine) and len(mine) == 2


def test_ordering_is_changed_while_events_wait(world):
    feed = KeyFeed(world, on_dead="hold").put((b"a", 1), (b"a", 100), (b"b", 101, "bad"), (b"b", 102), (b"b", 103))
    feed.settled()
    assert feed.call("SELECT millrace.alter_pipeline(%s, on_dead => 'release')", world.pipeline_name) == 2
    wait_for(lambda: feed.order() == [102, 103], "b is released")
    assert feed.waiting() == [(0, "retrying", None), (1, "parked", 0)]
    assert feed.call("SELECT millrace.alter_pipeline(%s, ordering => 'none')", world.pipeline_name) == 3
    wait_for(lambda: feed.order() == [102, 103, 100], "nothing waits")
    assert feed.waiting() == [(0, "retrying", None)]
    feed.put((b"a", 104)).settled()
    assert feed.order()[-1] == 104


def test_failing_events_without_a_key_fill_no_queue(world):
    """They are tried again beside all queues: as many of them as may be parked do not stop the pipeline."""
    feed = KeyFeed(world, max_parked=10, retry_delay="1 h", retry_max_delay="1 h").put(*((None, i) for i in range(10)))
    feed.settled()
    assert len(feed.waiting()) == 10
    feed.put((b"a", 100), (b"b", 101)).settled()
    assert sorted(feed.order()) == [100, 101]
