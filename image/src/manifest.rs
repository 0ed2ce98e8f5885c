//! The documents that describe an image: index, manifest, config. Read thinly; what isn't known here is kept.

use crate::{Digest, Platform};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Media types, by OCI's name and docker's (image-spec media-types.md; distribution spec/manifest-v2-2.md).
pub mod media {
    /// An OCI index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image's config.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

    /// Whether a layer is one of those that may not be pushed.
    pub fn is_foreign(media_type: &str) -> bool {
        media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
            || media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
    }
}

/// Bytes of an index or manifest at most, as docker's registry client has it.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// Bytes of a config at most.
pub const CONFIG_LIMIT: u64 = 8 << 20;
/// Layers of an image at most: as many as an overlay mount of Linux stacks.
pub const LAYERS_LIMIT: usize = 500;

/// Why a document describes no image that could be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is no JSON, or lacks what it must have.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What serde_json says.
        why: String,
    },
    /// It could be read as two things (CVE-2021-41190).
    #[error("the document is a manifest and an index at once: it has both layers and manifests")]
    Ambiguous,
    /// A manifest of before 2016.
    #[error(
        "the image has a manifest of docker's schema 1, which was given up in 2016: push it again with any newer docker"
    )]
    Schema1,
    /// Neither manifest nor index of an image.
    #[error("{media_type:?} is no image that can be pulled")]
    Type {
        /// The media type that it has.
        media_type: String,
    },
    /// More layers than the kernel stacks.
    #[error("the image has {count} layers; Linux stacks at most {LAYERS_LIMIT}")]
    Layers {
        /// How many.
        count: usize,
    },
    /// Manifest and config don't fit together.
    #[error("the manifest has {layers} layers and the config {diff_ids}")]
    Count {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// Nothing for this machine.
    #[error("no image for {wanted} in the index: it has {found}")]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What there is, with commas.
        found: String,
    },
}

/// Where content is and how much of it (image-spec descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// In an index: for whom it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations, URLs, and what later versions bring.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// Of content at hand.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// From its three parts.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            other: Map::new(),
        }
    }

    /// What an artifact's manifest says that it is.
    pub fn artifact_type(&self) -> Option<&str> {
        self.other.get("artifactType").and_then(Value::as_str)
    }
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The config.
    pub config: Descriptor,
    /// From the lowest to the uppermost.
    pub layers: Vec<Descriptor>,
    /// Annotations, subject, and what later versions bring.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Several images of one name, by platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The images, or further indexes.
    pub manifests: Vec<Descriptor>,
    /// Annotations, and what later versions bring.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// One of several.
    Index(Index),
}

impl Document {
    /// Reads what a registry or an archive has; `media_type` is what it is said to be, empty where nobody says.
    pub fn read(content: &[u8], media_type: &str) -> Result<Self, DocumentError> {
        let value: Value = parse(content, "the manifest")?;
        let has = |key: &str| value.get(key).is_some();
        if has("manifests") && (has("layers") || has("config")) {
            return Err(DocumentError::Ambiguous);
        }
        let own = value.get("mediaType").and_then(Value::as_str);
        let own = own.unwrap_or(media_type);
        let own = own.split(';').next().unwrap_or("").trim();
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(DocumentError::Schema1);
        }
        match own {
            media::INDEX | media::DOCKER_LIST => parse(content, "the index").map(Self::Index),
            media::MANIFEST | media::DOCKER_MANIFEST => manifest(content),
            // Archives' indexes say nothing, and some registries answer with a general type.
            "" | "application/json" | "text/plain" | "application/octet-stream" => {
                match has("manifests") {
                    true => parse(content, "the index").map(Self::Index),
                    false => manifest(content),
                }
            }
            other => Err(DocumentError::Type {
                media_type: other.to_owned(),
            }),
        }
    }
}

fn manifest(content: &[u8]) -> Result<Document, DocumentError> {
    let manifest: Manifest = parse(content, "the manifest")?;
    if manifest.layers.len() > LAYERS_LIMIT {
        return Err(DocumentError::Layers {
            count: manifest.layers.len(),
        });
    }
    match manifest.config.media_type.as_str() {
        media::CONFIG | media::DOCKER_CONFIG | "" | "application/octet-stream" => {}
        other => {
            return Err(DocumentError::Type {
                media_type: other.to_owned(),
            });
        }
    }
    Ok(Document::Manifest(manifest))
}

impl Index {
    /// The image that suits a platform best; of equals the first.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor, DocumentError> {
        let mut best: Option<(u32, &Descriptor)> = None;
        for descriptor in &self.manifests {
            // Without a platform it is taken for any, if nothing better comes.
            let rank = match &descriptor.platform {
                None => Some(0),
                Some(platform) => wanted.rank(platform).map(|rank| rank + 1),
            };
            if let Some(rank) = rank
                && best.is_none_or(|(other, _)| rank > other)
            {
                best = Some((rank, descriptor));
            }
        }
        best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
            let platforms = self
                .manifests
                .iter()
                .filter_map(|found| found.platform.as_ref());
            let found: Vec<String> = platforms.map(Platform::to_string).collect();
            DocumentError::Platform {
                wanted: wanted.to_string(),
                found: if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.join(", ")
                },
            }
        })
    }
}

