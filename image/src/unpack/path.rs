//! Names in a layer, cleaned: components below the layer's root, decided without looking at any file system.

use super::UnpackError;

/// Components of a path at most: the kernel resolves no more symbolic links, and no tool walks deeper.
const DEPTH: usize = 1024;
/// Bytes of a path at most (PATH_MAX, with its NUL).
const LENGTH: usize = 4095;

/// What a name asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The layer's root itself.
    Root,
    /// Something beneath it.
    Path(Path),
    /// `.wh.NAME`: what lower layers have by that name is hidden.
    Whiteout(Path),
    /// `.wh..wh..opq`: all that lower layers have in this directory is hidden.
    Opaque(Option<Path>),
    /// AUFS's own bookkeeping.
    Ignored,
}

/// `a/b/c`: neither empty nor absolute, without `.` and `..`.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Path(Vec<u8>);

impl Path {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directory that it is in, None for the root, and its last component.
    pub(super) fn split(&self) -> (Option<&[u8]>, &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Some(&self.0[..slash]), &self.0[slash + 1..]),
            None => (None, &self.0),
        }
    }
}

/// Cleans a name: a leading slash and `.` mean nothing, `..` goes up, but never out.
pub(super) fn clean(name: &[u8]) -> Result<Option<Path>, UnpackError> {
    let wrong = |why| UnpackError::Name {
        path: shown(name),
        why,
    };
    let mut components: Vec<&[u8]> = Vec::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop().ok_or(wrong("it leads out of the layer"))?;
            }
            name => components.push(name),
        }
    }
    if components.len() > DEPTH {
        return Err(wrong("it is more than 1,024 directories deep"));
    }
    let path = components.join(&b'/');
    if path.len() > LENGTH {
        return Err(wrong("it has more than 4,095 bytes"));
    }
    Ok((!path.is_empty()).then_some(Path(path)))
}

/// What an entry's name means in a layer (image-spec layer.md, "Whiteouts").
pub(super) fn name(raw: &[u8]) -> Result<Name, UnpackError> {
    let Some(path) = clean(raw)? else {
        return Ok(Name::Root);
    };
    let (parent, last) = path.split();
    let Some(hidden) = last.strip_prefix(b".wh.") else {
        return Ok(Name::Path(path));
    };
    if hidden == b".wh..opq" {
        return Ok(Name::Opaque(parent.map(|parent| Path(parent.to_vec()))));
    }
    if hidden.starts_with(b".wh.") {
        return Ok(Name::Ignored);
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(UnpackError::Name {
            path: shown(raw),
            why: "it is a whiteout of no name",
        });
    }
    let target = match parent {
        Some(parent) => [parent, b"/", hidden].concat(),
        None => hidden.to_vec(),
    };
    Ok(Name::Whiteout(Path(target)))
}

/// A name as an error shows it.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |raw: &str, expect: &str| {
            let found = match name(raw.as_bytes()) {
                Ok(Name::Root) => "root".to_owned(),
                Ok(Name::Path(path)) => shown(path.bytes()),
                Ok(Name::Whiteout(path)) => format!("hide {}", shown(path.bytes())),
                Ok(Name::Opaque(None)) => "opaque root".to_owned(),
                Ok(Name::Opaque(Some(path))) => format!("opaque {}", shown(path.bytes())),
                Ok(Name::Ignored) => "ignored".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expect), "{raw}: {found}");
        };
        check("", "root");
        check("./", "root");
        check("/", "root");
        check("a/..", "root");
        check("./a//b/", "a/b");
        check("/etc/../usr/x", "usr/x");
        check("..", "leads out");
        check("a/../../b", "leads out");
        check("/../etc/passwd", "leads out");
        check(".wh.a", "hide a");
        check("d/.wh.a", "hide d/a");
        check(".wh..wh..opq", "opaque root");
        check("d/.wh..wh..opq", "opaque d");
        check(".wh..wh.plnk/1.2", "1.2");
        check(".wh..wh.aufs", "ignored");
        check("d/.wh.", "whiteout of no name");
        check("d/.wh..", "whiteout of no name");
        check("d/.wh...", "whiteout of no name");
        check(&"d/".repeat(1025), "1,024");
        check(&"d".repeat(4096), "4,095");
    }
}
