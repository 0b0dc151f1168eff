"""Verbs beside each other, in sessions that hold their locks."""
import psycopg2
import pytest


def test_replay_preview_blocks_nobody(world):
    """BEGIN; replay() shows how many there are: until it is rolled back the ingestor and the other verbs go on."""
    world.create_topic(2)
    world.create_pipeline()
    with world.db.session("app") as preview, world.db.session("ingestor") as ingestor, world.db.session("app") as owner:
        preview.run("BEGIN")
        assert preview.value("SELECT millrace.replay(%s)", (world.pipeline_name,)) == 0
        ingestor.run("SET lock_timeout = '5s'")
        assert ingestor.value("SELECT millrace.add_partitions(%s, 0, '{0,0}')", (world.pipeline_name,)) == 2
        owner.run("SET lock_timeout = '5s'")
        owner.run("SELECT millrace.pause(%s)", (world.pipeline_name,))
        owner.run("SELECT millrace.alter_pipeline(%s, workers => 2)", (world.pipeline_name,))
        owner.run("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            owner.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
        preview.run("ROLLBACK")
        owner.run("SET lock_timeout = '5s'")
        owner.run("SELECT millrace.drop_pipeline(%s)", (world.pipeline_name,))
