//! The broker's numbers on `/metrics`. No label names a user, a device or a site.

use crate::admission::Turned;
use crate::wire::{ProtocolVersion, ReasonCode};
use belfry_protocol::time::Timestamp;
use metrics::{counter, gauge, histogram};

/// What a connection came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportKind {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket, whatever is below it.
    WebSocket,
}

impl TransportKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
        }
    }
}

/// A connected device in `belfry_connected_devices`; dropping it takes it out.
pub(crate) struct Connected {
    transport: TransportKind,
    version: ProtocolVersion,
}

impl Connected {
    pub(crate) fn new(transport: TransportKind, version: ProtocolVersion) -> Self {
        let connected = Self { transport, version };
        connected.gauge().increment(1.0);
        let (transport, version) = connected.labels();
        counter!("belfry_connections_total", "transport" => transport, "version" => version)
            .increment(1);
        connected
    }

    fn labels(&self) -> (&'static str, &'static str) {
        let version = match self.version {
            ProtocolVersion::V311 => "3.1.1",
            ProtocolVersion::V5 => "5.0",
        };
        (self.transport.label(), version)
    }

    fn gauge(&self) -> metrics::Gauge {
        let (transport, version) = self.labels();
        gauge!("belfry_connected_devices", "transport" => transport, "version" => version)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.gauge().decrement(1.0);
    }
}

/// Connections between their first byte and their CONNACK, and those in line before that.
pub(crate) fn on_their_way_in(opening: usize, waiting: usize) {
    gauge!("belfry_connections_opening").set(opening as f64);
    gauge!("belfry_connections_waiting").set(waiting as f64);
}

/// A connection was not let in.
pub(crate) fn turned_away(why: Turned) {
    refused(match why {
        Turned::Address => "address",
        Turned::Full => "connections",
        Turned::Busy => "busy",
        Turned::Banned => "banned",
    });
}

/// A CONNECT was answered with this.
pub(crate) fn connect_refused(reason: ReasonCode) {
    refused(match reason {
        ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => "credentials",
        ReasonCode::ServerUnavailable => "unavailable",
        ReasonCode::Banned => "banned",
        _ => "protocol",
    });
}

fn refused(reason: &'static str) {
    counter!("belfry_connections_refused_total", "reason" => reason).increment(1);
}

/// A first device has settled a notification.
pub(crate) fn delivered(sent: Timestamp, now: Timestamp) {
    counter!("belfry_delivered_total").increment(1);
    histogram!("belfry_delivery_seconds").record(now.since(sent).as_secs_f64());
}

/// Why heads were compared with what was heard of on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweepCause {
    /// It was time.
    Interval,
    /// The bus lost something of a bucket: its reader lagged.
    Jump,
}

/// Connections were told how far their logs reach. Sweeps for a jump are the lag of the bus.
pub(crate) fn swept(cause: SweepCause) {
    let cause = match cause {
        SweepCause::Interval => "interval",
        SweepCause::Jump => "jump",
    };
    counter!("belfry_bus_sweeps_total", "cause" => cause).increment(1);
}

/// A notice of a commit came off the bus after so many microseconds.
pub(crate) fn bus_lag(micros: u64) {
    let lag = std::time::Duration::from_micros(micros);
    histogram!("belfry_bus_lag_seconds").record(lag.as_secs_f64());
}

/// A device acknowledged a notification.
pub(crate) fn acknowledged(sent: Timestamp, now: Timestamp) {
    counter!("belfry_acknowledged_total").increment(1);
    histogram!("belfry_acknowledgement_seconds").record(now.since(sent).as_secs_f64());
}

#[cfg(test)]
pub(crate) mod ledger;
