//! How the embedded engine writes a mailbox down: keys that lead with the user, values in postcard.

mod outbox;

use super::entry::{Content, EntryMeta, Seq};
use super::outbox::Owner;
use super::session::{SessionRow, SubscribedFilter, SubscriptionOptions};
use super::user::trace::Ended;
use super::user::{Given, Meta, PermissionRow};
use super::will::{LastWord, Will};
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{Filter, PrivateTopic};
use bytes::Bytes;
pub(super) use outbox::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of everything in this file; a store of another one is refused at the start.
pub(super) const FORMAT: u32 = 6;

/// A row that was written by something else, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row of the mailbox cannot be read")]
pub(super) struct Unreadable;

pub(super) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("rows hold numbers, bytes and text, which always serialise")
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    postcard::from_bytes(bytes).map_err(|_| Unreadable)
}

/// `user ‖ more`.
pub(super) fn key(user: UserId, more: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + more.len());
    key.extend_from_slice(user.as_bytes());
    key.extend_from_slice(more);
    key
}

/// `user ‖ seq`, big-endian, so that keys sort as the log does.
pub(super) fn seq_key(user: UserId, seq: Seq) -> Vec<u8> {
    key(user, &seq.0.to_be_bytes())
}

/// The seq of a [`seq_key`].
pub(super) fn seq_of(key: &[u8]) -> Result<Seq, Unreadable> {
    let tail = key.get(16..).ok_or(Unreadable)?;
    Ok(Seq(u64::from_be_bytes(
        tail.try_into().map_err(|_| Unreadable)?,
    )))
}

/// The user of a key.
pub(super) fn user_of(key: &[u8]) -> Result<UserId, Unreadable> {
    let head = key.get(..16).ok_or(Unreadable)?;
    UserId::try_from(head).map_err(|_| Unreadable)
}

/// One row a user.
#[derive(Serialize, Deserialize, Default, Clone, Copy)]
pub(super) struct HeadRow {
    pub(super) head: u64,
    pub(super) blocked: bool,
    /// When something of the user's is due to go, in milliseconds; `u64::MAX` for nothing.
    pub(super) due: u64,
}

/// `due ‖ user`, so that what is due comes first.
pub(super) fn due_key(due: Timestamp, user: UserId) -> Vec<u8> {
    let mut bytes = due.as_millis().to_be_bytes().to_vec();
    bytes.extend_from_slice(user.as_bytes());
    bytes
}

/// The two of a [`due_key`].
pub(super) fn due_of(key: &[u8]) -> Result<(Timestamp, UserId), Unreadable> {
    let (due, user) = key.split_first_chunk::<8>().ok_or(Unreadable)?;
    let due = Timestamp::from_millis(u64::from_be_bytes(*due));
    Ok((due, user_of(user)?))
}

/// The time of an [`idempotency_end`].
pub(super) fn until_of(end: &[u8]) -> Result<Timestamp, Unreadable> {
    let until = end.first_chunk::<8>().ok_or(Unreadable)?;
    Ok(Timestamp::from_millis(u64::from_be_bytes(*until)))
}

/// The answer kept for an idempotency key.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IdempotencyRow {
    pub(super) digest: [u8; 32],
    pub(super) seq: u64,
    pub(super) id: [u8; 16],
    pub(super) sent: u64,
    pub(super) expires: u64,
    pub(super) until: u64,
    pub(super) receipts: Option<[u8; 16]>,
}

/// `user ‖ permission ‖ key`.
pub(super) fn idempotency_key(
    user: UserId,
    permission: PermissionId,
    key_hash: &[u8; 32],
) -> Vec<u8> {
    let mut bytes = key(user, permission.as_bytes());
    bytes.extend_from_slice(key_hash);
    bytes
}

/// `until ‖ user ‖ permission ‖ key`, so that what is over comes first.
pub(super) fn idempotency_end(until: u64, key: &[u8]) -> Vec<u8> {
    let mut bytes = until.to_be_bytes().to_vec();
    bytes.extend_from_slice(key);
    bytes
}

