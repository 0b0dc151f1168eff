"""A real Apache Kafka broker (KRaft, one node) of our own: up in about a second, see tests/kafka/fetch.sh."""
import os
import shutil
import subprocess
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from . import paths
from .process import Process, free_port
from .wait import LIMIT, wait_for

JVM_QUICK_START = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JVM_FAST = ["-Xms256m", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]

# Everything small and prompt: a test has no minutes to wait for a cleaner.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # a broker killed and started again is accepted when its old session has timed out (default 9 s)
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "300",
    "message.max.bytes": "8000000",
    "log.initial.task.delay.ms": "200",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "500",
    "log.cleaner.backoff.ms": "300",
    "log.cleaner.dedupe.buffer.size": "4000000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}


class NoBroker(Exception):
    """The broker's files are not here and cannot be fetched; its text says what to do."""


def fetch(*options):
    """The directory with the broker's files, fetched at first; options: see tests/kafka/fetch.sh."""
    result = subprocess.run([os.path.join(paths.ROOT, "tests/kafka/fetch.sh"), *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise NoBroker(result.stderr.strip())
    return result.stdout.strip()


class Broker:
    def __init__(self, name="broker", jvm=None, properties=None, listeners=()):
        """listeners: names of further ones, such as SSL; their properties are among `properties`."""
        self.cache = fetch()
        self.jvm = jvm or JVM_QUICK_START
        self.extra = properties or {}
        self.dir = os.path.join(paths.run_dir(), name)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        os.makedirs(self.dir)
        shutil.copytree(os.path.join(self.cache, "formatted"), self.data)
        self.port = self.controller_port = None
        self.listeners = dict.fromkeys(listeners)  # their ports
        self.process = None
        self._admin = None
        self._new_archive = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def address_of(self, listener):
        return f"127.0.0.1:{self.listeners[listener]}"

    def start(self, timeout=LIMIT):
        """Free ports are chosen at the first start and kept for the later ones."""
        for attempt in range(3):
            if self.port is None:
                self.port, self.controller_port = free_port(), free_port()
                self.listeners = {name: free_port() for name in self.listeners}
            self._spawn()
            try:
                wait_for(lambda: self._answers() or not self.process.alive(), "broker answers", timeout)
            except AssertionError as e:
                raise AssertionError(f"{e}; {self.process.tail()}")
            if self.process.alive():
                return self
            if attempt == 2:
                raise AssertionError("the broker died at its start; " + self.process.tail())
            time.sleep(0.5)  # a port is still held by a broker that was just killed

    def _spawn(self):
        config = dict(PROPERTIES, **self.extra)
        config["log.dirs"] = self.data
        config["controller.quorum.voters"] = f"1@127.0.0.1:{self.controller_port}"
        public = [f"PLAINTEXT://{self.address}", *(f"{name}://{self.address_of(name)}" for name in self.listeners)]
        config["listeners"] = ",".join([*public, f"CONTROLLER://127.0.0.1:{self.controller_port}"])
        config["advertised.listeners"] = ",".join(public)
        config["listener.security.protocol.map"] += "".join(f",{name}:{name}" for name in self.listeners)
        file = os.path.join(self.dir, "server.properties")
        with open(file, "w") as f:
            f.writelines(f"{key}={value}\n" for key, value in config.items())
        with open(os.path.join(self.cache, "classpath")) as f:
            classpath = f.read().strip()
        log4j = os.path.join(paths.ROOT, "tests/kafka/log4j2.properties")
        self.process = Process(["java", *self.jvm, *self._class_archive(),
                                f"-Dlog4j2.configurationFile={log4j}", "-cp", classpath,
                                "kafka.Kafka", file], self.log)

    def _class_archive(self):
        """Uses the archive of loaded classes, or makes it when this broker stops for the first time."""
        if self.jvm != JVM_QUICK_START:
            return []
        if os.path.exists(self._archive()):
            return [f"-XX:SharedArchiveFile={self._archive()}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        self._new_archive = os.path.join(self.cache, f"broker-{os.getpid()}-{os.path.basename(self.dir)}.jsa")
        return [f"-XX:ArchiveClassesAtExit={self._new_archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _archive(self):
        return os.path.join(self.cache, "broker.jsa")

    def _keep_archive(self):
        """Whole, and by one of the brokers that made one: others start meanwhile."""
        if self._new_archive and os.path.exists(self._new_archive):
            os.rename(self._new_archive, self._archive())
        self._new_archive = None

    def _answers(self):
        """A metadata answer, not merely an open port."""
        try:
            return bool(self._client().list_topics(timeout=0.5).brokers)
        except KafkaException:
            return False

    def _client(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.address, "log_level": "0",
                                       "reconnect.backoff.ms": "20", "reconnect.backoff.max.ms": "100",
                                       "topic.metadata.refresh.interval.ms": "500"})
        return self._admin

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process:
            self.process.stop()
            self._keep_archive()

    # -- topics

    def create_topic(self, name, partitions=6, **config):
        """config: topic properties, with _ for the dots."""
        config = {key.replace("_", "."): str(value) for key, value in config.items()}

        def created():
            try:
                future = self._client().create_topics([NewTopic(name, partitions, 1, config=config)], request_timeout=LIMIT)
                future[name].result(LIMIT)
                return True
            except KafkaException as e:
                # a topic that was just deleted may take a moment to go; a broker that was held up is fenced until its next heartbeat
                if e.args[0].name() in ("TOPIC_ALREADY_EXISTS", "INVALID_REPLICATION_FACTOR"):
                    return False
                raise
        wait_for(created, f"topic {name} created", every=0.2)
        wait_for(lambda: self._led(name) == partitions, f"leaders of {name}")

    def delete_topic(self, name):
        self._client().delete_topics([name], request_timeout=LIMIT)[name].result(LIMIT)
        wait_for(lambda: self.partitions(name) == 0, f"topic {name} gone")

    def delete_topics(self):
        """All that are not Kafka's own."""
        names = [name for name in self._client().list_topics(timeout=LIMIT).topics if not name.startswith("__")]
        for future in self._client().delete_topics(names, request_timeout=LIMIT).values() if names else ():
            future.result(LIMIT)

    def add_partitions(self, name, total):
        self._client().create_partitions([NewPartitions(name, total)], request_timeout=LIMIT)[name].result(LIMIT)
        wait_for(lambda: self._led(name) == total, f"{total} partitions of {name}")

    def _led(self, name):
        """How many partitions the broker itself says it leads: metadata alone come a moment too early."""
        try:
            return len(self.watermarks(name) or ())
        except KafkaException:
            return 0

    def partitions(self, name):
        topic = self._client().list_topics(name, timeout=30).topics[name]
        return 0 if topic.error else len(topic.partitions)

    def watermarks(self, name):
        """[(low, high)] of each partition; None while a broker that starts does not lead them yet."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "watermarks", "log_level": "0"})
        try:
            return [consumer.get_watermark_offsets(TopicPartition(name, p), timeout=30)
                    for p in range(self.partitions(name))]
        except KafkaException as e:
            if e.args[0].code() in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE):
                return None
            raise
        finally:
            consumer.close()

    def committed(self, group, name):
        """The group's committed offsets of each partition; None where there is none."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group, "log_level": "0"})
        try:
            places = [TopicPartition(name, p) for p in range(self.partitions(name))]
            return [p.offset if p.offset >= 0 else None for p in consumer.committed(places, timeout=30)]
        finally:
            consumer.close()
