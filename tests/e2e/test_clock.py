"""The wall clock of the server is set back by an hour: nobody waits that hour, and rates and latencies stay what they are."""
import pytest

from lib.clock import Clock
from lib.cluster import Cluster
from lib.lane import Lane
from lib.wait import wait_for
from lib.world import ensure_roles
from test_workers import create_pipeline, prepare, settle

HOUR = 3600


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def cluster(clock):
    cluster = Cluster("clock", wrapper=clock.wrapper()).init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("immediate")


def test_the_clock_is_set_back(cluster, clock):
    """What is due later, however it came to be, is due as much earlier; backoffs and looks go by another clock."""
    db = cluster.create_database("clock")
    prepare(db)
    db.run("""
        CREATE TABLE parent (n int); ALTER TABLE parent OWNER TO app;
        CREATE FUNCTION check_parent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NOT EXISTS (SELECT FROM parent WHERE parent.n = new.n) THEN RAISE 'no parent' USING ERRCODE = '23503'; END IF;
            RETURN new; END $$;
        CREATE TRIGGER check_parent BEFORE INSERT ON number FOR EACH ROW EXECUTE FUNCTION check_parent();
        INSERT INTO parent VALUES (2), (3)""")
    create_pipeline(db, max_retries=100, retry_delay="3 s", retry_factor=1, retry_jitter=0)
    lane = Lane(db, "p").assign([0])
    lane.send(0, [b'{"n":1}'])
    attempts = "SELECT attempts FROM millrace.retry"
    seen = wait_for(lambda: db.value(attempts), "it fails")
    before = db.value("SELECT now()")
    clock.set(-HOUR)
    assert (before - db.value("SELECT clock_timestamp()")).total_seconds() > HOUR - 60
    settle(db, lane, 2)
    wait_for(lambda: db.value(attempts) > seen, "it is tried again")
    wait_for(lambda: db.value(attempts) > seen + 1, "and again")
    assert 'and so are due times of pipeline "p"' in cluster.log_text() and "Events that wait to be tried again: 1." in cluster.log_text()
    assert db.value("SELECT next_at - now() < '4 s' FROM millrace.retry")
    clock.set(HOUR)
    settle(db, lane, 3)
    clock.set(0)
    seen = db.value(attempts)
    wait_for(lambda: db.value(attempts) > seen, "the same after steps in both directions")
    db.run("INSERT INTO parent VALUES (1)")
    wait_for(lambda: db.value("SELECT count(*) FROM number WHERE n = 1") == 1, "written")
    lane.close()


def test_rates_and_latencies_go_by_another_clock(cluster, clock):
    """A batch is staged by one wall clock and visible by another, an hour ahead or back: the time between is what it was. Rates are of
    what came, and end with it."""
    db = cluster.create_database("rates")
    prepare(db)
    create_pipeline(db)
    lane = Lane(db, "p").assign([0])
    settle(db, lane, 1)
    rate = "SELECT events_per_s FROM millrace.rates WHERE pipeline = 'p' AND over = %s"
    total = 1
    for step in (HOUR, 0, -HOUR, 0):
        with db.session(autocommit=False) as locker:
            locker.run("LOCK TABLE number IN ACCESS EXCLUSIVE MODE")
            lane.send(0, [b'{"n":0}'] * 100)
            clock.set(step)
        total += 100
        wait_for(lambda: db.value("SELECT count(*) FROM number") == total, "the rows are there")
        worst = db.value("SELECT max(max_ms) FROM millrace.latency WHERE pipeline = 'p' AND stage = 'staged_to_visible' AND over = '1 min'")
        assert worst is None or 0 < worst < HOUR * 1000 / 2, "the step is in it"
        wait_for(lambda: db.value(rate, ("5 min",)) > 0 == db.value(rate, ("1 s",)), "the last second has none, the last minutes have some")
        low, high, idle = db.run("SELECT min(events_per_s), max(events_per_s), min(busy_workers) FROM millrace.rates WHERE pipeline = 'p'")[0]
        assert 0 <= low <= high <= total and idle >= 0
    lane.close()
