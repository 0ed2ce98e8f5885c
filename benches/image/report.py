#!/usr/bin/env python3
"""report.py RESULTS: the samples of a run as Markdown on standard output."""
import csv
import json
import os
import random
import statistics
import sys

FIGURES = (("wall_us", "wall"), ("wall_sync_us", "wall+sync"), ("cpu_us", "CPU"), ("peak_kib", "peak memory"))


def read(results):
    """Case, subject, round: the row. Round 0 warms up and tells only what fails."""
    rows, failed = {}, {}
    with open(os.path.join(results, "samples.csv")) as file:
        for row in csv.DictReader(file):
            key = (row["case"], row["subject"])
            if row["status"] != "ok":
                failed.setdefault(key, []).append(row["error"])
            elif row["round"] != "0":
                rows.setdefault(key, {})[row["round"]] = row
    return rows, failed


def median(rows, field):
    return statistics.median(int(row[field]) for row in rows.values())


def interval(values):
    drawn = random.Random(1)
    medians = sorted(statistics.median(drawn.choices(values, k=len(values))) for _ in range(2000))
    return "%.2f [%.2f, %.2f]" % (statistics.median(values), medians[50], medians[1949])


def ratio(ours, rival, field):
    both = [turn for turn in ours if turn in rival]
    return interval([int(ours[turn][field]) / int(rival[turn][field]) for turn in both]) if both else "no round in common"


def table(case, names, rows, failed, image):
    print("\n## %s\n" % case)
    print("%d layers, %d files, %.0f MiB of %.0f MiB unpacked.\n" % (
        image["layers"], image["files"], image["compressed"] / 2**20, image["unpacked"] / 2**20))
    print("| subject | wall s | wall+sync s | CPU s | peak MiB | files | disk MiB | rounds |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        taken = rows.get((case, name))
        if taken:
            print("| %s | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f | %d |" % (
                name, median(taken, "wall_us") / 1e6, median(taken, "wall_sync_us") / 1e6, median(taken, "cpu_us") / 1e6,
                median(taken, "peak_kib") / 1024, median(taken, "files"), median(taken, "disk_kib") / 1024, len(taken)))
        elif (case, name) in failed:
            print("| %s | failed | | | | | | 0 |" % name)


def shares(case, names, ours, rows):
    rivals = [name for name in names if name not in ours and (case, name) in rows]
    for name in ours:
        if (case, name) not in rows or not rivals:
            continue
        print("\n| %s / best rival | best rival | ratio [95 %%] |\n| --- | --- | --- |" % name)
        for field, title in FIGURES:
            best = min(rivals, key=lambda rival: median(rows[case, rival], field))
            print("| %s | %s | %s |" % (title, best, ratio(rows[case, name], rows[case, best], field)))


def main():
    results = sys.argv[1]
    with open(os.path.join(results, "machine.json")) as file:
        machine = json.load(file)
    rows, failed = read(results)
    names = list(machine["subjects"])
    ours = [name for name in names if machine["subjects"][name] == "`tare pull`"]
    print("# Pulling images\n")
    print("Revision %s, Linux %s, %s, %d processors, %d MiB of memory, %s." % (
        machine["revision"], machine["kernel"], machine["processor"], machine["processors"], machine["memory_mib"], machine["file_system"]))
    print("Load %.2f before and %.2f after; N=%d; `benches/image/bench.sh`." % (machine["load_before"], os.getloadavg()[0], machine["rounds"]))
    print("Debian sid: %s.\n" % ", ".join(machine["versions"]))
    print("Figures are medians; a ratio is the median of the rounds' ratios, with the interval that holds 95 % of those of rounds drawn again.")
    print("wall+sync is wall and a syncfs of the data's file system right after.")
    print("CPU has the daemons' share in it; peak is the client's largest resident set and those of the daemons, which also hold what earlier pulls left.")
    print("Short-lived children of daemons, such as igzip, are in CPU and not in peak.")
    print("files and disk are what lay in the subject's store after the pull.\n")
    print("| subject | what |\n| --- | --- |")
    for name in names:
        print("| %s | %s |" % (name, machine["subjects"][name].replace("|", "/")))
    for case, image in machine["cases"].items():
        table(case, names, rows, failed, image)
        shares(case, names, ours, rows)
    if failed:
        print("\n## Failures\n\n| case | subject | times | last word |\n| --- | --- | --- | --- |")
        for (case, name), errors in failed.items():
            print("| %s | %s | %d | %s |" % (case, name, len(errors), errors[-1].replace("|", "/")))


if __name__ == "__main__":
    main()
