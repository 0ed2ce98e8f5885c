//! What refers to an image: signatures, lists of its parts, attestations (OCI distribution-spec 1.1, "Listing Referrers" and "Referrers
//! Tag Schema").

use super::http::{Ask, Payload, Purpose};
use super::{Client, RegistryError, read};
use crate::manifest::{Descriptor, Document, Index, MANIFEST_LIMIT, media};
use crate::{Digest, Reference};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use ureq::Body;
use ureq::http::{Method, Response};

/// Pages of one list at most.
const PAGES: usize = 100;
/// Bytes of all pages at most.
const PAGES_LIMIT: u64 = 4 * MANIFEST_LIMIT;

impl Client {
    /// The manifests that refer to a digest in a reference's repository, only those of an artifact type if one is given. The digest
    /// itself need not be there.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let list = List {
            client: self,
            reference,
            subject,
            what: format!(
                "the referrers of {}@{subject}",
                reference.familiar_repository()
            ),
        };
        let (mut found, filtered) = match list.pages(artifact_type)? {
            Some(pages) => pages,
            None => (list.of_tag()?.unwrap_or_default(), false),
        };
        if let Some(wanted) = artifact_type.filter(|_| !filtered) {
            found.retain(|descriptor| descriptor.artifact_type() == Some(wanted));
        }
        let mut seen = HashSet::new();
        found.retain(|descriptor| seen.insert(descriptor.digest));
        Ok(found)
    }

    /// Notes a manifest that was sent in the list of its subject, where the registry keeps none itself.
    pub(super) fn refer(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        content: &[u8],
    ) -> Result<(), RegistryError> {
        // What is no JSON is nothing of ours, and refers to nothing.
        let Ok(Referring {
            subject: Some(subject),
            artifact_type,
            config,
            annotations,
        }) = serde_json::from_slice(content)
        else {
            return Ok(());
        };
        let list = List {
            client: self,
            reference,
            subject: subject.digest,
            what: format!(
                "the referrers of {}@{}",
                reference.familiar_repository(),
                subject.digest
            ),
        };
        let mut manifests = list.of_tag()?.unwrap_or_default();
        if manifests
            .iter()
            .any(|other| other.digest == descriptor.digest)
        {
            return Ok(());
        }
        let mut own = descriptor.clone();
        let config = config.map(|config| config.media_type);
        let kind = artifact_type.filter(|kind| !kind.is_empty()).or(config);
        if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
            own.other
                .insert("artifactType".to_owned(), Value::String(kind));
        }
        if !annotations.is_empty() {
            own.other
                .insert("annotations".to_owned(), Value::Object(annotations));
        }
        manifests.push(own);
        let index = Index {
            schema_version: 2,
            media_type: media::INDEX.to_owned(),
            manifests,
            other: Map::new(),
        };
        let content = serde_json::to_vec(&index).expect("it has nothing that is no JSON");
        if content.len() as u64 > MANIFEST_LIMIT {
            return Err(list.too_large(MANIFEST_LIMIT));
        }
        self.send_manifest(
            &list.tagged(),
            &Descriptor::of(media::INDEX, &content),
            &content,
        )
        .map(drop)
    }
}

/// A document, and what came with it.
type Page = (Vec<u8>, Response<Body>);

/// What is read of any manifest that is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: Map<String, Value>,
}

struct List<'a> {
    client: &'a Client,
    reference: &'a Reference,
    subject: Digest,
    what: String,
}

