//! Which images may be used at all, asked before anything of theirs is unpacked.

use crate::{Digest, Reference};
use serde::Deserialize;

/// What is demanded of images, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Of images that no rule speaks of.
    pub default: Requirement,
    /// The longest prefix that fits decides.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What is demanded of the images of a registry, of some of its repositories, or of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The beginning of a full name, up to a slash or its end: `registry.example`, `docker.io/library`.
    pub prefix: String,
    /// What is demanded.
    pub require: Requirement,
}

/// A demand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Requirement {
    /// Nothing.
    Accept,
    /// What can't be met.
    Reject,
    /// That it is one of these.
    Digests(Vec<Digest>),
    /// A signature by the key in this file. No signature can be checked yet, so this refuses.
    SignedBy(String),
}

/// Why an image may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy refuses {name}: {why}")]
pub struct Refused {
    /// The image.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default: Requirement::Accept,
            rules: Vec::new(),
        }
    }
}

impl Policy {
    /// Whether an image may be used: by its name, the digest of what the name stands for, and that of its manifest.
    pub fn admit(&self, reference: &Reference, digests: [Digest; 2]) -> Result<(), Refused> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let fits = |rule: &&Rule| {
            let rest = name.strip_prefix(rule.prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rule = self
            .rules
            .iter()
            .filter(fits)
            .max_by_key(|rule| rule.prefix.len());
        let why = match rule.map_or(&self.default, |rule| &rule.require) {
            Requirement::Accept => return Ok(()),
            Requirement::Reject => "images of this name are not accepted".to_owned(),
            Requirement::Digests(known) if digests.iter().any(|digest| known.contains(digest)) => {
                return Ok(());
            }
            Requirement::Digests(_) => {
                format!("{} is none of the digests that are accepted", digests[0])
            }
            Requirement::SignedBy(key) => {
                format!("it must be signed by {key}, and signatures can't be checked yet")
            }
        };
        Err(Refused {
            name: reference.familiar(),
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let known = Digest::of(b"known");
        let text = format!(
            r#"{{"default":"reject","rules":[
                {{"prefix":"docker.io/library","require":"accept"}},
                {{"prefix":"docker.io/library/debian","require":{{"digests":["{known}"]}}}},
                {{"prefix":"signed.lan/","require":{{"signedBy":"/key.pem"}}}}
            ]}}"#
        );
        let policy: Policy = serde_json::from_str(&text).unwrap();
        let check = |name: &str, digest: Digest, expect: &str| {
            let found = policy.admit(&name.parse().unwrap(), [digest, digest]);
            let found = found.map_or_else(|error| error.to_string(), |()| "accepted".to_owned());
            assert!(found.contains(expect), "{name}: {found}");
        };
        check("busybox", known, "accepted");
        check("a/library", known, "not accepted");
        check("docker.io/library-x/a", known, "not accepted");
        check("debian", known, "accepted");
        check("debian", Digest::of(b"other"), "none of the digests");
        check("signed.lan/a", known, "signed by /key.pem");
        assert!(serde_json::from_str::<Policy>(r#"{"default":"maybe"}"#).is_err());
    }
}
