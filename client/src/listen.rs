//! Listening: a device's MQTT session as a sequence of typed events.
//!
//! [`Listener::next`] is a pull: a notification is acknowledged when the *next* event is asked for,
//! so one that the program never finished with is delivered again. The session is persistent
//! (30 days); it reconnects by itself, drops what comes a second time, opens both encodings, and
//! counts what does not open without ever showing it. It keeps the local copy of the keyring in step
//! with the server's: at each connect, when an event says that it changed, and before it gives up on
//! a permission that it does not know. While no `next` is waiting nothing is sent
//! either, keep-alive included: a program that works longer than a minute on one notification is
//! disconnected meanwhile and gets nothing twice for it.

mod opening;
pub(crate) mod session;

pub use opening::{Counts, Hidden};

use crate::backoff::Backoff;
use crate::keys::random_u32;
use crate::server::Device;
use crate::state::{KeyFile, StateError};
use crate::sync::{Keys, SyncError};
use belfry_protocol::body::Content;
use belfry_protocol::envelope::Notification;
use belfry_protocol::event::Event as Change;
use belfry_protocol::id::{NotificationId, PermissionId};
use belfry_protocol::site::Origin;
use opening::{Opened, Opener};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, DisconnectReasonCode, Event, EventLoop,
    Packet, Publish, PublishOptions, QoS, StateError as MqttStateError, SubscribeFilterInput,
    SubscribeReasonCode,
};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Requests that may wait for the connection; acknowledgements of one window and a few reports.
const REQUESTS_MAX: usize = 64;
/// How long the keyring may take, meanwhile nothing is received: less than half of the keep-alive.
const SYNC_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at the keyring for permissions that turn out to be nobody's, so that a server
/// which makes them up costs a device little.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);
/// How long closing may wait for the last acknowledgements to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Over which transport to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// WebSocket: passes proxies and firewalls.
    #[default]
    WebSocket,
    /// Plain TCP, or TLS where the server's address says so.
    Tcp,
}

/// Whether the user is at this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// At it: notifications come at once.
    Active,
    /// Away: what is not urgent may wait.
    Away,
}

impl Presence {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Away => "away",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Connected and subscribed.
    Connected {
        /// The server still had this device's session.
        resumed: bool,
    },
    /// Not connected; the next `next` waits and tries again.
    Disconnected {
        /// Why.
        reason: String,
        /// How long it will wait.
        retry_in: Duration,
    },
    /// A notification, opened.
    Notification(Box<Received>),
    /// Something of the user's changed.
    Changed(Change),
    /// What the server serves as keyring is refused; this device goes on with its own copy.
    KeyringRefused {
        /// Why.
        reason: String,
    },
    /// A notification that must not be shown.
    Hidden {
        /// Which.
        id: NotificationId,
        /// Under which permission.
        permission: PermissionId,
        /// Why.
        reason: Hidden,
    },
}

/// A notification, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// As it came.
    pub envelope: Notification,
    /// The site that was approved, as this device's keyring has it.
    pub site: Origin,
    /// What it says.
    pub content: Content,
}

/// Why listening cannot go on; connecting again would not help.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address in the device's file is of no use.
    #[error("{0} is not an MQTT address; make the device again with belfry login")]
    Address(String),
    /// The server does not take this device.
    #[error(
        "the server does not let this device in ({0}); if it was removed, sign in again with belfry login"
    )]
    Refused(String),
    /// A second program connected as this device.
    #[error(
        "another program connected as this device; give each its own with --config-dir and belfry login"
    )]
    TakenOver,
    /// Too much waits to be sent.
    #[error("more than {REQUESTS_MAX} reports wait to be sent; await next() meanwhile")]
    Busy,
    /// The permission keys cannot be read.
    #[error(transparent)]
    Keys(#[from] StateError),
}

/// What a listener needs.
#[derive(Clone)]
pub struct Options {
    /// The device.
    pub device: Device,
    /// The local copy of the keyring. Read at the start, and again when an unknown permission turns
    /// up.
    pub keys: KeyFile,
    /// Keeps that copy in step with the server's; without it other programs have to.
    pub sync: Option<Keys>,
    /// How to connect.
    pub transport: Transport,
    /// Whom to trust.
    pub tls: rustls::ClientConfig,
    /// What to say at each connect; without it the device counts as active.
    pub presence: Option<Presence>,
}

/// A device's session.
pub struct Listener {
    client: AsyncClient,
    events: EventLoop,
    device: Device,
    presence: Option<Presence>,
    opener: Opener,
    sync: Option<Keys>,
    /// The server's keyring may be another than the local copy.
    stale: bool,
    /// Under a permission that the local copy does not have; opened after the next sync.
    unknown: Option<Publish>,
    /// When an unknown permission is worth another sync.
    unknown_from: Instant,
    /// The last refusal that was told.
    refused: Option<String>,
    /// Given to the program, which has not yet asked for the next.
    handed: Option<Publish>,
    /// To be acknowledged on this connection, in the order of arrival (MQTT 5.0 §4.6).
    taken: VecDeque<Publish>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    link: Link,
    /// A SUBACK was seen since this listener was made.
    subscribed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Subscribing { resumed: bool },
    Up,
}

