#!/bin/bash
# End-to-end tests with the ingestor and the API built under AddressSanitizer (leaks too) and UBSan, into build/asan:
#   tests/asan.sh [PYTEST_ARGUMENT...]     by default the tests of the API
# What a program is found to do wrong ends it, is written to build/asan/reports, and fails the run even when no test notices.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=$PWD/build/asan
for program in ingestor api; do
	make -s -C "$program" -j"$(nproc)" BUILD="$out" SANITIZE=address,undefined CFLAGS='-O1 -g' || exit 1
done
rm -rf "$out/reports"
mkdir -p "$out/reports"
export MILLRACE_PROGRAMS=$out/bin
# a small quarantine: some tests compare memory
export ASAN_OPTIONS=log_path=$out/reports/asan:quarantine_size_mb=4:detect_leaks=1
export UBSAN_OPTIONS=log_path=$out/reports/ubsan:halt_on_error=1:print_stacktrace=1
[ $# -gt 0 ] || set -- tests/e2e/test_api_*.py
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider "$@"
rc=$?
for report in "$out"/reports/*; do
	[ -e "$report" ] || break
	echo "== $report" && head -n 60 "$report"
	rc=1
done
exit $rc
