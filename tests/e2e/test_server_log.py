"""What the server log and pg_stat_activity say of a worker: who it is, where it is, and each change of state once. The lane
is played by hand."""
import re

from lib.wait import holds_for, wait_for
from test_breaker import FULL, TABLE, some, wait_state
from test_target_changes import Feed


def lines(world, pattern):
    """Lines of the server log since the test began."""
    return [line for line in world.cluster.log_text(world.log_start).splitlines() if re.search(pattern, line)]


def wait_line(world, pattern):
    return wait_for(lambda: lines(world, pattern), f"the log says {pattern}")


def activity(world, columns, where="true"):
    return world.db.run(f"SELECT {columns} FROM pg_stat_activity WHERE backend_type LIKE 'millrace %%' AND"
                        f" datname = current_database() AND {where} ORDER BY 1, 2")


def context(world, where):
    return f'CONTEXT: .*millrace worker 0 of pipeline "{world.pipeline_name}", {where}$|^\tmillrace worker 0 of pipeline "{world.pipeline_name}", {where}$'


def test_each_process_has_a_name_and_a_type(world):
    Feed(world, TABLE, workers=2)
    named = [("millrace supervisor", f"millrace supervisor of {world.db.name}"),
             ("millrace worker", f"millrace worker 0 of {world.pipeline_name}"),
             ("millrace worker", f"millrace worker 1 of {world.pipeline_name}")]
    wait_for(lambda: activity(world, "backend_type, application_name") == named, "all are there")

    def titled():
        """A worker may move to another process meanwhile, and its name with it."""
        try:
            return all(name in open(f"/proc/{pid}/cmdline", encoding="utf-8").read() for pid, name in activity(world, "pid, application_name"))
        except FileNotFoundError:
            return False

    wait_for(titled, "titles say so, too")


def test_activity_of_a_worker(world):
    feed = Feed(world, TABLE + """
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN new; END $$;
        CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait();""")
    feed.send(*some(0, 1)).settled()
    worker = "backend_type = 'millrace worker'"
    wait_for(lambda: activity(world, "state, wait_event_type", worker) == [("idle", "Extension")], "idle")
    with world.db.session(autocommit=False) as s:
        s.run("SELECT pg_advisory_xact_lock(77)")
        feed.send(*some(1, 1))
        busy = [("active", f"settling a batch of {world.pipeline_name}", "Lock")]
        wait_for(lambda: activity(world, "state, query, wait_event_type", worker) == busy, "it waits in a batch")
        assert activity(world, "xact_start IS NOT NULL, query_start IS NOT NULL", worker) == [(True, True)]
        s.connection.rollback()
    feed.settled()


def test_the_breaker_is_reported_when_it_opens_and_when_it_closes(world):
    feed = Feed(world, FULL + "INSERT INTO full_disk VALUES (true)", workers=2).send(*some(0, 20))
    opened = f'LOG: .*circuit breaker of pipeline "{world.pipeline_name}" opened: no space left on device$'
    closed = rf'LOG: .*circuit breaker of pipeline "{world.pipeline_name}" closed after \d+\.\d s$'
    wait_line(world, opened)
    wait_line(world, r"DETAIL: .*The SQLSTATE is 53100, and the next probe comes in 100 ms\.")
    probe = "SELECT next_probe_at - since > '1 s' FROM millrace.breakers WHERE pipeline = %s"
    wait_for(lambda: world.db.value(probe, (world.pipeline_name,)), "it was probed some times")
    assert not lines(world, closed)
    feed.ddl("DELETE FROM full_disk")
    feed.settled()
    wait_state(world, "closed")
    wait_line(world, closed)
    assert (len(lines(world, opened)), len(lines(world, closed))) == (1, 1)
    assert lines(world, context(world, "stage write, partition 0, offsets? .*")), "the errors say where"


def test_how_long_the_breaker_was_open_is_known_to_a_later_worker(world):
    feed = Feed(world, FULL + "INSERT INTO full_disk VALUES (true)").send(*some(0, 20))
    breaker = f'LOG: .*circuit breaker of pipeline "{world.pipeline_name}"'
    wait_line(world, f"{breaker} opened: no space left on device$")
    worker = world.db.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace worker' AND"
                            " datname = current_database()")
    world.db.run("SELECT pg_terminate_backend(%s)", (worker,))
    wait_for(lambda: any(pid != worker for pid, _ in activity(world, "pid, 1", "backend_type = 'millrace worker'")),
             "another process serves it")
    feed.ddl("DELETE FROM full_disk")
    feed.settled()
    wait_line(world, rf"{breaker} closed after \d+\.\d s$")
    assert len(lines(world, f"{breaker} ")) == 2


def test_a_pipeline_starts_stops_and_changes_its_version(world):
    feed = Feed(world, TABLE, workers=2)
    name = world.pipeline_name
    wait_line(world, f'LOG: .*pipeline "{name}" started with version 1$')
    feed.send(*some(0, 5)).settled()
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, transform => 'SELECT n, v FROM event WHERE n > 0')", (name,))
        wait_line(world, f'LOG: .*pipeline "{name}" changed from version 1 to version 2$')
        s.run("SELECT millrace.pause(%s)", (name,))
        wait_line(world, f'LOG: .*pipeline "{name}" stopped: it was paused$')
        s.run("SELECT millrace.resume(%s)", (name,))
        wait_line(world, f'LOG: .*pipeline "{name}" started with version 2$')
        feed.send(*some(5, 5)).settled()
        s.run("SELECT millrace.drop_pipeline(%s)", (name,))
    wait_line(world, f'LOG: .*pipeline "{name}" stopped: it was dropped$')
    holds_for(lambda: len(lines(world, f'LOG: .*millrace: pipeline "{name}"')) == 5, "a line for each change", 1)


def test_a_message_says_which_event_it_is_about(world):
    """Of a function the event's row is passed to: the event; of the whole batch: its offsets."""
    feed = Feed(world, TABLE + """
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.n = 7 THEN RAISE LOG 'seven'; END IF; RETURN new; END $$;
        CREATE TRIGGER note BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
        CREATE FUNCTION read(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
            IF n = 8 THEN RAISE LOG 'eight'; END IF; RETURN n; END $$;""", transform="SELECT read(n) AS n, v FROM event")
    feed.send(*some(0, 10)).settled()
    wait_line(world, "LOG: .*seven$")
    assert lines(world, context(world, "stage write, partition 0, offset 7"))
    assert lines(world, context(world, "stage transform, partition 0, offset 8"))


def test_figures_of_a_batch(world):
    world.db.run(f'ALTER ROLE app IN DATABASE "{world.db.name}" SET log_min_messages = debug1')
    feed = Feed(world, TABLE + "ALTER TABLE t ADD CHECK (n <> 3)", transform="SELECT n, v FROM event WHERE n <> 4")
    payloads = some(0, 10)
    feed.send(*payloads).settled()
    size = sum(map(len, payloads))
    wait_line(world, f'DEBUG: .*worker 0 of pipeline "{world.pipeline_name}" settled 10 events: 8 written, 1 filtered, '
                     rf"1 failed, 1 of them dead; {size} bytes in \d+\.\d ms$")
