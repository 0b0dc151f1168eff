"""Processes the tests start, and only those: each ends with the test run, however that ends."""
import atexit
import ctypes
import os
import signal
import socket
import subprocess
import threading

from .wait import LIMIT, wait_for

_started = []
_ports = []  # sockets that hold the ports given
_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def free_port():
    """A port for one server, of this process alone as long as it lives. It stays bound here, so the system gives it to nobody
    else, neither to another run of the tests nor to a connection that needs a port; a server that asks for it by number gets it,
    as with SO_REUSEADDR on both sides only one that listens is in the way."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    _ports.append(s)
    return s.getsockname()[1]


class Process:
    """A child in its own process group, with its output in a file."""

    def __init__(self, args, log, env=None, cwd=None, stop_signal=signal.SIGTERM, die_with_us=True, pass_fds=()):
        def child():
            if die_with_us:
                _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        self.args, self.log, self.stop_signal = args, log, stop_signal
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                          cwd=cwd, start_new_session=True, preexec_fn=child, pass_fds=pass_fds)
        self.pid = self.popen.pid
        _started.append(self)

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def kill(self):
        """kill -9 of the whole group."""
        if self.alive():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.popen.wait()
        self._forget()

    def stop(self, timeout=LIMIT):
        """The polite way; returns the exit status. Raises when it does not go."""
        if self.alive():
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, self.stop_signal)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.args[0]} did not stop within {timeout} s; {self.tail()}")
        self._forget()
        return self.popen.returncode

    def tail(self, lines=15):
        try:
            with open(self.log, errors="replace") as f:
                return f"end of {self.log}:\n" + "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def _forget(self):
        if self in _started:
            _started.remove(self)


def cpu_seconds(pid):
    """User and system time of a live process, 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thread_cpu_seconds(pid):
    """The same to the nanosecond, of a process that is one thread, as PostgreSQL's are."""
    try:
        with open(f"/proc/{pid}/schedstat") as f:
            return int(f.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return cpu_seconds(pid)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def peak_rss_mb(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0.0


def reset_peak_rss(pid):
    """peak_rss_mb() is of what follows."""
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def private_mb(pid):
    """Anonymous memory in use: what processes of a server share is not counted for each of them."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0.0


def wait_gone(pid, timeout=LIMIT):
    def gone():
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True
    wait_for(gone, f"process {pid} gone", timeout)


def stop_all():
    """Ends what is left, newest first."""
    for process in reversed(list(_started)):
        try:
            process.kill()
        except Exception:  # the others still have to go
            pass


_owner = os.getpid()
atexit.register(lambda: os.getpid() == _owner and stop_all())
if threading.current_thread() is threading.main_thread():  # a process of pytest-xdist may run its tests in another one
    for _number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, lambda *_: (_ for _ in ()).throw(SystemExit(143)))
