"""The model of test_ordering_model.py in narrow shapes, and while verbs change the pipeline: small batches, small queues, few keys,
settings altered, rewinds. Meanwhile every snapshot keeps what must always hold of queues and counters."""
import random

import pytest

from lib.wait import wait_for
from test_failures import query
from test_ordering_model import check, discard_some, produce, start

# One statement, so one snapshot: rows that contradict the rules of src/fail/order.h and docs/architecture.md.
CONTRADICTIONS = """
    WITH q AS (
      SELECT r.*, row_number() OVER w AS nth, count(*) FILTER (WHERE isfinite(r.next_at)) OVER (PARTITION BY r.partition, r.order_key) AS due
      FROM millrace.retry AS r WHERE r.order_key IS NOT NULL
      WINDOW w AS (PARTITION BY r.partition, r.order_key ORDER BY r."offset", r.id))
    SELECT 'stuck', partition, "offset" FROM q WHERE nth = 1 AND state = 'parked' AND NOT isfinite(next_at)
    UNION ALL
    SELECT 'two are due', partition, "offset" FROM q WHERE nth = 1 AND due > 1 AND NOT {rewound}
    UNION ALL
    SELECT 'counters', g.partition, g.events FROM (
      SELECT DISTINCT ON (c.partition) c.* FROM millrace.progress AS c ORDER BY c.partition, c.seq DESC) AS g
    WHERE g.events <> g.written + g.filtered + g.superseded + g.skipped + g.dead + g.retrying
    UNION ALL
    SELECT 'retrying', g.partition, g.retrying FROM (
      SELECT DISTINCT ON (c.partition) c.* FROM millrace.progress AS c ORDER BY c.partition, c.seq DESC) AS g
    WHERE g.retrying <> (SELECT count(*) FROM millrace.retry AS r WHERE r.partition = g.partition AND r.state <> 'held' AND r.replay_of IS NULL)"""


def run(world, target, on_dead, count, keys, disturb=None, padding=0, rewound=False, **settings):
    """disturb(draw) is called all the while; returns whether it is done."""
    seed = random.SystemRandom().randrange(10**9)
    draw = random.Random(seed)
    start(world, target, on_dead, **settings)
    sent = produce(world, draw, count, lambda d: d.choice([f"k{d.randrange(keys)}"] * 9 + [None]), padding)

    def settled():
        found = query(world, CONTRADICTIONS.format(rewound=rewound).replace("%", "%%"))
        assert found == [], f"{found} (seed {seed})"
        quiet = disturb is None or disturb(draw)
        if on_dead == "hold":
            discard_some(world)
        return quiet and world.lag() == 0 and (rewound or world.counters()["events"] == len(sent)) and \
            world.db.value("SELECT count(*) FROM millrace.retry") == 0
    wait_for(settled, f"all settled (seed {seed})")
    return sent, f"seed {seed}"


@pytest.mark.parametrize("target, on_dead, keys, shape", [
    ("append", "release", 3, dict(batch_rows=1)),
    ("upsert", "hold", 3, dict(batch_rows=7, workers=3)),
    ("append", "hold", 20, dict(max_parked=5)),
    ("upsert", "release", 1, dict(max_parked_per_key=5, batch_rows=50)),
], ids=["one_at_a_time", "sevens", "short_queues", "one_key"])
def test_order_in_narrow_shapes(world, target, on_dead, keys, shape):
    sent, seed = run(world, target, on_dead, 300, keys, **shape)
    check(world, sent, target, seed)


def test_order_when_bytes_cut_a_queue(world):
    world.db.run("ALTER SYSTEM SET millrace.batch_bytes = '64kB'")
    world.db.run("SELECT pg_reload_conf()")
    try:
        sent, seed = run(world, "append", "release", 600, 2, padding=6000)
        check(world, sent, "append", seed)
    finally:
        world.db.run("ALTER SYSTEM RESET millrace.batch_bytes")
        world.db.run("SELECT pg_reload_conf()")


@pytest.mark.parametrize("target", ["append", "upsert"])
def test_order_while_settings_change(world, target):
    changes = ["batch_rows => 3", "batch_rows => 200", "max_parked => 5", "max_parked => 500", "max_parked_per_key => 2",
               "max_parked_per_key => 100", "workers => 1", "workers => 3", "on_dead => 'hold'", "on_dead => 'release'"]
    left = [", ".join(changes[i] for i in (1, 3, 5, 7))] + [None] * 25  # wide in the end

    def alter(draw):
        if left:
            change = left.pop() or draw.choice(changes)
            with world.db.session("app") as s:
                s.run(f"SELECT millrace.alter_pipeline(%s, {change})", (world.pipeline_name,))
        return not left
    sent, seed = run(world, target, "hold", 800, 10, disturb=alter)
    check(world, sent, target, seed)


def test_order_through_rewinds(world):
    """Events come again while the same ones wait: in the end the table is as if each had come once."""
    left = list(range(4))

    def rewind(draw):
        if left and draw.random() < 0.1:
            left.pop()
            with world.db.session("app") as s:
                s.run("SELECT millrace.rewind(%s, \"offset\" => %s)", (world.pipeline_name, draw.randrange(100)))
        return not left
    sent, seed = run(world, "upsert", "release", 800, 10, disturb=rewind, rewound=True)
    last = {}
    for p, o, name, fate in sent:
        if fate == "fine" and name is not None:
            last[p, name] = max(o, last.get((p, name), -1))
    rows = {(p, key): n for key, p, n in world.db.run("SELECT key, partition, n FROM t WHERE key NOT LIKE 'none-%%'", ())}
    assert rows == last, seed
