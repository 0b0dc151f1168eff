#!/usr/bin/python3
"""Puts events into a system at a given rate while clients read from its API, prints what it did, writes a report to
build/loadtest, and exits with 1 when a service level is missed.

Without --dsn a system is started on this machine for the run. With it, one that runs is used: a pipeline that takes the
events of millrace-generate, as the pipeline `events` of migrations/events does, and a role that may see it (and pause it,
for the shape `stop`)."""
import argparse
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "loadtest/bench"), os.path.join(ROOT, "tests")]

import levels  # noqa: E402
import report  # noqa: E402
import shapes  # noqa: E402
from clients import Clients  # noqa: E402
from lib import paths  # noqa: E402
from lib.events import Events  # noqa: E402
from lib.wait import Timeout, wait_for  # noqa: E402
from system import Own, Running  # noqa: E402
from watch import Watch  # noqa: E402

MAX_DRAIN = 30  # s: then what is not settled is taken for lost


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="steady")
    parser.add_argument("--rate", type=float, default=100_000, help="events/s, at most (default: 100000)")
    parser.add_argument("--seconds", type=float, help="of the load (default: 60, or as the shape needs)")
    parser.add_argument("--seed", type=int, help="of the events (default: random, and printed)")
    parser.add_argument("--readers", type=int, default=8, help="clients of the API (default: 8)")
    parser.add_argument("--reader-rate", type=float, default=10, help="requests/s of each (default: 10)")
    parser.add_argument("--streams", type=int, default=20, help="clients that follow the statistics (default: 20)")
    parser.add_argument("--name", default="loadtest", help="of the report's files in build/loadtest")
    given = parser.add_argument_group("a system that runs")
    given.add_argument("--dsn", help="its database")
    given.add_argument("--brokers")
    given.add_argument("--topic", default="events")
    given.add_argument("--pipeline", default="events")
    given.add_argument("--api", help="URL of its API; without one nobody reads")
    given.add_argument("--key-file", help="file with a key of the API that may read")
    judged = parser.add_argument_group("service levels (0: a time is not judged)")
    for name, (text, relation) in levels.TEXT.items():
        judged.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="N", help=f"{text}: {relation}")
    arguments = parser.parse_args()
    if arguments.dsn and not arguments.brokers:
        parser.error("--dsn needs --brokers")
    return arguments


class Load:
    """The generator, stage after stage."""

    def __init__(self, system, shape, seed):
        self.system, self.shape, self.seed = system, shape, seed
        self.counts = [round(stage.seconds * stage.rate) for stage in shape.stages]
        self.events = sum(self.counts)
        self.sent = 0  # of the stages that have ended
        self.stage = self.began = None

    def part(self, first, n):
        return Events(n, seed=self.seed, first=first, **self.shape.events)

    def due(self):
        """How many events ought to be sent by now."""
        if self.stage is None:
            return self.sent
        return self.sent + min(int((time.monotonic() - self.began) * self.stage.rate), self.counts[self.shape.stages.index(self.stage)])

    def run(self, beside):
        """beside(seconds since the start) is called ten times a second. Returns how many seconds it took."""
        begin = time.monotonic()
        for stage, n in zip(self.shape.stages, self.counts):
            self.stage, self.began = stage, time.monotonic()
            generator = subprocess.Popen(self.part(self.sent, n).command(self.system, self.system.topic, "--rate", str(stage.rate),
                                                                         "--linger-ms", "5"))
            while generator.poll() is None:
                beside(time.monotonic() - begin)
                time.sleep(0.1)
            if generator.returncode != 0:
                raise SystemExit("loadtest: not every event could be sent")
            self.sent, self.stage = self.sent + n, None
        return time.monotonic() - begin

    def expected(self):
        """{fate: events}, made again from the seed"""
        return self.part(0, self.events).counts()


class ConsumerStop:
    """Stops the consumer in the middle, if the shape has that."""

    def __init__(self, system, when):
        self.system = system
        self.at, self.until = (when[0], sum(when)) if when else (float("inf"), float("inf"))

    def __call__(self, seconds):
        if seconds >= self.at:
            self.at = float("inf")
            self.system.stop_consumer()
        if seconds >= self.until:
            self.until = float("inf")
            self.system.start_consumer()

    def finish(self):
        """When the load ended before it was due."""
        if self.at == float("inf") and self.until != float("inf"):
            self(self.until)


