//! MQTT for devices: listeners, sessions and live delivery over the mailbox.
//!
//! ```text
//! listener, upgrade ── admission ── transport (bytes) ── connection ── session (pure: packets)
//!                                               │   └──── delivery (pure: what is owed next)
//!                        hub ── inbox ──────────┘
//! mailbox ── commit ── bus ──┘   └ a hint is only "look now": the mailbox is the truth
//! ```
//!
//! The only crate that names rumqttd. It holds no notification that the mailbox does not, so losing
//! this process loses nothing but connections.

mod admission;
mod broker;
mod bus;
mod connection;
mod delivery;
pub mod denial;
mod detached;
mod directory;
mod figures;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hub;
mod inbox;
mod listener;
mod mailbox;
mod notice;
mod pages;
pub mod presence;
pub mod session;
mod settings;
mod settle;
#[cfg(test)]
mod simulation;
mod transport;
mod upgrade;
mod vanished;
pub mod wire;

pub use broker::Broker;
pub use directory::{BoxFuture, DeviceDirectory, Unavailable};
pub use hub::Hub;
pub use inbox::CloseCause;
pub use listener::TlsSource;
pub use settings::Settings;
pub use upgrade::PeerAddress;
pub use vanished::notice_vanished;
