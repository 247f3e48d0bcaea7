#!/bin/sh
# Makes an account of paycore.toml the one that new payments are made by, and lists what goes on by the others.
#
#     sh switch_provider.sh new
#
# Run it in the folder of paycore.toml, then restart every process that makes payments, one after the other.
set -eu
new=$1

cp -p paycore.toml paycore.new.toml
sed "s/^default_account *=.*/default_account = \"$new\"/" paycore.toml >paycore.new.toml
paycore --config paycore.new.toml accounts          # exits 6, and nothing is changed, where one can't be used
cp -p paycore.toml paycore.before.toml
mv paycore.new.toml paycore.toml

paycore list --open --limit 0
