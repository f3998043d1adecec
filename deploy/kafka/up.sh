#!/usr/bin/env bash
# Starts one Apache Kafka broker (KRaft, broker and controller in one process) on loopback, without Docker:
# the jars come by Maven, once. Needs Java 17 or later and, the first time, Maven.
#
#   KAFKA_PORT   the broker's port (19092); the controller takes the one 100 above it
#   KAFKA_HEAP   the broker's heap (512m)
#   KAFKA_CACHE  where jars, data and logs go (.cache/kafka)
set -euo pipefail
# shellcheck source=deploy/kafka/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# KRaft wants an id of 16 bytes in base64; any will do, since nothing outlives down.sh.
cluster_id=Y29udmRlbC10ZXN0LWthZg
start_timeout=60

fail() {
  echo "kafka-up: $*" >&2
  exit 1
}

# fetch_jars copies the broker and what it needs into the cache, unless the copy is of this very pom.xml.
fetch_jars() {
  local stamp=$cache/libs/pom.xml
  cmp -s "$here/pom.xml" "$stamp" && return
  command -v mvn >/dev/null || fail "mvn not found: Maven fetches Kafka's jars"
  echo "kafka-up: fetching Kafka's jars (once, about 43 MB)"
  rm -rf "$cache/libs" "$cache/libs.part"
  mvn -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/libs.part" \
    >"$cache/maven.log" 2>&1 || {
    tail -n 30 "$cache/maven.log" >&2
    fail "Maven could not fetch Kafka's jars; its log is $cache/maven.log"
  }
  cp "$here/pom.xml" "$cache/libs.part/pom.xml"
  mv "$cache/libs.part" "$cache/libs"
}

# configure NODE PORT writes the node's settings: server.properties, with what depends on the node put before it.
configure() {
  local dir
  dir=$(node_dir "$1")
  mkdir -p "$dir"
  {
    echo "node.id=$1"
    echo "listeners=BROKER://$host:$2,CONTROLLER://$host:$(($2 + 100))"
    echo "advertised.listeners=BROKER://$host:$2"
    echo "controller.quorum.voters=$1@$host:$(($2 + 100))"
    echo "log.dirs=$dir/data"
    cat "$here/server.properties"
  } >"$dir/server.properties"
}

# java_run CLASS ARGUMENT...: the broker's JVM settings. Its tools are short-lived, for which C1 alone is fastest.
java_run() {
  local class=$1
  shift
  local options=("-Xmx${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -Djava.awt.headless=true
    "-Dlog4j2.configurationFile=$here/log4j2.properties")
  [[ $class == *StorageTool ]] && options+=(-XX:TieredStopAtLevel=1)
  exec java "${options[@]}" -cp "$cache/libs/*" "$class" "$@"
}

# launch NODE formats the node's storage and starts it in the background, its output in node-N/server.log.
launch() {
  local dir
  dir=$(node_dir "$1")
  (java_run kafka.tools.StorageTool format --cluster-id "$cluster_id" --config "$dir/server.properties") \
    >"$dir/format.log" 2>&1 || {
    cat "$dir/format.log" >&2
    fail "the storage could not be formatted"
  }
  (
    trap '' HUP
    java_run kafka.Kafka "$dir/server.properties" </dev/null >"$dir/server.log" 2>&1 &
    echo $! >"$dir/pid"
  )
}

# await NODE PORT returns once the node answers as a client needs it to: it lists itself, and coordinates groups.
await() {
  local deadline=$((SECONDS + start_timeout)) log
  log=$(node_dir "$1")/server.log
  until [[ $(brokers_seen "$2") -ge 1 ]] 2>/dev/null && coordinates "$2"; do
    alive "$1" || {
      tail -n 30 "$log" >&2
      fail "the broker ended while starting; its log is $log"
    }
    ((SECONDS < deadline)) || {
      tail -n 30 "$log" >&2
      fail "the broker does not serve after $start_timeout s; its log is $log"
    }
    sleep 0.1
  done
}

announce() {
  echo "KAFKA_BROKERS=$(<"$cache/brokers")"
}

mkdir -p "$cache"
if alive 1; then
  echo "kafka-up: already running, process $(<"$(node_dir 1)/pid")"
  announce
  exit
fi
command -v java >/dev/null || fail "java not found: Kafka needs Java 17 or later"
if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
  fail "port $port is taken: choose another with KAFKA_PORT=…"
fi
fetch_jars
rm -rf "$(node_dir 1)" "$cache/brokers"
configure 1 "$port"
launch 1
await 1 "$port"
echo "$host:$port" >"$cache/brokers"
announce
