"""TLS: what is served in clear text is served over it, handshakes have a deadline, certificates are replaced and refused."""
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from lib import paths
from lib.api import Answer, read_all, split_answers
from lib.api_world import ApiWorld
from lib.event_stream import EventStream
from lib.malformed import MALFORMED
from lib.secure import Authority, certificate
from lib.wait import wait_for


class Web(ApiWorld):
    """An API with TLS; the files that it reads may be replaced."""

    def __init__(self, cluster, directory):
        super().__init__(cluster, "api_tls")
        self.fill(2000)
        self.authority = Authority(directory)
        self.certificate, self.key = self.authority.path("served.crt"), self.authority.path("served.key")
        self.serve(*self.authority.issue("first"))
        self.client = ssl.create_default_context(cafile=self.authority.file)
        self.client.set_alpn_protocols(["h2", "http/1.1"])

    def serve(self, certificate, key):
        for new, path in ((certificate, self.certificate), (key, self.key)):
            shutil.copy(new, path + ".new")
            os.rename(path + ".new", path)

    def start(self, *options):
        return super().start("--tls-certificate", self.certificate, "--tls-key", self.key, "--head-timeout", "4s",
                             "--idle-timeout", "10min", *options, tls=self.client)

    def serial(self):
        """Of the certificate that a new connection is served."""
        with self.api.socket() as s:
            return int(s.getpeercert()["serialNumber"], 16)


@pytest.fixture(scope="module")
def web(cluster, tmp_path_factory):
    world = Web(cluster, tmp_path_factory.mktemp("tls"))
    world.start()
    yield world
    world.close()


def test_requests(web):
    """One connection, many requests; the protocol is agreed on."""
    connection = web.api.connect()
    for i in range(20):
        answer = web.api.request("GET", f"/events?limit=1000&number=gte.{9007199254740993 + i}" if i % 2 else "/events?limit=1", connection=connection)
        assert answer.status in (200, 400) and len(answer.body) == int(answer.headers["content-length"])
    rows = web.api.request("GET", "/events?limit=1000&fields=id,number,doc", {"Accept-Encoding": "identity"}, connection=connection)
    assert rows.status == 200 and len(rows.json()) == 1000
    assert web.api.request("HEAD", "/events?limit=1", connection=connection).body == b""
    assert web.api.request("POST", "/events", body=b"a" * (10 << 20), connection=connection).status == 503
    assert connection.sock.selected_alpn_protocol() == "http/1.1" and connection.sock.version() == "TLSv1.3"
    connection.close()


def test_malformed_requests(web):
    """The guard looks at what was decrypted: the same answers, a byte at a time too, and an end that is no cut."""
    wrong = []
    for number, (name, data, status, code) in enumerate(MALFORMED):
        with web.api.socket() as s:
            try:
                for piece in ([bytes([b]) for b in data] if number % 8 == 1 and len(data) < 300 else [data]):
                    s.sendall(piece)
                answers = split_answers(read_all(s))
            except (ssl.SSLError, BrokenPipeError, ConnectionResetError) as e:
                answers = [(repr(e), {}, b"")]
        if [a[0] for a in answers] != [status] or f'"code":"{code}"'.encode() not in answers[0][2]:
            wrong.append((name, status, code, answers))
    assert not wrong


