#!/bin/bash
# Builds and tests the work tree on other versions of PostgreSQL, each in a Debian system of its own (root.sh), and prints
# one line for each. What a machine cannot do is skipped and said; the exit status is 1 when a version failed.
#   MAJORS="15 16 17 18"    the versions
#   CHECK="unit sql e2e"    the steps, as in tests/check.sh (lint is of the machine's own tools)
#   E2E="tests/e2e/…"       the end-to-end tests
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export CHECK=${CHECK:-unit sql e2e}
export E2E=${E2E:-tests/e2e}
passed=0 failed=0 skipped=0

# A copy, so that the roots' objects and ours do not meet; made again each time.
copy_tree() {
	rm -rf "$1"
	mkdir -p "$1"
	.ci/sources all | tar -c -T - | tar -x -C "$1"
}

# run MAJOR: 0 ok, 77 could not be run, else it failed; the last line says what happened
run() {
	local major=$1 work=$PWD/build/matrix/$1 root
	mkdir -p build/matrix
	exec 8>"build/matrix/$major.lock" # children have it too: one that outlives a killed run keeps the next one waiting
	flock 8
	rm -rf "$work"
	mkdir -p "$work/tmp"
	chmod 1777 "$work/tmp"
	root=$(tests/matrix/root.sh "$major" 2>"$work/root.log") || { tail -n 1 "$work/root.log"; return 77; }
	case " $CHECK " in *" e2e "*)
		KAFKA_DIR=$(tests/kafka/fetch.sh 2>"$work/kafka.log") || { echo "the Kafka broker's jars could not be fetched ($work/kafka.log)"; return 77; }
		export KAFKA_DIR
		;;
	esac
	mkdir -p "$work/cache/millrace/${KAFKA_DIR:+${KAFKA_DIR##*/}/libs}"
	[ "$major" != 16 ] || export PG_CONFIG=/opt/postgresql/16/bin/pg_config
	copy_tree "$work/tree"
	tests/matrix/enter.sh "$root" "$work" tests/check.sh >"$work/check.log" 2>&1 </dev/null
	local rc=$?
	rm -rf "$work/tmp" "$work/cache"
	# without a summary no test was run: the system could not be entered, or not be made ready
	grep '^check: ' "$work/check.log" || { tail -n 1 "$work/check.log"; return 77; }
	[ $rc != 77 ] || rc=1
	return $rc
}

for major in ${MAJORS:-15 16 17 18}; do
	line=$(unset PG_CONFIG; run "$major")
	case $? in
		0) passed=$((passed + 1)); echo "matrix: PostgreSQL $major ok: ${line#check: ok in }" ;;
		77) skipped=$((skipped + 1)); echo "matrix: PostgreSQL $major SKIPPED, not tested: $line" ;;
		*)
			failed=$((failed + 1))
			echo "matrix: PostgreSQL $major FAILED: $line, log in build/matrix/$major/check.log, its end:"
			tail -n 30 "build/matrix/$major/check.log" | cut -c 1-300
			;;
	esac
done
echo "matrix: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
