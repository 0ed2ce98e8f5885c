//! A blob to a registry: small ones whole, large ones in chunks, where the registry takes them.

use super::chunks::{self, Chunked};
use super::http::{Payload, pause};
use super::push::location;
use super::source::{Outgoing, Source};
use super::{Client, RegistryError};
use crate::Reference;
use ureq::Body;
use ureq::http::{Method, Response};

impl Client {
    /// Sends a blob, in chunks if it is larger than one and the registry takes them. What fails is removed from the registry.
    pub fn upload(&self, reference: &Reference, blob: &Outgoing) -> Result<(), RegistryError> {
        let session = Session {
            client: self,
            reference,
            what: format!(
                "the upload of {} to {}",
                blob.digest,
                reference.familiar_repository()
            ),
        };
        let registry = reference.registry();
        if blob.size > self.http.settings.chunk && self.http.takes_chunks(registry) {
            match chunks::upload(&session, blob, self.http.settings.chunk)? {
                Chunked::Done => return Ok(()),
                Chunked::Refused => self.http.takes_no_chunks(registry),
            }
        }
        session.whole(blob)
    }
}

/// Uploads of one blob.
pub(super) struct Session<'a> {
    pub(super) client: &'a Client,
    pub(super) reference: &'a Reference,
    pub(super) what: String,
}

impl Session<'_> {
    fn whole(&self, blob: &Outgoing) -> Result<(), RegistryError> {
        let source = Source::new(blob);
        let mut tries = 0;
        loop {
            let (place, _) = self.begin()?;
            let payload = Payload::Piece {
                source: &source,
                from: 0,
                length: blob.size,
            };
            let Err(error) = self.close(&place, blob, payload) else {
                return Ok(());
            };
            self.cancel(&place);
            if let Some(error) = source.failure(self.host()) {
                return Err(error);
            }
            if !may_pass(&error) || tries == self.retries() {
                return Err(self.explain(error, &source));
            }
            // Another upload: how much of this one has come is not known, and it may count as a part of the next try.
            std::thread::sleep(pause(tries, None));
            tries += 1;
        }
    }

    /// Begins an upload: its place, and what the registry said.
    pub(super) fn begin(&self) -> Result<(String, Response<Body>), RegistryError> {
        let path = format!("/{}/blobs/uploads/", self.reference.repository());
        let response = self.ask(Method::POST, &path, &[], Payload::None)?;
        match location(&response) {
            Some(place) => Ok((place, response)),
            None => Err(self.nonsense("it names no place for the upload".to_owned())),
        }
    }

    /// Ends an upload, with what is left of it.
    pub(super) fn close(
        &self,
        place: &str,
        blob: &Outgoing,
        payload: Payload,
    ) -> Result<(), RegistryError> {
        let join = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{join}digest={}", blob.digest);
        let headers = [("content-type", "application/octet-stream".to_owned())];
        let response = self.ask(Method::PUT, &place, &headers, payload)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(self.nonsense(format!("{status} for an upload that is complete"))),
        }
    }

    /// What was sent so far need not be kept. That this fails is nothing new to whoever is told of the failure before.
    pub(super) fn cancel(&self, place: &str) {
        let _ = self.ask(Method::DELETE, place, &[], Payload::None);
    }

    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        payload: Payload,
    ) -> Result<Response<Body>, RegistryError> {
        let (client, what) = (self.client, &self.what);
        client.push_request(self.reference, method, path, headers, payload, what, None)
    }

    /// A registry that does not like the digest is right if the source gives something else.
    pub(super) fn explain(&self, error: RegistryError, source: &Source) -> RegistryError {
        match error {
            RegistryError::Status { status: 400, .. } => {
                source.verify(self.host()).err().unwrap_or(error)
            }
            error => error,
        }
    }

    pub(super) fn nonsense(&self, why: String) -> RegistryError {
        RegistryError::Answer {
            host: self.host().to_owned(),
            what: self.what.clone(),
            why,
        }
    }

    pub(super) fn host(&self) -> &str {
        self.reference.registry()
    }

    pub(super) fn retries(&self) -> u32 {
        self.client.http.settings.retries
    }
}

/// Whether it may be otherwise in a moment: no answer, or a registry in trouble of its own.
pub(super) fn may_pass(error: &RegistryError) -> bool {
    match error {
        RegistryError::Unreachable { .. } => true,
        RegistryError::Status { status, .. } => *status >= 500 && *status != 501,
        _ => false,
    }
}
