"""When rows become visible to others, and what broker, disk and processors do meanwhile.

The time stamp of a commit (track_commit_timestamp) is taken before its record is written to the disk, so it is earlier than
anybody sees the rows. Here somebody looks."""
import contextlib
import threading
import time

from confluent_kafka import Consumer, TopicPartition

LOOK_S = 0.001  # between two looks
FLOOR_S = 0.02  # between two commits of the floor


class _Beside(threading.Thread):
    """Does something over and over, with something that is closed at the end, until it is stopped."""

    def __init__(self, resource, every_s):
        super().__init__(daemon=True)
        self.resource, self.every_s = resource, every_s
        self._running = True

    def run(self):
        while self._running:
            self.once()
            time.sleep(self.every_s)

    def stop(self):
        self._running = False
        self.join()
        self.resource.close()


class Sight(_Beside):
    """Looks which transactions are visible, some hundred times a second; a look costs two processes 0.1 ms."""

    def __init__(self, db):
        super().__init__(db.session(), LOOK_S)
        self.looks = []  # (when the answer was here, the snapshot), where it differs from the one before

    def once(self):
        snapshot = self.resource.value("SELECT pg_current_snapshot()::text")
        if not self.looks or snapshot != self.looks[-1][1]:
            self.looks.append((time.time(), snapshot))

    def seen_at(self, xids):
        """{xid: when it was first seen to be visible}, at the latest; those that were not are left out. A snapshot names no
        subtransactions: the rows must not be of any."""
        seen, waiting, later = {}, set(), sorted(set(xids), reverse=True)
        for at, snapshot in self.looks:
            _, xmax, running = snapshot.split(":")
            running = {int(xid) for xid in running.split(",") if xid}
            while later and later[-1] < int(xmax):
                waiting.add(later.pop())
            for xid in waiting - running:
                seen[xid] = at
            waiting &= running
        return seen


class Plain(_Beside):
    """A consumer that does nothing: what producer and broker take of an event's time."""

    def __init__(self, broker, topic, partitions):
        super().__init__(Consumer({"bootstrap.servers": broker.address, "group.id": f"plain-{topic}", "enable.auto.commit": False}), 0)
        self.resource.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        self.messages = []  # (when it was produced, ms)

    def once(self):
        message = self.resource.poll(0.1)
        if message is not None and not message.error():
            produced_ms = message.timestamp()[1]
            self.messages.append((produced_ms / 1e3, time.time() * 1e3 - produced_ms))


class Floor(_Beside):
    """One row and its commit at a time: what the disk takes. And how late a sleeper is woken: how busy the processors are."""

    def __init__(self, db):
        super().__init__(db.session(), FLOOR_S)
        db.run("CREATE TABLE floor (n int)")
        self.commits, self.wakes = [], []  # (when, ms)
        self._slept_at = None

    def once(self):
        now, began_at = time.time(), time.monotonic()
        if self._slept_at is not None:
            self.wakes.append((now, (began_at - self._slept_at - FLOOR_S) * 1e3))
        self.resource.run("INSERT INTO floor VALUES (1)")
        self._slept_at = time.monotonic()
        self.commits.append((now, (self._slept_at - began_at) * 1e3))


@contextlib.contextmanager
def beside(db, *plain):
    """All of them, while something runs. plain: arguments of Plain."""
    threads = Sight(db), Floor(db), Plain(*plain)
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stop()


def percentiles(values):
    """p50, p99 and the largest."""
    values = sorted(values)
    return {"p50": values[len(values) // 2], "p99": values[min(len(values) * 99 // 100, len(values) - 1)], "max": values[-1]}
