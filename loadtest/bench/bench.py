#!/usr/bin/python3
"""Measures speed and memory on this machine, prints a table and writes build/bench.json (numbers only).

The work is that of the peers' kit: 2,000,000 events of 183 bytes in 6 partitions on a real Kafka broker, filled
before the clock runs, 0.1 % broken, into a table with a uuid primary key, default durability."""
import argparse
import json
import os
import platform
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

from lib import paths  # noqa: E402
from lib.broker import JVM_FAST, Broker  # noqa: E402
from lib.cluster import Cluster  # noqa: E402
from lib.process import free_port  # noqa: E402
from lib.world import ensure_roles  # noqa: E402
from sampler import CLASSES  # noqa: E402
from scenarios import Bench  # noqa: E402

SETTINGS = {"shared_buffers": "'2GB'", "max_wal_size": "'8GB'", "fsync": "on", "synchronous_commit": "on",
            "listen_addresses": "'127.0.0.1'", "max_connections": "100", "max_worker_processes": "16"}

RUNS = ("end_to_end", "floor", "latency", "broken", "ordered", "coordinate", "peers")


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--latency-seconds", type=int, default=30)
    parser.add_argument("--peers", action="store_true", help="also run the Flink job of the kit in $PEERS_DIR")
    parser.add_argument("--only", choices=RUNS, action="append", help="leave the others out (repeatable)")
    return parser.parse_args()


def end_to_end(result):
    cpu = result["cpu"]
    return {
        "events_per_s": round(result["events_per_s"]),
        "events_per_s_middle": round(result["events_per_s_middle"]),
        "cpu_us_per_event": dict({name: round(cpu[name], 2) for name in CLASSES if name != "other"},
                                 total=round(sum(cpu.values()), 2)),
        "ingestor_rss_mb": round(result["rss_mb"]),
        "last_tenth_ratio": round(result["last_tenth_ratio"], 2),
    }


def show(title, result):
    cpu = result["cpu"]
    print(f"{title:<28} {result['events_per_s']:>9,.0f} {result['events_per_s_middle']:>9,.0f}  "
          + " ".join(f"{cpu[name]:>8.2f}" for name in CLASSES) + f" {sum(cpu.values()):>7.2f}"
          f" {result['rss_mb']:>6.0f} {result['last_tenth_ratio']:>6.2f} {result['rows']:>9,}", flush=True)


def head():
    print(f"\n{'':<28} {'events/s':>9} {'middle':>9}  " + " ".join(f"{name:>8}" for name in CLASSES)
          + f" {'total':>7} {'RSS':>6} {'l/f':>6} {'rows':>9}")
    print(f"{'':<28} {'overall':>9} {'20-90 %':>9}  " + f"{'CPU µs per event':^52}" + f" {'MB':>6} {'tenth':>6}", flush=True)


def run(bench, wanted, kit):
    out = {}
    head()
    if "end_to_end" in wanted or "floor" in wanted:
        db, result = bench.pipeline("end_to_end", broken=0.1)
        show("end to end", result)
        out["end_to_end"] = end_to_end(result)
        if "floor" in wanted:
            out["floor"] = {f"copy{n}": round(bench.floor(db, n)) for n in (1, 2)}
        db.drop()
    if "broken" in wanted:
        db, result = bench.pipeline("broken", check=True, broken=0.5, db_refused=0.5)
        show("1 % broken", result)
        out["broken_1pct"] = {"events_per_s_middle": round(result["events_per_s_middle"]),
                              "xids_per_event": round(result["xids_per_event"], 4)}
        db.drop()
        out["broken_100pct"] = {"events_per_s": round(bench.all_broken())}
    if "ordered" in wanted:
        db, result = bench.pipeline("ordered", check=True, ordering="key", broken=0.5, db_refused=0.5)
        show("1 % broken, order by key", result)
        out["ordered_1pct"] = {"events_per_s_middle": round(result["events_per_s_middle"])}
        db.drop()
    if "coordinate" in wanted:
        db, result = bench.pipeline("coordinate", key="coordinate", broken=0.1)
        show("key (partition, offset)", result)
        out["coordinate_key"] = {"events_per_s_middle": round(result["events_per_s_middle"])}
        db.drop()
    if "peers" in wanted:
        result = bench.flink(kit)
        show("Flink (its JVM: ingestor)", result)
        out["flink"] = end_to_end(result)
    if "latency" in wanted:
        result = bench.latency()
        out["latency_ms"] = {"p50": round(result["p50"], 1), "p99": round(result["p99"], 1)}
        print(f"\nlatency at 10,000/s, ms: p50 {result['p50']:.1f}, p99 {result['p99']:.1f}, max {result['max']:.1f};"
              f" ingestor {result['rss_mb']:.0f} MB")
    if "floor" in out:
        print("floor, COPY of the finished rows: "
              + ", ".join(f"{n} session{'s' * (n > 1)} {out['floor'][f'copy{n}']:,}/s" for n in (1, 2)))
    if "broken_1pct" in out:
        print(f"transaction ids per event with 1 % broken: {out['broken_1pct']['xids_per_event']};"
              f" all broken: {out['broken_100pct']['events_per_s']:,} events/s")
    return out


def main():
    arguments = options()
    wanted = set(arguments.only or [r for r in RUNS if r != "peers"])
    kit = os.environ.get("PEERS_DIR", "")
    if arguments.peers:
        wanted.add("peers")
    if "peers" in wanted and not os.path.exists(os.path.join(kit, "flink/run.sh")):
        sys.exit("bench: set PEERS_DIR to the directory the peers' kit is installed in")
    port = free_port()
    cluster = Cluster("bench", settings=dict(SETTINGS, port=str(port)))
    cluster.tcp_port = port
    broker = Broker("bench-broker", jvm=JVM_FAST)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {arguments.events:,} events", flush=True)
    try:
        cluster.init().start()
        ensure_roles(cluster)
        broker.start()
        results = run(Bench(cluster, broker, arguments.events, arguments.latency_seconds), wanted, kit)
    finally:
        broker.stop()
        cluster.stop()
    file = os.path.join(paths.BUILD, "bench.json")
    if arguments.only and os.path.exists(file):
        with open(file) as f:
            results = dict(json.load(f), **results)
    with open(file, "w") as f:
        json.dump(results, f, indent=1, sort_keys=True)
        f.write("\n")
    print(f"written to {os.path.relpath(file)}")


if __name__ == "__main__":
    main()
