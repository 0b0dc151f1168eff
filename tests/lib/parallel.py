"""Processes that share the end-to-end tests (pytest-xdist, pytest -n). Each has a broker and a cluster of its own, in a
directory of its own below that of the run. Tests are dealt out one by one, those of a module that share a fixture together.
What is marked `alone` comes last, in one process, when the others have stopped their servers: until then each holds a lock on
a file of the run, which the kernel releases when a process ends before that."""
import fcntl
import os

import pytest

from . import paths

PROCESS_MB = 1500  # a broker, a cluster, and what a test starts

_lock = None


def processes():
    """How many pay on this machine: many tests wait for a timeout, so one more than it has cores, if there is memory for them."""
    with open("/proc/meminfo") as f:
        available_kb = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
    return max(1, min(len(os.sched_getaffinity(0)) + 1, available_kb // 1024 // PROCESS_MB))


def is_part(config):
    """Whether this process is one of several, started by that of the run."""
    return hasattr(config, "workerinput")


def is_shared(config):
    """Whether this is the process of a run whose tests others run."""
    return not is_part(config) and bool(getattr(config.option, "numprocesses", None))


def prepare(config):
    """When pytest starts, in every process."""
    global _lock
    if is_shared(config):
        config.option.dist = "loadgroup"
    elif is_part(config):
        config.option.loadgroup = True  # it has read the command line, not what was made of it
        paths.use_run_dir(os.path.join(config.workerinput["run_dir"], config.workerinput["workerid"]))
        _lock = open(os.path.join(config.workerinput["run_dir"], "running"), "w")
        fcntl.flock(_lock, fcntl.LOCK_SH)


def prepare_part(node):
    """In the process of the run, for each of the others."""
    node.workerinput["run_dir"] = paths.run_dir()


def arrange(items):
    """The order of the tests, and which of them go to one process together."""
    for item in items:
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.xdist_group("alone"))
        elif _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


def _shares_a_fixture(item):
    return any(fixture.scope == "module" for fixtures in item._fixtureinfo.name2fixturedefs.values() for fixture in fixtures)


def wait_alone():
    """Until the other processes have finished."""
    if _lock is not None:
        fcntl.flock(_lock, fcntl.LOCK_EX)


def finish(config):
    """When a process has no more tests, and its servers are gone."""
    if is_part(config):
        _lock.close()


def directories():
    """Those with a cluster in them: of the run itself, or of its processes."""
    run = paths.run_dir()
    return [d for d in (run, *sorted(os.path.join(run, name) for name in os.listdir(run))) if os.path.isdir(os.path.join(d, "pg/data"))]
