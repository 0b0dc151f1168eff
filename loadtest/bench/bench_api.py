#!/usr/bin/python3
"""Measures speed and memory of the HTTP API on this machine, prints tables and writes build/bench-api.json (numbers only).

wrk asks an API that serves a table of 5,000,000 events, over 64 connections. A plain service on Spring Boot 3 answers the same
GETs from the same table, in turn with ours: the ratios count, the rates are of this machine at this hour."""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

import history  # noqa: E402
import http_clients  # noqa: E402
import machine  # noqa: E402
import pairs  # noqa: E402
from http_load import Load, Requests  # noqa: E402
from http_system import LINES, System  # noqa: E402
from spring import Spring  # noqa: E402

FILE = "bench-api.json"
CONNECTIONS = 64
PATHS = 50_000  # different ones that are asked for

# Figure: its title, the format of a value, and how it is taken from a result of Load.run()
FIGURES = {name: (title, form, lambda result, name=name: result[name]) for name, title, form in (
    ("requests_per_s", "requests/s", "{:,.0f}"), ("p50_ms", "p50, ms", "{:.2f}"), ("p99_ms", "p99, ms", "{:.2f}"),
    ("cpu_us", "CPU µs/request", "{:.1f}"), ("postgres_cpu_us", "  of PostgreSQL", "{:.1f}"), ("rss_mb", "RSS, MB", "{:.0f}"))}

# What both do: title, and the paths
COMPARED = {
    "by_id": ("an event by id", lambda system: [f"/events/{i}" for i in system.ids(PATHS)]),
    "list": ("a list of 100", lambda system: [f"/events?limit=100&to={t}" for t in system.times(PATHS)]),
}


def publishing(_):
    return Requests("post", ["/events?eventType=Temperature&eventData=30C"], "POST", connections=CONNECTIONS)


# What only ours does: title, and the requests
OTHERS = {
    "all": ("/events/all", lambda _: Requests("all", ["/events/all"])),
    "status": ("status of an event", lambda system: Requests("status", [f"/events/{place}/status" for place in system.places])),
    "post": ("POST of an event", publishing),
    "ndjson": (f"POST of {LINES:,} lines", lambda system: Requests("ndjson", ["/events"], "POST", (system.lines(), "application/x-ndjson"), 16, LINES)),
}
CLIENTS = ("streams", "connections")
RUNS = (*COMPARED, *OTHERS, *CLIENTS)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000, help="rows of the table")
    parser.add_argument("--seconds", type=int, default=10, help="of each run")
    parser.add_argument("--repeat", type=int, default=3, help="pairs of runs")
    parser.add_argument("--streams", type=int, default=5000, help="idle clients of /events/stream")
    parser.add_argument("--connections", type=int, default=10_000, help="that are open")
    parser.add_argument("--alone", action="store_true", help="without the Spring Boot service")
    parser.add_argument("--only", choices=RUNS, action="append", metavar="RUN", help=f"leave the others out (repeatable): {', '.join(RUNS)}")
    arguments = parser.parse_args()
    if min(arguments.seconds, arguments.repeat, arguments.streams, arguments.connections) < 1 or arguments.events < 2000:
        parser.error("--seconds, --repeat, --streams and --connections are at least 1, --events at least 2000")
    return arguments


def rounded(figures):
    return {name: round(value, 1 if name.endswith(("_ms", "_us", "kib_per_client", "kib_per_connection")) else 0) for name, value in figures.items()}


def medians(results):
    return rounded({name: statistics.median(result[name] for result in results) for name in results[0]})


