#!/bin/bash
# The demonstration: a throw-away PostgreSQL cluster, an embedded Kafka broker, the pipelines of migrations/, an
# ingestor, the HTTP API, and a year of New York's weather through all of it. Everything is under .run/; the database listens on
# a socket in a directory of its own and the other ports are chosen by the system.
set -Eeuo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
bin=$root/build/bin
data=$root/loadtest/data/weather.csv.gz
partitions=12
database=demo
export PGCLIENTENCODING=UTF8 # tables with ° in them are aligned in any locale
server_user=$(id -un)
as_server=()

main() {
	[ ! -f "$processes" ] || { echo "demo: ending the one that runs" && stop_all; }
	remove_outside
	rm -rf "$run"
	mkdir -p "$run"
	trap 'failed $LINENO' ERR
	trap 'stop_all; remove_outside; trap - ERR; exit 130' INT TERM
	[ "$(id -u)" != 0 ] || { server_user=postgres && as_server=(runuser -u postgres --); }

	step "PostgreSQL" start_postgres
	step "broker" start_broker
	step "migrations" migrate
	step "ingestor" start_ingestor
	step "API" start_api
	produce
	report
}

step() {
	printf '  %-11s ' "$1"
	"$2"
}

failed() {
	echo
	echo "demo: failed at line $1; the logs are in $run" >&2
	tail -n 5 "$run"/*.log >&2 2>/dev/null || true
	stop_all
	remove_outside
}

# As root the server runs as user postgres, who may not be able to come here.
reachable() { [ "$(id -u)" != 0 ] || "${as_server[@]}" test -x "$1"; }

# outside NAME: a directory for the server's user where others cannot look; its name is kept for stop.sh
outside() {
	local directory
	directory=$(mktemp -d "$1/millrace-demo.XXXXXX")
	[ "$(id -u)" != 0 ] || chown "$server_user": "$directory"
	echo "$directory" >>"$run/outside"
	echo "$directory"
}

start_postgres() {
	local stage=$root/build/stage
	cluster=$run/pg
	if ! reachable "$run" || ! reachable "$root/build"; then
		stage=$(outside /var/tmp)
		cluster=$stage/pg
	fi
	pg_bin=$("$root/tests/lib/stage-postgres.sh" "$stage" 2>"$run/stage.log")
	socket=$(outside /tmp)
	mkdir -p "$cluster"
	[ "$(id -u)" != 0 ] || chown "$server_user": "$cluster"
	cd /
	"${as_server[@]}" "$pg_bin/initdb" -D "$cluster" -A trust -U postgres -E UTF8 --locale=C.UTF-8 -N >"$run/initdb.log"
	"${as_server[@]}" tee -a "$cluster/postgresql.conf" >/dev/null <<-C
		listen_addresses = ''
		unix_socket_directories = '$socket'
		shared_preload_libraries = 'millrace'
		shared_buffers = '256MB'
		max_wal_size = '1GB'
		max_worker_processes = 16
		log_line_prefix = '%m [%p] %b '
	C
	# its own session: the terminal's signals are not for it
	: >"$run/postgres.log"
	start_daemon postgres "$run/postgres.log" "${as_server[@]}" "$pg_bin/postgres" -D "$cluster"
	wait_until "the server answers" psql_quiet -d postgres -c 'SELECT 1'
	psql_quiet -d postgres -c "CREATE DATABASE $database"
	echo "$(psql_value 'SHOW server_version' | cut -d' ' -f1), socket in $socket"
}

start_broker() {
	start_daemon devbroker "$run/broker.log" "$bin/millrace-devbroker" --address-file "$run/broker" --topic "weather:$partitions" --topic events:4
	wait_until "the broker answers" test -s "$run/broker"
	broker=$(cat "$run/broker")
	echo "$broker, topics weather ($partitions partitions) and events (4)"
}

migrate() {
	local project
	for project in migrations migrations/events; do
		(cd "$root/$project" && PATH=$pg_bin:$PATH sqitch --quiet deploy "db:pg://postgres@/$database?host=$socket") >>"$run/migrations.log" 2>&1
	done
	psql_quiet -d "$database" -c 'GRANT weather_reader TO millrace_api' # for its window
	echo "$(cat "$root"/migrations/{,events/}sqitch.plan | grep -vcE '^(%|$)') deployed, pipelines weather, temperature and events created"
}

start_ingestor() {
	start_daemon ingestor "$run/ingestor.log" "$bin/millrace-ingestor" --dsn "host=$socket dbname=$database user=millrace_ingestor" \
		--brokers "$broker" --admin-listen 127.0.0.1:0
	wait_until "the pipeline's partitions are known" partitions_known
	local address
	address=$(sed -nE 's/.*msg="admin port open".* port=([0-9]+).*/127.0.0.1:\1/p' "$run/ingestor.log" | head -n 1)
	echo "running${address:+, http://$address/metrics}"
}

