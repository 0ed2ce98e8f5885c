//! linux.sysctl: values that belong to the container's own namespaces.

use crate::case::cases;
use crate::sandbox::Sandbox;
use serde_json::json;

cases!("sysctl":
    sysctl_net, sysctl_ipc, sysctl_uts, sysctl_without_its_namespace, sysctl_slashes, sysctl_absent,
);

fn sysctl_value(s: &mut Sandbox, name: &str, value: &str) -> String {
    s.spec.set("linux.sysctl", json!({name: value}));
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    s.inspect(&[&format!("read:{path}")]).read(&path)
}

fn sysctl_net(s: &mut Sandbox) {
    assert_eq!(sysctl_value(s, "net.ipv4.ip_forward", "1"), "1");
    assert_eq!(sysctl_value(s, "net.core.somaxconn", "256"), "256");
}

fn sysctl_ipc(s: &mut Sandbox) {
    assert_eq!(sysctl_value(s, "kernel.shmmax", "1234567"), "1234567");
    assert_eq!(sysctl_value(s, "kernel.msgmax", "9000"), "9000");
    assert_eq!(sysctl_value(s, "fs.mqueue.msg_max", "11"), "11");
}

fn sysctl_uts(s: &mut Sandbox) {
    assert_eq!(
        sysctl_value(s, "kernel.domainname", "by.sysctl"),
        "by.sysctl"
    );
}

fn sysctl_without_its_namespace(s: &mut Sandbox) {
    s.spec
        .without_namespace("ipc")
        .set("linux.sysctl", json!({"kernel.shmmax": "1"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("kernel.shmmax"), "{}", output.stderr);
    s.spec
        .namespace("ipc", None)
        .without_namespace("network")
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.contains("net.ipv4.ip_forward"),
        "{}",
        output.stderr
    );
}

fn sysctl_slashes(s: &mut Sandbox) {
    s.spec
        .set("linux.sysctl", json!({"net/ipv4/ip_forward": "1"}));
    let path = "/proc/sys/net/ipv4/ip_forward";
    assert_eq!(s.inspect(&[&format!("read:{path}")]).read(path), "1");
}

fn sysctl_absent(s: &mut Sandbox) {
    s.spec.set("linux.sysctl", json!({"net.frobnicate": "1"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("frobnicate"), "{}", output.stderr);
}
