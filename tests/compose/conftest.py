"""The stack of docker-compose.yml in a Docker daemon of our own. Where that cannot run, all tests are skipped and say so."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.compose import LEFT_OUT, Stack  # noqa: E402
from lib.docker import Docker, NoDocker  # noqa: E402


@pytest.fixture(scope="session")
def docker():
    docker = Docker()
    try:
        docker.start().make_standins()
        yield docker
    except NoDocker as e:
        pytest.skip(f"not tested: {e}")
    finally:
        docker.stop()


@pytest.fixture(scope="session")
def stack(docker):
    stack = Stack(docker)
    stack.build()
    stack.down("--volumes")
    try:
        yield stack
    finally:
        stack.logs()
        stack.down("--volumes")


def pytest_terminal_summary(terminalreporter):
    for name, reason in LEFT_OUT.items():
        terminalreporter.write_line(f"compose: service {name} is left out, not tested: {reason}")
