#!/bin/bash
# stage-postgres.sh DIR [TREE]: a private PostgreSQL installation in DIR with our extension in it, so that tests
# and the demo neither need root nor write into the machine's PostgreSQL. Prints its bin directory. The extension
# is that of the work tree TREE, by default the one this script is in.
#
# PostgreSQL finds its files relative to the directory of its own executable: the executables are copied,
# everything else is a link to the machine's files, and our extension is installed over it (DESTDIR).
set -euo pipefail
dest=$1
root=${2:-$(cd "$(dirname "$0")/../.." && pwd)}
pg_config=${PG_CONFIG:-pg_config}
bin=$("$pg_config" --bindir)
# Debian's /usr/bin/pg_config may belong to libpq-dev: the server's programs are where the server says
share=$("$pg_config" --sharedir)
lib=$("$pg_config" --pkglibdir)

# One at a time: processes that share a run come here together.
mkdir -p "$root/build"
exec 9>"$root/build/stage.lock"
flock 9

mkdir -p "$dest$bin" "$dest$share" "$dest$lib"
for program in "$bin"/*; do
	copy=$dest$bin/${program##*/}
	[ "$copy" -nt "$program" ] || cp -f "$program" "$copy"
done
# link_all FROM TO: TO/x -> FROM/x; directories that we add files to are made for real
link_all() {
	local item
	for item in "$1"/*; do
		case ${item##*/} in
			millrace*) ;; # the machine's own copy must not shadow the one under test
			extension | bitcode)
				mkdir -p "$2/${item##*/}"
				[ "${item##*/}" = bitcode ] || link_all "$item" "$2/${item##*/}"
				;;
			*) [ -e "$2/${item##*/}" ] || ln -sf "$item" "$2/${item##*/}" ;;
		esac
	done
}
link_all "$share" "$dest$share"
link_all "$lib" "$dest$lib"
# Not installed again when nothing has changed: another run may be using it.
make -s -C "$root/pg_extension" >&2
changed=0
for file in "$root"/pg_extension/millrace.so "$root"/pg_extension/millrace.control "$root"/pg_extension/{,released/}millrace--*.sql; do
	[ -e "$file" ] || continue # nothing is released yet
	case $file in *.so) copy=$dest$lib/${file##*/} ;; *) copy=$dest$share/extension/${file##*/} ;; esac
	cmp -s "$file" "$copy" || changed=1
done
if [ $changed = 1 ]; then
	make -s -C "$root/pg_extension" install DESTDIR="$dest" >&2
	chmod -R a+rX "$dest"
fi
echo "$dest$bin"
