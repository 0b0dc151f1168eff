#!/bin/bash
# Brings the database up to date: changes that are not deployed yet, the extension when the image has a newer one, and the
# passwords of the roles, from the files of secrets.sh. Run again it changes nothing.
set -euo pipefail
secrets=/run/secrets/migrate
PGPASSWORD=$(cat "$secrets/postgres")
export PGHOST=postgres PGUSER=postgres PGPASSWORD PGDATABASE="${MILLRACE_DATABASE:?}"

sqitch deploy "db:pg://$PGUSER@$PGHOST/$PGDATABASE"
cd "$secrets"
exec psql -X -q -v ON_ERROR_STOP=1 -f /usr/local/lib/millrace/roles.sql
