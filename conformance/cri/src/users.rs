//! A pod with a user namespace (`hostUsers: false`): root in it is nobody on the host.

use crate::asserts::{holds, is};
use crate::cases::Results;
use crate::kubelet::{Kubelet, Pod, Result, USERS, id_map};
use k8s_cri::v1::Mount;
use std::os::unix::fs::MetadataExt;

const FIRST: u32 = 700_000;

pub async fn cases(kubelet: &Kubelet) -> Results {
    let mut results: Results = Vec::new();
    macro_rules! in_pods {
        ($($name:literal $case:ident;)*) => {
            $({
                let config = kubelet.pod_config_of_users($name, FIRST);
                let pod = match kubelet.skips($name) {
                    Some(reason) => Err(reason),
                    None => kubelet.run_pod(config).await,
                };
                let result = match pod {
                    Ok(pod) => {
                        let result = $case(kubelet, &pod).await;
                        let removed = kubelet.remove_pod(&pod.id).await;
                        result.and(removed)
                    }
                    Err(why) => Err(why),
                };
                results.push(($name, result));
            })*
        };
    }
    in_pods! {
        "user-namespace" user_namespace;
        "user-namespace-with-a-volume" volume;
    }
    results
}

fn words(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

async fn user_namespace(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/self/{file}");
        let map = words(&kubelet.output(&id, &["cat", &path]).await?);
        is!(map, format!("0 {FIRST} {USERS}"));
    }
    // Its files are root's, and root it is.
    is!(words(&kubelet.output(&id, &["id", "-u"]).await?), "0");
    let paths = ["/bin/busybox", "/etc/passwd", "/tmp", "/"];
    let owners = [&["stat", "-c", "%u:%g"][..], &paths].concat();
    let owners = words(&kubelet.output(&id, &owners).await?);
    is!(owners, "0:0 0:0 0:0 0:0");
    let line =
        "echo word >/root/new && cat /root/new && stat -c %u:%g /root/new && head -n 1 /etc/passwd";
    let said = kubelet.output(&id, &["sh", "-c", line]).await?;
    is!(said, "word\n0:0\nroot:x:0:0:root:/root:/bin/sh\n");
    // What the pod gives it.
    let line = "cat /etc/hostname && head -n 1 /etc/resolv.conf && echo word >/dev/shm/w && cat /dev/shm/w";
    let said = kubelet.output(&id, &["sh", "-c", line]).await?;
    is!(said, "host-user-namespace\nsearch test.local\nword\n");
    // Outside it is nobody.
    let pid = kubelet.pid(&id).await?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| format!("/proc/{pid}/status: {error}"))?;
    let uids = status.lines().find(|line| line.starts_with("Uid:"));
    let uids = words(uids.unwrap_or_default());
    is!(uids, format!("Uid: {FIRST} {FIRST} {FIRST} {FIRST}"));
    // The pod's network is its own too: what root may do there it may.
    let link = |pid: String, kind: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        link.map(|link| link.to_string_lossy().into_owned())
            .map_err(|error| format!("/proc/{pid}/ns/{kind}: {error}"))
    };
    let other = kubelet.run(pod, "other", &["sleep", "1000"]).await?;
    let other = kubelet.pid(&other).await?;
    for kind in ["user", "net", "ipc"] {
        let own = link(pid.to_string(), kind)?;
        is!(link(other.to_string(), kind)?, own);
        holds!(link("self".to_owned(), kind)? != own, (kind, own));
    }
    kubelet.stop(&id, 0).await?;
    is!(kubelet.end_of(&id).await?, 137);
    Ok(())
}

/// It keeps its owners by idmapped mounts; containerd asks the shim beforehand whether it has them.
async fn volume(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let volume = kubelet.work.join("volume");
    let _ = std::fs::remove_dir_all(&volume);
    std::fs::create_dir_all(&volume).map_err(|error| error.to_string())?;
    std::fs::write(volume.join("old"), "old\n").map_err(|error| error.to_string())?;
    let mut config = kubelet.container_config(pod, "c", &["sleep", "1000"]);
    config.mounts.push(Mount {
        container_path: "/volume".to_owned(),
        host_path: volume.to_string_lossy().into_owned(),
        uid_mappings: id_map(FIRST),
        gid_mappings: id_map(FIRST),
        ..Default::default()
    });
    let id = kubelet.create(pod, config).await?;
    kubelet.start(&id).await?;
    let line =
        "cat /volume/old && echo new >/volume/new && stat -c %u:%g /volume /volume/old /volume/new";
    let said = kubelet.output(&id, &["sh", "-c", line]).await?;
    is!(said, "old\n0:0\n0:0\n0:0\n");
    let new = std::fs::metadata(volume.join("new")).map_err(|error| error.to_string())?;
    is!((new.uid(), new.gid()), (0, 0));
    Ok(())
}
