"""The target changes, or is peculiar, while rows go in a page at a time: nothing of an old definition is used.
The lane is played by hand, the engine is real."""
from lib.lane import Lane
from lib.process import peak_rss_mb
from lib.wait import wait_for


class Feed:
    """A pipeline with table t as target, fed by hand."""

    def __init__(self, world, ddl, fields="n int, v text", transform="SELECT n, v FROM event", partitions=1, **more):
        self.world = world
        with world.db.session("app") as s:
            s.run(ddl)
        world.create_pipeline(fields=fields, transform=transform, target="t", **more)
        world.db.run("SELECT millrace.add_partitions(%s, 0, %s)", (world.pipeline_name, [0] * partitions))
        self.lane = Lane(world.db, world.pipeline_name).assign(list(range(partitions)))

    def send(self, *payloads, partition=0):
        self.lane.send(partition, [p.encode() for p in payloads])
        return self

    def settled(self):
        wait_for(lambda: self.world.positions() == self.lane.positions, "settled")
        return self.world.counters()

    def rows(self, sql="SELECT * FROM t ORDER BY 1, 2"):
        return self.world.db.run(sql)

    def ddl(self, sql):
        self.world.db.run(sql)


def test_column_added_while_it_runs(world):
    feed = Feed(world, "CREATE TABLE t (n int NOT NULL, v text)").send('{"n":1,"v":"a"}')
    feed.settled()
    feed.ddl("ALTER TABLE t ADD COLUMN extra bigint DEFAULT 7")
    feed.ddl("".join(f"ALTER TABLE t ADD COLUMN more{i} int; " for i in range(20)))
    feed.send('{"n":2,"v":"b"}').settled()
    assert feed.rows("SELECT n, v, extra FROM t ORDER BY 1") == [(1, "a", 7), (2, "b", 7)]


def test_not_null_set_while_it_runs(world):
    feed = Feed(world, "CREATE TABLE t (n int, v text)").send('{"n":1}')
    feed.settled()
    feed.ddl("UPDATE t SET v = ''; ALTER TABLE t ALTER COLUMN v SET NOT NULL")
    counters = feed.send('{"n":2}', '{"n":3,"v":"c"}').settled()
    assert (counters["written"], counters["dead"]) == (2, 1)
    assert feed.rows() == [(1, ""), (3, "c")]


def test_type_widened_while_it_runs(world):
    feed = Feed(world, "CREATE TABLE t (n int, v varchar(3))").send('{"n":1,"v":"abc"}')
    feed.settled()
    feed.ddl("ALTER TABLE t ALTER COLUMN v TYPE varchar(100)")
    counters = feed.send('{"n":2,"v":"abcdefgh"}').settled()
    assert counters["dead"] == 0 and feed.rows() == [(1, "abc"), (2, "abcdefgh")]


