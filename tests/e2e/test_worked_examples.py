"""The worked examples of docs/windows.md and docs/statistics.md, on the weather data they were printed from: what is typed there
is typed here, and what comes out is compared with what is printed."""
import os
import re
import subprocess

import pytest

from lib import paths, transcript
from lib.wait import wait_for

PARTITIONS = 12
EVENTS = 235035
CHANGES = ("roles", "station", "weather", "pipeline")  # of migrations/, the extension is there
WINDOWS, STATISTICS = transcript.sections("windows.md"), transcript.sections("statistics.md")


class Page:
    """A session with settings that last from one block to the next, as one who reads on has them."""

    def __init__(self, db, user):
        self.db, self.user, self.settings = db, user, ""

    def run(self, statement):
        return transcript.psql(self.db, self.user, f"{self.settings}{statement}\n")

    def type(self, text):
        """Each statement of a block, whose output is as printed where there is some."""
        for statement, printed in transcript.typed(text):
            if statement.startswith("SET "):
                self.settings += statement + "\n"
            elif printed:
                found = self.run(statement)
                assert transcript.matches(found, printed), "\n".join([statement, "printed:", *printed, "found:", *found])
            else:
                self.run(statement)


@pytest.fixture(scope="module")
def year(broker):
    """A year of New York's weather, in the topic for whoever reads it."""
    broker.create_topic("weather", PARTITIONS)
    subprocess.run([os.path.join(paths.ROOT, "build/bin/millrace-weather"), "--brokers", broker.address, "--topic", "weather", "--partitions", str(PARTITIONS),
                    os.path.join(paths.ROOT, "loadtest/data/weather.csv.gz")], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def weather(year, world):
    """With the tables that the pipelines look things up in."""
    for change in CHANGES:
        with open(os.path.join(paths.ROOT, "migrations/deploy", change + ".sql"), encoding="utf-8") as f:
            world.db.run(f.read())
    world.db.run("GRANT SELECT ON station, unit TO app")
    return world


def settle(world, pipeline):
    world.start_ingestor(wait=False)
    wait_for(lambda: world.db.value("SELECT events FROM millrace.stats WHERE pipeline = %s", (pipeline,)) == EVENTS, "a year has come")


def sql(section):
    return [text for language, text in transcript.blocks(section) if language == "sql"]


def sessions(section):
    return [text for language, text in transcript.blocks(section) if text.startswith(transcript.PROMPT)]


def test_windows(weather):
    page = Page(weather.db, "app")
    for statement in transcript.statements(sql(WINDOWS["An example"])[0]):
        page.run(statement + ";")
    settle(weather, "observations")
    for heading in ("An example", "Sessions", "Recipes"):
        assert sessions(WINDOWS[heading]), heading
        for text in sessions(WINDOWS[heading]):
            page.type(text)

    # aggregates of rows that are removed are kept
    # whatever is closed meanwhile
    days = "SELECT to_jsonb(w) - '{closed,final}'::text[] FROM millrace.window_by_day AS w ORDER BY window_start, station, quantity;"
    had = page.run(days)
    for statement in transcript.statements(sql(WINDOWS["Removed rows"])[0]):
        page.run(statement + ";")
    assert weather.db.value("SELECT count(*) FROM observation") == 0
    assert page.run(days) == had
    # the other verbs are accepted as they are printed, but for what is left out there; the window is dropped last
    for heading in ("Closed, final, late", "Publishing", "Other verbs"):
        for text in sorted((t for t in sql(WINDOWS[heading]) if "…" not in t), key=lambda t: "drop_window" in t):
            for statement in transcript.statements(text):
                page.run(statement if statement.endswith("\\gexec") else statement + ";")


def cells(line):
    return [cell.strip() for cell in line.split("|")]


def test_statistics(weather):
    page = Page(weather.db, "weather_owner")
    for text in sql(STATISTICS["By type"]):
        page.run(text)
    settle(weather, "weather")
    wait_for(lambda: weather.db.value("SELECT lag FROM millrace.stats WHERE pipeline = 'weather'") == 0, "the lag is known to be gone")

    # in which batch a row gives way to another one depends on where batches end, and the order on which type came first
    def totals(lines):
        rows = [cells(line) for line in lines if "|" in line]
        assert rows[0] == ["type", "events", "written", "filtered", "superseded", "failed", "dead_lettered"]
        return {row[0]: (row[1], int(row[2]) + int(row[4]), row[3], *row[5:]) for row in rows[1:]}
    (statement, printed), = transcript.typed(sessions(STATISTICS["By type"])[0])
    found = totals(page.run(statement))
    assert len(totals(printed)) == 5 and totals(printed).items() <= found.items(), found

    # all the others: the same columns, of whatever values, but for those that do not depend on the clock
    for heading in ("Rates", "Latency", "Minutes", "Metrics"):
        for text in sessions(STATISTICS[heading]):
            for statement, printed in transcript.typed(text):
                assert cells(page.run(statement)[0]) == cells(printed[0]), statement
    for text in sql(STATISTICS["Latency"]):
        page.run(text)
    (statement, printed), = transcript.typed(sessions(STATISTICS["Metrics"])[0])
    metrics = lambda lines: sorted(re.sub(r"\s+", " ", line) for line in lines[2:])
    wait_for(lambda: metrics(page.run(statement)) == metrics(printed), "as printed")
