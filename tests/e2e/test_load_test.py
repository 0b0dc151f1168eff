"""The load tests themselves: they find what is there, and their exit status says whether a level was missed."""
import json
import os
import subprocess
import sys

import pytest

from lib import paths
from lib.api_world import ApiWorld
from lib.wait import wait_for

LOAD = os.path.join(paths.ROOT, "loadtest")


def run(*args, timeout=600, **env):
    result = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
                            env=dict(os.environ, **env))
    return result.returncode, result.stdout


def load(world, name, *more):
    return run(sys.executable, f"{LOAD}/load/load.py", "--dsn", world.db.dsn("app"), "--brokers", world.broker.address, "--topic", world.topic,
               "--pipeline", world.pipeline_name, "--name", name, "--max-drain-s", 60, "--max-p99-ms", 0, "--min-rate-share", 0.1, *more)


def report(name):
    with open(os.path.join(paths.BUILD, "loadtest", name + ".json")) as f:
        kept = json.load(f)
    with open(os.path.join(paths.BUILD, "loadtest", name + ".html")) as f:
        page = f.read()
    assert "uPlot" in page and "http://" not in page.split("<script>")[0]
    return kept


def test_load_on_a_running_system(world):
    """Each shape that needs something of its own, in small; nothing is lost where the consumer stops; a level that cannot be met."""
    world.create_topic()
    world.create_pipeline()
    world.start_ingestor().wait_ready()
    status, out = load(world, "test-skew", "--rate", 2000, "--seconds", 2, "--shape", "skew", "--seed", 7)
    assert status == 0, out
    kept = report("test-skew")
    assert kept["figures"]["outcomes"] == {"rows and dead letters": [4000, 4000]} and all(level["met"] for level in kept["levels"])
    assert world.db.value("SELECT count(*) FROM reading WHERE source = 'sensor-0001'") > 1800
    status, out = load(world, "test-stop", "--rate", 500, "--seconds", 4, "--shape", "stop", "--seed", 8)
    assert status == 0 and "ok     rows and dead letters as generated: 2,000" in out, out
    wait_for(lambda: world.db.value("SELECT status FROM millrace.pipelines") == "running", "it runs")
    status, out = load(world, "test-missed", "--rate", 500, "--seconds", 1, "--seed", 9, "--min-rate-share", 1.5)
    assert status == 1 and "MISSED rate achieved" in out, out
    status, out = run(sys.executable, f"{LOAD}/load/load.py", "--dsn", world.db.dsn("app"), "--brokers", world.broker.address, "--pipeline", "other")
    assert status != 0 and "there is no pipeline 'other'" in out, out


@pytest.fixture(scope="module")
def served(cluster):
    whole = ApiWorld(cluster, "load_api")
    whole.fill(3000)
    whole.start()
    yield f"http://127.0.0.1:{whole.api.port}"
    whole.close()


def test_wrk(served):
    status, out = run(f"{LOAD}/wrk/api.sh", served, "ramp", 4, 1, MAX_P99_MS="30000", MAX_ERROR_SHARE="0.5")
    assert status == 0 and out.count("ok     ") == 4, out
    status, out = run(f"{LOAD}/wrk/api.sh", served, "steady", 2, 1, MAX_P99_MS="0")
    assert status == 1 and "MISSED" in out, out


@pytest.mark.parametrize("script", ["wrk/api.sh", "jmeter/api.sh"])
@pytest.mark.parametrize("wrong, said", [((), "URL"), (("localhost",), "localhost"), (("http://x", "steep"), "steady, ramp, spike or soak"),
                                         (("http://x", "steady", "0"), "0"), (("http://x", "steady", "1", "1m"), "1m")])
def test_wrong_arguments_are_named(script, wrong, said):
    status, out = run(f"{LOAD}/{script}", *wrong)
    assert (status, out.count("\n")) == (2, 1) and said in out and "SECONDS" in out, out


def test_jmeter(served):
    status, out = run(f"{LOAD}/jmeter/fetch.sh")
    if status != 0:
        pytest.skip(out.strip())
    status, out = run(f"{LOAD}/jmeter/api.sh", served, "spike", 10, 6, MAX_P99_MS="10000", END_S="15")
    assert status == 0, out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("ok")] == ["all", "by", "list"], out
    assert os.path.exists(os.path.join(paths.BUILD, "loadtest/jmeter/report/index.html"))
    status, out = run(f"{LOAD}/jmeter/api.sh", served + "1", "steady", 2, 2, END_S="3")
    assert status == 1 and "MISSED" in out, out


def test_k6_script_fits_its_types():
    status, out = run(f"{LOAD}/k6/check.sh")
    if status == 77:
        pytest.skip(out.strip())
    assert status == 0, out
