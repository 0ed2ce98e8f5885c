"""Layers as files: tar streams, the same for the same root, compressed and hashed. No registry here, and no container tool."""
import collections
import hashlib
import io
import os
import random
import stat
import subprocess
import tarfile
import zlib

SKIP = ("dev", "proc", "run", "sys", "tmp", "var/cache", "var/lib/apt/lists", "usr/bin/docker-registry")
MTIME = 1700000000
Layer = collections.namedtuple("Layer", "path digest size diff_id unpacked files")


class Sink:
    """Takes a tar stream, hashes it, and leaves it compressed at PATH."""

    def __init__(self, path, zstd):
        self.hash, self.size = hashlib.sha256(), 0
        self.file = open(path, "wb")
        self.child = subprocess.Popen(["zstd", "-q", "-3", "-c"], stdin=subprocess.PIPE, stdout=self.file) if zstd else None
        # 31: a gzip header, whose time is 0.
        self.gzip = zlib.compressobj(6, zlib.DEFLATED, 31)

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        if self.child:
            self.child.stdin.write(data)
        else:
            self.file.write(self.gzip.compress(data))
        return len(data)

    def close(self):
        if self.child:
            self.child.stdin.close()
            if self.child.wait() != 0:
                raise RuntimeError("zstd failed")
        else:
            self.file.write(self.gzip.flush())
        self.file.close()


def make(path, fill, zstd=False):
    """FILL writes the members into a TarFile and returns how many of them are no directories."""
    sink = Sink(path, zstd)
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        files = fill(tar)
    sink.close()
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Layer(path, "sha256:" + digest, os.path.getsize(path), "sha256:" + sink.hash.hexdigest(), sink.size, files)


def walk(root):
    """The regular files and symbolic links below ROOT in order, each with its size."""
    found = []
    for folder, folders, files in os.walk(root):
        prefix = "" if folder == root else os.path.relpath(folder, root) + "/"
        folders[:] = sorted(name for name in folders if prefix + name not in SKIP)
        # os.walk counts a link to a folder among the folders, and does not enter it.
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = prefix + name
            status = os.lstat(os.path.join(root, path))
            # Files at the very top are marks that the harness left.
            wanted = stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and prefix)
            if wanted and path not in SKIP:
                found.append((path, status.st_size))
    return sorted(found)


def split(items, count):
    """COUNT runs of neighbours of about the same size, none of them empty."""
    queue, runs, left = collections.deque(items), [], sum(size + 1024 for _, size in items)
    for rest in range(count, 0, -1):
        run, taken = [], 0
        while len(queue) >= rest and (not run or taken < left / rest):
            run.append(queue.popleft())
            taken += run[-1][1] + 1024
        left -= taken
        runs.append([path for path, _ in run])
    return runs


def member(name, kind, mode, mtime=MTIME, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size = kind, mode, mtime, size
    return info


def add_files(tar, root, paths, prefix=""):
    """Adds PATHS of ROOT below PREFIX, and before each the folders above it, as docker's own layers have them."""
    folders, seen = set(), {}
    for path in paths:
        parts = (prefix + path).split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder in folders:
                continue
            folders.add(folder)
            mode, mtime = 0o755, MTIME
            if folder.startswith(prefix):
                status = os.stat(os.path.join(root, folder[len(prefix):]))
                mode, mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
            tar.addfile(member(folder, tarfile.DIRTYPE, mode, mtime))
        add_file(tar, os.path.join(root, path), prefix + path, seen)
    return len(paths)


def add_file(tar, source, name, seen):
    status = os.lstat(source)
    info = member(name, tarfile.REGTYPE, stat.S_IMODE(status.st_mode), int(status.st_mtime))
    info.uid, info.gid = status.st_uid, status.st_gid
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(source)
        tar.addfile(info)
    elif status.st_ino in seen:
        info.type, info.linkname = tarfile.LNKTYPE, seen[status.st_ino]
        tar.addfile(info)
    else:
        if status.st_nlink > 1:
            seen[status.st_ino] = name
        info.size = status.st_size
        with open(source, "rb") as file:
            tar.addfile(info, file)


def sample(root, items):
    """64 MiB of real content, drawn from all over ROOT."""
    content = bytearray()
    for path, _ in random.Random(1).sample(items, len(items)):
        source = os.path.join(root, path)
        if not os.path.islink(source):
            with open(source, "rb") as file:
                content += file.read(1 << 20)
        if len(content) > 64 << 20:
            break
    return bytes(content)


class Mixture:
    """A file that reads as real content and, to a part, noise, which together gzip to about a half."""

    def __init__(self, content):
        self.content, self.drawn, self.rest = content, random.Random(2), b""

    def read(self, size):
        while len(self.rest) < size:
            begin = self.drawn.randrange(len(self.content) - 65536)
            noise = self.drawn.random() < 0.25
            self.rest += self.drawn.randbytes(65536) if noise else self.content[begin:begin + 65536]
        data, self.rest = self.rest[:size], self.rest[size:]
        return data


def add_big(tar, content):
    tar.addfile(member("srv", tarfile.DIRTYPE, 0o755))
    tar.addfile(member("srv/big", tarfile.REGTYPE, 0o644, size=1 << 30), Mixture(content))
    return 1


def add_small(tar, content):
    """100,000 files of 0 to 8 KiB in 5,000 folders."""
    drawn = random.Random(3)
    tar.addfile(member("srv", tarfile.DIRTYPE, 0o755))
    for folder in range(5000):
        if folder % 50 == 0:
            tar.addfile(member("srv/%02d" % (folder // 50), tarfile.DIRTYPE, 0o755))
        name = "srv/%02d/%02d" % (folder // 50, folder % 50)
        tar.addfile(member(name, tarfile.DIRTYPE, 0o755))
        for number in range(20):
            size = drawn.randint(0, 8192)
            begin = drawn.randrange(len(content) - size)
            file = io.BytesIO(content[begin:begin + size])
            tar.addfile(member("%s/file-%02d" % (name, number), tarfile.REGTYPE, 0o644, size=size), file)
    return 100000
