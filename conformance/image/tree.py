#!/usr/bin/env python3
"""Makes a tree of all that a layer can hold, and compares two: tree.py make FOLDER | compare EXPECTED FOUND."""
import hashlib
import os
import stat
import sys


def make(root):
    os.makedirs(root + "/plain/sub")
    for name, content in {"a": b"one", "sub/b": b"x" * 70000, "empty": b""}.items():
        with open(root + "/plain/" + name, "wb") as file:
            file.write(content)
    os.symlink("a", root + "/plain/link")
    os.link(root + "/plain/a", root + "/plain/same")
    os.chmod(root + "/plain/sub", 0o2751)
    with open(root + "/setuid", "wb") as file:
        file.write(b"#!")
    os.chown(root + "/setuid", 7, 3000000)
    os.chmod(root + "/setuid", 0o4711)
    os.mkdir(root + "/sticky", 0o700)
    os.chmod(root + "/sticky", 0o1777)
    long = root + "/" + "/".join(["d" * 90] * 4)
    os.makedirs(long)
    with open(long + "/" + "f" * 120, "wb") as file:
        file.write(b"deep")
    os.symlink("t" * 300, root + "/long-target")
    with open(root + "/n\u00e4me with blanks\tand more", "wb") as file:
        file.write(b"odd")
    with open(root.encode() + b"/not-utf8-\xff\xfe", "wb") as file:
        file.write(b"bytes")
    with open(root + "/sparse", "wb") as file:
        for number in range(60):
            file.seek(number * 100000 + 50000)
            file.write(b"data%d" % number * 900)
        file.truncate(8 << 20)
    with open(root + "/hole", "wb") as file:
        file.truncate(1 << 20)
    os.mkfifo(root + "/pipe", 0o640)
    os.mknod(root + "/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root + "/loop", 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    os.setxattr(root + "/setuid", "user.note", b"some\0bytes=\n")
    os.setxattr(root + "/setuid", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.utime(root + "/plain/a", ns=(0, 1234567890123456789))
    os.utime(root + "/pipe", (0, 0))
    os.utime(root + "/plain/link", (5, 5), follow_symlinks=False)


def picture(root):
    """By path: what it is. Times are to the second, as not all formats have more."""
    found, inodes = {}, {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in sorted(folders) + sorted(files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            mode = status.st_mode
            what = [oct(mode), status.st_uid, status.st_gid, int(status.st_mtime), status.st_rdev]
            if stat.S_ISLNK(mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    what.append((status.st_size, hashlib.sha256(file.read()).hexdigest()))
            names = {} if stat.S_ISLNK(mode) else {key: os.getxattr(path, key) for key in os.listxattr(path)}
            what.append(names)
            below = os.path.relpath(path, os.fsencode(root))
            inodes.setdefault(status.st_ino, []).append(below)
            found[below] = what
    for names in inodes.values():
        for name in names:
            if not stat.S_ISDIR(int(found[name][0], 8)):
                found[name].append(sorted(names))
    return found


def compare(expected, found):
    expected, found = picture(expected), picture(found)
    wrong = [name for name in sorted(set(expected) | set(found)) if expected.get(name) != found.get(name)]
    for name in wrong:
        print("%r: expected %r, found %r" % (name, expected.get(name), found.get(name)))
    if not expected:
        print("there is nothing to compare")
    return 1 if wrong or not expected else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(make(sys.argv[2]) if sys.argv[1] == "make" else compare(sys.argv[2], sys.argv[3]))
