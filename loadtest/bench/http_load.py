"""Requests by wrk for some seconds, and what they cost the server and PostgreSQL."""
import json
import os
import subprocess
import time

from lib import paths
from lib.process import reset_peak_rss
from sampler import Sampler

SCRIPT = os.path.join(paths.ROOT, "loadtest/wrk/bench.lua")
POSTGRES = ("staging", "workers", "other")  # what the sampler calls the server's processes


class Requests:
    """paths: asked in turn; body: (bytes, media type); events: how many a request carries."""

    def __init__(self, name, paths_, method="GET", body=None, connections=64, events=1):
        self.name, self.connections, self.events = name, connections, events
        self.environment = {"METHOD": method, "PATHS": self._file("paths", "\n".join(paths_).encode() + b"\n")}
        if body:
            self.environment.update(BODY=self._file("body", body[0]), TYPE=body[1])

    def _file(self, what, content):
        file = os.path.join(paths.run_dir(), f"requests-{self.name}-{what}")
        with open(file, "wb") as f:
            f.write(content)
        return file


class Load:
    def __init__(self, system, seconds):
        self.system, self.seconds = system, seconds

    def run(self, server, requests):
        """server: what has a port and a process. Returns requests_per_s, p50_ms, p99_ms, cpu_us and postgres_cpu_us of a request,
        rss_mb of the server (its peak); events_per_s where a request carries several."""
        pid = server.process.pid
        reset_peak_rss(pid)
        sampler = Sampler(self.system.cluster, self.system.db, self.system.broker.process.pid, pid)
        sampler.start()
        try:
            time.sleep(2 * sampler.every)  # a sample before the first request
            begin = time.time()
            seen = self._wrk(server.port, requests)
            end = time.time()
            time.sleep(2 * sampler.every)
        finally:
            sampler.stop()
        cpu = sampler.cpu_us_per_event(begin, end, seen["requests"])
        figures = {"requests_per_s": seen["requests"] / seen["seconds"], "p50_ms": seen["p50_ms"], "p99_ms": seen["p99_ms"],
                   "cpu_us": cpu["ingestor"], "postgres_cpu_us": sum(cpu[name] for name in POSTGRES), "rss_mb": sampler.rss_mb}
        if requests.events > 1:
            figures["events_per_s"] = figures["requests_per_s"] * requests.events
        return figures

    def _wrk(self, port, requests):
        command = ["wrk", "-t", "1", "-c", str(requests.connections), "-d", f"{self.seconds}s", "--timeout", "30s", "-s", SCRIPT,
                   f"http://127.0.0.1:{port}"]
        result = subprocess.run(command, env=dict(os.environ, **requests.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
        if result.returncode != 0 or not lines:
            raise SystemExit(f"bench-api: wrk failed for {requests.name}: {result.stdout}")
        seen = json.loads(lines[0])
        if seen["failed"] or seen["refused"] or not seen["requests"]:
            raise SystemExit(f"bench-api: of {seen['requests']} requests ({requests.name}) {seen['failed']} failed, {seen['refused']} were refused;"
                             f" {self.system.api.process.tail()}")
        return seen
