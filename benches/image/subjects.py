"""The programs that pull: how each starts, pulls, and forgets. No measuring here.

Rivals run within the root SID, where /srv/bench is DATA; ours runs outside of it.
"""
import json
import os
import shutil
import signal
import subprocess
import time

import probe

PLAIN = "/usr/sbin:/usr/bin:/sbin:/bin"
# Where bench.sh put pigz and igzip.
FAST = "/opt/fast:" + PLAIN
# Bytes of the file system that each pull goes to; the file behind it has holes.
DISK = 16 << 30


class Subject:
    """A program without a daemon: its data are one folder."""

    about = ""
    path = PLAIN
    daemon = None

    def __init__(self, name, data, sid):
        self.name, self.sid, self.outside, self.inside = name, sid, os.path.join(data, name), "/srv/bench/" + name
        self.out = os.path.join(sid, "run/measured")
        self.error = os.path.join(data, "work", name + ".log")

    def env(self):
        return {"PATH": self.path, "HOME": "/root", "TMPDIR": self.inside + "/tmp"}

    def command(self, words):
        return ["chroot", self.sid, "/run/measure", "/run/measured"] + words

    def chrooted(self, words, check=True):
        return subprocess.run(["chroot", self.sid] + words, env=self.env(), check=check, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120).stdout

    def unmount(self):
        # What a rival mounts stands at the path by which it sees its data.
        probe.unmount_below(self.sid + self.inside)
        probe.unmount_below(self.outside)

    def wipe(self):
        self.unmount()
        for place in (self.sid + self.inside, self.outside):
            if os.path.ismount(place):
                subprocess.run(["umount", place], check=True)
        if os.path.exists(self.outside):
            shutil.rmtree(self.outside)
        os.makedirs(self.outside)
        self.renew()
        os.makedirs(self.outside + "/tmp")

    def renew(self):
        """A new file system: where files were removed in the last minutes ext4 makes new ones at a tenth of its speed."""
        disk = self.outside + ".disk"
        if os.path.exists(disk):
            os.remove(disk)
        with open(disk, "wb") as file:
            file.truncate(DISK)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "assume_storage_prezeroed=1", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, self.outside], check=True)
        # The rivals' root was bound before this mount was there.
        os.makedirs(self.sid + self.inside, exist_ok=True)
        subprocess.run(["mount", "--bind", self.outside, self.sid + self.inside], check=True)

    def start(self):
        self.wipe()

    def stop(self):
        self.unmount()

    def clear(self, references):
        self.wipe()

    def reset(self):
        self.stop()
        self.start()


class Tare(Subject):
    def __init__(self, name, data, sid, program):
        super().__init__(name, data, sid)
        self.measure = os.path.join(data, "work/measure")
        # A copy: a build in the meantime does not change the subject.
        self.program = os.path.join(data, "work", name)
        shutil.copy(program, self.program)
        self.about = "`tare pull`"

    def env(self):
        return {"PATH": PLAIN, "HOME": "/root", "TMPDIR": self.outside + "/tmp", "TARE_ROOT": self.outside + "/root"}

    def command(self, words):
        return [self.measure, self.out] + words

    def pull(self, reference):
        return [self.program, "pull", "--quiet", reference]


class Podman(Subject):
    about = "overlay driver"

    def pull(self, reference):
        return ["/usr/bin/podman", "--root", self.inside + "/root", "--runroot", "/run/" + self.name, "--storage-driver", "overlay",
                "--cgroup-manager", "cgroupfs", "--events-backend", "none", "pull", "--quiet", "--tls-verify=false", reference]

    def wipe(self):
        super().wipe()
        shutil.rmtree(os.path.join(self.sid, "run", self.name), ignore_errors=True)


class SkopeoUmoci(Subject):
    about = "`skopeo copy` to an OCI layout, `umoci raw unpack` of it"

    def pull(self, reference):
        tag = reference.rpartition("/")[2].partition(":")[0]
        script = 'skopeo copy --quiet --src-tls-verify=false "docker://$1" "oci:$2/oci:$3" && umoci raw unpack --image "$2/oci:$3" "$2/rootfs-$3"'
        return ["/bin/sh", "-c", script, "sh", reference, self.inside, tag]


