"""The dashboards against the types of Grafana's foundation SDK (their queries: test_monitoring.py)."""
import json
import os
import subprocess

import pytest

from lib import paths

GRAFANA = os.path.join(paths.ROOT, "monitoring/grafana")


def check(*directory):
    result = subprocess.run([os.path.join(GRAFANA, "check.sh"), *directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=600)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    return result.returncode, result.stdout


def test_dashboards_fit_the_types_of_grafana():
    status, out = check()
    assert status == 0, out


@pytest.mark.parametrize("what, spoil", [
    ("colour", lambda board: board["panels"][1]["fieldConfig"].update(colour="red")),
    ("graphTooltip", lambda board: board.update(graphTooltip=7)),
    ("legend", lambda board: next(p for p in board["panels"] if p["type"] == "timeseries")["options"]["legend"].update(displayMode="lists")),
])
def test_what_grafana_does_not_know_is_found(tmp_path, what, spoil):
    with open(os.path.join(GRAFANA, "dashboards/overview.json")) as f:
        board = json.load(f)
    spoil(board)
    (tmp_path / "spoilt.json").write_text(json.dumps(board))
    status, out = check(str(tmp_path))
    assert status != 0 and "error TS" in out, f"{what}: {out}"
