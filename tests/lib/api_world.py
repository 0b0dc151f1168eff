"""What a test of the API has: a database with a table of events, and an API that serves it."""
from .api import Api
from .world import ensure_roles

SCHEMA = """
    CREATE TABLE events (
        id uuid PRIMARY KEY, type text NOT NULL, source text, time timestamptz NOT NULL, value double precision, note text,
        number bigint, doc jsonb, topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL);
    CREATE INDEX ON events (time, id);
    CREATE INDEX ON events (type, time, id);
    CREATE INDEX ON events (value, time, id);
    CREATE UNIQUE INDEX ON events (topic, partition, "offset");
    GRANT SELECT ON events TO web;
"""

# Three events have each time, so that pages end between equal ones.
ROWS = """
    INSERT INTO events
    SELECT md5(i::text)::uuid, (ARRAY['temperature', 'humidity', 'pressure'])[i % 3 + 1], 'sensor-' || i %% 7,
           timestamptz '2026-01-01' + i / 3 * interval '1 s', i / 8.0, NULL, 9007199254740993 + i, jsonb_build_object('i', i),
           'events', i %% 4, i / 4
    FROM generate_series(%s, %s) AS i
""".replace("i % 3 + 1", "i %% 3 + 1")


class ApiWorld:
    def __init__(self, cluster, name):
        self.cluster = cluster
        ensure_roles(cluster, "web")
        self.db = cluster.create_database(name)
        self.db.run("CREATE EXTENSION millrace")
        self.db.run("SELECT millrace.grant_api('web')")
        self.db.run(SCHEMA)
        self.rows = 0
        self.api = None

    def fill(self, rows):
        self.db.run(ROWS, (self.rows, self.rows + rows - 1))
        self.rows += rows
        self.db.run("ANALYZE events")

    def start(self, *options, dsn=None, tls=None):
        self.api = Api(dsn or self.db.dsn("web"), *options, tls=tls).start()
        return self.api

    def close(self):
        if self.api:
            self.api.kill()
        self.db.drop()


READINGS = """
    CREATE TABLE reading (id int PRIMARY KEY, site text, at timestamptz NOT NULL, value double precision);
    INSERT INTO reading SELECT i, (ARRAY['roof', 'cellar', NULL, 'a"b'])[i % 4 + 1], timestamptz '2026-01-01' + i * interval '10 s', i
        FROM generate_series(0, 239) AS i;
    ALTER TABLE reading OWNER TO app;
    GRANT USAGE, CREATE ON SCHEMA public TO app;
    SELECT millrace.grant_topics('app', read => '{events}', dlq => '{*}');
"""


def add_windows(world):
    """Two windows, by groups and without, over a table with 40 minutes of readings."""
    ensure_roles(world.cluster, "app")
    world.db.run(READINGS)
    with world.db.session("app") as app:
        app.run("SELECT millrace.create_pipeline('readings', topic => 'events', fields => 'id int NOT NULL, site text, at timestamptz NOT NULL, value float8',"
                " transform => 'SELECT id, site, at, value FROM event', target => 'reading')")
        app.run("SELECT millrace.create_window('by_minute', 'readings', event_time => 'at', size => '1 min', group_by => '{site}',"
                " aggregates => 'count(*) AS n, avg(value) AS mean', backfill => true)")
        app.run("SELECT millrace.create_window('all', 'readings', event_time => 'at', size => '1 h', aggregates => 'max(value) AS top', backfill => true)")
        for name in ("by_minute", "all"):
            app.run("CALL millrace.wait_for_window(%s)", (name,))
