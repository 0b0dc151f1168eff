"""The database and the broker are killed while clients read and publish: each half works without the other, every refusal is one
that is documented, and what was accepted is there once."""
import collections
import itertools
import os
import re
import threading

import pytest

from lib import paths
from lib.publish_world import Whole
from lib.wait import wait_for

ENOUGH = 30  # answers of a kind, before the next thing happens
TROUBLE = {"MR-501", "MR-502", "MR-503", "MR-506", "MR-507", "MR-122"}


@pytest.fixture
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_killed")
    yield whole
    whole.close()


class Load:
    """Clients in threads, and what they got: answers by (what, status) of the phase that runs, and values that were accepted."""

    def __init__(self, whole):
        self.whole, self.stop, self.wrong = whole, threading.Event(), []
        self.seen = collections.Counter()
        self.accepted, self.refused, self.numbers = set(), set(), itertools.count()
        work = [self.publish] * 3 + [self.publish_with_key] * 3 + [lambda p=p: self.read(p) for p in ("/events?limit=5", "/events/all", "/events/events:0:0")]
        self.threads = [threading.Thread(target=self.run, args=(w,)) for w in work]
        for t in self.threads:
            t.start()

    def run(self, work):
        while not self.stop.is_set():
            try:
                work()
            except Exception as e:
                self.wrong.append(repr(e))
                return

    def answer(self, what, answer):
        self.seen[what, answer.status] += 1
        if answer.status >= 400 and (answer.headers["content-type"] != "application/problem+json" or answer.json()["code"] not in TROUBLE | {"MR-402"}):
            self.wrong.append((what, answer))
        return answer.status

    def read(self, path):
        if self.answer("read", self.whole.api.get(path)) == 404 and path != "/events/events:0:0":
            self.wrong.append(path)

    def publish(self):
        value = next(self.numbers)
        status = self.answer("publish", self.whole.post(f"?eventType=load&eventData={value}"))
        if status == 202:
            self.accepted.add(value)
        elif status == 503:
            self.refused.add(value)

    def publish_with_key(self):
        """Again and again, until it is accepted: an answer that was lost, or an outcome that is not known, is no second event."""
        value = next(self.numbers)
        while not self.stop.is_set():
            if self.answer("key", self.whole.post(f"?eventType=load&eventData={value}", Idempotency_Key=f"load-{value}")) == 202:
                self.accepted.add(value)
                return
            self.stop.wait(0.05)

    def until(self, *kinds):
        """Enough answers of each of these kinds from now on."""
        before = collections.Counter(self.seen)
        wait_for(lambda: self.wrong or all(self.seen[k] - before[k] >= ENOUGH for k in kinds), f"enough of {kinds}")
        assert not self.wrong, self.wrong[:3]

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


@pytest.mark.alone
def test_killed_under_load(whole, cluster):
    load = Load(whole)
    try:
        load.until(("read", 200), ("publish", 202), ("key", 202))
        cluster.kill_postmaster()
        load.until(("read", 503), ("publish", 202), ("key", 503))
        cluster.start()
        load.until(("read", 200), ("publish", 202), ("key", 202))
        whole.broker.kill()
        load.until(("read", 200), ("publish", 503), ("key", 503))
        whole.broker.start()
        load.until(("read", 200), ("publish", 202), ("key", 202))
    finally:
        load.end()
    assert not load.wrong, load.wrong[:3]

    def rows():
        """Over a connection of now: that of before was killed, too."""
        with whole.db.session() as s:
            return collections.Counter(int(value) for (value,) in s.run("SELECT value FROM events WHERE type = 'load'"))

    wait_for(lambda: load.accepted <= set(rows()), "all that was accepted is there")
    found = rows()
    assert set(found.values()) == {1}, "a second row"
    assert not load.refused & set(found), "503 is said of what is not published"
    with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
        assert TROUBLE <= set(re.findall(r"^\| (MR-\d+) \|", f.read(), re.M))
