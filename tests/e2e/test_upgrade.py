"""docs/upgrade.md step by step: a database of an earlier version becomes what a new one is, under programs that go on, and the
way back. A server has the library it was started with, so each upgrade has a restart in it."""
import glob
import os
import re

import pytest

from lib import paths
from lib.api import Api
from lib.cluster import Cluster, run_as_server
from lib.events import Events
from lib.next_version import CURRENT, EXTENSION, NEXT, STEP, Installation
from lib.wait import wait_for
from lib.world import World, ensure_roles

RELEASED = sorted(re.fullmatch(r"millrace--([^-]+)\.sql", name)[1] for name in
                  map(os.path.basename, glob.glob(os.path.join(EXTENSION, "released/*.sql"))) if name.count("--") == 1)
FACTS = open(os.path.join(paths.ROOT, "tests/lib/catalogue.sql")).read()


class Upgrade(World):
    """A pipeline of a database of version `old`, an ingestor and an API."""

    def __init__(self, cluster, broker, name, old=CURRENT):
        super().__init__(cluster, broker, name)
        self.db.run("DROP EXTENSION millrace")
        self.db.run(f"CREATE EXTENSION millrace VERSION '{old}'")
        self.grant(self.db)
        self.create_topic()
        self.create_pipeline(workers=2)
        self.db.run("SELECT millrace.grant_api('web'); CREATE VIEW seen AS SELECT id, ts FROM reading; CREATE INDEX ON reading (ts, id);"
                    " CREATE INDEX ON reading (id); GRANT SELECT ON seen TO web")
        self.sent = []
        self.ingestor = self.start_ingestor()
        self.api = self.start_api()

    def start_api(self):
        return Api(self.db.dsn("web"), "--events", "seen", "--time-column", "ts").start()

    def close(self):
        self.api.kill()
        super().close()

    def send(self, n=5000):
        self.sent.append(Events(n, seed=181 + len(self.sent), broken=1).send(self.broker, self.topic))

    def all_is_there(self):
        self.wait_settled()
        self.check(*self.sent)

    def restart(self):
        """The programs connect again by themselves."""
        self.db.close()
        self.cluster.restart()

    def wait_status(self, status):
        return wait_for(lambda: self.db.run("SELECT reason, hint FROM millrace.pipelines WHERE status = %s", (status,)), f"it is {status}")[0]

    def wait_ready(self):
        """Ingestor and API, of this version, beside whatever the database has."""
        self.ingestor.wait_ready()
        self.api.wait_ready()
        wait_for(lambda: self.api.get("/events?limit=1").status == 200, "events are served")

    def version(self):
        return self.db.value("SELECT extversion FROM pg_extension WHERE extname = 'millrace'")

    def assert_as_new(self, version):
        """The catalogue is that of a database in which this version was installed."""
        fresh = self.create_database(self.name + "_fresh", schema=False)
        fresh.run(f"CREATE EXTENSION millrace VERSION '{version}'")
        self.grant(fresh)
        fresh.run("SELECT millrace.grant_api('web')")
        upgraded, new = facts(self.db), facts(fresh)
        assert upgraded == new, "only after the upgrade: {}\nonly in a new database: {}".format(
            "\n".join(sorted(upgraded - new)), "\n".join(sorted(new - upgraded)))


def facts(db):
    return {row[0] for row in db.run(FACTS)}


@pytest.fixture(scope="module")
def packages():
    return Installation()


@pytest.fixture(scope="module")
def server(packages):
    cluster = Cluster("upgrade", tree=packages.tree).init().start()
    ensure_roles(cluster, "app", "ingestor", "web")
    yield cluster
    cluster.stop("immediate")


@pytest.fixture
def upgrade(request, server, packages, broker):
    packages.put_current()
    server.restart()
    request.node.world = world = Upgrade(server, broker, request.node.name.replace("test_", "", 1))
    yield world
    world.close()


