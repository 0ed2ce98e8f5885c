//! Names and passwords: docker's `config.json` and the programs that keep them (docker docs, "docker login", "Credential stores").

use super::RegistryError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that others are given for.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(formatter, "Basic({username})"),
            Self::Identity(_) => formatter.write_str("Identity"),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Auth>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The name under which docker keeps the credentials of its own registry.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

fn key(registry: &str) -> &str {
    match registry {
        crate::reference::DEFAULT_REGISTRY => DOCKER_KEY,
        other => other,
    }
}

/// What is known for a registry; None: nothing, so it is asked without a name.
pub(super) fn find(
    config: Option<&Path>,
    registry: &str,
) -> Result<Option<Credentials>, RegistryError> {
    let Some(path) = config else { return Ok(None) };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(path, error.to_string())),
    };
    let file: File = serde_json::from_str(&text).map_err(|error| wrong(path, error.to_string()))?;
    let helper = file
        .cred_helpers
        .get(key(registry))
        .or_else(|| file.cred_helpers.get(registry));
    let helper = helper
        .or(Some(&file.creds_store))
        .filter(|helper| !helper.is_empty());
    if let Some(helper) = helper {
        let found = ask(helper, key(registry))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    in_file(&file, registry).map_err(|why| wrong(path, why))
}

fn in_file(file: &File, registry: &str) -> Result<Option<Credentials>, String> {
    // Old files have URLs.
    let same = |name: &String| {
        let bare = name
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        name == key(registry) || bare.split('/').next() == Some(registry)
    };
    let Some((_, auth)) = file.auths.iter().find(|(name, _)| same(name)) else {
        return Ok(None);
    };
    if !auth.identitytoken.is_empty() {
        return Ok(Some(Credentials::Identity(auth.identitytoken.clone())));
    }
    if !auth.auth.is_empty() {
        let why = || format!("auths.{registry}.auth is no name and password in base64");
        let decoded = BASE64_STANDARD
            .decode(auth.auth.trim())
            .map_err(|_| why())?;
        let text = String::from_utf8(decoded).map_err(|_| why())?;
        let (username, password) = text.split_once(':').ok_or_else(why)?;
        return Ok(Some(Credentials::Basic {
            username: username.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
        }));
    }
    Ok((!auth.username.is_empty()).then(|| Credentials::Basic {
        username: auth.username.clone(),
        password: auth.password.clone(),
    }))
}

/// Keeps credentials for a registry; returns the file or program that has them now.
pub fn store(
    config: &Path,
    registry: &str,
    credentials: Option<&Credentials>,
) -> Result<String, RegistryError> {
    let mut document: Map<String, Value> = match fs::read_to_string(config) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| wrong(config, error.to_string()))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(wrong(config, error.to_string())),
    };
    let file: File = serde_json::from_value(Value::Object(document.clone()))
        .map_err(|error| wrong(config, error.to_string()))?;
    let helper = file
        .cred_helpers
        .get(key(registry))
        .cloned()
        .unwrap_or(file.creds_store);
    let auths = document
        .entry("auths")
        .or_insert_with(|| Value::Object(Map::new()));
    let auths = auths
        .as_object_mut()
        .ok_or_else(|| wrong(config, "auths is no object".to_owned()))?;
    let place = if helper.is_empty() {
        match credentials {
            Some(credentials) => auths.insert(key(registry).to_owned(), entry(credentials)),
            None => auths.remove(key(registry)),
        };
        config.display().to_string()
    } else {
        match credentials {
            Some(credentials) => {
                let (username, secret) = match credentials {
                    Credentials::Basic { username, password } => {
                        (username.as_str(), password.as_str())
                    }
                    Credentials::Identity(token) => ("<token>", token.as_str()),
                };
                let input = serde_json::json!({ "ServerURL": key(registry), "Username": username, "Secret": secret });
                helped(&helper, "store", &input.to_string())?;
                // As docker does: the registry is listed, its secret is elsewhere.
                auths.insert(key(registry).to_owned(), Value::Object(Map::new()));
            }
            None => {
                helped(&helper, "erase", key(registry))?;
                auths.remove(key(registry));
            }
        }
        format!("docker-credential-{helper}")
    };
    write(config, &document)?;
    Ok(place)
}

