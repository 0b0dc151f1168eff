"""PostgreSQL alone: COPY of finished rows into the same table, the floor of what any way of loading can do."""
import os
import subprocess
import time

import work
from lib import paths
from lib.cluster import bin_dir


def export(source, sessions, pad=False):
    """A file for each session, with every nth row, as partitions of a topic would have them."""
    files, columns = [], work.COLUMNS + ", pad" * pad
    with source.session() as session:
        for part in range(sessions):
            file = os.path.join(paths.run_dir(), f"rows-{part}.copy")
            with open(file, "wb") as f, session.connection.cursor() as cursor:
                cursor.copy_expert(f"COPY (SELECT {columns} FROM (SELECT *, row_number() OVER () AS n FROM readings)"
                                   f" AS r WHERE n % {sessions} = {part}) TO STDOUT", f)
            files.append(file)
    return files


def load(bench, files, pad=False):
    """The database the files were loaded into, by as many sessions; and rows/s. The files are removed."""
    db = bench.cluster.create_database(f"copy{len(files)}")
    work.make_table(db, pad=pad)
    bench.quiesce(db)
    begin = time.monotonic()
    copies = [subprocess.Popen([os.path.join(bin_dir(), "psql"), "-X", "-q", "-h", bench.cluster.dir, "-p", bench.cluster.port,
                                "-U", "postgres", "-d", db.name, "-c",
                                f"\\copy readings ({work.COLUMNS + ', pad' * pad}) FROM '{file}'"]) for file in files]
    assert all(process.wait() == 0 for process in copies)
    seconds = time.monotonic() - begin
    for file in files:
        os.unlink(file)
    return db, db.value("SELECT count(*) FROM readings") / seconds
