//! Tables: resources and annotations against unit properties.
use super::*;

fn text(properties: &[Property]) -> String {
    let line = |property: &Property| {
        let since = if property.since > 0 {
            format!(" since {}", property.since)
        } else {
            String::new()
        };
        format!(
            "{}={} {}{since}",
            property.name,
            property.value.signature(),
            gvariant::Text(&property.value)
        )
    };
    properties.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check(json: &str, v2: bool, expect: &str) {
    let resources: Resources = serde_json::from_str(json).unwrap();
    let got = of_resources(&resources, v2).map_or_else(
        |refusal| refusal.to_string(),
        |properties| text(&properties),
    );
    assert_eq!(got, expect, "{json}");
}

#[test]
fn resources_on_v2() {
    check(
        r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
        true,
        "MemoryMax=t 100\nMemoryLow=t 50\nMemorySwapMax=t 200",
    );
    check(
        r#"{"memory":{"limit":-1}}"#,
        true,
        "MemoryMax=t infinity\nMemorySwapMax=t infinity",
    );
    check(
        r#"{"cpu":{"shares":1024,"quota":50000,"period":100000}}"#,
        true,
        "CPUWeight=t 100\nCPUQuotaPeriodUSec=t 100000 since 242\nCPUQuotaPerSecUSec=t 500000",
    );
    check(
        r#"{"cpu":{"quota":12345}}"#,
        true,
        "CPUQuotaPerSecUSec=t 130000",
    );
    check(
        r#"{"cpu":{"quota":-1}}"#,
        true,
        "CPUQuotaPerSecUSec=t infinity",
    );
    check(
        r#"{"cpu":{"quota":9223372036854775807,"period":1}}"#,
        true,
        "CPUQuotaPeriodUSec=t 1 since 242\nCPUQuotaPerSecUSec=t 18446744073709550000",
    );
    check(
        r#"{"cpu":{"idle":1,"shares":5}}"#,
        true,
        "CPUWeight=t 0 since 252",
    );
    check(
        r#"{"cpu":{"cpus":"0-2,9","mems":"0"}}"#,
        true,
        "AllowedCPUs=ay [0x07, 0x02] since 244\nAllowedMemoryNodes=ay [0x01] since 244",
    );
    check(
        r#"{"cpu":{"cpus":"2-1"}}"#,
        true,
        "linux.resources.cpu.cpus: \"2-1\" is neither a number nor a range up to 65535",
    );
    check(
        r#"{"cpu":{"cpus":"0-99999999999"}}"#,
        true,
        "linux.resources.cpu.cpus: \"0-99999999999\" is neither a number nor a range up to 65535",
    );
    check(r#"{"pids":{"limit":-1}}"#, true, "TasksMax=t infinity");
    check(r#"{"pids":{"limit":7}}"#, true, "TasksMax=t 7");
}

#[test]
fn resources_on_v1() {
    let json = r#"{"memory":{"limit":100,"swap":300,"reservation":50},"cpu":{"shares":512},"blockIO":{"weight":300}}"#;
    check(
        json,
        false,
        "MemoryLimit=t 100\nCPUShares=t 512\nBlockIOWeight=t 300",
    );
}

#[test]
fn unified_files_that_have_a_property() {
    check(
        r#"{"unified":{"memory.high":"5","memory.max":"max","pids.max":"0","cpu.max":"50000 100000","cpu.weight":"7","io.max":"x","cpuset.cpus":"1"}}"#,
        true,
        "CPUQuotaPeriodUSec=t 100000 since 242\nCPUQuotaPerSecUSec=t 500000\nCPUWeight=t 7\nAllowedCPUs=ay [0x02] since 244\n\
         MemoryHigh=t 5\nMemoryMax=t infinity\nTasksMax=t 1",
    );
    check(
        r#"{"unified":{"cpu.max":"1 2 3"}}"#,
        true,
        "linux.resources.unified[\"cpu.max\"]: \"1 2 3\" is neither QUOTA nor QUOTA PERIOD",
    );
    check(
        r#"{"unified":{"cpu.max":"50000 0"}}"#,
        true,
        "CPUQuotaPerSecUSec=t 500000",
    );
    check(
        r#"{"unified":{"memory.max":"5k"}}"#,
        true,
        "linux.resources.unified[\"memory.max\"]: \"5k\" is no number",
    );
}

fn check_annotation(key: &str, value: &str, expect: &str) {
    let annotations = BTreeMap::from([(key.to_string(), value.to_string())]);
    let got = of_annotations(&annotations).map_or_else(
        |refusal| refusal.to_string(),
        |properties| text(&properties),
    );
    assert!(
        got == expect
            || (expect.ends_with("...") && got.starts_with(expect.trim_end_matches("..."))),
        "{key}={value}: {got}"
    );
}

#[test]
fn annotations() {
    check_annotation(
        "org.systemd.property.CollectMode",
        "'inactive-or-failed'",
        "CollectMode=s \"inactive-or-failed\"",
    );
    check_annotation(
        "org.systemd.property.TimeoutStopUSec",
        "uint64 123456",
        "TimeoutStopUSec=t 123456",
    );
    check_annotation(
        "org.systemd.property.TimeoutStopSec",
        "2",
        "TimeoutStopUSec=t 2000000",
    );
    check_annotation(
        "org.systemd.property.TimeoutStopSec",
        "1.5",
        "TimeoutStopUSec=t 1500000",
    );
    check_annotation(
        "org.systemd.property.TimeoutStopSec",
        "'x'",
        "annotations.org.systemd.property.TimeoutStopSec: \"'x'\" is no number of seconds",
    );
    check_annotation(
        "org.systemd.property.TimeoutStopSec",
        "-1",
        "annotations.org.systemd.property.TimeoutStopSec: \"-1\" is no...",
    );
    check_annotation(
        "org.systemd.property.Foo",
        "uint64",
        "annotations.org.systemd.property.Foo: no GVariant text: the value is missing...",
    );
    check_annotation(
        "org.systemd.property.a",
        "1",
        "annotations.org.systemd.property.a: \"a\" is no property name",
    );
    check_annotation(
        "org.systemd.property.Fo-o",
        "1",
        "annotations.org.systemd.property.Fo-o: \"Fo-o\" is no property name",
    );
    check_annotation("org.other", "1", "");
}

#[test]
fn a_scope_and_a_slice() {
    let make = |unit: &str, json: &str, v2| {
        scope(
            unit,
            "system.slice",
            "unix:x",
            &serde_json::from_str(json).unwrap(),
            &BTreeMap::new(),
            v2,
            false,
        )
        .unwrap()
    };
    let planned = make(
        "docker-x.scope",
        r#"{"devices":[{"allow":false},{"allow":true,"type":"c","minor":3,"access":"r"}],"unified":{"memory.oom.group":"1"}}"#,
        true,
    );
    assert_eq!(
        text(&planned.scope.properties),
        "Description=s \"container docker-x.scope\"\nSlice=s \"system.slice\"\nDelegate=b true\nMemoryAccounting=b true\nCPUAccounting=b true\n\
         IOAccounting=b true\nTasksAccounting=b true\nDefaultDependencies=b false\nOOMPolicy=s \"kill\" since 253\nDevicePolicy=s \"strict\"\n\
         DeviceAllow=a(ss) [(\"char-*\", \"m\"), (\"block-*\", \"m\"), (\"/dev/char/1:3\", \"rwm\"), (\"/dev/char/1:8\", \"rwm\"), \
         (\"/dev/char/1:7\", \"rwm\"), (\"/dev/char/5:0\", \"rwm\"), (\"/dev/char/1:5\", \"rwm\"), (\"/dev/char/1:9\", \"rwm\"), \
         (\"char-136\", \"rwm\"), (\"/dev/char/5:2\", \"rwm\"), (\"/dev/char/10:200\", \"rwm\"), (\"/dev/char/136:3\", \"rw\")]"
    );
    assert_eq!(planned.skips.len(), 1, "{:?}", planned.skips);
    let planned = make("a-b.slice", r#"{"devices":[{"allow":true}]}"#, false);
    let text = text(&planned.scope.properties);
    assert!(
        text.contains("Wants=as [\"system.slice\"]")
            && !text.contains("Delegate")
            && text.contains("BlockIOAccounting"),
        "{text}"
    );
    assert!(
        text.ends_with("DevicePolicy=s \"auto\"\nDeviceAllow=a(ss) []"),
        "{text}"
    );
    assert_eq!(
        planned.scope.to_string(),
        "systemd slice a-b.slice in system.slice"
    );
}