/// An image's config (image-spec config.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// For whom it is.
    #[serde(flatten)]
    pub platform: Platform,
    /// What a container of it runs.
    #[serde(default)]
    pub config: RunConfig,
    /// Its layers.
    pub rootfs: RootFs,
    /// How it was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Author, docker's own, and what later versions bring.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The digests of an image's layers, not compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// From the lowest to the uppermost.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Author and comment.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a container of the image runs unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user[:group]`, names or numbers; empty: root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `NAME=value`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and the words that always come first.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// Words that the user's replace.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// Where it begins; empty: `/`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Map::is_empty"
    )]
    pub labels: Map<String, Value>,
    /// What `stop` sends; empty: SIGTERM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Ports, volumes, health check, and what later versions bring.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Go writes an absent list as null.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Config {
    /// Reads a config, which must have a digest for each of a manifest's layers.
    pub fn read(content: &[u8], layers: usize) -> Result<Self, DocumentError> {
        let config: Config = parse(content, "the image's config")?;
        let diff_ids = config.rootfs.diff_ids.len();
        if diff_ids != layers {
            return Err(DocumentError::Count { layers, diff_ids });
        }
        Ok(config)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(
    content: &[u8],
    what: &'static str,
) -> Result<T, DocumentError> {
    serde_json::from_slice(content).map_err(|error| DocumentError::Malformed {
        what,
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest_text(extra: &str, layers: usize) -> String {
        let layer = format!(
            r#"{{"mediaType":"{}","digest":"{EMPTY}","size":1}}"#,
            media::LAYER_GZIP
        );
        let layers = vec![layer; layers].join(",");
        format!(
            r#"{{"schemaVersion":2,{extra}"config":{{"mediaType":"{}","digest":"{EMPTY}","size":2,"new":1}},"layers":[{layers}]}}"#,
            media::CONFIG
        )
    }

    #[test]
    fn documents() {
        let kind = |text: &str, media_type: &str| match Document::read(text.as_bytes(), media_type)
        {
            Ok(Document::Manifest(manifest)) => format!("manifest of {}", manifest.layers.len()),
            Ok(Document::Index(index)) => format!("index of {}", index.manifests.len()),
            Err(error) => error.to_string(),
        };
        let plain = manifest_text("", 2);
        assert_eq!(kind(&plain, media::MANIFEST), "manifest of 2");
        assert_eq!(kind(&plain, ""), "manifest of 2");
        assert_eq!(
            kind(
                &plain,
                "application/vnd.oci.image.manifest.v1+json; charset=utf-8"
            ),
            "manifest of 2"
        );
        assert!(
            kind(&plain, media::INDEX)
                .contains("the index is malformed: missing field `manifests`")
        );
        let both = manifest_text(r#""manifests":[],"#, 1);
        assert!(kind(&both, media::MANIFEST).contains("at once"));
        assert!(kind(r#"{"schemaVersion":1,"fsLayers":[]}"#, "").contains("schema 1"));
        assert_eq!(
            kind(r#"{"schemaVersion":2,"manifests":[]}"#, ""),
            "index of 0"
        );
        assert!(kind("{", "").contains("malformed"));
        assert!(kind(&plain, "image/png").contains("is no image"));
        assert!(kind(&manifest_text("", 501), "").contains("501 layers"));
        let artifact = plain.replace(media::CONFIG, "application/vnd.cncf.helm.config.v1+json");
        assert!(kind(&artifact, "").contains("helm"));
    }

    #[test]
    fn unknown_fields_are_kept() {
        let text = manifest_text(r#""annotations":{"a":"b"},"#, 1);
        let Ok(Document::Manifest(manifest)) = Document::read(text.as_bytes(), "") else {
            panic!("a manifest");
        };
        let again: Value =
            serde_json::from_str(&serde_json::to_string(&manifest).unwrap()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn configs() {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":null,"Cmd":["sh"],"Volumes":{{"/v":{{}}}}}},"rootfs":{{"type":"layers","diff_ids":["{EMPTY}"]}},"docker_version":"1"}}"#
        );
        let config = Config::read(text.as_bytes(), 1).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert_eq!(config.platform.to_string(), "linux/amd64");
        let again = serde_json::to_string(&config).unwrap();
        assert!(
            again.contains(r#""Volumes":{"/v":{}}"#) && again.contains("docker_version"),
            "{again}"
        );
        assert_eq!(
            Config::read(text.as_bytes(), 2),
            Err(DocumentError::Count {
                layers: 2,
                diff_ids: 1
            })
        );
    }
}
