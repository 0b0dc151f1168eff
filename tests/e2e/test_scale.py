"""What a pipeline of thousands of partitions costs. Lanes are played by hand."""
from lib.lane import Batch, Lane
from lib.process import cpu_seconds
from lib.wait import wait_for

EVENTS = 20000  # of a batch
BATCHES = 10


class Feed:
    """Batches of EVENTS events, in runs of a few, as a consumer hands them over; the same number of each partition."""

    def __init__(self, world, partitions, **more):
        self.db, self.partitions = world.db, partitions
        self.db.run("CREATE TABLE number (n int NOT NULL); ALTER TABLE number OWNER TO app")
        world.create_pipeline(fields="n int NOT NULL", target="number", transform="SELECT event.n FROM event", batch_rows=EVENTS,
                              dlq="off", **more)
        self.db.run("SELECT millrace.add_partitions(%s, 0, %s::bigint[])", (world.pipeline_name, [0] * partitions))
        self.lane = Lane(self.db, world.pipeline_name).assign(list(range(partitions)))
        self.position = self.sent = 0

    def send(self):
        each = EVENTS // self.partitions
        batch = Batch()
        for first in range(0, each, 7):
            for partition in range(self.partitions):
                for i in range(first, min(first + 7, each)):
                    batch.event(partition, self.position + i, b'{"n":%d}' % self.sent)
        for partition in range(self.partitions):
            batch.entry(partition, self.lane.epochs[partition], self.position, self.position + each)
        self.lane.stage(batch)
        self.position += each
        self.sent += each * self.partitions

    def settled(self):
        return self.db.value("SELECT coalesce(sum(events), 0) FROM millrace.stats")

    def wait(self):
        wait_for(lambda: self.settled() == self.sent, "all settled", 60)

    def worker(self):
        return self.db.value("SELECT max(pid) FROM millrace.workers WHERE pid > 0")


def cost_of_a_batch(world, partitions):
    """CPU seconds of the worker."""
    feed = Feed(world, partitions)
    for _ in range(2):  # plans, caches, the first rows of progress
        feed.send()
    feed.wait()
    before = cpu_seconds(feed.worker())
    for _ in range(BATCHES):
        feed.send()
    feed.wait()
    cost = (cpu_seconds(feed.worker()) - before) / BATCHES
    assert world.db.value("SELECT count(*) FROM number") == feed.sent
    assert set(world.positions().values()) == {feed.position}
    feed.lane.close()
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    world.db.run("DROP TABLE number")
    return cost


def test_a_batch_of_many_partitions_costs_little_more(world):
    """A look-up of each event's partition by linear search makes it ten times."""
    few, many = cost_of_a_batch(world, 10), cost_of_a_batch(world, 3000)
    assert many < 5 * few, f"{many * 1e3:.0f} ms for a batch of 3,000 partitions, {few * 1e3:.0f} ms for one of 10"
