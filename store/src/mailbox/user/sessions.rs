//! Sessions coming, changing and going.

use super::{Context, PermissionRow, UserState};
use crate::mailbox::command::{Outcome, Refusal};
use crate::mailbox::session::{SessionRow, SubscribedFilter, SubscriptionOptions};
use crate::mailbox::will::{Departure, Will};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::Filter;
use std::time::Duration;

impl UserState {
    pub(super) fn open_session(
        &mut self,
        user: UserId,
        device: DeviceId,
        clean: bool,
        expiry: Duration,
        will: Option<Will>,
        context: &Context<'_>,
    ) -> Outcome {
        let epoch = self.sessions.get(&device).map(|row| row.epoch);
        // An earlier connection that never said that it ended has ended now.
        let row = self.sessions.get(&device);
        let row = row.filter(|row| row.disconnected.is_none());
        if let Some(expiry) = row.map(|row| row.expiry)
            && (expiry.is_zero() || self.wills.contains_key(&device))
        {
            self.close_session(user, device, expiry, Departure::Unannounced, context);
        }
        if clean {
            self.end_session(user, device, context);
        }
        self.keep_will(device, will);
        let old = self.sessions.remove(&device);
        let present = old.is_some();
        let mut row = old.clone().unwrap_or_else(|| SessionRow {
            acked: self.head,
            ..SessionRow::default()
        });
        row.expiry = expiry;
        row.disconnected = None;
        // The time, so that it is also above those of sessions that are forgotten.
        row.epoch = epoch
            .map_or(0, |last| last + 1)
            .max(context.now.as_millis());
        if old.as_ref() != Some(&row) {
            self.changes.sessions.insert(device);
        }
        self.sessions.insert(device, row.clone());
        Outcome::Session {
            row,
            present,
            head: self.head,
        }
    }

    pub(super) fn subscribe(
        &mut self,
        device: DeviceId,
        filters: &[(Filter, SubscriptionOptions)],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let head = self.head;
        let mut lowered = false;
        let revoked = |filter: &Filter| match filter {
            Filter::Notification(permission) => {
                self.permissions.get(permission) == Some(&PermissionRow::Revoked)
            }
            _ => false,
        };
        let filters: Vec<_> = filters
            .iter()
            .filter(|(filter, _)| !revoked(filter))
            .collect();
        let outcome = self.change_session(device, |row| {
            for (filter, options) in filters {
                let known = row
                    .filters
                    .iter_mut()
                    .find(|subscribed| subscribed.filter == *filter);
                match known {
                    Some(known) => {
                        if options.at_least_once && !known.options.at_least_once {
                            known.start = head;
                        }
                        lowered |= known.options.at_least_once && !options.at_least_once;
                        known.options = *options;
                    }
                    None => row.filters.push(SubscribedFilter {
                        filter: filter.clone(),
                        options: *options,
                        start: head,
                    }),
                }
            }
        })?;
        if lowered {
            self.finish_all_unowed(now);
        }
        Ok(outcome)
    }

    pub(super) fn unsubscribe(
        &mut self,
        device: DeviceId,
        filters: &[Filter],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let outcome = self.change_session(device, |row| {
            row.filters.retain(|kept| !filters.contains(&kept.filter))
        })?;
        self.finish_all_unowed(now);
        Ok(outcome)
    }

    pub(super) fn close_session(
        &mut self,
        user: UserId,
        device: DeviceId,
        expiry: Duration,
        departure: Departure,
        context: &Context<'_>,
    ) {
        if departure == Departure::InOrder {
            self.keep_will(device, None);
        }
        if expiry.is_zero() {
            self.end_session(user, device, context);
        } else if let Some(row) = self.sessions.get_mut(&device) {
            row.expiry = expiry;
            row.disconnected = Some(context.now);
            self.changes.sessions.insert(device);
            self.due_at(context.now.plus(expiry));
            match self.will_due(device) {
                Some(due) if due > context.now => self.due_at(due),
                _ => self.publish_will(user, device, context),
            }
        }
    }

    /// Notes the end of connections that were lost without a word. It is written down, or each
    /// restart would give those sessions their whole time again.
    pub(in crate::mailbox) fn disconnect(&mut self, lost: impl Fn(DeviceId) -> Option<Timestamp>) {
        let mut ends = Vec::new();
        for (device, row) in &mut self.sessions {
            if row.disconnected.is_none()
                && let Some(at) = lost(*device)
            {
                row.disconnected = Some(at);
                self.changes.sessions.insert(*device);
                ends.push((*device, at.plus(row.expiry)));
            }
        }
        for (device, end) in ends {
            self.due_at(end);
            if let Some(due) = self.will_due(device) {
                self.due_at(due);
            }
        }
    }

    /// A session is over, and with it goes its will.
    pub(super) fn end_session(&mut self, user: UserId, device: DeviceId, context: &Context<'_>) {
        if self.sessions.remove(&device).is_some() {
            self.changes.sessions.insert(device);
            self.finish_all_unowed(context.now);
            self.publish_will(user, device, context);
        }
    }

    pub(super) fn qos2(
        &mut self,
        device: DeviceId,
        packet_id: u16,
        held: bool,
    ) -> Result<Outcome, Refusal> {
        self.change_session(device, |row| {
            row.inbound_qos2.retain(|id| *id != packet_id);
            if held {
                row.inbound_qos2.push(packet_id);
            }
        })
    }

    /// Ends the sessions whose time is over.
    pub(super) fn expire_sessions(&mut self, user: UserId, context: &Context<'_>) {
        let now = context.now;
        let over = |row: &SessionRow| {
            row.disconnected
                .is_some_and(|at| at.plus(row.expiry) <= now)
        };
        let over: Vec<DeviceId> = self
            .sessions
            .iter()
            .filter(|(_, row)| over(row))
            .map(|(device, _)| *device)
            .collect();
        for device in over {
            self.end_session(user, device, context);
        }
    }

    pub(super) fn change_session(
        &mut self,
        device: DeviceId,
        change: impl FnOnce(&mut SessionRow),
    ) -> Result<Outcome, Refusal> {
        let row = self
            .sessions
            .get_mut(&device)
            .ok_or(Refusal::UnknownSession)?;
        let before = row.clone();
        change(row);
        if *row != before {
            self.changes.sessions.insert(device);
        }
        Ok(Outcome::Session {
            row: row.clone(),
            present: true,
            head: self.head,
        })
    }
}
