//! Random profiles: no panic, a program the kernel takes, and verdicts that follow from the rules.
//!
//! libseccomp is asked too, but it is not always right: for some sets of argument rules on one call its tree compares
//! one half of an argument where it has loaded the other, or lends one rule's last conditions to another. So where
//! the rules leave one answer, that answer counts; where rules with different actions match, libseccomp's order
//! decides, as long as its verdict is the action of a rule that matches.
mod support;

use proptest::prelude::*;
use std::cell::RefCell;
use support::{Call, Oracle, run};
use tare_oci::{Seccomp, SeccompArg, SeccompSyscall};
use tare_seccomp::{Actions, Arch, SeccompError, Target, check, compile, disassemble, flag};

/// Calls with their numbers on x86-64 and i386 (asm/unistd_64.h, asm/unistd_32.h).
const CALLS: [(&str, u32, u32); 5] = [
    ("read", 0, 3),
    ("write", 1, 4),
    ("clone", 56, 120),
    ("personality", 135, 136),
    ("openat2", 437, 437),
];

const ACTIONS: [(&str, u32); 6] = [
    ("SCMP_ACT_ALLOW", 0x7FFF_0000),
    ("SCMP_ACT_ERRNO", 0x0005_0001),
    ("SCMP_ACT_LOG", 0x7FFC_0000),
    ("SCMP_ACT_TRAP", 0x0003_0000),
    ("SCMP_ACT_KILL", 0),
    ("SCMP_ACT_TRACE", 0x7FF0_0001),
];

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..8_u64,
        1 => (0..4_u64).prop_map(|high| high << 32),
        2 => (0..3_u64, 0..4_u64).prop_map(|(high, low)| (high << 32) | low),
        1 => Just(u64::MAX),
        1 => Just(u32::MAX.into()),
    ]
}

fn argument() -> impl Strategy<Value = SeccompArg> {
    (0..3_u32, 0..OPERATORS.len(), value(), value()).prop_map(|(index, operator, value, two)| {
        SeccompArg {
            index,
            value,
            value_two: Some(two),
            op: OPERATORS[operator].to_owned(),
        }
    })
}

fn rule() -> impl Strategy<Value = SeccompSyscall> {
    let names = prop::collection::vec(0..CALLS.len(), 1..4);
    (
        names,
        0..ACTIONS.len(),
        prop::collection::vec(argument(), 0..4),
    )
        .prop_map(|(names, action, args)| SeccompSyscall {
            names: names
                .into_iter()
                .map(|name| CALLS[name].0.to_owned())
                .collect(),
            action: ACTIONS[action].0.to_owned(),
            errno_ret: None,
            args,
        })
}

fn profile() -> impl Strategy<Value = Seccomp> {
    (0..ACTIONS.len(), prop::collection::vec(rule(), 0..7)).prop_map(|(default, syscalls)| {
        Seccomp {
            default_action: ACTIONS[default].0.to_owned(),
            architectures: vec!["SCMP_ARCH_X86".to_owned()],
            syscalls,
            ..Seccomp::default()
        }
    })
}

fn action_value(name: &str) -> u32 {
    ACTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("one of the list")
        .1
}

/// Whether an argument satisfies a condition, on 64 or 32 bits.
fn holds(arg: &SeccompArg, call: &Call) -> bool {
    let cut = |value: u64| {
        if call.arch == Arch::X86 {
            value & 0xFFFF_FFFF
        } else {
            value
        }
    };
    let (actual, value) = (cut(call.arguments[arg.index as usize]), cut(arg.value));
    match arg.op.as_str() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_EQ" => actual == value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == cut(arg.value_two.unwrap_or(0)) & value,
        other => panic!("{other}"),
    }
}

