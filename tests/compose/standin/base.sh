#!/bin/bash
# Makes, once per machine, a Debian system with nothing but the base, which takes the place of the official image `debian`,
# and prints the name of its archive. It needs root, debootstrap and a Debian mirror: the one apt is configured with, or
# DEBIAN_MIRROR. What it cannot do it says in one line on standard error, exit status 77.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=trixie
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/standin
archive=$cache/$suite.tar

cannot() {
	echo "$1" >&2
	exit 77
}

[ "$(id -u)" = 0 ] || cannot "root is needed for debootstrap and dockerd"
command -v debootstrap >/dev/null || cannot "debootstrap is not installed"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -f "$archive" ]; then
	from=$("$here/../../lib/mirror.sh")
	[ -n "$from" ] || cannot "apt knows no Debian mirror, set DEBIAN_MIRROR"
	rm -rf --one-file-system "${cache:?}/$suite"
	# shellcheck disable=SC2086 # several options
	unshare --mount debootstrap --variant=minbase ${DEBOOTSTRAP_OPTS:-} "$suite" "$cache/$suite" "$from" >"$cache/log" 2>&1 ||
		cannot "debootstrap could not make $suite: $(grep '^[EW]:' "$cache/log" | tail -n 1) ($cache/log)"
	# as the official image: what apt has downloaded is not kept
	cat >"$cache/$suite/etc/apt/apt.conf.d/docker-clean" <<-'C'
		DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
	C
	rm -f "$cache/$suite"/var/cache/apt/archives/*.deb "$cache/$suite"/var/cache/apt/*.bin "$cache/$suite"/var/lib/apt/lists/*_*
	tar -C "$cache/$suite" -cf "$archive.new" .
	mv "$archive.new" "$archive"
	rm -rf --one-file-system "${cache:?}/$suite"
fi
echo "$archive"
