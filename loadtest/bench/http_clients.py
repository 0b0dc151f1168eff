"""Many clients of the API that are connected and do nothing, and what they cost it."""
import contextlib
import re
import resource
import socket
import time

from lib.process import private_mb

SPARE = 500  # descriptors that are needed besides
AT_ONCE = 100  # that ask at the same time: a stream that begins reads for itself


def allow(connections):
    """Files that this process and those it starts may have open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < connections + SPARE:
        raise SystemExit(f"bench-api: {connections:,} connections need more open files than the {most:,} that are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ask(s, path, accept="application/json"):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())


def is_answer(data):
    """A whole answer with a length?"""
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end and length) and len(body) >= int(length[1])


def is_event(data):
    """Up to the end of a chunk that ends an event?"""
    return data.endswith(b"\n\n\r\n")


def read(s, is_whole):
    """What comes until it is that."""
    data = b""
    while not is_whole(data):
        piece = s.recv(65536)
        if not piece:
            raise SystemExit(f"bench-api: a connection was closed behind {data[-200:]!r}")
        data += piece
    return data


@contextlib.contextmanager
def connected(api, count, path, accept, is_whole):
    """So many connections, each with the answer to its first request."""
    sockets = []
    try:
        while len(sockets) < count:
            begun = len(sockets)
            for _ in range(min(AT_ONCE, count - begun)):
                sockets.append(socket.create_connection(("127.0.0.1", api.port), timeout=60))
                ask(sockets[-1], path, accept)
            for s in sockets[begun:]:
                data = read(s, lambda data: is_whole(data) or is_answer(data))
                if not data.startswith(b"HTTP/1.1 200 "):
                    raise SystemExit(f"bench-api: {path} is answered with {data.decode()}")
        yield sockets
    finally:
        for s in sockets:
            s.close()


def streams(system, count):
    """Memory of the API for each of so many clients of /events/stream, and how long a row takes to reach all of them."""
    api = system.start_api("--max-streams", str(count), "--heartbeat", "3600s", "--idle-timeout", "3600s")
    before = private_mb(api.process.pid)
    with connected(api, count, "/events/stream?fields=id", "text/event-stream", is_event) as clients:
        after = private_mb(api.process.pid)
        begin = time.monotonic()
        system.db.run("INSERT INTO events (id, type, source, time, topic, partition, \"offset\") VALUES (gen_random_uuid(), 'a', 's', now(), 'bench', 99, %s)",
                      (time.time_ns(),))
        for client in clients:
            read(client, lambda data: b"data: " in data and is_event(data))
        fan_out = time.monotonic() - begin
    api.stop()
    return {"clients": count, "kib_per_client": (after - before) * 1024 / count, "rss_mb": after, "fan_out_ms": fan_out * 1000}


def connections(system, count, measure):
    """Memory of the API for each of so many open connections, and what measure(api) gives beside them."""
    api = system.start_api("--max-connections", str(count + SPARE), "--idle-timeout", "3600s")
    before = private_mb(api.process.pid)
    with connected(api, count, "/events?limit=1&fields=id", "application/json", is_answer) as clients:
        after = private_mb(api.process.pid)
        figures = measure(api)
        for client in clients:  # each is still served
            ask(client, "/events?limit=1&fields=id")
            read(client, is_answer)
    api.stop()
    return dict(figures, open=count, kib_per_connection=(after - before) * 1024 / count)
