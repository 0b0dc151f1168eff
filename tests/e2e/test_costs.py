"""What one event may cost the others: time. The lane is played by hand, so that neighbours are neighbours for sure."""
import time

import pytest

from lib.wait import wait_for
from test_target_changes import Feed

TIMEOUT_S = 4
GOOD = 300


def payloads(bad):
    good = [f'{{"n":{n},"v":"{n}"}}' for n in range(1, GOOD + 1)]
    return [*good[:200], bad, *good[200:]]


ENDLESS = {
    "transform": ("CREATE TABLE t (n int, v text)", "SELECT n, v FROM event WHERE n > 0 OR pg_sleep(600) IS NOT NULL"),
    # a trigger after the row is fired when all rows have been inserted: it is not known for which one
    "trigger_after": ("""CREATE TABLE t (n int, v text); CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN IF new.n < 0 THEN PERFORM pg_sleep(600); END IF; RETURN new; END $$;
                   CREATE TRIGGER refuse AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()""", "SELECT n, v FROM event"),
}


@pytest.mark.parametrize("where", ENDLESS)
def test_an_endless_event_costs_little_more_than_its_first_timeout(world, where):
    """With its retries, of which there are as many as by default."""
    ddl, transform = ENDLESS[where]
    feed = Feed(world, ddl, transform=transform, statement_timeout=f"{TIMEOUT_S} s", retry_delay="10 ms", retry_factor=1, dlq="off")
    began = time.monotonic()
    feed.send(*payloads('{"n":-1,"v":"endless"}')).settled()
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(GOOD, GOOD)]
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter") == 1, "the dead letter", 30)
    took = time.monotonic() - began
    assert world.db.run("SELECT sqlstate, ended, attempts FROM millrace.dead_letter") == [("57014", "exhausted", 4)]
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]
    assert took < 1.8 * TIMEOUT_S, f"{took:.1f} s"  # 1.5, and what a busy machine adds; 5 without bounds
