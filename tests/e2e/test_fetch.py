"""A machine that cannot reach Maven Central."""
import os
import subprocess

from lib import paths


def test_unreachable_jars_are_one_line_before_the_first_test(tmp_path):
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[ERROR] Unknown host'\nexit 1\n")
    mvn.chmod(0o755)
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "cache"), PATH=f"{tmp_path}:{os.environ['PATH']}", CHECK="unit e2e")
    result = subprocess.run([os.path.join(paths.ROOT, "tests/check.sh")], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1, result.stdout
    assert "~/.m2/settings.xml" in result.stdout and 'CHECK="lint unit sql" make check' in result.stdout
    log = (tmp_path / "cache/millrace/kafka-4.4.0/fetch.log").read_text()
    assert "Unknown host" in log
