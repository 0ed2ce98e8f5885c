//! What kubelet does with a runtime, as functions: pods and containers of one image, each call bounded in time.

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, ContainerStatus, CreateContainerRequest, DnsConfig,
    ExecSyncRequest, ExecSyncResponse, IdMapping, ImageSpec, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PodSandboxStatus, UserNamespace,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// Longer than any call but those that wait on purpose.
const PATIENCE: Duration = Duration::from_secs(40);

/// Modes of namespaces, as the interface numbers them.
pub const POD: i32 = 0;
pub const CONTAINER: i32 = 1;
pub const NODE: i32 = 2;

/// So many ids has a pod with a user namespace.
pub const USERS: u32 = 65_536;

pub type Result<T> = std::result::Result<T, String>;

/// A connection, and what pods are made of.
#[derive(Clone)]
pub struct Kubelet {
    pub runtime: RuntimeServiceClient<Channel>,
    pub handler: String,
    pub image: String,
    /// For logs.
    pub work: PathBuf,
}

/// What a result begins with whose case was not run.
pub const SKIP: &str = "skip: ";

/// A pod's id and what it was asked for.
#[derive(Clone)]
pub struct Pod {
    pub id: String,
    pub config: PodSandboxConfig,
}

/// Runs a call of the client `$client` and takes the answer.
macro_rules! call {
    ($kubelet:expr, $method:ident, $request:expr) => {{
        let mut client = $kubelet.runtime.clone();
        let answer = client.$method($request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| format!("{}: {}", stringify!($method), status.message()))
    }};
}
pub(crate) use call;

impl Kubelet {
    /// Of containerd's socket.
    pub async fn connect(
        socket: &str,
        handler: &str,
        image: &str,
        work: PathBuf,
    ) -> Result<Kubelet> {
        let path = socket.to_owned();
        // The address is never used: the connector knows the socket.
        let channel = Endpoint::from_static("http://[::]:0")
            .timeout(PATIENCE)
            .connect_with_connector(service_fn(move |_: Uri| {
                let path = path.clone();
                async move {
                    let stream = tokio::net::UnixStream::connect(path).await?;
                    Ok::<_, std::io::Error>(TokioIo::new(stream))
                }
            }))
            .await
            .map_err(|error| format!("{socket}: {error}"))?;
        Ok(Kubelet {
            runtime: RuntimeServiceClient::new(channel),
            handler: handler.to_owned(),
            image: image.to_owned(),
            work,
        })
    }

    /// Why a case can't be run here.
    pub fn skips(&self, case: &str) -> Option<String> {
        let all = std::env::var("CRI_SKIP").unwrap_or_default();
        let name = format!("{}/{case} ", self.handler);
        let reason = all.lines().find_map(|line| line.strip_prefix(&name))?;
        Some(format!("{SKIP}{reason}"))
    }

