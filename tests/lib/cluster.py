"""A PostgreSQL cluster of our own: private installation, private directory, a socket and no TCP port."""
import os
import shutil
import signal
import subprocess

import psycopg2
import psycopg2.errors

from . import paths
from .process import Process, wait_gone
from .wait import LIMIT, wait_for

SETTINGS = {
    "listen_addresses": "''",
    "shared_preload_libraries": "'millrace'",
    "max_connections": "200",
    "max_worker_processes": "64",
    "shared_buffers": "'256MB'",
    "max_wal_size": "'2GB'",
    "wal_level": "'replica'",
    # a test kills processes, never the machine
    "fsync": "off",
    "log_line_prefix": "'%m [%p] %b %d '",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
}

_bin = {}  # work tree: the bin directory of the installation with its extension


def bin_dir(tree=paths.ROOT):
    if tree not in _bin:
        _bin[tree] = paths.staged_postgres(tree)
    return _bin[tree]


def add_installation(name, path):
    """One that is of no work tree, under a name that is given as one."""
    _bin[name] = path


def _as_server(args):
    """As root, servers run as user postgres; they end with us."""
    if not paths.AS_ROOT:
        return ["setpriv", "--pdeathsig", "QUIT", "--", *args]
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups",
            "--pdeathsig", "QUIT", "--", *args]


def run_as_server(*args, **kwargs):
    env = dict(os.environ, HOME=paths.run_dir(), PATH=bin_dir() + ":" + os.environ["PATH"])
    result = subprocess.run(_as_server([os.path.join(bin_dir(), args[0]), *args[1:]]), cwd="/", env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(args)}: {result.stdout}")
    return result.stdout


