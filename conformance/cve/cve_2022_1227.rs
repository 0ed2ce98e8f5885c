//! CVE-2022-1227 (podman, psgo): `top` entered the container's namespaces and ran programs there.
//!
//! No plan does that, so none can be weakened to it: an exec of the decoy shows that its run would be seen.

use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::PermissionsExt;

super::attacks!(["CVE-2022-1227"];
    ps_is_the_hosts without "",
);

const PLACES: [&str; 4] = ["bin/ps", "usr/bin/ps", "sbin/ps", "usr/local/bin/ps"];

fn ps_is_the_hosts(s: &mut Sandbox) {
    for place in PLACES {
        let place = s.rootfs.join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&place);
        fs::write(&place, "#!/bin/sh\necho decoy; touch /marker\n").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    }
    s.spec.env("LD_PRELOAD=/marker.so").env("PATH=/usr/local/bin:/sbin:/bin");
    s.start_waiting();
    let marker = s.rootfs.join("marker");
    assert!(s.exec(&["/bin/ps"]).ok().stdout.contains("decoy"));
    fs::remove_file(&marker).expect("the decoy's run is seen");
    let pid = s.pid().to_string();
    for arguments in [&["ps", &s.id][..], &["ps", "--format", "json", &s.id], &["ps", &s.id, "-ef"]] {
        let output = s.call(arguments).run();
        if marker.exists() || output.stdout.contains("decoy") {
            harm(format!("{arguments:?} ran the container's ps"));
        }
        assert!(output.code != 0 || output.stdout.contains(&pid), "{}", output.stdout);
    }
    s.stop();
}
