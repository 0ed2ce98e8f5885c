//! What people, registries and archives say of images: the first byte tells what the rest is.
use tare_image::manifest::{Config, Document};
use tare_image::policy::Policy;
use tare_image::{Digest, Platform, Reference};

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind {
        b'r' => {
            if let Ok(reference) = text.parse::<Reference>() {
                let full = reference.to_string();
                assert_eq!(full.parse(), Ok(reference.clone()), "{full}");
                assert_eq!(reference.familiar().parse(), Ok(reference.clone()));
                // They become paths of the store and of URLs; a tag only behind a colon or a slash, and never as `..`.
                let place = format!("{}/{}", reference.registry(), reference.repository());
                assert!(!place.contains("..") && !place.contains("//") && !full.contains('\0'));
                assert!(
                    reference
                        .tag()
                        .is_none_or(|tag| !tag.starts_with('.') && !tag.contains('/'))
                );
                assert!(reference.repository().len() <= 255);
            }
        }
        b'd' => {
            if let Ok(digest) = text.parse::<Digest>() {
                assert_eq!(digest.to_string(), text);
            }
        }
        b'p' => {
            if let Ok(platform) = text.parse::<Platform>() {
                assert!(platform.rank(&platform).is_some(), "{platform}");
                assert_eq!(platform.to_string().parse(), Ok(platform));
            }
        }
        b'm' => {
            if let Ok(document) = Document::read(rest, "") {
                let (again, index) = match &document {
                    Document::Manifest(manifest) => (serde_json::to_vec(manifest), None),
                    Document::Index(index) => (serde_json::to_vec(index), Some(index)),
                };
                let again = Document::read(&again.expect("it came from JSON"), "");
                assert_eq!(again.as_ref(), Ok(&document));
                if let Some(index) = index {
                    let _ = index.choose(&Platform::host());
                }
            }
        }
        b'c' => {
            for layers in 0..3 {
                if let Ok(config) = Config::read(rest, layers) {
                    assert_eq!(config.rootfs.diff_ids.len(), layers);
                    let again = serde_json::to_vec(&config).expect("it came from JSON");
                    assert_eq!(Config::read(&again, layers), Ok(config));
                }
            }
        }
        b'o' => {
            if let Ok(policy) = serde_json::from_slice::<Policy>(rest) {
                let name = "docker.io/library/a".parse().expect("a name");
                let _ = policy.admit(&name, [Digest::of(b""); 2]);
            }
        }
        _ => {}
    }
}
