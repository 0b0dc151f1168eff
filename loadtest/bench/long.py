#!/usr/bin/python3
"""Measures whether the rate stays: into a table whose key index no longer fits shared_buffers, beside COPY of the same rows
by two sessions and, when its kit is installed in $PEERS_DIR, the Flink job. Prints the rate of each tenth of the rows, and
writes build/bench-long.json.

100,000,000 events need some 60 GB of disk: 18 for the topic, 17 for a table, 11 for the rows that COPY reads, and WAL."""
import argparse
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

import copy_rows  # noqa: E402
import flink  # noqa: E402
import machine  # noqa: E402
import work  # noqa: E402
from lib import paths  # noqa: E402
from scenarios import PIPELINES, Bench, Topics  # noqa: E402

DISK_BYTES_PER_EVENT = 600
TENTHS = [i / 10 for i in range(1, 11)]


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--shared-buffers", default="2GB", help="as in postgresql.conf; the key's index takes 40 bytes a row")
    arguments = parser.parse_args()
    if arguments.events < 100_000:
        parser.error("--events is at least 100000")
    free, need = shutil.disk_usage(paths.run_dir()).free, arguments.events * DISK_BYTES_PER_EVENT
    if free < need:
        sys.exit(f"bench-long: {arguments.events:,} events need {need / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free: use fewer EVENTS")
    return arguments


def tenths(db, n):
    """Rows/s of each tenth of the rows, from a sample of the table's pages."""
    _, first, _, times = work.row_times(db, TENTHS, "TABLESAMPLE SYSTEM (1)" if n > 5_000_000 else "")
    return [round(n / 10 / (end - begin)) for begin, end in zip([first, *times], times)]


def show(name, rates):
    print(f"{name:<12} " + " ".join(f"{rate:>9,}" for rate in rates) + f"   last/first {rates[-1] / rates[0]:.2f}", flush=True)
    return rates


def run(bench, kit):
    """{name: rates of tenths}; no two tables at once."""
    out = {}
    db, _ = bench.pipeline("long", **PIPELINES["end_to_end"][1])
    out["ours"] = show("ours", tenths(db, bench.n))
    files = copy_rows.export(db, 2)
    db.drop()
    db, _ = copy_rows.load(bench, files)
    out["copy"] = show("COPY", tenths(db, bench.n))
    db.drop()
    if kit:
        db, _ = flink.run(bench, kit)
        out["flink"] = show("Flink", tenths(db, bench.n))
        db.drop()
    return out


def main():
    arguments = options()
    print(machine.describe(arguments.events) + f", shared_buffers {arguments.shared_buffers}; events/s of each tenth", flush=True)
    with machine.running(shared_buffers=f"'{arguments.shared_buffers}'") as (cluster, broker):
        results = run(Bench(cluster, broker, Topics(broker, arguments.events)), os.environ.get("PEERS_DIR", ""))
    with open(os.path.join(paths.BUILD, "bench-long.json"), "w") as f:
        json.dump(dict(results, events=arguments.events, shared_buffers=arguments.shared_buffers), f, indent=1)
        f.write("\n")
    print("written to build/bench-long.json")


if __name__ == "__main__":
    main()
