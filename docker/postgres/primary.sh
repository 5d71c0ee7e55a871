#!/bin/bash
#
# Run once by the image of PostgreSQL, when it has made the database: a standby
# may connect, and from the next start on each commit waits for one.

set -eu

echo 'host replication all all scram-sha-256' >>"$PGDATA/pg_hba.conf"

psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -c "ALTER SYSTEM SET synchronous_standby_names = '*'"
