#!/usr/bin/env bash
# To be sourced: a registry of Debian's on the loopback, in a directory of its caller's.

# start_registry DIRECTORY [MORE CONFIGURATION]: sets `port` and `registry`, the pid.
start_registry() {
  local directory=$1 n=0
  mkdir -p "$directory/data"
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat >"$directory/config.yml" <<CONF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $directory/data}
  delete: {enabled: true}
http:
  addr: 127.0.0.1:$port
${2:-}
CONF
  OTEL_TRACES_EXPORTER=none docker-registry serve "$directory/config.yml" >"$directory/log" 2>&1 &
  # shellcheck disable=SC2034 # its caller may want the pid
  registry=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    n=$((n + 1))
    if [ $n -gt 100 ] || ! kill -0 "$registry" 2>/dev/null; then
      cat "$directory/log" >&2
      echo "the registry does not start" >&2
      return 1
    fi
    sleep 0.1
  done
}

stop_registry() {
  kill "$registry" 2>/dev/null || true
  wait "$registry" 2>/dev/null || true
}
