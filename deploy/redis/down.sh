#!/usr/bin/env bash
# Stops the Redis that up.sh started.
set -euo pipefail
# shellcheck source=deploy/redis/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if alive; then
  pid=$(<"$cache/pid")
  kill "$pid"
  while alive; do sleep 0.05; done
  echo "redis-down: stopped"
else
  echo "redis-down: not running"
fi
rm -rf "$cache"
