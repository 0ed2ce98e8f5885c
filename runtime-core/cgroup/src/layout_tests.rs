//! Tables for the layout parsers.
use super::*;

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

fn check(mountinfo: &str, own: &str, controllers: &str, expect: &str) {
    let layout = Layout::parse(mountinfo, own, controllers, false);
    let mut text = format!("{:?}", layout.mode);
    for hierarchy in layout.v1.iter().chain(&layout.unified) {
        text += &format!(
            "\n{} {} at {} own {} = {}",
            hierarchy.controllers.join(","),
            hierarchy.root,
            hierarchy.mount,
            hierarchy.own,
            hierarchy.own_below_mount()
        );
    }
    assert_eq!(text, expect);
}

#[test]
fn hybrid() {
    check(
        HYBRID,
        "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/c\n0::/d\n",
        "hugetlb\n",
        "Hybrid\nmemory / at /sys/fs/cgroup/memory own /a/b = /a/b\ncpu,cpuacct / at /sys/fs/cgroup/cpu,cpuacct own /c = /c\n\
         name=systemd / at /sys/fs/cgroup/systemd own / = /\nhugetlb / at /sys/fs/cgroup/unified own /d = /d",
    );
}

#[test]
fn v2_only_and_v2_beside_a_named_hierarchy() {
    let v2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    check(
        v2,
        "0::/user.slice/x.scope\n",
        "cpu memory\n",
        "V2\ncpu,memory / at /sys/fs/cgroup own /user.slice/x.scope = /user.slice/x.scope",
    );
    let named =
        format!("{v2}31 23 0:27 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,name=systemd\n");
    assert_eq!(Layout::parse(&named, "", "", false).mode, Mode::V2);
}

#[test]
fn v1_only_and_none() {
    check(
        "35 31 0:32 / /c/m rw - cgroup cgroup rw,memory\n",
        "4:memory:/\n",
        "",
        "V1\nmemory / at /c/m own / = /",
    );
    check("31 23 0:28 / /sys rw - tmpfs tmpfs rw\n", "", "", "None");
}

#[test]
fn inside_a_container_without_cgroup_namespace() {
    check(
        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "4:memory:/docker/abc/child\n",
        "",
        "V1\nmemory /docker/abc at /sys/fs/cgroup/memory own /docker/abc/child = /child",
    );
    check(
        "35 31 0:32 /docker/abc /m rw - cgroup cgroup rw,memory\n",
        "4:memory:/docker/abcd\n",
        "",
        "V1\nmemory /docker/abc at /m own /docker/abcd = /",
    );
}

#[test]
fn above_the_cgroup_namespace_root() {
    check(
        "35 31 0:32 /../.. /m rw - cgroup cgroup rw,memory\n",
        "4:memory:/\n",
        "",
        "V1\nmemory /../.. at /m own / = /",
    );
    check(
        "35 31 0:32 / /m rw - cgroup cgroup rw,memory\n",
        "4:memory:/../x\n",
        "",
        "V1\nmemory / at /m own /../x = /",
    );
}

#[test]
fn a_mount_point_that_climbs_is_none() {
    check(
        "1 2 0:3 / /a/../b rw - cgroup cgroup rw,memory\n4 2 0:4 / /.. rw - cgroup2 none rw\n",
        "4:memory:/x\n",
        "",
        "None",
    );
}

#[test]
fn the_second_mount_of_a_controller_is_left_out_and_the_usual_v2_mount_wins() {
    check(
        "1 2 0:3 / /a rw - cgroup cgroup rw,memory\n4 2 0:3 / /b rw - cgroup cgroup rw,memory\n\
         5 2 0:4 / /mnt/v2 rw - cgroup2 none rw\n6 2 0:4 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n7 2 0:4 / /other rw - cgroup2 none rw\n",
        "0::/o\n",
        "",
        "Hybrid\nmemory / at /a own / = /\n / at /sys/fs/cgroup/unified own /o = /o",
    );
}

#[test]
fn escapes() {
    check(
        "1 2 0:3 / /my\\040groups\\134x\\9 rw - cgroup cgroup rw,memory\n",
        "",
        "",
        "V1\nmemory / at /my groups\\x\\9 own / = /",
    );
}

#[test]
fn hostile_text_never_panics() {
    let pieces = [
        "",
        " ",
        ":",
        "0::",
        "0::/",
        " - cgroup",
        " - cgroup2 x y",
        "1 2 3 / /a - cgroup c rw,memory",
        "\\",
        "\\04",
        "\u{0}",
        "é",
        "\n",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let text = format!("{first}{second}{third}");
                let layout = Layout::parse(&text, &text, &text, false);
                for hierarchy in layout.v1.iter().chain(&layout.unified) {
                    assert!(hierarchy.own_below_mount().starts_with('/'));
                }
            }
        }
    }
}
