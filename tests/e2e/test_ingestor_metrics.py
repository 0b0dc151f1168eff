"""What the ingestor counts, against what it was given and what it left in staging."""
import json
import re

import pytest

from lib.wait import wait_for
from test_kafka_shapes import produce
from test_staging import block_target

MAX_BYTES = 100_000
SMALL = {"millrace.segment_size": "1MB", "millrace.ring_segments": "2"}


@pytest.fixture
def small(cluster):
    """Staging that is soon full."""
    cluster.psql("postgres", *[arg for name, value in SMALL.items() for arg in ("-c", f"ALTER SYSTEM SET {name} = '{value}'")], "-c", "SELECT pg_reload_conf()")
    yield
    cluster.psql("postgres", *[arg for name in SMALL for arg in ("-c", f"ALTER SYSTEM RESET {name}")], "-c", "SELECT pg_reload_conf()")


def by_label(ingestor, name, label):
    """{label's value: the metric's}"""
    found = re.findall(rf'^millrace_ingestor_{name}{{[^}}]*\b{label}="([^"]*)"[^}}]*}} (\S+)$', ingestor.get("/metrics")[1], re.M)
    return {value: float(number) for value, number in found}


def shows(ingestor, **expected):
    return {name: ingestor.metric(f"millrace_ingestor_{name}") for name in expected} == expected


def message(i, **more):
    return dict(value=json.dumps(dict(id=f"00000000-0000-4000-8000-{i:012}", type="temperature", source="sensor-0001", ts="2026-01-01T00:00:00Z", value=i, unit="C")).encode(),
                partition=i % 3, **more)


def test_what_is_staged(world):
    """Events, bytes, batches, messages that are too large; where each partition is."""
    world.create_topic(partitions=3, max_message_bytes=1_000_000)
    world.create_pipeline()
    ingestor = world.start_ingestor("--max-message-bytes", str(MAX_BYTES)).wait_ready()
    assert shows(ingestor, events_total=0, staged_bytes_total=0, batches_total=0, oversize_total=0)
    messages = [message(i, key=b"k" * (i % 5)) for i in range(700)]
    produce(world, *messages, dict(value=b"x" * (MAX_BYTES + 1), partition=0), dict(value=b"y" * MAX_BYTES, partition=1))
    world.wait_settled()
    wait_for(lambda: shows(ingestor, events_total=702, oversize_total=1, queued_messages=0, queued_bytes=0, connected=1, open_lanes=1, blocked_lanes=0), "all are counted")
    # what is too large is staged without its payload; a row has a frame of some dozen bytes, the transaction a trailer
    payload = sum(len(m["value"]) + len(m["key"]) for m in messages) + MAX_BYTES
    batches = ingestor.metric("millrace_ingestor_batches_total")
    assert payload < ingestor.metric("millrace_ingestor_staged_bytes_total") < payload + 702 * 80 + batches * 1000
    assert 1 <= batches == ingestor.metric("millrace_ingestor_stage_seconds_count") <= 702
    assert 0 < ingestor.metric("millrace_ingestor_stage_seconds_sum")
    ends = {str(partition): high for partition, (low, high) in enumerate(world.broker.watermarks(world.topic))}
    assert sum(ends.values()) == 702
    for name in ("staged_offset", "settled_offset", "end_offset"):
        wait_for(lambda: by_label(ingestor, name, "partition") == ends, name)
    states = by_label(ingestor, "partitions", "state")
    assert states["flowing"] == 3 and sum(states.values()) == 3, states
    assert by_label(ingestor, "staged_offset", "topic").keys() == {world.topic}
    version = dict(re.findall(r'(\w+)="([^"]*)"', re.search(r"^millrace_ingestor_info{(.*)} 1$", ingestor.get("/metrics")[1], re.M)[1]))
    assert version.keys() == {"version", "librdkafka"} and all(re.match(r"\d+\.\d+", v) for v in version.values())
    assert ingestor.metric("millrace_ingestor_rebalances_total") >= 1


def test_what_is_lost_and_fetched_again(world):
    """A lane whose session is ended, a partition that a verb moves; what comes again is counted again."""
    world.create_topic(partitions=3)
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    produce(world, *[message(i) for i in range(300)])
    world.wait_settled()
    wait_for(lambda: shows(ingestor, events_total=300, lane_losses_total=0, fenced_total=0), "all are counted")
    world.db.run("SELECT pg_terminate_backend(writer_pid) FROM millrace.lanes")
    wait_for(lambda: shows(ingestor, lane_losses_total=1, open_lanes=1), "the lane was lost, and opened again")
    with world.db.session("app") as s:
        s.run("SELECT millrace.rewind(%s, 0, partition => 1, allow_duplicates => true)", (world.pipeline_name,))
    wait_for(lambda: shows(ingestor, fenced_total=1, events_total=400), "a third of them came again")
    world.wait_settled()
    assert world.db.value("SELECT events FROM millrace.stats") == 400
    pid = world.db.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace-ingestor' AND pid NOT IN (SELECT writer_pid FROM millrace.lanes) AND datname = current_database()")
    world.db.run("ALTER ROLE ingestor NOLOGIN")
    try:
        world.db.run("SELECT pg_terminate_backend(%s)", (pid,))
        wait_for(lambda: shows(ingestor, connected=0), "the server is not reached")
    finally:
        world.db.run("ALTER ROLE ingestor LOGIN")
    wait_for(lambda: shows(ingestor, connected=1), "it is again")


def test_what_is_held_up(world, small):
    """While the worker waits staging fills: a full batch cannot be sent, and the time is counted until it can."""
    world.create_topic(partitions=3)
    world.create_pipeline()
    ingestor = world.start_ingestor().wait_ready()
    locker = block_target(world)
    n = 60000
    produce(world, *[message(i) for i in range(n)])
    wait_for(lambda: shows(ingestor, blocked_lanes=1), "the lane is blocked")
    waiting = ingestor.metric("millrace_ingestor_events_total")
    assert 0 < waiting < n and ingestor.metric("millrace_ingestor_queued_messages") > 0 < ingestor.metric("millrace_ingestor_queued_bytes")
    since = ingestor.metric("millrace_ingestor_blocked_seconds_total")
    wait_for(lambda: ingestor.metric("millrace_ingestor_blocked_seconds_total") > since + 1, "it rises")
    assert shows(ingestor, blocked_lanes=1)
    locker.close()
    world.wait_settled()
    wait_for(lambda: shows(ingestor, events_total=n, blocked_lanes=0, queued_messages=0, queued_bytes=0), "all are staged")
    stayed = ingestor.metric("millrace_ingestor_blocked_seconds_total")
    assert stayed > since + 1 and shows(ingestor, blocked_seconds_total=stayed)
