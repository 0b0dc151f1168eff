# shellcheck shell=bash disable=SC2034 # variables of the scripts that read it
# What wrk/api.sh and jmeter/api.sh are called with; sourced by both:
#   read_arguments WHAT NUMBER SECONDS ARGUMENT...
# sets url, shape, number and seconds of the arguments URL [SHAPE [WHAT [SECONDS]]], with NUMBER and SECONDS as defaults;
# max_p99_ms and max_error_share of the environment. Exit status 2 with what was found and expected when one is wrong.
read_arguments() {
	local what=$1 usage="api.sh URL [SHAPE [$1 [SECONDS]]]"
	number=$2 seconds=$3
	shift 3
	url=${1:-} shape=${2:-steady}
	[ "$shape" != soak ] || seconds=1800
	number=${3:-$number} seconds=${4:-$seconds}
	max_p99_ms=${MAX_P99_MS:-500} max_error_share=${MAX_ERROR_SHARE:-0.001}
	[[ $url =~ ^https?://[^/]+ ]] || refuse "URL is \"$url\", expected http://HOST:PORT: $usage"
	case $shape in
		steady | ramp | spike | soak) ;;
		*) refuse "SHAPE is \"$shape\", expected steady, ramp, spike or soak: $usage" ;;
	esac
	[[ $number =~ ^[1-9][0-9]*$ ]] || refuse "$what is \"$number\", expected a number from 1: $usage"
	[[ $seconds =~ ^[1-9][0-9]*$ ]] || refuse "SECONDS is \"$seconds\", expected a number from 1: $usage"
	[ -z "${KEY_FILE:-}" ] || [ -r "$KEY_FILE" ] || refuse "KEY_FILE $KEY_FILE cannot be read"
}

refuse() {
	echo "api.sh: $1" >&2
	exit 2
}
