"""Two ways of doing the same work, run in turn: what slows the machine for a while slows both, so the ratio of each pair
of runs is what counts."""
import statistics

from sampler import CLASSES

# Figure: its title, the format of a value, and how it is taken from a result of Bench.rates()
FIGURES = {
    "events_per_s": ("events/s", "{:,.0f}", lambda result: result["events_per_s"]),
    "events_per_s_middle": ("events/s, middle", "{:,.0f}", lambda result: result["events_per_s_middle"]),
    "cpu_us_per_event": ("CPU µs per event", "{:.2f}", lambda result: sum(result["cpu"].values())),
}
# where a loss is: the same by class of process
FIGURES.update({f"cpu_us_per_event_{name}": (f"  {name}", "{:.2f}", lambda result, name=name: result["cpu"][name])
                for name in CLASSES if name != "other"})


def measure(one, other, repeat, figures=None):
    """Runs both so many times; who begins alternates. one, other: (name, function that returns a result); figures: as FIGURES,
    which are those of a result of Bench.rates().
    Returns {figure: {name of one: values, name of other: values, "ratio": {min, median, max} of other / one}}, without the
    classes of processes that one of them does not have."""
    figures = figures or FIGURES
    values = {one[0]: [], other[0]: []}
    for i in range(repeat):
        for name, run in (one, other) if i % 2 == 0 else (other, one):
            result = run()
            values[name].append({figure: take(result) for figure, (_, _, take) in figures.items()})
    out = {}
    for figure in figures:
        a, b = ([v[figure] for v in values[name]] for name in (one[0], other[0]))
        if not all(a + b):
            continue
        ratios = [y / x for x, y in zip(a, b)]
        out[figure] = {one[0]: a, other[0]: b, "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}}
    return out


def head(one, other):
    print(f"\n{'':<26} {'':<17} {one:>9} {other:>9}   {other + '/' + one:^20}")
    print(f"{'':<26} {'':<17} {'median':>9} {'median':>9}   {'min':>6} {'median':>6} {'max':>6}", flush=True)


def show(title, result, one, other, figures=None):
    for figure in result:
        what, form, _ = (figures or FIGURES)[figure]
        a, b = (form.format(statistics.median(result[figure][name])) for name in (one, other))
        ratio = result[figure]["ratio"]
        print(f"{title:<26} {what:<17} {a:>9} {b:>9}   {ratio['min']:>6.2f} {ratio['median']:>6.2f} {ratio['max']:>6.2f}", flush=True)
        title = ""
