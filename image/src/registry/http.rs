//! One request: to the first place that answers, with the token that it wants, again when that helps.

use super::answer::{refused, words};
use super::auth::{self, Challenge};
use super::hosts::{self, Endpoint, Tls};
use super::source::Source;
use super::{Credentials, RegistryError, Settings, credentials, tls};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode};
use ureq::{Agent, Body, SendBody};

/// What a request is for: not every mirror does everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Pull,
    Resolve,
    Push,
}

/// What is asked, of whichever place.
pub(super) struct Ask<'a> {
    pub(super) registry: &'a str,
    pub(super) repository: &'a str,
    pub(super) purpose: Purpose,
    pub(super) method: Method,
    /// After `/v2`, or a whole URL that the registry gave.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) payload: Payload<'a>,
    /// For errors: `the manifest of debian:12`.
    pub(super) what: &'a str,
    /// A repository that is read too.
    pub(super) also: Option<&'a str>,
}

/// What is sent.
pub(super) enum Payload<'a> {
    None,
    Bytes(&'a [u8]),
    /// A part of something large. Whoever sends it sees to its repetition, as some of it may have come.
    Piece {
        source: &'a Source<'a>,
        from: u64,
        length: u64,
    },
}

impl Ask<'_> {
    fn is_piece(&self) -> bool {
        matches!(self.payload, Payload::Piece { .. })
    }
}

/// How long an answer to something large may take.
const DIGESTION: Duration = Duration::from_secs(600);

