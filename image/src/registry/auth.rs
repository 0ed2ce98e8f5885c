//! How a registry wants to be asked: the challenge of its 401, and the token that answers it (distribution spec/auth/token.md,
//! oauth.md).

use super::Credentials;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a `WWW-Authenticate` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: String,
        scope: Option<String>,
    },
}

/// Reads a challenge; None: one that is not known.
pub(super) fn challenge(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameters = parameters(rest);
    let get = |name: &str| {
        let found = parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    Some(Challenge::Bearer {
        realm: get("realm")?,
        service: get("service").unwrap_or_default(),
        scope: get("scope").filter(|scope| !scope.is_empty()),
    })
}

/// `name=token` or `name="quoted, with \" escapes"`, with commas between.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        let name: String =
            std::iter::from_fn(|| letters.next_if(|letter| *letter != '=')).collect();
        if letters.next().is_none() {
            return found;
        }
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            while let Some(letter) = letters.next() {
                match letter {
                    '"' => break,
                    '\\' => value.extend(letters.next()),
                    letter => value.push(letter),
                }
            }
            while letters.next_if(|letter| *letter != ',').is_some() {}
        } else {
            value.extend(std::iter::from_fn(|| {
                letters.next_if(|letter| *letter != ',')
            }));
        }
        letters.next();
        found.push((name.trim().to_owned(), value.trim().to_owned()));
    }
}

/// The header of someone with a name and a password.
pub(super) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{username}:{password}"))
    )
}

/// The scope of an action at a repository.
pub(super) fn scope(repository: &str, push: bool) -> String {
    let actions = if push { "pull,push" } else { "pull" };
    format!("repository:{repository}:{actions}")
}

/// Whether credentials may be sent to a token's realm: not in the open, unless the registry itself is asked in the open.
pub(super) fn may_know(realm: &str, registry_base: &str) -> bool {
    realm.starts_with("https://")
        || (realm.starts_with("http://") && registry_base.starts_with("http://"))
}

/// The fields of the POST that exchanges an identity token.
pub(super) fn refresh_form(token: &str, service: &str, scope: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "refresh_token".to_owned()),
        ("service", service.to_owned()),
        ("client_id", "tare".to_owned()),
        ("scope", scope.to_owned()),
        ("refresh_token", token.to_owned()),
    ]
}

/// The header that credentials give where no token is asked for.
pub(super) fn direct(credentials: &Credentials) -> Option<String> {
    match credentials {
        Credentials::Basic { username, password } => Some(basic(username, password)),
        Credentials::Identity(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: &str, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.to_owned(),
                scope: scope.map(str::to_owned),
            })
        };
        let check = |header: &str, expect: Option<Challenge>| {
            assert_eq!(challenge(header), expect, "{header}")
        };
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            bearer(
                "https://auth.docker.io/token",
                "registry.docker.io",
                Some("repository:a/b:pull,push"),
            ),
        );
        check(
            r#"bearer realm=https://a/t, service="s \"q\"""#,
            bearer("https://a/t", "s \"q\"", None),
        );
        check(r#"Bearer service="s""#, None);
        check(r#"Basic realm="x""#, Some(Challenge::Basic));
        check("basic", Some(Challenge::Basic));
        check("Negotiate", None);
        check(r#"Bearer realm="unclosed"#, bearer("unclosed", "", None));
        check("", None);
    }
}
