//! Answers without success, in the registry's own words and in ours.

use super::RegistryError;
use super::http::Ask;
use serde::Deserialize;
use ureq::Body;
use ureq::http::Response;

/// The largest text of an error that is read.
const ERROR_LIMIT: u64 = 64 << 10;

/// What an answer without success means.
pub(super) fn refused(ask: &Ask, mut response: Response<Body>) -> RegistryError {
    let (host, what, why) = (
        ask.registry.to_owned(),
        ask.what.to_owned(),
        words(&mut response),
    );
    match response.status().as_u16() {
        401 => RegistryError::Unauthorized { host, what, why },
        403 => RegistryError::Denied { host, what, why },
        404 => RegistryError::NotFound { host, what, why },
        429 => RegistryError::TooMany { host, why },
        status => RegistryError::Status {
            host,
            what,
            status,
            why,
        },
    }
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A registry's own words, cut, and without what would move a terminal's cursor.
pub(super) fn words(response: &mut Response<Body>) -> String {
    let status = response.status();
    let body = response
        .body_mut()
        .with_config()
        .limit(ERROR_LIMIT)
        .read_to_vec()
        .unwrap_or_default();
    let told = match serde_json::from_slice::<Errors>(&body) {
        Ok(errors) if !errors.errors.is_empty() => {
            let each = errors.errors.iter().map(|error| {
                format!("{} {}", error.code, error.message)
                    .trim()
                    .to_owned()
            });
            each.collect::<Vec<_>>().join("; ")
        }
        Ok(errors) if !errors.details.is_empty() => errors.details,
        _ => String::new(),
    };
    let told: String = told
        .chars()
        .filter(|letter| !letter.is_control())
        .take(300)
        .collect();
    match told.is_empty() {
        true => status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned(),
        false => told,
    }
}
