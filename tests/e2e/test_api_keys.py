"""Who may do what: keys and their scopes, requests without a key, and keys that are revoked."""
import http.client
import os
import signal
import subprocess

import pytest

from lib import paths
from lib.api import Api, killed_at_the_end
from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.keys import Keys
from lib.wait import wait_for

SCOPES = ("read", "publish", "operate")
# A route of each scope, and the status when it is allowed: nothing is published here, and there is no such pipeline.
ROUTES = {"read": ("GET", "/events", 200), "publish": ("POST", "/events?eventType=a", 503), "operate": ("POST", "/pipelines/x/pause", 404)}


@pytest.fixture(scope="module")
def web(cluster):
    world = ApiWorld(cluster, "api_keys")
    world.fill(10)
    yield world
    world.close()


@pytest.fixture
def start(web):
    with killed_at_the_end(lambda *options, ready=True, **more: Api(web.db.dsn("web"), "--operate-dsn", web.db.dsn("web"), *options, **more).start(wait=ready)) as run:
        yield run


@pytest.fixture
def keys(tmp_path):
    return Keys(str(tmp_path / "keys"))


def outcome(answer):
    return answer.status, answer.json().get("code") if answer.status >= 400 else None


def test_scopes(start, keys):
    """Each key may use the routes of its scopes; without a key nothing is served, and a wrong one is never anonymous."""
    keys.write(**{scope: scope for scope in SCOPES}, all="read,publish,operate")
    api = start("--keys", keys.path, "--wrong-keys", "0")
    for scope, (method, path, status) in ROUTES.items():
        for name in (*SCOPES, "all"):
            answer = api.request(method, path, dict(keys.header(name), Host="api.example:80", Origin="http://other.example"))
            if name in (scope, "all"):
                assert answer.status == status, (name, path, answer)
            else:
                assert outcome(answer) == (403, "MR-205"), (name, path, answer)
                assert answer.headers["www-authenticate"] == f'Bearer realm="millrace", error="insufficient_scope", scope="{scope}"'
        for wrong in ({}, {"Authorization": "Bearer " + keys.text("none")}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"},
                      {"Authorization": keys.text("all")}):
            answer = api.request(method, path, wrong)
            assert outcome(answer) == (401, "MR-201"), (wrong, path, answer)
            assert answer.headers["www-authenticate"] == 'Bearer realm="millrace"' + (', error="invalid_token"' if wrong else "")
    assert EventStream(api, "/events/all").status == 401
    assert api.get("/nothing").status == 404
    # what it is for is no secret
    assert api.get("/openapi.json").status == 200
    assert not any(keys.text(name) in api.log_text() for name in (*SCOPES, "all"))


def test_guessing(start, keys):
    """An address that has sent too many wrong keys is asked to wait with the next. The right key is answered, whoever else is behind the
    address; other addresses, as a trusted proxy says, and requests without a key are none of its matter."""
    api = start("--keys", keys.write(right="read").path, "--anonymous", "read", "--wrong-keys", "2", "--trusted-proxy", "127.0.0.1")

    def ask(name, address):
        return api.get("/events?limit=1", X_Forwarded_For=address, **({"Authorization": f"Bearer {keys.text(name)}"} if name else {}))

    def is_refused(answer):
        return outcome(answer) == (429, "MR-306") and 1 <= int(answer.headers["retry-after"]) <= 30

    def guess(address):
        """Until it is refused."""
        assert outcome(ask("none", address)) == (401, "MR-201")
        answers = (ask("none", address) for _ in range(20))
        assert is_refused(next(answer for answer in answers if answer.status != 401))

    guess("203.0.113.1")
    assert ask("right", "203.0.113.1").status == 200
    assert is_refused(ask("none", "203.0.113.1"))
    assert ask(None, "203.0.113.1").status == 200
    assert outcome(ask("none", "203.0.113.2")) == (401, "MR-201")
    # a network of IPv6 is one client, in the log, too
    guess("2001:db8::1")
    assert all(is_refused(ask("none", f"2001:db8::{i}")) for i in range(2, 10))
    assert ask("right", "2001:db8::ffff").status == 200
    assert outcome(ask("none", "2001:db8:0:1::1")) == (401, "MR-201")
    log = api.log_text()
    assert log.count("an address sends wrong keys") == 2 and "203.0.113.2" not in log and keys.text("none") not in log


