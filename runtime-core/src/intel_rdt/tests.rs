//! The file protocol on a plain directory in place of resctrl. What that can't show: that the kernel takes the lines and the pid,
//! that it fills a new group with its files, and that it removes a group that has files; so groups that are meant to work are laid
//! out beforehand, or between the two halves of `apply`.
use super::*;
use std::fs;
use std::path::PathBuf;

/// A directory that looks like a resctrl mount, removed at the end.
struct Mount(PathBuf);

impl Mount {
    fn new(name: &str) -> Mount {
        let path = std::env::temp_dir().join(format!("tare-rdt-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let mount = Mount(path);
        mount.lay("", "L3:0=fff\n");
        mount
    }

    /// The files of a group.
    fn lay(&self, group: &str, schemata: &str) {
        let path = self.0.join(group);
        fs::create_dir_all(path.join("mon_groups/c1")).unwrap();
        fs::write(path.join("schemata"), schemata).unwrap();
        fs::write(path.join("tasks"), "").unwrap();
        fs::write(path.join("mon_groups/c1/tasks"), "").unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn path(&self, group: &str) -> String {
        self.0.join(group).to_str().unwrap().to_owned()
    }

    fn rdt(&self, named: bool, clos: &str, schemata: &[&str]) -> IntelRdt {
        IntelRdt {
            mount: self.0.to_str().unwrap().to_owned(),
            clos: clos.to_owned(),
            named,
            schemata: schemata.iter().map(ToString::to_string).collect(),
            monitor: None,
        }
    }

    fn fails(&self, rdt: &IntelRdt) -> String {
        apply(rdt, 42)
            .unwrap_err()
            .report()
            .replace(&self.path(""), "/R/")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_new_group_gets_its_lines_before_the_process() {
    let mount = Mount::new("new");
    for (named, owned) in [(false, true), (true, false)] {
        let clos = format!("g{named}");
        let rdt = mount.rdt(named, &clos, &["L3:0=f"]);
        let mut group = open(&rdt).unwrap();
        assert!(group.made && Path::new(&group.applied.path).is_dir());
        mount.lay(&clos, "L3:0=fff\n");
        fill(&rdt, &mut group, 42).unwrap();
        let expect = Applied {
            path: mount.path(&clos),
            owned,
            monitor: None,
        };
        assert_eq!(group.applied, expect);
        // A plain file keeps what a shorter line doesn't cover.
        assert_eq!(mount.read(&format!("{clos}/schemata")), "L3:0=f\nf\n");
        assert_eq!(mount.read(&format!("{clos}/tasks")), "42\n");
    }
}

#[test]
fn a_named_group_is_compared_and_never_written() {
    let mount = Mount::new("named");
    mount.lay("gold", "L3:0=00f\n");
    let applied = apply(&mount.rdt(true, "gold", &["L3:0=f"]), 42).unwrap();
    assert!(!applied.owned);
    assert_eq!(mount.read("gold/schemata"), "L3:0=00f\n");
    assert_eq!(mount.read("gold/tasks"), "42\n");
    assert_eq!(
        mount.fails(&mount.rdt(true, "gold", &["L3:0=ff"])),
        "linux.intelRdt.closID: the resctrl group /R/gold is there with other schemata: L3:0 is 00f, ff is asked for"
    );
    destroy(&applied).unwrap();
    assert!(Path::new(&applied.path).is_dir());
}

#[test]
fn bandwidth_that_the_kernel_rounded_is_the_same() {
    let mount = Mount::new("round");
    mount.lay("gold", "MB:0=30\n");
    fs::create_dir_all(mount.0.join("info/MB")).unwrap();
    fs::write(mount.0.join("info/MB/bandwidth_gran"), "10\n").unwrap();
    apply(&mount.rdt(true, "gold", &["MB:0=25"]), 42).unwrap();
}

#[test]
fn a_named_group_without_lines_must_be_there() {
    let mount = Mount::new("absent");
    assert_eq!(
        mount.fails(&mount.rdt(true, "gold", &[])),
        "linux.intelRdt.closID: there is no resctrl group /R/gold, and without schemata to make it from it has to be there"
    );
    assert!(!Path::new(&mount.path("gold")).exists());
    mount.lay("gold", "L3:0=1\n");
    assert!(!apply(&mount.rdt(true, "gold", &[]), 42).unwrap().owned);
    assert_eq!(mount.read("gold/schemata"), "L3:0=1\n");
}

#[test]
fn the_root_group() {
    let mount = Mount::new("root");
    let applied = apply(&mount.rdt(true, "/", &[]), 42).unwrap();
    assert_eq!(format!("{}/", applied.path), mount.path(""));
    assert!(!applied.owned);
    assert_eq!(mount.read("tasks"), "42\n");
    let other = mount.fails(&mount.rdt(true, "/", &["L3:0=1"]));
    assert!(other.contains("L3:0 is fff, 1 is asked for"), "{other}");
}

#[test]
fn an_unnamed_group_that_was_there_is_written_and_stays() {
    let mount = Mount::new("left");
    mount.lay("c1", "L3:0=f\n");
    let applied = apply(&mount.rdt(false, "c1", &["L3:0=1"]), 42).unwrap();
    assert!(!applied.owned);
    assert_eq!(mount.read("c1/schemata"), "L3:0=1\n");
}

#[test]
fn a_monitoring_group_is_the_containers_own() {
    let mount = Mount::new("mon");
    mount.lay("gold", "L3:0=f\n");
    let mut rdt = mount.rdt(true, "gold", &[]);
    rdt.monitor = Some("c1".to_owned());
    let applied = apply(&rdt, 42).unwrap();
    let monitor = mount.path("gold/mon_groups/c1");
    assert_eq!(applied.monitor.as_deref(), Some(monitor.as_str()));
    assert_eq!(mount.read("gold/tasks"), "42\n");
    assert_eq!(mount.read("gold/mon_groups/c1/tasks"), "42\n");
    // The kernel's files would not be in the way.
    fs::remove_file(mount.0.join("gold/mon_groups/c1/tasks")).unwrap();
    destroy(&applied).unwrap();
    assert!(!Path::new(&monitor).exists());
    assert!(Path::new(&applied.path).exists());
    destroy(&applied).unwrap();
}

#[test]
fn what_was_made_is_removed_after_a_failure() {
    let mount = Mount::new("undo");
    // A plain directory has no `tasks` of its own, so joining fails.
    for named in [true, false] {
        let lines: &[&str] = if named { &["L3:0=1"] } else { &[] };
        let error = mount.fails(&mount.rdt(named, "g1", lines));
        let file = if named { "schemata" } else { "tasks" };
        assert!(
            error.ends_with(&format!("missing: /R/g1/{file}")),
            "{error}"
        );
        assert!(!Path::new(&mount.path("g1")).exists());
    }
    mount.lay("gold", "L3:0=f\n");
    let mut rdt = mount.rdt(true, "gold", &[]);
    rdt.monitor = Some("c2".to_owned());
    let error = mount.fails(&rdt);
    assert!(
        error.ends_with("missing: /R/gold/mon_groups/c2/tasks"),
        "{error}"
    );
    assert!(!Path::new(&mount.path("gold/mon_groups/c2")).exists());
    assert!(Path::new(&mount.path("gold")).exists());
}

#[test]
fn the_kernels_own_words_are_told() {
    let mount = Mount::new("words");
    fs::create_dir(mount.0.join("info")).unwrap();
    fs::write(
        mount.0.join("info/last_cmd_status"),
        "mask f000 has too many bits\n",
    )
    .unwrap();
    let error = mount.fails(&mount.rdt(false, "c9", &["L3:0=f000"]));
    assert!(error.contains("(mask f000 has too many bits)"), "{error}");
    fs::write(mount.0.join("info/last_cmd_status"), "ok\n").unwrap();
    assert_eq!(last_status(&mount.rdt(false, "c9", &[])), "");
}
