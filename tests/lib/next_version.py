"""A next version of the extension, as there is none yet: this one, and a little more."""
import os
import re
import subprocess

from . import paths
from .cluster import add_installation

EXTENSION = os.path.join(paths.ROOT, "pg_extension")
CURRENT = re.search(r"^EXTVERSION = (\S+)", open(os.path.join(EXTENSION, "Makefile")).read(), re.M)[1]
# as long as the current one: it takes its place in the library's text
NEXT = CURRENT[:-1] + "n"

# What a next version may do: to tables (at their end, C counts columns), functions, views, and to what is dumped.
STEP = """
ALTER TABLE millrace.position_change ADD COLUMN note text NOT NULL DEFAULT '';
CREATE TABLE millrace.addition (id integer PRIMARY KEY);
SELECT pg_catalog.pg_extension_config_dump('millrace.addition', '');
CREATE FUNCTION millrace.added(a integer) RETURNS integer LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT a';
COMMENT ON VIEW millrace.lag IS 'Changed.';
SELECT millrace._wake();
"""


class Installation:
    """A PostgreSQL of its own, whose packages can be replaced under a server that runs; `tree` names it to a cluster."""
    tree = "upgrade"

    def __init__(self):
        self.dest = os.path.join(paths.run_dir(), "stage-upgrade")
        script = os.path.join(paths.ROOT, "tests/lib/stage-postgres.sh")
        add_installation(self.tree, subprocess.run([script, self.dest], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        self.library, self.control, script = (self._find(name) for name in ("millrace.so", "millrace.control", f"millrace--{CURRENT}.sql"))
        self.folder = os.path.dirname(script)
        with open(script) as f:
            self.whole = f.read()
        self.current = {file: _read(file) for file in (self.library, self.control)}

    def put_next(self):
        """The packages of the next version take the place of the current ones, whose scripts stay."""
        _put(self.library, _replaced(self.current[self.library], f"millrace library {CURRENT}\0", f"millrace library {NEXT}\0"))
        _put(self.control, _replaced(self.current[self.control], f"default_version = '{CURRENT}'", f"default_version = '{NEXT}'"))
        _put(os.path.join(self.folder, f"millrace--{CURRENT}--{NEXT}.sql"), STEP.encode())
        _put(os.path.join(self.folder, f"millrace--{NEXT}.sql"), (self.whole + STEP).encode())

    def put_current(self):
        for file, content in self.current.items():
            _put(file, content)

    def _find(self, name):
        return next(os.path.join(folder, name) for folder, _, files in os.walk(self.dest) if name in files)


def _read(file):
    with open(file, "rb") as f:
        return f.read()


def _put(file, content):
    """A new file, as a package manager makes it: who has the old one open keeps it."""
    with open(file + ".new", "wb") as f:
        f.write(content)
    os.chmod(file + ".new", 0o644)
    os.rename(file + ".new", file)


def _replaced(content, old, new):
    assert content.count(old.encode()) == 1, f"{old!r} is there {content.count(old.encode())} times"
    return content.replace(old.encode(), new.encode())
