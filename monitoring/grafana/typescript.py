#!/usr/bin/python3
"""typescript.py DIRECTORY: prints the dashboards in it as TypeScript, in which each part has the type that Grafana's foundation SDK has
for it. The SDK's types are for builders: enumerations become their values here, as they are in JSON,
and what is left out has Grafana's default."""
import glob
import json
import os
import sys

PLAIN = """
type Plain<T> = 0 extends 1 & T ? any
  : T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : number)
  : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
"""

# Panels of these have settings of a field, besides those that all have
CUSTOM = ("timeseries", "heatmap", "table", "statetimeline", "barchart", "histogram")


def module(kind):
    """The SDK's name of a kind of panel."""
    return kind.replace("-", "")


def constant(name, of, value):
    return f"export const {name}: Plain<{of}> = {json.dumps(value)};"


def panel_parts(name, panel):
    """What a panel's general type leaves open."""
    kind = module(panel["type"])
    if kind == "row":
        for i, inner in enumerate(panel.get("panels", [])):
            yield from panel_parts(f"{name}_{i}", inner)
        return
    yield constant(f"{name}_options", f"{kind}.Options", panel.get("options", {}))
    custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
    if custom is not None and kind in CUSTOM:
        yield constant(f"{name}_custom", f"Partial<{kind}.FieldConfig>", custom)
    for i, target in enumerate(panel.get("targets", [])):
        yield constant(f"{name}_target{i}", "Partial<prometheus.Dataquery>", target)


def main():
    lines, kinds = [], set()
    for file in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
        with open(file) as f:
            board = json.load(f)
        name = os.path.basename(file)[:-5]
        for i, panel in enumerate(board["panels"]):
            lines += panel_parts(f"{name}_{i}", panel)
            kinds |= {module(p["type"]) for p in [panel, *panel.get("panels", [])] if p["type"] != "row"}
            for target in panel.pop("targets", []):
                target.clear()
        lines.append(constant(name, "dashboard.Dashboard", board))
    for kind in sorted({"dashboard", "prometheus", *kinds}):
        print(f'import * as {kind} from "@grafana/grafana-foundation-sdk/{kind}";')
    print(PLAIN)
    print("\n".join(lines))


main()
