#!/bin/bash
# pypi.sh PROGRAM: installs what tests/lib/PROGRAM.requirements names, once per machine, in a virtual environment of its own,
# and prints the path of the program. Where that cannot be done it says so, exit status 77.
set -euo pipefail
name=$1
requirements=$(dirname "$0")/$name.requirements
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/$name-$(sha256sum "$requirements" | cut -c 1-12)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/complete" ]; then
	rm -rf "$cache/venv"
	{ /usr/bin/python3 -m venv "$cache/venv" &&
		timeout 300 "$cache/venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$requirements"; } \
		>"$cache/install.log" 2>&1 ||
		{ echo "$name: pip could not install it ($cache/install.log), nothing is checked" >&2; exit 77; }
	touch "$cache/complete"
fi
echo "$cache/venv/bin/$name"
