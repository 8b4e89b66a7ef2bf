//! What comes over HTTP: from sites, and from the user.

use crate::inbox::CloseCause;
use crate::simulation::contract::{Kind, Permission};
use crate::simulation::time::millis;
use crate::simulation::world::{World, name};
use crate::simulation::{USER, permission_id};
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{NotificationId, PermissionId};
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Accept, Command, Seq};
use bytes::Bytes;
use std::time::Duration;

impl World {
    pub(in crate::simulation) fn permission(&mut self) -> PermissionId {
        permission_id(self.chance.within(1, 4) as u8)
    }

    pub(in crate::simulation) fn permit(&mut self, muted: bool) {
        let permission = self.permission();
        self.permit_one(permission, muted);
    }

    pub(in crate::simulation) fn permit_one(&mut self, permission: PermissionId, muted: bool) {
        let revoked = self.contract.permissions.get(&permission) == Some(&Permission::Revoked);
        if revoked {
            return;
        }
        let mut known = self.directory.permissions.lock().unwrap();
        known.insert(permission);
        drop(known);
        self.ask(vec![Command::SetPermission {
            user: USER,
            permission,
            site: "https://news.example".parse().unwrap(),
            muted,
            receipts: false,
            endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
        }]);
    }

    pub(in crate::simulation) fn revoke(&mut self) {
        let (user, permission) = (USER, self.permission());
        let mut known = self.directory.permissions.lock().unwrap();
        known.remove(&permission);
        drop(known);
        self.ask(vec![Command::Revoke { user, permission }]);
    }

    pub(in crate::simulation) fn post(&mut self) {
        let urgencies = [
            Urgency::VeryLow,
            Urgency::Low,
            Urgency::Normal,
            Urgency::Normal,
            Urgency::High,
        ];
        let ttls = [0, 2, 20, 90, 3_600, 86_400, 86_400, 86_400];
        let permission = self.permission();
        let ttl = self.chance.pick(&ttls);
        let collapse = self.chance.pick(&[None, None, None, Some("a"), Some("b")]);
        let bytes = match self.profile.large {
            true => self.chance.pick(&[2_000, 4_000]),
            false => self.chance.pick(&[1, 10, 10, 10, 2_000]),
        };
        let urgency = self.chance.pick(&urgencies);
        self.post_one(permission, urgency, ttl, collapse, bytes);
    }

    pub(in crate::simulation) fn post_one(
        &mut self,
        permission: PermissionId,
        urgency: Urgency,
        ttl: u64,
        collapse: Option<&str>,
        bytes: usize,
    ) {
        self.numbers += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.numbers.to_be_bytes());
        let now = Timestamp::from_millis(millis());
        let envelope = Envelope {
            id: NotificationId::from_bytes(id),
            permission,
            site: "https://news.example".parse().unwrap(),
            sent: now,
            expires: now.plus(Duration::from_secs(ttl)),
            urgency,
            collapse: collapse.map(|key| key.parse().unwrap()),
            encoding: ContentEncoding::Aes128gcm,
            body: Bytes::from(vec![7; bytes]),
        };
        self.ask(vec![Command::Accept(Box::new(Accept {
            user: USER,
            envelope,
            idempotency: None,
            receipts: None,
        }))]);
    }

    pub(in crate::simulation) fn notification(&self, seq: u64) -> NotificationId {
        match self.contract.entry(seq).map(|entry| &entry.kind) {
            Some(Kind::Notification { id, .. }) => *id,
            other => panic!("not a notification: {other:?}"),
        }
    }

    /// A notification of the latest.
    pub(in crate::simulation) fn recent(&mut self) -> Option<(u64, NotificationId)> {
        let head = self.contract.head();
        if head == 0 {
            return None;
        }
        let seq = head - self.chance.below(head.min(12));
        match self.contract.entry(seq)?.kind {
            Kind::Notification { id, .. } => Some((seq, id)),
            Kind::Private { .. } => None,
        }
    }

    pub(in crate::simulation) fn withdraw(&mut self) {
        if let Some((seq, _)) = self.recent() {
            let (user, seq) = (USER, Seq(seq));
            self.ask(vec![Command::Withdraw { user, seq }]);
        }
    }

    pub(in crate::simulation) fn acknowledge_over_http(&mut self) {
        let device = self.chance.below(self.devices.len() as u64) as usize;
        let ids: Vec<_> = (0..3).filter_map(|_| self.recent()).collect();
        let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
        let (user, device) = (USER, self.devices[device].id);
        self.ask(vec![Command::Acknowledge { user, device, ids }]);
    }

    pub(in crate::simulation) fn remove(&mut self) {
        let device = self.chance.below(self.devices.len() as u64) as usize;
        let (user, device) = (USER, self.devices[device].id);
        let Some(process) = &self.process else { return };
        let broker = process.broker.clone();
        let mut known = self.directory.devices.lock().unwrap();
        known.remove(&device);
        drop(known);
        broker.disconnect_device(user, device, CloseCause::Administrative);
        self.ask(vec![Command::RemoveDevice { user, device }]);
        broker.disconnect_device(user, device, CloseCause::Administrative);
        self.note(|| format!("{} is removed", name(device)));
    }
}
