"""Windows in Kafka: each revision of a group once, in its order, and the last one is what GROUP BY over the target gives."""
import json
import random
from collections import defaultdict
from datetime import datetime, timezone

from lib.dead_letters import headers, read_topic
from lib.wait import wait_for
from test_exactly_once import kill_broker, kill_ingestor, kill_worker
from test_kafka_shapes import produce
from test_windows import window

START = 1767225600  # 2026-01-01


def events(draw, step, n, first):
    """Out of order by up to 3 minutes, each step half a minute later."""
    for id in range(first, first + n):
        at = START + step * 30 - draw.randrange(180)
        yield dict(value=json.dumps(dict(id=id, source=draw.choice("abcdefgh") + str(id % 5), at=datetime.fromtimestamp(at, timezone.utc).isoformat(), v=draw.randrange(1000))).encode(),
                   key=b"%d" % id)


def make(world, partitions=2, ddl="CREATE TABLE t (id bigint, source text, at timestamptz, v int)", **arguments):
    world.create_topic(partitions=partitions)
    if ddl is not None:
        with world.db.session("app") as s:
            s.run(ddl)
    world.create_pipeline(fields="id bigint, source text, at timestamptz, v int", transform="SELECT id, source, at, v FROM event",
                          target="t", workers=2, batch_rows=500, dlq=world.topic + ".dlq")
    window(world, "w", group_by=["source"], aggregates="count(*) AS n, sum(v) AS s, min(id) AS first", lateness="1 day", output_topic=world.topic + ".w", **arguments)


def wait_published(world):
    """All that is closed is in the topic, and nothing that is closed will change."""
    id = world.db.value("SELECT id FROM millrace.window_definition WHERE name = 'w'")
    wait_for(lambda: world.db.value(f"""
        SELECT o.closed_to = (SELECT max(at) FROM t) AND w.output_waiting = 0 AND NOT EXISTS (SELECT FROM millrace._window_{id}_due)
               AND NOT EXISTS (SELECT FROM millrace._window_{id}_partial)
        FROM millrace.windows AS w JOIN millrace.window_outlet AS o ON o.window_id = {id} WHERE w.name = 'w'"""), "all is published", every=0.2)


def revisions(world):
    """{(start, source): values in the order of the topic}; each message is there once."""
    ids = set()
    found = defaultdict(list)
    for message in read_topic(world, world.topic + ".w"):
        h = headers(message)
        value = json.loads(message.value())
        key = json.loads(message.key())
        assert h["millrace-id"] not in ids, f"{h['millrace-id']} is there twice"
        ids.add(h["millrace-id"])
        assert (h["millrace-window"], h["millrace-revision"]) == (b"w", b"%d" % value["revision"])
        assert key == dict(window_start=value["window_start"], source=value["source"])
        found[value["window_start"], value["source"]].append(value)
    return found


def feed_and_kill(world, draw, victims, check=lambda: None):
    """Events in steps, each of which closes windows, repairs them, and ends a victim; then all is closed and published."""
    sent = 0
    for step, victim in enumerate(victims, 1):
        # the second half is up to three minutes late: repairs of what the first one closed
        for part in range(2):
            produce(world, *events(draw, step * 8 - part * 4, 400, sent))
            sent += 400
            world.wait_settled()
            check()
            if part == 0:
                wait_for(lambda: world.db.value("SELECT published + output_waiting FROM millrace.windows") > 0, "some windows are closed")
        victim(world, draw)
    produce(world, dict(value=json.dumps(dict(id=-1, source="last", at="2026-01-01T23:50:00Z", v=0)).encode()))
    world.wait_settled()
    wait_published(world)


def check_numbers(found):
    for key, values in found.items():
        assert [v["revision"] for v in values] == list(range(1, len(values) + 1)), (key, values)


def check_last(world, found):
    with world.db.session() as s:
        s.run("SET timezone = 'UTC'")
        truth = s.run("""SELECT to_json(date_bin('1 min', at, '2000-01-01')) #>> '{}', source, count(*), sum(v), min(id) FROM t
                         GROUP BY date_bin('1 min', at, '2000-01-01'), source
                         HAVING date_bin('1 min', at, '2000-01-01') + interval '1 min' <= (SELECT max(at) FROM t)""")
    last = {key: values[-1] for key, values in found.items()}
    assert {key: (v["n"], v["s"], v["first"]) for key, v in last.items()} == {(start, source): (n, s, first) for start, source, n, s, first in truth}
    return len(truth)


def test_each_revision_once(world):
    """kill -9 of the relay, of workers, of the broker, while windows close and are repaired."""
    draw = random.Random(91)
    make(world)
    world.start_ingestor()
    victims = [kill_ingestor, kill_worker, kill_broker, kill_ingestor]
    feed_and_kill(world, draw, victims)
    found = revisions(world)
    check_numbers(found)
    assert check_last(world, found) > 100
    assert max(len(values) for values in found.values()) > 1, "nothing was repaired"
    # a database restored to before it all closes its windows again: the same value is not published a second time, another one is
    id = world.db.value("SELECT id FROM millrace.window_definition WHERE name = 'w'")
    before = sum(len(values) for values in found.values())
    again = sum(len(values) > 1 for values in found.values())
    world.db.run(f"""BEGIN; SELECT millrace._lock_window({id}, true); DELETE FROM millrace._window_{id}_revision; DELETE FROM millrace.dlq_scan WHERE window_id = {id};
                     UPDATE millrace.window_outlet SET closed_to = '-infinity'; COMMIT""")
    wait_published(world)
    found = revisions(world)
    assert check_last(world, found) > 100
    assert sum(len(values) for values in found.values()) == before + again
