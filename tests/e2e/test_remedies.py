"""The command that is shown beside an open breaker fixes its cause, pasted as it is."""
import pytest

from lib.lane import Lane
from lib.wait import wait_for
from test_breaker import FULL, TABLE, all_written, breaker, nothing_given_up, some, wait_state
from test_target_changes import Feed

LOOKUP = "CREATE TABLE t (n int, v text); CREATE TABLE place (n int, name varchar(20)); INSERT INTO place SELECT i, 'x' FROM generate_series(0, 99) AS i;"
JOIN = "SELECT event.n, place.name || event.v AS v FROM event LEFT JOIN place ON place.n = event.n"
BREAKS = {
    "dropped column": ("ALTER TABLE t DROP COLUMN v", "ALTER TABLE public.t ADD COLUMN v text;"),
    "renamed column": ("ALTER TABLE t RENAME COLUMN v TO w", "ALTER TABLE public.t RENAME COLUMN w TO v;"),
    "changed type": ("ALTER TABLE t ALTER COLUMN v TYPE int USING 0", "ALTER TABLE public.t ALTER COLUMN v TYPE text USING v::text;"),
    "new NOT NULL": ("ALTER TABLE t ADD COLUMN more int NOT NULL DEFAULT 0; ALTER TABLE t ALTER COLUMN more DROP DEFAULT",
                     "ALTER TABLE public.t ALTER COLUMN more DROP NOT NULL;"),
    "renamed lookup": ('ALTER TABLE place RENAME TO "My Places"', 'ALTER TABLE public."My Places" RENAME TO place;'),
    "moved lookup": ("CREATE SCHEMA s; ALTER TABLE place SET SCHEMA s", "ALTER TABLE s.place SET SCHEMA public;"),
    "lookup without its column": ("ALTER TABLE place DROP COLUMN name", "ALTER TABLE public.place ADD COLUMN name character varying(20);"),
    "lookup of another type": ("ALTER TABLE place ALTER COLUMN n TYPE text", "ALTER TABLE public.place ALTER COLUMN n TYPE integer USING n::integer;"),
    "revoked": ("ALTER TABLE t OWNER TO postgres", "GRANT INSERT ON public.t TO app;"),
    "revoked lookup": ("ALTER TABLE place OWNER TO postgres", "GRANT SELECT ON public.place TO app;"),
}


def paste(world, feed, command):
    """What doctor() and the views print for an open breaker, as it is, fixes it."""
    wait_for(lambda: breaker(world, "command") == (command,), f"the command is {command}")
    wait_for(lambda: world.db.run("SELECT hint FROM millrace.pipelines") == [(command,)], "the view of pipelines has it")
    wait_for(lambda: world.db.run("SELECT command FROM millrace.doctor() WHERE what LIKE '%breaker open'") == [(command,)], "doctor() has it")
    feed.ddl(command)
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    feed.settled()
    wait_state(world, "closed")
    assert breaker(world, "command") == (None,) and nothing_given_up(world)


@pytest.mark.parametrize("what", BREAKS)
def test_the_command_fixes_it(world, what):
    ddl, command = BREAKS[what]
    feed = Feed(world, LOOKUP, transform=JOIN).send(*some(0, 3))
    feed.settled()
    feed.ddl(ddl)
    feed.send(*some(3, 3))
    paste(world, feed, command)
    assert feed.rows("SELECT count(*) FROM t") == [(6,)]


SHAPES = {
    "a partitioned table": """
        CREATE TABLE t (n int, v text) PARTITION BY RANGE (n);
        CREATE TABLE half PARTITION OF t FOR VALUES FROM (0) TO (5);
        CREATE TABLE rest PARTITION OF t DEFAULT;""",
    "a trigger that may fill it": TABLE + """
        CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
        CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill();"""}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_column_that_nothing_fills(world, shape):
    """A new NOT NULL where a trigger might fill it, and does not: no event's fault."""
    feed = Feed(world, SHAPES[shape]).send(*some(0, 3))
    feed.settled()
    ddl, command = BREAKS["new NOT NULL"]
    feed.ddl(ddl)
    feed.send(*some(3, 6))
    paste(world, feed, command)
    assert feed.rows("SELECT count(*) FROM t") == [(9,)]


def test_a_column_that_a_trigger_fills_for_some(world):
    """It does for a neighbour: then it is the fault of the event."""
    feed = Feed(world, TABLE + """
        ALTER TABLE t ADD COLUMN more int NOT NULL;
        CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.v = 'good' THEN new.more := 1; END IF; RETURN new; END $$;
        CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill();""")
    counters = feed.send(*some(0, 3), *some(3, 3, v="bad"), *some(6, 3)).settled()
    assert (counters["written"], counters["dead"]) == (6, 3)


@pytest.mark.parametrize("what", ["dropped column", "changed type", "new NOT NULL"])
def test_the_command_of_a_worker_that_never_saw_it_work(world, what):
    ddl, command = BREAKS[what]
    with world.db.session("app") as s:
        s.run(LOOKUP)
    world.create_pipeline(fields="n int, v text", transform=JOIN, target="t", paused=True)
    world.db.run(ddl)
    feed = Feed.__new__(Feed)
    feed.world = world
    world.db.run("SELECT millrace.add_partitions(%s, 0, '{0}')", (world.pipeline_name,))
    feed.lane = Lane(world.db, world.pipeline_name).assign([0])
    with world.db.session("app") as s:
        s.run("SELECT millrace.resume(%s)", (world.pipeline_name,))
    feed.send(*some(0, 3))
    paste(world, feed, command)


def test_the_command_for_a_schema_that_must_not_be_used(world):
    world.db.run("CREATE SCHEMA x; CREATE TABLE x.place (n int, name text); GRANT USAGE ON SCHEMA x TO app; GRANT SELECT ON x.place TO app")
    feed = Feed(world, TABLE, transform="SELECT event.n, coalesce(p.name, 'x') AS v FROM event LEFT JOIN x.place AS p USING (n)").send(*some(0, 3))
    feed.settled()
    feed.ddl("REVOKE USAGE ON SCHEMA x FROM app")
    feed.send(*some(3, 3))
    paste(world, feed, "GRANT USAGE ON SCHEMA x TO app;")


def test_the_command_for_a_transform_that_names_what_is_gone(world):
    """What became of the table is not known: the transform, ready to be edited."""
    feed = Feed(world, LOOKUP, transform=JOIN).send(*some(0, 3))
    feed.settled()
    feed.ddl("DROP TABLE place")
    feed.send(*some(3, 3))
    command = f"SELECT millrace.alter_pipeline('{world.pipeline_name}', transform => '{JOIN}');"
    wait_for(lambda: breaker(world, "command") == (command,), "the command")
    edited = command.replace(JOIN, "SELECT n, v FROM event")
    with world.db.session("app") as s:
        s.run(edited)
    all_written(feed, 6)


def test_the_command_when_no_other_is_known(world):
    """Nothing in the catalogue fixes it: a command for afterwards, which can be pasted as it is."""
    feed = Feed(world, FULL + "INSERT INTO full_disk VALUES (true)").send(*some(0, 20))
    wait_state(world, "open")
    assert breaker(world, "command") == (None,)
    command = wait_for(lambda: world.db.value("SELECT command FROM millrace.doctor() WHERE what LIKE '%breaker open'"), "doctor() has one")
    feed.ddl("DELETE FROM full_disk")
    with world.db.session("app") as s:
        s.run(command)
    all_written(feed, 20)
