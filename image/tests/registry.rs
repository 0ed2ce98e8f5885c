//! Pulls from registries that behave, and from those that don't.

mod support {
    pub mod pulls;
    pub mod registry;
}

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::registry::{Answer, Registry, usual};
use tare_image::manifest::media;
use tare_image::push::push;
use tare_image::registry::{Client, Credentials, Settings};
use tare_image::store::Name;
use tare_image::{Digest, Reference};

use support::pulls::*;

#[test]
fn an_image_and_then_what_is_new_of_the_next() {
    let registry = Registry::new();
    let one = image(&registry, "some/one", 3);
    image(&registry, "two", 4);
    let place = Place::new();
    let store = place.store();
    let pulled = pull_with(
        &store,
        settings(),
        &format!("{}/some/one", registry.address),
    )
    .unwrap();
    assert!(pulled.new && pulled.to.manifest == one.digest);
    for (number, diff_id) in one.diff_ids.iter().enumerate() {
        let file = store.layer_files(*diff_id).join(format!("layer-{number}"));
        assert_eq!(fs::read_to_string(file).unwrap(), number.to_string());
    }
    let blobs = registry.count("GET", "/blobs/");
    assert!(
        !pull_with(
            &store,
            settings(),
            &format!("{}/some/one", registry.address)
        )
        .unwrap()
        .new
    );
    assert_eq!(
        registry.count("GET", "/blobs/"),
        blobs,
        "nothing is fetched twice"
    );
    pull_with(&store, settings(), &format!("{}/two", registry.address)).unwrap();
    assert_eq!(
        registry.count("GET", "/blobs/"),
        blobs + 2,
        "one layer and the config are new"
    );
    assert_eq!(place.unfinished(), 0);
}

#[test]
fn by_digest_and_through_an_index() {
    let registry = Registry::new();
    let one = image(&registry, "one", 1);
    let host = tare_image::Platform::host();
    let size = registry.state.lock().unwrap().manifests["one latest"]
        .1
        .len();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::INDEX,
        "manifests": [
            { "mediaType": media::MANIFEST, "digest": Digest::of(b"other"), "size": 1, "platform": { "os": "plan9", "architecture": "mips" } },
            { "mediaType": media::MANIFEST, "digest": one.digest, "size": size, "platform": host },
        ],
    });
    let index = registry.put_manifest("one", "many", media::INDEX, index.to_string().as_bytes());
    let place = Place::new();
    let store = place.store();
    for name in [
        format!("one:many@{index}"),
        format!("one@{}", one.digest),
        "one:many".to_owned(),
    ] {
        let pulled =
            pull_with(&store, settings(), &format!("{}/{name}", registry.address)).unwrap();
        assert_eq!(pulled.to.manifest, one.digest, "{name}");
    }
    assert_eq!(store.refs().unwrap().len(), 2);
    let only_other = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{ "digest": one.digest, "size": size, "platform": { "os": "plan9", "architecture": "mips" } }],
    });
    registry.put_manifest(
        "one",
        "other",
        media::INDEX,
        only_other.to_string().as_bytes(),
    );
    refused(&registry, settings(), "one:other", "it has plan9/mips");
}

