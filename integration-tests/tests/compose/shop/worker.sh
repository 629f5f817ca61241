#!/bin/sh
# Counts in redis and writes what it counted where nginx serves it, until it is told to stop.
trap 'exit 0' TERM
while :; do
    if count=$(redis-cli -h "$STORE" incr rounds 2>/dev/null); then
        echo "$count" >/srv/pages/.rounds && mv /srv/pages/.rounds /srv/pages/rounds
    fi
    sleep 0.2 &
    wait $!
done
