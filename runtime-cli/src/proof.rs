//! The tests' hooks, told by the environment. Only with the feature `proof`.
use crate::error::Failure;
use std::collections::BTreeSet;

/// Arms the fault of `TARE_FAULT`, and keeps times in the file `TARE_TIMES`.
pub fn arm() -> Result<(), Failure> {
    if let Some(file) = std::env::var_os("TARE_TIMES") {
        tare_runtime::keep_times(file.into());
    }
    match std::env::var("TARE_FAULT") {
        Ok(text) => {
            tare_runtime::fault::arm(text.parse().map_err(Failure::new)?);
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

/// What this process has open: number and what it leads to.
pub struct Descriptors(BTreeSet<(u32, String)>);

impl Descriptors {
    /// Where a fault is asked for: what is open now.
    pub fn at_begin() -> Option<Descriptors> {
        std::env::var_os("TARE_FAULT").map(|_| Descriptors::now())
    }

    fn now() -> Descriptors {
        let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        // Collected first: what the reading itself has open is closed by then.
        let names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        let open = names.into_iter().filter_map(|path| {
            let number = path.file_name()?.to_str()?.parse().ok()?;
            let target = std::fs::read_link(&path).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        });
        Descriptors(open.collect())
    }

    /// The exit status: 99 with a complaint on stderr if something has been opened since and isn't closed.
    pub fn judge(&self, status: u8) -> u8 {
        let Descriptors(now) = Descriptors::now();
        // One for the whole process: the image of the child's program.
        let new = now
            .difference(&self.0)
            .filter(|(_, target)| !target.starts_with("/memfd:tare-init"));
        let new: Vec<String> = new
            .map(|(number, target)| format!("{number} -> {target}"))
            .collect();
        if new.is_empty() {
            return status;
        }
        eprintln!("descriptors left open: {}", new.join(", "));
        99
    }
}
