#!/usr/bin/env bash
# Draws which threads of a pull are on a processor when, from the kernel's own trace; as root:
#   TMPDIR=DIRECTORY benches/image/overlap.sh REFERENCE PICTURE.svg, of a registry that runs; DIRECTORY on a new file system (README.md)
set -euo pipefail
cd "$(dirname "$0")/../.."
.ci/need --tool perf linux-perf --tool python3 python3
tare=${CARGO_TARGET_DIR:-target}/release/tare
work=$(mktemp -d "${TMPDIR:-/var/tmp}/tare-overlap.XXXXXX")
trap 'rm -rf "$work"' EXIT
TARE_ROOT=$work/root perf record -q -e cpu-clock -F 4000 -o "$work/data" -- "$tare" pull --quiet "$1" >/dev/null
perf script -i "$work/data" -F comm,tid,time 2>/dev/null >"$work/samples"
python3 - "$work/samples" "$2" "$1" <<'PY'
import sys
samples, target, reference = sys.argv[1:]
threads, times = {}, []
for line in open(samples):
    words = line.split()
    name, tid, time = " ".join(words[:-2]), int(words[-2]), float(words[-1].rstrip(":"))
    threads.setdefault((tid, name), []).append(time)
    times.append(time)
begin, end = min(times), max(times)
# By when it began; hardly anything of short ones is to be seen.
rows = sorted((found[0], name, found) for (_, name), found in threads.items() if len(found) > 20)[:60]
BIN, WIDTH, ROW, LEFT = 0.01, 900, 9, 70
bins = int((end - begin) / BIN) + 1
height = ROW * len(rows) + 40
colours = {"read": "#3b7dd8", "inflate": "#d8783b", "tare": "#4a9d5b"}
out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="8">' % (LEFT + WIDTH + 10, height)]
out.append('<rect width="100%" height="100%" fill="white"/>')
for number, (_, name, found) in enumerate(rows):
    out.append('<text x="2" y="%d">%s</text>' % (ROW * number + 8, {"tare": "write"}.get(name, name)))
    counts = {}
    for time in found:
        counts[int((time - begin) / BIN)] = counts.get(int((time - begin) / BIN), 0) + 1
    for place, count in counts.items():
        share = min(1, count / (4000 * BIN))
        out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" fill-opacity="%.2f"/>' % (
            LEFT + place * WIDTH / bins, ROW * number + 1, WIDTH / bins, ROW - 1, colours.get(name, "#888"), max(0.15, share)))
busy = len(times) / 4000 / (end - begin)
out.append('<text x="%d" y="%d" font-size="11">%s: %.2f s, %.2f processors busy; a row is a thread, darker is busier</text>' % (
    LEFT, height - 12, reference.rpartition("/")[2].partition(":")[0], end - begin, busy))
out.append("</svg>")
open(target, "w").write("\n".join(out) + "\n")
print("%d threads drawn, %.2f processors busy" % (len(rows), busy))
PY
