#!/bin/bash
# Runs every test and ends with one summary line. CHECK="lint unit sql e2e" chooses steps, E2E="tests/e2e/test_x.py …"
# end-to-end tests, E2E_PROCESSES=2 how many processes share them (0: none but pytest's own; else as many as pay on this
# machine, see tests/lib/parallel.py); PYTEST_ADDOPTS and KEEP=1 (keeps logs and data) reach them.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
steps=${CHECK:-lint unit sql e2e}
read -ra e2e <<<"${E2E:-tests/e2e}"
logs=build/check
begin=$SECONDS
results=()
failed=0

# What comes from outside is looked for before the first test of any kind.
case " $steps " in *" e2e "*) tests/kafka/fetch.sh >/dev/null || exit 1 ;; esac
case " $steps : ${LINT_SKIP:-} " in *" pgspot "*) ;; *" lint "*) .ci/pgspot install || exit 1 ;; esac

rm -rf "$logs"
mkdir -p "$logs"

# step NAME COMMAND...: the command prints what it likes and ends with a line "NUMBER things"
step() {
	local name=$1 log=$logs/$1.log from=$SECONDS rc=0
	shift
	case " $steps build " in *" $name "*) ;; *) return ;; esac
	echo "== $name"
	"$@" 2>&1 | tee "$log" || rc=1
	if [ $rc = 0 ]; then
		results+=("$name $(summary "$log")(${name:+$((SECONDS - from)) s})")
	else
		results+=("$name FAILED")
		failed=1
	fi
}

summary() {
	case $1 in
		*/unit.log) awk '/\[  PASSED  \] [0-9]+ test/ { n += $4 } END { if (n) printf "%d tests ", n }' "$1" ;;
		*/sql.log) awk -F'[=,]' '/^Files=/ { printf "%d tests ", $4 }' "$1" ;;
		*/e2e.log) sed -nE 's/^(.* )?([0-9]+) passed.*/\2 tests /p' "$1" | tail -n 1 ;;
	esac
}

# shellcheck disable=SC2317 # called through step
unit() {
	local makefile rc=0
	for makefile in tests/unit/Makefile tests/unit/*/Makefile tests/fuzz/Makefile; do
		[ -f "$makefile" ] || continue
		make -C "${makefile%/*}" check || rc=1
	done
	return "$rc"
}

# A warning is an error in the extension too (the programs' own makefile says so), as on the other versions.
step build env MR_CFLAGS=-Werror make all
if [ $failed = 0 ]; then
	step lint .ci/lint
	step unit unit
	step sql /usr/bin/python3 tests/lib/run_pgtap.py
	step e2e env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider --durations=10 \
		-n "${E2E_PROCESSES:-auto}" "${e2e[@]}"
fi

took=$(((SECONDS - begin) / 60)):$(printf %02d $(((SECONDS - begin) % 60)))
line=$(printf '%s; ' "${results[@]}")
if [ $failed = 0 ]; then
	echo "check: ok in $took min: ${line%; }"
else
	echo "check: FAILED in $took min: ${line%; } (logs in $logs)"
fi
exit $failed
