"""Source connectors as the way in: lines of a file, and the changes of a table (docs/connect.md)."""
import json
import os

import pytest

from lib import paths
from lib.broker import NoBroker, fetch
from lib.cluster import SETTINGS, Cluster
from lib.connect import Connect
from lib.process import free_port
from lib.wait import wait_for
from lib.world import ensure_roles

FILE_PLUGIN = "connect/connect-file-4.3.1.jar"


@pytest.fixture(scope="module", autouse=True)
def jars():
    try:
        fetch("--connect", "--debezium")
    except NoBroker as e:
        pytest.skip(str(e))


def line(i):
    return json.dumps({"id": i, "text": "é" * (i % 7)}) + "\n"


def test_lines_of_a_file_through_a_killed_worker(world):
    """Each line is a row, once: the worker is killed, and the file grows meanwhile."""
    world.create_topic(2)
    world.db.run("CREATE TABLE line (id int, text text); ALTER TABLE line OWNER TO app")
    world.create_pipeline(fields="id int NOT NULL, text text", transform="SELECT event.id, event.text FROM event", target="line")
    world.start_ingestor()
    file = os.path.join(paths.run_dir(), "lines.ndjson")
    with open(file, "w") as f:
        f.writelines(line(i) for i in range(500))
    worker = Connect(world.broker, "file", FILE_PLUGIN, value_converter="org.apache.kafka.connect.storage.StringConverter").start()
    try:
        worker.put("lines", {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "file": file,
                             "topic": world.topic, "exactly.once.support": "required", "batch.size": "50"})
        wait_for(lambda: world.counters()["events"] > 100, "some lines are rows", 180)
        worker.kill()
        with open(file, "a") as f:
            f.writelines(line(i) for i in range(500, 900))
        worker.start()
        worker.wait_running("lines")
        with open(file, "a") as f:
            f.writelines(line(i) for i in range(900, 1000))
        wait_for(lambda: world.db.value("SELECT count(*) FROM line") >= 1000, "all lines are rows", 240)
    finally:
        worker.kill()
    world.wait_settled()
    assert world.db.run("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM line")[0] == (1000, 1000, 0, 999)
    assert world.db.value("SELECT count(*) FROM line WHERE text <> repeat('é', id %% 7)", ()) == 0


@pytest.fixture(scope="module")
def shop():
    """A database whose changes are read, on a server of its own: logical decoding is a setting of the whole server."""
    port = free_port()
    cluster = Cluster("shop", settings=dict(SETTINGS, wal_level="'logical'", listen_addresses="'127.0.0.1'", port=str(port)))
    cluster.tcp_port = port
    cluster.init().start()
    ensure_roles(cluster)
    yield cluster
    cluster.stop()


def customers(db):
    return db.run("SELECT id, name, note, credit::text FROM customer ORDER BY id")


def test_changes_of_a_table_into_its_mirror(world, shop):
    """Snapshot, inserts, updates (one that leaves out a large value), deletes and a changed key, through a killed worker."""
    source = shop.create_database("shop")
    source.run("CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, note text, credit numeric(12,2));"
               " INSERT INTO customer SELECT i, 'customer ' || i, repeat(md5(i::text), 300), i * 1.25 FROM generate_series(1, 200) AS i;"
               " ALTER TABLE customer ALTER COLUMN note SET STORAGE EXTERNAL; UPDATE customer SET note = note || '.'")
    topic = "shop.public.customer"
    world.broker.create_topic(topic, 1)
    world.db.run("CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, note text, credit numeric(12,2)); ALTER TABLE customer OWNER TO app")
    world.create_pipeline(topic=topic, target="customer", format="debezium", on_conflict="update", conflict_key=["id"], tombstone="skip",
                          fields="id int NOT NULL, name text, note text, credit numeric(12,2)",
                          transform="SELECT event.id, event.name, event.note, event.credit FROM event")
    world.start_ingestor()
    worker = Connect(world.broker, "shop", "debezium", value_converter="org.apache.kafka.connect.json.JsonConverter",
                     value_converter_schemas_enable="false").start()
    try:
        worker.put("shop", {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
                            "database.hostname": "127.0.0.1", "database.port": str(shop.tcp_port), "database.user": "postgres",
                            "database.password": "unused", "database.dbname": "shop", "topic.prefix": "shop", "plugin.name": "pgoutput",
                            "table.include.list": "public.customer", "decimal.handling.mode": "string", "exactly.once.support": "required"})
        wait_for(lambda: customers(world.db) == customers(source), "the snapshot is here", 240)
        source.run("INSERT INTO customer VALUES (1000, 'new', 'short', 7)")
        source.run("UPDATE customer SET name = 'renamed', credit = credit + 1 WHERE id %% 3 = 0", ())
        source.run("DELETE FROM customer WHERE id %% 10 = 1", ())
        worker.kill()
        source.run("UPDATE customer SET id = 2000 WHERE id = 1000")
        source.run("DELETE FROM customer WHERE id = 6; INSERT INTO customer VALUES (6, 'again', NULL, NULL)")
        worker.start()
        worker.wait_running("shop")
        wait_for(lambda: customers(world.db) == customers(source), "the mirror is what the table is", 240)
    finally:
        worker.kill()
    world.wait_settled(topic=topic)
    assert world.counters()["dead"] == 0, world.dead_letters()[:3]
