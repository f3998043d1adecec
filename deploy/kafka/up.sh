#!/usr/bin/env bash
# Starts an Apache Kafka cluster (KRaft, each node broker and controller in one process) on loopback, without Docker, and prints
# KAFKA_BROKERS. Maven fetches the jars, once. The script needs Java 17 or later and, the first time, Maven. With the argument jars
# it fetches them and starts nothing.
#
#   BROKERS      number of nodes, 1 to 9 (1). With several, topics have up to 3 replicas, writes with acks=all need 2 of
#                them, and a majority of the nodes must run
#   KAFKA_PORT   the first node's port (19092). The next nodes have the ports after it. A node's controller has the node's
#                port + 100, its secure listener the node's port + 200
#   KAFKA_HEAP   a node's heap (512m; 384m with several)
#   KAFKA_CACHE  directory of jars, data and logs (.cache/kafka)
#
# The cache then has:
#   brokers         host:port of the nodes, comma-separated
#   secure-brokers  the same for their secure listeners: TLS, and a login by SCRAM-SHA-512 as user convdel with the
#                   password e2e-password-81c7de
#   ca.pem          the certificate to trust on the secure listeners, made anew with each cluster
#   node-N          the node's server.properties, data, pid and server.log
#
# If a cluster of that size exists already, the script starts its dead nodes again. node.sh stops and starts single nodes,
# down.sh ends the cluster.
set -euo pipefail
# shellcheck source=deploy/kafka/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

brokers=${BROKERS:-1}
# KRaft needs an id of 16 bytes in base64. Any id will do, since nothing outlives down.sh.
cluster_id=Y29udmRlbC10ZXN0LWthZg
user=convdel
password=e2e-password-81c7de

# fetch_jars copies the broker and its dependencies into the cache, unless the cache has them for this very pom.xml.
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

# key ARGUMENT... runs keytool on the store that the nodes share.
key() { keytool "$@" -keystore "$cache/node.p12" -storetype PKCS12 -storepass "$password" >>"$cache/keytool.log" 2>&1; }

# certify makes a certificate authority, and its certificate for the nodes' secure listeners.
certify() {
  : >"$cache/keytool.log"
  if ! make_certificates; then
    cat "$cache/keytool.log" >&2
    fail "the certificates could not be made"
  fi
}

make_certificates() {
  key -genkeypair -alias ca -dname CN=convdel-test-ca -keyalg EC -ext bc:c -validity 365 &&
    key -genkeypair -alias node -signer ca -dname "CN=$host" -keyalg EC -ext "san=ip:$host,dns:localhost" -validity 365 &&
    key -exportcert -rfc -alias ca -file "$cache/ca.pem" &&
    # If the store kept the authority's key, a node might show the authority's own certificate.
    key -delete -alias ca
}

# list OFFSET prints host:port of all nodes, with OFFSET added to each port.
list() {
  local n all=
  for ((n = 1; n <= brokers; n++)); do all+=",$host:$((port + $1 + n - 1))"; done
  echo "${all#,}"
}

# voters prints the controllers, which are all nodes.
voters() {
  local n all=
  for ((n = 1; n <= brokers; n++)); do all+=",$n@$host:$((port + 100 + n - 1))"; done
  echo "${all#,}"
}

# configure NODE writes the node's settings: those that depend on the node or on the number of nodes, then
# server.properties.
configure() {
  local dir at=$((port + $1 - 1)) replicas=$((brokers < 3 ? brokers : 3)) least=$((brokers < 2 ? 1 : 2)) topic
  dir=$(node_dir "$1")
  mkdir -p "$dir"
  {
    echo "node.id=$1"
    echo "listeners=BROKER://$host:$at,CONTROLLER://$host:$((at + 100)),SECURE://$host:$((at + 200))"
    echo "advertised.listeners=BROKER://$host:$at,SECURE://$host:$((at + 200))"
    echo "controller.quorum.voters=$(voters)"
    echo "log.dirs=$dir/data"
    echo "default.replication.factor=$replicas"
    echo "min.insync.replicas=$least"
    for topic in offsets.topic transaction.state.log share.coordinator.state.topic; do
      echo "$topic.replication.factor=$replicas"
    done
    echo "transaction.state.log.min.isr=$least"
    echo "share.coordinator.state.topic.min.isr=$least"
    echo "listener.name.secure.ssl.keystore.location=$cache/node.p12"
    echo "listener.name.secure.ssl.keystore.password=$password"
    cat "$here/server.properties"
  } >"$dir/server.properties"
}

# format NODE prepares the node's storage, and writes the user of the secure listener into it.
format() {
  local dir
  dir=$(node_dir "$1")
  (java_run kafka.tools.StorageTool format --cluster-id "$cluster_id" --config "$dir/server.properties" \
    --add-scram "SCRAM-SHA-512=[name=$user,password=$password]") >"$dir/format.log" 2>&1 || {
    cat "$dir/format.log" >&2
    fail "the storage of node $1 could not be formatted"
  }
}

# each FUNCTION runs the function for all nodes at once, and ends if it fails for one of them.
each() {
  local n pids=()
  for ((n = 1; n <= brokers; n++)); do
    "$1" "$n" &
    pids+=($!)
  done
  for n in "${pids[@]}"; do wait "$n" || exit 1; done
}

# serve returns once clients can work: each node knows all nodes, and finds the coordinator of a group.
serve() {
  local n all
  all=$(nodes)
  for n in $all; do
    # shellcheck disable=SC2086 # One word a node.
    await "$n" "knows all nodes" sees "$(node_port "$n")" $all
    await "$n" "finds the coordinator of a group" coordinates "$(node_port "$n")"
  done
}

announce() {
  echo "KAFKA_BROKERS=$(<"$cache/brokers")"
}

# resume checks that the existing cluster has the wanted size, and starts its dead nodes again.
resume() {
  local n size
  size=$(nodes | wc -l)
  ((size == brokers)) || fail "a cluster of $size runs, not of $brokers: make kafka-down ends it"
  for n in $(nodes); do
    if alive "$n"; then
      echo "kafka-up: node $n already runs, process $(<"$(node_dir "$n")/pid")"
    else
      echo "kafka-up: node $n starts again"
      launch "$n"
    fi
  done
  serve
  announce
}

# create makes a cluster.
create() {
  local n offset
  for ((n = 0; n < brokers; n++)); do
    for offset in 0 100 200; do
      ! listens "$((port + offset + n))" || fail "port $((port + offset + n)) is taken: choose others with KAFKA_PORT=…"
    done
  done
  fetch_jars
  rm -rf "$cache"/node-* "$cache/brokers" "$cache/secure-brokers" "$cache/node.p12" "$cache/ca.pem"
  certify
  for ((n = 1; n <= brokers; n++)); do configure "$n"; done
  each format
  for ((n = 1; n <= brokers; n++)); do launch "$n"; done
  serve
  list 0 >"$cache/brokers"
  list 200 >"$cache/secure-brokers"
  announce
}

if [[ ${1-} == jars ]]; then
  mkdir -p "$cache"
  fetch_jars
  exit
fi
[[ $brokers =~ ^[1-9]$ ]] || fail "BROKERS=$brokers: must be 1 to 9"
mkdir -p "$cache"
command -v java >/dev/null || fail "java not found: Kafka needs Java 17 or later"
for n in $(nodes); do
  if alive "$n"; then
    resume
    exit
  fi
done
create
