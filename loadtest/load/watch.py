"""What the system does, a look every second: what is settled, what waits, how long events take, what it costs."""
import threading
import time

from lib.process import cpu_seconds, private_mb

LOOK = """
    SELECT s.events, s.dead_lettered, s.retrying,
           coalesce((SELECT l.p50_ms FROM millrace.latency AS l WHERE l.pipeline = s.pipeline AND l.stage = 'produced_to_visible'
                     AND l.over = '1 min'), 0)::float8,
           coalesce((SELECT l.p99_ms FROM millrace.latency AS l WHERE l.pipeline = s.pipeline AND l.stage = 'produced_to_visible'
                     AND l.over = '1 min'), 0)::float8
    FROM millrace.stats AS s WHERE s.pipeline = %s"""

COLUMNS = ("seconds", "produced", "settled", "dead_letters", "retrying", "lag", "p50_ms", "p99_ms", "api_p99_ms")


class Watch(threading.Thread):
    """Rows of COLUMNS, and CPU and memory by process, from start() to stop(). Latencies are those of the last minute."""

    def __init__(self, system, produced, clients, every=1.0):
        """produced: says how many events were due by now."""
        super().__init__(daemon=True)
        self.system, self.produced, self.clients, self.every = system, produced, clients, every
        self.rows, self.memory = [], {}  # memory: {what: private MB at most}
        self._cpu = {}                   # {(what, pid): (CPU seconds at first, at last)}: a process that ended keeps its own
        self.ended = threading.Event()
        self.error = None
        with system.session() as cursor:
            self.first = self.ask(cursor)
        self.began = time.monotonic()

    def run(self):
        try:
            with self.system.session() as cursor:
                while not self.ended.is_set():
                    self.look(cursor)
                    self.ended.wait(self.every)
        except Exception as e:  # whoever waits for it raises it
            self.error = e

    def ask(self, cursor):
        cursor.execute(LOOK, (self.system.pipeline,))
        return cursor.fetchone()

    def look(self, cursor):
        now = time.monotonic()
        events, dead, retrying, p50, p99 = self.ask(cursor)
        api = sorted(self.clients.latencies(since=now - 5))
        produced, settled = self.produced(), events - self.first[0]
        self.rows.append((now - self.began, produced, settled, dead - self.first[1], retrying, max(produced - settled, 0), p50, p99,
                          api[int(len(api) * 0.99)] * 1000 if api else 0.0))
        for what, pids in self.system.processes().items():
            for pid in pids:
                used = cpu_seconds(pid)
                first, last = self._cpu.get((what, pid), (used if len(self.rows) == 1 else 0, 0))
                self._cpu[what, pid] = first, max(used, last)
            self.memory[what] = max(self.memory.get(what, 0), sum(map(private_mb, pids)))

    def cpu(self):
        """{what: CPU seconds}"""
        total = {}
        for (what, _), (first, last) in self._cpu.items():
            total[what] = total.get(what, 0) + last - first
        return total

    def settled(self):
        return self.rows[-1][2] if self.rows else 0

    def stop(self):
        self.ended.set()
        self.join()
