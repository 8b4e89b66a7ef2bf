//! What goes to the device: from its inbox while it is live, from the mailbox otherwise.

use super::{Client, Connection, RETRY_AFTER, steady_clock, wall_clock};
use crate::delivery::{Settled, Verdict};
use crate::directory::Unavailable;
use crate::mailbox::apply_one;
use crate::notice::{Live, Notice};
use crate::presence::Situation;
use crate::session::{Ending, InFlight};
use crate::transport::WRITE_BYTES_MAX;
use crate::wire::{ProtocolVersion, QoS, ServerPacket, ServerPublish};
use belfry_protocol::envelope::NOTIFICATION_CONTENT_TYPE;
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::Topic;
use belfry_store::mailbox::{Command, Content, Entry, Outcome, Refusal, Seq};
use bytes::Bytes;
use std::num::NonZeroU16;
use std::time::Duration;

impl Connection {
    /// Looks at what the inbox holds.
    pub(super) fn open_mail(&mut self) -> Option<Ending> {
        let mail = self.client.as_ref()?.inbox().take();
        if let Some(cause) = mail.close {
            return Some(Ending::Server(cause));
        }
        for permission in mail.forget {
            self.client.as_mut()?.delivery.forget(permission);
        }
        if let Some(settled) = mail.acknowledged {
            self.client.as_mut()?.delivery.adopt(&settled);
        }
        for notice in &mail.notices {
            match &**notice {
                Notice::Stored { entry, .. } => self.hinted(entry),
                Notice::Live { message, .. } => self.live(message),
                Notice::Forget { .. }
                | Notice::Acknowledged { .. }
                | Notice::Unowed { .. }
                | Notice::AwayGrace { .. }
                | Notice::UrgencyMin { .. } => {}
            }
        }
        let client = self.client.as_mut()?;
        client.delivery.reached(mail.head);
        if mail.situation_changed || (client.review.is_none() && client.delivery.is_crowded()) {
            client.review = Some(Seq(0));
        }
        client.missed |= mail.missed;
        None
    }

    /// Whether there is anything to read or to send.
    pub(super) fn has_to_deliver(&self) -> bool {
        let Some(client) = &self.client else {
            return false;
        };
        if client.retry.is_some_and(|retry| retry > steady_clock()) || !self.has_room() {
            return false;
        }
        let due = client.delivery.next_due();
        let due = due.is_some_and(|due| client.review.is_some() || due <= wall_clock());
        !client.delivery.is_live() || !client.unlogged.is_empty() || due || client.missed
    }

