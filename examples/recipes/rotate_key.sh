#!/bin/sh
# Puts a new secret, read from stdin, in the place of the one in a file, and keeps that one as FILE.old.
#
#     sh rotate_key.sh hk secrets/qfpay
#
# Run it in the folder of paycore.toml, then restart every process that uses the account.
set -eu
account=$1
file=$2

cp -p "$file" "$file.new"                           # of the same owner, who alone may read it
cat >"$file.new"                                    # an argument could be read by every user of the machine
[ -s "$file.new" ] || { rm "$file.new"; echo "there is no secret on stdin" >&2; exit 2; }

if cmp -s "$file.new" "$file"; then                 # run a second time: FILE.old stays the old one
    rm "$file.new"
else
    cp -p "$file" "$file.kept"
    mv "$file.kept" "$file.old"                     # a process that starts meanwhile reads one secret or the other
    mv "$file.new" "$file"
fi
paycore doctor --account "$account"                 # asks the provider whether it takes the new one