fn entry(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Basic { username, password } => {
            serde_json::json!({ "auth": BASE64_STANDARD.encode(format!("{username}:{password}")) })
        }
        Credentials::Identity(token) => serde_json::json!({ "identitytoken": token }),
    }
}

fn write(config: &Path, document: &Map<String, Value>) -> Result<(), RegistryError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let text = serde_json::to_string_pretty(document).expect("it came from JSON");
    // Someone may have put a link there: the file behind it is meant.
    let target = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let temporary: PathBuf = target.with_extension(format!("json.{}", std::process::id()));
    let write = || {
        if let Some(folder) = target.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &target)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        wrong(config, error.to_string())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, RegistryError> {
    let error = |why: String| RegistryError::Helper {
        helper: helper.to_owned(),
        why,
    };
    let output = match helped(helper, "get", server) {
        Ok(output) => output,
        // The words of docker's own helpers.
        Err(RegistryError::Helper { why, .. }) if why.contains("credentials not found") => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let answer: Answer = serde_json::from_str(&output)
        .map_err(|_| error("its answer has no Username and Secret".to_owned()))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::Identity(answer.secret),
        _ => Credentials::Basic {
            username: answer.username,
            password: answer.secret,
        },
    }))
}

fn helped(helper: &str, verb: &str, input: &str) -> Result<String, RegistryError> {
    let error = |why: String| RegistryError::Helper {
        helper: helper.chars().take(100).collect(),
        why,
    };
    if !helper
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err(error("this is no helper's name".to_owned()));
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| error(format!("it does not start: {why}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|why| error(why.to_string()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let said = if stdout.trim().is_empty() {
        String::from_utf8_lossy(&output.stderr).into_owned()
    } else {
        stdout
    };
    let said: String = said.trim().chars().take(200).collect();
    Err(error(if said.is_empty() {
        output.status.to_string()
    } else {
        said
    }))
}

fn wrong(path: &Path, why: String) -> RegistryError {
    RegistryError::Configuration {
        path: path.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_file() {
        let file: File = serde_json::from_str(
            r#"{"auths":{
                "https://index.docker.io/v1/":{"auth":"YTpiOmM="},
                "ghcr.io":{"identitytoken":"t"},
                "http://old.lan:5000/v2/":{"username":"u","password":"p"},
                "broken.lan":{"auth":"?"},
                "listed.lan":{}
            },"HttpHeaders":{}}"#,
        )
        .unwrap();
        let check = |registry: &str, expect: &str| {
            let found = in_file(&file, registry);
            let text = match found {
                Ok(Some(Credentials::Basic { username, password })) => {
                    format!("{username} {password}")
                }
                Ok(Some(Credentials::Identity(token))) => token,
                Ok(None) => "nothing".to_owned(),
                Err(why) => why,
            };
            assert!(text.contains(expect), "{registry}: {text}");
        };
        check("docker.io", "a b:c");
        check("ghcr.io", "t");
        check("old.lan:5000", "u p");
        check("broken.lan", "no name and password in base64");
        check("listed.lan", "nothing");
        check("other.lan", "nothing");
    }

    #[test]
    fn kept_and_forgotten() {
        let folder = std::env::temp_dir().join(format!("tare-credentials-{}", std::process::id()));
        let config = folder.join("config.json");
        let basic = Credentials::Basic {
            username: "me".to_owned(),
            password: "a:b".to_owned(),
        };
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            &config,
            r#"{"psFormat":"x","auths":{"other.lan":{"auth":"YTpi"}}}"#,
        )
        .unwrap();
        store(&config, "docker.io", Some(&basic)).unwrap();
        assert_eq!(find(Some(&config), "docker.io").unwrap(), Some(basic));
        let text = fs::read_to_string(&config).unwrap();
        assert!(
            text.contains("psFormat") && text.contains("other.lan"),
            "what others wrote stays: {text}"
        );
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&config).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        store(&config, "docker.io", None).unwrap();
        assert_eq!(find(Some(&config), "docker.io").unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn helpers_are_programs_of_the_path_only() {
        for name in ["../evil", "a b", "a;b", "/bin/sh"] {
            assert!(
                matches!(helped(name, "get", ""), Err(RegistryError::Helper { .. })),
                "{name}"
            );
        }
    }
}
