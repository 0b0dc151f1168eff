#!/bin/bash
# Checks the types of api.js against @types/k6: the script is not run here. Exit status 77: they cannot be had (tests/lib/npm.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
types=$("$here/../../tests/lib/npm.sh" k6-types-1 @types/k6@1)
"$types/node_modules/.bin/tsc" --noEmit --allowJs --checkJs --strict --target es2020 --module esnext --moduleResolution node \
	--typeRoots "$types/node_modules/@types" --types k6 --baseUrl "$types/node_modules" --paths null "$here/api.js" 2>&1
echo "k6: api.js fits the types of k6"
