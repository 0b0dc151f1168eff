"""Where things are. As root the servers run as user postgres, who may not be able to reach the checkout:
what they read and write is then under /var/tmp."""
import atexit
import os
import pwd
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
AS_ROOT = os.geteuid() == 0
KEEP = bool(os.environ.get("KEEP"))  # logs, clusters and databases outlive the run

_run_dir = None


def server_user():
    return pwd.getpwnam("postgres") if AS_ROOT else pwd.getpwuid(os.geteuid())


def run_dir():
    """A directory of this run, removed at the end (KEEP=1 keeps it); short, for the sake of sockets."""
    global _run_dir
    if _run_dir is None:
        _run_dir = tempfile.mkdtemp(prefix="millrace-", dir="/var/tmp")
        os.chmod(_run_dir, 0o755)
        if KEEP:
            print(f"logs and data: {_run_dir}")
        else:
            atexit.register(_remove, os.getpid())
    return _run_dir


def use_run_dir(path):
    """A directory below that of a run with several processes, whose first one removes it."""
    global _run_dir
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)
    _run_dir = path


def _remove(owner):
    if os.getpid() == owner:
        from .process import stop_all
        stop_all()  # what still runs would create it again
        shutil.rmtree(_run_dir, ignore_errors=True)


def make_dir(name, mode=0o755):
    """A directory below run_dir() that belongs to the servers' user."""
    path = os.path.join(run_dir(), name)
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    if AS_ROOT:
        os.chown(path, server_user().pw_uid, server_user().pw_gid)
    return path


def _reachable_for_server(path):
    if not AS_ROOT:
        return True
    return subprocess.run(["runuser", "-u", "postgres", "--", "test", "-x", path]).returncode == 0


def staged_postgres(tree=ROOT):
    """The bin directory of a private PostgreSQL with the extension of a work tree, this one unless another is named."""
    build = os.path.join(tree, "build")
    os.makedirs(build, exist_ok=True)
    if _reachable_for_server(build):
        dest = os.path.join(build, "stage")
    else:
        dest = os.path.join(run_dir(), "stage" if tree == ROOT else f"stage-{os.path.basename(tree)}")
    script = os.path.join(ROOT, "tests/lib/stage-postgres.sh")
    return subprocess.run([script, dest, tree], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def program(name, tree=ROOT):
    """One of our programs as it was built in a work tree, this one unless another is named; of this one a program that
    $MILLRACE_PROGRAMS has is taken from there (tests/asan.sh)."""
    other = os.path.join(os.environ.get("MILLRACE_PROGRAMS", ""), name)
    path = other if tree == ROOT and os.path.isabs(other) and os.path.exists(other) else os.path.join(tree, "build/bin", name)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is not built: run make")
    return path
