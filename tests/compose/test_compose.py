"""docker compose up -d --wait, and what a user does then. The tests share one stack and run in this order."""
import json

from lib.events import Events, compare
from lib.wait import wait_for


def test_everything_is_healthy_with_no_file_edited(stack):
    stack.up()
    for name in stack.services():
        for container in stack.containers(name):
            state = container["State"]
            if container["HostConfig"]["RestartPolicy"]["Name"] == "no":
                assert (state["Status"], state["ExitCode"]) == ("exited", 0), name
            else:
                assert state["Health"]["Status"] == "healthy", name


def test_an_event_through_the_api_and_back(stack):
    status, body = stack.http("POST", "/events?eventType=Temperature&eventData=86F&source=kitchen")
    assert status == 202, body
    path = "/events/" + json.loads(body)["id"]
    row = json.loads(wait_for(lambda: [b for s, b in [stack.http("GET", path)] if s == 200], f"GET {path}")[0])
    assert (row["type"], row["source"], row["value"], row["unit"]) == ("Temperature", "kitchen", 30, "°C")
