//! A hundred pods with a container each, made and removed by eight callers.

use crate::cases::Results;
use crate::kubelet::{CONTAINER, Kubelet, POD, Pod, Result};
use futures_util::StreamExt;
use futures_util::stream::iter;
use std::time::Duration;

const PODS: usize = 100;
const CALLERS: usize = 8;

pub async fn pods(kubelet: &Kubelet) -> Results {
    let made: Vec<Result<Pod>> = iter((0..PODS).map(|number| one(kubelet, number)))
        .buffer_unordered(CALLERS)
        .collect()
        .await;
    let mut wrong: Vec<String> = Vec::new();
    let mut pods = Vec::new();
    for result in made {
        match result {
            Ok(pod) => pods.push(pod),
            Err(why) => wrong.push(why),
        }
    }
    let made = match wrong.first() {
        None => Ok(()),
        Some(why) => Err(format!("{} of {PODS}: {why}", wrong.len())),
    };
    // A shim comes to rest two seconds after its last call.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let told = memory();
    let removed: Vec<Result<()>> = iter(pods.iter().map(|pod| kubelet.remove_pod(&pod.id)))
        .buffer_unordered(CALLERS)
        .collect()
        .await;
    let removed = removed.into_iter().collect::<Result<()>>();
    vec![
        ("hundred-pods", made),
        ("hundred-pods-memory", told),
        ("hundred-pods-are-removed", removed),
    ]
}

async fn one(kubelet: &Kubelet, number: usize) -> Result<Pod> {
    let name = format!("many-{number}");
    let config = kubelet.pod_config(&name, [POD, CONTAINER, POD]);
    let pod = kubelet.run_pod(config).await?;
    let id = kubelet.run(&pod, "c", &["sleep", "1000"]).await?;
    match kubelet.output(&id, &["echo", &name]).await {
        Ok(said) if said == format!("{name}\n") => Ok(pod),
        Ok(said) => Err(format!("{name}: {said:?}")),
        Err(why) => Err(format!("{name}: {why}")),
    }
}

/// What all shims of this machine take, for whoever reads the log: 150 MB is the promise.
fn memory() -> Result<()> {
    let (mut shims, mut resident, mut proportional) = (0, 0, 0);
    for entry in std::fs::read_dir("/proc").map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let program = std::fs::read_link(path.join("exe")).unwrap_or_default();
        if !program
            .to_string_lossy()
            .contains("containerd-shim-tare-v2")
        {
            continue;
        }
        let rollup = std::fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
        let of = |name: &str| -> u64 {
            let line = rollup.lines().find(|line| line.starts_with(name));
            let word = line.and_then(|line| line.split_whitespace().nth(1));
            word.and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        shims += 1;
        resident += of("Rss:");
        proportional += of("Pss:");
    }
    println!("shims: {shims}, resident {resident} KiB, proportional {proportional} KiB");
    if shims < PODS || resident > 150 << 10 {
        return Err(format!("{shims} shims with {resident} KiB"));
    }
    Ok(())
}