#[test]
fn what_registries_say_of_failures() {
    let registry = Registry::with(|request, _| {
        let code = |code: &str| {
            format!(r#"{{"errors":[{{"code":"{code}","message":"\u001b[31mno\u0007"}}]}}"#)
        };
        let status = [
            ("denied", 403),
            ("limited", 429),
            ("broken", 500),
            ("odd", 418),
        ];
        let (_, status) = status
            .into_iter()
            .find(|(name, _)| request.path.contains(name))?;
        Some(Answer::new(status, code("WHY")).header("retry-after", "0"))
    });
    refused(&registry, settings(), "missing", "not found at 127.0.0.1");
    refused(&registry, settings(), "denied", "denies the image");
    refused(
        &registry,
        settings(),
        "limited",
        "allows no more requests for now: WHY [31mno",
    );
    refused(
        &registry,
        Settings {
            retries: 0,
            ..settings()
        },
        "broken",
        "status 500: WHY",
    );
    refused(&registry, settings(), "odd", "status 418");
    assert_eq!(
        registry.count("GET", "limited"),
        3,
        "as often as it may be repeated, and once"
    );
    assert_eq!(registry.count("GET", "denied"), 1);
    let nobody = "127.0.0.1:1/a";
    let place = Place::new();
    let error = pull_with(&place.store(), settings(), nobody).unwrap_err();
    assert!(told(&error).contains("refused"), "{}", told(&error));
}

#[test]
fn trouble_that_passes() {
    let tries = AtomicUsize::new(0);
    let registry = Registry::with(move |request, _| {
        let first =
            request.path.contains("/manifests/") && tries.fetch_add(1, Ordering::Relaxed) < 2;
        first.then(|| Answer::new(429, "").header("retry-after", "0"))
    });
    image(&registry, "a", 1);
    let place = Place::new();
    pull_with(
        &place.store(),
        settings(),
        &format!("{}/a", registry.address),
    )
    .unwrap();
}

/// Every connection breaks after a while; the next one goes on from there, also where the registry knows no ranges.
#[test]
fn connections_that_break() {
    for ranges in [true, false] {
        let registry = Registry::with(move |request, state| {
            if request.method != "GET" || !request.path.contains("/blobs/") {
                return None;
            }
            let mut request = request.clone();
            if !ranges {
                request.headers.remove("range");
            }
            let mut answer = usual(&request, state);
            // Without ranges each must get further than the one before, or nobody would ever be done.
            let so_far = state
                .requests
                .iter()
                .filter(|other| other.path == request.path)
                .count();
            let cut = if ranges { 150_000 } else { 250_000 * so_far };
            answer.cut = (answer.body.len() > cut).then_some(cut);
            Some(answer)
        });
        let one = image(&registry, "a", 2);
        let place = Place::new();
        let store = place.store();
        pull_with(&store, settings(), &format!("{}/a", registry.address)).unwrap();
        assert!(store.layer(one.diff_ids[1]).unwrap().is_some());
        assert!(
            registry.count("GET", &one.blobs[0].to_string()) > 2,
            "{ranges}"
        );
    }
}

#[test]
fn content_that_is_not_what_was_asked_for() {
    let change = |part: &'static str, with: fn(Vec<u8>) -> Vec<u8>| {
        let registry = Registry::with(move |request, state| {
            let mut answer = usual(request, state);
            let hit =
                request.method == "GET" && request.path.contains(part) && answer.status == 200;
            hit.then(|| {
                answer.body = with(answer.body);
                answer
            })
        });
        image(&registry, "a", 2);
        registry
    };
    let flip = |mut body: Vec<u8>| {
        let middle = body.len() / 2;
        body[middle] ^= 1;
        body
    };
    // The config is the one blob that begins with a brace.
    let registry = change("/blobs/", flip);
    refused(
        &registry,
        settings(),
        "a",
        "it was damaged on its way, or somebody changed it",
    );
    let layers = Registry::with(move |request, state| {
        let mut answer = usual(request, state);
        let hit = request.path.contains("/blobs/")
            && answer.body.first() != Some(&b'{')
            && answer.status == 200;
        hit.then(|| {
            answer.body = flip(answer.body);
            answer
        })
    });
    image(&layers, "a", 2);
    refused(&layers, settings(), "a", "the layer's content is sha256:");
    let longer = Registry::with(|request, state| {
        let mut answer = usual(request, state);
        let hit = request.path.contains("/blobs/") && answer.body.first() != Some(&b'{');
        hit.then(|| {
            answer.body.push(0);
            answer
        })
    });
    image(&longer, "a", 1);
    refused(&longer, settings(), "a", "were announced");
    let registry = Registry::new();
    let one = image(&registry, "a", 1);
    let other = image(&registry, "b", 2);
    let bytes = registry.state.lock().unwrap().manifests["b latest"]
        .1
        .clone();
    let key = format!("a {}", one.digest);
    registry
        .state
        .lock()
        .unwrap()
        .manifests
        .insert(key, (media::MANIFEST.to_owned(), bytes));
    let _ = other;
    refused(
        &registry,
        settings(),
        &format!("a@{}", one.digest),
        "gives sha256:",
    );
}

#[test]
fn documents_without_end() {
    let registry = Registry::with(|request, _| {
        let huge = request.path.contains("/manifests/");
        huge.then(|| {
            Answer::new(200, vec![b' '; 5 << 20])
                .header("content-type", media::MANIFEST)
                .header("content-length", "1073741824")
        })
    });
    refused(&registry, settings(), "a", "more than 4194304 bytes");
}

