#!/bin/sh
# Asks the providers once about everything that is open, and logs what came of it.
#
#     */2 * * * *  cd /srv/shop && sh cron/resolve.sh
#
# Prints only what somebody has to mend, because cron mails that.
code=0
{
    date -u +%Y-%m-%dT%H:%M:%SZ
    paycore resolve || code=$?
} >>resolve.log 2>&1

case $code in
    0) ;;           # every provider answered
    5 | 7) ;;       # one did not, or an outcome is still unknown: the next pass asks again
    9) ;;           # a person must look: the crontab mails each review once
    *)
        echo "paycore resolve ended with exit code $code:"
        tail -n 20 resolve.log
        ;;
esac
