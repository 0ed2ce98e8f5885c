//! Registries: what they have is fetched, what they should have is sent (OCI distribution-spec 1.1).

mod answer;
mod auth;
mod body;
mod chunks;
mod credentials;
mod error;
mod hosts;
mod http;
mod push;
mod ranges;
mod referrers;
mod source;
mod tls;
mod upload;

pub use credentials::{Credentials, store as store_credentials};
pub use error::RegistryError;
pub use source::Outgoing;

use crate::manifest::{CONFIG_LIMIT, Descriptor, Document, MANIFEST_LIMIT, media};
use crate::{Digest, Reference};
use body::Resuming;
use http::{Ask, Http, Payload, Purpose};
use ranges::Ranges;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Method;

/// How registries are reached. Nothing is read from the environment unless it is said here.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Docker's `config.json`; None: nobody is known anywhere.
    pub docker_config: Option<PathBuf>,
    /// Credentials for one registry, before all others.
    pub credentials: Option<(String, Credentials)>,
    /// Directories with `REGISTRY/hosts.toml` or `REGISTRY/*.crt`.
    pub hosts: Vec<PathBuf>,
    /// Registries that need no TLS, or whose certificate is not checked.
    pub insecure: Vec<String>,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed.
    pub proxy_from_environment: bool,
    /// Files of trusted authorities; the first that can be read is taken.
    pub roots: Vec<PathBuf>,
    /// What the requests say of who asks.
    pub user_agent: String,
    /// How often a request is repeated that failed in a way that may pass.
    pub retries: u32,
    /// Bytes of a chunk: larger blobs are sent in several, so that one connection that breaks does not cost all, and below what
    /// proxies let pass at once.
    pub chunk: u64,
    /// Bytes of a part, where one large blob comes over several connections, which takes the memory of five; 0: none ever does.
    pub part: u64,
    /// How long a connection may bring and take nothing.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let roots = [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ];
        Self {
            docker_config: None,
            credentials: None,
            hosts: Vec::new(),
            insecure: Vec::new(),
            proxy_from_environment: false,
            roots: roots.iter().map(PathBuf::from).collect(),
            user_agent: concat!("tare/", env!("CARGO_PKG_VERSION")).to_owned(),
            retries: 4,
            chunk: 90 << 20,
            part: 2 << 20,
            idle: Duration::from_secs(60),
        }
    }
}

/// Speaks to registries; its clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    http: Arc<Http>,
}

/// A document as a registry gave it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes, whose digest is the descriptor's.
    pub content: Vec<u8>,
    /// What it is.
    pub descriptor: Descriptor,
    /// The same, read.
    pub document: Document,
}

const MANIFESTS: [&str; 4] = [
    media::INDEX,
    media::MANIFEST,
    media::DOCKER_LIST,
    media::DOCKER_MANIFEST,
];

impl Client {
    /// Nothing is connected yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            http: Arc::new(Http::new(settings)),
        }
    }

    /// Whether the registry takes the credentials: an error if not.
    pub fn check(&self, registry: &str) -> Result<(), RegistryError> {
        let ask = Ask {
            registry,
            repository: "",
            purpose: Purpose::Resolve,
            method: Method::GET,
            path: "/",
            headers: &[],
            payload: Payload::None,
            what: "the login",
            also: None,
        };
        self.http.send(&ask).map(drop)
    }

    /// The manifest or index that a reference names.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched, RegistryError> {
        let host = || reference.registry().to_owned();
        let what = format!("the image {}", reference.familiar());
        let path = format!(
            "/{}/manifests/{}",
            reference.repository(),
            reference.wanted()
        );
        let accept = [("accept", MANIFESTS.join(", "))];
        let ask = Ask {
            registry: reference.registry(),
            repository: reference.repository(),
            purpose: if reference.digest().is_some() {
                Purpose::Pull
            } else {
                Purpose::Resolve
            },
            method: Method::GET,
            path: &path,
            headers: &accept,
            payload: Payload::None,
            what: &what,
            also: None,
        };
        let mut response = self.http.send(&ask)?;
        let media_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or("").to_owned();
        let content = read(&mut response, MANIFEST_LIMIT, &ask)?;
        let found = Digest::of(&content);
        if let Some(expected) = reference.digest()
            && expected != found
        {
            return Err(RegistryError::Digest {
                host: host(),
                found,
                expected,
            });
        }
        let wrong = |source| RegistryError::Document {
            host: host(),
            what: what.clone(),
            source,
        };
        let document = Document::read(&content, &media_type).map_err(wrong)?;
        let own = match &document {
            Document::Manifest(manifest) => manifest.media_type.clone(),
            Document::Index(index) => index.media_type.clone(),
        };
        let media_type = if own.is_empty() {
            media_type.split(';').next().unwrap_or("").trim().to_owned()
        } else {
            own
        };
        Ok(Fetched {
            descriptor: Descriptor::new(&media_type, found, content.len() as u64),
            content,
            document,
        })
    }

    /// A small blob, whole: an image's config.
    pub fn small_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!(
            "the config {} of {}",
            descriptor.digest,
            reference.familiar()
        );
        let path = format!("/{}/blobs/{}", reference.repository(), descriptor.digest);
        let ask = Ask {
            registry: reference.registry(),
            repository: reference.repository(),
            purpose: Purpose::Pull,
            method: Method::GET,
            path: &path,
            headers: &[],
            payload: Payload::None,
            what: &what,
            also: None,
        };
        let mut response = self.http.send(&ask)?;
        let content = read(&mut response, CONFIG_LIMIT, &ask)?;
        let found = Digest::of(&content);
        match found == descriptor.digest {
            true => Ok(content),
            false => Err(RegistryError::Digest {
                host: reference.registry().to_owned(),
                found,
                expected: descriptor.digest,
            }),
        }
    }

    /// A blob's bytes as they come; a connection that breaks is taken up by another. Whether they are the right ones is the
    /// reader's to see.
    pub fn blob(&self, reference: &Reference, descriptor: &Descriptor) -> impl Read + Send + use<> {
        self.blob_from(reference, descriptor, 0)
    }

    /// The same from a byte on.
    pub fn blob_from(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        position: u64,
    ) -> impl Read + Send + use<> {
        Ranges::new(Resuming {
            http: Arc::clone(&self.http),
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            path: format!("/{}/blobs/{}", reference.repository(), descriptor.digest),
            what: format!(
                "the layer {} of {}",
                descriptor.digest,
                reference.familiar()
            ),
            whole: descriptor.size,
            size: descriptor.size,
            position,
            reader: None,
            failures: 0,
            exact: false,
        })
    }
}

fn read(
    response: &mut ureq::http::Response<ureq::Body>,
    limit: u64,
    ask: &Ask,
) -> Result<Vec<u8>, RegistryError> {
    let read = response.body_mut().with_config().limit(limit).read_to_vec();
    read.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => RegistryError::TooLarge {
            host: ask.registry.to_owned(),
            what: ask.what.to_owned(),
            limit,
        },
        error => http::unreachable(ask.registry, &error),
    })
}
