#!/usr/bin/python3
"""judge.py SAMPLES MAX_P99_MS MAX_ERROR_SHARE: a line for each kind of request of a JMeter run; exit status 1 when one is
slower at the 99th percentile, or fails more often, or there are none."""
import collections
import csv
import sys


def main():
    file, max_p99, max_errors = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    took, failed = collections.defaultdict(list), collections.Counter()
    with open(file, newline="") as f:
        for sample in csv.DictReader(f):
            took[sample["label"]].append(int(sample["elapsed"]))
            failed[sample["label"]] += sample["success"] != "true"
    missed = not took
    for label, times in sorted(took.items()):
        times.sort()
        p99, share = times[int(len(times) * 0.99)], failed[label] / len(times)
        met = p99 <= max_p99 and share <= max_errors
        missed |= not met
        print(f"{'ok    ' if met else 'MISSED'} {label:<8} {len(times):>8,} requests, p50 {times[len(times) // 2]} ms,"
              f" p99 {p99} ms (at most {max_p99:.0f}), failed {share:.4f} (at most {max_errors})")
    print("" if took else "MISSED: no request was sent", end="" if took else "\n")
    sys.exit(1 if missed else 0)


main()
