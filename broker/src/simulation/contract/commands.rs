//! What each command means, in the order in which they became durable.

use super::{Contract, Entry, Kind, Permission, Session, Violation, matches, must};
use crate::simulation::USER;
use crate::simulation::time::Millis;
use belfry_protocol::id::DeviceId;
use belfry_protocol::push::Urgency;
use belfry_protocol::topic::Filter;
use belfry_store::mailbox::{Accept, Command, Outcome, PrivatePublish, Refusal, Seq};
use std::collections::BTreeSet;

impl Contract {
    /// A command became durable, or was refused.
    pub(in crate::simulation) fn committed(
        &mut self,
        command: &Command,
        answer: &Result<Outcome, Refusal>,
        now: Millis,
    ) -> Result<(), Violation> {
        if let Err(Refusal::Unavailable) = answer {
            if let Command::CloseSession { device, epoch, .. } = command
                && !self.is_stale(*device, *epoch)
            {
                self.connected.remove(device);
                self.unclosed.insert(*device, now);
            }
            return Ok(());
        }
        self.note_lost();
        self.expire(now);
        match command {
            Command::Accept(accept) => self.accepted(accept, answer, now),
            Command::PublishPrivate(publish) => self.private(publish, answer, now),
            Command::Settle { device, seqs, .. } => self.settled(*device, seqs, answer),
            Command::Acknowledge { device, ids, .. } => {
                let known = self.stored.contains_key(device);
                must!(answer.is_ok() == known, "an acknowledgement: {answer:?}");
                for id in ids {
                    let Some(seq) = self.by_id(*id).map(|entry| entry.seq) else {
                        continue;
                    };
                    if let Some(session) = self.stored.get(device) {
                        let row = &mut self.sessions[*session];
                        row.over_http.entry(seq).or_insert(now);
                    }
                }
                Ok(())
            }
            Command::Seen { ids, .. } => {
                for id in ids {
                    if let Some(entry) = self.by_id(*id).filter(|entry| entry.live(now)) {
                        entry.dead = Some((now, "seen"));
                    }
                }
                Ok(())
            }
            Command::Withdraw { seq, .. } => {
                let at = usize::try_from(seq.0).unwrap() - 1;
                if let Some(entry) = self.log.get_mut(at).filter(|entry| !entry.gone()) {
                    entry.dead = Some((now, "withdrawn"));
                }
                Ok(())
            }
            Command::SetPermission {
                permission, muted, ..
            } => {
                let revoked = self.permissions.get(permission) == Some(&Permission::Revoked);
                must!(answer.is_ok() != revoked, "a permission: {answer:?}");
                if !revoked {
                    let state = match muted {
                        true => Permission::Muted,
                        false => Permission::Allowed,
                    };
                    self.permissions.insert(*permission, state);
                }
                Ok(())
            }
            Command::Revoke { permission, .. } => {
                self.permissions.insert(*permission, Permission::Revoked);
                for entry in &mut self.log {
                    if entry.permission() == Some(*permission) && !entry.gone() {
                        entry.dead = Some((now, "revoked"));
                    }
                }
                let exact = format!("n/{permission}");
                for row in &mut self.sessions {
                    row.unsubscribe(&exact, now);
                }
                Ok(())
            }
            Command::BlockUser { blocked, .. } => {
                self.blocked = *blocked;
                Ok(())
            }
            Command::OpenSession {
                device,
                clean,
                expiry,
                ..
            } => self.opened(*device, *clean, expiry.as_millis() as u64, answer, now),
            Command::Subscribe {
                device, filters, ..
            } => {
                let head = self.head();
                let Some(row) = self.changed(*device, answer)? else {
                    return Ok(());
                };
                for (filter, options) in filters {
                    let (once, no_local) = (options.at_least_once, options.no_local);
                    row.subscribe(&below(filter), once, no_local, head, now);
                }
                Ok(())
            }
            Command::Unsubscribe {
                device, filters, ..
            } => {
                if let Some(row) = self.changed(*device, answer)? {
                    for filter in filters {
                        row.unsubscribe(&below(filter), now);
                    }
                }
                Ok(())
            }
            Command::CloseSession { device, epoch, .. } if self.is_stale(*device, *epoch) => {
                must!(answer.is_err(), "an older connection ended a session");
                Ok(())
            }
            Command::CloseSession { device, expiry, .. } => {
                self.connected.remove(device);
                self.unclosed.remove(device);
                if expiry.is_zero() {
                    self.end(*device, now);
                } else if let Some(session) = self.stored.get(device) {
                    let row = &mut self.sessions[*session];
                    row.expiry = expiry.as_millis() as u64;
                    row.disconnected = Some(now);
                }
                Ok(())
            }
            Command::RemoveDevice { device, .. } => {
                self.connected.remove(device);
                self.unclosed.remove(device);
                self.end(*device, now);
                Ok(())
            }
            Command::SetPresence { device, .. } => self.changed(*device, answer).map(|_| ()),
            Command::ReceiveQos2 { .. } | Command::ReleaseQos2 { .. } => Ok(()),
            Command::BlockSite { .. }
            | Command::EraseUser { .. }
            | Command::OpenOutbox { .. }
            | Command::CloseOutbox { .. } => Err(format!("not simulated: {command:?}")),
        }
    }

