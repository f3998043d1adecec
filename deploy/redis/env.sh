# shellcheck shell=bash
# up.sh and down.sh source this file. All files are below .cache/redis, which git ignores.

# shellcheck disable=SC2034 # The sourcing scripts use them.
cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/redis
host=127.0.0.1
port=${REDIS_PORT:-16379}

# alive says whether the process in the pid file runs and is a Redis. A later process may have got the same number.
alive() {
  [[ -s $cache/pid && $(ps -o args= -p "$(<"$cache/pid")" 2>/dev/null) == *redis-server* ]]
}

# ask WORD prints the answer to a command, one line.
ask() {
  local reply
  exec 3<>"/dev/tcp/$host/$port" || return 1
  printf '%s\r\n' "$1" >&3
  IFS= read -r -t 2 reply <&3
  exec 3<&- 3>&-
  echo "$reply"
}
