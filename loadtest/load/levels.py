"""Service levels: what a run is judged by."""

# Of each shape what differs: one that stops the consumer cannot keep the latency, and has more to drain.
DEFAULTS = {"min_rate_share": 0.95, "max_p99_ms": 2000, "max_drain_s": 10, "max_api_p99_ms": 500, "max_api_errors": 0}
OF_SHAPE = {"stop": {"max_p99_ms": 0, "max_drain_s": 60}, "spike": {"max_drain_s": 20}, "soak": {"max_drain_s": 20}}

TEXT = {
    "min_rate_share": ("rate achieved, share of the rate asked for", "at least"),
    "max_p99_ms": ("p99 from produced to visible, ms", "at most"),
    "max_drain_s": ("until all was settled after the load, s", "at most"),
    "max_api_p99_ms": ("p99 of the API's answers, ms", "at most"),
    "max_api_errors": ("errors of the API", "at most"),
}


def of(shape, given):
    """The levels of a shape; given: {name: value}, None for the default. A limit of time that is 0 is not judged."""
    levels = dict(DEFAULTS, **OF_SHAPE.get(shape, {}))
    levels.update((name, value) for name, value in given.items() if value is not None)
    return levels


def judge(levels, figures):
    """[(text, relation, limit, found, met)]. Nothing lost and nothing twice is a level that cannot be set."""
    found = {"min_rate_share": figures["rate_share"], "max_p99_ms": figures["p99_ms"], "max_drain_s": figures["drain_s"],
             "max_api_p99_ms": figures["api"]["p99_ms"], "max_api_errors": sum(figures["api"]["errors"].values())}
    result = []
    for name, limit in levels.items():
        if limit == 0 and name != "max_api_errors":
            continue
        text, relation = TEXT[name]
        met = found[name] >= limit if relation == "at least" else found[name] <= limit
        result.append((text, relation, limit, found[name], met))
    for what, (expected, count) in figures["outcomes"].items():
        result.append((f"{what} as generated", "exactly", expected, count, count == expected))
    return result