    /// Sends what the window and the write buffer have room for, unless the connection is to end.
    pub(super) async fn deliver(&mut self) {
        while self.has_room() {
            let Some(client) = &mut self.client else {
                return;
            };
            if client.inbox().is_closing() {
                return;
            }
            client.retry = None;
            if let Some(message) = client.unlogged.pop() {
                self.send_live(&message);
                continue;
            }
            match self.deliver_some().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    if let Some(client) = &mut self.client {
                        client.retry = Some(steady_clock() + RETRY_AFTER);
                    }
                    return;
                }
            }
        }
    }

    /// Whether there may be more.
    async fn deliver_some(&mut self) -> Result<bool, Refusal> {
        self.hear_what_was_missed().await?;
        Ok(self.deliver_held().await? || self.deliver_page().await?)
    }

    /// After a loss on the bus, asks the mailbox for what was acknowledged over HTTP meanwhile, and the
    /// directory for what is held.
    async fn hear_what_was_missed(&mut self) -> Result<(), Refusal> {
        let Some(client) = self.client.as_mut().filter(|client| client.missed) else {
            return Ok(());
        };
        let read = self.broker.read_holds(client.user, client.inbox()).await;
        read.map_err(|Unavailable| Refusal::Unavailable)?;
        if client.persistent() {
            // Without filters it changes nothing, and answers with the row.
            let command = Command::Subscribe {
                user: client.user,
                device: client.device,
                filters: Vec::new(),
            };
            match apply_one(&*self.broker.0.mailbox, command).await {
                Ok(Outcome::Session { row, .. }) => client.delivery.adopt(&Settled {
                    acked: row.acked,
                    holes: row.holes,
                }),
                Ok(_) | Err(Refusal::UnknownSession) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        client.missed = false;
        Ok(())
    }

    /// A device that takes nothing of what is written takes no hints either; what it misses it reads
    /// later. One whose window is full still does: what is in no mailbox waits for it here.
    pub(super) fn note_slowness(&mut self) {
        let slow = self.transport.waiting() >= WRITE_BYTES_MAX;
        if let Some(client) = &self.client {
            client.inbox().set_slow(slow);
        }
    }

    /// Sends an entry on a resumed session with the packet id that it had.
    pub(super) fn send_entry_again(&mut self, packet_id: NonZeroU16, entry: &Entry) {
        let packet = ServerPacket::Publish(crate::session::again(self.entry_packet(
            entry,
            Some(packet_id),
            wall_clock(),
        )));
        if self.session.fits(&packet) {
            self.write(&packet);
        } else {
            self.session.withdraw(packet_id);
            self.settle(entry.meta.seq);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.session.window_free() > 0 && self.transport.waiting() < WRITE_BYTES_MAX
    }

    fn hinted(&mut self, entry: &Entry) {
        let room = self.has_room();
        let situation = self.situation();
        let Some(client) = &mut self.client else {
            return;
        };
        if !room {
            client.delivery.reached(entry.meta.seq);
            return;
        }
        let session = &self.session;
        let sent = |seq| session.is_in_flight(seq);
        let now = wall_clock();
        let own = entry.meta.publisher() == Some(client.device);
        match client.delivery.hint(&entry.meta, own, sent, situation, now) {
            Verdict::Send => self.send_entry(entry),
            Verdict::SendOnce => {
                let packet = ServerPacket::Publish(self.entry_packet(entry, None, now));
                self.write_if_it_fits(&packet);
            }
            Verdict::Settle => self.settle(entry.meta.seq),
            Verdict::Wait | Verdict::PassOver | Verdict::Behind => {}
        }
    }

    fn live(&mut self, message: &Live) {
        let situation = self.situation();
        let room = self.transport.waiting() < WRITE_BYTES_MAX;
        let Some(client) = &mut self.client else {
            return;
        };
        let own = client.device;
        match client.delivery.live(message, own, situation, wall_clock()) {
            Verdict::Send => {
                let mut message = message.clone();
                message.retain &= client.delivery.retain_as_published(&message.topic);
                client.unlogged.push(message);
            }
            Verdict::SendOnce if room => {
                let retain = message.retain && client.delivery.retain_as_published(&message.topic);
                let packet = self.live_packet(message, None, retain);
                self.write_if_it_fits(&ServerPacket::Publish(packet));
            }
            _ => {}
        }
    }

    /// Re-reads held entries whose time has come. Whether there were any.
    async fn deliver_held(&mut self) -> Result<bool, Refusal> {
        let free = self.session.window_free();
        let situation = self.situation();
        let Some(client) = &mut self.client else {
            return Ok(false);
        };
        let now = wall_clock();
        let due = client.delivery.due(now, client.review, free);
        if due.is_empty() {
            if client.review.take().is_some() {
                client.delivery.reviewed();
            }
            return Ok(false);
        }
        let entries = self
            .broker
            .0
            .mailbox
            .entries(client.user, due.clone())
            .await?;
        let all = due.len() < free;
        for seq in due {
            if !self.has_room() {
                return Ok(true);
            }
            let Some(client) = &mut self.client else {
                break;
            };
            client.review = client.review.map(|_| seq);
            match entries.iter().find(|entry| entry.meta.seq == seq) {
                None => client.delivery.gone(seq),
                Some(entry) => {
                    let verdict = client.delivery.reconsider(&entry.meta, situation, now);
                    if verdict == Verdict::Send {
                        self.send_entry(entry);
                    }
                }
            }
        }
        if let Some(client) = self.client.as_mut().filter(|_| all)
            && client.review.take().is_some()
        {
            client.delivery.reviewed();
        }
        Ok(true)
    }

    /// Reads and sends the next page. Whether there may be more.
    async fn deliver_page(&mut self) -> Result<bool, Refusal> {
        let broker = self.broker.clone();
        let free = self.session.window_free();
        let situation = self.situation();
        let Some(client) = &mut self.client else {
            return Ok(false);
        };
        if client.delivery.is_live() {
            return Ok(false);
        }
        let _turn = broker.0.pages.turn(client.caught_up).await;
        let (view, after) = (client.delivery.view().clone(), client.delivery.position());
        let mailbox = &self.broker.0.mailbox;
        let page = mailbox.owed(client.user, view, after, free).await?;
        let now = wall_clock();
        for entry in &page.entries {
            let Some(client) = &mut self.client else {
                break;
            };
            let session = &self.session;
            let sent = |seq| session.is_in_flight(seq);
            let (meta, own) = (&entry.meta, entry.meta.publisher() == Some(client.device));
            match client.delivery.read(meta, own, sent, situation, now) {
                Verdict::Send => self.send_entry(entry),
                Verdict::Settle => self.settle(meta.seq),
                _ => {}
            }
            if !self.has_room() {
                // Messages are of any size: the rest is read again when these are written.
                return Ok(true);
            }
        }
        let Some(client) = &mut self.client else {
            return Ok(false);
        };
        let more = client.delivery.page_read(after, page.considered, page.head);
        client.caught_up |= client.delivery.is_live();
        Ok(more)
    }

    fn send_entry(&mut self, entry: &Entry) {
        let now = wall_clock();
        let counts = matches!(entry.meta.content, Content::Notification { .. });
        let what = InFlight::Entry {
            seq: entry.meta.seq,
            accepted: counts.then_some(entry.meta.sent),
        };
        let Some(packet_id) = self.session.send(what) else {
            // Pages and hints are taken only as far as the window has room.
            debug_assert!(false, "sent beyond the window");
            return;
        };
        let packet = ServerPacket::Publish(self.entry_packet(entry, Some(packet_id), now));
        if self.session.fits(&packet) {
            self.write(&packet);
        } else {
            // As if it had been sent (MQTT 5.0 §3.1.2.11.4).
            self.session.withdraw(packet_id);
            self.settle(entry.meta.seq);
        }
    }

    fn send_live(&mut self, message: &Live) {
        let expired = message
            .expires
            .is_some_and(|expires| expires <= wall_clock());
        if expired {
            return;
        }
        let packet_id = match message.at_least_once {
            true => self.session.send(InFlight::Unlogged),
            false => None,
        };
        let packet = self.live_packet(message, packet_id, message.retain);
        let packet = ServerPacket::Publish(packet);
        if self.session.fits(&packet) {
            self.write(&packet);
        } else if let Some(packet_id) = packet_id {
            self.session.withdraw(packet_id);
        }
    }

    fn write_if_it_fits(&mut self, packet: &ServerPacket) {
        if self.session.fits(packet) {
            self.write(packet);
        }
    }

    fn entry_packet(
        &self,
        entry: &Entry,
        packet_id: Option<NonZeroU16>,
        now: Timestamp,
    ) -> ServerPublish {
        let topic = entry.meta.topic();
        let as_published = |client: &Client| client.delivery.retain_as_published(&topic);
        let (content_type, forwardable, retain) = match &entry.meta.content {
            Content::Notification { .. } => (Some(NOTIFICATION_CONTENT_TYPE), Bytes::new(), false),
            Content::Private {
                properties, retain, ..
            } => {
                let retain = *retain && self.client.as_deref().is_some_and(as_published);
                (None, properties.clone(), retain)
            }
        };
        self.packet(
            &topic,
            packet_id,
            retain,
            Some(entry.meta.expires.since(now).as_secs()),
            content_type,
            forwardable,
            entry.payload.clone(),
        )
    }

    fn live_packet(
        &self,
        message: &Live,
        packet_id: Option<NonZeroU16>,
        retain: bool,
    ) -> ServerPublish {
        let content_type = match message.topic {
            Topic::Notification(_) => Some(NOTIFICATION_CONTENT_TYPE),
            _ => None,
        };
        let now = wall_clock();
        self.packet(
            &message.topic,
            packet_id,
            retain,
            message.expires.map(|expires| expires.since(now).as_secs()),
            content_type,
            message.properties.clone(),
            message.payload.clone(),
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn packet(
        &self,
        topic: &Topic,
        packet_id: Option<NonZeroU16>,
        retain: bool,
        expiry_secs: Option<u64>,
        content_type: Option<&'static str>,
        forwardable: Bytes,
        payload: Bytes,
    ) -> ServerPublish {
        let v5 = self.session.version() == Some(ProtocolVersion::V5);
        let client = self.client.as_deref();
        let (name, subscription_identifiers) = match client {
            Some(Client { user, delivery, .. }) => (topic.name(*user), delivery.identifiers(topic)),
            None => (String::new(), Vec::new()),
        };
        ServerPublish {
            dup: false,
            qos: match packet_id {
                Some(_) => QoS::AtLeastOnce,
                None => QoS::AtMostOnce,
            },
            retain,
            topic: name,
            packet_id,
            message_expiry_secs: expiry_secs
                .filter(|_| v5)
                // What is sent is not expired yet, whatever rounding says.
                .map(|secs| u32::try_from(secs).unwrap_or(u32::MAX).max(1)),
            content_type: content_type.filter(|_| v5),
            forwardable,
            subscription_identifiers,
            payload,
        }
    }

    fn situation(&self) -> Situation {
        match &self.client {
            Some(client) => {
                let hub = &self.broker.0.hub;
                hub.situation(client.user, client.inbox())
            }
            None => Situation {
                own: Default::default(),
                any_active: true,
                away_grace: Duration::ZERO,
                urgency_min: Urgency::VeryLow,
            },
        }
    }
}
