"""What a load test sends, and when: stages of so many seconds at a rate, and what happens beside them."""
from dataclasses import dataclass, field


@dataclass
class Stage:
    seconds: float
    rate: float  # events/s


@dataclass
class Shape:
    title: str
    stages: list
    events: dict = field(default_factory=dict)  # options of the generator, with _ for the dashes
    consumer_stop: tuple = None                 # (seconds after the start, for how many)


RAMP_STEPS = 10
STOP_SECONDS = 30


def steady(rate, seconds):
    return Shape("steady", [Stage(seconds, rate)])


def ramp(rate, seconds):
    return Shape(f"ramp in {RAMP_STEPS} steps", [Stage(seconds / RAMP_STEPS, rate * (i + 1) / RAMP_STEPS) for i in range(RAMP_STEPS)])


def spike(rate, seconds):
    """A fifth of the rate, and twice in between the whole of it for a sixth of the time."""
    return Shape("spikes", [Stage(seconds * part, rate * share) for part, share in
                            ((2 / 9, 0.2), (1 / 6, 1), (2 / 9, 0.2), (1 / 6, 1), (2 / 9, 0.2))])


def skewed(rate, seconds):
    return Shape("half of the events have one key", [Stage(seconds, rate)], {"hot": 50})


def broken(rate, seconds):
    return Shape("1 % broken", [Stage(seconds, rate)], {"broken": 1})


def stop(rate, seconds):
    """At the end of the load there is what came in 30 s; how long it takes to drain is a figure of the report."""
    return Shape(f"consumer stopped for {STOP_SECONDS} s", [Stage(seconds, rate)],
                 consumer_stop=(max(seconds / 2 - STOP_SECONDS / 2, 0), STOP_SECONDS))


# Name: the shape, and for how many seconds it goes unless said otherwise
SHAPES = {"steady": (steady, 60), "ramp": (ramp, 120), "spike": (spike, 90), "soak": (steady, 3600), "skew": (skewed, 60),
          "broken": (broken, 60), "stop": (stop, 90)}


def make(name, rate, seconds=None):
    shape, usual = SHAPES[name]
    return shape(rate, seconds or usual)
