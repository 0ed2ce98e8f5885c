//! What refers to an image, asked of registries that list it, of those that don't, and of those that lie.

mod support {
    pub mod pulls;
    pub mod registry;
}

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::pulls::{image, settings, told};
use support::registry::{Answer, Registry};
use tare_image::manifest::{Descriptor, media};
use tare_image::registry::{Client, RegistryError};
use tare_image::{Digest, Reference};

const SIGNATURE: &str = "application/vnd.example.signature+json";
const PARTS: &str = "application/vnd.example.parts";

fn subject() -> Digest {
    Digest::of(b"subject")
}

fn referrer(name: &str, kind: &str) -> Value {
    json!({ "mediaType": media::MANIFEST, "digest": Digest::of(name.as_bytes()), "size": 3, "artifactType": kind })
}

fn index(manifests: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests })
        .to_string()
        .into_bytes()
}

fn page(manifests: &[Value]) -> Answer {
    Answer::new(200, index(manifests)).header("content-type", media::INDEX)
}

/// Answers a request for the list, by its query.
fn listing(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Registry {
    let path = format!("/v2/a/referrers/{}", subject());
    Registry::with(move |request, _| {
        let (asked, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        (asked == path).then(|| answer(query))
    })
}

fn ask(registry: &Registry, kind: Option<&str>) -> Result<Vec<Descriptor>, RegistryError> {
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    Client::new(settings()).referrers(&reference, subject(), kind)
}

fn names(found: &[Descriptor]) -> Vec<Digest> {
    found.iter().map(|descriptor| descriptor.digest).collect()
}

#[track_caller]
fn refused(registry: &Registry, expect: &str) {
    let text = told(&ask(registry, None).unwrap_err());
    assert!(text.contains(expect), "{text}");
    assert!(text.contains(&registry.address), "{text}");
}

#[test]
fn pages_and_filters() {
    let registry = listing(|query| match query {
        "" | "artifactType=application%2Fvnd.example.signature%2Bjson" => {
            let link = format!(
                "</v2/a/other?{query}&last=1>; rel=\"previous\", </v2/a/referrers/x?{query}&last=2>; rel=\"next\""
            );
            page(&[referrer("one", SIGNATURE), referrer("two", PARTS)]).header("link", link)
        }
        // The second page has one of the first's once more.
        _ => page(&[referrer("three", SIGNATURE), referrer("one", SIGNATURE)]),
    });
    let expect = |names: &[&str]| -> Vec<Digest> {
        names
            .iter()
            .map(|name| Digest::of(name.as_bytes()))
            .collect()
    };
    assert_eq!(
        names(&ask(&registry, None).unwrap()),
        expect(&["one", "two", "three"])
    );
    let signatures = ask(&registry, Some(SIGNATURE)).unwrap();
    assert_eq!(names(&signatures), expect(&["one", "three"]));
    assert_eq!(signatures[0].artifact_type(), Some(SIGNATURE));
    assert_eq!(
        registry.count("GET", "/manifests/"),
        0,
        "no tag is asked for"
    );
    // A registry that says that it has filtered is believed: it may know types that the list does not show.
    let registry =
        listing(|_| page(&[referrer("one", "")]).header("oci-filters-applied", "artifactType"));
    assert_eq!(
        names(&ask(&registry, Some(SIGNATURE)).unwrap()),
        expect(&["one"])
    );
    assert!(ask(&listing(|_| page(&[])), None).unwrap().is_empty());
}

#[test]
fn lists_that_lie() {
    let linked = |link: &'static str| listing(move |_| page(&[]).header("link", link));
    refused(
        &linked("</v2/a/referrers/x?last=1>; rel=next"),
        "its pages lead in a circle",
    );
    refused(
        &linked("</v2/a/referrers/x>; rel=next"),
        "to the next page says nothing of it",
    );
    refused(
        &linked("<?a b>; rel=next"),
        "to the next page says nothing of it",
    );
    let number = AtomicUsize::new(0);
    let endless = listing(move |_| {
        let next = number.fetch_add(1, Relaxed);
        page(&[]).header("link", format!("<?last={next}>; rel=\"next\""))
    });
    refused(&endless, "it has more than 100 pages");
    let number = AtomicUsize::new(0);
    let padded = listing(move |_| {
        let next = number.fetch_add(1, Relaxed);
        let mut answer = page(&[]).header("link", format!("<?last={next}>; rel=\"next\""));
        answer.body.resize(3 << 20, b' ');
        answer
    });
    refused(&padded, "more than 16777216 bytes");
    assert_eq!(
        padded.count("GET", "/referrers/"),
        6,
        "no more than that is read"
    );
    let huge = listing(|_| {
        let mut answer = page(&[]);
        answer.body.resize(5 << 20, b' ');
        answer
    });
    refused(&huge, "more than 4194304 bytes");
    refused(&listing(|_| Answer::new(200, "<html>")), "malformed");
    let lost = listing(|query| match query {
        "" => page(&[]).header("link", "<?last=1>; rel=next"),
        _ => Answer::new(404, ""),
    });
    refused(&lost, "a page that it links to is not there");
    refused(
        &listing(|_| Answer::new(403, "")),
        "denies the referrers of",
    );
}

/// A link may name another place; nothing is asked there.
#[test]
fn links_lead_nowhere_else() {
    let elsewhere = Registry::new();
    let address = elsewhere.address.clone();
    let registry = listing(move |query| match query {
        "" => page(&[referrer("one", PARTS)]).header(
            "link",
            format!("<http://{address}/v2/a/referrers/x?last=1>; rel=\"next\""),
        ),
        "last=1" => page(&[referrer("two", PARTS)]),
        other => Answer::new(500, other.as_bytes()),
    });
    assert_eq!(ask(&registry, None).unwrap().len(), 2);
    assert!(elsewhere.state.lock().unwrap().requests.is_empty());
}

#[test]
fn registries_without_lists_have_a_tag() {
    let registry = Registry::new();
    assert!(ask(&registry, None).unwrap().is_empty());
    let tag = format!("sha256-{}", subject().hex());
    let content = index(&[referrer("one", SIGNATURE), referrer("two", PARTS)]);
    registry.put_manifest("a", &tag, media::INDEX, &content);
    assert_eq!(ask(&registry, None).unwrap().len(), 2);
    let found = ask(&registry, Some(PARTS)).unwrap();
    assert_eq!(names(&found), [Digest::of(b"two")]);
    // Somebody uses the tag for something else.
    image(&registry, "other", 1);
    let manifest = registry.state.lock().unwrap().manifests["other latest"]
        .1
        .clone();
    registry.put_manifest("a", &tag, media::MANIFEST, &manifest);
    refused(&registry, "a manifest, where an index should be");
}

fn signature(name: &str) -> (Descriptor, Vec<u8>) {
    let content = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": SIGNATURE,
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
        "subject": Descriptor::new(media::MANIFEST, subject(), 3),
        "annotations": { "name": name },
    });
    let content = content.to_string().into_bytes();
    (Descriptor::of(media::MANIFEST, &content), content)
}

