//! The state directory under bad ids, races, damage and interruption. No root needed.
use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A state root of its own, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Root {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Root(std::env::temp_dir().join(format!("tare-store-{}-{number}", std::process::id())))
    }

    fn open(&self) -> StateRoot {
        StateRoot::create(&self.0.join("a/b")).unwrap()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn record(id: &str) -> Record {
    Record {
        id: id.to_owned(),
        ..Record::default()
    }
}

#[test]
fn ids() {
    for good in ["a", "A.b_c+d-9", "...", "-", "x".repeat(1024).as_str()] {
        assert!(check_id(good).is_ok(), "{good:?}");
    }
    let long = "x".repeat(1025);
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "../x",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "a:b",
        long.as_str(),
    ] {
        let message = check_id(bad).unwrap_err().to_string();
        assert!(
            message.starts_with("invalid container ID format"),
            "{message}"
        );
        assert!(message.len() < 300, "{message}");
    }
}

#[test]
fn an_id_longer_than_a_file_name_is_an_id_error_and_leaves_nothing() {
    let root = Root::new();
    let id = "x".repeat(1000);
    assert!(matches!(
        root.open().claim(&id),
        Err(Error::InvalidId { .. })
    ));
    assert!(matches!(root.open().dir(&id), Err(Error::NotFound { .. })));
    assert!(root.open().ids().unwrap().is_empty());
}

#[test]
fn of_many_claims_one_wins() {
    let root = Root::new();
    let open = root.open();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open.claim("c1"))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1);
    for outcome in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(
            outcome
                .to_string()
                .starts_with("container with given ID already exists"),
            "{outcome}"
        );
    }
}

#[test]
fn the_lock_keeps_others_out_until_it_is_dropped() {
    let root = Root::new();
    let (dir, lock) = root.open().claim("c1").unwrap();
    let other = root.open().dir("c1").unwrap();
    assert!(other.is_locked().unwrap());
    assert!(matches!(
        other.lock_within(Duration::from_millis(20)),
        Err(Error::Busy { .. })
    ));
    drop(lock);
    assert!(!other.is_locked().unwrap());
    let again = other.lock().unwrap();
    assert!(dir.is_locked().unwrap());
    drop(again);
}

#[test]
fn whoever_waited_for_a_delete_learns_that_it_is_gone() {
    let root = Root::new();
    let (dir, lock) = root.open().claim("c1").unwrap();
    let waiting = root.open().dir("c1").unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| waiting.lock());
        std::thread::sleep(Duration::from_millis(30));
        dir.remove(lock).unwrap();
        assert!(matches!(
            thread.join().unwrap(),
            Err(Error::NotFound { .. })
        ));
    });
}

#[test]
fn a_record_reads_back_and_replaces_the_old_one() {
    let root = Root::new();
    let (dir, _lock) = root.open().claim("c1").unwrap();
    assert_eq!(dir.read().unwrap(), None);
    for pid in [7, 8] {
        let record = Record {
            init_process_pid: pid,
            ..record("c1")
        };
        dir.write(&record).unwrap();
        assert_eq!(dir.read().unwrap().unwrap(), record);
    }
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["state.json"], "no temporary file stays");
}

#[test]
fn readers_see_a_whole_record_while_it_is_rewritten() {
    let root = Root::new();
    let (dir, _lock) = root.open().claim("c1").unwrap();
    let large = |pid| Record {
        init_process_pid: pid,
        external_descriptors: vec!["x".repeat(100_000)],
        ..record("c1")
    };
    dir.write(&large(1)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (2..100).for_each(|pid| dir.write(&large(pid)).unwrap()));
        let reader = root.open().dir("c1").unwrap();
        while !writer.is_finished() {
            assert!(reader.read().unwrap().unwrap().init_process_pid > 0);
        }
    });
}

