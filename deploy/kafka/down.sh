#!/usr/bin/env bash
# Stops the nodes that up.sh started and removes their data and logs. The jars stay.
set -euo pipefail
# shellcheck source=deploy/kafka/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

stopped=0
for n in $(nodes); do
  alive "$n" || continue
  # Not gracefully: a controlled shutdown takes seconds and saves data that is removed below.
  end_node "$n" KILL
  stopped=$((stopped + 1))
done
case $stopped in
  0) echo "kafka-down: not running" ;;
  1) echo "kafka-down: stopped" ;;
  *) echo "kafka-down: $stopped nodes stopped" ;;
esac
rm -rf "$cache"/node-* "$cache/brokers" "$cache/secure-brokers" "$cache/node.p12" "$cache/ca.pem"