def test_step_by_step(upgrade, packages):
    upgrade.send()
    upgrade.all_is_there()
    plain = facts(upgrade.db)
    # the packages: nothing changes yet
    packages.put_next()
    upgrade.send()
    upgrade.all_is_there()
    # the restart: nothing is processed until the script has run, and it is said why
    upgrade.restart()
    reason, hint = upgrade.wait_status("version mismatch")
    assert CURRENT in reason and NEXT in reason and "ALTER EXTENSION millrace UPDATE" in hint
    assert upgrade.db.run("SELECT severity FROM millrace.doctor() WHERE what LIKE '%%version mismatch'", ()) == [("error",)]
    upgrade.wait_ready()
    upgrade.send()
    assert upgrade.counters()["events"] == 10000
    # the script: old programs, new extension
    upgrade.db.run("ALTER EXTENSION millrace UPDATE")
    assert upgrade.version() == NEXT
    upgrade.all_is_there()
    upgrade.wait_ready()
    # the ingestor, then the API: one more, then one fewer
    old, upgrade.ingestor = upgrade.ingestor, upgrade.start_ingestor().wait_ready()
    assert old.stop() == 0
    old, upgrade.api = upgrade.api, upgrade.start_api()
    old.stop()
    upgrade.send()
    upgrade.all_is_there()
    wait_for(lambda: upgrade.api.get("/events/all").json()["pipelines"][0]["totals"]["events"] == "20000", "the API counts all of them")
    upgrade.assert_as_new(NEXT)
    # the comparison sees what an upgrade script has forgotten
    for part in ("column millrace.position_change", "config millrace.addition", "function millrace.added", "class millrace.lag"):
        assert any(fact.startswith(part) for fact in facts(upgrade.db) - plain), part


def test_the_script_before_the_restart(upgrade, packages):
    """The library in memory does not serve the new catalogue: its workers end, and the restart brings the ones that do."""
    upgrade.send()
    upgrade.all_is_there()
    packages.put_next()
    upgrade.db.run("ALTER EXTENSION millrace UPDATE")
    upgrade.wait_status("version mismatch")
    wait_for(lambda: upgrade.db.value("SELECT count(*) FROM millrace.workers WHERE pid IS NOT NULL") == 0, "no worker of the old library runs")
    upgrade.send()
    upgrade.restart()
    upgrade.all_is_there()
    upgrade.wait_ready()


def test_the_way_back(upgrade, packages):
    """Before the script by the old packages, after it by the backup: the events since then are read again, each is there once."""
    upgrade.send()
    upgrade.all_is_there()
    backup = os.path.join(upgrade.cluster.dir, "backup")
    run_as_server("pg_basebackup", "-h", upgrade.cluster.dir, "-U", "postgres", "-D", backup, "-c", "fast", "--no-sync")
    upgrade.send()
    packages.put_next()
    upgrade.restart()
    upgrade.wait_status("version mismatch")
    packages.put_current()
    upgrade.restart()
    upgrade.all_is_there()
    packages.put_next()
    upgrade.restart()
    upgrade.db.run("ALTER EXTENSION millrace UPDATE")
    upgrade.send()
    upgrade.all_is_there()
    upgrade.db.close()
    upgrade.cluster.stop()
    upgrade.cluster.restore_data(backup)
    packages.put_current()
    upgrade.cluster.start()
    assert upgrade.version() == CURRENT
    upgrade.all_is_there()
    upgrade.wait_ready()


@pytest.mark.parametrize("old", RELEASED)
def test_from_a_release(server, broker, old):
    """Its library is gone: what it has made and staged is there, and is processed after the script."""
    upgrade = Upgrade(server, broker, f"from_{old}", old)
    try:
        upgrade.send()
        upgrade.wait_status("version mismatch")
        upgrade.db.run(f"ALTER EXTENSION millrace UPDATE TO '{CURRENT}'")
        upgrade.all_is_there()
        upgrade.wait_ready()
        upgrade.assert_as_new(CURRENT)
    finally:
        upgrade.close()


def test_scripts_wake_the_workers():
    """The supervisor of a database of another version has ended: the script's last statement brings it back."""
    for script in [STEP] + [open(name).read() for name in glob.glob(os.path.join(EXTENSION, "released/*--*--*.sql"))]:
        assert script.rstrip().endswith("SELECT millrace._wake();")
