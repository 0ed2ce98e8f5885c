//! The words of a failed step: of the tail that `start` runs, and of the host's lane.
use super::*;
use crate::plan::ir::{HostOp, HostStep};
use crate::state::{Record, TailStep};
use std::path::PathBuf;

#[test]
fn a_step_after_start_is_told_from_the_record() {
    let steps = [
        "await start $exec-fifo $result-fifo",
        "run startContainer hook /a args [a] env []",
        "run startContainer hook \"/b c\" args [b] env []",
        "exec [/bin/x] env []",
    ];
    let mut record = Record::default();
    record.tare.steps = 44;
    record.tare.program = "/bin/x".to_owned();
    record.tare.tail = (40..)
        .zip(steps)
        .map(|(op, text)| TailStep {
            step: op + 1,
            op,
            text: text.to_owned(),
        })
        .collect();
    let words = |op, errno, detail| in_tail(&record, op, errno, detail).report();
    let steps = [
        (
            words(40, Errno::EIO, 0),
            "step 41/44: await start $exec-fifo $result-fifo: EIO",
        ),
        (
            words(41, Errno::EAGAIN, 0),
            "hooks.startContainer[0]: /a: EAGAIN",
        ),
        (
            words(42, Errno::EIO, 1 + (7 << 8)),
            "hooks.startContainer[1]: \"/b c\": exit status 7",
        ),
        (
            words(43, Errno::EACCES, 0),
            "exec: \"/bin/x\": permission denied",
        ),
    ];
    for (told, expected) in steps {
        assert_eq!(told, expected);
    }
}

#[test]
fn a_host_step_is_told_with_its_number_and_its_reason() {
    let plan = Plan {
        title: String::new(),
        host: vec![HostStep {
            op: HostOp::WriteState,
            from: String::new(),
        }],
        child: Vec::new(),
        slots: Vec::new(),
        handed: Vec::new(),
        cgroup_paths: Default::default(),
        skips: Vec::new(),
    };
    let words = |error| in_host_step(&plan, 0, error).report();
    let missing = Error::Missing {
        what: "open".to_owned(),
        path: PathBuf::from("/x"),
    };
    assert_eq!(
        words(missing),
        "step 1/1: host: write state: open: missing: /x"
    );
    assert_eq!(
        words(Error::system("sync", Errno::EIO)),
        "step 1/1: host: write state: sync: EIO"
    );
    let exists = Error::Exists {
        id: "c1".to_owned(),
    };
    assert_eq!(words(exists), "container with given ID already exists: c1");
}
