"""One event that fails, wherever and however it does: its neighbours of the same batch are written, the breaker stays
closed, and the event is where it should be, with its stage, SQLSTATE and message. The lane is played by hand, so that
neighbours are neighbours for sure."""
import json
import re

import pytest

from lib.wait import wait_for
from test_target_changes import Feed

GOOD = 60
BAD = -1

PLAIN = "CREATE TABLE t (n int, v text)"


def function(body, returns="int", arguments="n int", name="f", language="plpgsql", **more):
    options = more.get("options", "")
    return f"CREATE FUNCTION {name}({arguments}) RETURNS {returns} LANGUAGE {language} {options} AS $f$ {body} $f$;"


def raising(sqlstate):
    """A user's function that raises for the bad event alone."""
    return function(f"BEGIN IF n < 0 THEN RAISE EXCEPTION 'no % here', n USING ERRCODE = '{sqlstate}'; END IF; RETURN n; END")


def trigger(when, each, body, more="", constraint=""):
    return (f"{PLAIN}; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {body} END $f$;"
            f"CREATE {constraint} TRIGGER refuse {when} INSERT ON t {more} FOR EACH {each} EXECUTE FUNCTION refuse()")


def refuse_row(sqlstate="MR999", back="new"):
    return f"IF new.n < 0 THEN RAISE EXCEPTION 'no % here', new.n USING ERRCODE = '{sqlstate}'; END IF; RETURN {back};"


REFUSE_ROWS = """IF EXISTS (SELECT FROM came WHERE n < 0) THEN RAISE EXCEPTION 'no such rows here' USING ERRCODE = 'MR998'; END IF;
                 RETURN NULL;"""
DEFERRED = "DEFERRABLE INITIALLY DEFERRED"

F = dict(transform="SELECT f(n) AS n, v FROM event")
WIDE = "".join(f"{i:04x}-" for i in range(4000))  # hardly compresses


def case(name, ddl, stage, sqlstate, message, ended="permanent", constraint=None, column=None, bad=None, **pipeline):
    return pytest.param(ddl, stage, sqlstate, message, ended, constraint, column, bad or {"n": BAD, "v": "bad"}, pipeline, id=name)


