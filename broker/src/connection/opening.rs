//! CONNECT: who this is, and the session that it goes on with.

use super::pace::Allowance;
use super::{Client, Connection, Kept, TAKEOVER_MAX, steady_clock, unlogged, wall_clock, wills};
use crate::delivery::Delivery;
use crate::denial::{self, Denial};
use crate::figures::Connected;
use crate::inbox::CloseCause;
use crate::mailbox::apply_one;
use crate::session::{Ending, INBOUND_QOS2_MAX, InFlight};
use crate::wire::{ConnAck, ConnAckProperties, Connect, ReasonCode, ServerPacket};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_store::mailbox::{Command, Departure, Outcome, Refusal, Seq, SessionRow, View, Will};
use bytes::Bytes;
use std::time::Duration;

impl Connection {
    /// Opens the session, or says why not.
    pub(super) async fn open(&mut self, connect: Connect) -> Option<Ending> {
        match self.try_open(&connect).await {
            Ok(()) => {
                self.admitted.opened();
                // What does not take a CONNACK is told nothing more ([MQTT-3.14.0-1]).
                self.unanswered.then_some(Ending::Lost)
            }
            Err(denial) => {
                crate::figures::connect_refused(denial.reason);
                self.answer(ServerPacket::ConnAck(ConnAck {
                    session_present: false,
                    reason: denial.reason,
                    properties: ConnAckProperties {
                        reason_string: Some(denial.says),
                        ..ConnAckProperties::default()
                    },
                }));
                // Nothing of it is left to end in order.
                self.client = None;
                Some(Ending::Refused(denial))
            }
        }
    }

    async fn try_open(&mut self, connect: &Connect) -> Result<(), Denial> {
        let broker = self.broker.clone();
        if connect.authentication_method.is_some() {
            return Err(denial::AUTHENTICATION_METHOD);
        }
        let (user, device) = self.identify(connect).await?;
        let ttl_max = broker.ttl_max();
        let will = connect.will.as_ref();
        let will = will.map(|will| wills::will(user, device, will, ttl_max));
        let will = will.transpose()?;
        let address = self.admitted.network();
        let (registration, older) = broker.0.hub.enter(user, device, address);
        // Once it is entered, so that a ban made meanwhile finds it here or is found here.
        let directory = &broker.0.directory;
        if directory.is_banned(user) || directory.is_address_banned(address) {
            return Err(denial::BANNED);
        }
        let gone = tokio::time::timeout(TAKEOVER_MAX, older.gone()).await;
        gone.map_err(|_| denial::SESSION_UNAVAILABLE)?;
        if broker.0.draining.is_cancelled() {
            registration.inbox.close(CloseCause::ShuttingDown);
        }
        // Once it is entered, so that no change of it goes by unheard.
        let read = broker.read_holds(user, &registration.inbox).await;
        read.map_err(|_| denial::SESSION_UNAVAILABLE)?;
        // Only now: an older connection puts it there as it leaves.
        let left = broker.0.detached.take(device, steady_clock());
        let kept = match (connect.clean_start, self.session.expiry_secs(), &will) {
            (true, 0, None) => Kept::Nothing,
            (true, 0, Some(_)) => Kept::Will,
            _ => Kept::Session,
        };
        let opened = self.open_row(user, device, connect, kept, will).await;
        let Ok((row, present, head)) = opened else {
            // For the next attempt. It counts no longer than the session that it belongs to.
            let detached = &broker.0.detached;
            detached.keep(device, left, Duration::MAX, steady_clock());
            return Err(denial::SESSION_UNAVAILABLE);
        };
        let inbox = &registration.inbox;
        broker.0.hub.set_presence(user, inbox, row.presence);
        let rule = broker.0.settings.release;
        let delivery = Delivery::attach(View::from(&row), head, rule);
        let in_flight = if present { left } else { Vec::new() };
        let now = steady_clock();
        let connected = Connected::new(self.kind, connect.version);
        self.session.accept(in_flight, &row.inbound_qos2, now);
        self.client = Some(Box::new(Client {
            user,
            device,
            registration,
            caught_up: delivery.is_live(),
            delivery,
            kept,
            epoch: row.epoch,
            unlogged: unlogged::Unlogged::default(),
            publishes: Allowance::full(now),
            review: None,
            missed: false,
            retry: None,
            write_deadline: None,
            taken: 0,
            _connected: connected,
        }));
        broker.0.directory.note_seen(user, device, wall_clock());
        let properties = self.properties(connect);
        self.answer(ServerPacket::ConnAck(ConnAck {
            session_present: present,
            reason: ReasonCode::Success,
            properties,
        }));
        self.send_again().await;
        Ok(())
    }

