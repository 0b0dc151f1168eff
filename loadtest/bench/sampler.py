"""What is sampled while a run goes on: events settled, and CPU time by class of process from /proc."""
import bisect
import threading
import time

from lib.process import children, cpu_seconds, peak_rss_mb

CLASSES = ("broker", "ingestor", "staging", "workers", "other")


class Progress:
    """How many events were settled when."""

    def __init__(self):
        self._seen = []  # (settled, seconds since 1970)

    def add(self, settled):
        self._seen.append((settled, time.time()))
        return settled

    def times(self):
        """As work.row_times() has it of rows, of the events: exact to the distance of two looks."""
        last = self._seen[-1][0]
        return last, self._when(1), self._when(last), [self._when(last * share) for share in (0.1, 0.2, 0.9)]

    def _when(self, settled):
        i = max(bisect.bisect_left(self._seen, (settled, 0)), 1)
        (n0, t0), (n1, t1) = self._seen[i - 1], self._seen[i]
        return t0 + (t1 - t0) * (settled - n0) / (n1 - n0)


class Sampler(threading.Thread):
    """Follows a broker, an ingestor (or a peer) and all processes of a cluster. Backends are distinguished by what
    pg_stat_activity says of them; one that is gone keeps what was last seen of it."""

    def __init__(self, cluster, database, broker_pid, client_pid, every=0.05):
        super().__init__(daemon=True)
        self.cluster, self.broker_pid, self.client_pid, self.every = cluster, broker_pid, client_pid, every
        self.database = database
        self.times, self._samples = [], []  # a sample is {pid: CPU seconds so far}
        self.rss_mb = 0.0
        self._class = {broker_pid: "broker", client_pid: "ingestor"}
        self._cpu = {}
        self._ended = threading.Event()

    def stop(self):
        self._ended.set()
        self.join()

    def run(self):
        with self.database.session() as session:
            own, next_look = session.pid, 0
            while not self._ended.is_set():
                if time.time() >= next_look:
                    self._classify(session, own)
                    next_look = time.time() + 0.5
                self._sample(own)
                self._ended.wait(self.every)

    def _classify(self, session, own):
        for pid, kind, user, application in session.run(
                "SELECT pid, backend_type, usename, application_name FROM pg_stat_activity"):
            if kind.startswith("millrace worker"):
                self._class[pid] = "workers"
            elif kind == "client backend" and user == "ingestor":
                self._class[pid] = "staging"
            elif kind == "client backend" and application == "PostgreSQL JDBC Driver":
                self._class[pid] = "workers"  # a peer's sessions write the rows
            elif pid != own:
                self._class.setdefault(pid, "other")

    def _sample(self, own):
        now = time.time()
        for pid in (self.broker_pid, self.client_pid, *children(self.cluster.process.pid)):
            if pid != own:
                self._cpu[pid] = max(cpu_seconds(pid), self._cpu.get(pid, 0))
        self.rss_mb = max(self.rss_mb, peak_rss_mb(self.client_pid))
        self.times.append(now)
        self._samples.append(dict(self._cpu))

    def _at(self, when):
        """{pid: CPU seconds} at a moment, between two samples."""
        i = min(max(bisect.bisect_left(self.times, when), 1), len(self.times) - 1)
        t0, t1 = self.times[i - 1], self.times[i]
        part = min(max((when - t0) / (t1 - t0), 0), 1)
        before, after = self._samples[i - 1], self._samples[i]
        return {pid: before.get(pid, 0) + (cpu - before.get(pid, 0)) * part for pid, cpu in after.items()}

    def cpu_us_per_event(self, start, end, events):
        """{class: µs} between two moments (seconds since 1970)."""
        total = dict.fromkeys(CLASSES, 0.0)
        begin = self._at(start)
        for pid, cpu in self._at(end).items():  # classified only now, when all are known
            total[self._class.get(pid, "other")] += cpu - begin.get(pid, 0)
        return {name: seconds / events * 1e6 for name, seconds in total.items()}
