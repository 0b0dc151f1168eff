"""What is in monitoring/ works on the real thing: exporter, Prometheus, Alertmanager, every panel's query."""
import glob
import json
import os
import re
import ssl
import subprocess

import pytest

from lib import monitoring, paths
from lib.api import Api
from lib.api_world import SCHEMA
from lib.broker import JVM_QUICK_START, Broker, NoBroker, fetch
from lib.events import Events
from lib.monitoring import HERE, Alertmanager, Exporter, Prometheus, Receiver
from lib.process import free_port
from lib.secure import Authority
from lib.wait import wait_for
from lib.web import ask
from lib.world import World, ensure_roles

JOBS = ("millrace-ingestor", "millrace-api", "millrace-postgres")


class Stack(World):
    """A pipeline whose events are written, filtered, tried again and dead; an API on its database, with TLS; all of it watched."""

    def __init__(self, cluster, broker, directory):
        super().__init__(cluster, broker, "monitored")
        self.create_topic(partitions=2, **{"retention.ms": "3600000"})
        ensure_roles(cluster, "web", "monitor")
        self.db.run("GRANT pg_monitor TO monitor; SELECT millrace.grant_api('web')")
        self.db.run(SCHEMA)
        self.create_pipeline(dlq=self.topic + ".dlq", type_field="type")
        with self.db.session("app") as s:
            s.run("SELECT millrace.create_window('by_minute', 'monitored', event_time => 'ts', size => '1 min', aggregates => 'count(*) AS n', output_topic => 'monitored.by_minute')")
        self.ingestor = self.start_ingestor().wait_ready()
        authority = Authority(directory)
        certificate, key = authority.issue("api")
        self.api = Api(self.db.dsn("web"), "--brokers", broker.address, "--topic", self.topic, "--tls-certificate", certificate, "--tls-key", key,
                       tls=ssl.create_default_context(cafile=authority.file)).start()
        self.receiver = Receiver()
        self.alertmanager = Alertmanager(self.receiver)
        self.exporter = Exporter(cluster, self.db.name)
        self.prometheus = Prometheus({"millrace-ingestor": [self.ingestor.port], "millrace-api": [self.api.admin_port],
                                      "millrace-postgres": [self.exporter.port]}, self.alertmanager)
        self.sent = 0

    def send(self, n=400):
        Events(n, seed=401, first=self.sent, broken=5).send(self.broker, self.topic)
        self.sent += n

    def close(self):
        for service in (self.prometheus, self.exporter, self.alertmanager, self.receiver):
            service.stop()
        self.api.kill()
        super().close()


@pytest.fixture(scope="module")
def stack(cluster, broker, tmp_path_factory):
    try:
        monitoring.programs()
    except monitoring.NoMonitoring as e:
        pytest.skip(str(e))
    stack = Stack(cluster, broker, tmp_path_factory.mktemp("tls"))
    yield stack
    stack.close()


@pytest.mark.parametrize("path, function", [("postgres_exporter/millrace.yaml", "postgres_exporter_queries"),
                                            ("sql_exporter/millrace.collector.yml", "sql_exporter_collector")])
def test_files_of_exporters_are_what_the_server_makes(stack, path, function):
    with open(os.path.join(HERE, path)) as f:
        text = f.read()
    assert text == stack.db.value(f"SELECT millrace.{function}()") + "\n", f"make it again: psql -Atqc 'SELECT millrace.{function}()' > monitoring/{path}"


def test_every_query_of_sql_exporter_runs(stack):
    """The collector's queries give each metric a value; the program itself is in no package of Debian's that reads it."""
    stack.send()
    stack.wait_settled()
    document = monitoring.config("sql_exporter/millrace.collector.yml")
    queries = {q["query_name"]: q["query"] for q in document["queries"]}
    with stack.db.session("monitor") as s:
        for metric in document["metrics"]:
            keys = f"SELECT DISTINCT jsonb_object_keys(to_jsonb(q)) FROM ({queries[metric['query_ref']]}) AS q"
            wait_for(lambda: {*metric["key_labels"], *metric["values"]} <= {name for (name,) in s.run(keys)}, metric["metric_name"])


