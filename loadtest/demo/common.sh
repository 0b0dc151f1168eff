# shellcheck shell=bash
# Shared by start.sh and stop.sh: where the demo is (.run of the work tree, or MILLRACE_DEMO), and what it has started.
#
# .run/processes has a line "name pid start-time" for each process: the time a process was started (field 22 of
# /proc/PID/stat) distinguishes it from another process that got the same pid later.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
run=${MILLRACE_DEMO:-$root/.run}
processes=$run/processes

started_at() { # PID: its start time, nothing when it is gone
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	case $1 in Z | X) ;; *) echo "${20}" ;; esac
}

alive() { [ -n "$2" ] && [ "$(started_at "$1")" = "$2" ]; } # PID START-TIME

remember() { echo "$1 $2 $(started_at "$2")" >>"$processes"; } # NAME PID

# Ends what is in the list, the last started first, and forgets it.
stop_all() {
	local name pid since signal i
	[ -f "$processes" ] || return 0
	while read -r name pid since; do
		alive "$pid" "$since" || continue
		case $name in postgres) signal=INT ;; *) signal=TERM ;; esac
		kill -"$signal" "$pid" 2>/dev/null || continue
		for ((i = 0; i < 300; i++)); do
			alive "$pid" "$since" || break
			sleep 0.1
		done
		if alive "$pid" "$since"; then
			echo "demo: $name (pid $pid) did not go, killing it" >&2
			kill -KILL "$pid"
		fi
	done < <(tac "$processes")
	rm -f "$processes"
}

# Directories outside .run that a run needed: their names are in .run, so that they can be removed.
remove_outside() {
	local directory
	[ -f "$run/outside" ] || return 0
	while read -r directory; do
		case $directory in /tmp/millrace-demo.* | /var/tmp/millrace-demo.*) rm -rf "$directory" ;; esac
	done <"$run/outside"
	rm -f "$run/outside"
}
