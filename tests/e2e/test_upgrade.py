"""ALTER EXTENSION millrace UPDATE: a database of an earlier version becomes what a new one is, and goes on with what it has."""
import glob
import os
import re

import pytest

from lib import paths
from lib.api import Api
from lib.events import Events
from lib.wait import wait_for
from lib.world import ensure_roles

EXTENSION = os.path.join(paths.ROOT, "pg_extension")
CURRENT = re.search(r"^EXTVERSION = (\S+)", open(os.path.join(EXTENSION, "Makefile")).read(), re.M)[1]
RELEASED = sorted(re.fullmatch(r"millrace--([^-]+)\.sql", name)[1] for name in
                  map(os.path.basename, glob.glob(os.path.join(EXTENSION, "released/*.sql"))) if name.count("--") == 1)
FACTS = open(os.path.join(paths.ROOT, "tests/lib/catalogue.sql")).read()

# What a next version may do: to tables (at their end, C counts columns), functions, views, and to what is dumped.
STEP = """
ALTER TABLE millrace.position_change ADD COLUMN note text NOT NULL DEFAULT '';
CREATE TABLE millrace.addition (id integer PRIMARY KEY);
SELECT pg_catalog.pg_extension_config_dump('millrace.addition', '');
CREATE FUNCTION millrace.added(a integer) RETURNS integer LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT a';
COMMENT ON VIEW millrace.lag IS 'Changed.';
"""


def facts(db):
    return {row[0] for row in db.run(FACTS)}


def assert_same(upgraded, fresh):
    upgraded, fresh = facts(upgraded), facts(fresh)
    assert upgraded == fresh, "only after the upgrade: {}\nonly in a new database: {}".format(
        "\n".join(sorted(upgraded - fresh)), "\n".join(sorted(fresh - upgraded)))


def install(world, name, version):
    db = world.create_database(name, schema=False)
    db.run(f"CREATE EXTENSION millrace VERSION '{version}'")
    return db


def upgrade_while_it_runs(world, old, new):
    """Filled and upgraded under a running ingestor and API, which stay ready: the catalogue is that of a new database, and nothing
    is lost or doubled."""
    ensure_roles(world.cluster, "web")
    world.db.run("DROP EXTENSION millrace")
    world.db.run(f"CREATE EXTENSION millrace VERSION '{old}'")
    world.grant(world.db)
    world.create_topic()
    world.create_pipeline(workers=2)
    ingestor = world.start_ingestor()
    world.db.run("SELECT millrace.grant_api('web'); CREATE VIEW seen AS SELECT id, ts FROM reading; CREATE INDEX ON reading (ts, id); CREATE INDEX ON reading (id);"
                 " GRANT SELECT ON seen TO web")
    api = Api(world.db.dsn("web"), "--events", "seen", "--time-column", "ts").start()
    try:
        upgrade_between(world, new, ingestor, api)
    finally:
        api.kill()
    fresh = install(world, world.name + "_fresh", new)
    world.grant(fresh)
    fresh.run("SELECT millrace.grant_api('web')")
    assert_same(world.db, fresh)


def upgrade_between(world, new, ingestor, api):
    """Two loads of events, and the extension's new version between them; the programs are still those of the old one."""
    first, second = Events(20000, seed=181, broken=1), Events(20000, seed=182, broken=1)
    first.send(world.broker, world.topic)
    wait_for(lambda: world.counters()["events"] > 0, "it runs", 30)
    world.db.run(f"ALTER EXTENSION millrace UPDATE TO '{new}'")
    second.send(world.broker, world.topic)
    world.wait_settled()
    world.check(first, second)
    ingestor.wait_ready()
    assert api.admin("/readyz")[0] == 200, api.admin("/readyz")
    assert api.get("/events?limit=1").status == 200 and api.get("/events/all").json()["pipelines"][0]["totals"]["events"] == "40000"


@pytest.fixture
def next_version(cluster):
    """A version after this one, in the installation of the tests."""
    share = os.path.join(cluster.pg_config("SHAREDIR"), "extension")
    version = CURRENT + "next"
    step = os.path.join(share, f"millrace--{CURRENT}--{version}.sql")
    whole = os.path.join(share, f"millrace--{version}.sql")
    try:
        with open(os.path.join(share, f"millrace--{CURRENT}.sql")) as f, open(whole, "w") as g:
            g.write(f.read() + STEP)
        with open(step, "w") as f:
            f.write(STEP)
        yield version
    finally:
        for file in (step, whole):
            if os.path.exists(file):
                os.remove(file)


def test_upgrade_to_the_next_version(world, next_version):
    upgrade_while_it_runs(world, CURRENT, next_version)
    # the comparison sees what an upgrade script has forgotten
    plain = install(world, world.name + "_plain", CURRENT)
    world.grant(plain)
    missing = facts(world.db) - facts(plain)
    for part in ("column millrace.position_change", "config millrace.addition", "function millrace.added", "class millrace.lag"):
        assert any(fact.startswith(part) for fact in missing), part


@pytest.mark.parametrize("old", RELEASED)
def test_upgrade_from_a_release(world, old):
    upgrade_while_it_runs(world, old, CURRENT)
