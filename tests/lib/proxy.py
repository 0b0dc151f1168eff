"""A TCP proxy before PostgreSQL that can cut a connection between a COMMIT and its answer, or hold up some of its clients."""
import os
import select
import socket
import struct
import threading


class Proxy:
    """Listens on 127.0.0.1:port, forwards to the server's socket. With cut_every = n each n-th CopyDone is
    passed on, the server's answer is awaited and thrown away, and the connection is closed."""

    def __init__(self, cluster, cut_every=0):
        self.upstream = os.path.join(cluster.dir, ".s.PGSQL.5432")
        self.cut_every = cut_every
        self.cuts = self.copies = 0
        self.blocked = threading.Event()  # set: nothing is forwarded, connections stay open
        self.holds = None  # bytes: clients whose start-up message has them wait while this is set
        self.held = 0
        self.refuses = None  # bytes: clients whose start-up message has them are hung up on while this is set
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, database, user):
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} sslmode=disable gssencmode=disable"

    def close(self):
        self._closed = True
        self._listener.close()

    def _accept(self):
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.upstream)
            self._hold(client)
            self._pump(client, server)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def _hold(self, client):
        first = client.recv(1 << 16, socket.MSG_PEEK)
        if self.refuses and self.refuses in first:
            raise ConnectionRefusedError
        if self.holds and self.holds in first:
            with self._lock:
                self.held += 1
            while self.holds and not self._closed:
                threading.Event().wait(0.02)

    def _pump(self, client, server):
        frames = Frames()
        while True:
            if self.blocked.is_set():
                self.blocked_wait()
                continue
            for source in select.select([client, server], [], [], 0.2)[0]:
                data = source.recv(1 << 16)
                if not data:
                    return
                if source is server:
                    client.sendall(data)
                    continue
                done = frames.feed(data)
                server.sendall(data)
                if done and self._cut_now(done):
                    # the answer means that the transaction has ended, well or not
                    server.settimeout(10)
                    server.recv(1 << 16)
                    return

    def blocked_wait(self):
        while self.blocked.is_set():
            threading.Event().wait(0.02)

    def _cut_now(self, done):
        with self._lock:
            self.copies += done
            if self.cut_every and self.copies // self.cut_every > (self.copies - done) // self.cut_every:
                self.cuts += 1
                return True
        return False


class Frames:
    """Counts the CopyDone messages in what a client sends."""

    def __init__(self):
        self.buffer = b""
        self.skip = 0
        self.started = False

    def feed(self, data):
        done = 0
        if self.skip >= len(data):
            self.skip -= len(data)
            return 0
        self.buffer += data[self.skip:]
        self.skip = 0
        while True:
            header = 5 if self.started else 8
            if len(self.buffer) < header:
                return done
            if self.started:
                kind, length = self.buffer[:1], struct.unpack(">I", self.buffer[1:5])[0] + 1
                done += kind == b"c"
            else:
                length, code = struct.unpack(">II", self.buffer[:8])
                self.started = code == 196608  # the start-up message; else a cancel or encryption request
            if len(self.buffer) < length:
                self.skip = length - len(self.buffer)
                self.buffer = b""
                return done
            self.buffer = self.buffer[length:]
