#!/bin/bash
# Checks the dashboards against Grafana's own types, those of its Apache-licensed foundation SDK: unknown keys, wrong values,
# for the dashboard, and for each panel's options, field settings and queries. Exit status 77: they cannot be had
# (tests/lib/npm.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
types=$("$here/../../tests/lib/npm.sh" grafana-types-0.0.21 @grafana/grafana-foundation-sdk@0.0.21)
file=$(mktemp --suffix .ts "$types/check-XXXXXX") # beside node_modules, where imports are looked for; others may check, too
trap 'rm -f "$file"' EXIT
python3 "$here/typescript.py" "${1:-$here/dashboards}" >"$file"
"$types/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2020 --module esnext --moduleResolution bundler "$file"
echo "grafana: the dashboards fit Grafana's types"