/// The verdicts that the rules allow: one, unless rules with different actions match.
fn candidates(profile: &Seccomp, name: &str, call: &Call, background: u32) -> Vec<u32> {
    let mut matching = Vec::new();
    for rule in &profile.syscalls {
        if rule.action == profile.default_action || !rule.names.iter().any(|listed| listed == name)
        {
            continue;
        }
        let mut indices: Vec<_> = rule.args.iter().map(|arg| arg.index).collect();
        indices.sort_unstable();
        indices.dedup();
        let repeated = indices.len() < rule.args.len();
        let vacuous = |arg: &SeccompArg| {
            let mask = if call.arch == Arch::X86 {
                arg.value & 0xFFFF_FFFF
            } else {
                arg.value
            };
            arg.op == "SCMP_CMP_MASKED_EQ" && mask == 0
        };
        let always = if repeated {
            rule.args.iter().any(vacuous)
        } else {
            rule.args.iter().all(vacuous)
        };
        if always {
            return vec![action_value(&rule.action)];
        }
        let matches = |arg: &SeccompArg| holds(arg, call);
        if if repeated {
            rule.args.iter().any(matches)
        } else {
            rule.args.iter().all(matches)
        } {
            matching.push(action_value(&rule.action));
        }
    }
    matching.sort_unstable();
    matching.dedup();
    if matching.is_empty() {
        vec![background]
    } else {
        matching
    }
}

thread_local! {
    static ORACLE: RefCell<Oracle> = RefCell::new(Oracle::start());
}

fn verdicts_follow(profile: &Seccomp) -> Result<(), TestCaseError> {
    let reference = ORACLE
        .with_borrow_mut(|oracle| oracle.ask(profile, Arch::X86_64))
        .expect("x86-64 is known");
    let filter = match compile(profile, &Target::latest(Arch::X86_64)) {
        Ok(filter) => filter,
        Err(SeccompError::Conflict { .. }) => {
            prop_assert!(
                reference.program.is_err(),
                "only we see a contradiction in {profile:?}"
            );
            return Ok(());
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    prop_assert_eq!(check(&filter.program), Ok(()));
    let names: Vec<_> = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.names)
        .collect();
    let default = action_value(&profile.default_action);
    let stubbed = !matches!(
        profile.default_action.as_str(),
        "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE"
    );
    let newest = |column: fn(&(&str, u32, u32)) -> u32| {
        CALLS
            .iter()
            .filter(|call| names.iter().any(|name| *name == call.0))
            .map(column)
            .max()
            .unwrap_or(0)
    };
    for (arch, column) in [
        (
            Arch::X86_64,
            (|call| call.1) as fn(&(&str, u32, u32)) -> u32,
        ),
        (Arch::X86, |call| call.2),
    ] {
        let newest = newest(column);
        for (index, entry) in CALLS.iter().enumerate() {
            for seed in 0..96_u64 {
                let call = Call {
                    arch,
                    number: column(entry),
                    arguments: arguments(seed, index as u64),
                };
                let late = stubbed && newest != 0 && call.number > newest;
                let background = if late { 0x0005_0026 } else { default };
                let expected = candidates(profile, entry.0, &call, background);
                let actual = run(&filter.program, &call);
                prop_assert!(
                    expected.contains(&actual),
                    "{call:x?}: {actual:#x} not in {expected:x?}"
                );
                let Ok(theirs) = &reference.program else {
                    continue;
                };
                let theirs = run(theirs, &call);
                let ordered = expected.len() == 1
                    || !expected.contains(&theirs)
                    || !well_ordered(profile, entry.0);
                prop_assert!(
                    ordered || actual == theirs,
                    "{call:x?}: {actual:#x}, libseccomp {theirs:#x}"
                );
            }
        }
    }
    Ok(())
}

/// Rules whose order libseccomp keeps for certain: equalities, or one condition each. Not two inequalities, of which
/// it tries one first for the upper half of the argument and the other for the lower; and not values of more than 32
/// bits, with which its jumps between rules reload nothing.
fn well_ordered(profile: &Seccomp, name: &str) -> bool {
    let named = |rule: &&SeccompSyscall| rule.names.iter().any(|listed| listed == name);
    let rules: Vec<_> = profile.syscalls.iter().filter(named).collect();
    let equality =
        |arg: &SeccompArg| matches!(arg.op.as_str(), "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ");
    let inequalities = rules
        .iter()
        .flat_map(|rule| &rule.args)
        .filter(|arg| arg.op == "SCMP_CMP_NE")
        .count();
    let short = |arg: &SeccompArg| (arg.value | arg.value_two.unwrap_or(0)) >> 32 == 0;
    inequalities < 2
        && rules.iter().all(|rule| rule.args.iter().all(short))
        && rules
            .iter()
            .all(|rule| rule.args.len() < 2 || rule.args.iter().all(equality))
}

fn arguments(seed: u64, salt: u64) -> [u64; 6] {
    const VALUES: [u64; 16] = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        1 << 32,
        (1 << 32) | 1,
        (2 << 32) | 3,
        3 << 32,
        u32::MAX as u64,
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut state = (seed << 8 | salt).wrapping_add(0x9E37_79B9_7F4A_7C15);
    std::array::from_fn(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        VALUES[(state >> 60) as usize]
    })
}

