""".env.example and docker-compose.yml are about the same, and old versions of compose read the file: needs no daemon."""
import os
import re
import shutil
import subprocess

import pytest

from lib import paths


def read(name):
    with open(os.path.join(paths.ROOT, name)) as f:
        return f.read()


def test_every_knob_is_documented_with_its_default():
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", read("docker-compose.yml")))
    documented = dict(re.findall(r"^#([A-Z_]+)=(.*)$", read(".env.example"), re.M))
    assert documented == used


def test_no_variable_is_without_a_default():
    assert re.findall(r"(?<!\$)\$\{?[A-Z_]+\}?(?!:-)", re.sub(r"\$\{[A-Z_]+:-[^}]*\}", "", read("docker-compose.yml"))) == []


def test_the_old_docker_compose_reads_it():
    """1.29, of Debian 12; `docker compose` reads it in test_compose.py."""
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    result = subprocess.run(["docker-compose", "config", "--quiet"], cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    assert result.returncode == 0, result.stdout
