"""The work that is measured: the peers' events, table, lookup and filter (see README.md of the peers' kit)."""

FIELDS = """id uuid NOT NULL, type text NOT NULL, source text NOT NULL, ts timestamptz NOT NULL,
            value double precision NOT NULL, unit text NOT NULL"""

COLUMNS = "id, type, source, site, ts, value, unit"

TRANSFORM = """
    SELECT event.id, event.type, event.source, site.name AS site, event.ts,
           CASE WHEN event.type = 'temperature' THEN event.value * 9 / 5 + 32 ELSE event.value END AS value,
           CASE WHEN event.type = 'temperature' THEN 'F' ELSE event.unit END AS unit {more}
    FROM event LEFT JOIN site ON site.source = event.source
    WHERE event.type <> 'heartbeat'"""

TABLE = """
    CREATE TABLE readings (
        id uuid NOT NULL, type text NOT NULL, source text NOT NULL, site text NOT NULL, ts timestamptz NOT NULL,
        value double precision NOT NULL {check}, unit text NOT NULL,
        ins_at timestamptz NOT NULL DEFAULT clock_timestamp() {more}, PRIMARY KEY ({key}))"""

# Key of the table: its columns; those that only this key has, and how the transform makes them
KEYS = {
    "uuid": ("id", "", ""),
    "coordinate": ("kafka_partition, kafka_offset", ", kafka_partition int, kafka_offset bigint",
                   ', event.partition AS kafka_partition, event."offset" AS kafka_offset'),
    # 2^20 keys, each as likely as the others
    "million": ("slot", ", slot int", ", ('x' || left(event.id::text, 5))::bit(20)::int AS slot"),
}

SITES = [(f"sensor-{i:04d}", f"site-{i * 7919 % 50 + 1:02d}") for i in range(1, 1001)]


def make_table(db, key="uuid", check=False, kafka_ts=False, pad=False):
    """key: one of KEYS; pad: the padding of the events is stored too, as it is."""
    columns, more, _ = KEYS[key]
    db.run(TABLE.format(key=columns, check="CHECK (value < 1000000)" if check else "",
                        more=more + ", kafka_ts timestamptz" * kafka_ts + ", pad text" * pad))
    if pad:
        db.run("ALTER TABLE readings ALTER pad SET STORAGE EXTERNAL")
    db.run("CREATE TABLE site (source text PRIMARY KEY, name text NOT NULL)")
    for row in SITES:
        db.run("INSERT INTO site VALUES (%s, %s)", row)
    db.run("ANALYZE site")


def make_pipeline(db, topic, key="uuid", kafka_ts=False, workers=2, ordering="none", pad=False):
    """As its users would: the owner is no superuser, the ingestor another role."""
    db.run("CREATE EXTENSION millrace")
    db.run("ALTER TABLE readings OWNER TO app; ALTER TABLE site OWNER TO app")
    db.run("SELECT millrace.grant_ingestor('ingestor')")
    if db.value("SELECT to_regproc('millrace.grant_topics')"):  # an older revision has none
        db.run("SELECT millrace.grant_topics('app', read => ARRAY[%s], dlq => ARRAY[%s])", (topic, topic + ".dlq"))
    more = KEYS[key][2] + ", event.kafka_ts" * kafka_ts + ", event.pad" * pad
    with db.session("app") as session:
        arguments = {"topic": topic, "fields": FIELDS + ", pad text" * pad, "transform": TRANSFORM.format(more=more), "target": "readings",
                     "workers": workers}
        if ordering != "none":  # an older revision, which bench-compare measures, may not have it
            arguments["ordering"] = ordering
        if key == "million":
            arguments.update(on_conflict="update", conflict_key="{slot}")
        call = ", ".join(f"{name} => %({name})s" for name in arguments)
        session.run(f"SELECT millrace.create_pipeline('readings', {call})", arguments)


def make_windows(db, n, recomputed=False):
    """So many windows of a minute, of 1,000 groups each. Recomputed ones need an index."""
    if recomputed:
        db.run("CREATE INDEX ON readings (source, ts)")
    with db.session("app") as session:
        for i in range(n):
            session.run("SELECT millrace.create_window(%s, 'readings', event_time => 'ts', size => '1 min', group_by => '{source}',"
                        " aggregates => 'count(*) AS n, avg(value) AS mean, max(value) AS high')", (f"minute{i}",))


def settled(session):
    """Events settled so far, wherever they ended."""
    return session.value("SELECT coalesce(sum(events), 0)::bigint FROM millrace.stats")


def row_times(db, shares=(0.1, 0.2, 0.9), sample=""):
    """When rows were written: count, the moments of the first and the last, and those of the shares. sample: a clause of
    a table too large to be sorted."""
    return db.run(f"""
        SELECT count(*), extract(epoch FROM min(ins_at))::float8, extract(epoch FROM max(ins_at))::float8,
               percentile_disc(%s) WITHIN GROUP (ORDER BY extract(epoch FROM ins_at)::float8)
        FROM readings {sample}""", (list(shares),))[0]
