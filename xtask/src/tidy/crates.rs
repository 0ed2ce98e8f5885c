//! Which crate may import which, read from `cargo metadata`, and what each crate root forbids.

use crate::process;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// One workspace crate.
pub struct Package {
    /// The package name.
    pub name: String,
    /// What it depends on, of every kind, once each.
    pub dependencies: Vec<Dependency>,
    /// Its targets: kind, name, source path.
    pub targets: Vec<Target>,
}

/// One direct dependency.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The package name of the other side.
    pub name: String,
    /// Whether it is a crate of this workspace.
    pub local: bool,
}

/// One library, binary, test, ...
pub struct Target {
    /// `lib`, `bin`, `test`, `bench`, `example`, `custom-build`.
    pub kind: String,
    /// The target's name.
    pub name: String,
    /// The absolute path of its root file.
    pub source: String,
}

/// The workspace as cargo sees it.
pub struct Metadata {
    /// The crates, in cargo's order.
    pub packages: Vec<Package>,
}

/// Crate, and the crates of ours that it may import. Not in the list: may import none, and tidy says so.
const ALLOWED: [(&str, &[&str]); 21] = [
    (
        "trun",
        &["tare-runtime", "tare-supervisor", "tare-oci", "tare-sys"],
    ),
    (
        "tare-runtime",
        &[
            "tare-cgroup",
            "tare-seccomp",
            "tare-stage",
            "tare-sys",
            "tare-oci",
        ],
    ),
    ("tare-cgroup", &["tare-sys", "tare-oci"]),
    ("tare-seccomp", &["tare-oci"]),
    ("tare-stage", &["tare-sys"]),
    ("tare-sys", &[]),
    ("tare-oci", &[]),
    ("tare-supervisor", &["tare-runtime"]),
    ("tare-tar", &[]),
    ("tare-image", &["tare-sys", "tare-tar"]),
    (
        "tare",
        &[
            "tare-image",
            "tare-runtime",
            "tare-oci",
            "tare-sys",
            "tare-supervisor",
        ],
    ),
    (
        "tare-shim",
        &[
            "tare-runtime",
            "tare-shim-wire",
            "tare-supervisor",
            "tare-oci",
            "tare-sys",
        ],
    ),
    ("tare-shim-wire", &[]),
    ("tare-examples", &["tare-runtime", "tare-oci"]),
    ("tare-conformance", &[]),
    ("tare-shim-conformance", &[]),
    ("tare-many", &["tare-runtime", "tare-oci", "tare-sys"]),
    ("tare-vm", &[]),
    (
        "tare-benches",
        &["tare-runtime", "tare-oci", "tare-seccomp", "tare-cgroup"],
    ),
    (
        "tare-fuzz",
        &[
            "tare-runtime",
            "tare-cgroup",
            "tare-seccomp",
            "tare-stage",
            "tare-sys",
            "tare-oci",
            "tare-shim-wire",
            "tare-tar",
            "tare-image",
            "tare-supervisor",
        ],
    ),
    ("xtask", &[]),
];

/// Foreign crates that would be a second way to make system calls.
const SECOND_VOCABULARIES: [&str; 3] = ["libc", "nix", "syscalls"];

impl Metadata {
    /// Runs `cargo metadata`, without the network.
    pub fn read(root: &Path) -> Result<Metadata, String> {
        let arguments = [
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ];
        let text = process::output(root, &process::cargo(), &arguments, &[])?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Ok(Metadata {
            packages: list(&value["packages"]).iter().map(package).collect(),
        })
    }

    /// The target of a kind and name in a package.
    pub fn target(&self, package: &str, kind: &str, name: &str) -> Option<&Target> {
        let package = self
            .packages
            .iter()
            .find(|candidate| candidate.name == package)?;
        package
            .targets
            .iter()
            .find(|target| target.kind == kind && target.name == name)
    }
}

/// Every edge between our crates is on the list, and nobody imports a second system-call vocabulary.
pub fn edges(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            findings.push(format!(
                "{}: no line in the list of xtask/src/tidy/crates.rs",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.local && !allowed.contains(&dependency.name.as_str()) {
                findings.push(format!(
                    "{} must not import {}",
                    package.name, dependency.name
                ));
            }
            if SECOND_VOCABULARIES.contains(&dependency.name.as_str()) {
                findings.push(format!(
                    "{} imports {}: system calls go through tare-sys",
                    package.name, dependency.name
                ));
            }
        }
    }
    findings
}

/// Every library and binary forbids unsafe code; the runtime denies it (its one file opts in), `sys` is where it lives.
/// `stage-init` has no lint, because its symbol's attribute counts as unsafe to the compiler: the search for the keyword
/// holds it.
pub fn roots(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let wanted = match package.name.as_str() {
            "tare-sys" => continue,
            "tare-runtime" => "#![deny(unsafe_code)]",
            _ => "#![forbid(unsafe_code)]",
        };
        for target in &package.targets {
            if target.name == "stage-init" {
                continue;
            }
            let root = ["lib", "bin", "cdylib", "staticlib"].contains(&target.kind.as_str());
            let text = fs::read_to_string(&target.source).unwrap_or_default();
            if root && !text.lines().any(|line| line == wanted) {
                findings.push(format!(
                    "{} ({} {}): the crate root lacks {wanted}",
                    package.name, target.kind, target.name
                ));
            }
        }
    }
    findings
}

fn package(value: &Value) -> Package {
    let mut dependencies: Vec<Dependency> = list(&value["dependencies"])
        .iter()
        .map(|dependency| Dependency {
            name: text(&dependency["name"]),
            local: dependency["path"].is_string(),
        })
        .collect();
    dependencies.sort();
    dependencies.dedup();
    let targets = list(&value["targets"])
        .iter()
        .map(|target| Target {
            kind: list(&target["kind"]).first().map(text).unwrap_or_default(),
            name: text(&target["name"]),
            source: text(&target["src_path"]),
        })
        .collect();
    Package {
        name: text(&value["name"]),
        dependencies,
        targets,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A workspace for tests: package, its dependencies; a leading `+` marks a local one.
    pub fn workspace(packages: &[(&str, &[&str])]) -> Metadata {
        let packages = packages.iter().map(|(name, dependencies)| Package {
            name: (*name).to_owned(),
            dependencies: dependencies
                .iter()
                .map(|name| Dependency {
                    name: name.trim_start_matches('+').to_owned(),
                    local: name.starts_with('+'),
                })
                .collect(),
            targets: Vec::new(),
        });
        Metadata {
            packages: packages.collect(),
        }
    }

    #[test]
    fn only_listed_edges_pass() {
        assert!(edges(&workspace(&[("trun", &["+tare-runtime", "clap"])])).is_empty());
        assert_eq!(
            edges(&workspace(&[("tare-runtime", &["+trun"])])),
            ["tare-runtime must not import trun"]
        );
        assert_eq!(edges(&workspace(&[("trun", &["+xtask"])])).len(), 1);
        assert_eq!(edges(&workspace(&[("newcomer", &[])])).len(), 1);
        assert_eq!(edges(&workspace(&[("trun", &["nix"])])).len(), 1);
    }
}
