#!/usr/bin/env bash
# Stops and starts single nodes of the cluster that up.sh made, for tests of a node's death.
#
#   node.sh kill N     ends node N at once, as a lost machine would
#   node.sh stop N     ends node N after it has handed over its partitions
#   node.sh start N    starts node N on its data, and returns when the cluster counts it in
#   node.sh status     prints one line a node
set -euo pipefail
# shellcheck source=deploy/kafka/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

usage() {
  sed -n '4,7s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# made NODE fails unless up.sh has made that node.
made() {
  [[ ${1-} =~ ^[0-9]+$ && -e $(node_dir "$1")/server.properties ]] || fail "no node ${1-}: there are $(nodes | tr '\n' ' ')"
}

running() { if alive "$1"; then echo "runs, process $(<"$(node_dir "$1")/pid")"; else echo "does not run"; fi; }

end() {
  made "$1"
  alive "$1" || fail "node $1 does not run"
  end_node "$1" "$2"
}

start() {
  made "$1"
  alive "$1" && fail "node $1 runs already"
  launch "$1"
  await "$1" "serves" sees "$(node_port "$1")" "$1"
}

case ${1-} in
  kill) end "${2-}" KILL ;;
  stop) end "${2-}" TERM ;;
  start) start "${2-}" ;;
  status) for n in $(nodes); do echo "node $n, port $(node_port "$n"): $(running "$n")"; done ;;
  *) usage ;;
esac