    /// Whether a newer connection has come meanwhile.
    fn is_stale(&self, device: DeviceId, epoch: Option<u64>) -> bool {
        let latest = self.epochs.get(&device).copied();
        self.stored.contains_key(&device) && epoch < latest && epoch.is_some()
    }

    fn accepted(
        &mut self,
        accept: &Accept,
        answer: &Result<Outcome, Refusal>,
        now: Millis,
    ) -> Result<(), Violation> {
        let envelope = &accept.envelope;
        let state = self.permissions.get(&envelope.permission);
        let refusal = match (self.blocked, state) {
            (true, _) => Some(Refusal::Blocked),
            (_, None) => Some(Refusal::UnknownPermission),
            (_, Some(Permission::Revoked)) => Some(Refusal::Revoked),
            _ => None,
        };
        let muted = state == Some(&Permission::Muted);
        let accepted = match (answer, refusal) {
            (Ok(Outcome::Accepted(accepted)), None) => accepted,
            (Err(found), Some(expected)) if *found == expected => return Ok(()),
            _ => return Err(format!("a post: {answer:?}, expected {refusal:?}")),
        };
        let collapse = envelope.collapse.as_ref();
        let collapse = collapse.map(|key| key.as_str().to_owned());
        if collapse.is_some() {
            let replaced: Vec<usize> = (0..self.log.len())
                .filter(|at| {
                    let older = &self.log[*at];
                    let same = matches!(&older.kind, Kind::Notification { permission, collapse: theirs, .. }
                        if *permission == envelope.permission && *theirs == collapse);
                    same && self.owed_to_any(older, now)
                })
                .collect();
            for at in replaced {
                self.log[at].dead = Some((now, "replaced"));
            }
        }
        if envelope.expires <= envelope.sent {
            must!(accepted.seq == Seq(0), "TTL 0 has no place: {accepted:?}");
            return Ok(());
        }
        let seq = self.head() + 1;
        must!(accepted.seq == Seq(seq), "{accepted:?} is not {seq}");
        self.note_most(Some(envelope.permission), now);
        self.log.push(Entry {
            seq,
            kind: Kind::Notification {
                id: envelope.id,
                permission: envelope.permission,
                urgency: match muted {
                    true => Urgency::VeryLow,
                    false => envelope.urgency,
                },
                collapse,
            },
            sent: envelope.sent.as_millis(),
            expires: envelope.expires.as_millis(),
            dead: None,
            not_for: BTreeSet::new(),
        });
        Ok(())
    }

