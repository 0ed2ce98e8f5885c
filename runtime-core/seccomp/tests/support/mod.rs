//! An interpreter of filters, and libseccomp behind a pipe.
#![allow(dead_code)] // each test program uses a part
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tare_oci::Seccomp;
use tare_seccomp::{Arch, Instruction};

pub const X32_BIT: u32 = 0x4000_0000;

/// A call as a filter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub arch: Arch,
    pub number: u32,
    pub arguments: [u64; 6],
}

/// `AUDIT_ARCH_*` and byte order, from linux/audit.h.
pub fn audit(arch: Arch) -> (u32, bool) {
    let elf = |machine: u32, wide: bool, little: bool| {
        (
            machine | if wide { 1 << 31 } else { 0 } | if little { 1 << 30 } else { 0 },
            little,
        )
    };
    let n32 = |little| (elf(8, true, little).0 | 0x2000_0000, little);
    match arch {
        Arch::X86 => elf(3, false, true),
        Arch::X86_64 | Arch::X32 => elf(62, true, true),
        Arch::Arm => elf(40, false, true),
        Arch::Aarch64 => elf(183, true, true),
        Arch::Loongarch64 => elf(258, true, true),
        Arch::M68k => elf(4, false, false),
        Arch::Mips => elf(8, false, false),
        Arch::Mips64 => elf(8, true, false),
        Arch::Mips64N32 => n32(false),
        Arch::Mipsel => elf(8, false, true),
        Arch::Mipsel64 => elf(8, true, true),
        Arch::Mipsel64N32 => n32(true),
        Arch::Parisc => elf(15, false, false),
        Arch::Parisc64 => elf(15, true, false),
        Arch::Ppc => elf(20, false, false),
        Arch::Ppc64 => elf(21, true, false),
        Arch::Ppc64le => elf(21, true, true),
        Arch::Riscv64 => elf(243, true, true),
        Arch::S390 => elf(22, false, false),
        Arch::S390x => elf(22, true, false),
        Arch::Sh => elf(42, false, true),
        Arch::Sheb => elf(42, false, false),
    }
}

/// First number of an architecture's table.
pub fn base(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => X32_BIT,
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 6000,
        _ => 0,
    }
}

impl Call {
    /// The 16 words of `struct seccomp_data`, in order of offset.
    fn words(&self) -> [u32; 16] {
        let (token, little) = audit(self.arch);
        let mut words = [0; 16];
        (words[0], words[1]) = (self.number, token);
        for (index, argument) in self.arguments.into_iter().enumerate() {
            let (low, high) = (argument as u32, (argument >> 32) as u32);
            let (first, second) = if little { (low, high) } else { (high, low) };
            (words[4 + 2 * index], words[5 + 2 * index]) = (first, second);
        }
        words
    }
}

/// Runs a filter as the kernel does.
pub fn run(program: &[Instruction], call: &Call) -> u32 {
    let words = call.words();
    let (mut at, mut word) = (0, 0_u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let holds = match code {
            0x20 => {
                word = words[k as usize / 4];
                continue;
            }
            0x54 => {
                word &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => word == k,
            0x25 => word > k,
            0x35 => word >= k,
            0x45 => word & k != 0,
            _ => panic!("operation {code:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

const SIGALRM: i32 = 14;

/// libseccomp in a child process; ends with it.
pub struct Oracle {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What libseccomp makes of a profile.
pub struct Reference {
    /// The program, or why it was refused.
    pub program: Result<Vec<Instruction>, String>,
    /// Names this libseccomp does not know.
    pub unknown: Vec<String>,
    /// The highest number that the profile names, for each architecture; as runc finds it.
    pub newest: BTreeMap<String, u32>,
}

impl Oracle {
    /// Needs python3 and libseccomp2; `TARE_LIBSECCOMP` names another copy of the library.
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/oracle.py");
        let mut command = Command::new("python3");
        command
            .arg(script)
            .args(std::env::var_os("TARE_LIBSECCOMP"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            input,
            output,
        }
    }

    /// None if the library is too old to know the architectures.
    pub fn ask(&mut self, profile: &Seccomp, native: Arch) -> Option<Reference> {
        writeln!(
            self.input,
            "{}",
            json!({"profile": profile, "native": native.name()})
        )
        .expect("the oracle reads");
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the oracle answers");
        if line.is_empty() {
            let status = self.child.wait().expect("a child");
            let hung = status.signal() == Some(SIGALRM);
            assert!(
                hung,
                "the oracle ended: are python3 and libseccomp2 installed?"
            );
            *self = Self::start();
            let program = Err("no end".to_owned());
            return Some(Reference {
                program,
                unknown: Vec::new(),
                newest: BTreeMap::new(),
            });
        }
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        let field = |name| answer.get(name).cloned().unwrap_or_default();
        if answer.get("foreign").is_some() {
            return None;
        }
        let little = audit(native).1;
        Some(Reference {
            program: match answer["program"].as_str() {
                Some(hex) => Ok(decode(hex, little)),
                None => Err(field("refused").to_string()),
            },
            unknown: serde_json::from_value(field("unknown")).expect("names"),
            newest: serde_json::from_value(field("newest")).unwrap_or_default(),
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn decode(hex: &str, little: bool) -> Vec<Instruction> {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect();
    let short = |bytes: [u8; 2]| {
        if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    let word = |bytes: [u8; 4]| {
        if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        }
    };
    let instruction = |bytes: &[u8]| match *bytes {
        [a, b, jt, jf, c, d, e, f] => {
            let (code, k) = (short([a, b]), word([c, d, e, f]));
            // Where a jump is too long libseccomp copies the return, and on a little-endian machine it turns the
            // copy's operand round once too often for a big-endian one.
            let turned = code == 0x06
                && k & 0xFFFF != 0
                && k & 0xFF00_0000 != 0x7F00_0000
                && k >> 16 != 3
                && k >> 16 != 5;
            Instruction {
                code,
                jt,
                jf,
                k: if turned { k.swap_bytes() } else { k },
            }
        }
        _ => panic!("8 bytes an instruction"),
    };
    bytes.chunks(8).map(instruction).collect()
}
