"""Batches over many partitions of one pipeline, on a lane that is played by hand: without a broker, so that there can be
thousands, and so that it is known what is in a batch."""
import os
import signal

from .lane import Batch, Lane
from .process import thread_cpu_seconds
from .wait import wait_for

BATCH = 20000  # events, about
RUN = 7        # events of a partition that follow one another, as a consumer hands them over

# what such a pipeline is created with, beside name and topic: little work, so that the rest shows
PIPELINE = dict(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event", batch_rows=BATCH, dlq="off")
TABLE = "CREATE TABLE number (n int NOT NULL); ALTER TABLE number OWNER TO app"


class Spread:
    """The pipeline exists, and has no partitions yet."""

    def __init__(self, db, pipeline, partitions, payloads=(b'{"n":1}',)):
        """payloads: of the events, in turns."""
        self.db, self.partitions, self.payloads = db, partitions, payloads
        db.run("SELECT millrace.add_partitions(%s, 0, %s::bigint[])", (pipeline, [0] * partitions))
        self.lane = Lane(db, pipeline).assign(list(range(partitions)))
        self.position = self.sent = 0  # of each partition, of all

    def send(self):
        """A batch with the same number of events of each partition."""
        each = max(BATCH // self.partitions, 1)
        batch = Batch()
        for first in range(0, each, RUN):
            for partition in range(self.partitions):
                for i in range(first, min(first + RUN, each)):
                    batch.event(partition, self.position + i, self.payloads[i % len(self.payloads)])
        for partition in range(self.partitions):
            batch.entry(partition, self.lane.epochs[partition], self.position, self.position + each)
        self.lane.stage(batch)
        self.position += each
        self.sent += each * self.partitions

    def wait(self):
        # By shared memory first: a look at the statistics of thousands of partitions has a snapshot for some milliseconds,
        # under which the worker cannot update rows in place. Nobody is to disturb what is measured.
        wait_for(lambda: self.db.value("SELECT coalesce(sum(l.staged), 0) FROM millrace._lanes() AS l") == 0, "all read")
        wait_for(lambda: self.db.value("SELECT coalesce(sum(events), 0) FROM millrace.stats") == self.sent, "all settled")

    def processes(self):
        """Those that serve workers: of the pipeline's one worker whichever it is."""
        return [pid for pid, in self.db.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'millrace worker' AND datname = current_database()")]

    def worker_cpu(self):
        return sum(map(thread_cpu_seconds, self.processes()))

    def cost_of_a_batch(self, batches=10):
        """CPU seconds of the worker, when it has a backlog, its plans, and the first row of each partition's progress."""
        for _ in range(2):
            self.send()
        self.wait()
        before, processes = self.worker_cpu(), self.processes()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(batches):
                self.send()
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        self.wait()
        return (self.worker_cpu() - before) / batches

    def close(self):
        self.lane.close()