    /// Modes of the network, pid and IPC namespaces.
    pub fn pod_config(&self, name: &str, [network, pid, ipc]: [i32; 3]) -> PodSandboxConfig {
        let logs = self.work.join("logs").join(name);
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                namespace: "default".to_owned(),
                attempt: 0,
            }),
            hostname: if network == NODE {
                String::new()
            } else {
                format!("host-{name}")
            },
            log_directory: logs.to_string_lossy().into_owned(),
            dns_config: Some(DnsConfig {
                servers: vec!["10.9.8.7".to_owned()],
                searches: vec!["test.local".to_owned()],
                options: Vec::new(),
            }),
            labels: HashMap::from([("app".to_owned(), name.to_owned())]),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces([network, pid, ipc])),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// The usual pod in a user namespace: root in it is this id of the host.
    pub fn pod_config_of_users(&self, name: &str, first: u32) -> PodSandboxConfig {
        let mut config = self.pod_config(name, [POD, CONTAINER, POD]);
        let security = config
            .linux
            .as_mut()
            .and_then(|linux| linux.security_context.as_mut());
        if let Some(options) = security.and_then(|security| security.namespace_options.as_mut()) {
            options.userns_options = Some(UserNamespace {
                mode: POD,
                uids: id_map(first),
                gids: id_map(first),
            });
        }
        config
    }

    pub async fn run_pod(&self, config: PodSandboxConfig) -> Result<Pod> {
        // Another handler's pod of that name has left its own.
        let _ = std::fs::remove_dir_all(&config.log_directory);
        std::fs::create_dir_all(&config.log_directory).map_err(|error| error.to_string())?;
        let request = k8s_cri::v1::RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: self.handler.clone(),
        };
        let id = call!(self, run_pod_sandbox, request)?.pod_sandbox_id;
        Ok(Pod { id, config })
    }

    pub async fn pod_status(&self, id: &str) -> Result<PodSandboxStatus> {
        let request = k8s_cri::v1::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let answer = call!(self, pod_sandbox_status, request)?;
        answer.status.ok_or_else(|| "no status".to_owned())
    }

    pub async fn remove_pod(&self, id: &str) -> Result<()> {
        let pod_sandbox_id = id.to_owned();
        call!(
            self,
            stop_pod_sandbox,
            k8s_cri::v1::StopPodSandboxRequest { pod_sandbox_id }
        )?;
        let pod_sandbox_id = id.to_owned();
        call!(
            self,
            remove_pod_sandbox,
            k8s_cri::v1::RemovePodSandboxRequest { pod_sandbox_id }
        )
        .map(drop)
    }

    /// As the pod has its namespaces.
    pub fn container_config(&self, pod: &Pod, name: &str, command: &[&str]) -> ContainerConfig {
        let linux = pod.config.linux.clone().unwrap_or_default();
        let options = linux
            .security_context
            .and_then(|context| context.namespace_options);
        ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: name.to_owned(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: self.image.clone(),
                ..Default::default()
            }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            log_path: format!("{name}.log"),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: options,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub async fn create(&self, pod: &Pod, config: ContainerConfig) -> Result<String> {
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        Ok(call!(self, create_container, request)?.container_id)
    }

    pub async fn start(&self, id: &str) -> Result<()> {
        let container_id = id.to_owned();
        call!(
            self,
            start_container,
            k8s_cri::v1::StartContainerRequest { container_id }
        )
        .map(drop)
    }

    /// A container that runs.
    pub async fn run(&self, pod: &Pod, name: &str, command: &[&str]) -> Result<String> {
        let config = self.container_config(pod, name, command);
        let id = self.create(pod, config).await?;
        self.start(&id).await?;
        Ok(id)
    }

    pub async fn status(&self, id: &str) -> Result<ContainerStatus> {
        let request = k8s_cri::v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let answer = call!(self, container_status, request)?;
        answer.status.ok_or_else(|| "no status".to_owned())
    }

    /// The pid of a container's init.
    pub async fn pid(&self, id: &str) -> Result<i64> {
        let request = k8s_cri::v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let info = call!(self, container_status, request)?.info;
        let text = info.get("info").map(String::as_str).unwrap_or_default();
        let info: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("{text:?}: {error}"))?;
        let pid = info["pid"].as_i64().filter(|pid| *pid > 0);
        pid.ok_or_else(|| format!("no pid in {info}"))
    }

    /// The exit code, when it has ended.
    pub async fn end_of(&self, id: &str) -> Result<i32> {
        for _ in 0..100 {
            let status = self.status(id).await?;
            if status.state == k8s_cri::v1::ContainerState::ContainerExited as i32 {
                return Ok(status.exit_code);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("{id} runs on"))
    }

    /// With this grace in seconds.
    pub async fn stop(&self, id: &str, timeout: i64) -> Result<()> {
        let container_id = id.to_owned();
        call!(
            self,
            stop_container,
            k8s_cri::v1::StopContainerRequest {
                container_id,
                timeout
            }
        )
        .map(drop)
    }

    pub async fn remove(&self, id: &str) -> Result<()> {
        let container_id = id.to_owned();
        call!(
            self,
            remove_container,
            k8s_cri::v1::RemoveContainerRequest { container_id }
        )
        .map(drop)
    }

    pub async fn exec_sync(
        &self,
        id: &str,
        command: &[&str],
        timeout: i64,
    ) -> Result<ExecSyncResponse> {
        let request = ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.iter().map(|word| (*word).to_owned()).collect(),
            timeout,
        };
        call!(self, exec_sync, request)
    }

    /// What it prints, when it exits with 0.
    pub async fn output(&self, id: &str, command: &[&str]) -> Result<String> {
        let answer = self.exec_sync(id, command, 10).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if answer.exit_code != 0 {
            let said = text(&answer.stderr);
            return Err(format!("{command:?} exited {}: {said}", answer.exit_code));
        }
        Ok(text(&answer.stdout))
    }

    /// A container's log as CRI writes it.
    pub fn log(&self, pod: &Pod, name: &str) -> String {
        let path = PathBuf::from(&pod.config.log_directory).join(format!("{name}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

fn namespaces([network, pid, ipc]: [i32; 3]) -> NamespaceOption {
    NamespaceOption {
        network,
        pid,
        ipc,
        ..Default::default()
    }
}

/// Root of a pod is this id of the host.
pub fn id_map(first: u32) -> Vec<IdMapping> {
    vec![IdMapping {
        host_id: first,
        container_id: 0,
        length: USERS,
    }]
}
