"""A worker of Kafka Connect: its own runtime, in distributed mode, with exactly-once support for sources."""
import json
import os

from . import paths
from .broker import fetch
from .process import Process, free_port
from .wait import wait_for
from .web import ask

PROPERTIES = {
    "config.storage.topic": "connect-configs", "offset.storage.topic": "connect-offsets", "status.storage.topic": "connect-status",
    "config.storage.replication.factor": "1", "offset.storage.replication.factor": "1", "status.storage.replication.factor": "1",
    "offset.storage.partitions": "1", "status.storage.partitions": "1", "exactly.once.source.support": "enabled",
    "offset.flush.interval.ms": "500", "scheduled.rebalance.max.delay.ms": "0", "topic.creation.enable": "true",
    "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
}


class Connect:
    def __init__(self, broker, name, *plugins, **properties):
        """plugins: directories and jars, below where the jars are; properties: the worker's, with _ for the dots. Each worker has a group and topics of its own."""
        self.dir = os.path.join(paths.run_dir(), f"connect-{name}")
        os.makedirs(self.dir, exist_ok=True)
        self.cache = fetch("--connect", "--debezium")
        self.port = self.process = None
        own = {key: f"{value}-{name}" for key, value in PROPERTIES.items() if key.endswith("storage.topic")}
        self.properties = {**PROPERTIES, **own, "bootstrap.servers": broker.address, "group.id": f"connect-{name}",
                           "plugin.path": self.link(plugins),
                           **{key.replace("_", "."): value for key, value in properties.items()}}

    def link(self, plugins):
        """A directory with the plugins in it, as Connect looks for them."""
        path = os.path.join(self.dir, "plugins")
        os.makedirs(path, exist_ok=True)
        for plugin in plugins:
            os.symlink(os.path.join(self.cache, plugin), os.path.join(path, os.path.basename(plugin)))
        return path

    def start(self):
        self.port = free_port()
        file = os.path.join(self.dir, "worker.properties")
        with open(file, "w") as f:
            f.writelines(f"{key}={value}\n" for key, value in dict(self.properties, listeners=f"http://127.0.0.1:{self.port}").items())
        log4j = os.path.join(paths.ROOT, "tests/kafka/log4j2.properties")
        self.process = Process(["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={log4j}",
                                "-cp", f"{self.cache}/connect/*", "org.apache.kafka.connect.cli.ConnectDistributed", file],
                               os.path.join(self.dir, "log"), cwd=self.dir)
        wait_for(lambda: not self.process.alive() or self.ask("GET", "/connectors")[0] == 200, "the worker answers", 240, every=0.2)
        assert self.process.alive(), self.process.tail()
        return self

    def ask(self, method, path, document=None):
        """(status, document; a text when it failed)"""
        status, text = ask(f"http://127.0.0.1:{self.port}{path}", method, json.dumps(document).encode() if document is not None else None,
                           {"Content-Type": "application/json"}, timeout=20)
        return status, json.loads(text) if text and 200 <= status < 300 else text

    def put(self, connector, config):
        """Makes a connector and waits until its task runs."""
        def put():
            status = self.ask("PUT", f"/connectors/{connector}/config", config)
            return status[0] in (200, 201) or status
        wait_for(lambda: put() is True, f"connector {connector} is taken", 180, every=0.5)
        self.wait_running(connector)

    def wait_running(self, connector):
        def state():
            return self.ask("GET", f"/connectors/{connector}/status")[1]

        def running():
            now = state()
            return isinstance(now, dict) and [t["state"] for t in now["tasks"]] == ["RUNNING"]
        try:
            wait_for(running, f"the task of {connector} runs", 240, every=0.2)
        except AssertionError as e:
            raise AssertionError(f"{e}; {state()} {self.process.tail()}")

    def kill(self):
        if self.process:
            self.process.kill()
