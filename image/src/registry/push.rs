//! Sending: what the registry lacks, and the manifest that names it. The bytes of blobs: [`super::upload`].

use super::http::{Ask, Payload, Purpose};
use super::{Client, RegistryError};
use crate::manifest::Descriptor;
use crate::{Digest, Reference};
use ureq::http::{Method, Response};

impl Client {
    /// Whether a repository has a blob.
    pub fn has_blob(&self, reference: &Reference, digest: Digest) -> Result<bool, RegistryError> {
        let path = format!("/{}/blobs/{digest}", reference.repository());
        let what = format!("the blob {digest}");
        match self.push_request(
            reference,
            Method::HEAD,
            &path,
            &[],
            Payload::None,
            &what,
            None,
        ) {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks a registry to give a repository a blob that another of its repositories has; whether it did.
    pub fn mount(
        &self,
        reference: &Reference,
        digest: Digest,
        from: &str,
    ) -> Result<bool, RegistryError> {
        let path = format!(
            "/{}/blobs/uploads/?mount={digest}&from={from}",
            reference.repository()
        );
        let what = format!("the blob {digest} of {from}");
        match self.push_request(
            reference,
            Method::POST,
            &path,
            &[],
            Payload::None,
            &what,
            Some(from),
        ) {
            Ok(response) if response.status().as_u16() == 201 => Ok(true),
            Ok(response) => {
                // It has begun an upload instead, which nobody goes on with.
                if let Some(upload) = location(&response) {
                    let _ = self.push_request(
                        reference,
                        Method::DELETE,
                        &upload,
                        &[],
                        Payload::None,
                        &what,
                        None,
                    );
                }
                Ok(false)
            }
            // Registries that know no mounts, or that don't let it be read.
            Err(
                RegistryError::NotFound { .. }
                | RegistryError::Denied { .. }
                | RegistryError::Unauthorized { .. }
                | RegistryError::Status { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a manifest or index under a reference's tag or digest; the digest that the registry gave it must be ours. If it refers
    /// to another, and the registry keeps no list of such, the tag that stands for that one gets it (distribution-spec 1.1, "Pushing
    /// Manifests with Subject").
    pub fn put_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        content: &[u8],
    ) -> Result<(), RegistryError> {
        let response = self.send_manifest(reference, descriptor, content)?;
        match response.headers().contains_key("oci-subject") {
            true => Ok(()),
            false => self.refer(reference, descriptor, content),
        }
    }

    pub(super) fn send_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        content: &[u8],
    ) -> Result<Response<ureq::Body>, RegistryError> {
        let what = format!("the manifest of {}", reference.familiar());
        let path = format!(
            "/{}/manifests/{}",
            reference.repository(),
            reference.wanted()
        );
        let headers = [("content-type", descriptor.media_type.clone())];
        let response = self.push_request(
            reference,
            Method::PUT,
            &path,
            &headers,
            Payload::Bytes(content),
            &what,
            None,
        )?;
        let given = response
            .headers()
            .get("docker-content-digest")
            .and_then(|value| value.to_str().ok());
        match given.and_then(|given| given.parse::<Digest>().ok()) {
            Some(found) if found != descriptor.digest => Err(RegistryError::Digest {
                host: reference.registry().to_owned(),
                found,
                expected: descriptor.digest,
            }),
            _ => Ok(response),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call for all that is sent")]
    pub(super) fn push_request(
        &self,
        reference: &Reference,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        payload: Payload,
        what: &str,
        also: Option<&str>,
    ) -> Result<Response<ureq::Body>, RegistryError> {
        self.http.send(&Ask {
            registry: reference.registry(),
            repository: reference.repository(),
            purpose: Purpose::Push,
            method,
            path,
            headers,
            payload,
            what,
            also,
        })
    }
}

/// The place of an upload: a whole URL, or a path at the registry, which begins with `/v2`.
pub(super) fn location(response: &Response<ureq::Body>) -> Option<String> {
    let location = response.headers().get("location")?.to_str().ok()?;
    if location.contains("://") {
        return Some(location.to_owned());
    }
    location.strip_prefix("/v2").map(str::to_owned)
}
