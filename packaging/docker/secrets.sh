#!/bin/bash
# Makes the secrets of the stack in /run/secrets when they are not there yet: a directory for each container, which its user
# alone can read. Passwords of PostgreSQL's roles, the key of the API for whoever operates the stack, the secret that signs
# cursors. A directory is complete or not there: what was begun is made again.
set -euo pipefail
umask 077
cd /run/secrets

random() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }

# known NAME: a secret that several containers need, made once
known() {
	local file=/run/secrets/all/$1
	mkdir -p "${file%/*}"
	if [ ! -s "$file" ]; then
		random >"$file.new"
		mv "$file.new" "$file"
	fi
	cat "$file"
}

# file NAME [SECRET]: into the working directory
file() { known "${2:-$1}" >"$1"; }

connection() { printf 'host=postgres dbname=%s user=%s password=%s' "$MILLRACE_DATABASE" "$1" "$(known "$1")"; }

# directory NAME UID FUNCTION: the function writes the files of a container into the working directory
directory() {
	[ ! -d "$1" ] || return 0
	rm -rf "$1.new"
	mkdir "$1.new"
	(cd "$1.new" && "$3")
	chown -R "$2:$2" "$1.new"
	mv "$1.new" "$1"
	echo "secrets: made those of $1"
}

for_postgres() { file postgres; }
for_migrate() { file postgres && file millrace_ingestor && file millrace_api && file events_owner && file monitor; }
for_ingestor() { connection millrace_ingestor >dsn; }
for_monitor() { file password monitor; }
for_grafana() { file password grafana; }
for_api() {
	connection millrace_api >dsn
	connection events_owner >operate_dsn
	file cursor_secret
	millrace-api --new-key operator:read,publish,operate >both
	head -n 1 both >key
	tail -n 1 both >keys
	rm both
}

directory postgres 999 for_postgres
directory migrate 10003 for_migrate
directory ingestor 10001 for_ingestor
directory api 10002 for_api
directory monitor 65534 for_monitor
directory grafana 472 for_grafana
