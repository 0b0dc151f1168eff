"""An ingestor's lane connection, played by hand: what no real ingestor would stage can be staged here."""
import io
import random
import struct
import time
import zlib

FORMAT_VERSION = 2
PACK = 16  # bit of kind
PARTITION_ENTRY = ">iiqqqqqIi"


def _row(*fields):
    out = struct.pack(">h", len(fields))
    for field in fields:
        out += struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field
    return out


def int2(n):
    return struct.pack(">h", n)


def int4(n):
    return struct.pack(">i", n)


def int8(n):
    return struct.pack(">q", n)


def packed_event(partition, offset, payload, key=None, ts=1_700_000_000_000, kind=0, headers=None):
    """An event as it lies in a pack."""
    out = int8(offset) + int8(ts) + int4(partition) + int2(kind) + bytes(2)
    for field in (key, headers, payload):
        out += int4(-1) if field is None else int4(len(field)) + field + bytes(-len(field) % 4)
    return out


def pack(*events):
    """The payload of a row with kind PACK, of what packed_event() gives."""
    return int4(len(events)) + b"".join(events)


class Batch:
    """Event rows and a trailer. Each partition's entry can say anything, true or not."""

    def __init__(self):
        self.id = random.getrandbits(62)
        self.rows, self.entries, self.of_partition = [], [], {}

    def event(self, partition, offset, payload, key=None, ts=1_700_000_000_000, kind=0, headers=None):
        self.rows.append((partition, offset, payload, key, ts, kind, headers))
        self.of_partition.setdefault(partition, []).append(self.rows[-1])
        return self

    def pack(self, payload):
        """A row with a pack, whatever is in it."""
        self.rows.append((-1, 0, payload, None, 0, PACK, None))
        return self

    def entry(self, partition, epoch, previous, next_offset, rows=None):
        """rows: how many it claims; by default as many as there are."""
        mine = self.of_partition.get(partition, [])
        last = mine[-1] if mine else None
        crc = zlib.crc32((last[3] or b"") + (last[2] or b"")) if last else 0
        self.entries.append(struct.pack(PARTITION_ENTRY, partition, len(mine) if rows is None else rows, epoch, previous,
                                        next_offset, last[1] if last else -1, last[4] if last else -1, crc, 0))
        return self

    def amount(self):
        """Events, and bytes of payload; none for a pack, whatever is in it."""
        events = [row for row in self.rows if row[0] >= 0]
        return len(events), sum(len(row[2] or b"") for row in events)

    def copy_data(self, trailer=True):
        data = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
        for partition, offset, payload, key, ts, kind, headers in self.rows:
            data += _row(int8(self.id), int8(offset), int8(ts), int4(partition), int2(kind), key, headers, payload)
        if trailer:
            record = int4(FORMAT_VERSION) + int4(len(self.entries)) + b"".join(self.entries)
            data += _row(int8(self.id), int8(0), int8(int(time.time() * 1000)), int4(-1), int2(1), None, None, record)
        return data + int2(-1)


class Lane:
    def __init__(self, db, pipeline, preferred=0, user="ingestor"):
        self.session = db.session(user, autocommit=False)
        self.pipeline = pipeline
        row = self._call("SELECT lane, incarnation, segment FROM millrace.lane_open(%s, %s)", (pipeline, preferred))[0]
        self.lane, self.incarnation, self.segment = row
        self.epochs, self.positions = {}, {}

    def _call(self, sql, params):
        rows = self.session.run(sql, params)
        self.session.connection.commit()
        return rows

    def assign(self, partitions):
        for partition, epoch, position in self._call(
                "SELECT partition, epoch, next_offset FROM millrace.assign(%s, %s, %s)", (self.pipeline, self.lane, partitions)):
            self.epochs[partition], self.positions[partition] = epoch, position
        return self

    def stage(self, batch, trailer=True, commit=True):
        """One transaction, as the ingestor's; raises what stage() raises."""
        partitions = sorted(self.epochs)
        try:
            self.session.run("SELECT millrace.stage(%s, %s, %s, %s, %s, %s)",
                             (self.lane, self.incarnation, partitions, [self.epochs[p] for p in partitions], *batch.amount()))
            with self.session.connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {self.segment} FROM STDIN (FORMAT binary)", io.BytesIO(batch.copy_data(trailer)))
        except Exception:
            self.session.connection.rollback()
            raise
        if commit:
            self.session.connection.commit()
        else:
            self.session.connection.rollback()

    def send(self, partition, payloads, **more):
        """A right batch of one partition."""
        position = self.positions[partition]
        batch = Batch()
        for i, payload in enumerate(payloads):
            batch.event(partition, position + i, payload, **more)
        batch.entry(partition, self.epochs[partition], position, position + len(payloads))
        self.stage(batch)
        self.positions[partition] += len(payloads)

    def next_segment(self, wait_ms=5000):
        """Goes on in the next segment."""
        self.segment = self._call("SELECT millrace.lane_next(%s, %s, %s)", (self.lane, self.incarnation, wait_ms))[0][0]

    def close(self):
        self.session.close()