class Cluster:
    def __init__(self, name="pg", settings=None, tree=paths.ROOT, wrapper=()):
        """tree: the work tree whose extension the server runs; wrapper: what the server is started by."""
        self.wrapper = wrapper
        self.name, self.tree = name, tree
        self.dir = paths.make_dir(name, 0o700)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(paths.run_dir(), f"{name}.log")
        self.settings = dict(SETTINGS, **(settings or {}))
        self.port = self.settings.get("port", "5432")  # the socket's name; a TCP port only if it listens
        self.process = None

    # -- life

    def init(self):
        template = os.path.join(paths.run_dir(), "pg-template")
        if not os.path.exists(template):
            paths.make_dir("pg-template", 0o700)
            run_as_server("initdb", "-D", template, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                          "--locale=C.UTF-8", "--no-sync")
        shutil.rmtree(self.data, ignore_errors=True)  # of an earlier one with this name
        subprocess.run(["cp", "-a", template, self.data], check=True)
        self.configure(self.settings)
        return self

    def clone_as_standby(self, primary):
        """A hot standby of a running cluster."""
        run_as_server("pg_basebackup", "-h", primary.dir, "-U", "postgres", "-D", self.data, "-R", "-X", "stream",
                      "-c", "fast", "--no-sync")
        self.configure(self.settings)
        return self

    def configure(self, settings):
        self.settings.update(settings)
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as f:
            f.writelines(f"{key} = {value}\n" for key, value in
                         dict(self.settings, unix_socket_directories=f"'{self.dir}'").items())

    def save_data(self):
        """A copy of the data directory, of a server that is stopped."""
        copy = os.path.join(self.dir, "saved")
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", self.data, copy], check=True)
        return copy

    def restore_data(self, copy):
        """The copy (or a base backup) becomes the data directory; the server is stopped."""
        shutil.rmtree(self.data)
        os.rename(copy, self.data)

    def recover_to(self, name, archive):
        """At its next start the server replays archived WAL up to a restore point, and pauses there: it can be read.
        pg_wal_replay_resume() makes it go on from there, as a primary."""
        self.configure({"restore_command": f"'cp {archive}/%f %p'", "recovery_target_name": f"'{name}'",
                        "recovery_target_action": "'pause'"})
        signal_file = os.path.join(self.data, "recovery.signal")
        with open(signal_file, "w"):
            pass
        user = paths.server_user()
        os.chown(signal_file, user.pw_uid, user.pw_gid)

    def start(self, timeout=LIMIT):
        self.process = Process(_as_server([*self.wrapper, os.path.join(bin_dir(self.tree), "postgres"), "-D", self.data]), self.log,
                               cwd="/", stop_signal=signal.SIGINT, die_with_us=False)
        try:
            wait_for(lambda: self._ready() or not self.process.alive(), "server ready", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.process.tail()}")
        if not self.process.alive():
            raise AssertionError("the server died at its start; " + self.process.tail())
        return self

    def _ready(self):
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, mode="fast"):
        if self.process:
            self.process.stop_signal = {"smart": signal.SIGTERM, "fast": signal.SIGINT,
                                        "immediate": signal.SIGQUIT}[mode]
            self.process.stop(LIMIT)

    def kill_postmaster(self):
        """kill -9 of the postmaster alone; waits until the backends have noticed and are gone."""
        pids = self.backends()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.popen.wait()
        self.process._forget()
        for pid in pids:
            wait_gone(pid)
        try:
            os.unlink(os.path.join(self.data, "postmaster.pid"))
        except FileNotFoundError:
            pass

    def backends(self):
        from .process import children
        return children(self.process.pid)

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def promote(self):
        run_as_server("pg_ctl", "-D", self.data, "promote", "-w")

    def log_text(self, start=0):
        with open(self.log, errors="replace") as f:
            f.seek(start)
            return f.read()

    def log_position(self):
        return os.path.getsize(self.log)

    # -- SQL

    def dsn(self, database, user="postgres"):
        return f"host={self.dir} port={self.port} dbname={database} user={user}"

    def connect(self, database, user="postgres", autocommit=True):
        connection = psycopg2.connect(self.dsn(database, user), connect_timeout=LIMIT)
        connection.autocommit = autocommit
        return connection

    def create_database(self, name):
        self.drop_database(name)
        self._alone(f'CREATE DATABASE "{name}"')
        return Database(self, name)

    def drop_database(self, name):
        self._alone(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _alone(self, command):
        """A command that waits 5 s for the other sessions of a database to end, which a busy machine may not keep."""
        def done():
            try:
                s.run(command)
                return True
            except psycopg2.errors.ObjectInUse:
                return False
        with Session(self.connect("postgres")) as s:
            wait_for(done, command)

    def major(self):
        """15 to 18."""
        with Session(self.connect("postgres")) as s:
            return s.connection.server_version // 10000

    def pg_config(self, name):
        """Where the server finds its files."""
        with Session(self.connect("postgres")) as s:
            return s.value("SELECT setting FROM pg_config WHERE name = %s", (name,))

    def psql(self, database, *args):
        return run_as_server("psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p", self.port, "-U", "postgres",
                             "-d", database, *args)


class Session:
    """A connection with short ways to ask."""

    def __init__(self, connection):
        self.connection = connection

    @property
    def pid(self):
        return self.connection.get_backend_pid()

    def run(self, sql, params=None):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def value(self, sql, params=None):
        rows = self.run(sql, params)
        return rows[0][0] if rows else None

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Database:
    """A database of one test. Connects again by itself after the server was killed."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self._session = None

    def session(self, user="postgres", autocommit=True):
        return Session(self.cluster.connect(self.name, user, autocommit))

    def run(self, sql, params=None):
        try:
            if self._session is None or self._session.connection.closed:
                self._session = self.session()
            return self._session.run(sql, params)
        except psycopg2.Error as e:
            # psycopg2 may take a moment to call a dead connection closed
            if self._session is not None and not self._session.connection.closed and e.pgcode is not None:
                raise
            self._session = None
            raise ConnectionLost(str(e))

    def value(self, sql, params=None):
        rows = self.run(sql, params)
        return rows[0][0] if rows else None

    def dsn(self, user="postgres"):
        return self.cluster.dsn(self.name, user)

    def close(self):
        if self._session:
            self._session.close()
            self._session = None

    def drop(self):
        self.close()
        self.cluster.drop_database(self.name)


class ConnectionLost(Exception):
    pass
