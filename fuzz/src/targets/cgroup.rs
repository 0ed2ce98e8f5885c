//! What the kernel's cgroup files, mountinfo and /proc/PID/cgroup may say; anybody may mount anything, and names are anybody's.
use tare_cgroup::{Layout, Manager, Request, decide, doors};

/// Runs one text: the first byte says of which file.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind {
        b'm' => layout(&text),
        b'e' => {
            let kills = doors::oom_kills(&text);
            assert!(kills == 0 || text.contains(&kills.to_string()));
        }
        b'u' => unit(&text),
        b'0'..=b'9' => {
            if let Some(words) = doors::statistics(kind - b'0', &text) {
                // A list of CPUs may name all that there can be, and is shown as numbers.
                assert!(words.len() <= (512 << 10) + 256 * text.len());
            }
        }
        _ => {}
    }
}

/// mountinfo, /proc/self/cgroup and cgroup.controllers, divided by empty lines.
fn layout(text: &str) {
    let mut parts = text.splitn(3, "\n\n");
    let mut part = || parts.next().unwrap_or_default();
    let (mountinfo, own, controllers) = (part(), part(), part());
    let layout = Layout::parse(mountinfo, own, controllers, text.len().is_multiple_of(2));
    for hierarchy in layout.v1.iter().chain(&layout.unified) {
        assert!(hierarchy.mount.starts_with('/') && hierarchy.root.starts_with('/'));
        assert!(!hierarchy.mount.split('/').any(|name| name == ".."));
        let below = hierarchy.own_below_mount();
        assert!(below.starts_with('/'), "{hierarchy:?}");
        assert!(!below.split('/').any(|name| name == ".."), "{hierarchy:?}");
    }
    let user = Manager::Systemd {
        user: true,
        address: String::new(),
    };
    for (manager, path) in [
        (Manager::Cgroupfs, "/a/b"),
        (Manager::Cgroupfs, "a"),
        (user, "user.slice:tare:c1"),
    ] {
        let request = Request {
            manager,
            path,
            id: "c1",
            ..Request::default()
        };
        if let Ok(decision) = decide(&layout, &request) {
            for path in decision.paths.values() {
                assert!(path.starts_with('/'), "{path}");
                assert!(!path.split('/').any(|name| name == ".."), "{path}");
            }
        }
    }
}

fn unit(text: &str) {
    let (unit, text) = text.split_once('\n').unwrap_or(("c1.scope", text));
    if let Some(path) = doors::path_of_unit(text, unit) {
        assert!(path.ends_with(&format!("/{unit}")), "{path}");
    }
}
