"""What was measured, on which machine, of which commit: a line for each `make bench`, in a file that outlives
`make clean` and is shared by all clones and work trees of one user, so that commits can be compared on one machine."""
import datetime
import json
import os
import subprocess

from lib import paths

FILE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "millrace/bench-history.jsonl")


def machine():
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"arch": os.uname().machine, "cpu": model, "cores": os.cpu_count()}


def git(*args, tree=paths.ROOT):
    """Output of a git command, None when it fails (sources without a repository)."""
    result = subprocess.run(["git", "-C", tree, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def source(tree=paths.ROOT):
    """Which sources a work tree has: the commit, and whether anything differs from it."""
    return {"commit": git("rev-parse", "HEAD", tree=tree), "dirty": bool(git("status", "--porcelain", tree=tree))}


def write(figures, keep_others, name="bench.json"):
    """A file of that name in build/; keep_others: figures of other runs that it has stay there."""
    file = os.path.join(paths.BUILD, name)
    if keep_others and os.path.exists(file):
        with open(file) as f:
            figures = dict(json.load(f), **figures)
    with open(file, "w") as f:
        json.dump(figures, f, indent=1, sort_keys=True)
        f.write("\n")
    print(f"written to {os.path.relpath(file)}")


def append(events, figures, what="pipeline"):
    """events: as many as were asked for; figures: what the file of this run has; what: which benchmark it was."""
    entry = dict(source(), what=what, date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                 machine=machine(), events=events, figures=figures)
    os.makedirs(os.path.dirname(FILE), exist_ok=True)
    with open(FILE, "a") as f:
        f.write(json.dumps(entry, sort_keys=True) + "\n")


def earlier(events, what="pipeline"):
    """The newest entry of the same benchmark at another commit, on this machine with as many events; None when there is none."""
    now, here = machine(), source()["commit"]
    found = None
    for entry in entries():
        if entry.get("what", "pipeline") == what and entry["machine"] == now and entry["events"] == events and entry["commit"] not in (None, here):
            found = entry
    return found


def entries():
    """What the file has, oldest first. A line that was cut off (the disk was full) is passed over."""
    try:
        with open(FILE) as f:
            for line in f:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue
    except FileNotFoundError:
        return


def compare(entry, figures, names):
    """Prints the ratios of the figures whose names end so to an earlier entry. That was another hour of this machine, so a
    few per cent mean nothing."""
    if entry is None:
        return
    change = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios(entry["figures"], figures) if name.endswith(names))
    if change:
        print(f"new/old against {entry['commit'][:8]}{' + changes' * entry['dirty']} of {entry['date'][:10]}: {change}")


def ratios(old, new, prefix=""):
    """[(name, new / old)] of the figures both have."""
    out = []
    for name in sorted(old.keys() & new.keys()):
        if isinstance(old[name], dict):
            out += ratios(old[name], new[name], f"{prefix}{name}.")
        elif old[name]:
            out.append((prefix + name, new[name] / old[name]))
    return out
