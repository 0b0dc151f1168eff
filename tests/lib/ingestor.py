"""The ingestor under test."""
import os
import signal
import subprocess

from . import paths
from .process import Process, free_port
from .wait import LIMIT, wait_for
from .web import ask

_count = 0


class Ingestor:
    def __init__(self, dsn, brokers, *options, wrapper=(), tree=paths.ROOT, **properties):
        """options: further command line; tree: the work tree it was built in; properties: librdkafka's, with _ for
        the dots."""
        global _count
        _count += 1
        self.number = _count
        self.dsn, self.brokers, self.options, self.wrapper = dsn, brokers, options, wrapper
        self.program = paths.program("millrace-ingestor", tree)
        # a dead member of the group is noticed in 6 s, the least a broker allows, instead of 10
        self.properties = dict({"session_timeout_ms": "6000"}, **properties)
        self.log = os.path.join(paths.run_dir(), f"ingestor-{self.number}.log")
        self.port = None
        self.process = None

    def start(self, wait=True, port=None):
        """port: of the admin port, as it was before, say; a free one otherwise."""
        self.port = port or free_port()
        args = [*self.wrapper, self.program, "--dsn", self.dsn, "--brokers", self.brokers,
                "--admin-listen", f"127.0.0.1:{self.port}", *self.options]
        for name, value in self.properties.items():
            args += ["-X", f"{name.replace('_', '.')}={value}"]
        self.process = Process(args, self.log, cwd="/")
        if wait:
            self.wait_live()
        return self

    def wait_live(self):
        try:
            wait_for(lambda: not self.process.alive() or self.get("/livez")[0] == 200, "ingestor lives")
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.process.tail()}")
        assert self.process.alive(), "the ingestor ended; " + self.process.tail()

    def wait_ready(self, timeout=LIMIT):
        try:
            wait_for(lambda: self.get("/readyz")[0] == 200, "ingestor ready", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.get('/readyz')} {self.process.tail()}")
        return self

    def get(self, path):
        """(status, body) of the admin port; status 0 when it does not answer."""
        return ask(f"http://127.0.0.1:{self.port}{path}", timeout=20)

    def metric(self, name):
        """Sum of a metric over its labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                total += float(line.rsplit(" ", 1)[1])
        return total

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.alive()

    def kill(self):
        self.process.kill()

    def stop(self, timeout=LIMIT):
        return self.process.stop(timeout)

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def run_once(*args):
    """Runs the ingestor's program to its end: (status, output)."""
    result = subprocess.run([paths.program("millrace-ingestor"), *args], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    return result.returncode, result.stdout