impl Listener {
    /// Prepares a session; the first [`Listener::next`] connects.
    ///
    /// # Errors
    /// The device's address or the key file is of no use.
    pub fn new(options: Options) -> Result<Self, ListenError> {
        let mqtt = session::options(&options.device.mqtt, options.transport, &options.tls)?;
        let (client, events) = AsyncClient::builder(mqtt).capacity(REQUESTS_MAX).build();
        Ok(Self {
            client,
            events,
            device: options.device,
            presence: options.presence,
            opener: Opener::new(options.keys)?,
            sync: options.sync,
            stale: false,
            unknown: None,
            unknown_from: Instant::now(),
            refused: None,
            handed: None,
            taken: VecDeque::new(),
            backoff: Backoff::new(),
            retry_at: None,
            link: Link::Down,
            subscribed: false,
        })
    }

    /// Waits for what happens next, and acknowledges the notification before it. May be dropped
    /// while it waits.
    ///
    /// # Errors
    /// Only what connecting again cannot mend.
    pub async fn next(&mut self) -> Result<Incoming, ListenError> {
        self.taken.extend(self.handed.take());
        loop {
            if self.stale
                && let Some(incoming) = self.refresh().await
            {
                return Ok(incoming);
            }
            if let Some(incoming) = self.unknown.take().and_then(|publish| self.open(publish)) {
                return Ok(incoming);
            }
            if let Some(at) = self.retry_at {
                tokio::time::sleep_until(at).await;
                self.retry_at = None;
            }
            self.acknowledge();
            match self.events.poll().await {
                Ok(Event::Incoming(packet)) => {
                    if let Some(incoming) = self.on_packet(packet)? {
                        return Ok(incoming);
                    }
                }
                Ok(_) => {}
                Err(error) => return self.on_error(&error),
            }
        }
    }

    /// Brings the local copy in step; what to tell of it, once. Dropped while it waits, it begins anew.
    async fn refresh(&mut self) -> Option<Incoming> {
        let synced = match &self.sync {
            Some(keys) => tokio::time::timeout(SYNC_TIMEOUT, keys.sync()).await,
            None => Ok(Ok(false)),
        };
        self.stale = false;
        self.opener.read_again();
        let reason = match synced {
            Ok(Err(error @ (SyncError::Refused(_) | SyncError::Vanished(_)))) => error.to_string(),
            // A server that does not answer now is asked again at the next event or connection.
            Ok(Err(_)) | Err(_) => return None,
            Ok(Ok(_)) => {
                self.refused = None;
                return None;
            }
        };
        if self.refused.as_ref() == Some(&reason) {
            return None;
        }
        self.refused = Some(reason.clone());
        Some(Incoming::KeyringRefused { reason })
    }

    /// Tells the server that these were shown to the user, which takes them from the other devices.
    /// Sent while `next` is awaited, again after a reconnect if need be.
    ///
    /// # Errors
    /// [`ListenError::Busy`].
    pub fn seen(&self, ids: &[NotificationId]) -> Result<(), ListenError> {
        let payload = serde_json::json!({ "ids": ids }).to_string();
        self.publish(&self.device.topics.seen, payload)
    }

    /// Tells the server whether the user is at this device, now and at each later connect.
    ///
    /// # Errors
    /// [`ListenError::Busy`].
    pub fn set_presence(&mut self, presence: Presence) -> Result<(), ListenError> {
        self.presence = Some(presence);
        if self.link == Link::Down {
            return Ok(());
        }
        self.publish(&self.device.topics.presence, presence.as_str().to_owned())
    }

    /// What was opened, repeated and hidden so far.
    pub fn counts(&self) -> Counts {
        self.opener.counts()
    }

    /// Acknowledges the last notification and disconnects; the session stays with the server.
    pub async fn close(mut self) {
        if self.link == Link::Down {
            return;
        }
        self.taken.extend(self.handed.take());
        self.acknowledge();
        if self.client.try_disconnect().is_err() {
            return;
        }
        // Polling sends the acknowledgements, then DISCONNECT, and fails when that is done.
        let drained = async { while self.events.poll().await.is_ok() {} };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
    }

    /// Hands the acknowledgements to the connection, as far as it takes them now.
    fn acknowledge(&mut self) {
        while let Some(publish) = self.taken.front() {
            if self.client.try_ack(publish).is_err() {
                break;
            }
            self.taken.pop_front();
        }
    }

