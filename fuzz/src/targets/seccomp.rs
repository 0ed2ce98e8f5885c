//! A seccomp profile to its filter: the filter ends, and gives what the rules say when they are read one by one.
//!
//! The first line may name the machine's architecture (`SCMP_ARCH_*`) and `strict`, which refuses unknown calls.
use super::bpf;
use tare_oci::{Seccomp, SeccompArg, SeccompSyscall};
use tare_seccomp::{Arch, Filter, Target, check, compile, disassemble};

/// Calls with their numbers on x86-64 (asm/unistd_64.h).
const CALLS: [(&str, u32); 12] = [
    ("read", 0),
    ("write", 1),
    ("close", 3),
    ("mmap", 9),
    ("socket", 41),
    ("clone", 56),
    ("kill", 62),
    ("mkdir", 83),
    ("personality", 135),
    ("prctl", 157),
    ("openat", 257),
    ("openat2", 437),
];
/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xC000_003E;
const ENOSYS: u32 = 0x0005_0026;

/// Runs one profile.
pub fn run(bytes: &[u8]) {
    let (line, document) = super::head(bytes);
    let Ok(profile) = serde_json::from_slice::<Seccomp>(document) else {
        return;
    };
    let native = line
        .split_whitespace()
        .find_map(|word| Arch::ALL.iter().find(|arch| arch.name() == word))
        .copied()
        .unwrap_or(Arch::X86_64);
    let mut target = Target::latest(native);
    target.refuse_unknown_syscalls = line.split_whitespace().any(|word| word == "strict");
    match compile(&profile, &target) {
        Err(error) => assert!(error.to_string().starts_with("linux.seccomp"), "{error}"),
        Ok(filter) => {
            assert_eq!(check(&filter.program), Ok(()));
            assert_eq!(disassemble(&filter).lines().count(), filter.program.len());
            for token in [0, X86_64, 0x4000_0003, u32::MAX] {
                bpf::run(&filter.program, &bpf::data(token, u32::MAX, [0; 6]));
            }
            if native == Arch::X86_64 {
                agrees(&profile, &filter);
            }
        }
    }
}

/// The filter's verdict on calls of a small table, with the arguments that the rules speak of and their neighbours.
fn agrees(profile: &Seccomp, filter: &Filter) {
    let Some(default) = verdict(&profile.default_action, profile.default_errno_ret) else {
        return;
    };
    let foreign = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.names)
        .any(|name| !CALLS.iter().any(|(known, _)| known == name));
    for (name, number) in CALLS {
        let rules: Vec<&SeccompSyscall> = profile
            .syscalls
            .iter()
            .filter(|rule| rule.names.iter().any(|listed| listed == name))
            .collect();
        let newest = profile
            .syscalls
            .iter()
            .flat_map(|rule| &rule.names)
            .filter_map(|listed| CALLS.iter().find(|(known, _)| known == listed))
            .map(|(_, number)| *number)
            .max();
        // Calls newer than any that the profile names are told to be missing, unless the default lets them pass.
        let stubs = !matches!(default >> 16, 0x7FFF | 0x7FFC | 0x7FF0);
        let mut background = vec![default];
        if stubs && newest.is_none_or(|newest| number > newest) {
            if foreign {
                background.push(ENOSYS);
            } else if newest.is_some() {
                background = vec![ENOSYS];
            }
        }
        for values in arguments(&rules) {
            let actual = bpf::run(&filter.program, &bpf::data(X86_64, number, values));
            let expected = possible(&rules, default, &background, &values);
            assert!(
                expected.contains(&actual),
                "{name}{values:x?}: {actual:#x}, not of {expected:x?}"
            );
        }
    }
}

/// The actions of the rules that match; several may, and then any of theirs is right; the background where none does.
fn possible(
    rules: &[&SeccompSyscall],
    default: u32,
    background: &[u32],
    values: &[u64; 6],
) -> Vec<u32> {
    let mut found = Vec::new();
    for rule in rules {
        let Some(action) = verdict(&rule.action, rule.errno_ret) else {
            continue;
        };
        if action == default {
            continue;
        }
        // runc: conditions on one argument are alternatives as soon as any argument comes twice.
        let mut indices: Vec<u32> = rule.args.iter().map(|arg| arg.index).collect();
        indices.sort_unstable();
        indices.dedup();
        let any = indices.len() < rule.args.len();
        let mut conditions = rule.args.iter().map(|arg| holds(arg, values));
        if if any {
            conditions.any(|yes| yes)
        } else {
            conditions.all(|yes| yes)
        } {
            found.push(action);
        }
    }
    if found.is_empty() {
        return background.to_vec();
    }
    found
}

fn holds(arg: &SeccompArg, values: &[u64; 6]) -> bool {
    let (actual, value) = (values[arg.index as usize], arg.value);
    match arg.op.as_str() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_EQ" => actual == value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == arg.value_two.unwrap_or(0) & value,
        other => panic!("{other:?} was compiled"),
    }
}

/// What seccomp(2) calls an action (linux/seccomp.h).
fn verdict(action: &str, errno: Option<u32>) -> Option<u32> {
    let data = errno.unwrap_or(1);
    Some(match action {
        "SCMP_ACT_ALLOW" => 0x7FFF_0000,
        "SCMP_ACT_LOG" => 0x7FFC_0000,
        "SCMP_ACT_TRACE" => 0x7FF0_0000 | data,
        "SCMP_ACT_NOTIFY" => 0x7FC0_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        _ => return None,
    })
}

/// Arguments worth trying: nothing, everything, and each rule's values with their neighbours, one at a time and all at once.
fn arguments(rules: &[&SeccompSyscall]) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6], [1 << 32; 6]];
    for rule in rules.iter().take(16) {
        let mut whole = [0; 6];
        for arg in rule.args.iter().take(16) {
            let Some(place) = whole.get_mut(arg.index as usize) else {
                continue;
            };
            let value = match arg.op.as_str() {
                "SCMP_CMP_MASKED_EQ" => arg.value_two.unwrap_or(0),
                _ => arg.value,
            };
            *place = value;
            for near in [
                value,
                value.wrapping_add(1),
                value.wrapping_sub(1),
                value ^ 1 << 32,
                !value,
            ] {
                let mut one = [0; 6];
                one[arg.index as usize] = near;
                all.push(one);
                let mut one = whole;
                one[arg.index as usize] = near;
                all.push(one);
            }
        }
        all.push(whole);
    }
    all
}
