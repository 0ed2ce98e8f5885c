//! The mounts of a root file system that come with Create: the shim makes them, and takes them away.

use crate::case::cases;
use crate::container::Container;
use crate::lab::Lab;
use crate::leaks;
use crate::task::{Mount, Task};
use std::fs;
use std::path::{Path, PathBuf};

cases!("mounts":
    bind,
    bind_read_only,
    overlay,
    overlay_with_many_long_layers,
    several,
    one_that_fails,
    the_second_fails,
    of_a_failed_create,
);

fn mount(kind: &str, source: &Path, options: &[&str]) -> Mount {
    Mount {
        kind: kind.to_owned(),
        source: source.to_string_lossy().into_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}

/// Takes the root file system out of the bundle, and leaves an empty directory.
fn take_root(lab: &Lab, container: &Container) -> PathBuf {
    let files = lab.directory().join("files");
    fs::rename(container.bundle.join("rootfs"), &files).expect("own directory");
    fs::create_dir(container.bundle.join("rootfs")).expect("own directory");
    files
}

/// Runs it; nothing is mounted afterwards.
#[track_caller]
fn whole_life(lab: &Lab, container: &Container, mounts: &[Mount]) -> u64 {
    container.write();
    let task = lab.start(container);
    created(lab, &task, container, mounts);
    assert!(
        !leaks::mounts(&container.bundle).is_empty(),
        "nothing is mounted"
    );
    task.start(&container.id, "").expect("Start");
    let status = task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(leaks::mounts(&container.bundle), Vec::<PathBuf>::new());
    status
}

#[track_caller]
fn created(lab: &Lab, task: &Task, container: &Container, mounts: &[Mount]) {
    let Container {
        id, bundle, stdio, ..
    } = container;
    let created = task.create(id, bundle, mounts, stdio, lab.runc_options());
    created.unwrap_or_else(|status| panic!("Create: {status}"));
}

fn bind(lab: &mut Lab) {
    let container = lab.container("", &["touch", "/written"]);
    let files = take_root(lab, &container);
    let mounts = [mount("bind", &files, &["rbind", "rw"])];
    assert_eq!(whole_life(lab, &container, &mounts), 0);
    assert!(files.join("written").exists());
    assert!(!container.bundle.join("rootfs/written").exists());
}

fn bind_read_only(lab: &mut Lab) {
    let container = lab.container("", &["touch", "/written"]);
    let files = take_root(lab, &container);
    let mounts = [mount("bind", &files, &["rbind", "ro"])];
    assert_eq!(
        whole_life(lab, &container, &mounts),
        1,
        "touch wrote on a read-only root"
    );
    assert!(!files.join("written").exists());
}

/// lowerdir= and the directories for upper and work.
fn overlay_of(lab: &Lab, layers: &[PathBuf]) -> (Mount, PathBuf) {
    let [upper, work] = ["upper", "work"].map(|name| {
        let path = lab.directory().join(name);
        fs::create_dir_all(&path).expect("own directory");
        path
    });
    let names: Vec<String> = layers
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let options = [
        "index=off".to_owned(),
        format!("workdir={}", work.display()),
        format!("upperdir={}", upper.display()),
        format!("lowerdir={}", names.join(":")),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    (mount("overlay", Path::new("overlay"), &options), upper)
}

fn overlay(lab: &mut Lab) {
    let line = "cat /top && touch /written";
    let container = lab.container("", &["sh", "-c", line]);
    let files = take_root(lab, &container);
    let top = lab.directory().join("top-layer");
    fs::create_dir(&top).expect("own directory");
    fs::write(top.join("top"), "").expect("own directory");
    let (mount, upper) = overlay_of(lab, &[top, files]);
    assert_eq!(whole_life(lab, &container, &[mount]), 0);
    assert!(upper.join("written").exists());
}

/// The options are longer than the page that mount(2) takes: containerd's library goes to their common directory.
fn overlay_with_many_long_layers(lab: &mut Lab) {
    let tests: Vec<String> = (0..60)
        .map(|number| format!("test -e /layer-{number}"))
        .collect();
    let container = lab.container("", &["sh", "-c", &tests.join(" && ")]);
    let files = take_root(lab, &container);
    let base = lab
        .directory()
        .join("var-lib-containerd-io.containerd.snapshotter.v1.overlayfs")
        .join("snapshots");
    let mut layers: Vec<PathBuf> = (0..60)
        .map(|number| {
            let path = base.join(number.to_string()).join("fs");
            fs::create_dir_all(&path).expect("own directory");
            fs::write(path.join(format!("layer-{number}")), "").expect("own directory");
            path
        })
        .collect();
    let last = base.join("60").join("fs");
    fs::create_dir(base.join("60")).expect("own directory");
    fs::rename(files, &last).expect("own directory");
    layers.push(last);
    let (mount, _) = overlay_of(lab, &layers);
    assert!(
        mount.options.join(",").len() > 4096,
        "the case asks for nothing"
    );
    assert_eq!(whole_life(lab, &container, &[mount]), 0);
}

/// One upon the other.
fn several(lab: &mut Lab) {
    let container = lab.container("", &["test", "-e", "/second"]);
    let files = take_root(lab, &container);
    let second = lab.container("other", &[]).bundle.join("rootfs");
    fs::write(second.join("second"), "").expect("own directory");
    let mounts = [
        mount("bind", &files, &["rbind", "rw"]),
        mount("bind", &second, &["rbind", "rw"]),
    ];
    assert_eq!(whole_life(lab, &container, &mounts), 0);
}

/// Create fails, nothing is mounted, and the shim serves on.
#[track_caller]
fn fails(lab: &Lab, container: &Container, mounts: &[Mount]) {
    container.write();
    let task = lab.start(container);
    let Container {
        id, bundle, stdio, ..
    } = container;
    let created = task.create(id, bundle, mounts, stdio, lab.runc_options());
    let status = created.expect_err("it can't be mounted");
    assert!(status.code < 100, "{status}");
    assert_eq!(leaks::mounts(bundle), Vec::<PathBuf>::new());
    task.state(id, "").expect_err("nothing was made");
    task.connect(id).expect("the shim serves on");
}

fn one_that_fails(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    fails(
        lab,
        &container,
        &[mount("bind", Path::new("/no/such/directory"), &["rbind"])],
    );
}

fn the_second_fails(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let files = take_root(lab, &container);
    let mounts = [
        mount("bind", &files, &["rbind", "rw"]),
        mount("no-such-type", Path::new("x"), &[]),
    ];
    fails(lab, &container, &mounts);
}

/// The mounts are fine, the configuration is not.
fn of_a_failed_create(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    let files = take_root(lab, &container);
    container.spec.bind("/no/such/source", "/mnt", &["ro"]);
    fails(lab, &container, &[mount("bind", &files, &["rbind", "rw"])]);
}
