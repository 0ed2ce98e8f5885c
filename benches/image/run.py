#!/usr/bin/env python3
"""Runs the rounds; bench.sh and inside.sh set the environment that it reads. Writes samples.csv and machine.json."""
import collections
import csv
import json
import os
import platform
import random
import signal
import sys
import time

import probe
import subjects

CASES = ("layers-1", "layers-5", "layers-20", "layers-127", "zstd-20", "small-100k", "big-1g", "shared-b")
# What is there already when a case begins.
BEFORE = {"shared-b": ["shared-a"]}
TIMEOUT = 180
FIELDS = ("round", "case", "subject", "status", "wall_us", "wall_sync_us", "cpu_us", "client_cpu_us", "daemon_cpu_us", "peak_kib",
          "client_peak_kib", "daemon_peak_kib", "files", "disk_kib", "load", "error")


def stored(folder):
    """The files below FOLDER and the KiB that they take: what was pulled is there, and nothing is put off."""
    files, blocks, seen, queue = 0, 0, set(), [folder]
    while queue:
        with os.scandir(queue.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
                    continue
                files += 1
                if status.st_ino not in seen:
                    seen.add(status.st_ino)
                    blocks += status.st_blocks
    return files, blocks // 2


def pull(subject, reference, daemons):
    """One pull; what it found to be wrong is in its status and error."""
    probe.settle(daemons)
    pids = probe.trees([subject.daemon]) if subject.daemon else []
    probe.reset_peak(pids)
    os.sync()
    used = probe.cpu(pids)
    begin = time.monotonic()
    run = probe.run(subject.command(subject.pull(reference)), subject.out, subject.env(), subject.error, TIMEOUT)
    row = {"status": run.status, "error": run.error}
    if run.status != "ok":
        return row
    ended = time.monotonic()
    # A daemon's child that began with the pull and still runs counts as well.
    after = probe.trees([subject.daemon]) if subject.daemon else []
    daemon_cpu, daemon_peak = probe.cpu(after) - used, probe.peak(after)
    written = time.monotonic()
    probe.syncfs(subject.outside)
    sync = time.monotonic() - written
    files, disk = stored(subject.outside)
    row.update(wall_us=run.wall, wall_sync_us=run.wall + int(sync * 1e6), cpu_us=run.cpu + daemon_cpu, client_cpu_us=run.cpu,
               daemon_cpu_us=daemon_cpu, peak_kib=run.peak + daemon_peak, client_peak_kib=run.peak, daemon_peak_kib=daemon_peak,
               files=files, disk_kib=disk)
    if ended - begin < run.wall / 1e6:
        raise RuntimeError("measure and the harness disagree about the time")
    return row


def choose(names, data, sid, tare):
    chosen = []
    for name in names:
        title, _, program = name.partition("=")
        if title in subjects.RIVALS:
            chosen.append(subjects.RIVALS[title](title, data, sid))
        elif title == "tare" or program:
            program = program or tare
            if os.path.exists(program):
                chosen.append(subjects.Tare(title, data, sid, program))
            else:
                print("no %s: %s is left out" % (program, title), file=sys.stderr)
        else:
            sys.exit("no subject %s: there are tare, NAME=PATH, %s" % (name, ", ".join(subjects.RIVALS)))
    return chosen


def blobs(storage, case):
    return [os.path.join(storage, "docker/registry/v2/blobs/sha256", digest[7:9], digest[7:], "data") for digest in case["blobs"]]


def machine(results, env, chosen, cases, names):
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open(os.path.join(results, "machine.json"), "w") as file:
        json.dump({
            "revision": env["REVISION"], "kernel": platform.release(), "processor": models[0] if models else platform.machine(),
            "processors": os.cpu_count(), "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
            "file_system": env["FILE_SYSTEM"], "rounds": int(env["N"]), "load_before": os.getloadavg()[0],
            "versions": subjects.versions(env["CACHE"] + "/sid"), "subjects": {subject.name: subject.about for subject in chosen},
            "cases": {name: {key: cases[name][key] for key in ("layers", "files", "compressed", "unpacked")} for name in names},
        }, file, indent=1)


def turn_of(subject, name, env, daemons, cases):
    """One subject's pull of one case, with what it needs before, and its store empty again afterwards."""
    references = ["127.0.0.1:%s/%s:bench" % (env["PORT"], image) for image in BEFORE.get(name, []) + [name]]
    probe.warm(blobs(env["IMAGES"] + "/registry", cases[name]))
    row = {"status": "ok"}
    for reference in references:
        if row["status"] == "ok":
            row = pull(subject, reference, daemons)
    row["load"] = "%.2f" % os.getloadavg()[0]
    if row["status"] == "ok":
        subject.clear(references)
    else:
        print("%s %s: %s" % (name, subject.name, row["error"]), file=sys.stderr)
        subject.reset()
    return row


def rounds(chosen, names, cases, env, write):
    failures = collections.Counter()
    for turn in range(int(env["N"]) + 1):
        for name in names:
            told = []
            for subject in random.sample(chosen, len(chosen)):
                # Who cannot pull an image at all is not asked again and again.
                if failures[subject.name, name] >= 2:
                    continue
                row = turn_of(subject, name, env, [other.daemon for other in chosen if other.daemon], cases)
                failures[subject.name, name] += row["status"] != "ok"
                write(dict(row, round=turn, case=name, subject=subject.name))
                told.append("%s %s" % (subject.name, "%.2f" % (row["wall_us"] / 1e6) if row["status"] == "ok" else row["status"]))
            print("round %d %s: %s s" % (turn, name, ", ".join(told)), flush=True)


def main():
    env = os.environ
    with open(env["IMAGES"] + "/cases.json") as file:
        cases = json.load(file)
    names = env["ONLY"].split(",") if env["ONLY"] else list(CASES)
    for name in names:
        if name not in cases:
            sys.exit("no case %s: there are %s" % (name, ", ".join(sorted(cases))))
    chosen = choose(env["SUBJECTS"].split(",") if env["SUBJECTS"] else ["tare"] + list(subjects.RIVALS), env["DATA"], env["CACHE"] + "/sid", env["TARE"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = []
    try:
        for subject in chosen:
            try:
                subject.start()
                begun.append(subject)
            except RuntimeError as error:
                print("%s is left out: %s" % (subject.name, error), file=sys.stderr)
        if not begun:
            sys.exit("no subject is left")
        machine(env["RESULTS"], env, begun, cases, names)
        with open(os.path.join(env["RESULTS"], "samples.csv"), "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
            writer.writeheader()

            def write(row):
                writer.writerow(row)
                file.flush()

            rounds(begun, names, cases, env, write)
    finally:
        for subject in begun:
            subject.stop()


if __name__ == "__main__":
    main()
