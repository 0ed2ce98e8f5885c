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
  wait $pid 2>/dev/null || true
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
quietly "$tare" image prune --all --force
same kills/nothing-is-left "$(find "$TARE_ROOT"/images/{layers/sha256,blobs/sha256,ingest,leases,locks} -mindepth 1 -maxdepth 1)" ""
