#!/usr/bin/env bash
# SIGKILL at random points of a pull: what is there is whole, and the next pull makes good the rest.
quietly "$tare" pull --quiet "$image"
whole=$("$tare" save "$image" | sha256sum)
quietly "$tare" image prune --all --force
begin=${EPOCHREALTIME/./}
quietly "$tare" pull --quiet "$image"
took=$((${EPOCHREALTIME/./} - begin))
wrong='' early=0
for round in $(seq "${KILLS:-200}"); do
  # From nothing, or over what the killed ones before have left.
  [ $((round % 4)) != 0 ] || quietly "$tare" image prune --all --force
  "$tare" pull --quiet "$image" >/dev/null 2>&1 &
  pid=$!
  sleep "$(printf '0.%06d' $((RANDOM * 32768 % (took + took / 4))))"
  # Gone already: it was done.
  if kill -KILL $pid 2>/dev/null; then early=$((early + 1)); fi
  wait $pid 2>/dev/null
  # A name is there only when all of its image is.
  if [ -n "$("$tare" images -q)" ] && [ "$("$tare" save "$image" 2>/dev/null | sha256sum)" != "$whole" ]; then
    wrong="round $round: the image is not whole"
    break
  fi
  if [ $((round % 10)) = 0 ]; then
    quietly "$tare" pull --quiet "$image" || { wrong="round $round: it can't be pulled"; break; }
    [ "$("$tare" save "$image" | sha256sum)" = "$whole" ] || { wrong="round $round: it is not whole after a pull"; break; }
    [ -z "$(ls "$TARE_ROOT/images/ingest")" ] || { wrong="round $round: what was killed is still there"; break; }
  fi
done
[ -z "$wrong" ]; note $? "kills/pull" "$wrong"
[ "$early" -gt $((${KILLS:-200} / 4)) ]; note $? "kills/were-in-time" "only $early of ${KILLS:-200} pulls were cut short"
# An interrupt takes away what it has begun, itself: nothing but whole layers is left, before any other command looks.
wrong='' early=0
for round in $(seq 40); do
  quietly "$tare" image prune --all --force
  signal=INT expected=130
  [ $((round % 2)) = 0 ] || signal=TERM expected=143
  env --default-signal=INT "$tare" pull --quiet "$image" >/dev/null 2>&1 &
  pid=$!
  sleep "$(printf '0.%06d' $((RANDOM * 32768 % took)))"
  kill -$signal $pid 2>/dev/null
  status=0; wait $pid || status=$?
  case $status in
  0) continue ;;
  $expected) early=$((early + 1)) ;;
  *) wrong="round $round: SIG$signal ended it with $status" && break ;;
  esac
  # Before it attends to signals it has begun nothing.
  left=$(find "$TARE_ROOT"/images/{ingest,leases} -mindepth 1 -maxdepth 1)
  [ -z "$left" ] || { wrong="round $round: it left $left"; break; }
done
[ -z "$wrong" ]; note $? "kills/interrupts" "$wrong"
[ "$early" -gt 10 ]; note $? "kills/interrupts-in-time" "only $early of 40 pulls were interrupted"
python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(30)' >"$work/deaf" &
deaf=$!
for _ in $(seq 100); do if [ -s "$work/deaf" ]; then break; fi; sleep 0.05; done
# From a registry that never answers it comes back within seconds.
check kills/interrupt-of-a-deaf-registry 143 '' timeout --preserve-status -k 10 1 "$tare" pull "127.0.0.1:$(<"$work/deaf")/i"
kill $deaf; wait $deaf 2>/dev/null
quietly "$tare" image prune --all --force
same kills/nothing-is-left "$(find "$TARE_ROOT"/images/{layers/sha256,blobs/sha256,ingest,leases,locks} -mindepth 1 -maxdepth 1)" ""
