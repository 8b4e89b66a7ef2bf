//! Carrying the two messages of a linking: a device's own connection at the meeting place.
//!
//! What is heard here is opened by [`link`](crate::link) and judged by
//! [`keyring::judge`](crate::keyring::judge); this room believes nothing and decides nothing. The
//! device's session goes on as it was: notifications that arrive meanwhile are not acknowledged, and
//! come again.

use crate::backoff::Backoff;
use crate::keys::random_u32;
use crate::link::{LINK_SECS, LinkKeys};
use crate::listen::{ListenError, Transport, fatal, session};
use crate::server::Device;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Packet, PublishOptions, PublishProperties, QoS,
    SubscribeReasonCode,
};
use std::time::Duration;

/// Requests that may wait for the connection.
const REQUESTS_MAX: usize = 8;
/// How long leaving may wait for the server.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which side of the linking a device is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Says the request and hears the answer.
    NewDevice,
    /// Hears the request and says the answer.
    LinkedDevice,
}

/// A connection at a meeting place.
pub struct Meeting {
    client: AsyncClient,
    events: EventLoop,
    hears: String,
    says: String,
    /// What this side wants to be found there, until the server has it.
    unsaid: Option<Vec<u8>>,
    /// Heard while something else was waited for; only the newest is there still.
    early: Option<Vec<u8>>,
    subscribed: bool,
    backoff: Backoff,
}

impl Meeting {
    /// Prepares a connection; [`Meeting::hear`] and [`Meeting::say`] connect.
    ///
    /// # Errors
    /// The device's address is of no use.
    pub fn new(
        device: &Device,
        tls: &rustls::ClientConfig,
        keys: &LinkKeys,
        side: Side,
    ) -> Result<Self, ListenError> {
        let mqtt = session::options(&device.mqtt, Transport::WebSocket, tls)?;
        let (client, events) = AsyncClient::builder(mqtt).capacity(REQUESTS_MAX).build();
        let place = format!(
            "{}link/{}",
            device.topics.private.trim_end_matches('#'),
            keys.place()
        );
        let (request, answer) = (format!("{place}/request"), format!("{place}/answer"));
        let (hears, says) = match side {
            Side::NewDevice => (answer, request),
            Side::LinkedDevice => (request, answer),
        };
        Ok(Self {
            client,
            events,
            hears,
            says,
            unsaid: None,
            early: None,
            subscribed: false,
            backoff: Backoff::new(),
        })
    }

    /// Connects, if that is not so yet. May be dropped while it waits.
    ///
    /// # Errors
    /// Only what connecting again cannot mend.
    pub async fn connect(&mut self) -> Result<(), ListenError> {
        while !self.subscribed {
            if let Some(heard) = self.step().await? {
                self.early = Some(heard);
            }
        }
        Ok(())
    }

    /// Leaves a message for the other side, retained; done when the server has it. An empty one takes
    /// it away. May be dropped while it waits.
    ///
    /// # Errors
    /// Only what connecting again cannot mend.
    pub async fn say(&mut self, message: Vec<u8>) -> Result<(), ListenError> {
        self.unsaid = Some(message);
        if self.subscribed {
            self.publish()?;
        }
        while self.unsaid.is_some() {
            if let Some(heard) = self.step().await? {
                self.early = Some(heard);
            }
        }
        Ok(())
    }

    /// The next message of the other side; an empty one says that it took its message away. May be
    /// dropped while it waits.
    ///
    /// # Errors
    /// Only what connecting again cannot mend.
    pub async fn hear(&mut self) -> Result<Vec<u8>, ListenError> {
        loop {
            if let Some(heard) = self.early.take() {
                return Ok(heard);
            }
            self.early = self.step().await?;
        }
    }

    /// Forgets the place and disconnects.
    pub async fn leave(mut self) {
        if !self.subscribed || self.client.try_unsubscribe(self.hears.clone()).is_err() {
            return;
        }
        let left = async {
            while let Ok(event) = self.events.poll().await {
                if matches!(event, Event::Incoming(Packet::UnsubAck(_)))
                    && self.client.try_disconnect().is_err()
                {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, left).await;
    }

    async fn step(&mut self) -> Result<Option<Vec<u8>>, ListenError> {
        match self.events.poll().await {
            Ok(Event::Incoming(packet)) => self.on_packet(packet),
            Ok(_) => Ok(None),
            Err(error) => {
                self.on_error(&error).await?;
                Ok(None)
            }
        }
    }

    fn on_packet(&mut self, packet: Packet) -> Result<Option<Vec<u8>>, ListenError> {
        match packet {
            // QoS 0: what is retained comes with the subscription, and a full window of unread
            // notifications does not stand before it.
            Packet::ConnAck(_) => self
                .client
                .try_subscribe(self.hears.clone(), QoS::AtMostOnce)
                .map_err(|_| ListenError::Busy)?,
            Packet::SubAck(suback) => {
                if let Some(code) = suback
                    .return_codes
                    .iter()
                    .find(|code| !matches!(code, SubscribeReasonCode::Success(_)))
                {
                    return Err(ListenError::Refused(format!("SUBACK {code:?}")));
                }
                self.subscribed = true;
                self.backoff = Backoff::new();
                if self.unsaid.is_some() {
                    self.publish()?;
                }
            }
            Packet::PubAck(_) => self.unsaid = None,
            Packet::Publish(publish) if publish.topic == self.hears.as_bytes() => {
                return Ok(Some(publish.payload.to_vec()));
            }
            _ => {}
        }
        Ok(None)
    }

    fn publish(&self) -> Result<(), ListenError> {
        let message = self.unsaid.clone().unwrap_or_default();
        let properties = PublishProperties {
            message_expiry_interval: Some(LINK_SECS),
            ..PublishProperties::default()
        };
        let options = PublishOptions::new(QoS::AtLeastOnce)
            .retain(true)
            .properties(properties);
        self.client
            .try_publish(self.says.clone(), message, options)
            .map_err(|_| ListenError::Busy)
    }

    async fn on_error(&mut self, error: &ConnectionError) -> Result<(), ListenError> {
        self.subscribed = false;
        if let Some(fatal) = fatal(error) {
            return Err(fatal);
        }
        tokio::time::sleep(self.backoff.next(random_u32())).await;
        Ok(())
    }
}
