//! `ociVersion`: which documents this runtime speaks.
//!
//! Within 1.x every document is read: a newer minor only adds members, and callers (containerd, podman) stamp the newest version
//! they know on configs that use nothing of it. Another major version promises nothing, so it is refused, and so are the
//! drafts before 1.0.0 whose layout differed.
use super::{ConfigError, invalid};

/// The oldest version read.
pub const OLDEST: &str = "1.0.0";
/// The newest version whose every member is known.
pub const NEWEST: &str = "1.3.0";

/// Refuses all but SemVer 2.0 versions of major 1, pre-releases included.
pub(super) fn check(version: &str) -> Result<(), ConfigError> {
    if version.is_empty() {
        return invalid("is needed, for example \"1.2.0\"");
    }
    let Some(major) = parse(version) else {
        return invalid(format!(
            "{version:?} is not a version of the form MAJOR.MINOR.PATCH"
        ));
    };
    if major == "1" {
        Ok(())
    } else {
        invalid(format!(
            "{version:?} is not supported; versions {OLDEST} up to any 1.x are"
        ))
    }
}

/// The major part, where the whole is a SemVer version.
fn parse(version: &str) -> Option<&str> {
    let (version, build) = split(version, '+');
    let (core, prerelease) = split(version, '-');
    let identifiers = |text: Option<&str>| {
        text.is_none_or(|text| {
            text.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
        })
    };
    let mut numbers = core.split('.');
    let [major, minor, patch] = [numbers.next()?, numbers.next()?, numbers.next()?];
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let whole = numbers.next().is_none() && [major, minor, patch].into_iter().all(plain);
    (whole && identifiers(build) && identifiers(prerelease)).then_some(major)
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((left, right)) => (left, Some(right)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken() {
        for version in [
            OLDEST,
            NEWEST,
            "1.0.0-rc5",
            "1.0.2-dev",
            "1.2.1+build.7",
            "1.4.0",
            "1.99.1",
            "1.1.0-rc.1+x-y",
        ] {
            assert_eq!(check(version), Ok(()), "{version}");
        }
    }

    #[test]
    fn refused() {
        for (version, reason) in [
            ("", "is needed"),
            ("1", "is not a version"),
            ("1.0", "is not a version"),
            ("1.0.0.0", "is not a version"),
            ("v1.0.0", "is not a version"),
            ("1.0.0 ", "is not a version"),
            ("01.0.0", "is not a version"),
            ("1.0.0-", "is not a version"),
            ("1.0.0-a..b", "is not a version"),
            ("1.-1.0", "is not a version"),
            ("1.0.x", "is not a version"),
            ("2.0.0", "is not supported"),
            ("0.5.0", "is not supported"),
            ("10.0.0", "is not supported"),
        ] {
            let error = check(version).unwrap_err();
            assert!(error.reason.contains(reason), "{version}: {}", error.reason);
        }
    }
}
