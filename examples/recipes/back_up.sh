#!/bin/sh
# Backs up the ledger into a folder, while others use it, and keeps the newest 48 backups.
#
#     sh back_up.sh /backup
#
# Run it in the folder of paycore.toml, each hour. Copy what it writes to another machine.
# Says nothing but what goes wrong, as cron wants it.
set -eu
folder=$1
name=paycore-$(date -u +%Y-%m-%dT%H%M%SZ)

paycore --quiet ledger anchor --output "$folder/$name.json" # proves later that nothing was changed
paycore --quiet ledger backup "$folder/$name.db"            # whole and verified, or not there

ls "$folder"/paycore-*Z.db | sort -r | tail -n +49 | while read -r old; do
    rm -f -- "$old" "${old%.db}.json"
done
