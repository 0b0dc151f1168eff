"""What the circuit breakers of the API promise in time: 503 within 50 ms while one of Kafka and PostgreSQL is away and the other half
works, and answers within 2 s when it is back."""
import signal
import statistics
import time

import pytest

from lib.api import timed
from lib.publish_world import Whole
from lib.wait import wait_for

AT_ONCE_S = 0.05
BACK_S = 2


@pytest.fixture
def whole(cluster, broker):
    whole = Whole(cluster, broker, "api_breakers", ("--publish-timeout", "2s", "--query-timeout", "1s"))
    whole.row(whole.post("?eventType=first&eventData=1"))
    yield whole
    whole.close()


def many(request):
    """(statuses, the middle of the times) of forty requests."""
    answers, took = zip(*[timed(request) for _ in range(40)])
    return {a.status for a in answers}, statistics.median(took)


def back_after(request, status):
    began = time.monotonic()
    wait_for(lambda: request().status == status, "it is back", every=0.02)
    return time.monotonic() - began


def check_without_kafka(whole, post):
    """What needs it is refused at once, the rest is answered."""
    wait_for(lambda: post().status == 503, "the breaker is open")
    statuses, middle = many(post)
    assert statuses == {503} and middle < AT_ONCE_S, middle
    statuses, middle = many(lambda: whole.api.get("/events?limit=1"))
    assert statuses == {200} and middle < AT_ONCE_S, middle


@pytest.mark.alone
def test_kafka_is_away(whole):
    def post():
        return whole.post("?eventType=breaker&eventData=1")

    whole.broker.process.signal(signal.SIGSTOP)
    try:
        check_without_kafka(whole, post)
    finally:
        whole.broker.process.signal(signal.SIGCONT)
    whole.messages()  # it answers
    assert back_after(post, 202) < BACK_S


@pytest.mark.alone
def test_kafka_is_killed(whole):
    """It refuses connections, and what comes back is another process."""
    def post():
        return whole.post("?eventType=breaker&eventData=3")

    whole.broker.kill()
    try:
        check_without_kafka(whole, post)
    finally:
        whole.broker.start()
    whole.messages()  # it answers
    assert back_after(post, 202) < BACK_S
    assert many(post)[0] == {202}


@pytest.mark.alone
def test_postgresql_is_away(whole, cluster):
    def get():
        return whole.api.get("/events?limit=1")

    cluster.stop("immediate")
    try:
        wait_for(lambda: get().status == 503, "the breaker is open")
        statuses, middle = many(get)
        assert statuses == {503} and middle < AT_ONCE_S, middle
        statuses, middle = many(lambda: whole.post("?eventType=breaker&eventData=2"))
        assert statuses == {202} and middle < AT_ONCE_S, middle
    finally:
        cluster.start()
    with whole.db.session() as session:
        session.run("SELECT 1")  # it answers
    assert back_after(get, 200) < BACK_S
