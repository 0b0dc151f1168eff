#!/usr/bin/env python3
"""Makes the dashboards in monitoring/grafana/dashboards: a list of rows of panels each, laid out from left to right.

`dashboards.py` writes the files, `dashboards.py --check` fails when they are not what it would write.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
P = '{pipeline=~"$pipeline"}'
WIDTH = 24  # of Grafana's grid


def rate(metric, selector=P, by="pipeline", over="$__rate_interval"):
    return f"sum by ({by}) (rate({metric}{selector}[{over}]))"


def quantile(q, stage):
    selector = f'{{pipeline=~"$pipeline", stage="{stage}"}}'
    return f"histogram_quantile({q}, sum by (le) (rate(millrace_event_latency_seconds_bucket{selector}[$__rate_interval])))"


def panel(kind, title, description, *queries, unit="short", width=8, height=7, **more):
    """queries: (expression, legend) each; more: fieldConfig's defaults of the kind."""
    options = {"timeseries": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                              "tooltip": {"mode": "multi", "sort": "desc"}},
               "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
               "heatmap": {"calculate": False, "yAxis": {"unit": "s"}, "color": {"scheme": "Oranges", "mode": "scheme"}},
               "table": {"showHeader": True}}[kind]
    result = {"type": kind, "title": title, "description": description, "datasource": SOURCE, "options": options,
              "fieldConfig": {"defaults": dict({"unit": unit}, **more), "overrides": []},
              "gridPos": {"w": width, "h": height}}
    result["targets"] = [dict({"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend},
                              **({"format": "heatmap"} if kind == "heatmap" else
                                 {"format": "table", "instant": True} if kind == "table" else {}))
                         for i, (expr, legend) in enumerate(queries)]
    return result


def graph(title, description, *queries, **more):
    return panel("timeseries", title, description, *queries, **more)


def figure(title, description, expr, unit="short", bad=None, width=4, **more):
    """One number; red from `bad` on."""
    steps = [{"color": "green", "value": None}] + ([{"color": "red", "value": bad}] if bad is not None else [])
    return panel("stat", title, description, (expr, ""), unit=unit, width=width, height=4,
                 thresholds={"mode": "absolute", "steps": steps}, **more)


def heatmap(title, description, stage):
    selector = f'{{pipeline=~"$pipeline", stage="{stage}"}}'
    return panel("heatmap", title, description,
                 (f"sum by (le) (increase(millrace_event_latency_seconds_bucket{selector}[$__rate_interval]))", "{{le}}"), width=12)


HEALTH = ("Health", [
    figure("Ingest", "Events staged per second", "sum(rate(millrace_ingestor_events_total" + P + "[$__rate_interval]))", "cps"),
    figure("Settled", "Events settled per second", "sum(rate(millrace_events_total" + P + "[$__rate_interval]))", "cps"),
    figure("Visible after, p99", "From the producer to the row, of the last minute",
           'max(millrace_latency_seconds{pipeline=~"$pipeline", stage="produced_to_visible", quantile="0.99"} or vector(0))', "s", 5),
    figure("Lag", "Age of the oldest partition's last event", "max(millrace_lag_seconds" + P + ")", "s", 60),
    figure("Dead letters", "Open: not in the target, not discarded, not being replayed", "sum(millrace_dead_letters_open" + P + ")", "short"),
    figure("Breakers open", "Pipelines that are stopped by a cause that is no event's fault", "sum(millrace_breaker_open" + P + ")", "short", 1),
])

PROCESSING = ("Processing", [
    graph("Outcome", "How events ended", (rate("millrace_events_ended_total", by="outcome"), "{{outcome}}"),
          (rate("millrace_dead_letters_made_total", by="job"), "dead letter"), unit="cps"),
    graph("Latency", "From the producer to the row", (quantile(0.5, "produced_to_visible"), "p50"), (quantile(0.95, "produced_to_visible"), "p95"),
          (quantile(0.99, "produced_to_visible"), "p99"), unit="s"),
    graph("Busy workers", "How many are at work at a time; near the number of workers, they are the limit",
          (rate("millrace_worker_busy_seconds_total"), "{{pipeline}}"), ("millrace_workers_wanted" + P, "{{pipeline}}: all"), unit="short"),
    heatmap("Staged to visible", "What the database takes", "staged_to_visible"),
    heatmap("Produced to visible", "All of it, by the producer's clock", "produced_to_visible"),
    graph("Events a batch", "Larger under load, one when idle",
          (rate("millrace_batch_events_sum") + " / " + rate("millrace_batch_events_count"), "{{pipeline}} mean"),
          ("millrace_largest_batch_events" + P, "{{pipeline}} largest")),
    graph("Workers by state", "backoff: waits after an error", ("sum by (state) (millrace_worker_states" + P + ")", "{{state}}")),
    graph("Watermarks", "Of windows: how far behind the clock", ("time() - millrace_window_watermark_timestamp_seconds" + P, "{{window}}"), unit="s"),
    graph("Groups of windows", "Kept, as a share of max_groups", ("millrace_window_groups" + P + " / millrace_window_max_groups" + P, "{{window}}"), unit="percentunit"),
    graph("Late rows", "That came when their window was final", (rate("millrace_window_late_rows_total", by="pipeline, window"), "{{window}}"), unit="cps"),
    graph("Staging", "Share of the segments in use, of the fullest lane; at 1 the ingestor waits", ("millrace_staging_fill_ratio" + P, "{{pipeline}}"),
          unit="percentunit"),
    graph("Unusable timestamps", "Events whose Kafka timestamp lies in the future, or is missing: they are in no latency",
          (rate("millrace_events_from_future_total"), "{{pipeline}} future"), (rate("millrace_events_without_timestamp_total"), "{{pipeline}} missing"), unit="cps"),
    graph("In staging", "Messages that wait for a worker", ("millrace_staging_events" + P, "{{pipeline}}")),
])

INGEST = ("Ingest", [
    graph("Events staged", "By the ingestors", (rate("millrace_ingestor_events_total"), "{{pipeline}}"), unit="cps"),
    graph("Bytes staged", "Sent by COPY", (rate("millrace_ingestor_staged_bytes_total"), "{{pipeline}}"), unit="Bps"),
    graph("Events a staged batch", "", (rate("millrace_ingestor_events_total") + " / " + rate("millrace_ingestor_batches_total"), "{{pipeline}}")),
    graph("Lag", "Offsets to process, by partition", ("sum by (pipeline, topic, partition) (millrace_lag_events" + P + ")", "{{topic}} {{partition}}")),
    graph("Behind", "Age of the last event processed", ("max by (pipeline) (millrace_lag_seconds" + P + ")", "{{pipeline}}"), unit="s"),
    graph("Time to drain", "When the lag is gone at the present rate; no line: it grows", ("millrace_drain_seconds" + P, "{{pipeline}}"),
          ("max by (pipeline, topic, partition) (millrace_lag_drain_seconds" + P + ")", "{{topic}} {{partition}}"), unit="s"),
    graph("Time of a batch", "From closing a staged batch to its commit",
          ("histogram_quantile(0.99, sum by (le, pipeline) (rate(millrace_ingestor_stage_seconds_bucket" + P + "[$__rate_interval])))", "{{pipeline}} p99"), unit="s"),
    graph("Lanes", "Open, and of these blocked by the server", ("sum by (pipeline) (millrace_ingestor_open_lanes" + P + ")", "{{pipeline}} open"),
          ("sum by (pipeline) (millrace_ingestor_blocked_lanes" + P + ")", "{{pipeline}} blocked")),
    graph("Rebalances and fenced batches", "In 5 minutes", ("sum by (pipeline) (increase(millrace_ingestor_rebalances_total" + P + "[5m]))", "{{pipeline}} rebalances"),
          ("sum by (pipeline) (increase(millrace_ingestor_fenced_total" + P + "[5m]))", "{{pipeline}} fenced")),
])

FAILURES = ("Failures", [
    graph("Failed tries", "First ones, and those after the first", (rate("millrace_events_failed_total"), "{{pipeline}} first"),
          (rate("millrace_retries_total"), "{{pipeline}} again"), unit="cps"),
    graph("Retries", "Events that wait to be tried again, and of these those parked behind an earlier one of their key",
          ("millrace_retrying_events" + P, "{{pipeline}}"), ("millrace_parked_events" + P, "{{pipeline}} parked")),
    graph("Retries overdue", "How long the oldest has been due", ("millrace_retry_overdue_seconds" + P, "{{pipeline}}"), unit="s"),
    graph("Dead letters", "Open, and with those that were discarded or are being replayed", ("millrace_dead_letters_open" + P, "{{pipeline}} open"),
          ("millrace_dead_letters" + P, "{{pipeline}}")),
    graph("Dead letters made and replayed", "", (rate("millrace_dead_letters_made_total"), "{{pipeline}} made"),
          (rate("millrace_dead_letters_replayed_total"), "{{pipeline}} replayed"), unit="cps"),
    graph("On the way to Kafka", "How long the oldest has waited to be published", ("millrace_dlq_waiting_seconds" + P, "{{pipeline}}"),
          ("millrace_window_output_waiting_seconds" + P, "{{window}}"), unit="s"),
    graph("Share of dead letters", "Objective: below 0.1 %", ('millrace:dead_letters:ratio_rate5m' + P, "{{pipeline}}"), unit="percentunit"),
    graph("Breaker", "1: open", ("millrace_breaker_open" + P, "{{pipeline}}"), ("millrace_retries_breaker_open" + P, "{{pipeline}} retries")),
    graph("Breaker opened", "In an hour", ("increase(millrace_breaker_opened_total" + P + "[1h])", "{{pipeline}}")),
])

API = ("Requests", [
    graph("Requests", "By route", ("sum by (route) (rate(millrace_api_requests_total[$__rate_interval]))", "{{route}}"), unit="reqps"),
    graph("Answers", "By class of status", ("sum by (status) (rate(millrace_api_requests_total[$__rate_interval]))", "{{status}}"), unit="reqps"),
    graph("Time of a request", "p99 by route",
          ("histogram_quantile(0.99, sum by (le, route) (rate(millrace_api_request_seconds_bucket[$__rate_interval])))", "{{route}}"), unit="s"),
    graph("Connections", "", ("sum(millrace_api_connections)", "open"), ("sum(millrace_api_requests_in_flight)", "in flight")),
    graph("Pool", "Connections to PostgreSQL, and queries that run or wait", ("sum by (pool) (millrace_api_pool_open)", "{{pool}} open"),
          ("sum by (pool) (millrace_api_pool_running)", "{{pool}} running"), ("sum by (pool) (millrace_api_pool_waiting)", "{{pool}} waiting")),
    graph("Published", "Events acknowledged by Kafka, and failed", ("sum(rate(millrace_api_published_total[$__rate_interval]))", "published"),
          ("sum(rate(millrace_api_publish_failures_total[$__rate_interval]))", "failed"), unit="cps"),
])


def checkpoints(old, new):
    """As exporters call them, with and without _total, and from PostgreSQL 17 on."""
    return " or ".join(f"increase({name}[10m])" for name in (f"pg_stat_bgwriter_checkpoints_{old}", f"pg_stat_bgwriter_checkpoints_{old}_total",
                                                             f"pg_stat_checkpointer_num_{new}_total"))


SERVER = ("PostgreSQL", [
    graph("Connections", "By state", ("sum by (state) (pg_stat_activity_count)", "{{state}}")),
    graph("Transactions", "", ("sum(rate(pg_stat_database_xact_commit[$__rate_interval]))", "commits"),
          ("sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))", "rollbacks"), unit="cps"),
    graph("Size of the databases", "", ("sum by (datname) (pg_database_size_bytes)", "{{datname}}"), unit="bytes"),
    graph("Checkpoints", "In 10 minutes", (checkpoints("timed", "timed"), "timed"), (checkpoints("req", "requested"), "requested")),
    graph("Deadlocks", "In 10 minutes", ("sum(increase(pg_stat_database_deadlocks[10m]))", "deadlocks")),
    graph("Age of targets", "Transactions since each was frozen; the server stops at 2^31", ("millrace_target_age_transactions", "{{pipeline}}")),
])

PROCESSES = ("Processes", [
    graph("CPU", "Cores in use", ('rate(process_cpu_seconds_total{job=~"millrace-.*"}[$__rate_interval])', "{{job}} {{instance}}")),
    graph("Memory", "Resident", ('process_resident_memory_bytes{job=~"millrace-.*"}', "{{job}} {{instance}}"), unit="bytes"),
    panel("table", "Status", "Of each pipeline", ("millrace_pipeline_status" + P, "")),
])

DASHBOARDS = {
    "overview": ("Millrace", [HEALTH, ("At a glance", PROCESSING[1][:2] + [INGEST[1][3]] + FAILURES[1][3:5] + [FAILURES[1][7]]), PROCESSES]),
    "pipeline": ("Millrace: pipeline", [HEALTH, INGEST, PROCESSING, FAILURES]),
    "api": ("Millrace: API", [API, PROCESSES]),
    "postgresql": ("Millrace: PostgreSQL", [SERVER]),
}


def variables():
    pipelines = "label_values(millrace_pipeline_status, pipeline)"
    return [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
            {"name": "pipeline", "type": "query", "label": "Pipeline", "datasource": SOURCE, "definition": pipelines,
             "query": {"query": pipelines, "refId": "pipelines"}, "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*",
             "current": {"text": "All", "value": "$__all"}}]


def lay_out(rows):
    """Panels with their places: from left to right, a heading above each row."""
    panels, y = [], 0
    for title, members in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y, tallest = 0, y + 1, 0
        for member in members:
            place = member["gridPos"]
            if x + place["w"] > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(dict(member, gridPos=dict(place, x=x, y=y)))
            x, tallest = x + place["w"], max(tallest, place["h"])
        y += tallest
    return [dict(p, id=i + 1) for i, p in enumerate(panels)]


def dashboard(name):
    title, rows = DASHBOARDS[name]
    links = [{"title": "Status page", "type": "link", "url": "http://localhost:8080/", "targetBlank": True, "icon": "external link"},
             {"title": "Millrace", "type": "dashboards", "tags": ["millrace"], "asDropdown": True}]
    return {"uid": f"millrace-{name}", "title": title, "tags": ["millrace"], "schemaVersion": 39, "editable": False, "graphTooltip": 1,
            "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "links": links,
            "templating": {"list": variables()}, "annotations": {"list": []}, "panels": lay_out(rows)}


def main():
    check, stale = sys.argv[1:] == ["--check"], []
    for name in DASHBOARDS:
        path = os.path.join(HERE, "dashboards", f"{name}.json")
        text = json.dumps(dashboard(name), indent=1, sort_keys=True) + "\n"
        if check:
            with open(path) as f:
                stale += [name] if f.read() != text else []
        else:
            with open(path, "w") as f:
                f.write(text)
    if stale:
        sys.exit(f"dashboards: {', '.join(stale)} differ from what dashboards.py makes: run it")


if __name__ == "__main__":
    main()
