"""Prometheus, Alertmanager and postgres_exporter as Debian has them, on the configuration of monitoring/; and what takes
the place of Slack and SNS."""
import http.server
import json
import os
import subprocess
import threading
import urllib.parse

import yaml

from . import paths
from .process import Process, free_port
from .wait import wait_for
from .web import ask

HERE = os.path.join(paths.ROOT, "monitoring")


class NoMonitoring(Exception):
    """The programs are not here and cannot be fetched; its text says what to do."""


def programs():
    """The directory with the programs, fetched at first."""
    result = subprocess.run([os.path.join(paths.ROOT, "tests/monitoring/fetch.sh")], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise NoMonitoring(result.stderr.strip())
    return result.stdout.strip()


def run(program, *args, text=None):
    """Runs one of the tools to its end: (status, output)."""
    result = subprocess.run([os.path.join(programs(), program), *args], input=text, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=600, cwd=HERE)
    return result.returncode, result.stdout


def config(name):
    with open(os.path.join(HERE, name)) as f:
        return yaml.safe_load(f)


def in_its_root():
    """Debian's Alertmanager reads its templates from /usr/share: the unpacked ones, seen by this process alone."""
    share = os.path.join(os.path.dirname(programs()), "share")
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *own, "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', share]


class Service:
    """One of the programs, with a directory of its own below the run's."""

    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.dir = paths.make_dir(f"{name}-{self.port}")
        self.process = None

    def start(self, *args, wrapper=(), **env):
        self.process = Process([*wrapper, os.path.join(programs(), self.name), *args], os.path.join(self.dir, "log"),
                               env=dict(os.environ, **env), cwd=self.dir)
        try:
            wait_for(lambda: not self.process.alive() or self.get(self.ready)[0] == 200, f"{self.name} answers", every=0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.process.tail()}")
        assert self.process.alive(), f"{self.name} ended; {self.process.tail()}"
        return self

    def write(self, name, document):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(document if isinstance(document, str) else yaml.safe_dump(document))
        return os.path.join(self.dir, name)

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        return ask(url)

    def stop(self):
        if self.process:
            self.process.kill()


class Exporter(Service):
    ready = "/metrics"

    def __init__(self, cluster, database, user="monitor"):
        super().__init__("prometheus-postgres-exporter")
        # for PostgreSQL 17; an exporter that is older does not know it
        checkpoints = [option for option in ("--collector.stat_checkpointer",) if option in run(self.name, "--help")[1]]
        self.start(f"--web.listen-address=127.0.0.1:{self.port}", f"--extend.query-path={HERE}/postgres_exporter/millrace.yaml", *checkpoints,
                   DATA_SOURCE_NAME=f"host={cluster.dir} user={user} dbname={database} application_name=exporter")


class Alertmanager(Service):
    """As shipped, with the addresses of `receiver` and waits of a test."""
    ready = "/-/ready"

    def __init__(self, receiver):
        super().__init__("prometheus-alertmanager")
        document = config("alertmanager/alertmanager.yml")
        document["route"].update(group_wait="1s", group_interval="1s")
        secret = self.write("slack_url", f"http://127.0.0.1:{receiver.port}/slack")
        for target in document["receivers"]:
            for slack in target["slack_configs"]:
                slack["api_url_file"] = secret
            for sns in target.get("sns_configs", []):
                sns["api_url"] = f"http://127.0.0.1:{receiver.port}/sns"
                sns["sigv4"].update(access_key="test", secret_key="test")
        self.start(f"--config.file={self.write('alertmanager.yml', document)}", f"--web.listen-address=127.0.0.1:{self.port}",
                   "--cluster.listen-address=", f"--storage.path={self.dir}/data", wrapper=in_its_root())


class Prometheus(Service):
    """As shipped, with these targets, {job: [port, …]}, and quick scrapes."""
    ready = "/-/ready"

    def __init__(self, targets, alertmanager=None):
        super().__init__("prometheus")
        document = config("prometheus/prometheus.yml")
        document["global"].update(scrape_interval="2s", evaluation_interval="1s")
        document["rule_files"] = [os.path.join(HERE, "prometheus", pattern) for pattern in document["rule_files"]]
        document["scrape_configs"] = [job for job in document["scrape_configs"] if job["job_name"] in targets]
        for job in document["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets[job["job_name"]]]}]
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]} \
            if alertmanager else {}
        self.start(f"--config.file={self.write('prometheus.yml', document)}", f"--web.listen-address=127.0.0.1:{self.port}",
                   f"--storage.tsdb.path={self.dir}/data", "--log.level=warn")

    def query(self, expr):
        """[(labels, value)]; raises on an expression that is wrong."""
        status, body = self.get("/api/v1/query", query=expr)
        assert status == 200, f"{expr}: {body}"
        return [(r["metric"], float(r["value"][1])) for r in json.loads(body)["data"]["result"]]

    def names(self):
        return set(json.loads(self.get("/api/v1/label/__name__/values")[1])["data"])

    def alerts(self):
        """{name: state}"""
        return {a["labels"]["alertname"]: a["state"] for a in json.loads(self.get("/api/v1/alerts")[1])["data"]["alerts"]}


class Receiver:
    """Keeps what is posted to it, [(path, body)], and answers as Slack and SNS do: newer Alertmanagers take another answer of
    Slack for a failure, and then do not say that an alert is over."""

    def __init__(self):
        receiver = self
        self.calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.calls.append((self.path, body))
                answer = b"ok" if self.path.startswith("/slack") else b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path, *words):
        """The bodies posted to a path that have all these words, decoded."""
        bodies = [urllib.parse.unquote_plus(body) for p, body in self.calls if p.startswith(path)]
        return [body for body in bodies if all(word in body for word in words)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
