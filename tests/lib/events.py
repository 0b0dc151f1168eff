"""Events that are generated from a seed, and the truth about them."""
import collections
import re
import subprocess

from . import paths

_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Events:
    """n events of a seed; options as millrace-generate has them, with _ for the dashes:
    broken, db_refused, filtered, unknown, tombstones (percent), pad, key_digits, transaction, abort_every."""

    def __init__(self, n, seed=1, first=0, **options):
        self.n, self.seed, self.first, self.options = n, seed, first, options

    def _args(self):
        args = ["--events", str(self.n), "--seed", str(self.seed), "--first", str(self.first)]
        for name, value in self.options.items():
            args += [f"--{name.replace('_', '-')}", str(value)]
        return [paths.program("millrace-generate"), *args]

    def command(self, broker, topic, *more):
        return [*self._args(), "--brokers", broker.address, "--topic", topic, "--quiet", *more]

    def send(self, broker, topic, *more):
        result = subprocess.run(self.command(broker, topic, *more), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=300)
        assert result.returncode == 0, f"millrace-generate: {result.stdout}"
        return self

    def counts(self):
        """{fate: events}"""
        out = subprocess.run([*self._args(), "--dump", "count"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return {fate: int(n) for fate, n in (line.split() for line in out.splitlines())}

    def truth(self):
        """{fate: set of ids}"""
        out = subprocess.run([*self._args(), "--dump", "truth"], check=True, stdout=subprocess.PIPE).stdout
        fates = collections.defaultdict(set)
        for line in out.decode().splitlines():
            event, fate = line.split()
            fates[fate].add(event)
        return fates


def event_id(payload, key=None):
    """The id of an event whatever is wrong with it."""
    for where in (payload, key):
        match = where is not None and _ID.search(bytes(where))
        if match:
            return match.group().decode()
    return None


def merge(*truths):
    fates = collections.defaultdict(set)
    for truth in truths:
        for fate, ids in truth.items():
            fates[fate] |= ids
    return fates


def compare(what, expected, found):
    """found is a list: nothing lost, nothing twice, nothing strange."""
    counts = collections.Counter(found)
    lost = expected - counts.keys()
    strange = counts.keys() - expected
    twice = [i for i, n in counts.items() if n > 1]
    assert not lost and not strange and not twice, (
        f"{what}: of {len(expected)} expected {len(lost)} lost {_some(lost)}, {len(twice)} twice {_some(twice)}, "
        f"{len(strange)} that must not be there {_some(strange)}")


def _some(ids):
    return sorted(map(str, ids))[:3] if ids else ""
