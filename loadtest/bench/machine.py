"""The broker and the clusters a benchmark runs on."""
import contextlib
import os
import platform
import sys

from lib import paths
from lib.broker import JVM_FAST, Broker, NoBroker
from lib.cluster import Cluster
from lib.process import free_port
from lib.world import ensure_roles

SETTINGS = {"shared_buffers": "'2GB'", "max_wal_size": "'8GB'", "fsync": "on", "synchronous_commit": "on",
            "listen_addresses": "'127.0.0.1'", "max_connections": "100", "max_worker_processes": "16"}


def make_broker():
    try:
        return Broker("bench-broker", jvm=JVM_FAST)
    except NoBroker as e:
        sys.exit(str(e))


def make_cluster(name="bench", tree=paths.ROOT):
    """With a TCP port, for peers that speak JDBC."""
    port = free_port()
    cluster = Cluster(name, settings=dict(SETTINGS, port=str(port)), tree=tree)
    cluster.tcp_port = port
    return cluster


@contextlib.contextmanager
def running(**settings):
    """A cluster, with these settings besides, and a broker, while they run."""
    cluster, broker = make_cluster(), make_broker()
    try:
        cluster.init()
        cluster.configure(settings)
        cluster.start()
        ensure_roles(cluster)
        broker.start()
        yield cluster, broker
    finally:
        broker.stop()
        cluster.stop()


def describe(events):
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {events:,} events"
