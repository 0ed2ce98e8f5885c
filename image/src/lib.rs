//! Images: references, registries, layers unpacked as they come, and the store that keeps them.
#![forbid(unsafe_code)]

pub mod changes;
pub mod commit;
mod compress;
pub mod diff;
mod digest;
pub mod import;
mod inflate;
mod layer;
pub mod load;
pub mod manifest;
mod outer;
pub mod pipeline;
mod platform;
pub mod policy;
pub mod pull;
pub mod push;
mod reference;
pub mod registry;
pub mod rootfs;
pub mod save;
pub mod store;
pub mod unpack;

pub use digest::{Digest, DigestError};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
