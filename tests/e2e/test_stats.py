"""The statistics: rates and latencies against what really happened, totals and minutes through crashes."""
import random
import time

from lib.cluster import ConnectionLost
from lib.events import Events
from lib.lane import Batch, Lane
from lib.wait import wait_for
from test_exactly_once import kill_worker
from test_kafka_shapes import good, produce
from test_target_changes import Feed


def row(world, view, **where):
    condition = " AND ".join(f"{column} = %({column})s" for column in where) or "true"
    with world.db.session() as s:
        names = [n for (n,) in s.run("SELECT attname FROM pg_attribute WHERE attrelid = %(view)s::regclass AND attnum > 0 ORDER BY attnum",
                                     {"view": f"millrace.{view}"})]
        found = s.run(f"SELECT * FROM millrace.{view} WHERE pipeline = %(pipeline)s AND {condition}",
                      dict(where, pipeline=world.pipeline_name))
    assert len(found) == 1, found
    return dict(zip(names, found[0]))


def test_rates_and_latencies(world):
    world.create_topic(partitions=3)
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    began = time.monotonic()
    sent = Events(20000, seed=51, broken=1).send(world.broker, world.topic)
    world.wait_settled()
    truth = sent.truth()
    took = time.monotonic() - began
    rates = {int(over.total_seconds()): events for over, events in
             world.db.run("SELECT over, events_per_s FROM millrace.rates WHERE pipeline = %s", (world.pipeline_name,))}
    assert set(rates) == {1, 10, 60, 300, 3600}
    # all of it came within these windows; a window that is longer than the pipeline is old counts its age
    for window in (60, 300, 3600):
        assert 20000 / (took + 61) <= float(rates[window]) <= 20000, rates
    minute = row(world, "rates", over="1 min")
    dead = len(truth["dead"]) + len(truth["tombstone"])
    assert dead > 100 and abs(float(minute["dead_letters_per_s"]) * 20000 / float(minute["events_per_s"]) - dead) < dead * 0.05
    assert 0 < float(minute["busy_workers"]) <= 1 and minute["batches_per_s"] > 0
    stats = row(world, "stats")
    assert (stats["events"], stats["dead_lettered"], stats["lag"]) == (20000, dead, 0) or stats["lag"] is None

    # a message whose age is known: what it was produced with, and what was measured, differ by the test's own time
    before = time.time()
    produce(world, good(1, timestamp=int((before - 3600) * 1000)))
    produce(world, good(2, timestamp=int((before + 3600) * 1000)))
    world.wait_settled()
    older = row(world, "latency", stage="produced_to_visible", over="1 min")
    assert 3600 * 1000 <= float(older["max_ms"]) <= (3600 + time.time() - before + 1) * 1000, older
    assert older["events"] == len(truth["row"]) + 1 and row(world, "stats")["from_future"] == 1
    assert 3600 * 1000 <= row(world, "latency", stage="produced_to_staged", over="1 min")["max_ms"] <= older["max_ms"]
    through = row(world, "latency", stage="staged_to_visible", over="1 min")
    assert 0 < float(through["p50_ms"]) <= float(through["p95_ms"]) <= float(through["p99_ms"]) <= float(through["max_ms"])
    assert float(through["max_ms"]) <= (time.monotonic() - began) * 1000
    # the time of staging is remembered for some hundred batches
    assert through["events"] > 0


def test_switched_off(world):
    """millrace.live_statistics: totals are kept, and nothing else."""
    world.db.run("ALTER SYSTEM SET millrace.live_statistics = off")
    world.db.run("SELECT pg_reload_conf()")
    try:
        wait_for(lambda: world.db.value("SHOW millrace.live_statistics") == "off", "it is off")
        world.create_topic(partitions=1)
        world.create_pipeline()  # its worker is a process that begins now
        world.start_ingestor()
        sent = Events(500, seed=53).send(world.broker, world.topic)
        world.wait_settled()
        stats = row(world, "stats")
        assert (stats["events"], stats["rows"]) == (500, len(sent.truth()["row"]))
        assert world.db.value("SELECT coalesce(sum(events_per_s), 0) FROM millrace.rates WHERE pipeline = %s", (world.pipeline_name,)) == 0
        assert world.db.value("SELECT coalesce(sum(events), 0) FROM millrace.latency WHERE pipeline = %s", (world.pipeline_name,)) == 0
    finally:
        world.db.run("ALTER SYSTEM RESET millrace.live_statistics")
        world.db.run("SELECT pg_reload_conf()")


