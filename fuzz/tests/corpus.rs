//! Every input of every corpus through its target, on the plain compiler and without an engine.
use std::path::PathBuf;
use tare_fuzz::targets::{PLANTED, TARGETS, Target};

/// Runs a folder's inputs in order; gives how many, and the names of those that panic.
fn run(target: &Target) -> (usize, Vec<String>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let failed = files.iter().filter(|file| {
        let bytes = std::fs::read(file).expect("an input");
        std::panic::catch_unwind(|| (target.run)(&bytes)).is_err()
    });
    let failed = failed.map(|file| file.display().to_string()).collect();
    (files.len(), failed)
}

fn check(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target of the list");
    let (count, failed) = run(target);
    println!("{name}: {count} inputs");
    assert!(count >= 10, "{name}: {count} inputs are no corpus");
    assert!(failed.is_empty(), "{name}: {failed:#?}");
}

macro_rules! corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_corpus_here() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

corpora!(spec exec record resources seccomp program cgroup bus host argv ttrpc_frames shim_messages shim_options tar image_documents);

#[test]
fn an_input_that_breaks_a_promise_is_told() {
    let (count, failed) = run(&PLANTED);
    assert!(count >= 2 && failed.len() == 1, "{count}: {failed:?}");
}
