# shellcheck shell=bash
# up.sh, node.sh and down.sh source this file: paths, the start and end of a node, and requests to it.
# All files are below .cache/kafka, which git ignores.

# shellcheck disable=SC2034 # The sourcing scripts use them.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${KAFKA_CACHE:-$root/.cache/kafka}
host=127.0.0.1
port=${KAFKA_PORT:-19092}
start_timeout=90

fail() {
  echo "${BASH_SOURCE[-1]##*/}: $*" >&2
  exit 1
}

# One directory per node: its settings, data, process and log.
node_dir() { echo "$cache/node-$1"; }

# nodes lists the numbers of the nodes that up.sh has made, running or not.
nodes() {
  local dir
  for dir in "$cache"/node-*/; do
    [[ -e $dir/server.properties ]] && basename "$dir" | sed 's/^node-//'
  done
  return 0
}

# node_port NODE prints the port in the node's settings. The present KAFKA_PORT may be another.
node_port() { sed -n 's/^advertised.listeners=BROKER:\/\/[^:]*:\([0-9]*\),.*/\1/p' "$(node_dir "$1")/server.properties"; }

# alive NODE says whether the process in the node's pid file runs and is that broker. A later process may have got the
# same number.
alive() {
  local dir pid
  dir=$(node_dir "$1")
  [[ -s $dir/pid ]] || return 1
  pid=$(<"$dir/pid")
  [[ $(ps -o args= -p "$pid" 2>/dev/null) == *"kafka.Kafka $dir/server.properties"* ]]
}

# listens PORT says whether a process listens on the port.
listens() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

# end_node NODE SIGNAL returns when the node's process is gone and its ports are free. The ports may take a moment longer.
end_node() {
  local pid at offset
  at=$(node_port "$1")
  pid=$(<"$(node_dir "$1")/pid")
  kill "-$2" "$pid"
  while alive "$1"; do sleep 0.05; done
  for offset in 0 100 200; do
    while listens "$((at + offset))"; do sleep 0.05; done
  done
}

# java_run CLASS ARGUMENT... runs a class with the broker's JVM settings. Tools are short-lived, and C1 alone is fastest for them.
java_run() {
  local class=$1 heap=512m
  shift
  (($(nodes | wc -l) > 1)) && heap=384m
  local options=("-Xmx${KAFKA_HEAP:-$heap}" -XX:+UseSerialGC -Djava.awt.headless=true
    "-Dlog4j2.configurationFile=$here/log4j2.properties")
  [[ $class == *StorageTool ]] && options+=(-XX:TieredStopAtLevel=1)
  exec java "${options[@]}" -cp "$cache/libs/*" "$class" "$@"
}

# launch NODE starts the node in the background, its output added to node-N/server.log.
launch() {
  local dir
  dir=$(node_dir "$1")
  (
    trap '' HUP
    java_run kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/server.log" 2>&1 &
    echo $! >"$dir/pid"
  )
  # alive does not know the process until Java has replaced the shell that starts it.
  until alive "$1" || ! kill -0 "$(<"$dir/pid")" 2>/dev/null; do sleep 0.05; done
}

# await NODE WHAT COMMAND... returns once the command succeeds, or fails with the end of the node's log.
await() {
  local node=$1 what=$2 deadline=$((SECONDS + start_timeout)) log
  shift 2
  log=$(node_dir "$node")/server.log
  until "$@"; do
    alive "$node" || {
      tail -n 30 "$log" >&2
      fail "node $node ended while starting; its log is $log"
    }
    ((SECONDS < deadline)) || {
      tail -n 30 "$log" >&2
      fail "after $start_timeout s still not: node $node $what; its log is $log"
    }
    sleep 0.1
  done
}

# ask PORT HEX sends one request of the Kafka protocol and prints the response, without its length, as one line of hex.
# It replaces the Kafka command line tools, each of which takes over a second to start its JVM.
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

# brokers_seen PORT prints the ids of the brokers in the metadata, which has only brokers that serve (Metadata v1, no topics).
brokers_seen() {
  local reply at=16 n name
  reply=$(ask "$1" "0003000100000001ffff00000000" 2>/dev/null) || return 1
  # The correlation id comes first, then the number of brokers, then of each broker: id, host, port, rack or ffff.
  for ((n = 16#${reply:8:8}; n > 0; n--)); do
    echo $((16#${reply:at:8}))
    name=$((16#${reply:at+8:4}))
    at=$((at + 8 + 4 + 2 * name + 8 + 4))
  done
}

# sees PORT NODE... says whether the broker on that port knows that all these nodes serve.
sees() {
  local seen node
  seen=" $(brokers_seen "$1" | tr '\n' ' ')"
  shift
  for node in "$@"; do
    [[ $seen == *" $node "* ]] || return 1
  done
}

# coordinates PORT says whether the group coordinator answers. The first request makes the broker create
# __consumer_offsets. Until that exists, the answer is 15, COORDINATOR_NOT_AVAILABLE (FindCoordinator v0, group "up").
coordinates() {
  local reply
  reply=$(ask "$1" "000a000000000002ffff00027570" 2>/dev/null) || return 1
  [[ ${reply:8:4} == 0000 ]]
}