def test_without_keys(start):
    """Read and publish; operate when asked for, as a browser's page of another host cannot."""
    api = start()
    assert [outcome(api.request(*ROUTES[s][:2])) for s in SCOPES] == [(200, None), (503, "MR-506"), (403, "MR-205")]
    assert outcome(api.get("/events", Authorization="Bearer x")) == (200, None)
    api = start("--anonymous", "operate")
    assert [outcome(api.request(*ROUTES[s][:2])) for s in SCOPES] == [(403, "MR-205"), (403, "MR-205"), (404, "MR-403")]
    method, path, _ = ROUTES["operate"]
    assert outcome(api.request(method, path, {"Host": "evil.example"})) == (421, "MR-118")
    assert outcome(api.request(method, path, {"Origin": "http://evil.example"})) == (403, "MR-203")
    assert outcome(api.request(method, path, {"Sec-Fetch-Site": "cross-site"})) == (403, "MR-203")


def test_with_keys_and_without(start, keys):
    """What is allowed without a key is so for our own hosts and pages only; a key serves from anywhere."""
    api = start("--keys", keys.write(ops="operate").path, "--anonymous", "read,publish", "--allow-host", "api.example")
    assert [outcome(api.request(*ROUTES[s][:2])) for s in SCOPES] == [(200, None), (503, "MR-506"), (401, "MR-201")]
    assert outcome(api.request("GET", "/events", {"Host": "evil.example"})) == (421, "MR-118")
    assert outcome(api.request("GET", "/events", {"Host": "api.example"})) == (200, None)
    assert outcome(api.request("POST", ROUTES["publish"][1], {"Origin": "http://evil.example"})) == (403, "MR-203")
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert outcome(api.request(*ROUTES["operate"][:2], dict(keys.header("ops"), **header))) == (404, "MR-403")


def test_where_it_may_listen(start, keys):
    def refused(*options):
        api = start(*options, address="0.0.0.0", ready=False)
        wait_for(lambda: not api.process.alive(), "it ends")
        return api.log_text()

    keys.write(all="read,publish,operate")
    assert "there are no keys" in refused()
    assert "--anonymous has operate" in refused("--keys", keys.path, "--anonymous", "operate")
    assert "could not read the keys" in refused("--keys", keys.path + ".none")
    assert "--anonymous is not a list of scopes" in refused("--anonymous", "write")
    api = start("--keys", keys.path, address="0.0.0.0")
    assert api.request("GET", "/events", dict(keys.header("all"), Host="api.example")).status == 200
    assert "clear text" in api.log_text()


def test_rotation(start, keys):
    """SIGHUP: the streams of revoked keys are closed, the others go on; a file that is wrong changes nothing."""
    api = start("--keys", keys.write(old="read", narrowed="read,operate", kept="read", other="operate").path)
    streams = {name: EventStream(api, "/events/all", keys.header(name)) for name in ("old", "narrowed", "kept")}
    assert all(s.next().name == "message" for s in streams.values())
    keys.write(new="read", narrowed="operate", kept="read,publish")
    os.kill(api.process.pid, signal.SIGHUP)
    for name in ("old", "narrowed"):
        with pytest.raises(http.client.IncompleteRead):
            streams[name].read_to_end()
    assert streams["kept"].next().name == "message" and streams["kept"].next().name == "message"
    wait_for(lambda: api.metric("millrace_api_streams_revoked_total") == 2, "both are counted")

    def status(name):
        return api.request("GET", "/events", keys.header(name)).status

    assert [status(name) for name in ("old", "narrowed", "other", "new", "kept")] == [401, 403, 401, 200, 200]
    with open(keys.path, "a", encoding="utf-8") as f:
        f.write("one two\n")
    os.kill(api.process.pid, signal.SIGHUP)
    wait_for(lambda: "revoked keys still hold" in api.log_text(), "the log says so")
    assert "line 5: it does not have three parts" in api.log_text()
    assert status("new") == 200 and streams["kept"].next().name == "message"
    for s in streams.values():
        s.close()


def test_a_new_key(start, keys):
    program = paths.program("millrace-api")
    key, line = subprocess.check_output([program, "--new-key", "ops:read,operate"], text=True).splitlines()
    with open(keys.path, "w", encoding="utf-8") as f:
        f.write(line + "\n")
    assert key not in line
    assert start("--keys", keys.path).request("GET", "/events", {"Authorization": f"Bearer {key}"}).status == 200
    for wrong in ("ops", "ops:all", "o ps:read", ":read"):
        run = subprocess.run([program, "--new-key", wrong], capture_output=True, text=True)
        assert run.returncode == 2 and "expected NAME:SCOPE" in run.stderr, wrong
