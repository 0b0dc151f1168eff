#!/bin/bash
# npm.sh NAME PACKAGE...: installs these once per machine and prints the directory they are in. NAME is of the directory, and
# changes with the versions. Where npm is missing or its registry cannot be reached it says so, exit status 77.
set -euo pipefail
name=$1
shift
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/$name
command -v npm >/dev/null || { echo "$name: npm is not installed, nothing is checked: apt-get install npm" >&2; exit 77; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$cache/node_modules/.bin/tsc" ] ||
	npm install --silent --no-audit --no-fund --prefix "$cache" "$@" typescript@5 >"$cache/install.log" 2>&1 ||
	{ echo "$name: npm could not install $* and typescript ($cache/install.log), nothing is checked" >&2; exit 77; }
echo "$cache"