/// A token service that knows one account.
fn guarded(own: impl Fn() -> String + Send + Sync + 'static) -> Registry {
    Registry::with(move |request, state| {
        if request.path.starts_with("/token") {
            // me:secret
            let known = request
                .headers
                .get("authorization")
                .is_some_and(|value| value == "Basic bWU6c2VjcmV0");
            let refresh = String::from_utf8_lossy(&request.body).contains("refresh_token=identity");
            return Some(match known || refresh {
                true => Answer::new(200, r#"{"access_token":"good"}"#),
                false => Answer::new(401, r#"{"details":"incorrect username or password"}"#),
            });
        }
        if request
            .headers
            .get("authorization")
            .is_some_and(|value| value == "Bearer good")
        {
            return Some(usual(request, state));
        }
        let challenge = format!(
            r#"Bearer realm="http://{}/token",service="s",scope="repository:a:pull""#,
            own()
        );
        Some(Answer::new(401, "").header("www-authenticate", challenge))
    })
}

#[test]
fn tokens() {
    let address = Arc::new(std::sync::Mutex::new(String::new()));
    let shared = Arc::clone(&address);
    let registry = guarded(move || shared.lock().unwrap().clone());
    *address.lock().unwrap() = registry.address.clone();
    image(&registry, "a", 2);
    let with = |credentials: Credentials| Settings {
        credentials: Some((registry.address.clone(), credentials)),
        ..settings()
    };
    let basic = |password: &str| Credentials::Basic {
        username: "me".to_owned(),
        password: password.to_owned(),
    };
    refused(
        &registry,
        with(basic("wrong")),
        "a",
        "incorrect username or password: log in by `tare login",
    );
    refused(&registry, settings(), "a", "refuses the image");
    let place = Place::new();
    let name = format!("{}/a", registry.address);
    let before = registry.count("GET", "/token");
    pull_with(&place.store(), with(basic("secret")), &name).unwrap();
    assert_eq!(
        registry.count("GET", "/token"),
        before + 1,
        "one token for all requests"
    );
    let path = {
        let state = registry.state.lock().unwrap();
        state
            .requests
            .iter()
            .rev()
            .find(|request| request.path.starts_with("/token"))
            .unwrap()
            .path
            .clone()
    };
    assert!(
        path.contains("service=s")
            && path.contains("scope=repository")
            && path.contains("account=me"),
        "{path}"
    );
    let place = Place::new();
    pull_with(
        &place.store(),
        with(Credentials::Identity("identity".to_owned())),
        &name,
    )
    .unwrap();
    Client::new(with(basic("secret")))
        .check(&registry.address)
        .unwrap();
    assert!(
        Client::new(with(basic("wrong")))
            .check(&registry.address)
            .is_err()
    );
}

/// What a registry is told stays with it: neither a redirect's target nor a mirror gets its token.
#[test]
fn tokens_stay_at_home() {
    let elsewhere = Registry::new();
    let target = elsewhere.address.clone();
    let registry = Registry::with(move |request, _| {
        if !request.headers.contains_key("authorization") {
            return Some(Answer::new(401, "").header("www-authenticate", "Basic realm=x"));
        }
        let away = request.method == "GET" && request.path.contains("/blobs/");
        away.then(|| {
            Answer::new(307, "").header("location", format!("http://{target}{}", request.path))
        })
    });
    image(&registry, "a", 1);
    image(&elsewhere, "a", 1);
    let place = Place::new();
    let credentials = Credentials::Basic {
        username: "me".to_owned(),
        password: "secret".to_owned(),
    };
    let known = Settings {
        credentials: Some((registry.address.clone(), credentials)),
        ..settings()
    };
    pull_with(&place.store(), known, &format!("{}/a", registry.address)).unwrap();
    let state = elsewhere.state.lock().unwrap();
    assert!(!state.requests.is_empty());
    assert!(
        state
            .requests
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
}

fn hosts_file(place: &Place, registry: &str, text: &str) -> Vec<PathBuf> {
    let folder = place.0.join("certs.d");
    fs::create_dir_all(folder.join(registry)).unwrap();
    fs::write(folder.join(registry).join("hosts.toml"), text).unwrap();
    vec![folder]
}

#[test]
fn mirrors() {
    let mirror = Registry::new();
    let registry = Registry::new();
    image(&registry, "a", 2);
    image(&registry, "only-here", 1);
    image(&mirror, "a", 2);
    let place = Place::new();
    let text = format!(
        "server = \"http://{}\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n[host.\"http://{}\".header]\nx-key = \"k\"\n",
        registry.address, mirror.address, mirror.address
    );
    let with = || Settings {
        hosts: hosts_file(&place, "images.lan", &text),
        ..settings()
    };
    let store = place.store();
    pull_with(&store, with(), "images.lan/a").unwrap();
    assert_eq!(registry.count("GET", "/"), 0, "the mirror has it all");
    {
        let state = mirror.state.lock().unwrap();
        assert!(
            state
                .requests
                .iter()
                .all(|request| request.path.contains("ns=images.lan"))
        );
        assert!(
            state
                .requests
                .iter()
                .all(|request| request.headers["x-key"] == "k")
        );
    }
    pull_with(&store, with(), "images.lan/only-here").unwrap();
    assert!(registry.count("GET", "only-here") > 0);
    let client = Client::new(with());
    let reference: Reference = "images.lan/a".parse().unwrap();
    let image = store
        .get_ref(&Name::Reference(reference.clone()))
        .unwrap()
        .unwrap();
    push(
        &store,
        &client,
        &image,
        &reference.with_tag("new").unwrap(),
        &Silent(AtomicBool::new(false)),
    )
    .unwrap();
    assert_eq!(mirror.count("PUT", "/"), 0, "a mirror is not pushed to");
    let wrong = Settings {
        hosts: hosts_file(&place, "wrong.lan", "server = 7"),
        ..settings()
    };
    let error = pull_with(&store, wrong, "wrong.lan/a").unwrap_err();
    assert!(told(&error).contains("hosts.toml"), "{}", told(&error));
}
