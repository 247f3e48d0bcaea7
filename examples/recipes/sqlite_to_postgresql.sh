#!/bin/sh
# Moves the ledger paycore.db into an empty PostgreSQL database.
#
#     sh sqlite_to_postgresql.sh postgresql://paycore@db.example/paycore?sslmode=verify-full
#
# Run it in the folder of paycore.toml, once every process that uses the ledger has ended.
# paycore.postgresql.toml is the new configuration: the same, with `ledger` as given here.
set -eu
target=$1

# move FROM TO: the ledger and the files that belong to it
move() {
    for part in "" -wal -shm; do
        [ ! -e "$1$part" ] || mv "$1$part" "$2$part"
    done
}

back() {
    move paycore.moved.db paycore.db
    mv paycore.sqlite.toml paycore.toml
}

# From here on nothing starts, and a process that was forgotten can't write any more.
mv paycore.toml paycore.sqlite.toml
trap back EXIT                                              # if it fails, all is as before,
trap 'exit 1' HUP INT TERM                                  # also where the terminal is closed
move paycore.db paycore.moved.db

paycore ledger copy sqlite:///paycore.moved.db "$target"    # verified, or the target stays empty
paycore --config paycore.postgresql.toml ledger verify

mv paycore.postgresql.toml paycore.toml
trap - EXIT
