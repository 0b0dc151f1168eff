#!/usr/bin/python3
"""Measures speed and memory on this machine, prints a table and writes build/bench.json (numbers only).

The work is that of the peers' kit: 2,000,000 events of 183 bytes in 6 partitions on a real Kafka broker, filled
before the clock runs, 0.1 % broken, into a table with a uuid primary key, default durability. Each run is a line in
the history (history.py)."""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests")]

import copy_rows  # noqa: E402
import history  # noqa: E402
import machine  # noqa: E402
import pairs  # noqa: E402
import upsert_rows  # noqa: E402
from sampler import CLASSES  # noqa: E402
from scenarios import PIPELINES, Bench, Topics  # noqa: E402

RUNS = (*PIPELINES, "floor", "latency", "payload", "scale", "statistics", "rest")


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--latency-seconds", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=0, metavar="PAIRS",
                        help="run each pipeline but the plain one so many times in turn with the plain one, and nothing else: what the share of the"
                             " plain rate is on a machine whose speed changes")
    parser.add_argument("--only", choices=RUNS, action="append", metavar="RUN",
                        help=f"leave the others out (repeatable): {', '.join(RUNS)}")
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


def middle(result):
    return {"events_per_s_middle": round(result["events_per_s_middle"])}


def of_workers(result):
    return dict(middle(result), workers_us_per_event=round(result["cpu"]["workers"], 2))


def broken(result):
    return dict(middle(result), xids_per_event=round(result["xids_per_event"], 4))


# Run: its name in bench.json, and what is kept of its result
FIGURES = {"end_to_end": ("end_to_end", end_to_end), "broken": ("broken_1pct", broken),
           "ordered": ("ordered_1pct", middle), "coordinate": ("coordinate_key", middle), "windows": ("windows", middle),
           **{name: (name, middle) for name in ("in_order", "snapshot", "dump")},
           **{name: (name, of_workers) for name in ("upsert", "upsert_keyed", "upsert_indexed", "windows_recompute")}}


FLOORS = {"plain": "a consumer that does nothing", "commit": "a commit of one row", "late": "a sleeper is woken late by"}


def of_latency(result):
    """With the floors of the same time, and the ratio to the sum of the first two."""
    return {"p50": round(result["p50"], 1), "p99": round(result["p99"], 1), "max": round(result["max"], 1),
            "floor": {f"{what}_{name}": round(ms, 2) for what in FLOORS for name, ms in result[what].items()},
            **{f"{name}_to_floor": round(result[name] / (result["plain"][name] + result["commit"][name]), 2) for name in ("p50", "p99")}}


def show_latency(rate, result):
    def three(ms):
        return f"p50 {ms['p50']:.1f}, p99 {ms['p99']:.1f}, max {ms['max']:.1f}"
    print(f"latency at {rate:,}/s, ms: {three(result)}; ingestor {result['rss_mb']:.0f} MB")
    print("\n".join(f"  {text:<28} {three(result[what])}" for what, text in FLOORS.items()), flush=True)


def show(title, result):
    cpu = result["cpu"]
    print(f"{title:<28} {result['events_per_s']:>9,.0f} {result['events_per_s_middle']:>9,.0f}  "
          + " ".join(f"{cpu[name]:>8.2f}" for name in CLASSES) + f" {sum(cpu.values()):>7.2f}"
          f" {result['rss_mb']:>6.0f} {result['last_tenth_ratio']:>6.2f} {result['rows']:>9,}", flush=True)


def head():
    print(f"\n{'':<28} {'events/s':>9} {'middle':>9}  " + " ".join(f"{name:>8}" for name in CLASSES)
          + f" {'total':>7} {'RSS':>6} {'l/f':>6} {'rows':>9}")
    print(f"{'':<28} {'overall':>9} {'20-90 %':>9}  " + f"{'CPU µs per event':^52}" + f" {'MB':>6} {'tenth':>6}", flush=True)


def floor(bench, source, sessions):
    db, rate = copy_rows.load(bench, copy_rows.export(source, sessions))
    db.drop()
    return rate


def run_pipelines(bench, wanted):
    """{name in bench.json: figures}; the floor is measured with the rows of the first run. The rate in the middle is also
    given as the share of end_to_end's, in "share_of_plain"."""
    out = {}
    if wanted & {*PIPELINES, "floor"}:
        bench.pipeline("warm_up", **PIPELINES["end_to_end"][1])[0].drop()  # the broker and its just-in-time compiler; not counted
    for name, (title, arguments) in PIPELINES.items():
        if name not in wanted and not (name == "end_to_end" and "floor" in wanted):
            continue
        db, result = bench.pipeline(name, **arguments)
        show(title, result)
        key, figures = FIGURES[name]
        out[key] = figures(result)
        if name == "end_to_end" and "floor" in wanted:
            out["floor"] = {**{f"copy{n}": round(floor(bench, db, n)) for n in (1, 2)},
                            "upsert2": round(upsert_rows.measure(bench, db, shared=True)),
                            "upsert2_keyed": round(upsert_rows.measure(bench, db, shared=False))}
        db.drop()
        if name == "broken":
            out["broken_100pct"] = {"events_per_s": round(bench.all_broken())}
    plain = out.get("end_to_end")
    for figures in out.values() if plain else ():
        if figures is not plain and "events_per_s_middle" in figures:
            figures["share_of_plain"] = round(figures["events_per_s_middle"] / plain["events_per_s_middle"], 2)
    return out


