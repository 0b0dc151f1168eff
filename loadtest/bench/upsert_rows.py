"""PostgreSQL alone: finished rows upserted into the same table in batches, each in its order of the key and in its own
transaction, by two sessions that have them in tables already: the floor of what upserts can do."""
import os
import subprocess
import time

import copy_rows
import work
from lib.cluster import bin_dir

SESSIONS = 2
BATCH = 50_000  # rows, as a worker's batch has them under load
SLOT = "('x' || left(id::text, 5))::bit(20)::int"  # as the transform of the benchmark makes it

UPSERT = f"""
    INSERT INTO readings ({work.COLUMNS}, slot) SELECT DISTINCT ON (slot) {work.COLUMNS}, slot FROM {{rows}} ORDER BY slot
    ON CONFLICT (slot) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in work.COLUMNS.split(', '))};"""


def measure(bench, source, shared):
    """Rows/s of the rows of that database. shared: both sessions meet all keys, as workers do where the message key is not the
    conflict key; otherwise each has its own."""
    db = bench.cluster.create_database("upsert_floor")
    work.make_table(db, "million")
    batches = _stage(db, copy_rows.export(source, 1)[0], "n % 2" if shared else "slot % 2")
    bench.quiesce(db)
    begin = time.monotonic()
    sessions = [_session(bench.cluster, db, tables) for tables in batches]
    assert all(process.wait() == 0 for process in sessions)
    seconds = time.monotonic() - begin
    rows = db.value("SELECT count(*) FROM staged")
    db.drop()
    return rows / seconds


def _stage(db, file, session):
    """The rows in unlogged tables of a batch each, for each session its tables. The file is removed."""
    db.run(f"CREATE UNLOGGED TABLE staged AS SELECT {work.COLUMNS} FROM readings LIMIT 0")
    with db.session() as client, client.connection.cursor() as cursor, open(file, "rb") as f:
        cursor.copy_expert(f"COPY staged ({work.COLUMNS}) FROM STDIN", f)
    os.unlink(file)
    db.run(f"CREATE UNLOGGED TABLE share AS SELECT *, {session} AS session"
           f" FROM (SELECT *, {SLOT} AS slot, row_number() OVER () AS n FROM staged) AS numbered")
    tables = []
    for i in range(SESSIONS):
        count = db.value("SELECT count(*) FROM share WHERE session = %s", (i,))
        tables.append([f"batch_{i}_{j}" for j in range(-(-count // BATCH))])
        for j, table in enumerate(tables[i]):
            db.run(f"CREATE UNLOGGED TABLE {table} AS SELECT {work.COLUMNS}, slot FROM share WHERE session = {i}"
                   f" ORDER BY n LIMIT {BATCH} OFFSET {j * BATCH}")
            db.run(f"ANALYZE {table}")
    return tables


def _session(cluster, db, tables):
    process = subprocess.Popen([os.path.join(bin_dir(), "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", cluster.dir, "-p", cluster.port,
                                "-U", "postgres", "-d", db.name], stdin=subprocess.PIPE, text=True)
    process.stdin.write("SET work_mem = '64MB';\n" + "".join(UPSERT.format(rows=table) for table in tables))
    process.stdin.close()
    return process
