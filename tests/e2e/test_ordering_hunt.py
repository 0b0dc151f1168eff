"""ordering => 'key' where mechanisms meet: upserts, rewinds, discards in open transactions, the breaker. The lane is played by
hand, see test_ordering.py."""
from lib.wait import wait_for

from test_ordering import LOG, KeyFeed, add_parent, letters


def test_a_row_that_gave_way_to_a_parked_one_is_written(world):
    """Event 2 (key a) would replace the row of event 1 (key b), is refused, and is parked behind event 0."""
    feed = KeyFeed(world, LOG + "CREATE UNIQUE INDEX ON t (v);", on_conflict="update", conflict_key=["v"])
    feed.put((b"a", 1, "y"), (b"b", 100, "z"), (b"a", 2, "z")).settled()
    assert feed.rows("SELECT v, n FROM t") == [("z", 100)]
    assert [w[:2] for w in feed.waiting()] == [(0, "retrying"), (2, "parked")]
    assert (world.counters()["written"], world.counters()["superseded"]) == (1, 0)


def test_what_a_rewind_brings_again_goes_before_its_successors(world):
    """An event that waits, and the same one behind it since the rewind: both before the next offset."""
    feed = KeyFeed(world, retry_delay="1 s", retry_max_delay="1 s").put((b"a", 1), (b"a", 100))
    feed.settled()
    assert feed.call("SELECT millrace.rewind(%s, \"offset\" => 0, allow_duplicates => true)", world.pipeline_name) == 1
    feed.lane.assign([0])
    feed.put((b"a", 1), (b"a", 100), (b"a", 101)).settled()
    assert [w[0] for w in feed.waiting()] == [0, 0, 1, 1, 2]
    add_parent(feed, 1)
    feed.emptied()
    assert feed.order() == [1, 1, 100, 100, 101]
    counters = world.counters()
    assert (counters["events"], counters["written"]) == (5, 5)


def test_rows_of_a_key_go_in_by_offset(world):
    """Not in the order of the target's key, where triggers and defaults could tell."""
    feed = KeyFeed(world, """
        CREATE TABLE parent (n int PRIMARY KEY);
        CREATE TABLE t (n int PRIMARY KEY, v text, seq bigserial)""")
    feed.put((b"a", 5), (b"b", 4), (b"a", 3), (b"b", 2), (b"a", 1)).settled()
    order = feed.order()
    assert [n for n in order if n % 2] == [5, 3, 1] and [n for n in order if n % 2 == 0] == [4, 2]


def test_rows_of_a_key_go_in_by_offset_whatever_the_plan(world):
    feed = KeyFeed(world, transform="SELECT n, v FROM event ORDER BY n")
    feed.put((b"a", 105), (b"a", 103), (b"a", 101)).settled()
    assert feed.order() == [105, 103, 101]