/// Mostly a word of the list.
fn word(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![40 => prop::sample::select(known).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Anything that deserialises, whatever its words.
fn anything() -> impl Strategy<Value = Seccomp> {
    let actions = [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ERRNO",
    ]
    .as_slice();
    let archs = [
        "SCMP_ARCH_X32",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_S390",
    ]
    .as_slice();
    let calls = [
        "read",
        "write",
        "socket",
        "semop",
        "cacheflush",
        "setup",
        "socketcall",
        "clone",
    ]
    .as_slice();
    let flags = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"].as_slice();
    let index = prop_oneof![30 => 0..6_u32, 1 => any::<u32>()];
    let errno = prop_oneof![9 => Just(None), 1 => any::<Option<u32>>()];
    let arg = (index, any::<u64>(), any::<Option<u64>>(), word(&OPERATORS)).prop_map(
        |(index, value, value_two, op)| SeccompArg {
            index,
            value,
            value_two,
            op,
        },
    );
    let rule = (
        prop::collection::vec(word(calls), 0..5),
        word(actions),
        errno.clone(),
        prop::collection::vec(arg, 0..5),
    )
        .prop_map(|(names, action, errno_ret, args)| SeccompSyscall {
            names,
            action,
            errno_ret,
            args,
        });
    let lists = (
        prop::collection::vec(word(archs), 0..3),
        prop::collection::vec(word(flags), 0..3),
    );
    (
        word(actions),
        errno,
        lists,
        prop::collection::vec(rule, 0..5),
    )
        .prop_map(
            |(default_action, default_errno_ret, (architectures, flags), syscalls)| Seccomp {
                default_action,
                default_errno_ret,
                architectures,
                flags,
                listener_path: "/agent".to_owned(),
                listener_metadata: String::new(),
                syscalls,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_follow_from_the_rules(profile in profile()) {
        verdicts_follow(&profile)?;
    }

    #[test]
    fn whatever_comes_compiles_or_is_refused(
        profile in anything(),
        arch in 0..Arch::ALL.len(),
        kernel in 0..=flag::ALL,
        refuse_unknown_syscalls: bool,
    ) {
        let target = Target { native: Arch::ALL[arch], actions: Actions::ALL, flags: kernel, refuse_unknown_syscalls };
        match compile(&profile, &target) {
            Ok(filter) => {
                prop_assert_eq!(check(&filter.program), Ok(()));
                prop_assert_eq!(filter.flags & !kernel, 0);
                prop_assert_eq!(disassemble(&filter).lines().count(), filter.program.len());
            }
            Err(error) => prop_assert!(error.to_string().starts_with("linux.seccomp")),
        }
    }
}
