//! Tests of the mount options: each word alone, then what follows from their order.
use super::*;

fn text(options: &str) -> String {
    let list: Vec<String> = options
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let decided = parse(&list);
    let mut words = Vec::new();
    for (prefix, attributes) in [
        ("", decided.attributes),
        ("r", decided.recursive_attributes),
    ] {
        if !attributes.is_empty() {
            words.push(format!(
                "{prefix}attr+{:x}-{:x}",
                attributes.set, attributes.clear
            ));
        }
    }
    words.extend(
        decided
            .filesystem_flags
            .iter()
            .map(|flag| format!("fs:{flag}")),
    );
    words.extend(
        decided
            .propagation
            .iter()
            .map(|propagation| format!("to:{}", propagation.name())),
    );
    match decided.bind {
        Some(true) => words.push("rbind".to_owned()),
        Some(false) => words.push("bind".to_owned()),
        None => {}
    }
    for (is, word) in [
        (decided.remount, "remount"),
        (decided.copy_up, "copyup"),
        (decided.copy_symlink, "copy-symlink"),
        (decided.source_nofollow, "src-nofollow"),
        (decided.destination_nofollow, "dest-nofollow"),
    ] {
        if is {
            words.push(word.to_owned());
        }
    }
    if let Some(idmap) = &decided.idmap {
        words.push(format!(
            "idmap:{}{}",
            if idmap.recursive { "r" } else { "" },
            idmap.inline.as_deref().unwrap_or("")
        ));
    }
    words.extend(
        decided
            .ignored
            .iter()
            .map(|(word, _)| format!("ignored:{word}")),
    );
    if !decided.data.is_empty() {
        words.push(format!("data:{}", decided.data_text()));
    }
    words.join(" ")
}

fn check(options: &str, expect: &str) {
    assert_eq!(text(options), expect, "{options}");
}

#[test]
fn each_word_alone() {
    for (option, expect) in [
        ("defaults", ""),
        ("ro", "attr+1-0"),
        ("rw", "attr+0-1"),
        ("nosuid", "attr+2-0"),
        ("suid", "attr+0-2"),
        ("nodev", "attr+4-0"),
        ("dev", "attr+0-4"),
        ("noexec", "attr+8-0"),
        ("exec", "attr+0-8"),
        ("noatime", "attr+10-70"),
        ("atime", ""),
        ("strictatime", "attr+20-70"),
        ("nostrictatime", ""),
        ("relatime", "attr+0-70"),
        ("norelatime", ""),
        ("nodiratime", "attr+80-0"),
        ("diratime", "attr+0-80"),
        ("nosymfollow", "attr+200000-0"),
        ("symfollow", "attr+0-200000"),
        ("sync", "fs:sync"),
        ("async", "fs:async"),
        ("dirsync", "fs:dirsync"),
        ("mand", "fs:mand"),
        ("nomand", "fs:nomand"),
        ("lazytime", "fs:lazytime"),
        ("nolazytime", "fs:nolazytime"),
        ("iversion", "ignored:iversion"),
        ("noiversion", "ignored:noiversion"),
        ("silent", "ignored:silent"),
        ("loud", "ignored:loud"),
        ("nofail", "ignored:nofail"),
        ("noauto", "ignored:noauto"),
        ("auto", "ignored:auto"),
        ("_netdev", "ignored:_netdev"),
        ("bind", "bind"),
        ("rbind", "rbind"),
        ("remount", "remount"),
        ("tmpcopyup", "copyup"),
        ("idmap", "idmap:"),
        ("ridmap", "idmap:r"),
        ("copy-symlink", "copy-symlink"),
        ("src-nofollow", "src-nofollow"),
        ("dest-nofollow", "dest-nofollow"),
        ("private", "to:private"),
        ("rprivate", "to:rprivate"),
        ("shared", "to:shared"),
        ("rshared", "to:rshared"),
        ("slave", "to:slave"),
        ("rslave", "to:rslave"),
        ("unbindable", "to:unbindable"),
        ("runbindable", "to:runbindable"),
        ("rro", "rattr+1-0"),
        ("rrw", "rattr+0-1"),
        ("rnosuid", "rattr+2-0"),
        ("rsuid", "rattr+0-2"),
        ("rnodev", "rattr+4-0"),
        ("rdev", "rattr+0-4"),
        ("rnoexec", "rattr+8-0"),
        ("rexec", "rattr+0-8"),
        ("rnoatime", "rattr+10-70"),
        ("ratime", "rattr+0-70"),
        ("rstrictatime", "rattr+20-70"),
        ("rnostrictatime", "rattr+0-70"),
        ("rrelatime", "rattr+0-70"),
        ("rnorelatime", "rattr+0-70"),
        ("rnodiratime", "rattr+80-0"),
        ("rdiratime", "rattr+0-80"),
        ("rnosymfollow", "rattr+200000-0"),
        ("rsymfollow", "rattr+0-200000"),
    ] {
        check(option, expect);
        assert!(known().contains(&option), "{option} is not published");
    }
    assert_eq!(
        known().len(),
        69,
        "a word is published but not tested above"
    );
}

#[test]
fn the_last_word_wins() {
    check("ro rw", "attr+0-1");
    check("rw ro", "attr+1-0");
    check("nosuid nodev noexec suid", "attr+c-2");
    check("noatime strictatime", "attr+20-70");
    check("strictatime noatime", "attr+10-70");
    check("noatime relatime", "attr+0-70");
    check("noatime atime", "");
    check("strictatime nostrictatime", "");
    check("relatime norelatime", "");
    check("noatime nostrictatime", "attr+10-70");
    check("rnoatime rrelatime", "rattr+0-70");
    check("sync async", "fs:async");
    check("lazytime nolazytime lazytime", "fs:lazytime");
    check("bind rbind bind", "rbind");
    check("ridmap idmap", "idmap:");
}

#[test]
fn plain_and_recursive_do_not_mix() {
    check("ro rrw", "attr+1-0 rattr+0-1");
    check("rbind rro rnosuid", "rattr+3-0 rbind");
}

#[test]
fn propagation_keeps_its_order() {
    check("rslave shared", "to:rslave to:shared");
    check("shared rslave", "to:shared to:rslave");
}

#[test]
fn the_rest_is_for_the_filesystem() {
    check(
        "mode=755 size=65536k nosuid",
        "attr+2-0 data:mode=755,size=65536k",
    );
    check(
        "newinstance ptmxmode=0666 gid=5",
        "data:newinstance,ptmxmode=0666,gid=5",
    );
    check(
        "lowerdir=/a:/b upperdir=/c=d",
        "data:lowerdir=/a:/b,upperdir=/c=d",
    );
    check("acl", "data:acl");
    check("RO", "data:RO");
    check(
        "context=\"u:r:t:s0:c1,c2\",ro",
        "attr+1-0 data:context=u:r:t:s0:c1,c2",
    );
    check("lowerdir=/a\\,b,ro", "attr+1-0 data:lowerdir=/a\\,b");
}

#[test]
fn words_may_be_joined_by_commas() {
    check("nosuid,nodev,mode=755", "attr+6-0 data:mode=755");
    check(",,ro,", "attr+1-0");
}

#[test]
fn inline_id_maps() {
    check(
        "idmap=uids=0-1000-10;gids=0-1000-10",
        "idmap:uids=0-1000-10;gids=0-1000-10",
    );
    check("ridmap=uids=@0-1-2", "idmap:ruids=@0-1-2");
}

#[test]
fn published_names_are_sorted_and_unique() {
    let names = known();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
}