    fn private(
        &mut self,
        publish: &PrivatePublish,
        answer: &Result<Outcome, Refusal>,
        now: Millis,
    ) -> Result<(), Violation> {
        let number = crate::simulation::device::number(&publish.payload)
            .ok_or("a payload without number")?;
        let stored = match answer {
            Ok(Outcome::Published(stored)) => stored.map(|seq| seq.0),
            Err(Refusal::PrivateSpaceFull) if self.bounded_to.is_some() => return Ok(()),
            _ => return Err(format!("a private message: {answer:?}")),
        };
        if let Some(before) = self.published.get(&number) {
            must!(
                stored.is_none(),
                "message {number} was stored as {before:?} and again as {stored:?}"
            );
            return Ok(());
        }
        self.published.insert(number, stored);
        let entry = Entry {
            seq: self.head() + 1,
            kind: Kind::Private {
                name: publish.topic.as_str().to_owned(),
                publisher: publish.device,
            },
            sent: now,
            expires: publish.expires.as_millis(),
            dead: None,
            not_for: BTreeSet::new(),
        };
        let wants = |session: &usize| {
            let own = self.sessions[*session].device == publish.device;
            let topic = entry.topic();
            let mut made = self.sessions[*session].subscriptions.iter();
            made.any(|made| {
                made.until.is_none()
                    && made.at_least_once
                    && !(made.no_local && own)
                    && matches(&made.filter, &topic)
            })
        };
        let wanted = publish.at_least_once && self.stored.values().any(wants);
        must!(
            stored == wanted.then_some(entry.seq),
            "message {number} was stored as {stored:?}; wanted by a stored session: {wanted}"
        );
        if wanted {
            let own = self.stored.get(&publish.device);
            let not_for = own.filter(|session| !wants(session));
            let not_for = not_for.copied();
            self.note_most(None, now);
            self.log.push(Entry {
                not_for: not_for.into_iter().collect(),
                ..entry
            });
        }
        Ok(())
    }

    fn settled(
        &mut self,
        device: DeviceId,
        seqs: &[Seq],
        answer: &Result<Outcome, Refusal>,
    ) -> Result<(), Violation> {
        let session = self.stored.get(&device).copied();
        must!(answer.is_ok() == session.is_some(), "settling: {answer:?}");
        let Some(session) = session else {
            return Ok(());
        };
        for Seq(seq) in seqs {
            let row = &self.sessions[session];
            let entry = self.entry(*seq).ok_or("settled before it was stored")?;
            let justified = row.acknowledged.contains(seq)
                || entry.not_for.contains(&session)
                || *seq <= row.start
                || matches!(entry.kind, Kind::Private { publisher, .. } if publisher == device);
            must!(
                justified,
                "{seq} was settled for {device:?} without an acknowledgement"
            );
            self.sessions[session].settled.insert(*seq);
        }
        Ok(())
    }

    pub(in crate::simulation) fn opened(
        &mut self,
        device: DeviceId,
        clean: bool,
        expiry: Millis,
        answer: &Result<Outcome, Refusal>,
        now: Millis,
    ) -> Result<(), Violation> {
        let Ok(Outcome::Session { present, head, row }) = answer else {
            return Err(format!("opening a session: {answer:?}"));
        };
        must!(head.0 == self.head(), "the head is not {head:?}");
        self.epochs.insert(device, row.epoch);
        // Its connection ended just now, at the latest.
        let unended = self.stored.get(&device).is_some_and(|session| {
            let row = &self.sessions[*session];
            row.disconnected.is_none() && row.expiry == 0
        });
        if clean || unended {
            self.end(device, now);
        }
        let known = self.stored.get(&device).copied();
        must!(
            *present == known.is_some(),
            "session of {device:?} was present: {present}; expected {known:?}"
        );
        self.openings.push((device, now, *present));
        let session = known.unwrap_or_else(|| {
            let head = self.head();
            self.sessions.push(Session::new(device, true, head));
            self.sessions.len() - 1
        });
        self.stored.insert(device, session);
        self.connected.insert(device);
        self.unclosed.remove(&device);
        let row = &mut self.sessions[session];
        (row.expiry, row.disconnected) = (expiry, None);
        Ok(())
    }

    /// The stored session that a change is for, where there is one.
    fn changed(
        &mut self,
        device: DeviceId,
        answer: &Result<Outcome, Refusal>,
    ) -> Result<Option<&mut Session>, Violation> {
        let session = self.stored.get(&device).copied();
        must!(
            answer.is_ok() == session.is_some(),
            "a change of filters: {answer:?}"
        );
        Ok(session.map(|session| &mut self.sessions[session]))
    }
}

/// A filter's text below `u/{user}/`.
fn below(filter: &Filter) -> String {
    let user = USER;
    let text = filter.text(user);
    text[format!("u/{user}/").len()..].to_owned()
}
