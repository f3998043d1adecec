#!/usr/bin/env bash
# Stops the broker that up.sh started and removes its data and logs. The jars stay.
set -euo pipefail
# shellcheck source=deploy/kafka/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if alive 1; then
  # Not gracefully: a controlled shutdown takes seconds and saves data that is removed on the next line but one.
  pid=$(<"$(node_dir 1)/pid")
  kill -KILL "$pid"
  while alive 1; do sleep 0.05; done
  echo "kafka-down: stopped"
else
  echo "kafka-down: not running"
fi
rm -rf "$(node_dir 1)" "$cache/brokers"