def run_pairs(bench, wanted, repeat):
    """As run_pipelines(), but each in turn with a plain run: figures are medians, "share_of_plain" that of the ratios of pairs."""
    bench.measure("end_to_end")  # warms up the broker and its just-in-time compiler; not counted
    pairs.head("plain", "other")
    out = {}
    for name in PIPELINES:
        if name == "end_to_end" or name not in wanted:
            continue
        measured = pairs.measure(("plain", lambda: bench.measure("end_to_end")), ("other", lambda name=name: bench.measure(name)), repeat)
        pairs.show(PIPELINES[name][0], measured, "plain", "other")
        middle = measured["events_per_s_middle"]
        least, share, most = (round(middle["ratio"][what], 2) for what in ("min", "median", "max"))
        out[FIGURES[name][0]] = {"events_per_s_middle": round(statistics.median(middle["other"])), "share_of_plain": share,
                                 "share_of_plain_min": least, "share_of_plain_max": most}
    return out


def of_statistics(bench):
    """What it costs to keep them, as the share of a batch without them, and to read them."""
    (batch, ratio), looks = bench.keeping(), bench.looking()
    return {"batch_ms": {name: round(ms, 2) for name, ms in batch.items()},
            **{f"{name}_ratio": round(share, 3) for name, share in ratio.items()},
            "look_ms": {name: {what: round(value, 1) for what, value in ms.items()} for name, ms in looks.items()}}


def run(bench, wanted):
    head()
    out = run_pipelines(bench, wanted)
    if "latency" in wanted:
        for name, rate in (("latency_ms", 10_000), ("latency_100_ms", 100)):
            result = bench.latency(rate)
            out[name] = of_latency(result)
            show_latency(rate, result)
    if "payload" in wanted:
        out["payload"] = {str(size): {name: round(value) for name, value in bench.payload(size).items()} for size in (10_000, 1_000_000)}
        print("payloads, MB/s: " + ", ".join(f"{int(size):,} bytes {mb['mb_per_s']} (COPY {mb['copy_mb_per_s']})"
                                            for size, mb in out["payload"].items()), flush=True)
    if "scale" in wanted:
        batches, emptying = bench.batches(), bench.emptying()
        out["scale"] = {"batch_ms": {str(n): round(ms, 1) for n, ms in batches.items()},
                        "empty_ms": {size: round(ms, 2) for size, ms in emptying.items()}}
        print("a batch of 20,000 events, CPU ms of its worker: "
              + ", ".join(f"{ms:.1f} with {n:,} partitions" for n, ms in batches.items())
              + "; a segment is emptied: " + ", ".join(f"{ms:.2f} ms with {size}" for size, ms in emptying.items()))
    if "statistics" in wanted:
        out["statistics"] = figures = of_statistics(bench)
        print("statistics, CPU ms of a batch of 20,000 events: " + ", ".join(f"{ms:.2f} {name}" for name, ms in figures["batch_ms"].items())
              + f" (ratio {figures['live_ratio']:.3f}, {figures['by_type_ratio']:.3f}); a look at 100,000 events/s, ms: "
              + ", ".join(f"{name} {ms['median']:.1f} (CPU {ms['cpu']:.1f}), at most {ms['max']:.1f}, a session's first {ms['first']:.1f}"
                          for name, ms in figures["look_ms"].items()))
    if "rest" in wanted:
        shares = bench.at_rest()
        out["rest"] = {f"{name}_percent": round(100 * share, 2) for name, share in shares.items()}
        print(f"40 pipelines at rest: {out['rest']['all_percent']} % of a core, the ingestor {out['rest']['ingestor_percent']} %", flush=True)
    if "floor" in out:
        print("floor, COPY of the finished rows: "
              + ", ".join(f"{n} session{'s' * (n > 1)} {out['floor'][f'copy{n}']:,}/s" for n in (1, 2))
              + f"; upserts of them by 2 sessions, {upsert_rows.BATCH:,} in a transaction: {out['floor']['upsert2']:,}/s"
              f" of the same keys, {out['floor']['upsert2_keyed']:,}/s of different ones")
    if "broken_1pct" in out:
        print(f"transaction ids per event with 1 % broken: {out['broken_1pct']['xids_per_event']};"
              f" all broken: {out['broken_100pct']['events_per_s']:,} events/s")
    return out


def main():
    arguments = options()
    wanted = set(arguments.only or RUNS)
    print(machine.describe(arguments.events), flush=True)
    with machine.running() as (cluster, broker):
        bench = Bench(cluster, broker, Topics(broker, arguments.events), arguments.latency_seconds)
        results = run_pairs(bench, wanted, arguments.repeat) if arguments.repeat else run(bench, wanted)
    history.write(results, keep_others=True)  # those of bench-peers, and of pairs
    history.compare(history.earlier(arguments.events), results, ("events_per_s_middle", "cpu_us_per_event.total", "p99"))
    history.append(arguments.events, results)


if __name__ == "__main__":
    main()