def percentile(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)] * 1000 if values else 0.0


def outcomes(load, rows, dead):
    """{what: (expected, found)}. What becomes of a broken event only our own pipeline is known to decide as the generator has it."""
    if isinstance(load.system, Own):
        expected = load.expected()
        return {"rows": (expected["row"], rows), "dead letters": (expected["dead"], dead)}
    return {"rows and dead letters": (load.events, rows + dead)}


def figures_of(load, watch, clients, took, drained, rows):
    seconds = sum(stage.seconds for stage in load.shape.stages)
    latencies = clients.latencies()
    return {
        "events": load.events, "rate_asked": load.events / seconds, "rate_sent": load.events / took,
        "rate": watch.settled() / (took + drained), "rate_share": load.events / took / (load.events / seconds),
        "drain_s": drained, "max_lag": max(row[5] for row in watch.rows),
        "p50_ms": watch.rows[-1][6], "p99_ms": watch.rows[-1][7],
        "outcomes": outcomes(load, rows, watch.rows[-1][3]),
        "api": {"requests": len(latencies), "requests_per_s": len(latencies) / (took + drained),
                "p50_ms": percentile(latencies, 0.5), "p99_ms": percentile(latencies, 0.99), "errors": clients.errors(),
                "stream_events": sum(stream.events for stream in clients.streams)},
        "processes": {what: {"cpu_s": cpu, "cpu_us_per_event": cpu / load.events * 1e6, "memory_mb": watch.memory[what]}
                      for what, cpu in watch.cpu().items()},
    }


def written(system):
    """Rows that the pipeline has written so far."""
    with system.session() as cursor:
        cursor.execute("SELECT rows FROM millrace.stats WHERE pipeline = %s", (system.pipeline,))
        return cursor.fetchone()[0]


def run(system, shape, arguments, seed):
    """The figures of a run, and the rows of what was watched."""
    key = open(arguments.key_file).read().strip() if arguments.key_file else None
    clients = Clients(system.api, key, arguments.readers, arguments.reader_rate, arguments.streams)
    load, stop = Load(system, shape, seed), ConsumerStop(system, shape.consumer_stop)
    watch, before = Watch(system, load.due, clients), written(system)
    watch.start()
    clients.start()
    try:
        took = load.run(stop)
        stop.finish()
        begin = time.monotonic()
        try:
            wait_for(lambda: watch.error or watch.settled() >= load.events, "all settled", MAX_DRAIN, every=0.2)
        except Timeout:
            print(f"loadtest: {load.events - watch.settled():,} events are not settled after {MAX_DRAIN} s", file=sys.stderr)
        drained = time.monotonic() - begin
    finally:
        clients.stop()
        watch.stop()
    if watch.error:
        raise watch.error
    return figures_of(load, watch, clients, took, drained, written(system) - before), watch.rows


def main():
    arguments = options()
    shape = shapes.make(arguments.shape, arguments.rate, arguments.seconds)
    seed = arguments.seed if arguments.seed is not None else random.randrange(1, 1 << 31)
    system = Running(arguments.dsn, arguments.brokers, arguments.topic, arguments.pipeline, arguments.api) if arguments.dsn else Own()
    title = f"load test: {shape.title}, {arguments.rate:,.0f} events/s, {sum(s.seconds for s in shape.stages):.0f} s, seed {seed}"
    try:
        system.start()
        print(title, flush=True)
        figures, rows = run(system, shape, arguments, seed)
    finally:
        system.close()
    judged = levels.judge(levels.of(arguments.shape, {name: getattr(arguments, name) for name in levels.TEXT}), figures)
    print(report.text("", figures, judged).lstrip("\n"))
    file = report.write(os.path.join(paths.BUILD, "loadtest"), arguments.name, title, figures, judged, rows)
    print(f"written to {os.path.relpath(file)} and .json")
    sys.exit(0 if all(met for *_, met in judged) else 1)


if __name__ == "__main__":
    main()
