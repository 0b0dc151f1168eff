#!/bin/bash
# Runs api.jmx, and judges it: api.sh URL [SHAPE [USERS_PER_S [SECONDS]]]
#   SHAPE         steady, ramp, spike or soak (default: steady)
#   USERS_PER_S   at most (default: 50); each sends three requests
#   SECONDS       default: 60; soak: 1800
#   KEY_FILE=…    a file with a key that may read
#   END_S=10      how long those under way at the end have; the run takes so much longer
#   MAX_P99_MS=500 MAX_ERROR_SHARE=0.001   what is judged: exit status 1 when one is missed
# The samples and JMeter's own report in HTML are in build/loadtest/jmeter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=loadtest/arguments.sh
. "$here/../arguments.sh"
read_arguments USERS_PER_S 50 60 "$@"
out=$here/../../build/loadtest/jmeter
home=$("$here/fetch.sh")

stage() { echo "rate($1/s) random_arrivals($2 s)"; } # USERS_PER_S SECONDS
case $shape in
	steady | soak) schedule=$(stage "$number" "$seconds") ;;
	ramp) schedule="rate(0/s) random_arrivals($seconds s) rate($number/s)" ;;
	spike) schedule="$(stage $((number / 5 + 1)) $((seconds / 3))) $(stage "$number" $((seconds / 3))) $(stage $((number / 5 + 1)) $((seconds / 3)))" ;;
esac
schedule+=" pause(${END_S:-10} s)" # JMeter interrupts whoever is under way when the schedule ends

rm -rf "$out" && mkdir -p "$out"
{ # of a file: a key is nothing for a command line
	printf '%s\n' "schedule=$schedule" "protocol=${url%%:*}"
	address=${url#*://}
	address=${address%%/*}
	[[ $address == *:* ]] || case $url in https*) address+=:443 ;; *) address+=:80 ;; esac
	printf '%s\n' "host=${address%:*}" "port=${address##*:}"
	[ -z "${KEY_FILE:-}" ] || printf 'key_header=Authorization\nkey_value=Bearer %s\n' "$(cat "$KEY_FILE")"
} >"$out/plan.properties"
chmod 600 "$out/plan.properties"

cd "$out"
# its pool of threads would keep the program for another minute
java -Xmx512m -Djava.awt.headless=true -cp "$home/bin/ApacheJMeter.jar" org.apache.jmeter.NewDriver -d "$home" -n -t "$here/api.jmx" \
	-q plan.properties -Jjmeterengine.force.system.exit=true -l samples.jtl -j jmeter.log -e -o report >run.log 2>&1 || { tail -n 20 run.log jmeter.log >&2; exit 1; }
rm plan.properties
python3 "$here/judge.py" samples.jtl "$max_p99_ms" "$max_error_share"
