"""The API behind nginx, with the configuration of docs/api.md: streams, addresses, names, bodies, and what is malformed."""
import base64
import http.client
import os
import re
import shutil
import socket
import time

import pytest

from lib import paths
from lib.api import read_all
from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.malformed import MALFORMED
from lib.process import Process, free_port
from lib.wait import wait_for

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
NAME = "events.example"
USER = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode(), "Host": NAME}

# Around the block of the documentation: nothing of the machine's own nginx is touched.
MAIN = """
daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1; {user}
events {{ worker_connections 200; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  {block}
}}
"""


class Nginx:
    """A client of it is one of the API: connect(), port."""

    def __init__(self, api):
        self.dir = os.path.join(paths.run_dir(), "nginx")
        os.makedirs(self.dir)
        with open(os.path.join(paths.ROOT, "docs/api.md"), encoding="utf-8") as f:
            block = re.search(r"^```\n# nginx\n(.*?)^```", f.read(), re.M | re.S)[1]
        self.port = free_port()
        users = os.path.join(self.dir, "users")
        with open(users, "w", encoding="utf-8") as f:
            f.write("ann:{PLAIN}secret\n")
        for there, here in (("127.0.0.1:8080", f"127.0.0.1:{api.port}"), ("listen 80;", f"listen 127.0.0.1:{self.port};"), ("/etc/nginx/api.htpasswd", users)):
            assert block.count(there) == 1, there
            block = block.replace(there, here)
        file = os.path.join(self.dir, "nginx.conf")
        with open(file, "w", encoding="utf-8") as f:
            f.write(MAIN.format(dir=self.dir, block=block, user="user root;" if os.geteuid() == 0 else ""))
        self.process = Process([NGINX, "-e", os.path.join(self.dir, "error.log"), "-c", file], os.path.join(self.dir, "out"))
        wait_for(lambda: not self.process.alive() or self.is_there(), "nginx listens")
        assert self.process.alive(), self.process.tail()

    def is_there(self):
        try:
            self.connect(5).connect()
            return True
        except OSError:
            return False

    def connect(self, timeout=60, source="127.0.0.2"):
        """From another address than its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(source, 0))

    def request(self, method, path, headers=None, body=None):
        connection = self.connect()
        connection.request(method, path, body, dict(USER, **(headers or {})))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data


@pytest.fixture(scope="module")
def web(cluster):
    if NGINX is None:
        pytest.skip("nginx is not installed")
    world = ApiWorld(cluster, "api_proxy")
    world.db.run("ALTER TABLE events ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id(); CREATE INDEX ON events (xid, id)")
    world.db.run("INSERT INTO events (id, type, time, topic, partition, \"offset\") SELECT gen_random_uuid(), 'a', now() - i * interval '1 s', 'events', 0, i"
                 " FROM generate_series(1, 300) AS i")
    world.start("--trusted-proxy", "127.0.0.1", "--allow-host", NAME, "--access-log", "all")
    world.nginx = Nginx(world.api)
    yield world
    world.nginx.process.kill()
    world.close()


def test_requests(web):
    connection = web.nginx.connect()
    connection.request("GET", "/events")
    assert connection.getresponse().status == 401, "nginx asks who it is"
    answer, body = web.nginx.request("GET", "/events?limit=100", {"Accept-Encoding": "gzip"})
    assert (answer.status, answer.getheader("content-encoding")) == (200, "gzip")
    path = re.search(r"<([^>]*)>; rel=\"next\"", answer.getheader("link"))[1]
    assert web.nginx.request("GET", path)[0].status == 200
    answer, body = web.nginx.request("GET", "/openapi.json")
    assert web.nginx.request("GET", "/openapi.json", {"If-None-Match": answer.getheader("etag")})[0].status == 304
    head, nothing = web.nginx.request("HEAD", "/openapi.json")
    assert (head.getheader("content-length"), nothing) == (str(len(body)), b"")
    answer, body = web.nginx.request("GET", "/events?typ=a")
    assert (answer.status, answer.getheader("content-type")) == (400, "application/problem+json") and b"MR-110" in body
    # an escaped slash is part of an id, and no folder
    assert b'"instance":"/events/a%2Fb"' in web.nginx.request("GET", "/events/a%2Fb")[1]
    # a body that nginx takes by itself, and one that neither takes
    assert b"MR-506" in web.nginx.request("POST", "/events", {"Content-Type": "application/json"}, "x" * 9_000_000)[1]
    assert web.nginx.request("POST", "/events", {"Content-Type": "application/json"}, "x" * 10_485_761)[0].status == 413


def test_whose_request_it_is(web):
    """nginx says from where it came; what the client itself has written does not count. Other names are none of ours, and pages of
    other origins change nothing."""
    def client(name, **headers):
        web.nginx.request("GET", "/" + name, {k.replace("_", "-"): v for k, v in headers.items()})
        line = wait_for(lambda: re.search(rf"path=/{name} .*from=(\S+)", web.api.log_text()), "it is in the log")
        return line[1]

    assert client("plain") == "127.0.0.2"
    assert client("spoofed", X_Forwarded_For="203.0.113.9") == "127.0.0.2"
    assert client("list", X_Forwarded_For="203.0.113.9, 127.0.0.1") == "127.0.0.2"
    assert web.nginx.request("GET", "/events?limit=1", {"Host": "evil.example"})[0].status == 421
    for origin, code in ((f"http://{NAME}", b"MR-506"), ("http://evil.example", b"MR-203")):
        assert code in web.nginx.request("POST", "/events?eventType=a", {"Origin": origin})[1], origin
    assert web.nginx.request("GET", "/")[0].getheader("content-security-policy")


def test_streams(web):
    """Events come as they are sent, not when a buffer is full; the place to go on from goes through."""
    began = time.monotonic()
    stream = EventStream(web.nginx, "/events/all", USER)
    assert stream.status == 200 and stream.next().name == "message" and stream.next().name == "message"
    stream.close()
    stream = EventStream(web.nginx, "/events/stream?fields=type", USER)
    assert stream.line() == "retry: 2000"
    row = "INSERT INTO events (id, type, time, topic, partition, \"offset\") VALUES (gen_random_uuid(), %s, now(), 'stream', 0, %s)"
    web.db.run(row, ("first", 1))
    first = stream.next()
    assert first.json() == {"type": "first"}
    stream.close()
    web.db.run(row, ("second", 2))
    stream = EventStream(web.nginx, "/events/stream?fields=type", dict(USER, **{"Last-Event-ID": first.id}))
    assert stream.next().json() == {"type": "second"}
    stream.close()
    assert time.monotonic() - began < 50, "before proxy_read_timeout"
    wait_for(lambda: web.api.metric("millrace_api_streams") == 0, "nginx closes what its clients have left")


def test_what_is_malformed(web):
    """Two that read a request differently let one of them be smuggled: nothing behind a malformed one gets to the API, whichever of
    the two refuses it."""
    for _, data, _, _ in MALFORMED:
        data = data.replace(b"\r\n", b"\r\nAuthorization: " + USER["Authorization"].encode() + b"\r\n", 1)
        with socket.create_connection(("127.0.0.1", web.nginx.port), timeout=30) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            read_all(s)
    assert any(b"/smuggled" in data for _, data, _, _ in MALFORMED)
    web.nginx.request("GET", "/after-them")
    wait_for(lambda: "path=/after-them" in web.api.log_text(), "the log has what came")
    assert "smuggled" not in web.api.log_text()
