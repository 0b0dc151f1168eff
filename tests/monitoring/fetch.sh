#!/bin/bash
# Prepares Prometheus, Alertmanager and postgres_exporter once per machine, from Debian's packages, and prints the directory
# their programs are in. Unpacked, not installed: an installed package would start a service of its own.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/monitoring
packages=(prometheus prometheus-alertmanager prometheus-postgres-exporter)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

unreachable() {
	echo "monitoring: the packages ${packages[*]} could not be fetched by apt ($cache/fetch.log): make a mirror of Debian" \
		"reachable, or copy $cache/root from another machine, or leave the tests of monitoring out: pytest --deselect" \
		"tests/e2e/test_monitoring.py" >&2
	exit 1
}

# promtool is a package of its own from Debian 13 on
get() {
	local tools=()
	! apt-cache show promtool >/dev/null 2>&1 || tools=(promtool)
	apt-get download -q "${packages[@]}" "${tools[@]}" >>"$cache/fetch.log" 2>&1
}

# an old list of packages names files that are gone: ask again only then
download() {
	: >"$cache/fetch.log"
	get && return
	[ "$(id -u)" = 0 ] && apt-get update -q >>"$cache/fetch.log" 2>&1
	get
}

if [ ! -d "$cache/root" ]; then
	rm -rf "$cache/debs" "$cache/root.new"
	mkdir "$cache/debs"
	cd "$cache/debs"
	download || unreachable
	for deb in *.deb; do dpkg -x "$deb" "$cache/root.new"; done
	mv "$cache/root.new" "$cache/root"
	rm -rf "$cache/debs"
fi
echo "$cache/root/usr/bin"
