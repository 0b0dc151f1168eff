"""A machine that cannot reach Maven Central."""
import os
import subprocess
import sys

import pytest

from lib import paths

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e/test_upsert.py"]


@pytest.mark.parametrize("command", [["tests/check.sh"], PYTEST, [*PYTEST, "-n", "2"]], ids=["check", "pytest", "processes"])
def test_unreachable_jars_are_one_line_before_the_first_test(tmp_path, command):
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[ERROR] Unknown host'\nexit 1\n")
    mvn.chmod(0o755)
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "cache"), PATH=f"{tmp_path}:{os.environ['PATH']}", CHECK="unit e2e",
                       PYTEST_ADDOPTS="")  # what is said does not depend on the options of this run
    result = subprocess.run(command, cwd=paths.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if line and "no tests ran" not in line]
    assert len(said) == 1, result.stdout
    assert "~/.m2/settings.xml" in said[0] and 'CHECK="lint unit sql" make check' in said[0]
    log = (tmp_path / "cache/millrace/kafka-4.4.0/fetch.log").read_text()
    assert "Unknown host" in log