def totals(world):
    names = "staged, staged_bytes, events, written, filtered, superseded, skipped, dead, retrying, rows, bytes, failed, retried, dead_lettered, replayed"
    return dict(zip(names.split(", "), world.db.run(f"SELECT {names} FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,))[0]))


def known(look):
    """What a look finds; 0 while the server is away."""
    try:
        return look()
    except ConnectionLost:
        return 0


def record_minute(world, ago):
    """As the supervisor does at its end; the real one is too long to wait for each."""
    world.db.run("SELECT millrace._record_minute(date_trunc('minute', now()) + %s * interval '1 min', '7 d')", (ago,))


def check_open_letters(world):
    """In one snapshot."""
    found = world.db.run("SELECT s.dead_letters_open, (SELECT count(*) FROM millrace.dead_letter WHERE state = 'open') FROM millrace.stats AS s"
                         " WHERE s.pipeline = %s", (world.pipeline_name,))
    assert found[0][0] == found[0][1], found


def check_by_partition(world, found):
    """Each partition has what its rows, its dead letters and its end say; all of them add up to what the pipeline has."""
    names = [name for name in found if not name.startswith("staged")]
    by_partition = {partition: dict(zip(names, counters)) for partition, *counters in world.db.run(
        f"SELECT partition, {', '.join(names)} FROM millrace.partitions WHERE pipeline = %s", (world.pipeline_name,))}
    assert {name: sum(counters[name] for counters in by_partition.values()) for name in names} == {name: found[name] for name in names}
    ends = {partition: high for partition, (low, high) in enumerate(world.broker.watermarks(world.topic))}
    rows = dict(world.db.run("SELECT kafka_partition, count(*) FROM reading GROUP BY 1"))
    letters = {partition: counts for partition, *counts in world.db.run(
        "SELECT partition, count(*), count(*) FILTER (WHERE state <> 'replayed'), count(*) FILTER (WHERE state = 'replayed'),"
        " sum(replay_count) FILTER (WHERE state <> 'replayed'), sum(greatest(jsonb_array_length(history), 1) - 1) FILTER (WHERE state <> 'replayed')"
        " FROM millrace.dead_letter GROUP BY 1")}
    assert len(set(ends.values())) == len(ends) == len(by_partition) and ends.keys() == rows.keys() == letters.keys()
    for partition, counters in by_partition.items():
        made, dead, replayed, again, tries = letters[partition]
        assert counters["events"] == ends[partition]
        assert counters["written"] == counters["rows"] == rows[partition]
        assert counters["filtered"] == ends[partition] - rows[partition] - dead
        assert (counters["failed"], counters["dead"], counters["dead_lettered"], counters["replayed"]) == (made, dead, made + again, replayed)
        if replayed == 0:
            assert counters["retried"] == tries


def check_by_type(world, found):
    """Each event is in the table, or in a dead letter, under the type that it is counted with; filtered ones are of one type."""
    names = ("events", "bytes", "written", "filtered", "superseded", "skipped", "failed", "retried", "dead_lettered", "replayed")
    rows = world.db.run(f"SELECT type, {', '.join(names)} FROM millrace.stats_by_type WHERE pipeline = %s", (world.pipeline_name,))
    by_type = {row[0]: dict(zip(names, row[1:])) for row in rows}
    assert {name: sum(t[name] for t in by_type.values()) for name in names} == {name: found[name] for name in names}
    assert {t: c["written"] for t, c in by_type.items() if c["written"]} == dict(world.db.run("SELECT type, count(*) FROM reading GROUP BY 1"))
    assert {t for t, c in by_type.items() if c["filtered"]} == {"heartbeat"}


def test_totals_are_true_after_crashes(world):
    """Counters of tries are compared with the histories that the events carry, those by type with the tables and with the others."""
    world.create_topic(partitions=2)
    draw = random.Random(52)
    world.create_pipeline(retry_delay="20ms", max_retries=2, retry_jitter=0, type_field="type")
    world.start_ingestor().wait_ready()
    events = Events(30000, seed=52, broken=1, db_refused=1, tombstones=1, filtered=2)
    generator = world.start_generator(events, "--rate", "6000")
    for share in (1, 2, 3):
        wait_for(lambda: known(lambda: totals(world)["events"]) >= share * 7000, "a part is settled")
        kill_worker(world, draw)
    assert generator.popen.wait(300) == 0, generator.tail()
    world.wait_settled()
    wait_for(lambda: totals(world)["retrying"] == 0, "nothing is tried again")
    world.check(events)
    found = totals(world)
    letters = world.db.run("SELECT count(*), coalesce(sum(greatest(jsonb_array_length(history), 1) - 1), 0)::bigint FROM millrace.dead_letter")[0]
    assert found["dead_lettered"] == found["failed"] == found["dead"] == letters[0], (found, letters)
    assert found["retried"] == letters[1], (found, letters)
    assert found["rows"] == world.db.value("SELECT count(*) FROM reading")
    wait_for(lambda: [totals(world)[name] for name in ("staged", "staged_bytes")] == [found["events"], found["bytes"]], "what was staged is settled", 20)
    check_by_type(world, found)
    check_by_partition(world, found)
    check_open_letters(world)
    # a replay that succeeds, and one that does not
    world.db.run("ALTER TABLE reading DROP CONSTRAINT reading_value_check")
    with world.db.session("app") as s:
        n = s.value("SELECT millrace.replay(%s, 'true')", (world.pipeline_name,))
    check_open_letters(world)
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE state = 'replaying'") == 0, "all are replayed")
    after = totals(world)
    replayed = world.db.value("SELECT count(*) FROM millrace.dead_letter WHERE state = 'replayed'")
    again = n - replayed
    assert (after["replayed"], after["dead_lettered"]) == (replayed, found["dead_lettered"] + again), (found, after)
    assert after["retried"] >= found["retried"] + n and replayed > 0 and again > 0
    check_by_type(world, after)
    check_by_partition(world, after)
    check_open_letters(world)


def stage(lane, first, payloads, timestamps):
    batch = Batch()
    for i, (payload, ts) in enumerate(zip(payloads, timestamps)):
        batch.event(0, first + i, payload, ts=ts)
    lane.stage(batch.entry(0, lane.epochs[0], first, first + len(payloads)))


def metrics(world, pattern):
    """By name, and of a histogram by bound."""
    rows = world.db.run("SELECT name, labels ->> 'le', value FROM millrace.metric WHERE name ~ %s AND labels ->> 'pipeline' = %s", (pattern, world.pipeline_name))
    return {(name, le) if le else name: value for name, le, value in rows}


def test_staging_batches_and_timestamps(world):
    """A lane played by hand, so that the truth is known to the byte: what waits in staging, sizes of batches, unusable timestamps."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event")
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
    lane = Lane(world.db, world.pipeline_name).assign([0])
    payloads = [b'{"n":%d}' % n for n in range(10)]
    size = sum(map(len, payloads))
    now = int(time.time() * 1000)

    def shows(**expected):
        found = row(world, "stats")
        return all(found[name] == value for name, value in expected.items())

    world.db.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    before = time.time() * 1000
    stage(lane, 0, payloads, [-1, -1, -2**62, now + 3600000, 2**62] + [now - 60000] * 5)
    staged = time.time() * 1000
    assert shows(events=0, staged=10, staged_waiting=10, staged_bytes=size)
    used, segments = world.db.run("SELECT segments_used, segments FROM millrace.lanes WHERE pipeline = %s", (world.pipeline_name,))[0]
    assert float(row(world, "stats")["staging_fill"]) == round(used / segments, 3) > 0
    assert row(world, "lanes")["staged_events"] == 10 and row(world, "lanes")["staged_bytes"] == size
    waiting = metrics(world, "^millrace_staging_")
    assert (waiting["millrace_staging_events"], waiting["millrace_staging_payload_bytes"], waiting["millrace_staging_batches"]) == (10, size, 1)
    assert waiting["millrace_staging_fill_ratio"] == round(used / segments, 3)
    resumed = time.time() * 1000
    world.db.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    # shared memory follows the commit
    wait_for(lambda: shows(events=10, staged=10, staged_waiting=0, staged_bytes=size, without_time=3, from_future=2, largest_batch=10, events_per_batch=10),
             "all figures have the batch", 20)
    assert metrics(world, "^millrace_events_(without|from)") == {"millrace_events_without_timestamp_total": 3, "millrace_events_from_future_total": 2}
    latency = row(world, "latency", stage="produced_to_visible", over="1 min")
    assert latency["events"] == 5 and 60000 <= latency["max_ms"] <= (time.time() + 1) * 1000 - now + 60000, latency
    # what it waited in staging is in the second part of the way only; Kafka's times are whole milliseconds
    first = row(world, "latency", stage="produced_to_staged", over="1 min")
    assert first["events"] == 5 and before - now + 60000 - 2 <= first["max_ms"] <= staged - now + 60000 + 2, (first, before - now, staged - now)
    second = row(world, "latency", stage="staged_to_visible", over="1 min")
    assert second["events"] == 10 and resumed - staged - 2 <= second["max_ms"] <= time.time() * 1000 - before + 2, (second, resumed - staged)
    stage(lane, 10, payloads[:3], [now] * 3)
    wait_for(lambda: shows(events=13, largest_batch=10) and float(row(world, "stats")["events_per_batch"]) == 6.5, "and the next one", 20)
    sizes = metrics(world, "^millrace_batch_events_")
    assert [sizes["millrace_batch_events_bucket", le] for le in ("1", "4", "16", "65536", "+Inf")] == [0, 1, 2, 2, 2]
    assert (sizes["millrace_batch_events_count"], sizes["millrace_batch_events_sum"]) == (2, 13)

    # what a crash takes from staging was not staged; Kafka has it
    world.db.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    stage(lane, 13, payloads[:5], [now] * 5)
    assert shows(events=13, staged=18, staged_waiting=5)
    # nor was what another writer of the lane abandons: it is fetched again
    writer = lane.session.pid
    lane.close()
    wait_for(lambda: world.db.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (writer,)) == 0, "its session is gone", 20)
    lane = Lane(world.db, world.pipeline_name).assign([0])
    assert shows(events=13, staged=13, staged_waiting=0)
    stage(lane, 13, payloads[:5], [now] * 5)
    assert shows(events=13, staged=18, staged_waiting=5)
    world.cluster.restart("immediate")
    wait_for(lambda: known(lambda: shows(events=13, staged=13, staged_waiting=0, staged_bytes=size + sum(map(len, payloads[:3])))), "the settled ones", 60)


def test_the_fullest_lane_is_shown(world):
    """One lane has gone on to its next segment, the other has not."""
    world.db.run("CREATE TABLE number (n int); ALTER TABLE number OWNER TO app")
    world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event", workers=2)
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,))
    world.db.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
    writers = [Lane(world.db, world.pipeline_name, preferred=number).assign([number]) for number in (0, 1)]
    for number, writer in enumerate(writers):
        writer.send(number, [b'{"n":1}'])
    writers[0].next_segment()
    writers[0].send(0, [b'{"n":2}'])
    lanes = world.db.run("SELECT segments_used, segments FROM millrace.lanes ORDER BY lane_id")
    assert [used for used, _ in lanes] == [2, 1], lanes
    assert float(row(world, "stats")["staging_fill"]) == round(2 / lanes[0][1], 3) == metrics(world, "^millrace_staging_fill_ratio")["millrace_staging_fill_ratio"]
    assert metrics(world, "^millrace_staging_bytes")["millrace_staging_bytes"] == world.db.value("SELECT sum(bytes) FROM millrace.lanes") > 0
    for writer in writers:
        writer.close()


def latencies_kept(world):
    """How many events are in the histograms of the minutes, by stage."""
    sums = ", ".join(f"(SELECT sum(n)::bigint FROM unnest(millrace.histogram_sum({stage})) AS n)" for stage in ("produced_to_staged", "staged_to_visible", "produced_to_visible"))
    return world.db.run(f"SELECT {sums} FROM millrace.stats_history WHERE pipeline = %s", (world.pipeline_name,))[0]


def test_minutes_have_no_gap(world):
    """The supervisor writes them; a restart of the server leaves minutes that are down, none twice, and no event uncounted."""
    world.create_topic(partitions=1)
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    Events(500, seed=53).send(world.broker, world.topic)
    world.wait_settled()
    visible = world.db.value("SELECT count(*) FROM reading")

    def recorded():
        """With its latencies; the time of staging is not known of all."""
        first, second, whole = latencies_kept(world)
        return whole == visible and 0 < first == second <= whole

    wait_for(recorded, "the supervisor has recorded a minute", 240)
    record_minute(world, 3)  # the clock is ahead
    assert world.db.value("SELECT sum(events) FROM millrace.stats_history WHERE pipeline = %s", (world.pipeline_name,)) == 500
    Events(300, seed=53, first=500).send(world.broker, world.topic)
    world.wait_settled()
    world.cluster.restart("immediate")
    wait_for(lambda: known(lambda: world.db.value("SELECT count(*) FROM millrace.workers WHERE pipeline = %s AND pid > 0",
                                                  (world.pipeline_name,))) == 1, "it runs again")
    record_minute(world, 6)
    minutes = world.db.run("SELECT minute, up, events, p50_ms FROM millrace.stats_history WHERE pipeline = %s ORDER BY minute", (world.pipeline_name,))
    gaps = [(a[0], b[0]) for a, b in zip(minutes, minutes[1:]) if (b[0] - a[0]).total_seconds() != 60]
    assert gaps == [] and sum(m[2] for m in minutes) == 800, minutes
    assert any(not m[1] for m in minutes)
    # what the server had when it was killed is lost, what was recorded is not
    assert visible <= latencies_kept(world)[2] <= world.db.value("SELECT count(*) FROM reading")
    quantiles = world.db.run("SELECT p50_ms, p95_ms, p99_ms, max_ms FROM millrace.stats_history WHERE pipeline = %s AND produced_to_visible IS NOT NULL", (world.pipeline_name,))
    assert quantiles and all(0 < p50 <= p95 <= p99 <= longest for p50, p95, p99, longest in quantiles), quantiles


def rows_read(session):
    """Rows of each table and entries of each index, but for the server's, that this session has read."""
    return dict(session.run("SELECT c.oid::regclass::text, pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid) FROM pg_class AS c"
                            " WHERE c.relkind IN ('r', 'i', 't') AND c.oid >= 16384"))


def test_reading_reads_few_rows(world):
    """None of what there may be many of: no figure is counted in a target, in dead letters, in retries or in minutes."""
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text)", type_field="v")
    feed.send('{"n":1,"v":"a"}', '{"n":2,"v":"b"}', '{"n":"x"}').settled()
    many = 20000
    world.db.run("INSERT INTO t SELECT n, 'many' FROM generate_series(10, 9 + %s) AS n", (many,))
    world.db.run("INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, \"offset\", stage, sqlstate, message, failed_at, payload, published_at, state)"
                 " SELECT p.id, 1, 't', 0, n, 'write', '23503', 'no', now(), '{}', CASE WHEN n < 20000 THEN now() END, CASE WHEN n %% 3 = 0 THEN 'discarded' ELSE 'open' END"
                 " FROM millrace.pipeline AS p CROSS JOIN generate_series(1, %s) AS n", (many,))
    world.db.run("INSERT INTO millrace.retry (pipeline_id, version, topic, partition, \"offset\", kafka_ts, kind, attempts, next_at, first_failed_at)"
                 " SELECT p.id, 1, 't', 0, n, -1, 0, 1, now() + interval '1 day', now() FROM millrace.pipeline AS p CROSS JOIN generate_series(1, %s) AS n", (many,))
    world.db.run("SELECT millrace._record_minute(date_trunc('minute', now()) - interval '10000 min', '7 d')")
    record_minute(world, -1)
    world.db.run("ANALYZE")
    for view in ("stats", "stats_by_type", "rates", "lag", "metric"):
        with world.db.session(autocommit=False) as reader:
            before = rows_read(reader)
            found = reader.run(f"SELECT * FROM millrace.{view}")
            read = {name: n - before[name] for name, n in rows_read(reader).items() if n > before[name]}
        assert len(found) > 0 and "millrace.pipeline" in read, "what is read is counted"
        assert max(read.values()) <= 100 and "t" not in read and "t_pkey" not in read, (view, read)
        assert all(n <= 2 for name, n in read.items() if name.startswith(("millrace.dead_letter", "millrace.retry"))), (view, read)
    stats = row(world, "stats")
    assert (stats["events"], stats["rows"], stats["dead"], stats["retrying"]) == (3, 2, 1, 0)


def test_reading_costs_little(world):
    """No lock that a worker waits for, and none of a worker's is waited for."""
    world.create_topic(partitions=6)
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    Events(2000, seed=54).send(world.broker, world.topic)
    world.wait_settled()
    with world.db.session(autocommit=False) as locker, world.db.session() as other:
        locker.run("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        other.run("SET lock_timeout = '1s'")
        assert other.value("SELECT events FROM millrace.stats WHERE pipeline = %s", (world.pipeline_name,)) == 2000
        assert other.value("SELECT value FROM millrace.metric WHERE name = 'millrace_events_total' AND labels ->> 'pipeline' = %s", (world.pipeline_name,)) == 2000
    with world.db.session(autocommit=False) as reader:
        for view in ("stats", "stats_by_type", "rates", "latency", "stats_history", "lag", "lanes", "metric"):
            reader.run(f"SELECT * FROM millrace.{view}")
        # of relations the weakest, and none of segments, whose workers take the strongest
        assert set(reader.run("SELECT DISTINCT l.locktype, l.mode, s.lane_id IS NOT NULL FROM pg_locks AS l LEFT JOIN millrace.segment AS s USING (relation)"
                              " WHERE l.pid = pg_backend_pid()")) == {("relation", "AccessShareLock", False), ("virtualxid", "ExclusiveLock", False)}
        assert reader.value("SELECT pg_current_xact_id_if_assigned()") is None
        # nor does a reader who stays hold anybody up
        Events(3000, seed=54, first=2000).send(world.broker, world.topic)
        wait_for(lambda: totals(world)["events"] == 5000, "all are settled beside the reader", 60)
