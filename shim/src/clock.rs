//! Times as containerd takes them.
use std::time::{SystemTime, UNIX_EPOCH};
use tare_shim_wire::messages::google::Timestamp;

/// A time as a message; what was before 1970 is then.
pub fn stamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
    }
}
