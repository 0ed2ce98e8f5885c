//! The verdict on every call equals libseccomp's, as runc drives it, plus runc's ENOSYS for newer calls.
//!
//! Deliberate differences:
//! - A call that a rule names is never ENOSYS. runc answers ENOSYS to `socket` and its kin on architectures with
//!   `socketcall`, if their own numbers are above all others that the profile names.
mod support;

use std::collections::BTreeMap;
use support::{Call, Oracle, Reference, X32_BIT, audit, base, run};
use tare_oci::Seccomp;
use tare_seccomp::{Arch, SeccompError, Target, check, compile};

const ENOSYS: u32 = 0x0005_0026;

/// Families of architectures that one kernel can run.
const FAMILIES: &[&[Arch]] = &[
    &[Arch::X86_64, Arch::X86, Arch::X32],
    &[Arch::X86_64],
    &[Arch::X86_64, Arch::X86],
    &[Arch::X86_64, Arch::X32],
    &[Arch::X86],
    &[Arch::Aarch64, Arch::Arm],
    &[Arch::Arm],
    &[Arch::Loongarch64],
    &[Arch::Riscv64],
    &[Arch::Mipsel64, Arch::Mipsel, Arch::Mipsel64N32],
    &[Arch::Mips64, Arch::Mips, Arch::Mips64N32],
    &[Arch::Ppc64le],
    &[Arch::Ppc64, Arch::Ppc],
    &[Arch::S390x, Arch::S390],
    &[Arch::Parisc64, Arch::Parisc],
    &[Arch::M68k],
    &[Arch::Sh],
    &[Arch::Sheb],
];

/// Compares all verdicts of a profile for one family; returns how many were compared.
fn compare(oracle: &mut Oracle, profile: &Seccomp, family: &[Arch]) -> usize {
    let mut profile = profile.clone();
    profile.architectures = family[1..].iter().map(|arch| arch.name().to_owned()).collect();
    let Some(Reference { unknown, .. }) = oracle.ask(&profile, family[0]) else { return 0 };
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| !unknown.contains(name));
    }
    let reference = oracle.ask(&profile, family[0]).expect("known just now");
    let ours = compile(&profile, &Target::latest(family[0]));
    let (ours, theirs) = match (ours, reference.program) {
        (Ok(ours), Ok(theirs)) => (ours.program, theirs),
        (Err(SeccompError::Conflict { .. }), Err(_)) => return 0,
        (ours, theirs) => panic!("{profile:?}\nours: {ours:?}\nlibseccomp: {theirs:?}"),
    };
    check(&ours).expect("the kernel would take it");
    let default = default_value(&profile);
    let mut compared = 0;
    for call in calls(&profile, family) {
        let verdict = run(&theirs, &call);
        let stubbed = verdict == default && newer(&profile, family, &reference.newest, &call);
        let expected = if stubbed { ENOSYS } else { verdict };
        let actual = run(&ours, &call);
        assert_eq!(
            actual, expected,
            "{call:x?} is {actual:#x}, libseccomp says {expected:#x}\n{}",
            serde_json::to_string(&profile).expect("serialises")
        );
        compared += 1;
    }
    compared
}

fn default_value(profile: &Seccomp) -> u32 {
    let errno = profile.default_errno_ret.unwrap_or(1);
    match profile.default_action.as_str() {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno,
        "SCMP_ACT_TRACE" => 0x7FF0_0000 | errno,
        "SCMP_ACT_LOG" => 0x7FFC_0000,
        "SCMP_ACT_ALLOW" => 0x7FFF_0000,
        other => panic!("{other}"),
    }
}

/// Whether runc's stub answers ENOSYS before libseccomp's filter is asked.
fn newer(profile: &Seccomp, family: &[Arch], newest: &BTreeMap<String, u32>, call: &Call) -> bool {
    if matches!(profile.default_action.as_str(), "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE") {
        return false;
    }
    let arch = match call.arch {
        Arch::X86_64 | Arch::X32 if call.number & X32_BIT != 0 => Arch::X32,
        Arch::X86_64 | Arch::X32 => Arch::X86_64,
        other => other,
    };
    let newest = newest.get(arch.name()).copied().unwrap_or(0);
    let multiplexed = matches!(arch, Arch::S390 | Arch::S390x) && call.number == 0;
    family.contains(&arch) && newest != 0 && (call.number > newest || multiplexed)
}

fn calls(profile: &Seccomp, family: &[Arch]) -> impl Iterator<Item = Call> {
    let values = interesting(profile);
    let vectors: Vec<[u64; 6]> = (0..values.len().max(8) * 6)
        .scan(0x9E37_79B9_7F4A_7C15_u64, |state, _| {
            Some(std::array::from_fn(|_| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                values[(*state >> 33) as usize % values.len()]
            }))
        })
        .collect();
    let mut archs = family.to_vec();
    archs.extend(Arch::ALL.into_iter().filter(|arch| audit(*arch).1 == audit(family[0]).1));
    archs.truncate(family.len() + 2);
    archs.into_iter().flat_map(move |arch| {
        let vectors = vectors.clone();
        numbers(arch).enumerate().flat_map(move |(index, number)| {
            // All vectors for every number would take minutes: a moving window sees each often enough.
            let window = (0..4).map({
                let vectors = vectors.clone();
                move |step| vectors[(index * 4 + step) % vectors.len()]
            });
            window.map(move |arguments| Call { arch, number, arguments })
        })
    })
}

fn numbers(arch: Arch) -> impl Iterator<Item = u32> {
    let base = base(arch);
    let edges = [0x3FFF_FFFF, X32_BIT, X32_BIT + 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX - 1, u32::MAX];
    (0..=600).chain(base..=base + 600).chain(0xF_0000..0xF_0010).chain(edges)
}

/// Argument values on both sides of every comparison in the profile.
fn interesting(profile: &Seccomp) -> Vec<u64> {
    let mut values = vec![0, 1, u64::MAX, 1 << 32, u32::MAX.into()];
    for arg in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        let two = arg.value_two.unwrap_or(0);
        for value in [arg.value, two, arg.value & two, !arg.value | two] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32), value << 32]);
        }
    }
    values.extend(1..=24);
    values.sort_unstable();
    values.dedup();
    values
}

fn docker() -> Seccomp {
    serde_json::from_str(include_str!("profiles/docker.json")).expect("the fixture is a profile")
}

#[test]
fn docker_default_profile_on_every_architecture() {
    let mut oracle = Oracle::start();
    let compared = FAMILIES.iter().filter(|family| compare(&mut oracle, &docker(), family) > 1000).count();
    // libseccomp 2.5 knows neither LoongArch nor m68k nor SuperH, and PA-RISC not well.
    assert!(compared >= FAMILIES.len() - 5, "{compared}");
}
