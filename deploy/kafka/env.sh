# shellcheck shell=bash
# What up.sh, node.sh and down.sh share: where things lie, how a node is run and how to ask it something.
# Sourced, not run. Everything is below .cache/kafka, which git ignores.

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

# node_port NODE: the port that the node's settings give it, which need not be that of today's KAFKA_PORT.
node_port() { sed -n 's/^advertised.listeners=BROKER:\/\/[^:]*:\([0-9]*\),.*/\1/p' "$(node_dir "$1")/server.properties"; }

# alive NODE: whether the process in the node's pid file runs, and is still that broker and not a later process
# that was given the same number.
alive() {
  local dir pid
  dir=$(node_dir "$1")
  [[ -s $dir/pid ]] || return 1
  pid=$(<"$dir/pid")
  [[ $(ps -o args= -p "$pid" 2>/dev/null) == *"kafka.Kafka $dir/server.properties"* ]]
}

# listens PORT: whether somebody does.
listens() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

# end_node NODE SIGNAL returns when the node's process is gone, and its ports are free, which may take a moment longer.
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

# java_run CLASS ARGUMENT...: the broker's JVM settings. Its tools are short-lived, for which C1 alone is fastest.
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
  # Until Java has taken the place of the shell that starts it, alive does not know it.
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

# brokers_seen PORT: the ids of the brokers in the metadata, those alone that serve (Metadata v1, no topics).
brokers_seen() {
  local reply at=16 n name
  reply=$(ask "$1" "0003000100000001ffff00000000" 2>/dev/null) || return 1
  # After the correlation id the number of brokers, and of each: id, host, port, rack or ffff.
  for ((n = 16#${reply:8:8}; n > 0; n--)); do
    echo $((16#${reply:at:8}))
    name=$((16#${reply:at+8:4}))
    at=$((at + 8 + 4 + 2 * name + 8 + 4))
  done
}

# sees PORT NODE...: whether that broker knows all of these to serve.
sees() {
  local seen node
  seen=" $(brokers_seen "$1" | tr '\n' ' ')"
  shift
  for node in "$@"; do
    [[ $seen == *" $node "* ]] || return 1
  done
}

# coordinates PORT: whether the group coordinator answers. The first question makes the broker create
# __consumer_offsets; until it is there the answer is 15, COORDINATOR_NOT_AVAILABLE (FindCoordinator v0, group "up").
coordinates() {
  local reply
  reply=$(ask "$1" "000a000000000002ffff00027570" 2>/dev/null) || return 1
  [[ ${reply:8:4} == 0000 ]]
}