/// The [`idempotency_key`] of an [`idempotency_end`].
pub(super) fn idempotency_of(end: &[u8]) -> Result<&[u8], Unreadable> {
    end.get(8..).ok_or(Unreadable)
}

/// What became of a notification, beside its entry.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TraceRow {
    pub(super) permission: [u8; 16],
    pub(super) bytes: u32,
    pub(super) sent: u64,
    pub(super) expires: u64,
    pub(super) delivered: Option<u64>,
    /// With the entry gone, what is above is in this row alone.
    pub(super) ended: Option<(Ended, u64)>,
    /// When this row goes, once the entry is gone.
    pub(super) until: u64,
}

/// `until ‖ user ‖ seq`.
pub(super) fn trace_end(until: u64, key: &[u8]) -> Vec<u8> {
    idempotency_end(until, key)
}

/// The key of a trace of a [`trace_end`].
pub(super) fn trace_of(end: &[u8]) -> Result<&[u8], Unreadable> {
    idempotency_of(end)
}

/// A retained message.
#[derive(Serialize, Deserialize)]
pub(super) struct RetainedRow {
    pub(super) properties: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) at_least_once: bool,
    pub(super) expires: u64,
}

/// An entry's payload, with the properties of a private message.
#[derive(Serialize, Deserialize)]
pub(super) struct BodyRow<'a> {
    #[serde(borrow)]
    pub(super) properties: &'a [u8],
    #[serde(borrow)]
    pub(super) payload: &'a [u8],
}

#[derive(Serialize, Deserialize)]
enum ContentRow {
    Notification {
        id: [u8; 16],
        permission: [u8; 16],
        urgency: u8,
        muted: bool,
        collapse: Option<String>,
    },
    Private {
        topic: String,
        retain: bool,
        publisher: [u8; 16],
    },
}

#[derive(Serialize, Deserialize)]
struct MetaRow {
    content: ContentRow,
    sent: u64,
    expires: u64,
    seen: bool,
    bytes: u32,
    done: Option<u64>,
    delivered: bool,
}

pub(super) fn encode_meta(meta: &Meta) -> Vec<u8> {
    let content = match &meta.entry.content {
        Content::Notification {
            id,
            permission,
            urgency,
            muted,
        } => ContentRow::Notification {
            id: *id.as_bytes(),
            permission: *permission.as_bytes(),
            urgency: *urgency as u8,
            muted: *muted,
            collapse: meta.collapse.clone(),
        },
        Content::Private {
            topic,
            retain,
            publisher,
            ..
        } => ContentRow::Private {
            topic: topic.as_str().to_owned(),
            retain: *retain,
            publisher: *publisher.as_bytes(),
        },
    };
    encode(&MetaRow {
        content,
        sent: meta.entry.sent.as_millis(),
        expires: meta.entry.expires.as_millis(),
        seen: meta.entry.seen,
        bytes: meta.bytes,
        done: meta.done.map(Timestamp::as_millis),
        delivered: meta.delivered,
    })
}

/// A private message's properties are with its payload, so they are empty here.
pub(super) fn decode_meta(seq: Seq, bytes: &[u8]) -> Result<Meta, Unreadable> {
    let row: MetaRow = decode(bytes)?;
    let (content, collapse) = match row.content {
        ContentRow::Notification {
            id,
            permission,
            urgency,
            muted,
            collapse,
        } => (
            Content::Notification {
                id: NotificationId::from_bytes(id),
                permission: PermissionId::from_bytes(permission),
                urgency: urgency_of(urgency)?,
                muted,
            },
            collapse,
        ),
        ContentRow::Private {
            topic,
            retain,
            publisher,
        } => {
            let topic = PrivateTopic::new(&topic).map_err(|_| Unreadable)?;
            (
                Content::Private {
                    topic,
                    properties: Bytes::new(),
                    retain,
                    publisher: DeviceId::from_bytes(publisher),
                },
                None,
            )
        }
    };
    Ok(Meta {
        entry: EntryMeta {
            seq,
            content,
            sent: Timestamp::from_millis(row.sent),
            expires: Timestamp::from_millis(row.expires),
            seen: row.seen,
        },
        bytes: row.bytes,
        collapse,
        done: row.done.map(Timestamp::from_millis),
        delivered: row.delivered,
    })
}

