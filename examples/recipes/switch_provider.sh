#!/bin/sh
# Makes an account of paycore.toml the one that new payments are made by, and lists what goes on by the others.
#
#     sh switch_provider.sh new
#
# Run it in the folder of paycore.toml, then restart every process that makes payments, one after the other.
set -eu
new=$1

cp -p paycore.toml paycore.new.toml                 # of the same owner and mode
{
    echo "default_account = \"$new\""
    grep -v "^default_account *=" paycore.toml
} >paycore.new.toml

# Nothing is changed where the account can't be used, or its provider refuses the key.
code=0
paycore --config paycore.new.toml doctor --account "$new" || code=$?
case $code in
    0 | 9) ;;                                       # 9: a person must look at a payment, which is no obstacle
    *) exit "$code" ;;
esac

cp -p paycore.toml paycore.before.toml
mv paycore.new.toml paycore.toml

paycore list --open --limit 0
