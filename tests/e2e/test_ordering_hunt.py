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
    """Not in the order of the target's key, where triggers and defaults could see the difference."""
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


def test_a_discard_in_an_open_transaction_stops_nobody(world):
    feed = KeyFeed(world, on_dead="hold").put((b"a", 100, "bad"), (b"a", 101))
    feed.settled()
    session = world.db.session("app", autocommit=False)
    discard = "SELECT millrace.discard(%s, ids => ARRAY[(SELECT min(id) FROM millrace.dead_letters)])"
    assert session.value(discard, (world.pipeline_name,)) == 1
    feed.put((b"a", 102), (b"b", 103)).settled()
    session.connection.rollback()
    assert feed.order() == [103]
    assert feed.waiting() == [(0, "held", None), (1, "parked", 0), (2, "parked", 0)]
    assert letters(world)[0][1] == "open"
    session.close()


def test_a_discard_with_an_old_snapshot_lets_all_go(world):
    feed = KeyFeed(world, on_dead="hold").put((b"a", 100, "bad"))
    feed.settled()
    session = world.db.session("app", autocommit=False)
    session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    letter = session.value("SELECT min(id) FROM millrace.dead_letters")
    feed.put((b"a", 101), (b"a", 102)).settled()
    assert session.value("SELECT millrace.discard(%s, ids => ARRAY[%s::bigint])", (world.pipeline_name, letter)) == 1
    session.connection.commit()
    session.close()
    feed.emptied()
    assert feed.order() == [101, 102] and letters(world)[0][1] == "discarded"
    counters = world.counters()
    assert (counters["events"], counters["written"], counters["dead"]) == (3, 2, 1)


def test_a_letter_discarded_and_replayed_at_once(world):
    """The replay takes the letter's place if it still has one; nothing is processed twice."""
    feed = KeyFeed(world, on_dead="hold").put((b"a", 100, "bad"), (b"a", 101))
    feed.settled()
    feed.ddl("ALTER TABLE t DROP CONSTRAINT t_v_check")
    session = world.db.session("app", autocommit=False)
    letter = session.value("SELECT min(id) FROM millrace.dead_letters")
    for verb in ("discard", "replay"):
        assert session.value(f"SELECT millrace.{verb}(%s, ids => ARRAY[%s::bigint])", (world.pipeline_name, letter)) == 1
    session.connection.commit()
    session.close()
    feed.emptied()
    assert feed.order() == [100, 101] and letters(world)[0][1] == "replayed"
    counters = world.counters()
    assert (counters["events"], counters["written"], counters["dead"]) == (2, 2, 0)


def test_parked_events_say_nothing_to_the_breaker(world):
    """Retries that meet trouble are held back. A batch of a lane of which nothing is tried does not show that others pass: it
    neither is a probe, nor makes the tries in vain count."""
    feed = KeyFeed(world, LOG + """
        CREATE TABLE disk (is_full boolean); INSERT INTO disk VALUES (false);
        CREATE FUNCTION ask() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF (SELECT is_full FROM disk) THEN RAISE 'full' USING ERRCODE = 'disk_full'; END IF;
            RETURN NULL;
          END $$;
        CREATE TRIGGER ask BEFORE INSERT ON t EXECUTE FUNCTION ask()""")
    feed.put((b"a", 1)).settled()
    feed.ddl("UPDATE disk SET is_full = true")
    met = "SELECT last_error = 'full' AND last_error_at > %s FROM millrace.workers WHERE pipeline = %s"
    tries = "SELECT attempts FROM millrace.retries WHERE pipeline = %s AND state = 'retrying'"

    def meets_it(what):
        now = world.db.value("SELECT clock_timestamp()")
        wait_for(lambda: world.db.value(met, (now, world.pipeline_name)), what)

    meets_it("the retry meets the full disk")
    before = world.db.run(tries, (world.pipeline_name,))
    for i in range(3):
        feed.put((b"a", 101 + i)).settled()
    meets_it("the disk is still full")
    meets_it("and still")
    assert world.db.run(tries, (world.pipeline_name,)) == before
    assert world.db.value("SELECT count(*) FROM millrace.breakers WHERE opened > 0") == 0
    feed.ddl("UPDATE disk SET is_full = false")
    add_parent(feed, 1)
    feed.emptied()
    assert feed.order() == [1, 101, 102, 103]
    assert world.counters()["dead"] == 0
