"""The report of a run: one HTML file that needs nothing else, and the same as JSON."""
import html
import json
import os

from lib import paths
from watch import COLUMNS

VENDOR = os.path.join(paths.ROOT, "api/page/vendor")

# Charts: title, and the columns drawn; a rate is the difference of two rows of a total
CHARTS = (("events per second", ("produced", "settled"), True), ("lag, events", ("lag",), False),
          ("produced to visible over the last minute, ms", ("p50_ms", "p99_ms"), False),
          ("answers of the API over the last 5 s, p99 in ms", ("api_p99_ms",), False),
          ("dead letters; events being retried", ("dead_letters", "retrying"), False))

STYLE = """
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24; background: #fff }
  table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .8rem .25rem 0; text-align: left }
  td.n { text-align: right; font-variant-numeric: tabular-nums } .missed { color: #b00020; font-weight: 600 }
  h2 { font-size: 1rem; margin: 1.5rem 0 .25rem }
"""

# The text of a cell is escaped where it is made; the data is JSON in a script element, in which "</" cannot be.
SCRIPT = """
  const data = JSON.parse(document.getElementById("data").textContent);
  const colors = ["#0b6bcb", "#c2410c"];
  const column = name => data.rows.map(row => row[data.columns.indexOf(name)]);
  const seconds = column("seconds");
  const rate = values => values.map((v, i) => i === 0 ? null : (v - values[i - 1]) / (seconds[i] - seconds[i - 1]));
  for (const [title, names, isTotal] of data.charts) {
    const heading = document.body.appendChild(document.createElement("h2"));
    heading.textContent = title;
    new uPlot({
      width: Math.min(document.body.clientWidth, 960), height: 220, scales: { x: { time: false } },
      series: [{ label: "s" }, ...names.map((label, i) => ({ label, stroke: colors[i], width: 1.5 }))],
      axes: [{}, { size: 80 }],
    }, [seconds, ...names.map(name => isTotal ? rate(column(name)) : column(name))], document.body);
  }
"""


def number(value):
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def summary(figures):
    """[(what, value)]: the figures of a run, in words"""
    api = figures["api"]
    lines = [("events", number(figures["events"])), ("rate asked for, mean", f"{number(round(figures['rate_asked']))}/s"),
             ("rate sent", f"{number(round(figures['rate_sent']))}/s"), ("rate settled", f"{number(round(figures['rate']))}/s"),
             ("lag at most", number(figures["max_lag"])), ("settled after the load's end", f"{figures['drain_s']:.1f} s"),
             ("produced to visible, last minute", f"p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms")]
    if api["requests"]:
        lines += [("requests to the API", f"{number(api['requests'])} ({api['requests_per_s']:.0f}/s), p50 {api['p50_ms']:.1f} ms,"
                                          f" p99 {api['p99_ms']:.1f} ms"),
                  ("events of streams", number(api["stream_events"])),
                  ("errors of the API", ", ".join(f"{what}: {n}" for what, n in api["errors"].items()) or "none")]
    for what, used in figures["processes"].items():
        lines.append((what, f"{used['cpu_s']:.1f} s of CPU, {used['cpu_us_per_event']:.2f} µs an event, {used['memory_mb']:.0f} MB"))
    return lines


def text(title, figures, judged):
    out = [title]
    out += [f"  {what:<34} {value}" for what, value in summary(figures)]
    out += [f"  {'ok    ' if met else 'MISSED'} {what}: {number(found)}, {relation} {number(limit)}"
            for what, relation, limit, found, met in judged]
    return "\n".join(out)


def page(title, figures, judged, rows):
    def read(name):
        with open(os.path.join(VENDOR, name)) as f:
            return f.read()
    data = json.dumps({"columns": COLUMNS, "rows": rows, "charts": CHARTS}).replace("</", "<\\/")
    cells = "".join(f"<tr><td>{html.escape(what)}</td><td class=n>{html.escape(value)}</td></tr>" for what, value in summary(figures))
    levels = "".join(f"<tr><td>{html.escape(what)}</td><td class=n>{number(found)}</td><td>{relation} {number(limit)}</td>"
                     f"<td{'' if met else ' class=missed'}>{'met' if met else 'missed'}</td></tr>"
                     for what, relation, limit, found, met in judged)
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
            f"<style>{read('uPlot.min.css')}{STYLE}</style><body><h1>{html.escape(title)}</h1>"
            f"<table>{cells}</table><h2>service levels</h2><table>{levels}</table>"
            f"<script type=application/json id=data>{data}</script><script>{read('uPlot.iife.min.js')}</script>"
            f"<script>{SCRIPT}</script></body></html>\n")


def write(directory, name, title, figures, judged, rows):
    """Writes NAME.html and NAME.json, returns the first one's path."""
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, name)
    with open(base + ".json", "w") as f:
        json.dump({"title": title, "figures": figures, "columns": COLUMNS, "rows": rows,
                   "levels": [dict(zip(("what", "relation", "limit", "found", "met"), level)) for level in judged]}, f, indent=1)
        f.write("\n")
    with open(base + ".html", "w") as f:
        f.write(page(title, figures, judged, rows))
    return base + ".html"