def test_every_metric_is_scraped(stack):
    """Each family of millrace.metric has a series in Prometheus, from the exporter; each endpoint's text is as it should be."""
    stack.send()
    families = {name: kind for name, kind in stack.db.run("SELECT name, type FROM millrace.metric_family")}

    def missing():
        names = stack.prometheus.names()
        return [n for n, kind in families.items() if (n + "_bucket" if kind == "histogram" else n) not in names]
    try:
        wait_for(lambda: missing() == [], "every metric is there", 180)
    except AssertionError as e:
        raise AssertionError(f"{e}: {missing()}")
    wait_for(lambda: dict((l["job"], v) for l, v in stack.prometheus.query("up")) == {job: 1 for job in JOBS}, "all are up", 90)
    for metrics in (stack.ingestor.get("/metrics")[1], stack.api.admin("/metrics")[1]):
        status, output = monitoring.run("promtool", "check", "metrics", text=metrics)
        assert status == 0, output
    for line in ("^pg_exporter_last_scrape_error 0", r'millrace_events_total\{pipeline="monitored",server="[^"]*"\} [1-9]',
                 r'millrace_event_latency_seconds_bucket\{pipeline="monitored",.*le="[^"]*"\} [1-9]'):
        wait_for(lambda: re.search(line, stack.exporter.get("/metrics")[1], re.M), line)
    # the series that a pipeline costs: bounded
    series = wait_for(lambda: stack.prometheus.query('count({job="millrace-postgres", pipeline="monitored"})'), "they are there", 90)
    assert series[0][1] < 220


def panels():
    for path in sorted(glob.glob(os.path.join(HERE, "grafana/dashboards/*.json"))):
        with open(path) as f:
            for panel in json.load(f)["panels"]:
                for target in panel.get("targets", []):
                    yield os.path.basename(path), panel["title"], target["expr"]


def test_every_panel_has_data(stack):
    """Each query of each dashboard gives values while the system is under load; variables as Grafana fills them."""
    left = {(path, title, expr.replace("$pipeline", ".*").replace("$__rate_interval", "1m")) for path, title, expr in panels()}
    assert len(left) > 50

    def some_left():
        stack.send(50)  # a rate is seen when a counter has moved between two scrapes
        stack.api.get("/events?limit=1")
        for query in sorted(left):
            if any(value == value for _, value in stack.prometheus.query(query[2])):
                left.discard(query)
        return not left
    try:
        wait_for(some_left, "every panel has data", 480, every=1)
    except AssertionError:
        raise AssertionError("no data: " + "; ".join(map(str, sorted(left))))


def test_dashboards_are_made_of_their_source():
    subprocess.run([os.path.join(HERE, "grafana/dashboards.py"), "--check"], check=True)


def test_configuration_and_rules():
    """promtool and amtool accept what is shipped; each alert has a firing and a silent case, and a section in the runbook."""
    for tool, *args in (("promtool", "check", "config", "prometheus/prometheus.yml"),
                        ("amtool", "check-config", "alertmanager/alertmanager.yml"),
                        ("promtool", "test", "rules", "prometheus/tests/alerts.yml", "prometheus/tests/alerts_day.yml")):
        status, output = monitoring.run(tool, *args)
        assert status == 0, output
    alerts = [r for g in monitoring.config("prometheus/rules/alerts.yml")["groups"] for r in g["rules"]]
    cases = [json.dumps(t["promql_expr_test"]) 
             for name in ("alerts", "alerts_day") for t in monitoring.config(f"prometheus/tests/{name}.yml")["tests"]]
    with open(os.path.join(paths.ROOT, "docs/runbook.md")) as f:
        sections = set(re.findall(r"^### (\w+)$", f.read(), re.M))
    for alert in alerts:
        name = alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} <= set(alert["annotations"])
        assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}" and name in sections, name
        its = [c for c in cases if f'alertname=\\"{name}\\"' in c]
        assert len(its) == 2 and sum('"exp_samples": []' in c for c in its) == 1, name
    assert sections == {a["alert"] for a in alerts}


def test_statements_of_the_runbook_run(stack):
    with open(os.path.join(paths.ROOT, "docs/runbook.md")) as f:
        statements = re.findall(r"^(SELECT .*?);", f.read(), re.M | re.S)
    assert len(statements) > 30
    with stack.db.session() as s:
        for statement in statements:
            s.run(statement)