#[test]
fn what_is_pushed_with_a_subject_is_listed() {
    let registry = Registry::new();
    let client = Client::new(settings());
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    for (name, listed) in [("one", 1), ("two", 2), ("one", 2)] {
        let (descriptor, content) = signature(name);
        let to = reference.with_digest(descriptor.digest);
        client.put_manifest(&to, &descriptor, &content).unwrap();
        assert_eq!(ask(&registry, None).unwrap().len(), listed, "{name}");
    }
    let found = ask(&registry, Some(SIGNATURE)).unwrap();
    assert_eq!(found[1].digest, signature("two").0.digest);
    assert_eq!(found[1].other["annotations"], json!({ "name": "two" }));
    assert_eq!(
        registry.count("PUT", "/manifests/sha256-"),
        2,
        "what is listed is not listed again"
    );
    // Without a type of its own it has its config's.
    let (_, content) = signature("three");
    let mut value: Value = serde_json::from_slice(&content).unwrap();
    value.as_object_mut().unwrap().remove("artifactType");
    let content = value.to_string().into_bytes();
    let descriptor = Descriptor::of(media::MANIFEST, &content);
    client
        .put_manifest(&reference.with_tag("t").unwrap(), &descriptor, &content)
        .unwrap();
    let found = ask(&registry, Some("application/vnd.oci.empty.v1+json")).unwrap();
    assert_eq!(names(&found), [descriptor.digest]);
}

#[test]
fn registries_with_lists_need_no_tag() {
    let registry = Registry::with(|request, state| {
        (request.method == "PUT").then(|| {
            support::registry::usual(request, state).header("oci-subject", subject().to_string())
        })
    });
    let (descriptor, content) = signature("one");
    let reference: Reference = format!("{}/a:1", registry.address).parse().unwrap();
    Client::new(settings())
        .put_manifest(&reference, &descriptor, &content)
        .unwrap();
    assert_eq!(registry.count("PUT", "/manifests/"), 1);
    assert_eq!(registry.count("GET", "/"), 0);
}

/// A tag that is something else is left alone, and whoever pushes is told.
#[test]
fn a_tag_that_is_no_list_is_not_written_over() {
    let registry = Registry::new();
    image(&registry, "a", 1);
    let manifest = registry.state.lock().unwrap().manifests["a latest"]
        .1
        .clone();
    let tag = format!("sha256-{}", subject().hex());
    let digest = registry.put_manifest("a", &tag, media::MANIFEST, &manifest);
    let (descriptor, content) = signature("one");
    let reference: Reference = format!("{}/a:1", registry.address).parse().unwrap();
    let error = Client::new(settings())
        .put_manifest(&reference, &descriptor, &content)
        .unwrap_err();
    assert!(
        told(&error).contains("a manifest, where an index should be"),
        "{}",
        told(&error)
    );
    let state = registry.state.lock().unwrap();
    assert_eq!(Digest::of(&state.manifests[&format!("a {tag}")].1), digest);
}
