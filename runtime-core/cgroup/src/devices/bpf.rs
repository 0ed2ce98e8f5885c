//! Device rules as an eBPF program of type `CGROUP_DEVICE`. Pure.
//!
//! The rules are tried from the last to the first. A register holds the access bits still undecided: a matching deny that
//! touches one of them ends with 0, a matching allow takes its bits out, and with none left the program ends with 1.
use super::{Kind, Rule};
use tare_sys::bpf::Instruction;

/// BPF_DEVCG_DEV_BLOCK.
const BLOCK: i32 = 1;
/// BPF_DEVCG_DEV_CHAR.
const CHAR: i32 = 2;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The program for [`super::effective`] rules.
pub(crate) fn program(rules: &[Rule]) -> Vec<Instruction> {
    // struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 | type), major, minor }
    let mut code = vec![
        Instruction::new(LOAD_WORD, TYPE, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, ACCESS, TYPE, 0, 0),
        Instruction::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        Instruction::new(AND, TYPE, 0, 0, 0xffff),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    let mut default = 0;
    for rule in rules.iter().rev() {
        if rule.is_everything() {
            default = i32::from(rule.allow);
            break;
        }
        code.extend(block(rule));
    }
    code.extend(finish(default));
    code
}

fn block(rule: &Rule) -> Vec<Instruction> {
    let access = i32::from(rule.access);
    let mut body = if rule.allow {
        vec![
            Instruction::new(AND, ACCESS, 0, 0, !access),
            Instruction::new(JUMP_IF_NOT_EQUAL, ACCESS, 0, 2, 0),
        ]
    } else {
        vec![
            Instruction::new(MOVE_REGISTER, RESULT, ACCESS, 0, 0),
            Instruction::new(AND, RESULT, 0, 0, access),
            Instruction::new(JUMP_IF_EQUAL, RESULT, 0, 2, 0),
        ]
    };
    body.extend(finish(i32::from(rule.allow)));
    let kind = match rule.kind {
        Kind::Any => None,
        Kind::Block => Some(BLOCK),
        Kind::Char => Some(CHAR),
    };
    // Numbers are at most i32::MAX (checked on reading), so the sign extension of the comparison changes nothing.
    let tests = [
        (TYPE, kind),
        (MAJOR, rule.major.map(|number| number as i32)),
        (MINOR, rule.minor.map(|number| number as i32)),
    ];
    let tests: Vec<(u8, i32)> = tests
        .into_iter()
        .filter_map(|(register, value)| Some((register, value?)))
        .collect();
    let mut code = Vec::with_capacity(tests.len() + body.len());
    for (at, (register, value)) in tests.iter().enumerate() {
        let over = (tests.len() - at - 1 + body.len()) as i16;
        code.push(Instruction::new(
            JUMP_IF_NOT_EQUAL,
            *register,
            0,
            over,
            *value,
        ));
    }
    code.extend(body);
    code
}

fn finish(result: i32) -> [Instruction; 2] {
    [
        Instruction::new(MOVE, RESULT, 0, 0, result),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]
}
