//! A listing of a filter for people.
use crate::action::Action;
use crate::arch::Arch;
use crate::names;
use crate::program::{Filter, Instruction, OFFSET_ARCH, OFFSET_NUMBER, code};
use std::fmt::Write;

/// One line an instruction, `index: text`; jumps show the index they go to, comparisons with a call's number the
/// call's name on the architecture whose section they are in.
pub fn disassemble(filter: &Filter) -> String {
    let words = words(&filter.program);
    let mut arch = None;
    let mut text = String::new();
    for (at, instruction) in filter.program.iter().enumerate() {
        if let Some(section) = sections(&filter.program).find(|section| section.0 == at) {
            arch = section.1;
        }
        let line = line(at, instruction, words[at], arch);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{at:4}: {line}");
    }
    text
}

fn line(at: usize, instruction: &Instruction, word: Option<u32>, arch: Option<Arch>) -> String {
    let k = instruction.k;
    let comparison = match instruction.code {
        code::LOAD => return format!("load {}", word_name(k)),
        code::AND => return format!("and {k:#x}"),
        code::JUMP => return format!("goto {}", at + 1 + k as usize),
        code::RETURN => return format!("return {}", action_name(k)),
        code::JEQ => "==",
        code::JGT => ">",
        code::JGE => ">=",
        code::JSET => "has any of",
        other => return format!("operation {other:#x} {k:#x}"),
    };
    let operand = match word {
        Some(OFFSET_NUMBER) => number_name(k, arch),
        Some(OFFSET_ARCH) => arch_name(k),
        _ => format!("{k:#x}"),
    };
    let to = |skip: u8| at + 1 + usize::from(skip);
    format!(
        "if {comparison} {operand} goto {} else {}",
        to(instruction.jt),
        to(instruction.jf)
    )
}

/// The word that the accumulator holds before each instruction, where all ways to it agree.
fn words(program: &[Instruction]) -> Vec<Option<u32>> {
    let mut words: Vec<Option<Option<u32>>> = vec![None; program.len()];
    let flow = |words: &mut Vec<Option<Option<u32>>>, to: usize, word: Option<u32>| {
        if let Some(place) = words.get_mut(to) {
            *place = match *place {
                None => Some(word),
                Some(known) => Some(known.filter(|_| known == word)),
            };
        }
    };
    for (at, instruction) in program.iter().enumerate() {
        let before = words[at].flatten();
        match instruction.code {
            code::LOAD => flow(&mut words, at + 1, Some(instruction.k)),
            code::AND => flow(&mut words, at + 1, before),
            code::JUMP => flow(&mut words, at + 1 + instruction.k as usize, before),
            code::RETURN => {}
            _ => {
                flow(&mut words, at + 1 + usize::from(instruction.jt), before);
                flow(&mut words, at + 1 + usize::from(instruction.jf), before);
            }
        }
    }
    words.into_iter().map(Option::flatten).collect()
}

/// Where the code of each architecture begins.
fn sections(program: &[Instruction]) -> impl Iterator<Item = (usize, Option<Arch>)> {
    let tests = program
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.code == code::JEQ);
    tests.filter_map(move |(at, instruction)| {
        let arch = Arch::ALL
            .into_iter()
            .find(|arch| arch.traits().token == instruction.k)?;
        let mut target = at + 1 + usize::from(instruction.jt);
        while let Some(relay) = program.get(target).filter(|relay| relay.code == code::JUMP) {
            target += 1 + relay.k as usize;
        }
        let loads_number = program
            .get(target)
            .is_some_and(|first| first.code == code::LOAD && first.k == OFFSET_NUMBER);
        loads_number.then_some((target, Some(arch)))
    })
}

fn word_name(offset: u32) -> String {
    match offset {
        OFFSET_NUMBER => "number".to_owned(),
        OFFSET_ARCH => "arch".to_owned(),
        16.. => format!(
            "arg{}{}",
            (offset - 16) / 8,
            if offset.is_multiple_of(8) { "" } else { "+4" }
        ),
        _ => format!("data+{offset}"),
    }
}

fn arch_name(token: u32) -> String {
    let arch = Arch::ALL
        .into_iter()
        .find(|arch| arch.traits().token == token);
    arch.map_or_else(|| format!("{token:#x}"), |arch| arch.name().to_owned())
}

fn number_name(number: u32, arch: Option<Arch>) -> String {
    let arch = match arch {
        Some(Arch::X86_64) if number >= crate::arch::X32_BIT => Some(Arch::X32),
        other => other,
    };
    match arch.and_then(|arch| names::name_of(arch, number)) {
        Some(name) => format!("{number} ({name})"),
        None => number.to_string(),
    }
}

fn action_name(value: u32) -> String {
    match Action::from_value(value) {
        Some(Action::KillProcess) => "kill process".to_owned(),
        Some(Action::KillThread) => "kill thread".to_owned(),
        Some(Action::Trap) => "trap".to_owned(),
        Some(Action::Errno(errno)) => format!("errno {errno}"),
        Some(Action::Notify) => "notify".to_owned(),
        Some(Action::Trace(message)) => format!("trace {message}"),
        Some(Action::Log) => "log".to_owned(),
        Some(Action::Allow) => "allow".to_owned(),
        None => format!("{value:#x}"),
    }
}
