"""What a pipeline of thousands of partitions costs."""
from lib.spread import PIPELINE, TABLE, Spread


def cost_of_a_batch(world, partitions):
    """CPU seconds of the worker."""
    world.db.run(TABLE)
    world.create_pipeline(**PIPELINE)
    spread = Spread(world.db, world.pipeline_name, partitions)
    cost = spread.cost_of_a_batch()
    assert world.db.value("SELECT count(*) FROM number") == spread.sent
    assert set(world.positions().values()) == {spread.position}
    spread.close()
    with world.db.session("app") as s:
        s.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
    world.db.run("DROP TABLE number")
    return cost


def test_a_batch_of_many_partitions_costs_little_more(world):
    """A look-up of each event's partition by linear search makes it ten times."""
    few, many = cost_of_a_batch(world, 10), cost_of_a_batch(world, 3000)
    assert many < 5 * few, f"{many * 1e3:.0f} ms for a batch of 3,000 partitions, {few * 1e3:.0f} ms for one of 10"