def compared(system, load, spring, wanted, repeat):
    """{run: figures}, "spring" and "ratio.spring" of what both do."""
    out, theirs, ratio = {}, {}, {}
    peer = spring.start() if spring else None
    if peer:
        pairs.head("spring", "ours")
    else:
        head()
    for name, (title, paths) in COMPARED.items():
        if name not in wanted:
            continue
        requests = Requests(name, paths(system), connections=CONNECTIONS)
        if not peer:
            out[name] = medians([load.run(system.api, requests) for _ in range(repeat)])
            show(title, out[name])
            continue
        for server in (peer, system.api):  # just-in-time compiler, caches; not counted
            load.run(server, requests)
        measured = pairs.measure(("spring", lambda r=requests: load.run(peer, r)), ("ours", lambda r=requests: load.run(system.api, r)),
                                 repeat, FIGURES)
        pairs.show(title, measured, "spring", "ours", FIGURES)
        for side, into in (("ours", out), ("spring", theirs)):
            into[name] = rounded({figure: statistics.median(measured[figure][side]) for figure in measured})
        ratio[name] = round(measured["requests_per_s"]["ratio"]["median"], 2)
        ratio[f"cpu_{name}"] = round(measured["cpu_us"]["ratio"]["median"], 3)
        ratio["rss"] = max(ratio.get("rss", 0), round(measured["rss_mb"]["ratio"]["median"], 3))
    if peer:
        peer.stop()
        out.update(spring=theirs, ratio={"spring": ratio})
    return out


def head():
    print(f"\n{'':<26} " + " ".join(f"{title.strip():>15}" for title, _, _ in FIGURES.values()) + f" {'events/s':>10}", flush=True)


def show(title, figures):
    print(f"{title:<26} " + " ".join(f"{form.format(figures[name]):>15}" for name, (_, form, _) in FIGURES.items())
          + f" {figures.get('events_per_s', figures['requests_per_s']):>10,.0f}", flush=True)


def others(system, load, wanted, repeat):
    out = {}
    if wanted & OTHERS.keys():
        head()
    for name, (title, requests) in OTHERS.items():
        if name in wanted:
            out[name] = medians([load.run(system.api, requests(system)) for _ in range(repeat)])
            show(title, out[name])
    return out


def clients(system, load, wanted, arguments):
    """With an API of their own: what it holds is theirs. Ended before: the first API."""
    out = {}
    if "streams" in wanted:
        out["streams"] = s = rounded(http_clients.streams(system, arguments.streams))
        print(f"\n{s['clients']:,.0f} idle clients of /events/stream: {s['kib_per_client']:.1f} KiB each, the API has {s['rss_mb']:.0f} MB;"
              f" a row reaches all of them in {s['fan_out_ms']:.0f} ms", flush=True)
    if "connections" in wanted:
        requests = Requests("beside", COMPARED["by_id"][1](system), connections=CONNECTIONS)
        out["connections"] = c = rounded(http_clients.connections(system, arguments.connections, lambda api: load.run(api, requests)))
        print(f"{c['open']:,.0f} open connections: {c['kib_per_connection']:.1f} KiB each; beside them {c['requests_per_s']:,.0f} events by id per second,"
              f" p99 {c['p99_ms']:.1f} ms, RSS {c['rss_mb']:.0f} MB", flush=True)
    return out


def main():
    arguments = options()
    wanted = set(arguments.only or RUNS)
    if wanted & set(CLIENTS):
        http_clients.allow(max(arguments.streams, arguments.connections))
    print(machine.describe(arguments.events) + f", {CONNECTIONS} connections, medians of {arguments.repeat} runs of {arguments.seconds} s", flush=True)
    with machine.running() as (cluster, broker):
        system, load = System(cluster, broker, arguments.events), None
        system.fill()
        load = Load(system, arguments.seconds)
        spring = None if arguments.alone else Spring(cluster, system.db.name, "millrace_api")
        results = {}
        system.start_api()
        if wanted & COMPARED.keys():
            results.update(compared(system, load, spring, wanted, arguments.repeat))
        results.update(others(system, load, wanted, arguments.repeat))
        system.api.stop()
        results.update(clients(system, load, wanted, arguments))
    history.write(results, keep_others=arguments.only, name=FILE)
    history.compare(history.earlier(arguments.events, "api"), results, ("requests_per_s", "cpu_us", "p99_ms"))
    history.append(arguments.events, results, "api")


if __name__ == "__main__":
    main()
