"""The programs under a service manager: what is said to it, its units, --check-config."""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from lib import paths
from lib.api import Api
from lib.ingestor import run_once
from lib.process import Process
from lib.wait import wait_for

UNITS = os.path.join(paths.ROOT, "packaging/systemd")
PROGRAMS = ("millrace-ingestor", "millrace-api")


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_hears_of_life_and_end(program, tmp_path):
    """READY=1 when the loop runs, WATCHDOG=1 while it turns, STOPPING=1 at SIGTERM; no server is needed for it."""
    name = f"@millrace-test-{os.getpid()}-{program}"  # abstract: nothing to remove
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:])
        manager.settimeout(120)
        brokers = ["--brokers", "127.0.0.1:1"] if program == "millrace-ingestor" else ["--listen", "127.0.0.1:0"]
        process = Process([paths.program(program), "--dsn", "host=/nowhere", "--admin-listen", "off", *brokers], str(tmp_path / "log"),
                          env=dict(os.environ, NOTIFY_SOCKET=name, WATCHDOG_USEC="200000"))
        try:
            assert manager.recv(100) == b"READY=1"
            assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            # a loop that hangs says nothing: systemd would start it again
            process.signal(signal.SIGSTOP)
            manager.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    manager.recv(100)
            process.signal(signal.SIGCONT)
            manager.settimeout(120)
            process.signal(signal.SIGTERM)
            while manager.recv(100) != b"STOPPING=1":
                pass
        finally:
            process.kill()


@pytest.mark.parametrize("program", PROGRAMS)
def test_units(program, tmp_path):
    """systemd finds nothing to complain about, and the program may do little."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    with open(os.path.join(UNITS, program + ".service")) as f:
        text = f.read()
    unit = tmp_path / (program + ".service")
    unit.write_text(text.replace(f"/usr/bin/{program}", paths.program(program)))
    sockets = glob.glob(os.path.join(UNITS, program + ".socket"))
    for path in sockets:
        shutil.copy(path, tmp_path)
    units = [str(unit), *(str(tmp_path / os.path.basename(path)) for path in sockets)]
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ours = [line for line in result.stdout.splitlines() if program in line]
    assert result.returncode == 0 and ours == [], result.stdout
    assert re.search(r"^Type=notify$", text, re.M) and re.search(r"^RestartPreventExitStatus=2$", text, re.M)


def config(program, *options):
    result = subprocess.run([paths.program(program), "--check-config", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                            env={k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE", "PG"))})
    return result.returncode, result.stdout, result.stderr


def test_check_config(tmp_path):
    """0 and a word, or 2 and what is wrong with which option; nothing is connected to."""
    for program, good in (("millrace-ingestor", ("--brokers", "nowhere:1", "--dsn", "host=nowhere")), ("millrace-api", ("--dsn", "host=nowhere"))):
        assert config(program, *good) == (0, f"{program}: the options are valid\n", "")
        file = tmp_path / "options.conf"
        file.write_text("log-level = loud\n")
        for wrong, names in ((("--admin-listen", "here"), ("admin-listen", "here", "ADDRESS:PORT")), (("--dsn", "host=x secret"), ("connection string",)),
                             (("--log-format", "xml"), ("log-format", "xml")), (("--config", str(file)), ("log-level", "loud", "options.conf")),
                             (("--nothing",), ("nothing",))):
            status, out, error = config(program, *good, *wrong)
            assert (status, out) == (2, ""), wrong
            assert all(name in error for name in names) and "secret" not in error, error
    assert config("millrace-ingestor", "--brokers", "x:1", "-X", "no.such=1")[0] == 2
    assert config("millrace-ingestor")[0] == 2  # no brokers
    assert config("millrace-api", "--listen", "80")[0] == 2
    assert run_once("--admin-listen", "here", "--brokers", "x:1")[0] == 2  # likewise without it


def test_fields_of_the_log_are_documented():
    """Those that a call in the sources names, and no others; each is text or a number, never now this and now that."""
    kinds = {"time": "STR", "level": "STR", "program": "STR", "msg": "STR"}
    for name in glob.glob(os.path.join(paths.ROOT, "common/*.c")) + [n for p in ("ingestor", "api") for n in glob.glob(os.path.join(paths.ROOT, p, "**/*.c"), recursive=True)]:
        with open(name) as f:
            for kind, field in re.findall(r'MR_(STR|INT)\(\s*"(\w+)"', f.read()):
                assert kinds.setdefault(field, kind) == kind, f"{field} in {name}"
    with open(os.path.join(paths.ROOT, "docs/logging.md")) as f:
        rows = re.findall(r"^\| (`.*?`) \|", f.read(), re.M)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(kinds)


def test_logs_of_all_programs_have_one_shape(world):
    """docs/logging.md: JSON objects with time, level, program, msg; pipeline and partition are named where they apply."""
    world.create_topic(2)
    world.create_pipeline()
    ingestor = world.start_ingestor("--log-format", "json")
    ingestor.wait_ready()
    api = Api(world.db.dsn("postgres"), "--log-format", "json").start(wait=False)
    try:
        wait_for(lambda: os.path.getsize(api.log) > 0, "the API says something")
        for log in (ingestor.log, api.log):
            with open(log) as f:
                lines = [json.loads(line) for line in f if line.endswith("\n")]
            assert lines
            for line in lines:
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
                assert line["level"] in ("error", "warn", "info", "debug") and line["program"] in PROGRAMS and line["msg"]
        with open(ingestor.log) as f:
            assert any(json.loads(line).get("pipeline") == world.pipeline_name for line in f)
    finally:
        api.process.kill()
