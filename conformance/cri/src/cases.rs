//! The cases: each makes a pod of its own and removes it, whatever happens between.

use crate::asserts::{holds, is};
use crate::kubelet::{CONTAINER, Kubelet, NODE, POD, Pod, Result, call};
use crate::streams::{Step, follow};
use crate::users;
use k8s_cri::v1;
use std::time::Duration;

pub type Results = Vec<(&'static str, Result<()>)>;

/// The usual: network and IPC are the pod's, pids each container's.
pub const USUAL: [i32; 3] = [POD, CONTAINER, POD];

/// All cases that need no other.
pub async fn life(kubelet: &Kubelet) -> Results {
    let mut results: Results = vec![("version", version(kubelet).await)];
    macro_rules! in_pods {
        ($($modes:expr => $name:literal $case:ident;)*) => {
            $({
                let pod = match kubelet.skips($name) {
                    Some(reason) => Err(reason),
                    None => kubelet.run_pod(kubelet.pod_config($name, $modes)).await,
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
        USUAL => "pod-is-ready" pod_is_ready;
        USUAL => "a-container-runs" a_container_runs;
        USUAL => "exec-sync" exec_sync;
        USUAL => "exec-sync-in-time" exec_sync_in_time;
        USUAL => "exec-streams" exec_streams;
        USUAL => "exec-with-a-terminal" exec_with_a_terminal;
        USUAL => "attach" attach;
        USUAL => "statistics" statistics;
        USUAL => "limits-change" limits_change;
        USUAL => "ends-gracefully" ends_gracefully;
        USUAL => "ends-by-force" ends_by_force;
        USUAL => "exit-codes" exit_codes;
        USUAL => "no-such-program" no_such_program;
        USUAL => "containers-share-a-pod" containers_share_a_pod;
        [POD, POD, POD] => "containers-share-pids" containers_share_pids;
        [NODE, CONTAINER, POD] => "on-the-hosts-network" on_the_hosts_network;
    }
    results.extend(users::cases(kubelet).await);
    results
}

async fn version(kubelet: &Kubelet) -> Result<()> {
    let request = v1::VersionRequest {
        version: "v1".to_owned(),
    };
    let answer = call!(kubelet, version, request)?;
    is!(answer.runtime_name, "containerd");
    Ok(())
}

async fn pod_is_ready(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let status = kubelet.pod_status(&pod.id).await?;
    is!(status.state, v1::PodSandboxState::SandboxReady as i32);
    let ip = status.network.map(|network| network.ip).unwrap_or_default();
    holds!(ip.starts_with("10.88."), ip);
    holds!(status.created_at > 0, status.created_at);
    let pod_sandbox_id = pod.id.clone();
    call!(
        kubelet,
        stop_pod_sandbox,
        v1::StopPodSandboxRequest { pod_sandbox_id }
    )?;
    let status = kubelet.pod_status(&pod.id).await?;
    is!(status.state, v1::PodSandboxState::SandboxNotready as i32);
    Ok(())
}

async fn a_container_runs(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let line = "echo to stdout; echo to stderr >&2; exec sleep 1000";
    let id = kubelet.run(pod, "c", &["sh", "-c", line]).await?;
    let status = kubelet.status(&id).await?;
    is!(status.state, v1::ContainerState::ContainerRunning as i32);
    for _ in 0..50 {
        if kubelet.log(pod, "c").contains("to stderr") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = kubelet.log(pod, "c");
    holds!(log.contains("stdout F to stdout\n"), log);
    holds!(log.contains("stderr F to stderr\n"), log);
    is!(
        kubelet.output(&id, &["hostname"]).await?,
        "host-a-container-runs\n"
    );
    let names = kubelet
        .output(&id, &["cat", "/etc/resolv.conf", "/etc/hostname"])
        .await?;
    is!(
        names,
        "search test.local\nnameserver 10.9.8.7\nhost-a-container-runs\n"
    );
    kubelet.stop(&id, 0).await?;
    is!(kubelet.end_of(&id).await?, 137);
    kubelet.remove(&id).await
}

async fn exec_sync(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let line = "echo out; echo err >&2; exit 7";
    let answer = kubelet.exec_sync(&id, &["sh", "-c", line], 10).await?;
    is!(answer.exit_code, 7);
    is!(answer.stdout, b"out\n");
    is!(answer.stderr, b"err\n");
    let large = kubelet
        .output(&id, &["head", "-c", "1000000", "/dev/zero"])
        .await?;
    is!(large.len(), 1_000_000);
    Ok(())
}

async fn exec_sync_in_time(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    match kubelet.exec_sync(&id, &["sleep", "900"], 1).await {
        Err(why) => holds!(why.contains("timeout") || why.contains("deadline"), why),
        Ok(answer) => return Err(format!("it ended: {answer:?}")),
    }
    let left = kubelet.output(&id, &["ps"]).await?;
    holds!(!left.contains("sleep 900"), left);
    Ok(())
}

async fn exec_url(kubelet: &Kubelet, id: &str, command: &[&str], tty: bool) -> Result<String> {
    let request = v1::ExecRequest {
        container_id: id.to_owned(),
        cmd: command.iter().map(|word| (*word).to_owned()).collect(),
        tty,
        stdin: true,
        stdout: true,
        stderr: !tty,
    };
    Ok(call!(kubelet, exec, request)?.url)
}

async fn exec_streams(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let line = "read word; echo got $word; echo bad >&2; exit 3";
    let url = exec_url(kubelet, &id, &["sh", "-c", line], false).await?;
    let said = follow(&url, &[Step::Write("hello\n")]).await?;
    is!(said.stdout, "got hello\n");
    is!(said.stderr, "bad\n");
    holds!(said.status.contains("\"message\":\"3\""), said.status);
    let url = exec_url(kubelet, &id, &["true"], false).await?;
    let said = follow(&url, &[]).await?;
    holds!(said.status.contains("\"Success\""), said.status);
    Ok(())
}

async fn exec_with_a_terminal(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let line = "echo ready; read word; stty size; tty; exit 0";
    let url = exec_url(kubelet, &id, &["sh", "-c", line], true).await?;
    let steps = [
        Step::Await("ready"),
        Step::Resize(101, 37),
        // The size goes another way than the input.
        Step::Await("ready"),
        Step::Write("\n"),
    ];
    let said = follow(&url, &steps[..2]);
    // Two connections can't share one exec: resize, then read the size after a moment.
    drop(said);
    let slow = "echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; stty size | grep -q '37 101' && break; done; stty size; tty";
    let url_slow = exec_url(kubelet, &id, &["sh", "-c", slow], true).await?;
    let said = follow(&url_slow, &steps[..2]).await?;
    holds!(said.stdout.contains("37 101"), said.stdout);
    holds!(said.stdout.contains("/dev/pts/"), said.stdout);
    // The first URL was never followed: it is good for one call and no more.
    let said = follow(&url, &[Step::Await("ready"), Step::Write("\n")]).await?;
    holds!(said.stdout.contains("/dev/pts/"), said.stdout);
    Ok(())
}

async fn attach(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    // containerd carries input before it has added the output to what it carries: an answer that comes at once can be lost.
    let line = "while sleep 0.1; do echo tick; done & while read word; do echo got $word; [ $word = end ] && exit 4; done";
    let mut config = kubelet.container_config(pod, "c", &["sh", "-c", line]);
    config.stdin = true;
    let id = kubelet.create(pod, config).await?;
    kubelet.start(&id).await?;
    let url = || async {
        let request = v1::AttachRequest {
            container_id: id.clone(),
            stdin: true,
            tty: false,
            stdout: true,
            stderr: true,
        };
        Ok::<_, String>(call!(kubelet, attach, request)?.url)
    };
    let steps = |word, answer| [Step::Await("tick"), Step::Write(word), Step::Await(answer)];
    let [tick, one, answer] = steps("one\n", "got one");
    follow(&url().await?, &[tick, one, answer, Step::Leave]).await?;
    let status = kubelet.status(&id).await?;
    is!(status.state, v1::ContainerState::ContainerRunning as i32);
    let said = follow(&url().await?, &steps("end\n", "got end")).await?;
    holds!(said.stdout.contains("got end"), said);
    is!(kubelet.end_of(&id).await?, 4);
    Ok(())
}

async fn statistics(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let container_id = id.clone();
    let stats = call!(
        kubelet,
        container_stats,
        v1::ContainerStatsRequest { container_id }
    )?;
    let stats = stats.stats.unwrap_or_default();
    let memory = stats.memory.and_then(|memory| memory.working_set_bytes);
    holds!(memory.is_some_and(|value| value.value > 0), memory);
    let cpu = stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds);
    holds!(cpu.is_some_and(|value| value.value > 0), cpu);
    let all = call!(
        kubelet,
        list_container_stats,
        v1::ListContainerStatsRequest { filter: None }
    )?;
    holds!(all.stats.len() == 1, all.stats.len());
    Ok(())
}

async fn limits_change(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let request = v1::UpdateContainerResourcesRequest {
        container_id: id.clone(),
        linux: Some(v1::LinuxContainerResources {
            memory_limit_in_bytes: 64 << 20,
            cpu_shares: 512,
            ..Default::default()
        }),
        ..Default::default()
    };
    call!(kubelet, update_container_resources, request)?;
    let linux = kubelet
        .status(&id)
        .await?
        .resources
        .and_then(|all| all.linux);
    // Versions before 1.7 don't tell.
    if let Some(linux) = linux {
        is!(linux.memory_limit_in_bytes, 64 << 20);
    }
    Ok(())
}

async fn ends_gracefully(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let line = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let id = kubelet.run(pod, "c", &["sh", "-c", line]).await?;
    for _ in 0..100 {
        if kubelet.log(pod, "c").contains("ready") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kubelet.stop(&id, 20).await?;
    is!(kubelet.end_of(&id).await?, 5);
    Ok(())
}

async fn ends_by_force(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let line = "trap '' TERM; while :; do sleep 0.05; done";
    let id = kubelet.run(pod, "c", &["sh", "-c", line]).await?;
    kubelet.stop(&id, 1).await?;
    is!(kubelet.end_of(&id).await?, 137);
    Ok(())
}

async fn exit_codes(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    for code in [0, 1, 42, 255] {
        let name = format!("c{code}");
        let line = format!("exit {code}");
        let id = kubelet.run(pod, &name, &["sh", "-c", &line]).await?;
        is!(kubelet.end_of(&id).await?, code);
        kubelet.remove(&id).await?;
    }
    Ok(())
}

async fn no_such_program(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let why = match kubelet.run(pod, "c", &["no-such-program"]).await {
        Err(why) => why,
        Ok(_) => return Err("it runs".to_owned()),
    };
    holds!(why.contains("executable file not found"), why);
    Ok(())
}

async fn containers_share_a_pod(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let one = kubelet.run(pod, "one", &["sleep", "1000"]).await?;
    let two = kubelet.run(pod, "two", &["sleep", "1000"]).await?;
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        let link = format!("/proc/self/ns/{kind}");
        let command = ["ls", "-l", &link];
        let last = |text: String| text.split("-> ").last().unwrap_or_default().to_owned();
        let [one, two] = [
            last(kubelet.output(&one, &command).await?),
            last(kubelet.output(&two, &command).await?),
        ];
        let shared = matches!(kind, "net" | "ipc" | "uts");
        holds!((one == two) == shared, (kind, one, two));
    }
    kubelet
        .output(&one, &["sh", "-c", "echo word >/dev/shm/w"])
        .await?;
    is!(
        kubelet.output(&two, &["cat", "/dev/shm/w"]).await?,
        "word\n"
    );
    Ok(())
}

async fn containers_share_pids(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let one = kubelet.run(pod, "one", &["sleep", "1111"]).await?;
    kubelet.run(pod, "two", &["sleep", "2222"]).await?;
    let seen = kubelet.output(&one, &["ps"]).await?;
    holds!(
        seen.contains("sleep 1111") && seen.contains("sleep 2222"),
        seen
    );
    Ok(())
}

async fn on_the_hosts_network(kubelet: &Kubelet, pod: &Pod) -> Result<()> {
    let id = kubelet.run(pod, "c", &["sleep", "1000"]).await?;
    let theirs = kubelet
        .output(&id, &["ls", "-l", "/proc/self/ns/net"])
        .await?;
    let own = std::fs::read_link("/proc/self/ns/net").map_err(|error| error.to_string())?;
    holds!(theirs.contains(&*own.to_string_lossy()), theirs);
    Ok(())
}

/// Leaves a pod with containers of which one will have ended when containerd is back.
pub async fn before(kubelet: &Kubelet) -> Results {
    let result = async {
        let pod = kubelet
            .run_pod(kubelet.pod_config("restart", USUAL))
            .await?;
        let stays = kubelet.run(&pod, "stays", &["sleep", "1000"]).await?;
        let goes = kubelet
            .run(&pod, "goes", &["sh", "-c", "sleep 2; exit 33"])
            .await?;
        let text = serde_json::json!({"pod": pod.id, "stays": stays, "goes": goes});
        std::fs::write(kubelet.work.join("restart.json"), text.to_string())
            .map_err(|error| error.to_string())
    };
    vec![("before-a-restart", result.await)]
}

/// What is known of them by the next containerd.
pub async fn after(kubelet: &Kubelet) -> Results {
    let result = async {
        let text = std::fs::read_to_string(kubelet.work.join("restart.json"));
        let text = text.map_err(|error| error.to_string())?;
        let ids: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let id = |name: &str| ids[name].as_str().unwrap_or_default().to_owned();
        let status = kubelet.pod_status(&id("pod")).await?;
        is!(status.state, v1::PodSandboxState::SandboxReady as i32);
        is!(kubelet.end_of(&id("goes")).await?, 33);
        is!(
            kubelet
                .output(&id("stays"), &["echo", "still here"])
                .await?,
            "still here\n"
        );
        let pod = Pod {
            id: id("pod"),
            config: kubelet.pod_config("restart", USUAL),
        };
        let new = kubelet.run(&pod, "new", &["sleep", "1000"]).await?;
        kubelet.stop(&new, 0).await?;
        is!(kubelet.end_of(&new).await?, 137);
        kubelet.remove_pod(&id("pod")).await
    };
    vec![("after-a-restart", result.await)]
}
