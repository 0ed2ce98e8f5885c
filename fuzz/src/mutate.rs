//! A mutator that knows JSON: it alters one place of the tree, so that most of what it makes is still read.
use serde_json::{Map, Value, json};

/// Every member that is read, once: where missing ones are taken from.
const EVERYTHING: &str = include_str!("everything.json");

const TEXTS: [&str; 48] = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "/a/../..",
    "a\0b",
    "\n",
    "é",
    "/proc",
    "/proc/self",
    "/dev",
    "/dev/null",
    "/dev/ptmx",
    "/sys/fs/cgroup",
    "ro",
    "rw",
    "bind",
    "rbind",
    "remount",
    "idmap",
    "ridmap",
    "tmpcopyup",
    "mode=755",
    "size=1k",
    "proc",
    "sysfs",
    "tmpfs",
    "mqueue",
    "cgroup",
    "user",
    "pid",
    "time",
    "mount",
    "network",
    "CAP_SYS_ADMIN",
    "SCHED_OTHER",
    "SCHED_DEADLINE",
    "rprivate",
    "slave",
    "0-8191",
    "99999999999999999999",
    "-1",
    "max",
    "SCMP_ACT_NOTIFY",
    "SCMP_CMP_MASKED_EQ",
    "=",
    "system.slice:a:b",
];

const NUMBERS: [i64; 16] = [
    0,
    1,
    -1,
    2,
    7,
    255,
    256,
    4095,
    4096,
    65535,
    65536,
    2_147_483_647,
    2_147_483_648,
    4_294_967_295,
    i64::MAX,
    i64::MIN,
];

const WORDS: [&str; 30] = [
    "v1",
    "hybrid",
    "v2",
    "systemd",
    "rootless",
    "bare",
    "nested",
    "old",
    "secure",
    "none",
    "everything",
    "run",
    "no-pivot",
    "no-new-keyring",
    "console",
    "pidfd-socket",
    "pid-file",
    "notify",
    "systemd-user",
    "disabled",
    "preserve-fds=3",
    "listen-fds=2",
    "user",
    "pid",
    "mount",
    "network",
    "filter",
    "into",
    "strict",
    "SCMP_ARCH_X86",
];

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

/// A changed copy of a line of words and a document; `None` where it isn't one, or no longer fits.
pub fn mutate(bytes: &[u8], longest: usize, seed: u32) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut line = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut document: Value = serde_json::from_slice(&bytes[end + 1..]).ok()?;
    let mut dice = Dice(u64::from(seed) << 1 | 1);
    for _ in 0..=dice.roll(3) {
        match dice.roll(8) {
            0 => line = words(&line, &mut dice),
            1 | 2 => graft(&mut document, &mut dice),
            _ => {
                let place = dice.roll(nodes(&document));
                change(&mut document, place, &mut dice);
            }
        }
    }
    let mut out = line.into_bytes();
    out.push(b'\n');
    serde_json::to_writer(&mut out, &document).ok()?;
    (out.len() <= longest).then_some(out)
}

fn words(line: &str, dice: &mut Dice) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    match dice.roll(3) {
        0 if !words.is_empty() => {
            words.remove(dice.roll(words.len()));
        }
        1 if !words.is_empty() => {
            let at = dice.roll(words.len());
            words[at] = dice.of(&WORDS);
        }
        _ => words.push(dice.of(&WORDS)),
    }
    words.join(" ")
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Finds the node of this number, in order, and alters it.
fn change(value: &mut Value, mut place: usize, dice: &mut Dice) {
    if place == 0 {
        return alter(value, dice);
    }
    place -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return,
    };
    for child in children {
        let size = nodes(child);
        if place < size {
            return change(child, place, dice);
        }
        place -= size;
    }
}

fn alter(value: &mut Value, dice: &mut Dice) {
    if dice.roll(16) == 0 {
        *value = match dice.roll(5) {
            0 => Value::Null,
            1 => json!(dice.of(&NUMBERS)),
            2 => json!(dice.of(&TEXTS)),
            3 => json!([]),
            _ => json!({}),
        };
        return;
    }
    match value {
        Value::String(text) => alter_text(text, dice),
        Value::Number(number) => {
            let near = number.as_i64().unwrap_or(0);
            *value = match dice.roll(4) {
                0 => json!(near.wrapping_add(1)),
                1 => json!(near.wrapping_sub(1)),
                2 => json!(u64::MAX - dice.roll(2) as u64),
                _ => json!(dice.of(&NUMBERS)),
            };
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Array(list) if list.is_empty() => list.push(json!(dice.of(&TEXTS))),
        Value::Array(list) => {
            let (from, to) = (dice.roll(list.len()), dice.roll(list.len()));
            match dice.roll(4) {
                0 => list.clear(),
                1 => drop(list.remove(from)),
                2 => list.swap(from, to),
                _ => list.insert(to, list[from].clone()),
            }
        }
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            if !keys.is_empty() {
                members.remove(&keys[dice.roll(keys.len())]);
            }
        }
        Value::Null => *value = json!(dice.of(&TEXTS)),
    }
}

fn alter_text(text: &mut String, dice: &mut Dice) {
    match dice.roll(6) {
        0 => text.push_str(dice.of(&TEXTS)),
        1 => text.insert_str(0, dice.of(&TEXTS)),
        2 => drop(text.pop()),
        3 if text.len() < 4096 => *text = text.repeat(1 + dice.roll(8)),
        _ => *text = dice.of(&TEXTS).to_owned(),
    }
}

/// Puts a part of the document that has everything into this one, at its own place, with what must be around it.
fn graft(document: &mut Value, dice: &mut Dice) {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap_or_default();
    // A part of a config.json stands alone in some targets' documents.
    let roots = ["", "", "", "/process", "/linux/resources", "/linux/seccomp"];
    let Some(mut from) = everything.pointer(dice.of(&roots)) else {
        return;
    };
    let mut to = document;
    loop {
        if dice.roll(4) == 0 {
            return *to = from.clone();
        }
        match from {
            Value::Object(members) if !members.is_empty() => {
                let Some((key, inner)) = members.iter().nth(dice.roll(members.len())) else {
                    return;
                };
                if !to.is_object() {
                    *to = Value::Object(Map::new());
                }
                let Value::Object(into) = to else { return };
                (from, to) = (inner, into.entry(key).or_insert(Value::Null));
            }
            Value::Array(list) if !list.is_empty() => {
                let inner = &list[dice.roll(list.len())];
                if !to.is_array() {
                    *to = json!([]);
                }
                let Value::Array(into) = to else { return };
                if into.is_empty() || dice.roll(2) == 0 {
                    into.push(Value::Null);
                }
                let last = into.len() - 1;
                (from, to) = (inner, &mut into[last]);
            }
            leaf => return *to = leaf.clone(),
        }
    }
}
