"""A client of server-sent events, as WHATWG HTML (section 9.2.6) has it parse a stream."""
import http.client
import json
import socket

from .wait import LIMIT


class Event:
    def __init__(self, name, id, data):
        self.name, self.id, self.data = name, id, data

    def json(self):
        return json.loads(self.data)


class EventStream:
    """The answer to a request, event by event; what is not read stays in the socket."""

    def __init__(self, api, path, headers=None, timeout=LIMIT, receive_buffer=None):
        self.connection = api.connect(timeout)
        if receive_buffer:
            self.connection.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.connection.sock.settimeout(timeout)
            self.connection.sock.connect(("127.0.0.1", api.port))
        self.connection.request("GET", path, headers=dict({"Accept": "text/event-stream"}, **(headers or {})))
        self.socket = self.connection.sock  # which the connection forgets when the answer closes it
        self.response = self.connection.getresponse()
        self.headers = {k.lower(): v for k, v in self.response.getheaders()}
        self.status, self.retry, self.comments, self.last_id = self.response.status, None, 0, ""
        self.text, self.ended = b"", False

    def next(self):
        """The next event; None: the stream has ended as it should. IncompleteRead: it broke off."""
        name, data = "message", []
        while True:
            line = self.line()
            if line is None:
                assert not data, "the stream ended within an event"
                return None
            field, _, value = line.partition(": ")
            if line == "":
                if data:
                    return Event(name, self.last_id, "\n".join(data))
                name = "message"
            elif line.startswith(":"):
                self.comments += 1
            elif field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                self.last_id = value
            elif field == "retry":
                self.retry = int(value)

    def line(self):
        """http.client's own readline() takes a stream that broke off for one that ended."""
        while b"\n" not in self.text:
            if self.ended:
                return None
            size = int(self.response.fp.readline() or b"-1", 16)
            chunk = self.response.fp.read(size) if size > 0 else b""
            if size < 0 or len(chunk) < size or self.response.fp.read(2) != b"\r\n":
                raise http.client.IncompleteRead(self.text)
            self.text += chunk
            self.ended = size == 0
        line, self.text = self.text.split(b"\n", 1)
        return line.decode()

    def read_to_end(self):
        events = []
        while (event := self.next()) is not None:
            events.append(event)
        return events

    def close(self):
        """As a client that leaves in the middle."""
        self.response.close()
        self.connection.close()


def open_stream(api, query="", last_id=None, **more):
    """One of /events/stream that has begun."""
    stream = EventStream(api, "/events/stream" + query, {"Last-Event-ID": last_id} if last_id else None, **more)
    assert stream.status == 200, stream.response.read()
    return stream