class Daemon(Subject):
    starts = 0

    def state(self):
        """A folder on a tmpfs, another for each start."""
        return "/run/%s-%d" % (self.name, self.starts)

    def start(self):
        self.wipe()
        self.starts += 1
        os.makedirs(self.sid + self.state())
        self.daemon = None
        with open(self.error + ".daemon", "ab") as log:
            self.process = subprocess.Popen(["chroot", self.sid] + self.serve(), env=self.env(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            if subprocess.run(["chroot", self.sid] + self.ping(), env=self.env(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode == 0:
                self.daemon = self.process.pid
                return
            time.sleep(0.2)
        self.stop()
        with open(self.error + ".daemon", errors="replace") as log:
            raise RuntimeError("%s does not start: %s" % (self.name, "".join(log.readlines()[-5:])))

    def stop(self):
        below = {pid: probe.born(pid) for pid in probe.trees([self.process.pid])[1:]}
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, born in below.items():
            if born and probe.born(pid) == born:
                os.kill(pid, signal.SIGKILL)
        self.daemon = None
        super().stop()

    def clear(self, references):
        self.reset()


class Docker(Daemon):
    features = {}

    def serve(self):
        state = self.state()
        with open(self.sid + state + ".json", "w") as file:
            json.dump({"features": self.features}, file)
        return ["/usr/sbin/dockerd", "--config-file", state + ".json", "--data-root", self.inside + "/data", "--exec-root", state,
                "--pidfile", state + ".pid", "--host", "unix://%s.sock" % state, "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--bridge=none", "--log-level", "error"] + self.more()

    def more(self):
        return []

    def docker(self, *words):
        return ["/usr/bin/docker", "--host", "unix://%s.sock" % self.state()] + list(words)

    def ping(self):
        return self.docker("version")

    def start(self):
        super().start()
        driver, _, status = self.chrooted(self.docker("info", "--format", "{{.Driver}} {{json .DriverStatus}}")).partition(" ")
        if driver == "vfs":
            self.stop()
            raise RuntimeError("dockerd has taken vfs")
        # The first pair is the file system below, or the kind of snapshotter.
        self.about = self.note + ", ".join([driver] + [" ".join(pair) for pair in (json.loads(status) or [])[:1]])

    note = "as Debian installs it: "

    def pull(self, reference):
        return self.docker("pull", "--quiet", reference)


class DockerTuned(Docker):
    path = FAST
    note = "with pigz, 10 downloads at a time: "

    def more(self):
        return ["--max-concurrent-downloads", "10"]


class DockerSnapshotter(Docker):
    features = {"containerd-snapshotter": True}
    note = "containerd's snapshotter: "


class Containerd(Daemon):
    about = "as Debian installs it: overlayfs snapshotter"

    def transfer(self):
        return {}

    def serve(self):
        state = self.state()
        with open(self.sid + state + ".toml", "w") as file:
            file.write('version = 3\nroot = "%s/root"\nstate = "%s"\n' % (self.inside, state))
            file.write("disabled_plugins = [%s]\n" % ", ".join('"io.containerd.%s"' % name for name in (
                "cri.v1.images", "cri.v1.runtime", "grpc.v1.cri", "snapshotter.v1.btrfs", "snapshotter.v1.devmapper", "snapshotter.v1.zfs")))
            file.write('[grpc]\naddress = "%s.sock"\n[debug]\nlevel = "error"\n' % state)
            file.write("[plugins.'io.containerd.transfer.v1.local']\n")
            file.writelines("%s = %s\n" % pair for pair in self.transfer().items())
        return ["/usr/bin/containerd", "--config", state + ".toml"]

    def ctr(self, *words):
        return ["/usr/bin/ctr", "--address", self.state() + ".sock"] + list(words)

    def ping(self):
        return self.ctr("version")

    def pull(self, reference):
        return self.ctr("images", "pull", "--plain-http", "--snapshotter", "overlayfs", reference)


class ContainerdTuned(Containerd):
    path = FAST

    def transfer(self):
        known = self.chrooted(["/usr/bin/containerd", "config", "default"])
        wanted = {"max_concurrent_downloads": 10, "max_concurrent_unpacks": 4}
        taken = {key: value for key, value in wanted.items() if key in known}
        self.about = "overlayfs snapshotter, with igzip, " + ", ".join("%s = %d" % pair for pair in taken.items())
        if len(taken) < len(wanted):
            self.about += "; this version knows no " + ", ".join(sorted(set(wanted) - set(taken)))
        return taken


class PodmanTuned(Podman):
    about = "overlay driver, with pigz"
    path = FAST


RIVALS = {
    "docker": Docker,
    "docker-tuned": DockerTuned,
    "docker-snapshotter": DockerSnapshotter,
    "containerd": Containerd,
    "containerd-tuned": ContainerdTuned,
    "podman": Podman,
    "podman-tuned": PodmanTuned,
    "skopeo-umoci": SkopeoUmoci,
}


def versions(sid):
    """What the rivals' packages are, by dpkg: not all of the programs tell without a /proc."""
    packages = ["docker.io", "containerd", "podman", "skopeo", "umoci", "pigz", "isal"]
    return subprocess.run(["dpkg-query", "--admindir", sid + "/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"] + packages,
                          check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
