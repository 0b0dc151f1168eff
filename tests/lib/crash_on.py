"""A function in C that crashes the server when its argument says so."""
import os
import subprocess

from . import paths


def _library():
    """Built once in a run, where the server can read it."""
    library = os.path.join(paths.run_dir(), "crash_on.so")
    if not os.path.exists(library):
        include = subprocess.run([os.environ.get("PG_CONFIG", "pg_config"), "--includedir-server"], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout.strip()
        source = os.path.join(paths.ROOT, "tests/lib/crash_on.c")
        subprocess.run(["cc", "-O0", "-w", "-fPIC", "-shared", f"-I{include}", "-o", library, source], check=True)
        os.chmod(library, 0o755)
    return library


def create_crash_on(db):
    """crash_on(text): segv, abort, kill, stack, exit, fatal, panic; gives back anything else."""
    db.run(f"CREATE FUNCTION crash_on(how text) RETURNS text LANGUAGE c STRICT AS '{_library()}'")
