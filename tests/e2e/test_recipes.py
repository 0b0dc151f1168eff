"""docs/recipes.md as it stands: statements, events and outputs of each recipe, in their order."""
import os
import re

import pytest
from confluent_kafka import Producer

from lib import paths
from lib.wait import wait_for

with open(os.path.join(paths.ROOT, "docs/recipes.md")) as f:
    RECIPES = {part.splitlines()[0]: part for part in f.read().split("\n## ")[1:]}


def blocks(text):
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def produce(world, text):
    topic = re.search(r"-t (\S+)", text)[1]
    producer = Producer({"bootstrap.servers": world.broker.address})
    for printed in re.findall(r"^printf '(.*)' [|>]", text, re.M):
        producer.produce(topic, value=printed.encode().decode("unicode_escape").encode("latin-1"), partition=0)
        producer.flush(120)
    if text.startswith("printf"):
        return topic
    for line in text.split("\n")[1:text.count("\n") - 1]:
        key, value = line.split("|", 1)
        producer.produce(topic, key=key, value=value or None, partition=0)
    producer.flush(120)
    return topic


def table(text):
    """Of psql's output."""
    return [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if not re.fullmatch(r"[-+]+", line)]


def check(session, text):
    lines = text.splitlines()
    query = "\n".join(line[3:] for line in lines if line.startswith("=> "))
    expected = table("\n".join(line for line in lines if not line.startswith("=> ")))[1:]
    found = lambda: [["" if cell is None else str(cell) for cell in row] for row in session.run(query)]
    try:
        wait_for(lambda: found() == expected, "as it says")
    except AssertionError:
        assert found() == expected, query


def settle(world, topic):
    pipeline = world.db.value("SELECT name FROM millrace.pipelines WHERE topic = %s", (topic,))
    world.wait_settled(pipeline=pipeline, topic=topic)
    published = "SELECT count(*) FROM millrace.dead_letter WHERE published_at IS NULL"
    wait_for(lambda: world.db.value(published) == 0, "dead letters are in their topic")


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe(world, recipe):
    topics = set(re.findall(r"topic => '(\w+)'", RECIPES[recipe]))
    assert topics, recipe
    for topic in topics:
        world.broker.create_topic(topic, 1)
    world.start_ingestor(wait=False)
    with world.db.session("app") as session:
        for language, text in blocks(RECIPES[recipe]):
            if language == "sql":
                for statement in re.split(r";$", text, flags=re.M):
                    if statement.strip():
                        session.run(statement)
            elif text.startswith(("kcat", "printf")):
                settle(world, produce(world, text))
            else:
                check(session, text)
