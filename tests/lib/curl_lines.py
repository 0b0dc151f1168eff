"""The curl lines of docs/api.md, and what is printed below each."""
import json
import os
import re
import subprocess

from . import paths
from .process import Process
from .transcript import blocks
from .wait import wait_for

# What is another each time, of whatever route
VARYING = (
    (r"events:\d+:\d+", "events:P:O"), (r'"partition" ?: ?\d+', '"partition":P'), (r'"offset" ?: ?"\d+"', '"offset":"O"'),
    (r"00-[0-9a-f]{32}-[0-9a-f]{16}-", "00-T-S-"), (r'"trace_id":"[0-9a-f]{32}"', '"trace_id":"T"'), (r"^Date: .*", "Date: D"),
    (r"^Content-Length: \d+$", "Content-Length: N"), (r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d"', '"TIME"'),
    # the id of an event of a stream: SYSTEM.SINCE, or SYSTEM.SINCE.UNTIL.XID.ID
    (r"^id: 1\.[^.\n]+\.[^.\n]+$", "id: S.S"), (r"^id: 1\.[^.\n]+\.[^.\n]+\.[^.\n]+\.\d+\.", "id: S.S.U.X."))
# More of it, in what is said of a pipeline that runs: figures, times without a fraction, what moves on
LIVE = ((r'"[\d-]+T[\d:.]+[+-][\d:]+"', '"TIME"'), (r'"(\w+)" ?: ?(?:"-?\d+"|-?\d+(?:\.\d+)?|null)(?=[,}\s])', r'"\1":N'))


def page():
    with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
        return f.read()


def curl_lines():
    """[(command, what is printed)] of all code blocks: behind a prompt, or, of which nothing is printed, without."""
    found = []
    for _, block in blocks(page()):
        if block.startswith("$ "):
            found += [tuple(part.partition("\n")[::2]) for part in ("\n" + block).split("\n$ ")[1:]]
        else:
            found += [(line, "") for line in block.splitlines()]
    return [(command, printed) for command, printed in found if re.search(r"\bcurl ", command) and not command.startswith("#")]


def routes():
    """{(method, path)} of the document."""
    with open(os.path.join(paths.ROOT, "api/resource/openapi.json"), encoding="utf-8") as f:
        return {(method.upper(), path) for path, methods in json.load(f)["paths"].items() for method in methods}


def route_of(command):
    """(method, path) that a curl line asks: a path that is written out wins over a parameter."""
    path = re.search(r"localhost:8080([^'?\s]*)", command)[1] or "/"
    method = re.search(r" -X (\w+)", command)
    sends = re.search(r" (-d|--data\S*) ", command) and " -G " not in command
    method = method[1] if method else "POST" if sends else "GET"
    fitting = [p for m, p in routes() if m == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)), path)]
    return method, min(fitting, key=lambda p: p.count("{"), default=None)


def masked(text, live=False):
    for pattern, instead in VARYING + (LIVE if live else ()):
        text = re.sub(pattern, instead, text, flags=re.M)
    return text.strip()


def pattern_of(printed, live=False):
    """What is printed, with ... for anything."""
    return ".*?".join(re.escape(part) for part in masked(printed, live).split("..."))


def printed_by(command, api):
    run = subprocess.run(["bash", "-c", _at(command, api)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert run.returncode == 0, (command, run.stderr)
    return run.stdout.replace("\r", "")


def check(command, printed, api, live=False, every=None):
    """It prints that, of what prints nothing here no refusal; with every, when it is given again after some seconds."""
    def found():
        return masked(printed_by(command, api), live)

    def is_as_printed():
        return re.fullmatch(pattern_of(printed, live), found(), re.S) if printed else '"code":"MR-' not in found()

    try:
        assert wait_for(is_as_printed, command, every=every) if every else is_as_printed()
    except AssertionError:
        raise AssertionError(f"{command}\n{masked(printed, live)}\n{found()}")


def check_stream(command, printed, api, begun=lambda text: None, live=False):
    """An endless answer begins with that. begun: called, again and again, with what has come."""
    log = os.path.join(paths.run_dir(), f"curl-{api.port}.log")
    process = Process(["bash", "-c", f"exec {_at(command, api)} 2>/dev/null"], log)

    def text():
        with open(log, encoding="utf-8") as f:
            return f.read()

    def is_as_printed():
        begun(text())
        return re.match(pattern_of(printed, live), masked(text(), live), re.S)

    try:
        wait_for(text, "the stream begins")
        wait_for(is_as_printed, command)
    except AssertionError as e:
        raise AssertionError(f"{e}; {masked(printed, live)!r} {masked(text(), live)!r}")
    finally:
        process.kill()


def _at(command, api):
    return command.replace("localhost:8080", f"localhost:{api.port}")
