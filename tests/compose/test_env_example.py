""".env.example and docker-compose.yml are about the same: needs no Docker."""
import os
import re

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