CASES = [
    # -- the transform
    case("division", PLAIN, "transform", "22012", "division by zero", transform="SELECT n, v FROM event WHERE 10 / (n + 1) IS NOT NULL"),
    case("cast", PLAIN, "transform", "22P02", 'invalid input syntax for type integer: "bad"',
         transform="SELECT n, CASE WHEN n < 0 THEN v::int END::text AS v FROM event"),
    case("sql_function", function("SELECT n + 0 * (10 / (n + 1))", language="sql", options="VOLATILE") + PLAIN, "transform", "22012", "division by zero", **F),
    case("sql_function_inlined", function("SELECT n + 0 * sqrt(n)::int", language="sql") + PLAIN, "transform", "2201F", "square root of a negative", **F),
    case("plpgsql_no_data", function("DECLARE x int; BEGIN SELECT 1 INTO STRICT x WHERE n > 0; RETURN n; END") + PLAIN, "transform", "P0002",
         "query returned no rows", **F),
    case("plpgsql_assert", function("BEGIN ASSERT n > 0, 'must be positive'; RETURN n; END") + PLAIN, "transform", "P0004", "must be positive", **F),
    case("subquery_of_two", PLAIN, "transform", "21000", "more than one row returned by a subquery",
         transform="SELECT (SELECT n FROM generate_series(1, CASE WHEN n < 0 THEN 2 ELSE 1 END)) AS n, v FROM event"),
    case("endless_recursion", function("BEGIN RETURN CASE WHEN n < 0 THEN f(n) ELSE n END; END") + PLAIN, "transform", "54001",
         "stack depth limit exceeded", **F),
    case("too_many_rows", PLAIN, "transform", "54000", "the event gives more than 100 rows", rows_per_event=100,
         transform="SELECT event.n, v FROM event, generate_series(1, CASE WHEN event.n < 0 THEN 5000000 ELSE 1 END)"),
    case("endless_rows", PLAIN, "transform", "54000", "the event gives more than 100 rows", rows_per_event=100,
         transform="WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT event.n, v FROM event"
                   " CROSS JOIN LATERAL (SELECT 1 AS one FROM r WHERE event.n < 0 UNION ALL SELECT 1 WHERE event.n > 0) AS many"),
    case("timeout_asleep", PLAIN, "transform", "57014", "statement timeout", "exhausted", statement_timeout="1 s",
         transform="SELECT n, v FROM event WHERE n > 0 OR pg_sleep(60) IS NOT NULL"),
    case("timeout_busy", function("BEGIN WHILE n < 0 LOOP END LOOP; RETURN n; END") + PLAIN, "transform", "57014", "statement timeout",
         "exhausted", statement_timeout="1 s", **F),
    case("table_named_by_data", function("DECLARE x int; BEGIN IF n < 0 THEN EXECUTE format('SELECT n FROM %I', v) INTO x; END IF; RETURN n; END",
                                         arguments="n int, v text") + PLAIN,
         "transform", "42P01", 'relation "bad" does not exist', transform="SELECT f(n, v) AS n, v FROM event"),
    case("long_message", function("BEGIN IF n < 0 THEN RAISE '%', repeat('é', 3000000); END IF; RETURN n; END") + PLAIN, "transform", "P0001",
         r"^é{1000}\.\.\.$", **F),
    case("large_text", PLAIN, "transform", "54000", "requested length too large", transform="SELECT n, repeat(v, CASE WHEN n < 0 THEN 1000000000 ELSE 1 END) AS v FROM event"),
    # -- RAISE with whatever SQLSTATE somebody thinks of
    *[case(f"raise_{s}", raising(s) + PLAIN, "transform", s, "no -1 here", e, **F)
      for s, e in {"P0001": "permanent", "42501": "permanent", "42P01": "permanent", "42703": "permanent", "XX000": "permanent", "MR001": "permanent",
                   "0A000": "permanent", "57014": "exhausted", "40001": "exhausted", "40P01": "exhausted", "55P03": "exhausted",
                   "53100": "exhausted", "53200": "exhausted", "08006": "exhausted", "57P01": "exhausted", "57P03": "exhausted",
                   "58030": "exhausted", "HV000": "permanent", "XX001": "permanent"}.items()],
    # -- triggers
    case("before_row", trigger("BEFORE", "ROW", refuse_row()), "write", "MR999", "no -1 here"),
    case("after_row", trigger("AFTER", "ROW", refuse_row()), "write", "MR999", "no -1 here"),
    case("after_statement", trigger("AFTER", "STATEMENT", REFUSE_ROWS, "REFERENCING NEW TABLE AS came"), "write", "MR998", "no such rows here"),
    case("before_statement", function("BEGIN PERFORM set_config('my.n', n::text, true); RETURN n; END") +
         trigger("BEFORE", "STATEMENT", "IF EXISTS (SELECT FROM t WHERE n < 0) THEN RAISE 'a bad row is there'; END IF; RETURN NULL;") +
         "; ALTER TABLE t ADD CHECK (n > 0)", "write", "23514", 'violates check constraint "t_n_check"', constraint="t_n_check", **F),
    case("deferred_trigger", trigger("AFTER", "ROW", refuse_row(back="NULL"), DEFERRED, "CONSTRAINT"), "write", "MR999", "no -1 here"),
    case("deferred_40001", trigger("AFTER", "ROW", refuse_row("40001", "NULL"), DEFERRED, "CONSTRAINT"), "write", "40001", "no -1 here", "exhausted"),
    *[case(f"trigger_{s}", trigger("BEFORE", "ROW", refuse_row(s)), "write", s, "no -1 here", e)
      for s, e in {"57014": "exhausted", "40001": "exhausted", "40P01": "exhausted", "42501": "permanent", "42P01": "permanent",
                   "53100": "exhausted", "08006": "exhausted", "57P01": "exhausted", "58030": "exhausted", "55P03": "exhausted"}.items()],
    case("trigger_timeout", trigger("BEFORE", "ROW", "IF new.n < 0 THEN PERFORM pg_sleep(60); END IF; RETURN new;"), "write", "57014",
         "statement timeout", "exhausted", statement_timeout="1 s"),
    case("trigger_writes_elsewhere", "CREATE TABLE audit (n int CHECK (n > 0));" +
         trigger("AFTER", "ROW", "INSERT INTO audit VALUES (new.n); RETURN NULL;"), "write", "23514", 'relation "audit" violates check constraint',
         constraint="audit_n_check"),
    # -- constraints
    case("check", "CREATE TABLE t (n int CONSTRAINT positive CHECK (n > 0), v text)", "write", "23514", 'violates check constraint "positive"',
         constraint="positive"),
    case("check_that_raises", raising("MR997") + "CREATE TABLE t (n int CHECK (f(n) > 0), v text)", "write", "MR997", "no -1 here"),
    case("not_null", "CREATE TABLE t (n int, v text NOT NULL)", "write", "23502", 'null value in column "v"', column="v", bad={"n": BAD}),
    case("domain", "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TABLE t (n positive, v text)", "transform", "23514",
         "value for domain positive violates check constraint", constraint="positive_check"),
    case("unique", "CREATE TABLE t (n int PRIMARY KEY, v text); INSERT INTO t VALUES (-1, 'before')", "write", "23505",
         'duplicate key value violates unique constraint "t_pkey"', constraint="t_pkey"),
    case("deferred_unique", f"CREATE TABLE t (n int UNIQUE {DEFERRED}, v text); INSERT INTO t VALUES (-1, 'before')", "write", "23505",
         'duplicate key value violates unique constraint "t_n_key"', constraint="t_n_key"),
    case("exclusion", "CREATE TABLE t (n int, v text, EXCLUDE USING btree (n WITH =)); INSERT INTO t VALUES (-1, 'before')", "write", "23P01",
         "conflicting key value violates exclusion constraint", constraint="t_n_excl"),
    case("foreign_key", "CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 1000);"
         "CREATE TABLE t (n int REFERENCES parent, v text)", "write", "23503", "violates foreign key constraint", "exhausted", constraint="t_n_fkey"),
    case("deferred_foreign_key", "CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 1000);"
         f"CREATE TABLE t (n int REFERENCES parent {DEFERRED}, v text)", "write", "23503", "violates foreign key constraint", "exhausted",
         constraint="t_n_fkey"),
    case("no_partition", "CREATE TABLE t (n int, v text) PARTITION BY RANGE (n); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000)",
         "write", "23514", 'no partition of relation "t" found for row'),
    case("row_security", f"{PLAIN}; ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true) WITH CHECK (n > 0)",
         "write", "42501", 'new row violates row-level security policy for table "t"'),
    # -- defaults, generated columns, indexes, sizes
    # a default sees no other column: the 31st row is the one it fails on, wherever it comes from
    case("default_that_raises", "CREATE SEQUENCE rows; " + function("BEGIN IF nextval('rows') % 31 = 0 THEN RAISE 'no luck' USING ERRCODE = 'MR996';"
         " END IF; RETURN 1; END", arguments="", name="luck") + "CREATE TABLE t (n int, v text, w int DEFAULT luck())", "write", "MR996", "no luck",
         bad={"n": 31, "v": "31"}),
    case("generated", "CREATE TABLE t (n int, v text, w int GENERATED ALWAYS AS (10 / (n + 1)) STORED)", "write", "22012", "division by zero"),
    case("index_expression", f"{PLAIN}; CREATE INDEX ON t ((10 / (n + 1)))", "write", "22012", "division by zero"),
    case("partial_index", f"{PLAIN}; CREATE INDEX ON t (n) WHERE 10 / (n + 1) > 0", "write", "22012", "division by zero"),
    case("row_too_big", f"{PLAIN}; ALTER TABLE t ALTER v SET STORAGE PLAIN", "write", "54000", "row is too big", bad={"n": BAD, "v": WIDE}),
    case("index_row_too_big", f"{PLAIN}; CREATE INDEX ON t (v)", "write", "54000", "index row (size|requires)", bad={"n": BAD, "v": WIDE}),
]


