"""One broker and one cluster for the tests of a process; a database, a topic and ingestors of its own for each test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib import parallel, paths  # noqa: E402
from lib.broker import Broker, NoBroker, fetch  # noqa: E402
from lib.cluster import Cluster, bin_dir  # noqa: E402
from lib.wait import Timeout, wait_for  # noqa: E402
from lib.world import World, ensure_roles  # noqa: E402

BROKER = pytest.StashKey()  # the one of this process, once it is there


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: it measures, and must have the machine to itself: it runs after the other tests")
    parallel.prepare(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    return parallel.processes()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    parallel.prepare_part(node)


def pytest_sessionstart(session):
    if parallel.is_shared(session.config):
        fetch_broker()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    parallel.arrange(items)


def pytest_collection_finish(session):
    if not parallel.is_part(session.config) and any("broker" in item.fixturenames for item in session.items):
        fetch_broker()


def fetch_broker():
    """Before the first test: what is missing is said once, not for each of them."""
    try:
        fetch()
    except NoBroker as e:
        raise pytest.UsageError(str(e))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.get_closest_marker("alone"):
        parallel.wait_alone()


@pytest.fixture(scope="session")
def broker(request):
    broker = Broker().start()
    request.session.stash[BROKER] = broker
    yield broker
    broker.stop()


@pytest.fixture(scope="module", autouse=True)
def topics_go(request):
    """A broker that was killed reads the end of each partition when it starts: it has those of one file of tests, not of all so far."""
    yield
    if BROKER in request.session.stash:
        request.session.stash[BROKER].delete_topics()


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
        for directory in parallel.directories():
            server = f"{bin_dir()}/postgres -D {directory}/pg/data"
            terminalreporter.write_line(f"logs and data: {directory}")
            terminalreporter.write_line("start the server again: " + ("runuser -u postgres -- " if paths.AS_ROOT else "") + server)
            terminalreporter.write_line(f"and look: psql -h {directory}/pg -U postgres -l")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Nothing may outlive the run, whether a test failed or not."""
    parallel.finish(session.config)
    if parallel.is_part(session.config):
        return
    try:
        # what was killed may take its time to go
        wait_for(lambda: not survivors(paths.run_dir()), "all processes have ended")
    except Timeout:
        left = survivors(paths.run_dir())
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
