"""What a pull costs: the program's own figures by ../measure.c, those of daemons out of /proc."""
import collections
import ctypes
import os
import signal
import subprocess
import time

TICK = 1000000 // os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None, use_errno=True)
Run = collections.namedtuple("Run", "status error wall cpu peak")


def stat(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            # The name may hold spaces and brackets.
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def born(pid):
    """When PID began, which tells it from a later process of the same number."""
    fields = stat(pid)
    return fields and fields[19]


def trees(roots):
    """The processes ROOTS and all below them."""
    below = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat(int(name))
            if fields:
                below[int(fields[1])].append(int(name))
    found = list(roots)
    for pid in found:
        found += below[pid]
    return found


def cpu(pids):
    """Microseconds of user and system time, with those of children that were waited for."""
    ticks = 0
    for pid in pids:
        fields = stat(pid)
        if fields:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks * TICK


def reset_peak(pids):
    for pid in pids:
        with open("/proc/%d/clear_refs" % pid, "w") as file:
            file.write("5")


def peak(pids):
    """The sum of the largest resident sets in KiB."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/status" % pid) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def settle(roots, limit=20):
    """Waits until daemons have no more work of their own: rubbish that they collect is not to be billed to the next pull."""
    end = time.monotonic() + limit
    while roots and time.monotonic() < end:
        pids = trees(roots)
        before = cpu(pids)
        time.sleep(0.2)
        if cpu(pids) - before <= TICK:
            return


def syncfs(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        if LIBC.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs " + folder)
    finally:
        os.close(handle)


def warm(paths):
    """Reads files into the page cache."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def unmount_below(folder):
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4] for line in file]
    for point in reversed(points):
        if point.startswith(folder + "/"):
            LIBC.umount2(os.fsencode(point), 2)


def run(command, out, env, error, timeout):
    """Runs COMMAND, which starts with measure writing to OUT; ERROR is a file for what it says."""
    with open(error, "wb") as file:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env, start_new_session=True)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            # Its own session: what it started goes too.
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return Run("timeout", "no end within %d s" % timeout, 0, 0, 0)
    with open(out) as file:
        fields = file.read().split()
    os.unlink(out)
    wall, user, system, resident, status = (int(field) for field in fields)
    if status == 0:
        return Run("ok", "", wall // 1000, user + system, resident)
    with open(error, errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()] or ["no word"]
    return Run("failed", "status %d: %s" % (status, lines[-1][:300]), 0, 0, 0)
