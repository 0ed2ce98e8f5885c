//! As much of ELF64 little-endian as tidy needs: the program headers' types, the section names and the symbol names.

/// What a scan looks at.
#[derive(Debug)]
pub struct Elf {
    /// `p_type` of each program header.
    pub program_headers: Vec<u32>,
    /// Names in the symbol table; empty if the file is stripped.
    pub symbols: Vec<String>,
}

/// The program header that names a dynamic loader.
pub const PT_INTERP: u32 = 3;
/// The program header of dynamic linking data.
pub const PT_DYNAMIC: u32 = 2;
const SHT_SYMTAB: u32 = 2;

/// Reads the tables, or says what is wrong with the file.
pub fn parse(bytes: &[u8]) -> Result<Elf, String> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err("not a 64-bit little-endian ELF file".to_owned());
    }
    let program_headers = table(bytes, 32, 54, 56, |at| u32_at(bytes, at))?;
    let sections = table(bytes, 40, 58, 60, |at| {
        Some(Section {
            kind: u32_at(bytes, at + 4)?,
            offset: u64_at(bytes, at + 24)?,
            size: u64_at(bytes, at + 32)?,
            link: u32_at(bytes, at + 40)? as usize,
        })
    })?;
    let mut symbols = Vec::new();
    for section in sections.iter().filter(|section| section.kind == SHT_SYMTAB) {
        let names = sections
            .get(section.link)
            .ok_or("a symbol table without names")?;
        for index in 0..section.size / 24 {
            let name = u32_at(bytes, section.offset + index * 24)
                .ok_or("the symbol table is cut off")? as usize;
            symbols.push(string_at(bytes, names.offset + name));
        }
    }
    symbols.retain(|name| !name.is_empty());
    Ok(Elf {
        program_headers,
        symbols,
    })
}

struct Section {
    kind: u32,
    offset: usize,
    size: usize,
    link: usize,
}

/// Reads a table whose offset, entry size and count stand at these places of the file header.
fn table<T>(
    bytes: &[u8],
    offset_at: usize,
    size_at: usize,
    count_at: usize,
    read: impl Fn(usize) -> Option<T>,
) -> Result<Vec<T>, String> {
    let cut = "the file is cut off";
    let offset = u64_at(bytes, offset_at).ok_or(cut)?;
    let size = usize::from(u16_at(bytes, size_at).ok_or(cut)?);
    let count = usize::from(u16_at(bytes, count_at).ok_or(cut)?);
    (0..count)
        .map(|index| read(offset + index * size).ok_or_else(|| cut.to_owned()))
        .collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
    .ok()
}

fn string_at(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_dynamic_and_has_symbols() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = parse(&bytes).unwrap();
        assert!(
            elf.program_headers.contains(&PT_INTERP) && elf.program_headers.contains(&PT_DYNAMIC)
        );
        assert!(elf.symbols.iter().any(|name| name.contains("panicking")));
        assert!(parse(&bytes[..100]).is_err());
        assert!(parse(b"#!/bin/sh").is_err());
    }
}
