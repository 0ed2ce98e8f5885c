//! New limits for a live container.
use super::Container;
use crate::Status;
use crate::error::Error;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tare_oci::Resources;

/// New lines for the container's resctrl group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RdtUpdate {
    /// `L3:0=...`, empty to leave it.
    pub l3_cache_schema: String,
    /// `MB:0=...`, empty to leave it.
    pub mem_bw_schema: String,
}

impl Container {
    /// Changes limits; what is absent stays. Returns what was left out, with reasons.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; a value that the spec or the kernel refuses, by its JSON path.
    pub fn update(&mut self, resources: &Resources, rdt: &RdtUpdate) -> Result<Vec<String>, Error> {
        let _lock = self.dir.lock()?;
        if let Some(record) = self.dir.read()? {
            self.record = record;
        }
        match self.status()? {
            Status::Stopped | Status::Creating => {
                return Err(Error::NotRunning {
                    status: self.status()?,
                });
            }
            _ => {}
        }
        let skips = self.cgroup().update(resources)?;
        self.update_rdt(rdt)?;
        let merged = merge(self.record.config.resources.take(), resources)?;
        self.record.config.resources = Some(merged);
        self.dir.write(&self.record)?;
        Ok(skips.iter().map(ToString::to_string).collect())
    }

    fn update_rdt(&self, rdt: &RdtUpdate) -> Result<(), Error> {
        if *rdt == RdtUpdate::default() {
            return Ok(());
        }
        if self.record.intel_rdt_path.is_empty() {
            return Err(Error::Config {
                path: "linux.intelRdt".to_owned(),
                why: "the container was created without it, so it has no resctrl group to update"
                    .to_owned(),
            });
        }
        let path = Path::new(&self.record.intel_rdt_path).join("schemata");
        // The kernel takes one resource a write.
        for line in [&rdt.l3_cache_schema, &rdt.mem_bw_schema]
            .into_iter()
            .filter(|line| !line.is_empty())
        {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&path, flags, Mode::empty())
                .map_err(|errno| Error::path("open", &path, errno))?;
            File::from(fd)
                .write_all(format!("{line}\n").as_bytes())
                .map_err(|error| Error::path("write", &path, &error))?;
        }
        Ok(())
    }
}

/// Lays one document over the other; members of objects one by one, lists as a whole.
fn merge(old: Option<Resources>, new: &Resources) -> Result<Resources, Error> {
    let fail = |error: serde_json::Error| Error::Config {
        path: "linux.resources".to_owned(),
        why: error.to_string(),
    };
    let mut value = serde_json::to_value(old.unwrap_or_default()).map_err(fail)?;
    lay_over(&mut value, serde_json::to_value(new).map_err(fail)?);
    serde_json::from_value(value).map_err(fail)
}

fn lay_over(old: &mut serde_json::Value, new: serde_json::Value) {
    match (old, new) {
        (serde_json::Value::Object(old), serde_json::Value::Object(new)) => {
            for (key, value) in new {
                lay_over(old.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (_, serde_json::Value::Null) => {}
        (old, new) => *old = new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let old: Resources = serde_json::from_str(
            r#"{"memory":{"limit":100,"swap":200},"cpu":{"shares":5},"pids":{"limit":9}}"#,
        )
        .unwrap();
        let new: Resources =
            serde_json::from_str(r#"{"memory":{"limit":150},"cpu":{"quota":7}}"#).unwrap();
        let merged = merge(Some(old), &new).unwrap();
        let memory = merged.memory.unwrap();
        assert_eq!((memory.limit, memory.swap), (Some(150), Some(200)));
        let cpu = merged.cpu.unwrap();
        assert_eq!((cpu.shares, cpu.quota), (Some(5), Some(7)));
        assert!(merged.pids.is_some());
    }
}
