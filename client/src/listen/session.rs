//! The MQTT library's settings for a device: address, transport, and a session that lasts.

use super::{ListenError, Transport};
use crate::server::MqttAccess;
use rumqttc::{
    AckMode, Broker, MqttOptions, PersistedAckMode, PersistedSession, SessionStore,
    SessionStoreError, SessionStoreKey, TlsConfiguration, Transport as MqttTransport,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long the server keeps the session of a device that is away: its own maximum, 30 days.
const SESSION_EXPIRY_SECS: u32 = 30 * 24 * 60 * 60;
/// Largest packet, in bytes: the server's maximum.
const PACKET_BYTES_MAX: u32 = 64 * 1024;
/// Notifications in flight. A terminal shows them one by one.
const RECEIVE_MAX: u16 = 32;
/// Short enough to keep a mapping in most address translators.
const KEEP_ALIVE_SECS: u16 = 50;
/// How long a connection may take, TLS and CONNACK included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) fn options(
    access: &MqttAccess,
    transport: Transport,
    trust: &rustls::ClientConfig,
) -> Result<MqttOptions, ListenError> {
    let tls = || TlsConfiguration::Rustls(Arc::new(trust.clone()));
    let invalid = || ListenError::Address(address_of(access, transport).to_owned());
    let id = access.client_id.clone();
    let mut mqtt = match transport {
        Transport::WebSocket if access.url.starts_with("wss:") => {
            MqttOptions::websocket_with_tls_config(id, access.url.clone(), tls())
                .map_err(|_| invalid())?
        }
        Transport::WebSocket => {
            let broker = Broker::websocket(access.url.clone()).map_err(|_| invalid())?;
            MqttOptions::new(id, broker)
        }
        Transport::Tcp => {
            let (host, port, secure) = tcp_address(access).ok_or_else(invalid)?;
            let mut mqtt = MqttOptions::new(id, Broker::tcp(host, port));
            if secure {
                mqtt.set_transport(MqttTransport::tls_with_config(tls()));
            }
            mqtt
        }
    };
    mqtt.set_credentials(access.username.clone(), access.password.clone())
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_SECS))
        .set_receive_maximum(Some(RECEIVE_MAX))
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        .set_keep_alive(KEEP_ALIVE_SECS)
        .set_connect_timeout(CONNECT_TIMEOUT)
        .set_ack_mode(AckMode::Manual)
        .set_session_store(NothingInFlight);
    Ok(mqtt)
}

fn address_of(access: &MqttAccess, transport: Transport) -> &str {
    match transport {
        Transport::WebSocket => &access.url,
        Transport::Tcp => access.tcp.as_deref().unwrap_or("(no TCP address)"),
    }
}

/// Host, port and whether TLS: of `host:port`, which has TLS where the WebSocket has it, or of an
/// `mqtt:`, `tcp:`, `mqtts:`, `ssl:` or `tls:` URL.
fn tcp_address(access: &MqttAccess) -> Option<(String, u16, bool)> {
    let address = access.tcp.as_deref()?;
    let (secure, rest) = match address.split_once("://") {
        Some(("mqtt" | "tcp", rest)) => (false, rest),
        Some(("mqtts" | "ssl" | "tls", rest)) => (true, rest),
        Some(_) => return None,
        None => (access.url.starts_with("wss:"), address),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (rest, if secure { 8883 } else { 1883 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port, secure))
}

/// The local half of a session that outlives this process.
///
/// The library refuses a session that the server has and it has not, or else forbids all that
/// needs a packet id on it, SUBSCRIBE and reports included. A listener that starts has nothing in
/// flight by definition: what an earlier process did not get acknowledged was never promised to
/// anybody. So it is always handed an empty session, and nothing is written to disk.
#[derive(Debug)]
struct NothingInFlight;

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for NothingInFlight {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> StoreFuture<'a, Option<PersistedSession>> {
        let empty = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(SESSION_EXPIRY_SECS),
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(empty)) })
    }

    fn save<'a>(
        &'a self,
        _key: &'a SessionStoreKey,
        _session: &'a PersistedSession,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _key: &'a SessionStoreKey) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_addresses_are_read_in_every_form() {
        let check = |url: &str, tcp: &str, expected: Option<(&str, u16, bool)>| {
            let access = MqttAccess {
                url: url.into(),
                tcp: Some(tcp.into()),
                client_id: String::new(),
                username: String::new(),
                password: String::new(),
            };
            let expected = expected.map(|(host, port, secure)| (host.to_owned(), port, secure));
            assert_eq!(tcp_address(&access), expected, "{tcp}");
        };
        let ws = "ws://h/mqtt";
        check(ws, "127.0.0.1:1883", Some(("127.0.0.1", 1883, false)));
        check("wss://h/mqtt", "h:99", Some(("h", 99, true)));
        check("wss://h/mqtt", "mqtt://h:99", Some(("h", 99, false)));
        check(ws, "mqtts://h", Some(("h", 8883, true)));
        check(ws, "tcp://[::1]:1884/", Some(("::1", 1884, false)));
        check(ws, "[::1]", Some(("::1", 1883, false)));
        check(ws, "h:notaport", None);
        check(ws, "http://h:1", None);
        check(ws, "", None);
    }
}
