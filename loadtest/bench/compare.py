#!/usr/bin/python3
"""Compares the speed of this work tree with that of a revision, on this machine, at this hour.

Both are built (the revision in a git work tree below build/compare) and run in turn, by the harness of this work tree:
one broker, the same topics, a cluster and an ingestor each. The ratio new/old of each pair of runs is taken, so that what
slows the machine for a while slows both. Prints a table and writes build/bench-compare.json."""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

import history  # noqa: E402
import machine  # noqa: E402
import pairs  # noqa: E402
from lib import paths  # noqa: E402
from lib.world import ensure_roles  # noqa: E402
from scenarios import PIPELINES, Bench, Topics  # noqa: E402


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="what to compare with: a commit, a tag, a branch, HEAD~3")
    parser.add_argument("--scenario", choices=PIPELINES, action="append", metavar="NAME",
                        help=f"one of {', '.join(PIPELINES)} (repeatable, default end_to_end)")
    parser.add_argument("--repeat", type=int, default=3, help="pairs of runs of each scenario")
    parser.add_argument("--events", type=int, default=2_000_000)
    arguments = parser.parse_args()
    if arguments.repeat < 1 or arguments.events < 1000:
        parser.error("--repeat is at least 1, --events at least 1000")
    return arguments


def build(revision):
    """A work tree of the revision, with its extension and ingestor built; returns its directory."""
    commit = history.git("rev-parse", "--verify", "--quiet", revision + "^{commit}")
    if not commit:
        sys.exit(f"bench-compare: \"{revision}\" is no revision of this repository")
    tree = os.path.join(paths.BUILD, "compare", commit[:12])
    if not os.path.exists(os.path.join(tree, "Makefile")):
        history.git("worktree", "prune")  # of work trees that `make clean` removed
        subprocess.run(["git", "-C", paths.ROOT, "worktree", "add", "--quiet", "--detach", tree, commit], check=True)
    log = tree + ".log"
    with open(log, "w") as out:
        if subprocess.run(["make", "-C", tree, "pg_extension", "ingestor"], stdout=out, stderr=out).returncode != 0:
            with open(log) as f:
                sys.exit(f"bench-compare: {revision} does not build:\n" + "".join(f.readlines()[-15:]))
    return tree


class Side:
    """One of the two that are compared. Its cluster runs only while it is measured."""

    def __init__(self, name, tree, broker, topics):
        self.name, self.source = name, history.source(tree)
        self.cluster = machine.make_cluster(name, tree).init()
        self.bench = Bench(self.cluster, broker, topics, tree=tree)

    def run(self, scenario):
        """A result of Bench.rates()"""
        self.cluster.start()
        try:
            ensure_roles(self.cluster)
            return self.bench.measure(scenario)
        finally:
            self.cluster.stop()

    def __str__(self):
        return f"{(self.source['commit'] or 'unknown')[:8]}{' + changes' * self.source['dirty']}"


def main():
    arguments = options()
    tree = build(arguments.revision)
    broker = machine.make_broker()
    topics = Topics(broker, arguments.events)
    old, new = Side("old", tree, broker, topics), Side("new", paths.ROOT, broker, topics)
    scenarios = arguments.scenario or ["end_to_end"]
    print(machine.describe(arguments.events) + f", {arguments.repeat} pairs of runs; old {old}, new {new}", flush=True)
    try:
        broker.start()
        old.run(scenarios[0])  # warms up the broker and its just-in-time compiler; not counted
        pairs.head("old", "new")
        results = {}
        for scenario in scenarios:
            results[scenario] = pairs.measure(*((side.name, lambda side=side: side.run(scenario)) for side in (old, new)), arguments.repeat)
            pairs.show(PIPELINES[scenario][0], results[scenario], "old", "new")
    finally:
        broker.stop()
    file = os.path.join(paths.BUILD, "bench-compare.json")
    with open(file, "w") as f:
        json.dump({"old": old.source, "new": new.source, "machine": history.machine(), "events": arguments.events,
                   "scenarios": results}, f, indent=1, sort_keys=True)
        f.write("\n")
    print(f"written to {os.path.relpath(file)}")


if __name__ == "__main__":
    main()
