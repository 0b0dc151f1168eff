"""Each route of the service: the scope that it needs, and that a page of another site posts to none of them."""
import os
import re

import pytest

from lib import paths
from lib.api import Api, killed_at_the_end
from lib.api_world import ApiWorld
from lib.keys import Keys

SCOPES = ("read", "publish", "operate")
# The scope of each route, a path that it serves, and the status when it is allowed: there is an event, but no broker, pipeline,
# dead letter, window or column to follow.
ROUTES = {
    "GET /events": ("read", "/events", 200),
    "POST /events": ("publish", "/events?eventType=a", 503),
    "GET /events/all": ("read", "/events/all", 200),
    "GET /events/stream": ("read", "/events/stream", 404),
    "GET /events/{id}": ("read", "/events/events:0:0", 200),
    "GET /events/{id}/status": ("operate", "/events/events:0:0/status", 404),
    "GET /dead-letters": ("operate", "/dead-letters", 200),
    "POST /dead-letters/replay": ("operate", "/dead-letters/replay", 400),
    "POST /dead-letters/discard": ("operate", "/dead-letters/discard", 400),
    "GET /dead-letters/groups": ("operate", "/dead-letters/groups", 200),
    "GET /dead-letters/{id}": ("operate", "/dead-letters/1", 404),
    "GET /pipelines": ("read", "/pipelines", 200),
    "GET /pipelines/{name}": ("read", "/pipelines/x", 404),
    "GET /pipelines/{name}/state": ("read", "/pipelines/x/state", 404),
    "GET /pipelines/{name}/history": ("read", "/pipelines/x/history", 404),
    "POST /pipelines/{name}/pause": ("operate", "/pipelines/x/pause", 404),
    "POST /pipelines/{name}/resume": ("operate", "/pipelines/x/resume", 404),
    "POST /pipelines/{name}/dry-run": ("operate", "/pipelines/x/dry-run", 404),
    "GET /windows": ("read", "/windows", 200),
    "GET /windows/{name}": ("read", "/windows/x", 404),
    "GET /doctor": ("read", "/doctor", 200),
    "GET /openapi.json": (None, "/openapi.json", 200),
    "GET /docs": (None, "/docs", 200),
    "GET /": (None, "/", 200),
    "GET /page/{file}": (None, "/page/page.css", 200),
}
REFUSED = {"MR-201", "MR-202", "MR-203", "MR-204", "MR-205"}  # of all that 401 and 403 say


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_scopes")
    world.fill(1)
    yield world
    world.close()


@pytest.fixture
def start(web):
    with killed_at_the_end(lambda *options: Api(web.db.dsn("web"), "--operate-dsn", web.db.dsn("web"), *options).start()) as run:
        yield run


def ask(api, route, headers=None):
    """(status, code)"""
    answer = api.request(route.split()[0], ROUTES[route][1], headers)
    is_problem = answer.headers["content-type"] == "application/problem+json"
    return answer.status, answer.json()["code"] if is_problem else None


def is_allowed(route, outcome):
    return outcome[0] == ROUTES[route][2] and outcome[1] not in REFUSED


def test_each_route_is_here():
    with open(os.path.join(paths.ROOT, "api/resource/routes.c"), encoding="utf-8") as f:
        found = re.findall(r'\{MR_METHOD_(\w+), "([^"]+)"', f.read())
    assert [f"{method} {path}" for method, path in found] == list(ROUTES)


def test_keys(start, tmp_path):
    """A key is allowed on the routes of its scope and on those that need none; without a key, on the latter alone."""
    keys = Keys(str(tmp_path / "keys")).write(**{scope: scope for scope in SCOPES}, all=",".join(SCOPES))
    api = start("--keys", keys.path, "--wrong-keys", "0")
    for route, (scope, *_) in ROUTES.items():
        assert is_allowed(route, ask(api, route, keys.header("all"))), route
        for name in SCOPES:
            outcome = ask(api, route, keys.header(name))
            assert is_allowed(route, outcome) if scope in (name, None) else outcome == (403, "MR-205"), (route, name, outcome)
        for headers in ({}, {"Authorization": "Bearer " + keys.text("none")}):
            outcome = ask(api, route, headers)
            assert is_allowed(route, outcome) if scope is None and not headers else outcome == (401, "MR-201"), (route, headers, outcome)


@pytest.mark.parametrize("anonymous", (*SCOPES, None))
def test_without_keys(start, anonymous):
    """What --anonymous names is for whoever comes, and no more: read and publish, when it is not given."""
    api = start(*(["--anonymous", anonymous] if anonymous else []))
    for route, (scope, *_) in ROUTES.items():
        outcome = ask(api, route)
        expected = scope is None or scope == anonymous or anonymous is None and scope != "operate"
        assert is_allowed(route, outcome) if expected else outcome == (403, "MR-205"), (route, outcome)


def test_pages_of_other_sites(start, tmp_path):
    """None of them may post without a key, whatever the route: publish, replay, discard, pause, resume, dry-run. What reads is
    theirs to send, as the answer is not theirs to see; and who has a key may be anywhere."""
    keys = Keys(str(tmp_path / "keys")).write(all=",".join(SCOPES))
    api = start("--keys", keys.path, "--anonymous", ",".join(SCOPES))
    own = f"http://127.0.0.1:{api.port}"
    foreign = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
               {"Origin": own, "Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"})
    posts = [route for route in ROUTES if route.startswith("POST ")]
    assert len(posts) == 6
    for route in ROUTES:
        for headers in foreign:
            outcome = ask(api, route, headers)
            assert outcome == (403, "MR-203") if route in posts else is_allowed(route, outcome), (route, headers, outcome)
        for headers in ({}, {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, dict(foreign[0], **keys.header("all"))):
            assert is_allowed(route, ask(api, route, headers)), (route, headers)
