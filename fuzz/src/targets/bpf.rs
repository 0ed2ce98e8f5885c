//! A classic BPF machine of our own, as seccomp runs one: it counts its steps and trusts no jump.
use tare_seccomp::Instruction;

/// `struct seccomp_data` of a call on a little-endian machine, as words.
pub fn data(token: u32, number: u32, arguments: [u64; 6]) -> [u32; 16] {
    let mut words = [0; 16];
    (words[0], words[1]) = (number, token);
    for (index, argument) in arguments.into_iter().enumerate() {
        words[4 + 2 * index] = argument as u32;
        words[5 + 2 * index] = (argument >> 32) as u32;
    }
    words
}

/// What the program returns; panics on what the kernel would refuse. Jumps go forward only, so each instruction is run once
/// at most.
pub fn run(program: &[Instruction], data: &[u32; 16]) -> u32 {
    assert!(
        (1..=4096).contains(&program.len()),
        "{} instructions",
        program.len()
    );
    let (mut at, mut accumulator) = (0usize, 0u32);
    for _ in 0..program.len() {
        let Instruction { code, jt, jf, k } = program[at];
        let taken = |yes: bool| usize::from(if yes { jt } else { jf });
        at += 1 + match code {
            // BPF_LD | BPF_W | BPF_ABS
            0x20 => {
                assert!(k.is_multiple_of(4), "a load at {k}");
                accumulator = data[k as usize / 4];
                0
            }
            // BPF_ALU | BPF_AND | BPF_K
            0x54 => {
                accumulator &= k;
                0
            }
            // BPF_JMP: JA, JEQ, JGT, JGE, JSET with K
            0x05 => k as usize,
            0x15 => taken(accumulator == k),
            0x25 => taken(accumulator > k),
            0x35 => taken(accumulator >= k),
            0x45 => taken(accumulator & k != 0),
            // BPF_RET | BPF_K
            0x06 => return k,
            other => panic!("operation {other:#x}"),
        };
    }
    panic!("more steps than instructions");
}