def test_pipelined_requests(web):
    n = 1000
    requests = b"".join(b"GET /none/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i for i in range(n))
    answers = split_answers(web.api.raw(requests + b"GET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    assert len(answers) == n + 1 and all(b"/none/%d\"" % i in a[2] for i, a in enumerate(answers[:n]))


def test_100_continue(web):
    with web.api.socket() as s:
        s.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"abc")
        assert split_answers(read_all(s))[0][0] == 503


def test_a_slow_reader_gets_all_of_its_answers(web):
    """More than the kernel keeps: the rest waits, and nothing of it is lost or comes twice."""
    one = web.api.get("/events?limit=1000", Accept_Encoding="identity")
    request = b"GET /events?limit=1000 HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    with web.api.socket(timeout=30) as s:
        s.sendall(request % b"" * 30 + request % b"Connection: close\r\n")
        wait_for(lambda: web.api.metric("millrace_api_buffered_bytes") > 0, "an answer waits")
        answers = split_answers(read_all(s))
    assert len(answers) == 31 and all(a[0] == 200 and a[2] == one.body for a in answers)
    wait_for(lambda: web.api.metric("millrace_api_buffered_bytes") == 0, "nothing is left")


def test_a_client_that_leaves(web):
    """Its query is cancelled: the table it waits for is locked by the test."""
    cancels = web.api.metric("millrace_api_query_cancels_total")
    with web.db.session(autocommit=False) as holder:
        holder.run("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        s = web.api.socket()
        s.sendall(b"GET /events?limit=7 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: web.api.metric("millrace_api_pool_running") >= 1, "it waits for the lock", 20)
        s.close()
        wait_for(lambda: web.api.metric("millrace_api_query_cancels_total") > cancels, "it is cancelled", 20)


def test_handshakes(web):
    """What is not TLS, ends too late, or asks for another protocol is closed and counted; others are served meanwhile."""
    def refused():
        return web.api.metric("millrace_api_tls_refused_total")

    before = refused()
    silent = socket.create_connection(("127.0.0.1", web.api.port), timeout=30)
    partial = socket.create_connection(("127.0.0.1", web.api.port), timeout=30)
    partial.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert web.api.get("/events?limit=1").status == 200
    for s in (silent, partial):
        assert s.recv(1) == b"", "after --head-timeout; --idle-timeout is longer than the test waits"
        s.close()
    with socket.create_connection(("127.0.0.1", web.api.port), timeout=30) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in read_all(s)
    other = ssl.create_default_context(cafile=web.authority.file)
    other.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", web.api.port), timeout=30) as s:
        other.wrap_socket(s, server_hostname="127.0.0.1")
    wait_for(lambda: refused() - before == 4, "each is counted", 20)
    assert web.api.get("/events?limit=1").status == 200


def test_a_certificate_is_replaced(web):
    """By SIGHUP; connections that are open go on, and files that are wrong change nothing."""
    old = web.api.connect()
    assert web.api.request("GET", "/events?limit=1", connection=old).status == 200
    first, expires = web.serial(), web.api.metric("millrace_api_tls_expires_timestamp_seconds")
    web.serve(*web.authority.issue("second", days=5))
    web.api.process.signal(signal.SIGHUP)
    wait_for(lambda: web.serial() != first, "the new one is served", 20)
    assert web.api.metric("millrace_api_tls_expires_timestamp_seconds") > expires + 2 * 86400
    assert web.api.request("GET", "/events?limit=1", connection=old).status == 200
    old.close()
    second = web.serial()
    for name, spoil in (("no certificate", lambda: web.serve(os.devnull, web.key)),
                        ("key of another", lambda: web.serve(web.authority.issue("third")[0], web.authority.issue("fourth")[1]))):
        said = web.api.log_text().count("could not read the certificate")
        spoil()
        web.api.process.signal(signal.SIGHUP)
        wait_for(lambda: web.api.log_text().count("could not read the certificate") == said + 1, name, 20)
        assert web.serial() == second
    assert "The one of before is served" in web.api.log_text()


def test_what_cannot_be_served(web, tmp_path):
    """At the start: status 2, and a text that names the option, what was found and what was expected."""
    good, key = web.authority.issue("good")
    encrypted = str(tmp_path / "encrypted.key")
    subprocess.run(["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:secret", "-out", encrypted], check=True, stderr=subprocess.DEVNULL)
    rsa = certificate("rsa", str(tmp_path))[0]
    missing = str(tmp_path / "missing.crt")
    for options, text in ((["--tls-certificate", good], "--tls-certificate needs --tls-key, too"),
                          (["--tls-key", key], "--tls-key needs --tls-certificate, too"),
                          (["--tls-certificate", missing, "--tls-key", key], f'--tls-certificate is "{missing}", expected a file in PEM format with the certificate and those that signed it: No such file or directory'),
                          (["--tls-certificate", key, "--tls-key", key], "no start line"),
                          (["--tls-certificate", good, "--tls-key", encrypted], "without a password"),
                          (["--tls-certificate", good, "--tls-key", web.authority.key], "key values mismatch"),
                          (["--tls-certificate", good, "--tls-key", rsa], f'expected the private key of the certificate in "{good}": it is of another algorithm'),
                          (["--tls-certificate", web.authority.issue("old", days=-1)[0], "--tls-key", web.authority.path("old.key")], "has expired"),
                          (["--tls-certificate", good, "--tls-key", key, "--tls-minimum", "1.1"], "1.2")):
        for check in (["--check-config"], []):
            done = subprocess.run([paths.program("millrace-api"), *options, *check], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2 and text in done.stderr, (options, done)


def test_streams(web):
    """Events as they come, and an end that is whole when the service stops; in this world nothing is started after it."""
    web.serve(*web.authority.issue("last"))
    web.api.kill()
    api = web.start("--tls-minimum", "1.3")
    old = ssl.create_default_context(cafile=web.authority.file)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", api.port), timeout=30) as s:
        old.wrap_socket(s, server_hostname="127.0.0.1")
    streams = [EventStream(api, "/events/all", timeout=30) for _ in range(20)]
    for s in streams:
        assert s.status == 200 and s.next().json() == {"pipelines": []}
    assert all(s.next().json() == {"pipelines": []} for s in streams)
    assert api.stop() == 0
    for s in streams:
        while s.next() is not None:  # IncompleteRead: the end was cut off
            pass