def test_kafkas_own_figures():
    """Each rule of the JMX exporter's configuration has a series, of the agent in a broker that has a topic with messages."""
    try:
        jar, = glob.glob(os.path.join(fetch("--jmx"), "jmx/*.jar"))
    except NoBroker as e:
        pytest.skip(str(e))
    port = free_port()
    broker = Broker("jmx", jvm=[*JVM_QUICK_START, f"-javaagent:{jar}=127.0.0.1:{port}:{HERE}/kafka/jmx_exporter.yml"]).start()
    try:
        broker.create_topic("watched", 2)
        Events(100, seed=402).send(broker, "watched")
        rules = [re.sub(r"\$\d", "[a-z]+", rule["name"]) for rule in monitoring.config("kafka/jmx_exporter.yml")["rules"]]

        def missing():
            names = set(re.findall(r"^(kafka_\w+)", ask(f"http://127.0.0.1:{port}/metrics")[1], re.M))
            return [rule for rule in rules if not any(re.fullmatch(rule, name) for name in names)]
        wait_for(lambda: missing() == [], "each rule has a series", 180, every=0.5)
        text = ask(f"http://127.0.0.1:{port}/metrics")[1]
        assert re.search(r'^kafka_server_brokertopicmetrics_messagesin_total\{topic="watched"\} 100', text, re.M), text
        assert len(re.findall("^kafka_", text, re.M)) < 100, "few: what says whether a broker is the cause"
    finally:
        broker.kill()


@pytest.mark.parametrize("labels, receiver", [("severity=page", "page"), ("severity=ticket", "slack")])
def test_routes(labels, receiver):
    status, output = monitoring.run("amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml", labels)
    assert (status, output.split()[-1]) == (0, receiver)


def test_rules_name_metrics_that_exist(stack):
    """An alert on a metric that nobody exports would never fire. node_exporter's is not ours."""
    wait_for(lambda: stack.prometheus.query("millrace:events:rate5m"), "recording rules have values", 180)
    rules = [r for path in ("recording", "alerts") for g in monitoring.config(f"prometheus/rules/{path}.yml")["groups"] for r in g["rules"]]
    recorded = {r["record"] for r in rules if "record" in r}
    named = {name for rule in rules for name in re.findall(r"\b(?:millrace|pg|up|process)[a-z0-9_:]*\b(?=[{\[ )]|$)", rule["expr"])}

    def unknown():
        return named - recorded - {"pipeline"} - set(stack.prometheus.names())
    try:
        wait_for(lambda: not unknown(), "all are known", 180)  # a scrape that fails takes names away until the next
    except AssertionError as e:
        raise AssertionError(f"{e}: {unknown()}")


def test_a_stopped_ingestor_reaches_slack_and_sns(stack):
    """The fault, and its end. That both get there within a minute on a machine that keeps up: the waits that are shipped."""
    prometheus, route = (monitoring.config(name) for name in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml"))
    alert, = (r for g in monitoring.config("prometheus/rules/alerts.yml")["groups"] for r in g["rules"] if r.get("alert") == "MillraceIngestorDown")
    waits = (prometheus["global"]["scrape_interval"], prometheus["global"]["evaluation_interval"], alert["for"], route["route"]["group_wait"])
    assert sum(int(wait.removesuffix("s")) for wait in waits) < 60, waits
    stack.ingestor.stop()
    wait_for(lambda: stack.receiver.of("/slack", "An ingestor does not answer", "PAGE"), "Slack knows", 180)
    wait_for(lambda: stack.receiver.of("/sns", "Action=Publish", "firing: MillraceIngestorDown"), "SNS knows", 180)
    assert stack.prometheus.alerts()["MillraceIngestorDown"] == "firing"
    stack.ingestor.start(port=stack.ingestor.port)
    wait_for(lambda: stack.receiver.of("/slack", "resolved: An ingestor does not answer"), "Slack knows that it is over", 180)
    wait_for(lambda: stack.receiver.of("/sns", "resolved: MillraceIngestorDown"), "SNS knows too", 180)
