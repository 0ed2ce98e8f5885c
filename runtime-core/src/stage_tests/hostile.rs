//! The real `stage-init` over bytes that no `lower` makes: it refuses them before it does anything.
use super::support::{Lane, run_bytes};
use crate::lower::Lowered;
use crate::plan::ir::Namespaces;
use crate::wait::ExitStatus;
use tare_stage::MAGIC;

/// What `stage-init` exits with when it refuses its program.
const REFUSED: ExitStatus = ExitStatus::Exited(123);

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn end(what: &str, bytes: Vec<u8>) -> ExitStatus {
    let lowered = Lowered {
        bytes,
        steps: vec![0; 8],
    };
    let namespaces = Namespaces::USER.with(Namespaces::PID);
    let ended = run_bytes(&lowered, namespaces, &[], &[], false, Box::new(|_| {}));
    assert_eq!((ended.failure, ended.output.as_str()), (None, ""), "{what}");
    assert!(ended.frames.is_empty());
    ended.status
}

#[test]
fn hostile_bytes_are_refused() {
    // magic, ops, flags, -, control, handed, records, length; then the offsets, then the ops.
    let one = |op: &[u32]| {
        let mut all = vec![MAGIC, 1, 0, 0, 4, 0, 32, 100, 36];
        all.extend_from_slice(op);
        words(&all)
    };
    let cases = [
        ("nothing", Vec::new()),
        ("three bytes", vec![1, 2, 3]),
        ("half a header", words(&[MAGIC, 0, 0])),
        ("zeroes", vec![0; 4096]),
        ("ones", vec![0xff; 4096]),
        ("another magic", words(&[MAGIC ^ 1, 0, 0, 0, 4, 0, 32, 32])),
        ("too many ops", words(&[MAGIC, 5000, 0, 0, 4, 0, 32, 32])),
        (
            "ops that are not there",
            words(&[MAGIC, 9, 0, 0, 4, 0, 32, 32]),
        ),
        (
            "records at the end of memory",
            words(&[MAGIC, 1, 0, 0, 4, 0, u32::MAX, 32]),
        ),
        ("too many slots", words(&[MAGIC, 0, 0, 0, 4, 1025, 32, 32])),
        (
            "a control number out of range",
            words(&[MAGIC, 0, 0, 0, u32::MAX, 0, 32, 32]),
        ),
        (
            "an op outside",
            words(&[MAGIC, 1, 0, 0, 4, 0, 32, 36, u32::MAX]),
        ),
        ("an unknown op", one(&[9999])),
        ("op 0", one(&[0])),
        ("an op cut off", one(&[4, 0])),
        ("a slot out of range", one(&[15, 1024])),
        ("a bool that is none", one(&[6, 2])),
        ("a text outside", one(&[13, 5000])),
        ("a text without end", one(&[13, 44, 0x0101_0101])),
        ("bytes outside", one(&[41, 40, 5000])),
        ("bytes around the end", one(&[41, u32::MAX, u32::MAX])),
        ("a list that has fewer", one(&[51, 36, 4, 5])),
        ("a table outside", one(&[58, 4096, 0, 40, 0])),
        ("a table without end", one(&[58, 32, 1, 32, 1])),
        (
            "a table of more than there is",
            one(&[58, 32, u32::MAX, 32, 0]),
        ),
        (
            "a table off its boundary",
            one(&[58, 33, 0, 33, 0, 0, 0, 0]),
        ),
    ];
    for (what, bytes) in cases {
        assert_eq!(end(what, bytes), REFUSED, "{what}");
    }
}

#[test]
fn an_empty_program_ends_well() {
    assert_eq!(
        end("no op", words(&[MAGIC, 0, 0, 0, 4, 0, 32, 32])),
        ExitStatus::Exited(0)
    );
    Lane::bare().run().said();
}
