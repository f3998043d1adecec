#!/usr/bin/env bash
# Tries docs/publishing.md on the Kafka of `make kafka-up`: takes each program out of the document, runs it with its client and
# looks at the record that it has published. Then ajv compiles the JSON Schemas in its strict mode. Needs Go, Java, kcat, Python 3 with venv, Node and npm; the clients of Python and Node are installed
# in .cache/publishing. A client that can't be installed because its registry does not answer is skipped, by name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

confluent_kafka=2.16.1
kafkajs=2.2.4
ajv=8.20.0
ajv_formats=3.0.1

kafka=${KAFKA_CACHE:-.cache/kafka}
work=$PWD/.cache/publishing
files=$work/files
broker=$(cut -d, -f1 "$kafka/brokers")
skipped=()
tried=()

fail() {
  echo "try.sh: $*" >&2
  exit 1
}

# The words of pip and npm for a registry that does not answer.
no_answer='after connection broken by|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT'

# install CLIENT COMMAND... returns 1 if the registry does not answer, and ends if it does and the client can't be installed.
# The calling function's file is skipped then.
install() {
  local client=$1 log=$work/install.log
  shift
  if "$@" >"$log" 2>&1; then return; fi
  cat "$log" >&2
  if ! grep -Eq "$no_answer" "$log"; then fail "$client can't be installed"; fi
  echo "SKIPPED $file: the registry of $client does not answer"
  skipped+=("$file ($client)")
  return 1
}

install_python() {
  [[ -x $work/venv/bin/pip ]] || python3 -m venv "$work/venv" || fail "no virtual environment for Python: is python3-venv installed?"
  install confluent-kafka "$work/venv/bin/pip" install --retries 1 "confluent-kafka==$confluent_kafka"
}

install_node() {
  install kafkajs npm install --no-save --no-audit --no-fund --fetch-retries 1 --prefix "$work" "kafkajs@$kafkajs"
}

install_ajv() {
  install ajv npm install --no-save --no-audit --no-fund --fetch-retries 1 --prefix "$work/ajv" "ajv@$ajv" "ajv-formats@$ajv_formats"
}

# schemas lets ajv compile the JSON Schemas.
schemas() {
  local file=schema
  install_ajv || return 0
  node .ci/publishing/strict.mjs "$work/ajv" schema/*.json || fail "ajv's strict mode refuses a JSON Schema"
  tried+=("schema")
}

# check FILE WRAPPING COMMAND... runs the file's command and looks at its record.
check() {
  local file=$1
  shift
  "$work/publishing" check "$broker" "$@" || fail "$file of docs/publishing.md does not do what the document says"
  tried+=("$file")
}

# relay runs the relay of the outbox table twice. The second run must not publish the row of the first again.
relay() {
  local database=$work/outbox.db python=$work/venv/bin/python
  rm -f "$database"
  "$python" -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' "$database" "$files/outbox.sql"
  # shellcheck disable=SC2016 # The inner shell expands them.
  check relay.py structured sh -c '"$1" "$2" "$3" && "$1" "$2" "$3"' relay "$python" "$files/relay.py" "$database"
}

try() {
  local file=$1
  case $file in
    publish.sh) check "$file" bare sh -e "$files/$file" ;;
    cloudevent.sh) check "$file" binary sh -e "$files/$file" ;;
    kafka_go.go | franz_go.go) check "$file" bare go run "$files/$file" ;;
    Publish.java) check "$file" bare java -cp "$kafka/libs/*" "$files/$file" ;;
    publish.py) if install_python; then check "$file" bare "$work/venv/bin/python" "$files/$file"; fi ;;
    publish.mjs) if install_node; then check "$file" bare node "$files/$file"; fi ;;
    outbox.sql) ;; # relay.py reads its table.
    relay.py) if install_python; then relay; fi ;;
    *) fail "nothing here tries $file of docs/publishing.md" ;;
  esac
}

for command in java kcat python3 node npm; do
  command -v "$command" >/dev/null || fail "$command not found"
done
rm -rf "$files"
mkdir -p "$work"
go build -o "$work/publishing" ./.ci/publishing
"$work/publishing" extract docs/publishing.md "$files" "$broker"
for path in "$files"/*; do try "$(basename "$path")"; done
schemas
echo "docs/publishing.md: tried ${tried[*]}; skipped ${skipped[*]:-none}"