@pytest.mark.parametrize("ddl, stage, sqlstate, message, ended, constraint, column, bad, pipeline", CASES)
def test_isolated(world, ddl, stage, sqlstate, message, ended, constraint, column, bad, pipeline):
    feed = Feed(world, ddl, **dict(dict(max_retries=1, retry_delay="20 ms", dlq="off"), **pipeline))
    good = [json.dumps({"n": n, "v": str(n)}) for n in range(1, GOOD + 1)]
    feed.send(*good[:40], json.dumps(bad), *good[40:])
    counters = feed.settled()
    # with the batch itself, not some time later
    assert feed.rows("SELECT count(*), count(DISTINCT n) FROM t WHERE n > 0") == [(GOOD, GOOD)]
    assert counters["written"] == GOOD
    wait_for(lambda: world.db.value("SELECT count(*) FROM millrace.dead_letter") == 1, "the dead letter")
    letter = world.db.run("SELECT stage, sqlstate, ended, constraint_name, column_name, attempts, payload, message FROM millrace.dead_letter")[0]
    attempts = 2 if ended == "exhausted" else 1
    assert letter[:6] == (stage, sqlstate, ended, constraint, column, attempts), letter
    assert json.loads(bytes(letter[6])) == bad
    assert re.search(message, letter[7]), letter[7]
    assert world.db.run("SELECT state, opened FROM millrace.breakers") == [("closed", 0)]
    assert world.db.value("SELECT count(*) FROM millrace.retry") == 0
    assert world.counters()["events"] == GOOD + 1
