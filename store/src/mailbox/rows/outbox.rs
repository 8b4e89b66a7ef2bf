//! The rows of the outbox, and of what it still waits for.

use super::{Unreadable, decode, encode};
use crate::mailbox::entry::Seq;
use crate::mailbox::outbox::{Message, News, Owner, Told};
use crate::mailbox::user::receipts::Awaited;
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One row an owner, by the owner.
#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::mailbox) struct LogRow {
    /// The place of the oldest row that is shown.
    pub(in crate::mailbox) oldest: u64,
    /// The place of the next row.
    pub(in crate::mailbox) next: u64,
    /// Notifications whose outcome is still to be told in it.
    pub(in crate::mailbox) awaited: u32,
    /// When it is forgotten, in milliseconds; `None` while something is to be written.
    pub(in crate::mailbox) end: Option<u64>,
    pub(in crate::mailbox) closed: bool,
}

/// `owner ‖ n`, so that keys sort as the log does.
pub(in crate::mailbox) fn told_key(owner: Owner, n: u64) -> Vec<u8> {
    let mut key = owner.as_bytes().to_vec();
    key.extend_from_slice(&n.to_be_bytes());
    key
}

/// The two of a [`told_key`].
pub(in crate::mailbox) fn told_of(key: &[u8]) -> Result<(Owner, u64), Unreadable> {
    let (owner, n) = key.split_first_chunk::<16>().ok_or(Unreadable)?;
    let n = n.try_into().map_err(|_| Unreadable)?;
    Ok((Owner::from_bytes(*owner), u64::from_be_bytes(n)))
}

/// The owner of a log's key.
pub(in crate::mailbox) fn owner_of(key: &[u8]) -> Result<Owner, Unreadable> {
    let key = key.try_into().map_err(|_| Unreadable)?;
    Ok(Owner::from_bytes(key))
}

/// `at ‖ owner ‖ n`, so that what is over comes first: a row of the log, or, with 0, the log itself.
pub(in crate::mailbox) fn outbox_due(at: Timestamp, owner: Owner, n: u64) -> Vec<u8> {
    let mut key = at.as_millis().to_be_bytes().to_vec();
    key.extend_from_slice(&told_key(owner, n));
    key
}

/// The three of an [`outbox_due`].
pub(in crate::mailbox) fn outbox_due_of(key: &[u8]) -> Result<(Timestamp, Owner, u64), Unreadable> {
    let (at, told) = key.split_first_chunk::<8>().ok_or(Unreadable)?;
    let (owner, n) = told_of(told)?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*at)), owner, n))
}

#[derive(Serialize, Deserialize)]
struct MessageRow {
    user: [u8; 16],
    seq: u64,
    expires: u64,
}

impl From<&Message> for MessageRow {
    fn from(message: &Message) -> Self {
        Self {
            user: *message.user.as_bytes(),
            seq: message.seq.0,
            expires: message.expires.as_millis(),
        }
    }
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            user: UserId::from_bytes(row.user),
            seq: Seq(row.seq),
            expires: Timestamp::from_millis(row.expires),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum NewsRow {
    Delivered(MessageRow),
    GivenUp(MessageRow),
    Revoked([u8; 32]),
    Expired(MessageRow),
}

#[derive(Serialize, Deserialize)]
struct ToldRow {
    at: u64,
    news: NewsRow,
}

pub(in crate::mailbox) fn encode_told(told: &Told) -> Vec<u8> {
    let news = match &told.news {
        News::Delivered(message) => NewsRow::Delivered(message.into()),
        News::GivenUp(message) => NewsRow::GivenUp(message.into()),
        News::Revoked { endpoint } => NewsRow::Revoked(*endpoint.as_bytes()),
        News::Expired(message) => NewsRow::Expired(message.into()),
    };
    let at = told.at.as_millis();
    encode(&ToldRow { at, news })
}

pub(in crate::mailbox) fn decode_told(n: u64, bytes: &[u8]) -> Result<Told, Unreadable> {
    let row: ToldRow = decode(bytes)?;
    let news = match row.news {
        NewsRow::Delivered(message) => News::Delivered(message.into()),
        NewsRow::GivenUp(message) => News::GivenUp(message.into()),
        NewsRow::Revoked(endpoint) => News::Revoked {
            endpoint: SecretHash::from_bytes(endpoint),
        },
        NewsRow::Expired(message) => News::Expired(message.into()),
    };
    let at = Timestamp::from_millis(row.at);
    Ok(Told { n, at, news })
}

#[derive(Serialize, Deserialize)]
struct AwaitedRow {
    permission: [u8; 16],
    expires: u64,
    collapse: Option<String>,
    receipts: Option<[u8; 16]>,
    delivery: bool,
    site: Option<[u8; 16]>,
}

pub(in crate::mailbox) fn encode_awaited(awaited: &Awaited) -> Vec<u8> {
    encode(&AwaitedRow {
        permission: *awaited.permission.as_bytes(),
        expires: awaited.expires.as_millis(),
        collapse: awaited.collapse.clone(),
        receipts: awaited.receipts.map(|owner| *owner.as_bytes()),
        delivery: awaited.delivery,
        site: awaited.site.map(|owner| *owner.as_bytes()),
    })
}

pub(in crate::mailbox) fn decode_awaited(bytes: &[u8]) -> Result<Awaited, Unreadable> {
    let row: AwaitedRow = decode(bytes)?;
    Ok(Awaited {
        permission: PermissionId::from_bytes(row.permission),
        expires: Timestamp::from_millis(row.expires),
        collapse: row.collapse,
        receipts: row.receipts.map(Owner::from_bytes),
        delivery: row.delivery,
        site: row.site.map(Owner::from_bytes),
    })
}
