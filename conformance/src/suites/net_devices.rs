//! Network: a new namespace's devices, and linux.netDevices.

use crate::case::{cases, skip};
use crate::sandbox::Sandbox;
use serde_json::json;

cases!("net-devices":
    network_new_is_down, net_device_moved, net_device_renamed_keeps_addresses, net_device_absent, lo_is_up,
);

fn network_new_is_down(s: &mut Sandbox) {
    let report = s.inspect(&["read:/proc/net/route"]);
    assert_eq!(
        report.read("/proc/net/route").lines().count(),
        1,
        "no route"
    );
}

fn lo_is_up(s: &mut Sandbox) {
    let report = s.inspect(&["interfaces:"]);
    let lo = &report.probe("interfaces:")["interfaces"][0];
    assert_eq!(lo["name"], "lo");
    assert_eq!(lo["flags"].as_i64().unwrap() & 1, 1, "{lo}");
}

/// A veth pair on the host, removed at the end (by its other half, wherever the first went).
struct Veth {
    name: String,
    peer: String,
}

fn ip(arguments: &[&str]) -> bool {
    std::process::Command::new("ip")
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Veth {
    fn new(s: &Sandbox) -> Self {
        let number: u32 = s.id.bytes().fold(7, |sum: u32, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let veth = Self {
            name: format!("tca{number:x}"),
            peer: format!("tcb{number:x}"),
        };
        if !ip(&[
            "link", "add", &veth.name, "type", "veth", "peer", "name", &veth.peer,
        ]) {
            skip("no `ip link add type veth` here");
        }
        veth
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        ip(&["link", "del", &self.peer]);
    }
}

fn net_device_moved(s: &mut Sandbox) {
    let veth = Veth::new(s);
    s.spec.set("linux.netDevices", json!({&veth.name: {}}));
    let report = s.inspect(&["list:/sys/class/net"]);
    let names = report.probe("list:/sys/class/net")["names"].to_string();
    assert!(names.contains(&veth.name), "{names}");
}

fn net_device_renamed_keeps_addresses(s: &mut Sandbox) {
    let veth = Veth::new(s);
    assert!(ip(&["addr", "add", "192.0.2.7/24", "dev", &veth.name]));
    assert!(ip(&["link", "set", &veth.name, "up"]));
    s.spec
        .set("linux.netDevices", json!({&veth.name: {"name": "eth7"}}));
    let report = s.inspect(&["interfaces:"]);
    let list = report.probe("interfaces:")["interfaces"]
        .as_array()
        .unwrap();
    let address = list
        .iter()
        .find(|one| one["name"] == "eth7" && one["address"] == "192.0.2.7");
    let address = address.unwrap_or_else(|| panic!("{list:?}"));
    assert_eq!(address["flags"].as_i64().unwrap() & 1, 1, "it is up");
}

fn net_device_absent(s: &mut Sandbox) {
    s.spec.set("linux.netDevices", json!({"nosuchdev0": {}}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("nosuchdev0"), "{}", output.stderr);
}
