//! What the broker is told at its start. Plain values: the configuration that they come from is
//! checked elsewhere.

use crate::presence::{ReleaseRule, release};
use std::num::NonZeroU16;
use std::time::Duration;

/// The broker's limits, with the contract's defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The longest keep-alive in seconds: a 5.0 client that asks for more, or for none, is told this
    /// one (Server Keep Alive, MQTT 5.0 §3.2.2.3.14). A 3.1.1 client cannot be told and keeps its own.
    pub keep_alive_secs_max: NonZeroU16,
    /// QoS 1 messages on their way to a client that names no Receive Maximum, and the most to any.
    pub window: NonZeroU16,
    /// The largest packet taken from a client, in bytes.
    pub packet_bytes_max: u32,
    /// How long a connection may take until its CONNECT is there.
    pub connect_timeout: Duration,
    /// How long a session outlives its connection at most.
    pub session_expiry_max: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// Packets a second that one connection may send, acknowledgements of what it was sent apart.
    pub packets_per_second: u32,
    /// Connections between their first byte and their CONNACK at a time, a quarter of them at most
    /// from one address.
    pub connections_opening: usize,
    /// Connections that wait to be among those; beyond, they are told that the server is busy.
    pub connections_waiting: usize,
    /// Private messages a second that one device may publish.
    pub private_publishes_per_second: u32,
    /// The longest a private message is kept.
    pub ttl_max: Duration,
    /// How often the heads of connected users are compared with what was heard of on the bus.
    pub sweep_interval: Duration,
    /// How long acknowledgements are gathered before they are made durable together.
    pub settle_delay: Duration,
    /// How long a client that reads nothing may hold up what is being written to it.
    pub write_timeout: Duration,
    /// How long an active device has notifications to itself, where the user says nothing else.
    pub away_grace: Duration,
    /// Who gets what at once, and who later.
    pub release: ReleaseRule,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_alive_secs_max: NonZeroU16::new(3_600).expect("3600 is not zero"),
            window: NonZeroU16::new(32).expect("32 is not zero"),
            packet_bytes_max: 64 * 1024,
            connect_timeout: Duration::from_secs(5),
            session_expiry_max: Duration::from_secs(30 * 86_400),
            connections: 16_384,
            connections_per_address: 1_000,
            packets_per_second: 100,
            connections_opening: 1_024,
            connections_waiting: 4_096,
            private_publishes_per_second: 20,
            ttl_max: Duration::from_secs(30 * 86_400),
            sweep_interval: Duration::from_secs(30),
            settle_delay: Duration::from_millis(40),
            write_timeout: Duration::from_secs(30),
            away_grace: Duration::from_secs(30),
            release,
        }
    }
}
