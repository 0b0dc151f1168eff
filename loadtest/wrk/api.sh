#!/bin/bash
# As many requests as connections allow, by wrk: api.sh URL [SHAPE [CONNECTIONS [SECONDS]]]
#   SHAPE         steady, ramp (in four steps), spike or soak (default: steady)
#   CONNECTIONS   at most (default: 64)
#   SECONDS       of each step (default: 15; soak: 1800)
#   KEY_FILE=…    a file with a key that may read
#   MAX_P99_MS=500 MAX_ERROR_SHARE=0.001   what each step is judged by: exit status 1 when one is missed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=loadtest/arguments.sh
. "$here/../arguments.sh"
read_arguments CONNECTIONS 64 15 "$@"
command -v wrk >/dev/null || refuse "wrk is not installed: apt-get install wrk"
case $shape in
	steady | soak) steps=("$number") ;;
	ramp) steps=($((number / 4)) $((number / 2)) $((number * 3 / 4)) "$number") ;;
	spike) steps=($((number / 8)) "$number" $((number / 8))) ;;
esac

IDS=$(mktemp)
trap 'rm -f "$IDS"' EXIT
KEY=$([ -z "${KEY_FILE:-}" ] || cat "$KEY_FILE")
[ -n "$KEY" ] || unset KEY
export IDS ${KEY:+KEY} MAX_P99_MS=$max_p99_ms MAX_ERROR_SHARE=$max_error_share
python3 - "$url" >"$IDS" <<'P'
import json, os, sys, urllib.request
key = os.environ.get("KEY")
request = urllib.request.Request(sys.argv[1].rstrip("/") + "/events?limit=1000", headers={"Authorization": f"Bearer {key}"} if key else {})
for row in json.load(urllib.request.urlopen(request, timeout=20)):
    print(row["id"])
P

status=0
for step in "${steps[@]}"; do
	[ "$step" -gt 0 ] || step=1
	echo "$step connections for $seconds s:"
	wrk -t 1 --timeout "$((max_p99_ms / 1000 + 2))s" -c "$step" -d "${seconds}s" --latency -s "$here/api.lua" "$url" >"$IDS.out" || status=1
	grep -E '^(ok|MISSED)' "$IDS.out" || { cat "$IDS.out"; status=1; }
	rm -f "$IDS.out"
done
exit $status
