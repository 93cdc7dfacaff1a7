#!/bin/sh
# What a machine's boot does: a worker named after the machine, with one process a core, for the queues given.
# On AKS this is the command of a DaemonSet, with NODE_NAME from the downward API.
#   ./start-worker.sh MACHINE QUEUE[,QUEUE…] [CONCURRENCY]
set -eu
cd "$(dirname "$0")"
exec python3 -m celery -A app worker -n "worker@$1" -Q "$2" -c "${3:-$(nproc)}" --loglevel WARNING
