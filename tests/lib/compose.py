"""The stack of docker-compose.yml, as a user has it: `docker compose` on the file of the work tree, with free ports."""
import json
import os
import urllib.parse

from . import paths
from .docker import DIR, name_of
from .process import free_port
from .web import ask

# Without a stand-in: why.
LEFT_OUT = {"grafana": "it is AGPL, is not installed here, and Debian has no package of it"}
PORTS = ("API_PORT", "KAFKA_PORT", "POSTGRES_PORT", "CONNECT_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
IMAGES = {"DEBIAN": "debian", "POSTGRES": "postgres", "KAFKA": "kafka", "NGINX": "nginx", "PROMETHEUS": "prometheus",
          "ALERTMANAGER": "alertmanager", "POSTGRES_EXPORTER": "postgres-exporter", "DOCKER_CLI": "docker"}


class Stack:
    def __init__(self, docker):
        self.docker = docker
        self.ports = {name: free_port() for name in PORTS}
        self.env_file = os.path.join(DIR, "env")
        settings = {f"{name}_IMAGE": name_of(image) for name, image in IMAGES.items()}
        settings.update(self.ports, DOCKER_SOCKET=docker.socket.removeprefix("unix://"))
        with open(self.env_file, "w") as f:
            f.writelines(f"{name}={value}\n" for name, value in settings.items())

    def compose(self, *args, check=True, **more):
        """Runs docker compose; more: as for Docker.run()."""
        return self.docker.run("compose", "--project-name", "millrace-check", "--project-directory", paths.ROOT,
                               "--env-file", self.env_file, *args, check=check, **more)

    def services(self):
        """Those that can run here."""
        return [name for name in self.compose("config", "--services").stdout.split() if name not in LEFT_OUT]

    def build(self):
        self.compose("--profile", "*", "build")

    def up(self, *options):
        self.compose("up", "-d", "--wait", *options, *self.services())

    def down(self, *options):
        self.compose("--profile", "*", "down", *options)

    def containers(self, service):
        """What Docker says about each."""
        ids = self.compose("ps", "--all", "--quiet", service).stdout.split()
        return json.loads(self.docker.run("inspect", *ids).stdout) if ids else []

    def run(self, service, **env):
        """Runs a container of a profile to its end; env: knobs of .env.example."""
        return self.compose("run", "--rm", "-T", service, env=env).stdout

    def sql(self, query):
        """Lines, with | between columns."""
        return self.compose("exec", "-T", "postgres", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h",
                            "/run/postgresql", "millrace", text=query).stdout.splitlines()

    def value(self, query):
        return self.sql(query)[0]

    def http(self, method, path, port="API_PORT", body=None, **headers):
        """(status, body)"""
        return ask(f"http://localhost:{self.ports[port]}{path}", method, body, headers, timeout=30)

    def query(self, expr):
        """What Prometheus says: [(labels, value)]"""
        status, body = self.http("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expr}), "PROMETHEUS_PORT")
        assert status == 200, f"{expr}: {body}"
        return [(r["metric"], float(r["value"][1])) for r in json.loads(body)["data"]["result"]]

    def logs(self):
        """Into a file, for whoever has to find out."""
        file = os.path.join(DIR, "stack.log")
        with open(file, "w") as f:
            f.write(self.compose("--profile", "*", "logs", "--no-color", check=False).stdout)
        return file
