//! Which machine an image is for, and which of an index's images this machine takes (containerd's rules of variants).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `OS/ARCHITECTURE[/VARIANT]` in Go's words (OCI image-spec, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Platform {
    /// GOARCH: `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub architecture: String,
    /// GOOS: `linux`.
    #[serde(default)]
    pub os: String,
    /// `v7` of arm, `v8` of arm64, `v3` of amd64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Of windows.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
}

/// Text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no platform: say OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/amd64 or linux/arm/v7"
)]
pub struct PlatformError {
    text: String,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let architecture = std::env::consts::ARCH;
        Self::new("linux", architecture, None)
    }

    fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normal(architecture, variant);
        Self {
            architecture,
            os: os.to_owned(),
            variant,
            os_version: None,
        }
    }

    /// How well an image's platform suits a machine of this one: the best has the highest; None: not at all.
    ///
    /// An arm machine runs images of lower variants too, and an amd64 machine those of lower levels.
    pub fn rank(&self, image: &Platform) -> Option<u32> {
        let (architecture, variant) = normal(&image.architecture, image.variant.as_deref());
        if image.os != self.os {
            return None;
        }
        let (own, other) = (
            level(&self.architecture, self.variant.as_deref()),
            level(&architecture, variant.as_deref()),
        );
        if architecture == self.architecture {
            return match (own, other) {
                (Some(own), Some(other)) => (other <= own).then_some(100 + other),
                _ => (variant == self.variant).then_some(100),
            };
        }
        // Most arm64 machines run programs of arm; only if nothing better is there.
        (self.architecture == "arm64" && architecture == "arm").then_some(other.unwrap_or(0))
    }
}

/// Number of a variant; images without one are made for the lowest that is common.
fn level(architecture: &str, variant: Option<&str>) -> Option<u32> {
    let number = |text: &str| text.strip_prefix('v')?.split('.').next()?.parse().ok();
    match (architecture, variant) {
        ("amd64", None) => Some(1),
        ("arm", None) => Some(7),
        ("arm64", None) => Some(8),
        (_, None) => Some(0),
        (_, Some(variant)) => number(variant),
    }
}

/// Other programs' words for the same (containerd/platforms, `normalizeArch`).
fn normal(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let variant = variant
        .filter(|variant| !variant.is_empty())
        .map(|variant| {
            let digits = variant.bytes().all(|byte| byte.is_ascii_digit());
            if digits {
                format!("v{variant}")
            } else {
                variant.to_lowercase()
            }
        });
    let architecture = architecture.to_lowercase();
    match (architecture.as_str(), variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", Some("v1")) => ("amd64".to_owned(), None),
        ("x86_64" | "x86-64", _) => ("amd64".to_owned(), variant),
        ("x86" | "i386" | "i686", _) => ("386".to_owned(), None),
        ("aarch64" | "arm64", Some("v8" | "v8.0")) => ("arm64".to_owned(), None),
        ("aarch64", _) => ("arm64".to_owned(), variant),
        ("armhf", _) => ("arm".to_owned(), Some("v7".to_owned())),
        ("armel", _) => ("arm".to_owned(), Some("v6".to_owned())),
        ("powerpc64le" | "powerpc64", _) => ("ppc64le".to_owned(), variant),
        ("riscv64gc", _) => ("riscv64".to_owned(), variant),
        _ => (architecture, variant),
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError {
            text: text.chars().take(100).collect(),
        };
        let word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(error());
        }
        match parts.as_slice() {
            [architecture] if *architecture != "linux" => {
                Ok(Self::new("linux", architecture, None))
            }
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_an_index() {
        let check = |host: &str, images: &[&str], expect: Option<&str>| {
            let host: Platform = host.parse().unwrap();
            let images: Vec<Platform> = images.iter().map(|image| image.parse().unwrap()).collect();
            let ranked = images
                .iter()
                .filter_map(|image| Some((host.rank(image)?, image)));
            let best = ranked
                .max_by_key(|(rank, _)| *rank)
                .map(|(_, image)| image.to_string());
            assert_eq!(best.as_deref(), expect, "{host}");
        };
        check(
            "linux/amd64",
            &["linux/386", "linux/arm64", "linux/amd64"],
            Some("linux/amd64"),
        );
        check("linux/amd64", &["linux/arm64", "windows/amd64"], None);
        check(
            "linux/amd64",
            &["linux/amd64/v3", "linux/amd64"],
            Some("linux/amd64"),
        );
        check(
            "linux/amd64/v3",
            &["linux/amd64/v2", "linux/amd64/v4", "linux/amd64"],
            Some("linux/amd64/v2"),
        );
        check(
            "linux/arm/v7",
            &["linux/arm/v5", "linux/arm/v6", "linux/arm64"],
            Some("linux/arm/v6"),
        );
        check("linux/arm/v6", &["linux/arm/v7"], None);
        check(
            "linux/arm64",
            &["linux/arm/v7", "linux/arm64/v8"],
            Some("linux/arm64"),
        );
        check(
            "linux/arm64",
            &["linux/arm/v6", "linux/arm/v7"],
            Some("linux/arm/v7"),
        );
        check("linux/x86_64", &["linux/amd64"], Some("linux/amd64"));
        check("linux/s390x", &["linux/s390x"], Some("linux/s390x"));
    }

    #[test]
    fn text() {
        for wrong in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
        assert_eq!(
            "aarch64".parse::<Platform>().unwrap().to_string(),
            "linux/arm64"
        );
        assert_eq!(
            "linux/arm/7".parse::<Platform>().unwrap().to_string(),
            "linux/arm/v7"
        );
    }
}
