//! The Rust SDK of Belfry, and the CLI commands over it.
//!
//! Two sides use it. A *user's program* signs in ([`server`]), makes a device, shares keys with the
//! user's other devices ([`keyring`], [`sync`], [`linking`], [`recovery`]), approves sites ([`keys`],
//! [`state`]) and listens ([`listen`]). A *site* encrypts and posts ([`send`], [`vapid`]) and needs
//! nothing else of this crate. Keys are made, kept and used here and never go to the server.

pub mod cli;
pub mod keyring;
pub mod keys;
pub mod link;
pub mod linking;
pub mod listen;
pub mod recovery;
pub mod send;
pub mod server;
pub mod state;
pub mod sync;
pub mod tls;
pub mod vapid;
pub mod wrap;

mod backoff;
mod recent;
#[cfg(test)]
mod vectors;
