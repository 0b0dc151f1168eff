"""The document of the API and its routes are the same."""
import re

from lib import paths
from lib.api_world import ApiWorld


def test_openapi(cluster):
    world = ApiWorld(cluster, "api_openapi")
    try:
        api = world.start()
        answer = api.get("/openapi.json")
        document = answer.json()
        assert document["openapi"] == "3.1.0"
        with open(f"{paths.ROOT}/api/resource/routes.c", encoding="utf-8") as f:
            routes = {(method.lower(), path) for method, path in re.findall(r'\{MR_METHOD_(\w+), "([^"]+)"', f.read())}
        assert {(method, path) for path, methods in document["paths"].items() for method in methods} == routes
        # each path that the document has is routed: another method is 405, and Allow lists those it has
        for path, methods in document["paths"].items():
            refused = api.request("PUT", re.sub(r"{\w+}", "x", path))
            allowed = {m.strip().lower() for m in refused.headers["allow"].split(",")} - {"head"}
            assert refused.status == 405 and allowed == set(methods), path
        assert api.get("/openapi.json", If_None_Match=answer.headers["etag"]).status == 304
        assert api.get("/openapi.json?a=b").json()["code"] == "MR-110"
        # the codes that the documentation explains are those there are
        with open(f"{paths.ROOT}/docs/api.md", encoding="utf-8") as f:
            explained = set(re.findall(r"^\| (MR-\d+) \|", f.read(), re.M))
        with open(f"{paths.ROOT}/api/control/problem.c", encoding="utf-8") as f:
            assert explained == set(re.findall(r'"(MR-\d+)"', f.read()))
    finally:
        world.close()
