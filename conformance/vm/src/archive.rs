//! Debian's archive as this machine's apt is set up for it, asked for other releases through a private apt.

use crate::process;
use crate::scenario::Release;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where apt fetches from.
#[derive(Debug, PartialEq)]
pub struct Archive {
    pub main: String,
    pub security: Option<String>,
}

/// The URIs that are configured here.
pub fn find() -> Result<Archive, String> {
    let targets = process::text(
        "apt-get",
        &["indextargets", "--format", "$(REPO_URI) $(RELEASE)"],
    )?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    choose(&targets, codename(&release)).ok_or_else(|| {
        "apt has no Debian archive configured: `apt-get indextargets` names no release of /etc/os-release".into()
    })
}

fn codename(release: &str) -> &str {
    release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or_default()
}

fn choose(targets: &str, codename: &str) -> Option<Archive> {
    let of = |wanted: &str| {
        targets
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, release)| *release == wanted)
            .map(|(uri, _)| uri.trim_end_matches('/').to_owned())
    };
    Some(Archive {
        main: of(codename)?,
        security: of(&format!("{codename}-security")),
    })
}

impl Archive {
    /// One line of sources.list each. Old stable's kernel is newest in the security archive.
    pub fn sources(&self, release: Release) -> Vec<String> {
        let name = release.codename();
        let mut lines = vec![format!("deb [trusted=yes] {} {name} main", self.main)];
        if let (Release::Bullseye, Some(uri)) = (release, &self.security) {
            lines.push(format!("deb [trusted=yes] {uri} {name}-security main"));
        }
        lines
    }
}

/// An apt of its own directories, so that nothing of the machine's changes; one run at a time has it, the others wait.
pub struct Apt {
    options: Vec<String>,
    lists: PathBuf,
    /// Locked until this is dropped: apt's own lock refuses instead of waiting.
    _turn: File,
}

impl Apt {
    pub fn new(archive: &Archive, release: Release, cache: &Path) -> Result<Apt, String> {
        let base = cache.join(format!("apt-{}", release.codename()));
        let lists = base.join("lists");
        let sources = base.join("sources.list");
        let make = || {
            fs::create_dir_all(lists.join("partial"))?;
            fs::create_dir_all(base.join("cache/archives/partial"))?;
            fs::write(&sources, archive.sources(release).join("\n") + "\n")
        };
        let io = |error| format!("{}: {error}", base.display());
        fs::create_dir_all(&base).map_err(io)?;
        let turn = take_turn(&base)?;
        make().map_err(io)?;
        let set = |name: &str, value: &Path| format!("-o{name}={}", value.display());
        let options = vec![
            set("Dir::Etc::sourcelist", &sources),
            set("Dir::Etc::sourceparts", Path::new("-")),
            set("Dir::State::lists", &lists),
            set("Dir::State::status", Path::new("/dev/null")),
            set("Dir::Cache", &base.join("cache")),
            "-oAPT::Sandbox::User=root".into(),
            "-oAcquire::Check-Valid-Until=false".into(),
            "-oAcquire::Languages=none".into(),
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        ];
        let apt = Apt {
            options,
            lists,
            _turn: turn,
        };
        apt.run("apt-get", &["update", "-qq"])?;
        Ok(apt)
    }

    /// What the archive says of itself: as long as it stays the same, so do its packages.
    pub fn state(&self) -> Result<String, String> {
        let fail = |error| format!("{}: {error}", self.lists.display());
        let mut found: Vec<PathBuf> = fs::read_dir(&self.lists)
            .map_err(fail)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().ends_with("Release"))
            .collect();
        found.sort();
        let texts: Result<Vec<String>, _> = found.iter().map(fs::read_to_string).collect();
        Ok(texts.map_err(fail)?.concat())
    }

    /// The package that a meta package stands for.
    pub fn dependency(&self, meta: &str, prefix: &str) -> Result<String, String> {
        let text = self.run("apt-cache", &["depends", meta])?;
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .ok_or_else(|| format!("{meta} depends on no {prefix}*:\n{text}"))
    }

    /// Fetches a package's file into the directory.
    pub fn download(&self, package: &str, directory: &Path) -> Result<PathBuf, String> {
        let mut arguments: Vec<&str> = self.options.iter().map(String::as_str).collect();
        arguments.extend(["download", "-qq", package]);
        let status = std::process::Command::new("apt-get")
            .args(&arguments)
            .current_dir(directory)
            .output()
            .map_err(|error| format!("apt-get did not start: {error}"))?;
        let text = String::from_utf8_lossy(&status.stderr).into_owned();
        fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .ok_or_else(|| format!("apt-get download {package}: {text}"))
    }

    fn run(&self, program: &str, words: &[&str]) -> Result<String, String> {
        let mut arguments: Vec<&str> = self.options.iter().map(String::as_str).collect();
        arguments.extend(words);
        process::text(program, &arguments)
    }
}

/// Waits until no other run has this directory; the kernel ends a turn with its process.
fn take_turn(base: &Path) -> Result<File, String> {
    let path = base.join("turn");
    let take = || {
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    take().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_second_run_waits_for_its_turn() {
        let base = std::env::temp_dir().join(format!("tare-vm-turn-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let first = take_turn(&base).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| tell.send(take_turn(&base).map(drop)).unwrap());
            let early = told.recv_timeout(Duration::from_millis(100));
            drop(first);
            assert!(early.is_err(), "it did not wait: {early:?}");
            assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(Ok(())));
        });
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn the_mirror_is_the_one_of_this_release() {
        let targets = "http://a/debian-security/ bookworm-security\nhttp://b/ nodistro\nhttp://a/debian/ bookworm-updates\nhttp://a/debian/ bookworm\n";
        let found = choose(targets, codename("ID=debian\nVERSION_CODENAME=bookworm\n")).unwrap();
        assert_eq!(found.main, "http://a/debian");
        assert_eq!(found.security.as_deref(), Some("http://a/debian-security"));
        assert_eq!(
            found.sources(Release::Bullseye),
            [
                "deb [trusted=yes] http://a/debian bullseye main",
                "deb [trusted=yes] http://a/debian-security bullseye-security main"
            ]
        );
        assert_eq!(choose(targets, "sid"), None);
    }
}