#[test]
fn damage_is_named() {
    let root = Root::new();
    let (dir, _lock) = root.open().claim("c1").unwrap();
    let file = dir.path().join("state.json");
    for (text, words) in [
        ("", "not valid JSON"),
        ("{\"id\":\"c1\",\"init_pro", "not valid JSON"),
        ("[1]", "not valid JSON"),
        ("{\"id\":\"c2\"}", "belongs to \"c2\""),
        ("{}", "belongs to \"\""),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = dir.read().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
    // A link to a file elsewhere is not followed.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(dir.read().is_err());
}

#[test]
fn removal_takes_all_and_follows_no_link() {
    let root = Root::new();
    let (dir, lock) = root.open().claim("c1").unwrap();
    dir.write(&record("c1")).unwrap();
    dir.write_config(b"{}").unwrap();
    let path = dir.path().to_owned();
    std::fs::create_dir_all(path.join("notify/deep")).unwrap();
    std::fs::write(path.join("notify/deep/file"), "x").unwrap();
    let outside = root.0.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, path.join("link")).unwrap();
    dir.remove(lock).unwrap();
    assert!(!path.exists());
    assert!(outside.join("kept").exists());
    assert!(matches!(root.open().dir("c1"), Err(Error::NotFound { .. })));
}

#[test]
fn only_directories_with_ids_for_names_are_listed() {
    let root = Root::new();
    let open = root.open();
    for id in ["b", "a"] {
        drop(open.claim(id).unwrap());
    }
    let path = root.0.join("a/b");
    std::fs::write(path.join("file"), "").unwrap();
    std::fs::create_dir(path.join("no id")).unwrap();
    std::os::unix::fs::symlink("a", path.join("link")).unwrap();
    assert_eq!(open.ids().unwrap(), ["a", "b"]);
    assert!(matches!(open.dir("link"), Err(Error::NotFound { .. })));
    assert!(StateRoot::open(&root.0.join("absent")).unwrap().is_none());
}

#[test]
fn an_empty_directory_that_nobody_works_on_is_nobodys() {
    let root = Root::new();
    let open = root.open();
    drop(open.claim("c1").unwrap());
    // What a `create` that was killed at once leaves: no container, and the id is free.
    let (dir, lock) = open.claim("c1").unwrap();
    assert!(matches!(open.claim("c1"), Err(Error::Exists { .. })));
    open.remove_uninhabited("c1").unwrap();
    assert!(dir.path().exists(), "somebody works on it");
    dir.write_config(b"{}").unwrap();
    drop(lock);
    assert!(matches!(open.claim("c1"), Err(Error::Exists { .. })));
    open.remove_uninhabited("c1").unwrap();
    assert!(dir.has_config().unwrap(), "a container is in it");
    std::fs::remove_file(dir.path().join("config.json")).unwrap();
    open.remove_uninhabited("c1").unwrap();
    assert!(!dir.path().exists());
    assert!(matches!(
        open.remove_uninhabited("c1"),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn a_file_or_link_in_the_place_of_a_container_is_never_claimed() {
    let root = Root::new();
    let open = root.open();
    let path = root.0.join("a/b");
    std::fs::write(path.join("file"), "").unwrap();
    std::os::unix::fs::symlink("/etc", path.join("link")).unwrap();
    for id in ["file", "link"] {
        assert!(matches!(open.claim(id), Err(Error::Exists { .. })), "{id}");
    }
}

#[test]
fn claims_and_removals_at_once_end_with_the_lock_or_with_exists() {
    let root = Root::new();
    let open = root.open();
    let held = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..200 {
                    match open.claim("c1") {
                        Ok((dir, lock)) => {
                            assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two own it");
                            dir.write_config(b"{}").unwrap();
                            held.fetch_sub(1, Ordering::SeqCst);
                            dir.remove(lock).unwrap();
                        }
                        Err(Error::Exists { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert!(open.ids().unwrap().is_empty());
}

#[test]
fn the_noted_init_is_the_last_one_told() {
    let root = Root::new();
    let (dir, lock) = root.open().claim("c1").unwrap();
    assert_eq!(dir.noted_init().unwrap(), None);
    dir.note_init(7, 99).unwrap();
    dir.note_init(8, u64::MAX).unwrap();
    assert_eq!(dir.noted_init().unwrap(), Some((8, u64::MAX)));
    dir.remove(lock).unwrap();
    assert!(!root.0.join("a/b/c1").exists());
}
