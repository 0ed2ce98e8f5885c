//! Archives in the format of an initramfs (cpio newc). No IO.

#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    count: u32,
}

impl Writer {
    pub fn directory(&mut self, path: &str) {
        self.entry(path, 0o040_755, &[]);
    }

    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) {
        self.entry(path, 0o100_000 | mode, content);
    }

    /// The archive; several may follow one another in one file.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.count += 1;
        let size = u32::try_from(content.len()).expect("a file of an initramfs is small");
        let name = u32::try_from(path.len() + 1).expect("a path is short");
        // inode, mode, uid, gid, links, time, size, two pairs of device numbers, length of the name, check sum.
        let fields = [self.count, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_ended() {
        let mut archive = Writer::default();
        archive.directory("a");
        archive.file("a/bc", b"five5", 0o755);
        let bytes = archive.finish();
        // Header 110, name with its zero padded to 4, content padded to 4.
        assert_eq!(bytes.len(), (110 + 2) + (110 + 6 + 8) + (110 + 11 + 3));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("070701").count(), 3);
        assert!(text.contains("000081ed"), "mode of a file: {text}");
        assert_eq!(text.find("five5"), Some(112 + 116), "{text:?}");
    }
}
