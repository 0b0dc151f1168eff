"""How values are read is the definition's: what the preview shows is what is written, whatever database and role have set."""
import json

from lib.wait import wait_for

from test_target_changes import Feed

OTHERWISE = {"DateStyle": "German, MDY", "TimeZone": "Asia/Tokyo", "IntervalStyle": "sql_standard", "bytea_output": "escape",
             "extra_float_digits": "-10", "lc_monetary": "C", "array_nulls": "off", "xmlbinary": "hex"}
TABLE = """
    CREATE TABLE t (n int PRIMARY KEY, day date, at timestamptz, local timestamp, took interval, h bytea, days daterange, x float8,
                    cast_day date, shown text)"""
FIELDS = ("n int, day date, at timestamptz EPOCH ms, local timestamp OTHER_ZONE 'convert', took interval, h bytea BYTEA_FORMAT hex, "
          "days daterange, x float8 NUMBER_STYLE comma, later text")
TRANSFORM = """
    SELECT n, day, at, local, took, h, days, x, later::date AS cast_day,
           concat_ws(' ', at, day, took, h, x, '2026-05-03 10:00'::timestamptz, to_char(at, 'HH24 TZ')) AS shown FROM event"""
SAMPLES = ['{"n":1,"day":"03/05/2026","at":1767225600123,"local":"2026-05-03T10:00:00Z","took":"-1 2:03:04","h":"deadbeef","x":"1.234,5"}',
           '{"n":2,"day":"25.11.2026","at":"2026-05-03 10:00","days":"[03/05/2026,04/05/2026)","later":"3/5/2026"}',
           '{"n":3,"day":"11/25/2026"}', '{"n":4,"day":"tomorrow"}', '{"n":5,"later":"11/25/2026"}',
           '{"n":6,"at":"2026-05-03 10:00 BST"}', '{"n":7,"days":"[today,tomorrow)"}']


def test_previews_and_workers_read_alike(world):
    for name, value in OTHERWISE.items():
        world.db.run(f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {name} = ''{value}''', current_database()); END $$")
        world.db.run(f"DO $$ BEGIN EXECUTE format('ALTER ROLE app IN DATABASE %I SET {name} = ''{value}''', current_database()); END $$")
    feed = Feed(world, TABLE, FIELDS, TRANSFORM, date_order="DMY", time_zone="Europe/Berlin")
    with world.db.session("app") as s:
        assert s.value("SHOW TimeZone") == "Asia/Tokyo"
        preview = s.run("SELECT outcome, rows, sqlstate, message, hint FROM millrace.dry_run(%s, %s)", (world.pipeline_name, SAMPLES))
    assert [p[0] for p in preview] == ["written"] * 2 + ["dead"] * 5, preview
    assert feed.send(*SAMPLES).settled()["written"] == 2
    with world.db.session("app") as s:
        for name, value in s.run("SELECT name, setting FROM millrace.session_settings(%s)", (world.pipeline_name,)):
            s.run("SELECT set_config(%s, %s, false)", (name, value))
        rows = [json.loads(r[0]) for r in s.run("SELECT to_json(t)::text FROM t ORDER BY n")]
    shown = [json.loads(p[1])[0] if isinstance(p[1], str) else p[1][0] for p in preview[:2]]
    assert rows == shown
    assert rows[0]["day"] == "2026-05-03" and rows[0]["local"] == "2026-05-03T12:00:00" and rows[0]["x"] == 1234.5
    assert rows[0]["at"] == "2026-01-01T01:00:00.123+01:00" and rows[0]["took"] == "-1 days +02:03:04" and rows[0]["h"] == "\\xdeadbeef"
    assert rows[1]["at"] == "2026-05-03T10:00:00+02:00" and rows[1]["cast_day"] == "2026-05-03"
    letters = world.db.run("SELECT sqlstate, message, hint FROM millrace.dead_letters ORDER BY \"offset\"")
    assert letters == [tuple(p[2:]) for p in preview[2:]]

    # a replay reads as the first try, by the definition that is in force then
    with world.db.session("app") as s:
        s.run("SELECT millrace.alter_pipeline(%s, date_order => 'MDY')", (world.pipeline_name,))
        s.run("SELECT millrace.replay(%s, '\"offset\" IN (2, 4)')", (world.pipeline_name,))
    wait_for(lambda: feed.rows("SELECT n, day::text, cast_day::text FROM t WHERE n IN (3, 5) ORDER BY n") ==
             [(3, "2026-11-25", None), (5, None, "2026-11-25")], "replayed")


def test_keys_that_no_field_reads(world):
    feed = Feed(world, "CREATE TABLE t (n int, v text)").send('{"n":1,"v":"a"}', '{"n":2,"loyaltyTier":"gold"}', '{"n":3,"naam":null}', '{"n":"x","other":[1]}')
    feed.settled()
    sql = "SELECT key, count, example_type FROM millrace.unread_keys ORDER BY key"
    assert world.db.run(sql) == [("loyaltyTier", 1, "string"), ("naam", 1, "null"), ("other", 1, "array")]
    # a large batch is looked at in samples; what is known is counted in memory, what is new is written at once
    feed.send(*[f'{{"n":{i},"naam":1,"late":true}}' for i in range(5000)]).settled()
    assert [row[0] for row in world.db.run(sql)] == ["late", "loyaltyTier", "naam", "other"]
    assert 1 <= world.db.value("SELECT count FROM millrace.unread_keys WHERE key = 'late'") <= 64 * 5000
    # bounded, whatever producers send as keys
    feed.send(*[f'{{"n":1,"key{i}":{i}}}' for i in range(300)]).settled()
    assert world.db.value("SELECT count(*) FROM millrace.unread_key") == 64
