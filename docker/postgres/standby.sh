#!/bin/bash
#
# A standby of the server db: a copy of it, when there is none yet, which then
# follows.

set -eu

export PGPASSWORD=$POSTGRES_PASSWORD

while [ ! -s "$PGDATA/PG_VERSION" ]; do
    rm -rf "$PGDATA.new"

    if pg_basebackup -h db -U "$POSTGRES_USER" -D "$PGDATA.new" -R -X stream
    then
        mv "$PGDATA.new" "$PGDATA"
    else
        sleep 1
    fi
done

exec postgres -D "$PGDATA" "$@"
