#!/bin/sh
# Fills an empty ledger from a backup.
#
#     sh restore.sh /backup/paycore-2025-01-31T020000Z.db sqlite:///paycore.db
#     sh restore.sh /backup/paycore-2025-01-31T020000Z.db postgresql://paycore@db.example/restored?sslmode=verify-full
#
# Run it in the folder of paycore.toml, whose `ledger` is the one given here, once every process that uses it has ended.
set -eu
backup=$1
target=$2

# What is left of a SQLite ledger is kept under another name.
kept=paycore.before-$(date -u +%Y-%m-%dT%H%M%SZ).db
for part in "" -wal -shm; do
    [ ! -e "paycore.db$part" ] || mv "paycore.db$part" "$kept$part"
done

paycore ledger copy "sqlite:///$backup" "$target"           # verified, or the target stays empty
paycore ledger verify --anchor "${backup%.db}.json"
