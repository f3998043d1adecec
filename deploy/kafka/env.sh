# shellcheck shell=bash
# What up.sh and down.sh share: where things lie and how to ask a broker something.
# Sourced, not run. Everything is below .cache/kafka, which git ignores.

# shellcheck disable=SC2034 # The sourcing scripts use them.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${KAFKA_CACHE:-$root/.cache/kafka}
host=127.0.0.1
port=${KAFKA_PORT:-19092}

# One directory per node, so that a second and third node need only a loop around what up.sh does for node 1.
node_dir() { echo "$cache/node-$1"; }

# alive NODE: whether the process in the node's pid file runs, and is still that broker and not a later process
# that was given the same number.
alive() {
  local dir pid
  dir=$(node_dir "$1")
  [[ -s $dir/pid ]] || return 1
  pid=$(<"$dir/pid")
  [[ $(ps -o args= -p "$pid" 2>/dev/null) == *"kafka.Kafka $dir/server.properties"* ]]
}

# ask PORT HEX: sends one request of the Kafka protocol, prints the response after its length as hex, one line.
# It stands in for the Kafka command line tools, each of which takes over a second of JVM start.
ask() {
  local request=$2 size head reply
  size=$(printf '%08x' $((${#request} / 2)))
  request=$size$request
  exec 3<>"/dev/tcp/$host/$1" || return 1
  # The request as \x escapes, in one write.
  # shellcheck disable=SC2001 # & in ${request//…} is newer than many a bash.
  printf '%b' "$(sed 's/../\\x&/g' <<<"$request")" >&3
  head=$(timeout 5 head -c 4 <&3 | od -An -v -tx1 | tr -d ' \n')
  if [[ ${#head} -eq 8 ]]; then
    reply=$(timeout 5 head -c $((16#$head)) <&3 | od -An -v -tx1 | tr -d ' \n')
  fi
  exec 3<&- 3>&-
  [[ -n ${reply-} ]] && echo "$reply"
}

# brokers_seen PORT: how many brokers the metadata lists, those alone that serve (Metadata v1, no topics).
brokers_seen() {
  local reply
  reply=$(ask "$1" "0003000100000001ffff00000000" 2>/dev/null) || return 1
  echo $((16#${reply:8:8})) # After the correlation id: the length of the broker list.
}

# coordinates PORT: whether the group coordinator answers. The first question makes the broker create
# __consumer_offsets; until it is there the answer is 15, COORDINATOR_NOT_AVAILABLE (FindCoordinator v0, group "up").
coordinates() {
  local reply
  reply=$(ask "$1" "000a000000000002ffff00027570" 2>/dev/null) || return 1
  [[ ${reply:8:4} == 0000 ]]
}
