//! Where a registry is asked: its mirrors, certificates and headers, from `hosts.toml` in containerd's format, or from docker's
//! `certs.d` (containerd docs/hosts.md; docker docs "Verify repository client with certificates").

use super::RegistryError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `https://host:port/v2`.
    pub(super) base: String,
    pub(super) pull: bool,
    pub(super) resolve: bool,
    pub(super) push: bool,
    pub(super) tls: Tls,
    pub(super) headers: Vec<(String, String)>,
    /// Where it is another place than the registry itself: the registry's name, which some mirrors want to know.
    pub(super) mirror_of: Option<String>,
}

/// Whom to trust, and how to be known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tls {
    /// Nobody is checked.
    pub(super) skip_verify: bool,
    /// Further authorities.
    pub(super) ca: Vec<PathBuf>,
    /// Certificate and key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    server: Option<String>,
    host: toml::Table,
    #[serde(flatten)]
    own: Host,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Host {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<toml::Value>,
    skip_verify: bool,
    header: BTreeMap<String, OneOrMany>,
    override_path: bool,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// The places to ask for a registry, the first first.
pub(super) fn endpoints(
    registry: &str,
    folders: &[PathBuf],
    insecure: &[String],
) -> Result<Vec<Endpoint>, RegistryError> {
    // A colon is no part of a file's name everywhere.
    let names = [registry.to_owned(), registry.replace(':', "_") + "_"];
    for folder in folders {
        for name in &names {
            let place = folder.join(name);
            let file = place.join("hosts.toml");
            match fs::read_to_string(&file) {
                Ok(text) => {
                    let wrong = |why| RegistryError::Configuration {
                        path: file.clone(),
                        why,
                    };
                    return parse(registry, &text, &place).map_err(wrong);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(RegistryError::Configuration {
                        path: file,
                        why: error.to_string(),
                    });
                }
            }
            if let Ok(tls) = docker_certificates(&place) {
                return Ok(plain(registry, insecure, tls));
            }
        }
    }
    let fallback = folders
        .iter()
        .map(|folder| folder.join("_default/hosts.toml"));
    for file in fallback {
        if let Ok(text) = fs::read_to_string(&file) {
            let place = file.parent().unwrap_or(&file).to_owned();
            let wrong = |why| RegistryError::Configuration {
                path: file.clone(),
                why,
            };
            return parse(registry, &text, &place).map_err(wrong);
        }
    }
    Ok(plain(registry, insecure, Tls::default()))
}

/// The registry itself; one that is on this machine, or is said to be insecure, also without TLS, as docker does it.
fn plain(registry: &str, insecure: &[String], tls: Tls) -> Vec<Endpoint> {
    let insecure = is_loopback(registry) || insecure.iter().any(|name| name == registry);
    let secure = Endpoint {
        base: format!("https://{}/v2", api_host(registry)),
        pull: true,
        resolve: true,
        push: true,
        tls: Tls {
            skip_verify: insecure && tls.ca.is_empty(),
            ..tls
        },
        headers: Vec::new(),
        mirror_of: None,
    };
    if !insecure {
        return vec![secure];
    }
    let bare = Endpoint {
        base: format!("http://{registry}/v2"),
        tls: Tls::default(),
        ..secure.clone()
    };
    vec![secure, bare]
}

/// Docker's own registry answers by another name.
pub(super) fn api_host(registry: &str) -> &str {
    match registry {
        crate::reference::DEFAULT_REGISTRY => "registry-1.docker.io",
        other => other,
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => registry.split(':').next().unwrap_or(""),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn parse(registry: &str, text: &str, place: &Path) -> Result<Vec<Endpoint>, String> {
    let file: File =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut found = Vec::new();
    for (url, value) in file.host {
        let host: Host = value
            .try_into()
            .map_err(|error: toml::de::Error| format!("host {url:?}: {error}"))?;
        let mut endpoint = endpoint(&url, host, place)?;
        endpoint.mirror_of = Some(registry.to_owned());
        found.push(endpoint);
    }
    let own = format!("https://{}", api_host(registry));
    found.push(endpoint(
        file.server.as_deref().unwrap_or(&own),
        file.own,
        place,
    )?);
    Ok(found)
}

fn endpoint(url: &str, host: Host, place: &Path) -> Result<Endpoint, String> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    let (scheme, rest) = with_scheme.split_once("://").unwrap_or(("", ""));
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(scheme, "http" | "https") || name.is_empty() || name.contains(['@', ' ', '?', '#'])
    {
        return Err(format!("{url:?} is no URL of a registry"));
    }
    let path = path.trim_end_matches('/');
    let base = match (host.override_path, path) {
        (true, "") => format!("{scheme}://{name}"),
        (true, path) => format!("{scheme}://{name}/{path}"),
        (false, "") => format!("{scheme}://{name}/v2"),
        (false, path) if path.ends_with("/v2") || path == "v2" => {
            format!("{scheme}://{name}/{path}")
        }
        (false, path) => format!("{scheme}://{name}/{path}/v2"),
    };
    let capabilities = host
        .capabilities
        .unwrap_or_else(|| ["pull", "resolve", "push"].map(str::to_owned).to_vec());
    if let Some(unknown) = capabilities
        .iter()
        .find(|word| !["pull", "resolve", "push", "referrers"].contains(&word.as_str()))
    {
        return Err(format!(
            "{url:?} has the capability {unknown:?}: pull, resolve and push are known"
        ));
    }
    let has = |word: &str| capabilities.iter().any(|capability| capability == word);
    let client = match host.client {
        None => None,
        Some(value) => Some(client(value).ok_or_else(|| {
            format!("{url:?}: client is a file, or a list of pairs of certificate and key")
        })?),
    };
    let at = |file: &String| place.join(file);
    let headers = host.header.into_iter().flat_map(|(name, values)| {
        let values = values.all().into_iter();
        values
            .map(move |value| (name.clone(), value))
            .collect::<Vec<_>>()
    });
    Ok(Endpoint {
        base,
        pull: has("pull"),
        resolve: has("resolve"),
        push: has("push"),
        tls: Tls {
            skip_verify: host.skip_verify,
            ca: host
                .ca
                .map(OneOrMany::all)
                .unwrap_or_default()
                .iter()
                .map(at)
                .collect(),
            client: client.map(|(certificate, key)| (at(&certificate), at(&key))),
        },
        headers: headers.collect(),
        mirror_of: None,
    })
}

/// A file with both, or `[[certificate, key], …]`, of which the first is used.
fn client(value: toml::Value) -> Option<(String, String)> {
    match value {
        toml::Value::String(file) => Some((file.clone(), file)),
        toml::Value::Array(values) => match values.into_iter().next()? {
            toml::Value::String(file) => Some((file.clone(), file)),
            toml::Value::Array(pair) => match pair.as_slice() {
                [toml::Value::String(certificate), toml::Value::String(key)] => {
                    Some((certificate.clone(), key.clone()))
                }
                [toml::Value::String(file)] => Some((file.clone(), file.clone())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// `*.crt` authorities, `*.cert` with `*.key` for the client.
fn docker_certificates(place: &Path) -> std::io::Result<Tls> {
    let mut tls = Tls::default();
    let mut files: Vec<PathBuf> = fs::read_dir(place)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.ca.push(file),
            Some("cert") => tls.client = Some((file.clone(), file.with_extension("key"))),
            _ => {}
        }
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(endpoints: &[Endpoint]) -> Vec<&str> {
        endpoints
            .iter()
            .map(|endpoint| endpoint.base.as_str())
            .collect()
    }

    #[test]
    fn without_a_file() {
        let check = |registry: &str, expect: &[&str]| {
            let found = plain(registry, &["old.lan:80".to_owned()], Tls::default());
            assert_eq!(bases(&found), expect);
        };
        check("docker.io", &["https://registry-1.docker.io/v2"]);
        check("ghcr.io", &["https://ghcr.io/v2"]);
        check(
            "localhost:5000",
            &["https://localhost:5000/v2", "http://localhost:5000/v2"],
        );
        check(
            "127.0.0.9:1",
            &["https://127.0.0.9:1/v2", "http://127.0.0.9:1/v2"],
        );
        check(
            "[::1]:5000",
            &["https://[::1]:5000/v2", "http://[::1]:5000/v2"],
        );
        check(
            "old.lan:80",
            &["https://old.lan:80/v2", "http://old.lan:80/v2"],
        );
        check(
            "127.0.0.1.example.org",
            &["https://127.0.0.1.example.org/v2"],
        );
    }

    #[test]
    fn containerds_file() {
        let text = r#"
            server = "https://registry.example"
            [host."https://b-mirror.example:8443/sub"]
              capabilities = ["pull"]
              ca = ["one.pem", "/etc/two.pem"]
              client = [["c.pem", "k.pem"]]
              skip_verify = true
              [host."https://b-mirror.example:8443/sub".header]
                x-one = "1"
                x-two = ["2", "3"]
            [host."http://a-mirror.example/v2/proxy"]
              override_path = true
        "#;
        let found = parse("registry.example", text, Path::new("/etc/certs.d/r")).unwrap();
        // In the order of the file: the first is asked first.
        assert_eq!(
            bases(&found),
            [
                "https://b-mirror.example:8443/sub/v2",
                "http://a-mirror.example/v2/proxy",
                "https://registry.example/v2"
            ]
        );
        assert!(found[0].pull && !found[0].push && !found[0].resolve && found[0].tls.skip_verify);
        assert_eq!(
            found[0].tls.ca,
            [
                Path::new("/etc/certs.d/r/one.pem"),
                Path::new("/etc/two.pem")
            ]
        );
        assert_eq!(found[0].headers.len(), 3);
        assert_eq!(found[2].mirror_of, None);
        for wrong in [
            "server = 1",
            "[host.\"ftp://a\"]",
            "[host.\"https://\"]",
            "[host.\"https://a\"]\ncapabilities = [\"fly\"]",
            "[host.\"https://a\"]\nclient = [1]",
            "[[",
        ] {
            assert!(parse("r", wrong, Path::new("/")).is_err(), "{wrong}");
        }
    }
}
