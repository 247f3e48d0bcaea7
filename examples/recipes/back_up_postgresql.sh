#!/bin/sh
# Backs up a ledger in PostgreSQL by PostgreSQL's own means, and keeps the newest 48 backups.
#
#     sh back_up_postgresql.sh /backup postgresql://paycore@db.example/paycore?sslmode=verify-full
#
# Run it in the folder of paycore.toml, each hour. Copy what it writes to another machine.
set -eu
umask 077
folder=$1
database=$2
name=paycore-$(date -u +%Y-%m-%dT%H%M%SZ)

paycore --quiet ledger anchor --output "$folder/$name.json"
pg_dump --format=custom --no-owner --file "$folder/$name.part" "$database"
mv "$folder/$name.part" "$folder/$name.dump"                # whole, or not there

ls "$folder"/paycore-*Z.dump | sort -r | tail -n +49 | while read -r old; do
    rm -f -- "$old" "${old%.dump}.json"
done
