//! Private parsers made callable for the fuzz crate; a build without the feature `doors` has none of it.
use crate::Error;
use crate::systemd::bus::Bus;
use crate::systemd::{gvariant, message};
use std::os::unix::net::UnixStream;

/// What a statistics file says, read by the parser of this number; `None` after the last.
pub fn statistics(parser: u8, text: &str) -> Option<String> {
    crate::stats::words(parser, text)
}

/// How often memory ran out, by the text of `memory.events`.
pub fn oom_kills(text: &str) -> u64 {
    crate::events::count(text)
}

/// The cgroup of a unit, by the text of `/proc/PID/cgroup`.
pub fn path_of_unit(text: &str, unit: &str) -> Option<String> {
    crate::systemd::path_of_unit(text, unit)
}

/// A message of the bus taken apart and put together again: in words, and its bytes.
///
/// # Errors
/// What is wrong with it.
pub fn message(bytes: &[u8]) -> Result<(String, Vec<u8>), &'static str> {
    let message = message::decode(bytes)?;
    Ok((format!("{message:?}"), message::encode(&message)))
}

/// A value in the text form that annotations have, in words and written again.
///
/// # Errors
/// What is wrong with it.
pub fn value(text: &str) -> Result<(String, String), String> {
    let value = gvariant::parse(text)?;
    Ok((value.signature(), gvariant::Text(&value).to_string()))
}

/// A whole conversation with a bus that says whatever it likes: authentication, hello, a call, a signal.
///
/// # Errors
/// As a caller of systemd would get it.
pub fn conversation(stream: UnixStream) -> Result<String, Error> {
    let mut bus = Bus::over(stream, "unix:path=/bus")?;
    let answer = bus
        .call("a.b", "/a", "a.b", "C", Vec::new())
        .map_err(|error| error.about("C", "c.scope"))?;
    bus.wait_signal(|signal| Some(format!("{answer:?} {signal:?}")))
        .map_err(|error| error.about("C", "c.scope"))
}
