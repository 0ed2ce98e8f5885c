//! The steps that put a container into its cgroups: data, shown by `trun plan`, run by [`crate::Executor`].
use crate::devices::Rules;
use crate::systemd::Scope;
use std::borrow::Cow;
use std::fmt;

/// One step. Its `Display` is one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Makes a cgroup and its missing parents in one hierarchy and opens it.
    Make(Make),
    /// Writes settings into files of the container's cgroup, in order.
    Write {
        /// Label of the hierarchy, as in [`Make::label`].
        label: String,
        /// The settings.
        settings: Vec<Setting>,
    },
    /// Sets the device rules.
    Devices {
        /// Label of the hierarchy.
        label: String,
        /// The rules in the form that the hierarchy takes.
        rules: Rules,
    },
    /// Gives the v2 cgroup to a user, so that the container may make cgroups below (the runtime-spec's "cgroup ownership").
    Own {
        /// Label of the hierarchy.
        label: String,
        /// Host user id.
        uid: u32,
    },
    /// Puts the child into cgroups (a place step: needs the pid).
    Join {
        /// Labels of the hierarchies.
        labels: Vec<String>,
        /// Whether the child has one thread, which lets v1 use the cheap `tasks` file.
        single_threaded: bool,
    },
    /// Asks systemd for a transient scope around the child (a place step: needs the pid).
    Scope(Scope),
}

/// How [`Step::Make`] makes one cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// First controller of a v1 hierarchy (`memory`, `name=systemd`), or empty for v2.
    pub label: String,
    /// Mount point of the hierarchy.
    pub mount: String,
    /// Path below the mount point, starting with `/`. Where systemd makes the cgroup this is what is expected of it.
    pub path: String,
    /// v1 cpuset: give each new cgroup its parent's cpus and mems, without which it takes no process.
    pub inherit_cpuset: bool,
    /// v2: controllers to enable for the cgroup on the way down.
    pub enable: Vec<String>,
    /// Rootless and nothing asked: a refusal of the kernel (EACCES, EPERM, EROFS) leaves this hierarchy out.
    pub optional: bool,
    /// The cgroup may exist and have processes (systemd made it and moved the child).
    pub shared: bool,
}

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// File name in the cgroup directory.
    pub file: Cow<'static, str>,
    /// What to write, in one write.
    pub value: String,
    /// JSON path that it comes from.
    pub json: String,
    /// What an absent file means.
    pub missing: Missing,
    /// The kernel may take it only after a later setting of the same step (EINVAL): try again at the end of the step.
    pub again: bool,
}

/// What an absent file means: a choice that only the kernel can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The kernel can't do what was asked.
    Refuse,
    /// Nothing is lost by leaving it out.
    Skip,
    /// Write this file instead.
    Instead {
        /// File name.
        file: &'static str,
        /// Its value.
        value: String,
    },
}

impl Setting {
    pub(crate) fn new(
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        json: impl Into<String>,
    ) -> Setting {
        Setting {
            file: file.into(),
            value: value.to_string(),
            json: json.into(),
            missing: Missing::Refuse,
            again: false,
        }
    }

    pub(crate) fn or_skip(mut self) -> Setting {
        self.missing = Missing::Skip;
        self
    }

    pub(crate) fn or(mut self, file: &'static str, value: impl ToString) -> Setting {
        self.missing = Missing::Instead {
            file,
            value: value.to_string(),
        };
        self
    }

    pub(crate) fn again(mut self) -> Setting {
        self.again = true;
        self
    }
}

impl Step {
    /// JSON path of the value that the step comes from (of the first one, where it has several).
    pub fn json(&self) -> &str {
        match self {
            Step::Write { settings, .. } => settings
                .first()
                .map_or("linux.resources", |setting| &setting.json),
            Step::Devices { .. } => "linux.resources.devices",
            Step::Make(_) | Step::Own { .. } | Step::Join { .. } | Step::Scope(_) => {
                "linux.cgroupsPath"
            }
        }
    }

    /// Whether this is the v2 join that a child cloned with `CLONE_INTO_CGROUP` doesn't need.
    pub fn is_unified_join(&self) -> bool {
        matches!(self, Step::Join { labels, .. } if labels.iter().all(String::is_empty))
    }
}

impl Make {
    /// The cgroup's directory.
    pub fn directory(&self) -> String {
        if self.path == "/" {
            self.mount.clone()
        } else {
            format!("{}{}", self.mount, self.path)
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Make(make) => make.fmt(out),
            Step::Write { settings, .. } => {
                for (index, setting) in settings.iter().enumerate() {
                    out.write_str(if index == 0 { "cgroup write " } else { ", " })?;
                    setting.fmt(out)?;
                }
                Ok(())
            }
            Step::Devices { rules, .. } => write!(out, "cgroup devices {rules}"),
            Step::Own { uid, .. } => write!(out, "cgroup own by uid {uid}"),
            Step::Join {
                labels,
                single_threaded,
            } => {
                let names: Vec<&str> = labels
                    .iter()
                    .map(|label| if label.is_empty() { "unified" } else { label })
                    .collect();
                let file = if *single_threaded {
                    "tasks"
                } else {
                    "cgroup.procs"
                };
                if self.is_unified_join() {
                    return out.write_str("cgroup join unified");
                }
                write!(out, "cgroup join {} ({file})", names.join(","))
            }
            Step::Scope(scope) => scope.fmt(out),
        }
    }
}

impl fmt::Display for Make {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cgroup make {}", self.directory())?;
        if self.inherit_cpuset {
            out.write_str(" with its parent's cpus and mems")?;
        }
        if !self.enable.is_empty() {
            write!(out, " enable {}", self.enable.join(" "))?;
        }
        if self.optional {
            out.write_str(" if permitted")?;
        }
        Ok(())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.file, self.value.escape_debug())?;
        match &self.missing {
            Missing::Refuse => Ok(()),
            Missing::Skip => out.write_str(" if present"),
            Missing::Instead { file, value } => write!(out, " or else {file} {value}"),
        }
    }
}
