#!/bin/sh
# Tells which of the containers answered.
printf 'Content-Type: text/plain\r\n\r\n%s\n' "$(hostname)"
