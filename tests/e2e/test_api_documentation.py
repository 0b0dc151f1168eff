"""What docs/api.md prints below its curl lines, where that is not a list of the test's own rows (tests/e2e/test_api_events.py)."""
import os
import re
import subprocess

import pytest

from lib import paths
from lib.publish_world import Whole
from lib.wait import wait_for


@pytest.fixture(scope="module")
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_documentation")
    yield whole
    whole.close()


def commands_of_the_documentation():
    """[(command, what it prints)] of docs/api.md's blocks that begin with a prompt."""
    with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
        blocks = re.findall(r"^```\n(\$ .*?)^```", f.read(), re.M | re.S)
    return [tuple(part.partition("\n")[::2]) for block in blocks for part in ("\n" + block).split("\n$ ")[1:]]


def unplaced(text):
    """Without what is another each time: coordinates, traces, dates."""
    for pattern, instead in ((r"events:\d+:\d+", "events:P:O"), (r'"partition":\d+', '"partition":P'), (r'"offset":"\d+"', '"offset":"O"'),
                             (r"00-[0-9a-f]{32}-[0-9a-f]{16}-", "00-T-S-"), (r"^Date: .*", "Date: D"), (r"^Content-Length: 6\d$", "Content-Length: 6N")):
        text = re.sub(pattern, instead, text, flags=re.M)
    return text.strip()


def printed_by(command, api):
    run = subprocess.run(["bash", "-c", command.replace("localhost:8080", f"localhost:{api.port}")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, timeout=120)
    assert run.returncode == 0, (command, run.stderr)
    return unplaced(run.stdout.replace("\r", ""))


def test_the_documentation_is_what_is_printed(whole):
    """Its curl lines for POST /events, dry runs, other origins, traces and limits, as they are written, by a shell."""
    options = {"/dry-run": ("--operate-dsn", whole.db.dsn("events_owner"), "--anonymous", "read,publish,operate"), "OPTIONS": ("--cors-origin", "https://app.example"), "for i in": ("--rate-limit", "1", "--rate-burst", "2"),
               "-X POST 'http://localhost:8080/events": (), "--data-binary": (), "traceparent": ()}
    seen = set()
    for command, printed in commands_of_the_documentation():
        kind = next((k for k in options if k in command), None)
        if kind is None:
            continue
        api = whole.start_api(*options[kind])
        try:
            for _ in range(2 if "Idempotency-Replayed" in printed else 1):
                found = printed_by(command, api)
            # the third of three requests is refused when it comes within a second
            wait_for(lambda: kind != "for i in" or printed_by(command, api) == unplaced(printed), "one is refused", every=3)
            assert kind == "for i in" or found == unplaced(printed), command
        finally:
            api.kill()
        seen.add(kind)
    assert seen == set(options)
