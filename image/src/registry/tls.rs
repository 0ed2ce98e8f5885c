//! Connections: whom they trust, how they are known, how long they wait.

use super::Settings;
use super::hosts::Tls;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

/// What makes connections with some trust.
pub(super) fn agent(settings: &Settings, tls: &Tls) -> Result<Agent, ureq::Error> {
    let mut builder = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .disable_verification(tls.skip_verify);
    if !tls.skip_verify {
        let mut roots = Vec::new();
        for file in &settings.roots {
            if let Ok(found) = certificates(file) {
                roots = found;
                break;
            }
        }
        for file in &tls.ca {
            roots.extend(certificates(file)?);
        }
        builder = builder.root_certs(RootCerts::Specific(Arc::new(roots)));
    }
    if let Some((certificate, key)) = &tls.client {
        builder = builder.client_cert(Some(client(certificate, key)?));
    }
    let mut config = Agent::config_builder()
        .tls_config(builder.build())
        .http_status_as_error(false)
        .user_agent(&settings.user_agent)
        .timeout_resolve(Some(Duration::from_secs(20)))
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(settings.idle))
        .timeout_per_write(Some(settings.idle))
        .max_idle_connections_per_host(16)
        .input_buffer_size(128 << 10);
    if !settings.proxy_from_environment {
        config = config.proxy(None);
    }
    Ok(config.build().new_agent())
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, ureq::Error> {
    let pem = fs::read(file).map_err(|error| with_path(file, &error))?;
    let items = ureq::tls::parse_pem(&pem);
    Ok(items
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect())
}

fn client(certificate: &Path, key: &Path) -> Result<ClientCert, ureq::Error> {
    let pem = fs::read(key).map_err(|error| with_path(key, &error))?;
    let key = PrivateKey::from_pem(&pem)?;
    Ok(ClientCert::new_with_certs(&certificates(certificate)?, key))
}

fn with_path(file: &Path, error: &std::io::Error) -> ureq::Error {
    ureq::Error::Io(std::io::Error::new(
        error.kind(),
        format!("{}: {error}", file.display()),
    ))
}
