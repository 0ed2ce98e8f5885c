//! The shape of programs: size, validity, determinism, listing.
mod support;

use support::{Call, run};
use tare_oci::Seccomp;
use tare_seccomp::{Arch, Instruction, Target, check, compile, disassemble, is_empty};

const DOCKER: &str = include_str!("profiles/docker.json");

fn profile(text: &str) -> Seccomp {
    serde_json::from_str(text).expect(text)
}

#[test]
fn docker_default_profile_is_small() {
    let mut docker = profile(DOCKER);
    let target = Target::latest(Arch::X86_64);
    let three = compile(&docker, &target).expect("compiles");
    docker.architectures.clear();
    let one = compile(&docker, &target).expect("compiles");
    assert!(
        three.program.len() <= 270 && one.program.len() <= 100,
        "{} {}",
        three.program.len(),
        one.program.len()
    );
    assert_eq!(compile(&docker, &target).expect("compiles"), one);
    assert_eq!(one.as_bytes().len(), one.program.len() * 8);
}

/// The kernel runs the filter for each number at load; the deepest path bounds that work.
#[test]
fn docker_default_profile_is_shallow() {
    let filter = compile(&profile(DOCKER), &Target::latest(Arch::X86_64)).expect("compiles");
    let steps = depth(&filter.program);
    assert!(steps <= 28, "{steps}");
}

fn depth(program: &[Instruction]) -> usize {
    let mut steps = vec![0; program.len()];
    for at in (0..program.len()).rev() {
        let Instruction { code, jt, jf, k } = program[at];
        steps[at] = 1 + match code & 7 {
            6 => 0,
            5 if code == 5 => steps[at + 1 + k as usize],
            5 => steps[at + 1 + usize::from(jt)].max(steps[at + 1 + usize::from(jf)]),
            _ => steps[at + 1],
        };
    }
    steps[0]
}

/// Hundreds of rules on one argument put the ends out of reach of a conditional jump.
#[test]
fn long_jumps_are_relayed() {
    let rules: Vec<_> = ["read", "write", "close", "clone", "openat", "bpf"]
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let args: Vec<_> = (0..300)
                .map(|value| {
                    format!(
                        r#"{{"index":{},"op":"SCMP_CMP_EQ","value":{}}}"#,
                        place % 6,
                        value * 2 + place as u64
                    )
                })
                .collect();
            format!(
                r#"{{"names":["{name}"],"action":"SCMP_ACT_ERRNO","errnoRet":{},"args":[{}]}}"#,
                place + 2,
                args.join(",")
            )
        })
        .collect();
    let text = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#,
        rules.join(",")
    );
    let filter = compile(&profile(&text), &Target::latest(Arch::X86_64)).expect("compiles");
    assert!(filter.program.len() > 1800, "{}", filter.program.len());
    check(&filter.program).expect("valid");
    for (place, number) in [(0, 0), (1, 1), (2, 3), (3, 56), (4, 257), (5, 321)] {
        for value in 0..700 {
            let mut arguments = [u64::MAX; 6];
            arguments[place] = value;
            let listed = value >= place as u64
                && (value - place as u64).is_multiple_of(2)
                && value < 600 + place as u64;
            let expected = if listed {
                0x0005_0000 | (place as u32 + 2)
            } else {
                0x7FFF_0000
            };
            let call = Call {
                arch: Arch::X86_64,
                number,
                arguments,
            };
            assert_eq!(run(&filter.program, &call), expected, "{call:?}");
        }
    }
}

#[test]
fn a_listing_names_calls_and_actions() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read","write"],"action":"SCMP_ACT_ALLOW"},
        {"names":["socket"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]}]}"#;
    let filter = compile(&profile(text), &Target::latest(Arch::X86_64)).expect("compiles");
    let expect = include_str!("listings/small.txt");
    let listing = disassemble(&filter);
    assert_eq!(listing, expect, "{listing}");
}

#[test]
fn an_empty_profile_is_told() {
    assert!(is_empty(&Seccomp::default()));
    assert!(!is_empty(&profile(DOCKER)));
}

#[test]
fn the_check_finds_what_the_kernel_would() {
    let ret = Instruction {
        code: 6,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let load = |k| Instruction {
        code: 0x20,
        jt: 0,
        jf: 0,
        k,
    };
    let branch = |jt, jf| Instruction {
        code: 0x15,
        jt,
        jf,
        k: 0,
    };
    assert_eq!(check(&[ret]), Ok(()));
    for bad in [
        &[][..],
        &[load(0)],
        &[load(2), ret],
        &[load(64), ret],
        &[branch(0, 1), ret],
        &[branch(1, 0), ret],
        &[
            Instruction {
                code: 5,
                jt: 0,
                jf: 0,
                k: 1,
            },
            ret,
        ],
        &[
            Instruction {
                code: 0x28,
                jt: 0,
                jf: 0,
                k: 0,
            },
            ret,
        ],
    ] {
        assert!(check(bad).is_err(), "{bad:?}");
    }
    assert!(check(&vec![ret; 4097]).is_err());
}
