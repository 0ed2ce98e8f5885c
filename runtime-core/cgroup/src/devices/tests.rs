//! Tables and a property test: v1 lines and eBPF against a naive reading of the rules, over every device number of interest.
use super::*;
use proptest::prelude::*;
use tare_sys::bpf::Instruction;

fn rule(text: &str) -> DeviceRule {
    let mut words = text.split(' ');
    let allow = words.next() == Some("allow");
    let kind = words.next().unwrap_or("a").to_string();
    let mut numbers = words
        .next()
        .unwrap_or("*:*")
        .split(':')
        .map(|number| number.parse().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: words.next().unwrap_or("rwm").to_string(),
    }
}

pub(crate) const DOCKER: [&str; 8] = [
    "deny a *:* rwm",
    "allow c 1:5 rwm",
    "allow c 1:3 rwm",
    "allow c 1:9 rwm",
    "allow c 1:8 rwm",
    "allow c 5:0 rwm",
    "allow c 5:1 rwm",
    "deny c 10:229 rwm",
];

pub(crate) fn rules(texts: &[&str]) -> Vec<DeviceRule> {
    texts.iter().map(|text| rule(text)).collect()
}

fn check_v1(texts: &[&str], expect: &[&str]) {
    let got: Vec<String> = match effective(&rules(texts)).and_then(|rules| v1::lines(&rules)) {
        Ok(lines) => lines
            .iter()
            .map(|line| {
                format!(
                    "{} {}",
                    if line.allow { "allow" } else { "deny" },
                    line.text
                )
            })
            .collect(),
        Err(refusal) => vec![refusal.to_string()],
    };
    assert_eq!(got, expect, "{texts:?}");
}

const DEFAULTS: [&str; 11] = [
    "allow c *:* m",
    "allow b *:* m",
    "allow c 1:3 rwm",
    "allow c 1:8 rwm",
    "allow c 1:7 rwm",
    "allow c 5:0 rwm",
    "allow c 1:5 rwm",
    "allow c 1:9 rwm",
    "allow c 136:* rwm",
    "allow c 5:2 rwm",
    "allow c 10:200 rwm",
];

fn with_defaults<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(&DEFAULTS).chain(more).copied().collect()
}

#[test]
fn v1_lines_have_nothing_redundant() {
    check_v1(&[], &with_defaults(&["deny a"], &[]));
    check_v1(&["deny a"], &with_defaults(&["deny a"], &[]));
    check_v1(&DOCKER, &with_defaults(&["deny a", "allow c 5:1 rwm"], &[]));
    check_v1(&["allow a"], &["allow a"]);
    check_v1(&["deny a", "allow c 1:1 r", "allow a"], &["allow a"]);
    check_v1(&["allow a", "deny b 8:0 rw"], &["allow a", "deny b 8:0 rw"]);
    check_v1(
        &["allow a", "deny b 8:0 rwm"],
        &["allow a", "deny b 8:0 rw"],
    );
    check_v1(
        &["allow a 7:1 rw"],
        &with_defaults(&["deny a", "allow c 7:1 rw", "allow b 7:1 rw"], &[]),
    );
    check_v1(
        &[
            "allow b 8:0 r",
            "allow b 8:0 w",
            "allow b 8:1 rw",
            "deny b 8:1 rw",
        ],
        &with_defaults(&["deny a", "allow b 8:0 rw"], &[]),
    );
}

#[test]
fn v1_refuses_what_it_cannot_say() {
    check_v1(
        &["allow b 8:* rw", "deny b 8:1 w"],
        &[
            "linux.resources.devices[1]: cgroup v1 can't deny b 8:1 w out of the wider rule that allows b 8:* rw; name the devices of that rule one by one",
        ],
    );
    check_v1(
        &["allow b 8:* rw", "deny b 8:1 w", "allow b 8:1 w"],
        &with_defaults(&["deny a", "allow b 8:* rw"], &[]),
    );
}

#[test]
fn more_rules_than_can_be_compared_are_refused() {
    let refused = |count: usize| effective(&vec![rule("deny a"); count]).err();
    assert_eq!(refused(100), None);
    let refusal = refused(MOST + 1).map(|refusal| refusal.to_string());
    assert_eq!(
        refusal.as_deref(),
        Some("linux.resources.devices: has 8193 rules, and at most 8192 are read")
    );
}

#[test]
fn bad_rules_are_named_by_their_json_path() {
    let refused = |rule: DeviceRule| {
        effective(&[DeviceRule::default(), rule])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(DeviceRule {
            kind: "p".into(),
            ..Default::default()
        }),
        "linux.resources.devices[1].type: invalid cgroup device type \"p\"; a, b and c are the choices"
    );
    assert_eq!(
        refused(DeviceRule {
            access: "rx".into(),
            ..Default::default()
        }),
        "linux.resources.devices[1].access: 'x' in \"rx\"; r, w and m are the choices"
    );
    assert_eq!(
        refused(DeviceRule {
            major: Some(-2),
            ..Default::default()
        }),
        "linux.resources.devices[1].major: -2 is no device number; -1 stands for any"
    );
    assert!(
        refused(DeviceRule {
            minor: Some(1 << 40),
            ..Default::default()
        })
        .starts_with("linux.resources.devices[1].minor")
    );
}

