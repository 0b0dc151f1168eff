"""Clients of the API while the load runs: readers that ask at a rate of their own, whether answers are quick or not, and
streams that stay open."""
import http.client
import threading
import time
import urllib.parse

PATHS = ("/events?limit=100", "/events?limit=1", "/events/all", "/pipelines")
STREAM = "/events/all"
TIMEOUT = 10


class Client(threading.Thread):
    """A connection that is made again when it breaks; each break is an error."""

    def __init__(self, api, key):
        super().__init__(daemon=True)
        self.url = urllib.parse.urlsplit(api)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.ended = threading.Event()
        self.errors = {}  # what went wrong: how often

    def connect(self):
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        return kind(self.url.hostname, self.url.port, timeout=TIMEOUT)

    def failed(self, what):
        if not self.ended.is_set():
            self.errors[what] = self.errors.get(what, 0) + 1

    def stop(self):
        self.ended.set()


class Reader(Client):
    """An open model, as k6 has: a request is due when it is due, and how long it took counts from then."""

    def __init__(self, api, key, rate, number):
        super().__init__(api, key)
        self.every, self.number = 1 / rate, number
        self.took = []  # (when it was due, seconds), monotonic

    def run(self):
        connection = self.connect()
        due, n = time.monotonic() + self.every * self.number / 16, self.number
        while not self.ended.wait(max(due - time.monotonic(), 0)):
            try:
                connection.request("GET", PATHS[n % len(PATHS)], headers=self.headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failed(f"status {answer.status}")
                self.took.append((due, time.monotonic() - due))
            except (OSError, http.client.HTTPException) as e:
                self.failed(type(e).__name__)
                connection.close()
                connection = self.connect()
            due, n = due + self.every, n + 1
        connection.close()


class Stream(Client):
    """Follows the statistics; silence of some seconds is an error."""

    def __init__(self, api, key):
        super().__init__(api, key)
        self.events = 0

    def run(self):
        while not self.ended.is_set():
            connection = self.connect()
            try:
                connection.request("GET", STREAM, headers={**self.headers, "Accept": "text/event-stream"})
                answer = connection.getresponse()
                if answer.status != 200:
                    self.failed(f"stream: status {answer.status}")
                    self.ended.wait(1)
                while answer.status == 200 and not self.ended.is_set():
                    line = answer.readline()
                    if not line:
                        self.failed("stream: closed")
                        break
                    self.events += line.startswith(b"data:")
            except (OSError, http.client.HTTPException) as e:
                self.failed(f"stream: {type(e).__name__}")
                self.ended.wait(1)
            finally:
                connection.close()


class Clients:
    def __init__(self, api, key, readers, rate, streams):
        """rate: requests/s of each reader."""
        self.readers = [Reader(api, key, rate, i) for i in range(readers if api else 0)]
        self.streams = [Stream(api, key) for _ in range(streams if api else 0)]

    def start(self):
        for client in (*self.readers, *self.streams):
            client.start()

    def stop(self):
        for client in (*self.readers, *self.streams):
            client.stop()
        for client in (*self.readers, *self.streams):
            client.join(TIMEOUT + 1)

    def errors(self):
        total = {}
        for client in (*self.readers, *self.streams):
            for what, n in list(client.errors.items()):
                total[what] = total.get(what, 0) + n
        return total

    def latencies(self, since=0.0):
        """Seconds that requests due since then took, in order of time."""
        return [took for reader in self.readers for due, took in list(reader.took) if due >= since]