pub(super) struct Http {
    pub(super) settings: Settings,
    agents: Mutex<Vec<(Tls, Agent)>>,
    endpoints: Mutex<HashMap<String, Arc<Vec<Endpoint>>>>,
    /// By base and scope: the header that was accepted.
    tokens: Mutex<HashMap<(String, String), String>>,
    /// Places that can't be reached.
    broken: Mutex<Vec<String>>,
    /// Places that have answered.
    whole: Mutex<Vec<String>>,
    /// Whether a blob comes over several connections.
    pub(super) hurried: AtomicBool,
    /// Registries that have refused a chunk.
    chunkless: Mutex<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Http {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            agents: Mutex::default(),
            endpoints: Mutex::default(),
            tokens: Mutex::default(),
            broken: Mutex::default(),
            whole: Mutex::default(),
            hurried: AtomicBool::new(false),
            chunkless: Mutex::default(),
        }
    }

    /// The answer of the first place that has one: a success, or what the last of them said.
    pub(super) fn send(&self, ask: &Ask) -> Result<Response<Body>, RegistryError> {
        let endpoints = self.endpoints(ask.registry)?;
        let fit = |endpoint: &&Endpoint| match ask.purpose {
            Purpose::Pull => endpoint.pull,
            Purpose::Resolve => endpoint.resolve,
            Purpose::Push => endpoint.push,
        };
        let fit: Vec<&Endpoint> = endpoints.iter().filter(fit).collect();
        let broken = lock(&self.broken).clone();
        let whole = |endpoint: &&Endpoint| !broken.contains(&endpoint.base);
        let mut chosen: Vec<&Endpoint> = fit.iter().copied().filter(whole).collect();
        if chosen.is_empty() {
            chosen = fit;
        }
        let mut last = RegistryError::Unreachable {
            url: ask.registry.to_owned(),
            why: "no place that is configured for it may be asked for this".to_owned(),
            hint: ": see its hosts.toml",
        };
        let count = chosen.len();
        for (number, endpoint) in chosen.into_iter().enumerate() {
            // Where there is another way, one that has never worked is not waited for.
            let patient = number + 1 == count || lock(&self.whole).contains(&endpoint.base);
            let error = match self.at(endpoint, ask, patient) {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let answered = !matches!(error, RegistryError::Unreachable { .. });
            // One connection that broke amid a large piece says nothing of the place.
            if !answered && !ask.is_piece() {
                lock(&self.broken).push(endpoint.base.clone());
            }
            // The registry itself has spoken; a mirror that lacks something says nothing of others.
            if answered && endpoint.mirror_of.is_none() {
                return Err(error);
            }
            // That the second way is closed too tells less than why the first one was.
            if number == 0 || answered {
                last = error;
            }
        }
        Err(last)
    }

    /// Whether a registry has not refused a chunk yet.
    pub(super) fn takes_chunks(&self, registry: &str) -> bool {
        !lock(&self.chunkless).iter().any(|other| other == registry)
    }

    pub(super) fn takes_no_chunks(&self, registry: &str) {
        if self.takes_chunks(registry) {
            lock(&self.chunkless).push(registry.to_owned());
        }
    }

    fn endpoints(&self, registry: &str) -> Result<Arc<Vec<Endpoint>>, RegistryError> {
        if let Some(found) = lock(&self.endpoints).get(registry) {
            return Ok(Arc::clone(found));
        }
        let found = hosts::endpoints(registry, &self.settings.hosts, &self.settings.insecure)?;
        let found = Arc::new(found);
        lock(&self.endpoints).insert(registry.to_owned(), Arc::clone(&found));
        Ok(found)
    }

    fn at(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        patient: bool,
    ) -> Result<Response<Body>, RegistryError> {
        let mut scope = auth::scope(ask.repository, ask.purpose == Purpose::Push);
        if let Some(also) = ask.also {
            scope = format!("{scope} {}", auth::scope(also, false));
        }
        let key = (endpoint.base.clone(), scope);
        let mut authorized = false;
        let mut tries = 0;
        // What tidies up is not waited for either.
        let once = ask.is_piece() || ask.method == Method::DELETE;
        let patient = patient && !once;
        loop {
            let token = lock(&self.tokens).get(&key).cloned();
            let outcome = self.once(endpoint, ask, token.as_deref());
            let response = match outcome {
                Ok(response) => response,
                Err(error)
                    if patient && tries < self.settings.retries && worth_retrying(&error) =>
                {
                    std::thread::sleep(pause(tries, None));
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(unreachable(&endpoint.base, &error)),
            };
            let mut whole = lock(&self.whole);
            if !whole.contains(&endpoint.base) {
                whole.push(endpoint.base.clone());
            }
            drop(whole);
            let status = response.status();
            if status.is_success() || (status.is_redirection() && ask.purpose == Purpose::Push) {
                return Ok(response);
            }
            if status == StatusCode::UNAUTHORIZED && !authorized {
                authorized = true;
                let challenges = challenges(response.headers());
                drop(response);
                let header = self.authorize(endpoint, ask, &key.1, &challenges)?;
                lock(&self.tokens).insert(key.clone(), header);
                continue;
            }
            let again =
                status == StatusCode::TOO_MANY_REQUESTS || (status.is_server_error() && !once);
            if again && tries < self.settings.retries {
                let wanted = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                drop(response);
                std::thread::sleep(pause(tries, wanted));
                tries += 1;
                continue;
            }
            return Err(refused(ask, response));
        }
    }

    fn once(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, ureq::Error> {
        let url = match ask.path.contains("://") {
            true => ask.path.to_owned(),
            false => format!("{}{}", endpoint.base, ask.path),
        };
        let mut url = url;
        if let Some(registry) = &endpoint.mirror_of {
            // A mirror of several registries must know which is meant (containerd docs/hosts.md).
            let join = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{join}ns={registry}");
        }
        let mut request = Request::builder().method(ask.method.clone()).uri(&url);
        for (name, value) in &endpoint.headers {
            request = request.header(name, value);
        }
        for (name, value) in ask.headers {
            request = request.header(*name, value);
        }
        // An upload's URL may be at another place, which must not learn the token.
        let same_place = !ask.path.contains("://")
            || (authority(ask.path) == authority(&endpoint.base)
                && auth::may_know(ask.path, &endpoint.base));
        if let Some(authorization) = authorization.filter(|_| same_place) {
            request = request.header("authorization", authorization);
        }
        let agent = self.agent(&endpoint.tls)?;
        match &ask.payload {
            Payload::None
                if ask.method == Method::GET
                    || ask.method == Method::HEAD
                    || ask.method == Method::DELETE =>
            {
                agent.run(request.body(())?)
            }
            Payload::None => agent.run(request.header("content-length", "0").body(&b""[..])?),
            Payload::Bytes(bytes) => agent.run(request.body(*bytes)?),
            Payload::Piece {
                source,
                from,
                length,
            } => {
                let request = request.header("content-length", length.to_string());
                let mut piece = source.piece(*from, *length);
                let request = request.body(SendBody::from_reader(&mut piece))?;
                let request = agent.configure_request(request);
                // What a redirect would get is sent already; and some copy or hash all of it before they answer.
                let request = request
                    .max_redirects(0)
                    .timeout_recv_response(Some(DIGESTION));
                let request = request.build();
                agent.run(request)
            }
        }
    }

    /// The header that answers a challenge.
    fn authorize(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        scope: &str,
        challenges: &[Challenge],
    ) -> Result<String, RegistryError> {
        let host = ask.registry;
        let refused = |why: &str| RegistryError::Unauthorized {
            host: host.to_owned(),
            what: ask.what.to_owned(),
            why: why.to_owned(),
        };
        // A mirror gets its own, never those of the registry that it mirrors.
        let account = match &endpoint.mirror_of {
            Some(_) => authority(&endpoint.base),
            None => host,
        };
        let known = match &self.settings.credentials {
            Some((registry, credentials)) if registry == account => Some(credentials.clone()),
            _ => credentials::find(self.settings.docker_config.as_deref(), account)?,
        };
        if challenges.contains(&Challenge::Basic) || challenges.is_empty() {
            let header = known.as_ref().and_then(auth::direct);
            return header.ok_or_else(|| refused("it wants a name and a password"));
        }
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        let Some((realm, service, offered)) = bearer else {
            return Err(refused("it wants a way of login that is not known"));
        };
        let known = known.filter(|_| auth::may_know(realm, &endpoint.base));
        let scope = match (ask.repository, offered) {
            ("", Some(offered)) => offered.clone(),
            ("", None) => String::new(),
            _ => scope.to_owned(),
        };
        let agent = self
            .agent(&endpoint.tls)
            .map_err(|error| unreachable(realm, &error))?;
        let mut tries = 0;
        let mut response = loop {
            let outcome = match &known {
                Some(Credentials::Identity(token)) => agent.post(realm.as_str()).send_form(
                    auth::refresh_form(token, service, &scope)
                        .iter()
                        .map(|(name, value)| (*name, value.as_str())),
                ),
                other => {
                    let mut request = agent.get(realm.as_str());
                    if !service.is_empty() {
                        request = request.query("service", service);
                    }
                    for part in scope.split(' ').filter(|part| !part.is_empty()) {
                        request = request.query("scope", part);
                    }
                    if let Some(Credentials::Basic { username, password }) = other {
                        request = request
                            .query("account", username)
                            .header("authorization", auth::basic(username, password));
                    }
                    request.call()
                }
            };
            match outcome {
                Ok(response)
                    if response.status().is_server_error() && tries < self.settings.retries => {}
                Ok(response) => break response,
                Err(error) if tries < self.settings.retries && worth_retrying(&error) => {}
                Err(error) => return Err(unreachable(realm, &error)),
            }
            std::thread::sleep(pause(tries, None));
            tries += 1;
        };
        if !response.status().is_success() {
            let why = words(&mut response);
            return Err(refused(&why));
        }
        let text = response
            .body_mut()
            .with_config()
            .limit(1 << 20)
            .read_to_vec();
        let token: Option<Token> = text
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let token = token.map(|token| {
            if token.token.is_empty() {
                token.access_token
            } else {
                token.token
            }
        });
        match token {
            Some(token) if !token.is_empty() => Ok(format!("Bearer {token}")),
            _ => Err(refused("its token service answers without a token")),
        }
    }

    fn agent(&self, tls: &Tls) -> Result<Agent, ureq::Error> {
        let mut agents = lock(&self.agents);
        if let Some((_, agent)) = agents.iter().find(|(other, _)| other == tls) {
            return Ok(agent.clone());
        }
        let agent = tls::agent(&self.settings, tls)?;
        agents.push((tls.clone(), agent.clone()));
        Ok(agent)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all("www-authenticate").iter();
    values
        .filter_map(|value| auth::challenge(value.to_str().ok()?))
        .collect()
}

fn worth_retrying(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::NotFound
                | std::io::ErrorKind::InvalidData
                | std::io::ErrorKind::InvalidInput
        ),
        ureq::Error::Timeout(_) => true,
        _ => false,
    }
}

/// Half a second, doubled each time; what the registry wants, up to a minute.
pub(super) fn pause(tries: u32, wanted: Option<u64>) -> Duration {
    match wanted {
        Some(seconds) => Duration::from_secs(seconds.min(60)),
        None => Duration::from_millis(500 << tries.min(6)),
    }
}

pub(super) fn unreachable(url: &str, error: &ureq::Error) -> RegistryError {
    let hint = match error {
        ureq::Error::HostNotFound => ": is the name right, and does this machine resolve names?",
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            ": if it has a certificate of its own, put its authority into certs.d; if it speaks no TLS, name it as insecure"
        }
        _ => "",
    };
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let text = error.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = error.source();
    }
    RegistryError::Unreachable {
        url: url.to_owned(),
        why,
        hint,
    }
}
