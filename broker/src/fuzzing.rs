//! Fuzz targets: what anyone may send before the broker knows who it is.

mod connection;
mod wire;

pub use crate::upgrade::fuzzing::upgrade;
pub use connection::connection;
pub(crate) use wire::unframed;
pub use wire::wire;

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod kept;
#[cfg(test)]
pub(crate) use kept::replay;
