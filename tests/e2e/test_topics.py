"""Names that a pipeline has in Kafka: its topics, its group, its transactional id."""
from confluent_kafka.admin import AdminClient

from lib.events import Events
from lib.wait import wait_for
from test_relay import check_each_once, wait_published


def groups(world):
    admin = AdminClient({"bootstrap.servers": world.broker.address})
    return {g.id for g in admin.list_groups(timeout=20)}


def test_group_prefix_changes_while_running(world):
    """Another group and another transactional id: positions stay, nothing is lost or doubled, dead letters neither."""
    world.create_topic()
    world.create_pipeline(group_prefix="team-a.")
    world.start_ingestor()
    first = Events(3000, seed=2801, broken=50)
    first.send(world.broker, world.topic)
    world.wait_settled()
    wait_published(world)
    name = f"millrace.{world.db.value('SELECT id FROM millrace.instance')}.{world.pipeline_name}"
    assert {g for g in groups(world) if g.endswith(name)} == {"team-a." + name}
    second = Events(20000, seed=2802, broken=50)
    generator = world.start_generator(second)
    world.db.run(f"SELECT millrace.alter_pipeline('{world.pipeline_name}', group_prefix => 'team-b-')")
    wait_for(lambda: not generator.alive(), "all is sent", 60)
    world.wait_settled()
    wait_for(lambda: "team-b-" + name in groups(world), "the new group is joined", 30)
    wait_published(world)
    world.check(first, second)
    check_each_once(world)