/// What the module's doc says, word by word; `access` may have several bits.
fn naive(rules: &[DeviceRule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    let parsed: Vec<Rule> = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| parse(index, rule).unwrap())
        .chain(default_rules())
        .collect();
    [MKNOD, READ, WRITE]
        .iter()
        .filter(|bit| access & **bit != 0)
        .all(|bit| {
            let matching = |rule: &&Rule| {
                (rule.kind == Kind::Any || rule.kind == kind)
                    && rule.major.is_none_or(|number| number == major)
                    && rule.minor.is_none_or(|number| number == minor)
                    && rule.access & bit != 0
            };
            parsed
                .iter()
                .rev()
                .find(matching)
                .is_some_and(|rule| rule.allow)
        })
}

/// A small eBPF interpreter for the instructions that the generator may use; anything else panics.
fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    let device = if kind == Kind::Block { 1 } else { 2 };
    let context = [u32::from(access) << 16 | device, major, minor];
    let mut registers = [0u64; 11];
    let mut at = 0usize;
    for _ in 0..100_000 {
        let instruction = program[at];
        let (to, from) = (
            usize::from(instruction.registers & 15),
            usize::from(instruction.registers >> 4),
        );
        let immediate = i64::from(instruction.immediate) as u64;
        at += 1;
        let jump = |taken: bool| {
            if taken {
                instruction.offset as usize
            } else {
                0
            }
        };
        match instruction.code {
            0x61 => registers[to] = u64::from(context[instruction.offset as usize / 4]),
            0xb7 => registers[to] = immediate,
            0xbf => registers[to] = registers[from],
            0x57 => registers[to] &= immediate,
            0x77 => registers[to] >>= immediate,
            0x15 => at += jump(registers[to] == immediate),
            0x55 => at += jump(registers[to] != immediate),
            0x95 => return registers[0] == 1,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
    panic!("the program doesn't end");
}

/// The kernel's reading of v1 lines (security/device_cgroup.c): an allowed access must fit one exception whole.
fn run_v1(lines: &[v1::Line], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    let default = lines[0].allow;
    let hit = |line: &v1::Line| {
        let rule = parse(0, &rule(&format!("allow {}", line.text))).unwrap();
        let here = rule.kind == kind
            && rule.major.is_none_or(|n| n == major)
            && rule.minor.is_none_or(|n| n == minor);
        here && if default {
            access & rule.access != 0
        } else {
            access & !rule.access == 0
        }
    };
    assert!(lines[1..].iter().all(|line| line.allow != default));
    default != lines[1..].iter().any(hit)
}

fn compare(rules: &[DeviceRule]) {
    let effective = effective(rules).unwrap();
    let program = bpf::program(&effective);
    let lines = v1::lines(&effective);
    for kind in [Kind::Block, Kind::Char] {
        for (major, minor) in numbers(rules) {
            for access in 1..=ALL {
                let expect = naive(rules, kind, major, minor, access);
                assert_eq!(
                    run(&program, kind, major, minor, access),
                    expect,
                    "{kind:?} {major}:{minor} {access}"
                );
                // mknod is only ever asked alone.
                if let (Ok(lines), true) = (&lines, access & MKNOD == 0 || access == MKNOD) {
                    assert_eq!(
                        run_v1(lines, kind, major, minor, access),
                        expect,
                        "v1 {kind:?} {major}:{minor} {access} {lines:?}"
                    );
                }
            }
        }
    }
}

/// Every number that a rule names, its neighbours, and some that none names.
fn numbers(rules: &[DeviceRule]) -> Vec<(u32, u32)> {
    let parsed: Vec<Rule> = rules
        .iter()
        .enumerate()
        .map(|(i, rule)| parse(i, rule).unwrap())
        .chain(default_rules())
        .collect();
    let collect = |pick: fn(&Rule) -> Option<u32>| {
        let mut all: Vec<u32> = parsed
            .iter()
            .filter_map(pick)
            .flat_map(|n| [n, n.saturating_add(1)])
            .chain([0, 4095])
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (majors, minors) = (collect(|rule| rule.major), collect(|rule| rule.minor));
    majors
        .iter()
        .flat_map(|major| minors.iter().map(|minor| (*major, *minor)))
        .collect()
}

#[test]
fn docker_default_and_privileged() {
    compare(&rules(&DOCKER));
    compare(&rules(&["allow a"]));
    compare(&[]);
}

#[test]
fn a_rule_that_a_default_one_repeats_is_whole() {
    compare(&[
        rule("allow a"),
        rule("deny a *:0 rm"),
        rule("allow c *:* rwm"),
    ]);
}

fn any_rule() -> impl Strategy<Value = DeviceRule> {
    let number = || {
        prop_oneof![
            Just(None),
            Just(Some(-1)),
            (0i64..4).prop_map(Some),
            Just(Some(136)),
            Just(Some(i64::from(i32::MAX)))
        ]
    };
    let access = prop::sample::select(vec!["", "r", "w", "m", "rw", "rm", "wm", "rwm"]);
    (
        any::<bool>(),
        prop::sample::select(vec!["", "a", "b", "c"]),
        number(),
        number(),
        access,
    )
        .prop_map(|(allow, kind, major, minor, access)| DeviceRule {
            allow,
            kind: kind.to_string(),
            major,
            minor,
            access: access.to_string(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_forms_mean_what_the_rules_say(rules in prop::collection::vec(any_rule(), 0..9)) {
        compare(&rules);
    }
}
