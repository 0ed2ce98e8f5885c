//! Images: references, registries, layers unpacked as they come, and the store that keeps them.
#![forbid(unsafe_code)]

mod digest;
mod inflate;
pub mod manifest;
pub mod pipeline;
mod platform;
pub mod policy;
pub mod pull;
mod reference;
pub mod registry;
pub mod rootfs;
pub mod store;
pub mod unpack;

pub use digest::{Digest, DigestError};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
