"""Waiting for a condition, never for a time."""
import time


class Timeout(AssertionError):
    pass


def wait_for(condition, what, timeout=30, every=0.05):
    """Calls condition until it is true and returns what it returned; says what was missing otherwise."""
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
