"""One broker and one cluster for all tests; a database, a topic and ingestors of its own for each."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib import paths  # noqa: E402
from lib.broker import Broker, NoBroker  # noqa: E402
from lib.cluster import Cluster, bin_dir  # noqa: E402
from lib.world import World, ensure_roles  # noqa: E402


@pytest.fixture(scope="session")
def broker():
    try:
        broker = Broker().start()
    except NoBroker as e:
        pytest.exit(str(e), returncode=2)  # once, not for every test
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def cluster():
    cluster = Cluster().init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop("fast" if paths.KEEP else "immediate")


@pytest.fixture
def world(request, cluster, broker):
    world = World(cluster, broker, request.node.name.replace("test_", "", 1))
    request.node.world = world
    yield world
    world.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and hasattr(item, "world"):
        try:
            report.sections.append(("logs", item.world.report()))
        except Exception as e:
            report.sections.append(("logs", str(e)))


def pytest_terminal_summary(terminalreporter):
    if paths.KEEP:
        directory = paths.run_dir()
        server = f"{bin_dir()}/postgres -D {directory}/pg/data"
        terminalreporter.write_line(f"logs and data: {directory}")
        terminalreporter.write_line("start the server again: " + ("runuser -u postgres -- " if paths.AS_ROOT else "") + server)
        terminalreporter.write_line(f"and look: psql -h {directory}/pg -U postgres -l")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Nothing may outlive the run, whether a test failed or not."""
    left = survivors(paths.run_dir())
    if left:
        print("\nstill running after the tests: " + "; ".join(left))
        session.exitstatus = 1


def survivors(directory):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                command = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if directory in command:
            found.append(f"{pid} {command[:100]}")
    return found
