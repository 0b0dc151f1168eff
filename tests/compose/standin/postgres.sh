#!/bin/bash
# In place of the official image's start: makes the cluster and the database when they are not there, then runs the command.
set -euo pipefail
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	mkdir -p "$PGDATA"
	# shellcheck disable=SC2086 # several options
	initdb -D "$PGDATA" -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
	printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
	pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
	createdb -U postgres "$POSTGRES_DB"
	pg_ctl -D "$PGDATA" -w stop
fi
exec "$@"
