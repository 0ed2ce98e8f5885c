//! `--version`: lines that go-runc, CRI-O and crun's suite read.

/// The release of runc whose command line and behaviour are followed; go-runc wants to see one.
const FOLLOWED: &str = "1.3.0";

/// The text.
pub fn text() -> String {
    format!(
        "runc version {FOLLOWED} (trun {})\ncommit: {}\nspec: {}\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("TARE_COMMIT").unwrap_or("unknown"),
        tare_runtime::config::OCI_VERSION_NEWEST,
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lines_callers_look_for() {
        let text = super::text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("runc version 1."));
        assert!(lines[0].contains(concat!("trun ", env!("CARGO_PKG_VERSION"))));
        assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."));
        assert!(lines[3].starts_with('+') && !lines[3].contains("CRIU"));
    }
}
