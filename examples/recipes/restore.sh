#!/bin/sh
# Fills an empty ledger from a backup, of `ledger backup` or pg_dump, and compares it with what the providers have of
# each account since a moment before the backup was made.
#
#     sh restore.sh /backup/paycore-2025-01-31T020700Z.db sqlite:///paycore.db 2025-01-30 hk cards
#
# Run it in the folder of paycore.toml, whose `ledger` is the one given here, once every process that uses it has ended.
set -eu
backup=$1
target=$2
since=$3
shift 3

# Nothing is moved for a backup that is not there.
for part in "$backup" "${backup%.*}.json"; do
    [ -f "$part" ] || { echo "restore.sh: there is no $part" >&2; exit 2; }
done

# What is left of a SQLite ledger is kept under another name.
case $target in
    sqlite:///*)
        file=${target#sqlite:///}
        kept=$file.before-$(date -u +%Y-%m-%dT%H%M%SZ)
        for part in "" -wal -shm; do
            [ ! -e "$file$part" ] || mv "$file$part" "$kept$part"
        done
        ;;
esac

# Either fills it wholly or leaves it empty.
case $backup in
    *.dump) pg_restore --no-owner --single-transaction --dbname "$target" "$backup" ;;
    *) paycore ledger copy "sqlite:///$backup" "$target" ;;
esac
paycore ledger verify --anchor "${backup%.*}.json"

# What was made after the backup is brought back, or listed for a person: then this ends with 9.
code=0
for account in "$@"; do
    echo "account $account"
    paycore reconcile --account "$account" --since "$since" || code=$?
done
exit "$code"