fn urgency_of(number: u8) -> Result<Urgency, Unreadable> {
    [
        Urgency::VeryLow,
        Urgency::Low,
        Urgency::Normal,
        Urgency::High,
    ]
    .into_iter()
    .find(|urgency| *urgency as u8 == number)
    .ok_or(Unreadable)
}

#[derive(Serialize, Deserialize)]
enum PermissionOnDisk {
    Given {
        muted: bool,
        receipts: bool,
        site: [u8; 16],
        endpoint: [u8; 32],
    },
    Revoked,
}

pub(super) fn encode_permission(row: &PermissionRow) -> Vec<u8> {
    encode(&match row {
        PermissionRow::Given(given) => PermissionOnDisk::Given {
            muted: given.muted,
            receipts: given.receipts,
            site: *given.site.as_bytes(),
            endpoint: *given.endpoint.as_bytes(),
        },
        PermissionRow::Revoked => PermissionOnDisk::Revoked,
    })
}

pub(super) fn decode_permission(bytes: &[u8]) -> Result<PermissionRow, Unreadable> {
    Ok(match decode(bytes)? {
        PermissionOnDisk::Given {
            muted,
            receipts,
            site,
            endpoint,
        } => PermissionRow::Given(Given {
            muted,
            receipts,
            site: Owner::from_bytes(site),
            endpoint: SecretHash::from_bytes(endpoint),
        }),
        PermissionOnDisk::Revoked => PermissionRow::Revoked,
    })
}

#[derive(Serialize, Deserialize)]
enum FilterRow {
    Notification([u8; 16]),
    NotificationsOneLevel,
    Notifications,
    Everything,
    Events,
    Private(String),
}

#[derive(Serialize, Deserialize)]
struct SubscribedRow {
    filter: FilterRow,
    at_least_once: bool,
    no_local: bool,
    retain_as_published: bool,
    identifier: Option<std::num::NonZeroU32>,
    start: u64,
}

#[derive(Serialize, Deserialize)]
struct SessionOnDisk {
    filters: Vec<SubscribedRow>,
    acked: u64,
    holes: Vec<u64>,
    inbound_qos2: Vec<u16>,
    away: bool,
    expiry_secs: u64,
    disconnected: Option<u64>,
    epoch: u64,
}

pub(super) fn encode_session(row: &SessionRow) -> Vec<u8> {
    let filters = row.filters.iter().map(|subscribed| SubscribedRow {
        filter: match &subscribed.filter {
            Filter::Notification(permission) => FilterRow::Notification(*permission.as_bytes()),
            Filter::NotificationsOneLevel => FilterRow::NotificationsOneLevel,
            Filter::Notifications => FilterRow::Notifications,
            Filter::Everything => FilterRow::Everything,
            Filter::Events => FilterRow::Events,
            Filter::Private(pattern) => FilterRow::Private(pattern.to_string()),
        },
        at_least_once: subscribed.options.at_least_once,
        no_local: subscribed.options.no_local,
        retain_as_published: subscribed.options.retain_as_published,
        identifier: subscribed.options.identifier,
        start: subscribed.start.0,
    });
    encode(&SessionOnDisk {
        filters: filters.collect(),
        acked: row.acked.0,
        holes: row.holes.iter().map(|seq| seq.0).collect(),
        inbound_qos2: row.inbound_qos2.clone(),
        away: row.presence == Presence::Away,
        expiry_secs: row.expiry.as_secs(),
        disconnected: row.disconnected.map(Timestamp::as_millis),
        epoch: row.epoch,
    })
}

