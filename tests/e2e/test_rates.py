"""Rates: those of the last seconds against totals that are read before and behind them, all of them against what each batch is made of."""
import time

from lib.wait import wait_for
from test_target_changes import Feed


def rates(world, *columns):
    """By length in seconds."""
    return {int(over.total_seconds()): dict(zip(columns, map(float, values))) for over, *values in world.db.run(
        f"SELECT over, {', '.join(columns)} FROM millrace.rates WHERE pipeline = %s", (world.pipeline_name,))}


def test_rates_of_the_last_seconds(world):
    """A rate is over the time that it names, or up to a second more."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)")
    seen = []  # when the total was asked for, what it was, when it was known
    proven = set()

    def total():
        asked = time.monotonic()
        seen.append((asked, world.db.value("SELECT taken FROM millrace._live_totals()"), time.monotonic()))
        return seen[-1]

    def check(window, rate, before, after):
        at_least = before[1] - min(n for asked, n, known in seen if asked >= after[0] - window or n == before[1])
        older = [n for asked, n, known in seen if known <= before[2] - window - 1]
        if not older:
            return
        assert at_least <= (rate + 0.05) * (window + 1) and (rate - 0.05) * window <= after[1] - older[-1], (window, rate, seen)
        if at_least > 0:
            proven.add(window)

    def step():
        feed.send(*['{"n":1}'] * 50).settled()
        before, found, after = total(), rates(world, "events_per_s"), total()
        for window in (1, 10):
            check(window, found[window]["events_per_s"], before, after)
        return proven == {1, 10}

    feed.send('{"n":1}').settled()
    wait_for(lambda: world.db.value("SELECT taken FROM millrace._live_totals()"), "its first batch is counted")
    wait_for(step, "events came in the last second, and in the last ten")


def test_each_rate_is_of_what_it_names(world):
    """All batches are alike: rates have the proportions of a batch, over each time but the last second."""
    feed = Feed(world, "CREATE TABLE t (n int CHECK (n < 100), v text)", max_retries=1, retry_delay="10 ms", retry_jitter=0,
                transform="SELECT event.n, event.v FROM event CROSS JOIN generate_series(1, 3) WHERE event.n > 0")
    with world.db.session("app") as s:
        s.run("SELECT millrace.set_error_class('23514', 'retry', pipeline => %s)", (world.pipeline_name,))
    payloads = ['{"n":1}'] * 40 + ['{"n":0}'] * 6 + ['{"n":"x"}'] + ['{"n":300}'] * 3
    events = len(payloads)
    # three fail twice, one is not tried again
    batch = dict(events_per_s=events, rows_per_s=3 * 40, bytes_per_s=sum(map(len, payloads)), failures_per_s=1 + 2 * 3, dead_letters_per_s=4, retries_per_s=3)

    def alike(found, expected):
        return found["events_per_s"] > 0 and all(
            abs(found[name] - found["events_per_s"] * n / events) <= 0.05 * found["events_per_s"] * n / events + 0.1 for name, n in expected.items())

    def step():
        feed.send(*payloads).settled()
        wait_for(lambda: world.db.value("SELECT retrying FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,)) == 0, "tried again")
        found = rates(world, *batch)
        names = ("events_per_s", "rows_per_s", "events_per_s_minute", "rows_per_s_minute", "dead_letters_per_s")
        stats = dict(zip(names, map(float, world.db.run(f"SELECT {', '.join(names)} FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,))[0])))
        minute = dict(events_per_s=stats["events_per_s_minute"], rows_per_s=stats["rows_per_s_minute"], dead_letters_per_s=stats["dead_letters_per_s"])
        return (all(alike(found[window], batch) for window in (10, 60, 300, 3600)) and alike(stats, dict(rows_per_s=120))
                and alike(minute, dict(rows_per_s=120, dead_letters_per_s=4)))

    wait_for(step, "they are alike")
