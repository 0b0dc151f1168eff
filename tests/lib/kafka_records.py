"""DeleteRecords, which the Python client of Debian 12 lacks: the request by hand (version 0)."""
import socket
import struct


def _text(s):
    return struct.pack(">h", len(s)) + s.encode()


def delete_records(broker, topic, partition, before_offset):
    """Moves the low watermark of a partition to an offset."""
    body = struct.pack(">i", 1) + _text(topic) + struct.pack(">iiqi", 1, partition, before_offset, 10000)
    header = struct.pack(">hhi", 21, 0, 1) + _text("millrace-test")
    with socket.create_connection(("127.0.0.1", broker.port), 10) as s:
        s.sendall(struct.pack(">i", len(header + body)) + header + body)
        size = struct.unpack(">i", _read(s, 4))[0]
        answer = _read(s, size)
    # correlation, throttle, topics(1), name, partitions(1), partition, low watermark, error
    low, error = struct.unpack(">qh", answer[-10:])
    assert error == 0, f"DeleteRecords: error {error}"
    assert low == before_offset


def _read(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        assert piece, "the broker hung up"
        data += piece
    return data