# What the page of a browser on this machine may do, the demo may: nothing but this run can be lost.
start_api() {
	local connection="host=$socket dbname=$database" port
	start_daemon api "$run/api.log" "$bin/millrace-api" --dsn "$connection user=millrace_api" \
		--operate-dsn "$connection user=events_owner" --anonymous read,publish,operate --brokers "$broker" \
		--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
	wait_until "the API serves" api_serves
	port=$(sed -nE 's/.*msg=listening .*port=([0-9]+).*/\1/p' "$run/api.log" | head -n 1)
	api=http://localhost:$port
	echo "$api"
}

api_serves() { grep -q 'msg=serving' "$run/api.log" && grep -q 'msg=publishing' "$run/api.log"; }

partitions_known() { [ "$(psql_value "SELECT count(*) FROM millrace.partitions WHERE pipeline IN ('weather', 'temperature')")" = $((2 * partitions)) ]; }

# start_daemon NAME LOG COMMAND...: in the background, away from the terminal
start_daemon() {
	local name=$1 log=$2
	shift 2
	setsid "$@" >>"$log" 2>&1 </dev/null &
	local pid=$!
	# runuser stays as the parent of what it runs: the child is the one to end
	if [ "$name" = postgres ] && [ "$(id -u)" = 0 ]; then
		wait_until "postmaster.pid" test -s "$cluster/postmaster.pid"
		pid=$(head -n 1 "$cluster/postmaster.pid")
	fi
	remember "$name" "$pid"
}

wait_until() { # WHAT COMMAND...
	local what=$1 i
	shift
	for ((i = 0; i < 300; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	echo "demo: gave up waiting until $what" >&2
	return 1
}

psql_quiet() { "$pg_bin/psql" -X -q -P pager=off -v ON_ERROR_STOP=1 -h "$socket" -U postgres "$@"; }
psql_value() { psql_quiet -d "$database" -At -c "$1"; }

# by the pipeline that is behind
settled() { psql_value "SELECT min(events) FROM millrace.stats WHERE pipeline IN ('weather', 'temperature')"; }

produce() {
	local total begin seen
	read -r total missing damaged < <("$bin/millrace-weather" --count "$data")
	echo
	begin=$(date +%s%N)
	"$bin/millrace-weather" --brokers "$broker" --topic weather --partitions "$partitions" \
		--pipelines weather,temperature --dsn "host=$socket dbname=$database user=postgres" "$data" >"$run/weather.log" 2>&1 &
	local producer=$!
	while :; do
		seen=$(settled)
		progress "$seen" "$total" "$begin"
		[ "$seen" -lt "$total" ] || break
		if ! kill -0 "$producer" 2>/dev/null && ! wait "$producer"; then
			return 1
		fi
		sleep 0.1
	done
	wait "$producer"
	echo
	events=$total
	milliseconds=$((($(date +%s%N) - begin) / 1000000))
}

progress() { # SEEN TOTAL BEGIN
	local width=40 done_=$(($1 * 40 / $2)) bar ms=$((($(date +%s%N) - $3) / 1000000 + 1))
	[ -t 1 ] || [ "$1" = "$2" ] || return 0 # no bar into a file, only its end
	bar=$(printf '%*s' "$done_" '' | tr ' ' '#')$(printf '%*s' $((width - done_)) '' | tr ' ' '.')
	printf '\r  [%s] %7d of %d events, %d.%d s ' "$bar" "$1" "$2" $((ms / 1000)) $((ms / 100 % 10))
}

report() {
	echo
	psql_quiet -d "$database" -v ms="$milliseconds" -v events="$events" -v missing="$missing" -v damaged="$damaged" \
		-f "$root/loadtest/demo/report.sql"
	cat <<-T
		It is still running. Look further with

		  psql -h $socket -U postgres $database

		or over HTTP: publish an event, list what became of the events, read the window, follow the events, and see what the pipelines do

		  curl -X POST '$api/events?eventType=Temperature&eventData=30C'
		  curl '$api/events?limit=3'
		  curl '$api/windows/temperature_by_day?station=JFK&limit=3'
		  curl -N '$api/events/stream'
		  curl -N -H 'Accept: text/event-stream' '$api/events/all'

		and end it with: make demo-stop
	T
}

main
