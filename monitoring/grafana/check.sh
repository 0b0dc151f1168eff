#!/bin/bash
# Checks the dashboards against Grafana's own types, those of its Apache-licensed foundation SDK: unknown keys, wrong values,
# for the dashboard, and for each panel's options, field settings and queries. Where npm is missing or its registry cannot be
# reached it says so, exit status 77.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/grafana-types-0.0.21
command -v npm >/dev/null || { echo "grafana: npm is not installed, the dashboards are not checked: apt-get install npm" >&2; exit 77; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$cache/node_modules/.bin/tsc" ] ||
	npm install --silent --no-audit --no-fund --prefix "$cache" @grafana/grafana-foundation-sdk@0.0.21 typescript@5 >"$cache/install.log" 2>&1 ||
	{ echo "grafana: npm could not install the foundation SDK and typescript ($cache/install.log), the dashboards are not checked" >&2; exit 77; }
python3 "$here/types.py" "${1:-$here/dashboards}" >"$cache/check.ts"
"$cache/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2020 --module esnext --moduleResolution bundler "$cache/check.ts"
echo "grafana: the dashboards fit Grafana's types"
