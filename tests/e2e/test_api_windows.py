"""GET /windows and /windows/{name}: what the view has, by range and group, a page at a time."""
import json

import pytest

from lib.api_world import ApiWorld, add_windows


@pytest.fixture
def web(cluster):
    world = ApiWorld(cluster, "api_windows")
    add_windows(world)
    yield world
    world.close()


def test_windows(web):
    api = web.start()
    listed = api.get("/windows").json()
    assert [(w["name"], w["pipeline"], w["group_by"], w["relation"]) for w in listed] == [
        ("all", "readings", [], "millrace.window_all"), ("by_minute", "readings", ["site"], "millrace.window_by_minute")]
    with web.db.session() as s:
        columns = s.run("SELECT attname FROM pg_attribute WHERE attrelid = 'millrace.windows'::regclass AND attnum > 0")
    assert set(listed[0]) == {c for (c,) in columns}, "all that the view has"
    assert (listed[1]["kind"], listed[1]["output_is_granted"], listed[1]["watermark"]) == ("incremental", True, None)
    assert int(listed[1]["groups"]) <= int(listed[1]["max_groups"])
    assert api.get("/windows?a=1").json()["code"] == "MR-110"
    assert (api.get("/windows/nothing").status, api.get("/windows/nothing").json()["code"]) == (404, "MR-407")

    # sessions
    with web.db.session("app") as app:
        app.run("CREATE INDEX ON reading (site, at)")
        app.run("SELECT millrace.create_session_window('visits', 'readings', event_time => 'at', gap => '2 min', group_by => '{site}', aggregates => 'count(*) AS n')")
        app.run("CALL millrace.wait_for_window('visits')")
        app.run("GRANT SELECT ON millrace.window_visits TO web")
    visits = next(w for w in api.get("/windows").json() if w["name"] == "visits")
    assert (visits["kind"], visits["size"], visits["gap"], visits["max_session"]) == ("recompute", None, "00:02:00", "03:20:00")
    assert [(r["site"], r["n"]) for r in api.get("/windows/visits?site=roof").json()] == [("roof", "60")]

    # who may read it its owner says, and may change
    refused = api.get("/windows/by_minute")
    assert (refused.status, refused.json()["code"]) == (403, "MR-204")
    with web.db.session("app") as app:
        app.run(refused.json()["hint"].split(": ", 1)[1])
        app.run("GRANT SELECT ON millrace.window_all TO web")

    rows = api.get("/windows/by_minute?limit=1000").json()
    wanted = web.db.run("SELECT date_trunc('minute', at)::text, site, count(*)::text, avg(value) FROM reading GROUP BY 1, 2")
    assert sorted((r["window_start"].replace("T", " ")[:-3], r["site"] or "", r["n"], r["mean"]) for r in rows) == sorted(
        (at, site or "", n, mean) for at, site, n, mean in wanted)
    assert [r["window_start"] for r in rows] == sorted((r["window_start"] for r in rows), reverse=True)

    # a page at a time, each row once; groups of null and of odd names among them
    pages, path = [], "/windows/by_minute?limit=7"
    while path:
        answer = api.get(path)
        pages += answer.json()
        path = answer.links().get("next")
    assert pages == rows
    roof = api.get("/windows/by_minute?site=roof&fields=window_start,n").json()
    assert len(roof) == sum(r["site"] == "roof" for r in rows) and set(roof[0]) == {"window_start", "n"}
    between = api.get("/windows/by_minute?from=2026-01-01T00:10:00Z&to=2026-01-01T00:12:00Z&n=gte.2").json()
    assert between == [r for r in rows if "2026-01-01T00:10" <= r["window_start"] < "2026-01-01T00:12" and int(r["n"]) >= 2]
    assert api.get("/windows/by_minute?limit=1", Accept="text/csv").body.startswith(b"window_start,window_end,site,n,mean,")
    assert json.loads(api.get("/windows/by_minute?limit=1", Accept="application/x-ndjson").body) == rows[0]
    for query, code in (("sit=a", "MR-110"), ("limit=0", "MR-111"), ("from=soon", "MR-111"), ("cursor=a", "MR-112"), ("n=many", "MR-111")):
        assert (api.get("/windows/by_minute?" + query).status, api.get("/windows/by_minute?" + query).json()["code"]) == (400, code), query

    assert b"ALTER TABLE" not in api.get("/windows/by_minute?from=2026-01-01T00:00:00Z&q=roof").body

    # without groups, and under a name that reads like a route
    assert [r["top"] for r in api.get("/windows/all").json()] == [239]
    with web.db.session("app") as app:
        app.run("SELECT millrace.drop_window('all')")
    assert api.get("/windows/all").json()["code"] == "MR-407"
