"""Waiting for a condition, never for a time."""
import time

# What ends a test that hangs, in seconds. It claims nothing: a machine that is five times slower, or does much else, stays below it.
LIMIT = 180


class Timeout(AssertionError):
    pass


def wait_for(condition, what, timeout=LIMIT, every=0.05):
    """Calls condition until it is true and returns what it returned; says what was missing otherwise. A timeout of its own is
    for what takes minutes, and for what is promised to come in time."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Timeout(f"after {timeout} s still not: {what} (last: {result!r})")
        time.sleep(every)


def holds_for(condition, what, seconds, every=0.1):
    """The opposite: the condition has to stay true all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer: {what}"
        time.sleep(every)
