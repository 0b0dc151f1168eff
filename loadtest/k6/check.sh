#!/bin/bash
# Checks the types of api.js against @types/k6: the script is not run here. Where npm is missing or its registry cannot be
# reached it says so, exit status 77.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/k6-types-1
command -v npm >/dev/null || { echo "k6: npm is not installed, the script is not checked: apt-get install npm" >&2; exit 77; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$cache/node_modules/.bin/tsc" ] ||
	npm install --silent --no-audit --no-fund --prefix "$cache" @types/k6@1 typescript@5 >"$cache/install.log" 2>&1 ||
	{ echo "k6: npm could not install @types/k6 and typescript ($cache/install.log), the script is not checked" >&2; exit 77; }
"$cache/node_modules/.bin/tsc" --noEmit --allowJs --checkJs --strict --target es2020 --module esnext --moduleResolution node \
	--typeRoots "$cache/node_modules/@types" --types k6 --baseUrl "$cache/node_modules" --paths null "$here/api.js" 2>&1
echo "k6: api.js fits the types of k6"