impl List<'_> {
    /// What the registry lists, and whether it has filtered it; None: it keeps no such lists.
    fn pages(
        &self,
        artifact_type: Option<&str>,
    ) -> Result<Option<(Vec<Descriptor>, bool)>, RegistryError> {
        let path = format!(
            "/{}/referrers/{}",
            self.reference.repository(),
            self.subject
        );
        let mut query = match artifact_type {
            Some(kind) => format!("artifactType={}", encoded(kind)),
            None => String::new(),
        };
        let (mut found, mut filtered, mut left) = (Vec::new(), true, PAGES_LIMIT);
        let mut asked = HashSet::new();
        loop {
            if !asked.insert(query.clone()) {
                return Err(self.nonsense("its pages lead in a circle".to_owned()));
            }
            if asked.len() > PAGES {
                return Err(self.nonsense(format!("it has more than {PAGES} pages")));
            }
            let page = match query.is_empty() {
                true => path.clone(),
                false => format!("{path}?{query}"),
            };
            let Some((content, response)) = self.document(&page, left)? else {
                return match asked.len() {
                    1 => Ok(None),
                    _ => Err(self.nonsense("a page that it links to is not there".to_owned())),
                };
            };
            left -= content.len() as u64;
            found.extend(self.index(&content, &response)?);
            filtered &= header(&response, "oci-filters-applied")
                .is_some_and(|applied| applied.split(',').any(|one| one.trim() == "artifactType"));
            match self.next(&response)? {
                Some(next) => query = next,
                None => return Ok(Some((found, filtered))),
            }
        }
    }

    /// What is listed under the tag that stands for the subject; None: there is no such tag.
    fn of_tag(&self) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let tagged = self.tagged();
        let path = format!("/{}/manifests/{}", tagged.repository(), tagged.wanted());
        match self.document(&path, MANIFEST_LIMIT)? {
            Some((content, response)) => Ok(Some(self.index(&content, &response)?)),
            None => Ok(None),
        }
    }

    fn tagged(&self) -> Reference {
        let tag = format!("sha256-{}", self.subject.hex());
        let tagged = self.reference.with_tag(&tag);
        tagged.expect("hexadecimal digits make a tag")
    }

    /// A document; None: it is not there.
    fn document(&self, path: &str, left: u64) -> Result<Option<Page>, RegistryError> {
        let ask = Ask {
            registry: self.reference.registry(),
            repository: self.reference.repository(),
            purpose: Purpose::Resolve,
            method: Method::GET,
            path,
            headers: &[("accept", media::INDEX.to_owned())],
            payload: Payload::None,
            what: &self.what,
            also: None,
        };
        let mut response = match self.client.http.send(&ask) {
            Ok(response) => response,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match read(&mut response, left.min(MANIFEST_LIMIT), &ask) {
            Ok(content) => Ok(Some((content, response))),
            // The limit of all is what was met.
            Err(RegistryError::TooLarge { .. }) if left < MANIFEST_LIMIT => {
                Err(self.too_large(PAGES_LIMIT))
            }
            Err(error) => Err(error),
        }
    }

    fn index(
        &self,
        content: &[u8],
        response: &Response<Body>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let media_type = header(response, "content-type").unwrap_or("");
        match Document::read(content, media_type) {
            Ok(Document::Index(index)) => Ok(index.manifests),
            Ok(Document::Manifest(_)) => {
                Err(self.nonsense("a manifest, where an index should be".to_owned()))
            }
            Err(source) => Err(RegistryError::Document {
                host: self.reference.registry().to_owned(),
                what: self.what.clone(),
                source,
            }),
        }
    }

    /// The query of the next page. Nothing else is taken of a link, so it can't lead to another place.
    fn next(&self, response: &Response<Body>) -> Result<Option<String>, RegistryError> {
        let links = response.headers().get_all("link").iter();
        let links = links.filter_map(|link| link.to_str().ok());
        let Some(link) = links.flat_map(links_of).find_map(next_of) else {
            return Ok(None);
        };
        match link.split_once('?') {
            Some((_, query)) if !query.is_empty() && !query.contains([' ', '#']) => {
                Ok(Some(query.to_owned()))
            }
            _ => {
                let link: String = link
                    .chars()
                    .filter(|letter| !letter.is_control())
                    .take(200)
                    .collect();
                Err(self.nonsense(format!(
                    "its link {link:?} to the next page says nothing of it"
                )))
            }
        }
    }

    fn nonsense(&self, why: String) -> RegistryError {
        RegistryError::Answer {
            host: self.reference.registry().to_owned(),
            what: self.what.clone(),
            why,
        }
    }

    fn too_large(&self, limit: u64) -> RegistryError {
        RegistryError::TooLarge {
            host: self.reference.registry().to_owned(),
            what: self.what.clone(),
            limit,
        }
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The links of a header, `<URL>; rel="next", …` (RFC 8288): each with what follows its URL.
fn links_of(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header
        .split('<')
        .skip(1)
        .filter_map(|link| link.split_once('>'))
}

fn next_of<'h>((url, parameters): (&'h str, &str)) -> Option<&'h str> {
    let next = parameters.split([';', ',']).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel")
            && value
                .trim()
                .trim_matches('"')
                .split(' ')
                .any(|rel| rel.eq_ignore_ascii_case("next"))
    });
    next.then_some(url)
}

/// A query's value: all but letters, digits and `-._~` by their numbers (RFC 3986, section 2).
fn encoded(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    each.collect()
}
