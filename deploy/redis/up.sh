#!/usr/bin/env bash
# Starts one Redis on loopback that keeps nothing, without Docker, and prints TEST_REDIS. It needs redis-server
# (Debian's package of that name).
#
#   REDIS_PORT   Redis's port (16379)
set -euo pipefail
# shellcheck source=deploy/redis/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

fail() {
  echo "redis-up: $*" >&2
  exit 1
}

if alive; then
  echo "redis-up: already running"
else
  command -v redis-server >/dev/null || fail "redis-server not found: install Debian's package of that name"
  ask PING >/dev/null 2>&1 && fail "something else listens on $host:$port; choose another port with REDIS_PORT"
  mkdir -p "$cache"
  redis-server --bind "$host" --port "$port" --dir "$cache" --pidfile "$cache/pid" --logfile "$cache/server.log" \
    --save '' --appendonly no --daemonize yes >/dev/null
  for ((i = 0; i < 100; i++)); do
    [[ $(ask PING 2>/dev/null) == +PONG* ]] && break
    sleep 0.05
  done
  alive || fail "it did not start; its log is $cache/server.log"
fi
echo "$host:$port" >"$cache/address"
echo "TEST_REDIS=$host:$port"