def test_insert_revoked_while_it_runs(world):
    """Trouble of the pipeline, not of an event: it waits, and goes on when the right is given back."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)").send('{"n":1,"v":"a"}')
    feed.settled()
    feed.ddl("ALTER TABLE t OWNER TO postgres; GRANT SELECT ON t TO app; REVOKE INSERT ON t FROM app")
    feed.send('{"n":2,"v":"b"}')
    status = "SELECT status FROM millrace.pipelines WHERE name = %s"
    wait_for(lambda: world.db.value(status, (world.pipeline_name,)) == "breaker open", "the breaker opens")
    assert feed.rows() == [(1, "a")] and world.counters()["dead"] == 0
    feed.ddl("GRANT INSERT ON t TO app")
    feed.settled()
    assert feed.rows() == [(1, "a"), (2, "b")]


def test_target_dropped_while_it_runs(world):
    """The breaker names the pipeline and the way out; the event goes where the pipeline is then sent."""
    feed = Feed(world, "CREATE TABLE t (n int, v text)").send('{"n":1,"v":"a"}')
    feed.settled()
    feed.ddl("DROP TABLE t")
    feed.send('{"n":2,"v":"b"}')
    name = world.pipeline_name
    breaker = "SELECT state, sqlstate, reason FROM millrace.breakers WHERE pipeline = %s"
    wait_for(lambda: [b[1:] for b in world.db.run(breaker, (name,)) if b[0] != "closed"]
             == [("42P01", f'the target table of pipeline "{name}" was dropped')], "the breaker opens")
    assert world.counters()["dead"] == 0
    feed.ddl("CREATE TABLE elsewhere (n int, v text); ALTER TABLE elsewhere OWNER TO app")
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, target => 'elsewhere')", (name,))
    feed.settled()
    assert feed.rows("SELECT * FROM elsewhere") == [(2, "b")]


def test_rows_a_trigger_suppresses_do_not_count(world):
    feed = Feed(world, """
        CREATE TABLE t (n int, v text);
        CREATE FUNCTION odd_only() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.n % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd_only()""")
    counters = feed.send(*(f'{{"n":{i}}}' for i in range(10))).settled()
    assert (counters["written"], counters["rows"], counters["superseded"]) == (5, 5, 5)


def test_a_partitions_trigger_may_fill_a_not_null_column(world):
    feed = Feed(world, """
        CREATE TABLE t (n int, v text NOT NULL) PARTITION BY LIST (n);
        CREATE TABLE t_rest PARTITION OF t DEFAULT;
        CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.v := coalesce(NEW.v, 'filled'); RETURN NEW; END $$;
        CREATE TRIGGER fill BEFORE INSERT ON t_rest FOR EACH ROW EXECUTE FUNCTION fill()""")
    counters = feed.send('{"n":1}', '{"n":2,"v":"own"}').settled()
    assert counters["dead"] == 0 and feed.rows() == [(1, "filled"), (2, "own")]


def test_a_domain_may_refuse_a_column_not_given(world):
    feed = Feed(world, """
        CREATE DOMAIN must AS int NOT NULL;
        CREATE TABLE t (n int, v text, m must)""")
    counters = feed.send('{"n":1,"v":"a"}').settled()
    assert (counters["written"], counters["dead"]) == (0, 1)


def test_of_two_events_that_exclude_each_other_the_first_passes(world):
    feed = Feed(world, "CREATE TABLE t (n int PRIMARY KEY, v text)")
    counters = feed.send('{"n":1,"v":"first"}', '{"n":1,"v":"second"}', '{"n":2,"v":"x"}').settled()
    assert (counters["written"], counters["dead"]) == (2, 1)
    assert feed.rows() == [(1, "first"), (2, "x")]


def test_batch_rows_bounds_a_commit(world):
    feed = Feed(world, "CREATE TABLE t (n int, v text)", batch_rows=10)
    feed.send(*(f'{{"n":{i}}}' for i in range(95)))
    feed.settled()
    assert feed.rows("SELECT max(count), sum(count) FROM (SELECT count(*) FROM t GROUP BY xmin::text) AS c") == [(10, 95)]


def test_an_event_that_always_meets_a_serialization_failure_is_to_blame(world):
    feed = Feed(world, """
        CREATE TABLE t (n int, v text);
        CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.n = 50 THEN RAISE EXCEPTION 'clash' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER clash BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION clash()""", max_retries=0)
    feed.send(*(f'{{"n":{i}}}' for i in range(100)))
    wait_for(lambda: world.positions() == feed.lane.positions, "settled")
    counters = world.counters()
    assert (counters["written"], counters["dead"]) == (99, 1)


def test_many_failing_transforms_keep_memory_bounded(world):
    """Each failing run of the transform hashes the lookup table again; none of it may stay."""
    feed = Feed(world, """
        CREATE TABLE lookup AS SELECT i AS id, repeat('x', 100) AS filler FROM generate_series(1, 40000) AS i;
        ANALYZE lookup;
        CREATE TABLE t (n int, v text)""",
                transform="SELECT 1 / (event.n % 25) AS n, lookup.filler AS v FROM event JOIN lookup ON lookup.id = event.n")
    feed.send(*(f'{{"n":{i}}}' for i in range(1, 5001)))
    counters = feed.settled()
    assert counters["dead"] == 200
    peak = peak_of_workers(world)
    assert 0 < peak < 300, f"{peak:.0f} MB"


def peak_of_workers(world):
    """In MB, of the processes that serve them."""
    return max(peak_rss_mb(pid) for pid, in world.db.run(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace worker' AND datname = current_database()"))