pub(super) fn decode_session(bytes: &[u8]) -> Result<SessionRow, Unreadable> {
    let row: SessionOnDisk = decode(bytes)?;
    let filters = row.filters.into_iter().map(|subscribed| SubscribedFilter {
        filter: match subscribed.filter {
            FilterRow::Notification(id) => Filter::Notification(PermissionId::from_bytes(id)),
            FilterRow::NotificationsOneLevel => Filter::NotificationsOneLevel,
            FilterRow::Notifications => Filter::Notifications,
            FilterRow::Everything => Filter::Everything,
            FilterRow::Events => Filter::Events,
            FilterRow::Private(pattern) => Filter::Private(pattern.into()),
        },
        options: SubscriptionOptions {
            at_least_once: subscribed.at_least_once,
            no_local: subscribed.no_local,
            retain_as_published: subscribed.retain_as_published,
            identifier: subscribed.identifier,
        },
        start: Seq(subscribed.start),
    });
    Ok(SessionRow {
        filters: filters.collect(),
        acked: Seq(row.acked),
        holes: row.holes.into_iter().map(Seq).collect(),
        inbound_qos2: row.inbound_qos2,
        presence: presence_of(row.away),
        expiry: Duration::from_secs(row.expiry_secs),
        disconnected: row.disconnected.map(Timestamp::from_millis),
        epoch: row.epoch,
    })
}

fn presence_of(away: bool) -> Presence {
    match away {
        true => Presence::Away,
        false => Presence::Active,
    }
}

#[derive(Serialize, Deserialize)]
enum LastWordRow<'a> {
    Presence {
        away: bool,
    },
    Private {
        topic: &'a str,
        properties: &'a [u8],
        payload: &'a [u8],
        retain: bool,
        at_least_once: bool,
        expiry_secs: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct WillRow<'a> {
    delay_secs: u64,
    #[serde(borrow)]
    last_word: LastWordRow<'a>,
}

pub(super) fn encode_will(will: &Will) -> Vec<u8> {
    let last_word = match &will.last_word {
        LastWord::Presence(presence) => LastWordRow::Presence {
            away: *presence == Presence::Away,
        },
        LastWord::Private {
            topic,
            properties,
            payload,
            retain,
            at_least_once,
            expiry,
        } => LastWordRow::Private {
            topic: topic.as_str(),
            properties,
            payload,
            retain: *retain,
            at_least_once: *at_least_once,
            expiry_secs: expiry.as_secs(),
        },
    };
    encode(&WillRow {
        delay_secs: will.delay.as_secs(),
        last_word,
    })
}

pub(super) fn decode_will(bytes: &[u8]) -> Result<Will, Unreadable> {
    let row: WillRow<'_> = decode(bytes)?;
    let last_word = match row.last_word {
        LastWordRow::Presence { away } => LastWord::Presence(presence_of(away)),
        LastWordRow::Private {
            topic,
            properties,
            payload,
            retain,
            at_least_once,
            expiry_secs,
        } => LastWord::Private {
            topic: PrivateTopic::new(topic).map_err(|_| Unreadable)?,
            properties: Bytes::copy_from_slice(properties),
            payload: Bytes::copy_from_slice(payload),
            retain,
            at_least_once,
            expiry: Duration::from_secs(expiry_secs),
        },
    };
    Ok(Will {
        delay: Duration::from_secs(row.delay_secs),
        last_word,
    })
}

/// The device of a session's key.
pub(super) fn device_of(key: &[u8]) -> Result<DeviceId, Unreadable> {
    DeviceId::try_from(key.get(16..).ok_or(Unreadable)?).map_err(|_| Unreadable)
}

/// The permission of a permission's key.
pub(super) fn permission_of(key: &[u8]) -> Result<PermissionId, Unreadable> {
    PermissionId::try_from(key.get(16..).ok_or(Unreadable)?).map_err(|_| Unreadable)
}
