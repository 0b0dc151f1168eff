#!/usr/bin/python3
"""Compares our speed with that of the Flink job of the peers' kit, on this machine, at this hour.

Both do the same work with the same topic, broker and PostgreSQL server, in turn. The kit is the one that $PEERS_DIR is
installed in. Prints a table and writes the medians to build/bench.json:
"flink", and "ratio.flink": events_per_s, events_per_s_middle (ours / Flink's: more is better), cpu (less is better)."""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

import flink  # noqa: E402
import history  # noqa: E402
import machine  # noqa: E402
import pairs  # noqa: E402
from scenarios import PIPELINES, Bench, Topics  # noqa: E402


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="pairs of runs")
    parser.add_argument("--events", type=int, default=2_000_000)
    arguments = parser.parse_args()
    if arguments.repeat < 1 or arguments.events < 1000:
        parser.error("--repeat is at least 1, --events at least 1000")
    arguments.kit = os.environ.get("PEERS_DIR", "")
    if not os.path.exists(os.path.join(arguments.kit, "flink/run.sh")):
        sys.exit("bench-peers: set PEERS_DIR to the directory the peers' kit is installed in")
    return arguments


def result(run):
    """What a run measured; its database is dropped."""
    db, measured = run
    db.drop()
    return measured


def figures(measured):
    """What bench.json has of the pairs."""
    peer = {name: statistics.median(measured[name]["flink"]) for name in ("events_per_s", "events_per_s_middle", "cpu_us_per_event")}
    ratio = {name: measured[name]["ratio"]["median"] for name in ("events_per_s", "events_per_s_middle")}
    ratio["cpu"] = measured["cpu_us_per_event"]["ratio"]["median"]
    return {"flink": {name: round(value, 2) for name, value in peer.items()},
            "ratio": {"flink": {name: round(value, 3) for name, value in ratio.items()}}}


def main():
    arguments = options()
    print(machine.describe(arguments.events) + f", {arguments.repeat} pairs of runs; the JVM of Flink is counted as its ingestor", flush=True)
    with machine.running() as (cluster, broker):
        bench = Bench(cluster, broker, Topics(broker, arguments.events))
        bench.measure("end_to_end")  # warms up the broker and its just-in-time compiler; not counted
        pairs.head("flink", "ours")
        measured = pairs.measure(("flink", lambda: result(flink.run(bench, arguments.kit))), ("ours", lambda: bench.measure("end_to_end")), arguments.repeat)
        pairs.show(PIPELINES["end_to_end"][0], measured, "flink", "ours")
    kept = figures(measured)
    history.write(kept, keep_others=True)
    history.append(arguments.events, kept)


if __name__ == "__main__":
    main()