    fn publish(&self, topic: &str, payload: String) -> Result<(), ListenError> {
        let options = PublishOptions::new(QoS::AtLeastOnce);
        self.client
            .try_publish(topic, payload, options)
            .map_err(|_| ListenError::Busy)
    }

    fn on_packet(&mut self, packet: Packet) -> Result<Option<Incoming>, ListenError> {
        match packet {
            Packet::ConnAck(connack) => {
                let resumed = connack.session_present;
                if resumed && self.subscribed {
                    return self.connected(resumed).map(Some);
                }
                // Also at the first connect of a session that the server still has: this device may
                // have died between its CONNECT and its SUBSCRIBE. Subscribing again loses nothing
                // (MQTT 5.0 §3.8.4).
                self.link = Link::Subscribing { resumed };
                let topics = &self.device.topics;
                let filters = [
                    SubscribeFilterInput::new(topics.notifications.clone(), QoS::AtLeastOnce),
                    SubscribeFilterInput::new(topics.events.clone(), QoS::AtMostOnce),
                ];
                self.client
                    .try_subscribe_many(filters)
                    .map_err(|_| ListenError::Busy)?;
                Ok(None)
            }
            Packet::SubAck(suback) => {
                let granted =
                    |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if let Some(code) = suback.return_codes.iter().find(|code| !granted(code)) {
                    return Err(ListenError::Refused(format!("SUBACK {code:?}")));
                }
                match self.link {
                    Link::Subscribing { resumed } => self.connected(resumed).map(Some),
                    Link::Up | Link::Down => Ok(None),
                }
            }
            Packet::Publish(publish) => Ok(self.on_publish(publish)),
            _ => Ok(None),
        }
    }

    fn connected(&mut self, resumed: bool) -> Result<Incoming, ListenError> {
        self.link = Link::Up;
        self.subscribed = true;
        // Events are sent once, to who is connected.
        self.stale = true;
        self.backoff = Backoff::new();
        if let Some(presence) = self.presence {
            self.set_presence(presence)?;
        }
        Ok(Incoming::Connected { resumed })
    }

    fn on_publish(&mut self, publish: Publish) -> Option<Incoming> {
        if publish.topic == self.device.topics.events.as_bytes() {
            let change = serde_json::from_slice(&publish.payload).ok();
            self.taken.push_back(publish);
            self.stale |= change == Some(Change::KeyringChanged);
            return change.map(Incoming::Changed);
        }
        if self.opener.is_unknown(&publish.payload)
            && self.sync.is_some()
            && Instant::now() >= self.unknown_from
        {
            self.unknown_from = Instant::now() + UNKNOWN_PAUSE;
            self.unknown = Some(publish);
            self.stale = true;
            return None;
        }
        self.open(publish)
    }

    fn open(&mut self, publish: Publish) -> Option<Incoming> {
        match self.opener.open(&publish.payload) {
            Opened::Notification(received) => {
                // Also before a SUBACK, which comes behind what is owed: on a line that breaks again
                // and again there may never be one, and it gets on all the same.
                self.backoff = Backoff::new();
                self.handed = Some(publish);
                Some(Incoming::Notification(received))
            }
            // What cannot be shown is acknowledged all the same: it would come again for ever.
            Opened::Hidden {
                id,
                permission,
                reason,
            } => {
                self.taken.push_back(publish);
                Some(Incoming::Hidden {
                    id,
                    permission,
                    reason,
                })
            }
            Opened::Ignored => {
                self.taken.push_back(publish);
                None
            }
        }
    }

    fn on_error(&mut self, error: &ConnectionError) -> Result<Incoming, ListenError> {
        self.link = Link::Down;
        // Packet ids belong to their connection: what was not acknowledged on it comes again.
        self.taken.clear();
        self.unknown = None;
        if let Some(fatal) = fatal(error) {
            return Err(fatal);
        }
        let retry_in = self.backoff.next(random_u32());
        self.retry_at = Some(Instant::now() + retry_in);
        Ok(Incoming::Disconnected {
            reason: error.to_string(),
            retry_in,
        })
    }
}

/// What connecting again cannot mend.
pub(crate) fn fatal(error: &ConnectionError) -> Option<ListenError> {
    let refused = match error {
        ConnectionError::ConnectionRefused(code) => *code,
        ConnectionError::MqttState(MqttStateError::ConnFail { reason }) => *reason,
        ConnectionError::MqttState(MqttStateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => return Some(ListenError::TakenOver),
        _ => return None,
    };
    match refused {
        ConnectReturnCode::BadUserNamePassword
        | ConnectReturnCode::NotAuthorized
        | ConnectReturnCode::ClientIdentifierNotValid
        | ConnectReturnCode::BadClientId
        | ConnectReturnCode::Banned
        | ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion
        | ConnectReturnCode::BadAuthenticationMethod => {
            Some(ListenError::Refused(format!("CONNACK {refused:?}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
