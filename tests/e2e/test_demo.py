"""make demo: it starts all there is, and the lines that it prints at its end work."""
import json
import os
import re
import shutil
import subprocess

import pytest

from lib import paths
from lib.process import Process
from lib.wait import wait_for

DEMO = os.path.join(paths.ROOT, "loadtest/demo")


@pytest.fixture
def demo(tmp_path):
    """What it prints; it is a demo of its own, beside one that may run in the work tree."""
    if shutil.which("sqitch") is None:
        pytest.skip("sqitch is not installed")
    environment = dict(os.environ, MILLRACE_DEMO=str(tmp_path / "demo"))
    try:
        yield subprocess.run([DEMO + "/start.sh"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=True).stdout
    finally:
        stopped = subprocess.run([DEMO + "/stop.sh"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        assert "demo: stopped" in stopped.stdout, stopped.stdout


@pytest.mark.alone
def test_its_lines_work(demo, tmp_path):
    drawn = demo[demo.index("A window of one day"):demo.index("What failed and why")]
    assert all(f" {station} " in drawn for station in ("EWR", "JFK", "LGA")) and drawn.count("█") > 3 * 31, drawn
    (address,) = re.findall(r"^ +API +(http://localhost:\d+)$", demo, re.M)
    (psql,) = re.findall(r"^ +(psql .*)$", demo, re.M)
    post, get, window, *streams = re.findall(r"^ +(curl .*)$", demo, re.M)
    assert len(streams) == 2 and all(address in line for line in (post, get, window, *streams))

    def printed(command):
        return subprocess.check_output(["bash", "-c", command], text=True, timeout=120)

    place = json.loads(printed(post))
    row = wait_for(lambda: next((r for r in json.loads(printed(get)) if r["offset"] == place["offset"]), None), "it is processed")
    assert (row["type"], row["value"], row["unit"]) == ("Temperature", 30, "°C")
    assert [day["station"] for day in json.loads(printed(window))] == ["JFK"] * 3
    for i, (line, wanted) in enumerate(zip(streams, ('"type":"Temperature"', '"weather"'))):
        log = str(tmp_path / f"stream-{i}")
        reader = Process(["bash", "-c", line.replace("curl ", "exec curl -s ")], log)
        wait_for(lambda f=log: "retry: 2000" in open(f, encoding="utf-8").read(), "the stream begins")
        printed(post)
        wait_for(lambda f=log, w=wanted: w in open(f, encoding="utf-8").read(), "an event comes")
        reader.kill()
    assert printed(psql.replace("psql ", "psql -X -At -c 'SELECT count(*) > 0 FROM events' ")).strip() == "t"
    assert "<title>" in printed(f"curl -s {address}/")