    async fn identify(&mut self, connect: &Connect) -> Result<(UserId, DeviceId), Denial> {
        // The only identifiers are those of devices, so there is none to assign (MQTT 5.0 §3.1.3.1).
        if connect.client_id.is_empty() {
            return Err(denial::NO_CLIENT_ID);
        }
        let wrong = denial::CREDENTIALS;
        let device = connect
            .client_id
            .as_str()
            .parse::<DeviceId>()
            .map_err(|_| wrong)?;
        let user = connect.username.as_ref().ok_or(wrong)?;
        let user = user.as_str().parse::<UserId>().map_err(|_| wrong)?;
        // Copied: the packet's buffer is not to outlive the packet.
        let password = connect.password.as_deref().map(Bytes::copy_from_slice);
        let password = password.ok_or(wrong)?;
        let directory = &self.broker.0.directory;
        match directory.authenticate(device, user, password).await {
            Ok(true) => Ok((user, device)),
            Ok(false) => Err(wrong),
            Err(_) => Err(denial::SESSION_UNAVAILABLE),
        }
    }

    async fn open_row(
        &mut self,
        user: UserId,
        device: DeviceId,
        connect: &Connect,
        kept: Kept,
        will: Option<Will>,
    ) -> Result<(SessionRow, bool, Seq), Refusal> {
        let mailbox = &*self.broker.0.mailbox;
        let expiry = Duration::from_secs(self.session.expiry_secs().into());
        if kept != Kept::Nothing {
            // Left by an earlier connection where the mailbox did not take them.
            self.broker.0.settler.flush_session(user, device).await?;
            let command = Command::OpenSession {
                user,
                device,
                clean: connect.clean_start,
                expiry,
                will,
            };
            return match apply_one(mailbox, command).await? {
                Outcome::Session { row, present, head } => Ok((row, present, head)),
                _ => Err(Refusal::Unavailable),
            };
        }
        let forget = Command::CloseSession {
            user,
            device,
            epoch: None,
            expiry: Duration::ZERO,
            // Whatever an earlier connection left is due: its session ends here.
            departure: Departure::Unannounced,
        };
        match apply_one(mailbox, forget).await {
            Ok(_) | Err(Refusal::UnknownSession) => {}
            Err(refusal) => return Err(refusal),
        }
        let heads = mailbox.heads(vec![user]).await?;
        let head = heads.first().copied().unwrap_or_default();
        let row = SessionRow {
            acked: head,
            ..SessionRow::default()
        };
        Ok((row, false, head))
    }

    /// What a 5.0 client is told of the server's limits.
    fn properties(&self, connect: &Connect) -> ConnAckProperties {
        let settings = &self.broker.0.settings;
        let expiry = self.session.expiry_secs();
        let keep_alive_max = settings.keep_alive_secs_max.get();
        let keep_alive = connect.keep_alive_secs;
        ConnAckProperties {
            session_expiry_secs: (expiry != connect.session_expiry_secs).then_some(expiry),
            receive_maximum: Some(INBOUND_QOS2_MAX),
            maximum_packet_size: Some(settings.packet_bytes_max),
            server_keep_alive_secs: (keep_alive == 0 || keep_alive > keep_alive_max)
                .then_some(keep_alive_max),
            shared_subscription_available: Some(false),
            ..ConnAckProperties::default()
        }
    }

    /// Sends what an earlier connection left unacknowledged, with DUP and the same packet ids.
    async fn send_again(&mut self) {
        let Some(client) = &self.client else { return };
        let left: Vec<_> = self.session.in_flight().to_vec();
        let seqs: Vec<_> = left.iter().filter_map(|(_, what)| what.seq()).collect();
        if seqs.is_empty() {
            return;
        }
        let entries = self.broker.0.mailbox.entries(client.user, seqs).await;
        // Those that cannot be read now are sent as new ones when they can.
        let entries = entries.unwrap_or_default();
        let now = wall_clock();
        for (packet_id, what) in left {
            let InFlight::Entry { seq, .. } = what else {
                continue;
            };
            let Some(client) = &self.client else { return };
            let entry = entries.iter().find(|entry| entry.meta.seq == seq);
            match entry.filter(|entry| client.delivery.view().owes(&entry.meta, now)) {
                Some(entry) => self.send_entry_again(packet_id, entry),
                None => self.session.withdraw(packet_id),
            }
        }
    }
}
