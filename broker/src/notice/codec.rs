//! A notice as bytes, for a bus that carries bytes.
//!
//! Only this program writes and reads them, and only while it runs, so there is no version in them;
//! what cannot be read is still refused rather than trusted.

use super::{Live, Notice};
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{PrivateTopic, Topic};
use belfry_store::mailbox::{Content, Entry, EntryMeta, Seq};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use std::time::Duration;

const STORED: u8 = 0;
const LIVE: u8 = 1;
const FORGET: u8 = 2;
const ACKNOWLEDGED: u8 = 3;
const UNOWED: u8 = 4;
const AWAY_GRACE: u8 = 5;
const URGENCY_MIN: u8 = 6;

const NOTIFICATION: u8 = 0;
const PRIVATE: u8 = 1;
const EVENTS: u8 = 2;
const PRESENCE: u8 = 3;
const SEEN: u8 = 4;

/// More than all that stands beside topic, properties and payload.
const FIXED_BYTES: usize = 160;

/// What stands in front of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The counter of its bucket; 0 where it has none.
    pub(crate) counter: u64,
    /// When it was sent, in microseconds since 1970.
    pub(crate) sent_micros: u64,
}

/// Writes a notice with its stamp in front, in bytes of its own: the bus keeps them for a
/// while, and would keep alive whatever larger buffer they were part of.
pub(crate) fn encode(stamp: Stamp, notice: &Notice) -> Bytes {
    let mut out = BytesMut::with_capacity(FIXED_BYTES + notice.weight());
    out.put_u64(stamp.counter);
    out.put_u64(stamp.sent_micros);
    match notice {
        Notice::Stored { user, entry } => {
            out.put_u8(STORED);
            out.put_slice(user.as_bytes());
            put_meta(&mut out, &entry.meta);
            out.put_slice(&entry.payload);
        }
        Notice::Live { user, message } => {
            out.put_u8(LIVE);
            out.put_slice(user.as_bytes());
            put_live(&mut out, message);
        }
        Notice::Forget { user, permission } => {
            out.put_u8(FORGET);
            out.put_slice(user.as_bytes());
            out.put_slice(permission.as_bytes());
        }
        Notice::Acknowledged {
            user,
            device,
            acked,
            holes,
        } => {
            out.put_u8(ACKNOWLEDGED);
            out.put_slice(user.as_bytes());
            out.put_slice(device.as_bytes());
            out.put_u64(acked.0);
            for hole in holes {
                out.put_u64(hole.0);
            }
        }
        Notice::Unowed { user, ids } => {
            out.put_u8(UNOWED);
            out.put_slice(user.as_bytes());
            for id in ids {
                out.put_slice(id.as_bytes());
            }
        }
        Notice::AwayGrace { user, grace } => {
            out.put_u8(AWAY_GRACE);
            out.put_slice(user.as_bytes());
            out.put_u64(grace.as_secs());
        }
        Notice::UrgencyMin {
            user,
            device,
            urgency_min,
        } => {
            out.put_u8(URGENCY_MIN);
            out.put_slice(user.as_bytes());
            out.put_slice(device.as_bytes());
            out.put_u8(urgency_number(*urgency_min));
        }
    }
    out.freeze()
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(mut bytes: Bytes) -> Option<(Stamp, Notice)> {
    let bytes = &mut bytes;
    let stamp = Stamp {
        counter: u64(bytes)?,
        sent_micros: u64(bytes)?,
    };
    let kind = u8(bytes)?;
    let user = UserId::from_bytes(array(bytes)?);
    let notice = match kind {
        STORED => Notice::Stored {
            user,
            entry: Entry {
                meta: meta(bytes)?,
                payload: std::mem::take(bytes),
            },
        },
        LIVE => Notice::Live {
            user,
            message: live(bytes)?,
        },
        FORGET => Notice::Forget {
            user,
            permission: PermissionId::from_bytes(array(bytes)?),
        },
        ACKNOWLEDGED => Notice::Acknowledged {
            user,
            device: DeviceId::from_bytes(array(bytes)?),
            acked: Seq(u64(bytes)?),
            holes: std::iter::from_fn(|| u64(bytes).map(Seq)).collect(),
        },
        UNOWED => Notice::Unowed {
            user,
            ids: std::iter::from_fn(|| array(bytes).map(NotificationId::from_bytes)).collect(),
        },
        AWAY_GRACE => Notice::AwayGrace {
            user,
            grace: Duration::from_secs(u64(bytes)?),
        },
        URGENCY_MIN => Notice::UrgencyMin {
            user,
            device: DeviceId::from_bytes(array(bytes)?),
            urgency_min: urgency(bytes)?,
        },
        _ => return None,
    };
    Some((stamp, notice))
}

fn put_meta(out: &mut BytesMut, meta: &EntryMeta) {
    out.put_u64(meta.seq.0);
    out.put_u64(meta.sent.as_millis());
    out.put_u64(meta.expires.as_millis());
    out.put_u8(meta.seen.into());
    match &meta.content {
        Content::Notification {
            id,
            permission,
            urgency,
            muted,
        } => {
            out.put_u8(NOTIFICATION);
            out.put_slice(id.as_bytes());
            out.put_slice(permission.as_bytes());
            out.put_u8(urgency_number(*urgency));
            out.put_u8((*muted).into());
        }
        Content::Private {
            topic,
            properties,
            retain,
            publisher,
        } => {
            out.put_u8(PRIVATE);
            put_sized(out, topic.as_str().as_bytes());
            put_sized(out, properties);
            out.put_u8((*retain).into());
            out.put_slice(publisher.as_bytes());
        }
    }
}

fn meta(bytes: &mut Bytes) -> Option<EntryMeta> {
    Some(EntryMeta {
        seq: Seq(u64(bytes)?),
        sent: Timestamp::from_millis(u64(bytes)?),
        expires: Timestamp::from_millis(u64(bytes)?),
        seen: flag(bytes)?,
        content: match u8(bytes)? {
            NOTIFICATION => Content::Notification {
                id: NotificationId::from_bytes(array(bytes)?),
                permission: PermissionId::from_bytes(array(bytes)?),
                urgency: urgency(bytes)?,
                muted: flag(bytes)?,
            },
            PRIVATE => Content::Private {
                topic: private_topic(bytes)?,
                properties: sized(bytes)?,
                retain: flag(bytes)?,
                publisher: DeviceId::from_bytes(array(bytes)?),
            },
            _ => return None,
        },
    })
}

fn put_live(out: &mut BytesMut, message: &Live) {
    match &message.topic {
        Topic::Notification(permission) => {
            out.put_u8(NOTIFICATION);
            out.put_slice(permission.as_bytes());
        }
        Topic::Private(topic) => {
            out.put_u8(PRIVATE);
            put_sized(out, topic.as_str().as_bytes());
        }
        Topic::Events => out.put_u8(EVENTS),
        Topic::Presence(device) => {
            out.put_u8(PRESENCE);
            out.put_slice(device.as_bytes());
        }
        Topic::Seen(device) => {
            out.put_u8(SEEN);
            out.put_slice(device.as_bytes());
        }
    }
    put_sized(out, &message.properties);
    put_option(out, message.publisher.as_ref(), |out, device| {
        out.put_slice(device.as_bytes());
    });
    out.put_u8(message.retain.into());
    out.put_u8(message.at_least_once.into());
    put_option(out, message.urgency.as_ref(), |out, urgency| {
        out.put_u8(urgency_number(*urgency));
    });
    put_option(out, message.expires.as_ref(), |out, expires| {
        out.put_u64(expires.as_millis());
    });
    out.put_slice(&message.payload);
}

fn live(bytes: &mut Bytes) -> Option<Live> {
    Some(Live {
        topic: match u8(bytes)? {
            NOTIFICATION => Topic::Notification(PermissionId::from_bytes(array(bytes)?)),
            PRIVATE => Topic::Private(private_topic(bytes)?),
            EVENTS => Topic::Events,
            PRESENCE => Topic::Presence(DeviceId::from_bytes(array(bytes)?)),
            SEEN => Topic::Seen(DeviceId::from_bytes(array(bytes)?)),
            _ => return None,
        },
        properties: sized(bytes)?,
        publisher: option(bytes, |bytes| array(bytes).map(DeviceId::from_bytes))?,
        retain: flag(bytes)?,
        at_least_once: flag(bytes)?,
        urgency: option(bytes, urgency)?,
        expires: option(bytes, |bytes| u64(bytes).map(Timestamp::from_millis))?,
        payload: std::mem::take(bytes),
    })
}

const fn urgency_number(urgency: Urgency) -> u8 {
    match urgency {
        Urgency::VeryLow => 0,
        Urgency::Low => 1,
        Urgency::Normal => 2,
        Urgency::High => 3,
    }
}

fn urgency(bytes: &mut Bytes) -> Option<Urgency> {
    match u8(bytes)? {
        0 => Some(Urgency::VeryLow),
        1 => Some(Urgency::Low),
        2 => Some(Urgency::Normal),
        3 => Some(Urgency::High),
        _ => None,
    }
}

fn put_option<T>(out: &mut BytesMut, value: Option<&T>, put: impl Fn(&mut BytesMut, &T)) {
    out.put_u8(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

fn option<T>(bytes: &mut Bytes, read: impl Fn(&mut Bytes) -> Option<T>) -> Option<Option<T>> {
    if flag(bytes)? {
        read(bytes).map(Some)
    } else {
        Some(None)
    }
}

/// Topics and properties are parts of one packet, far below 4 GiB.
fn put_sized(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn sized(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn private_topic(bytes: &mut Bytes) -> Option<PrivateTopic> {
    let name = sized(bytes)?;
    PrivateTopic::new(std::str::from_utf8(&name).ok()?).ok()
}

fn u8(bytes: &mut Bytes) -> Option<u8> {
    bytes.try_get_u8().ok()
}

fn u64(bytes: &mut Bytes) -> Option<u64> {
    bytes.try_get_u64().ok()
}

fn flag(bytes: &mut Bytes) -> Option<bool> {
    match u8(bytes)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn array<const N: usize>(bytes: &mut Bytes) -> Option<[u8; N]> {
    let mut array = [0; N];
    bytes.try_copy_to_slice(&mut array).ok()?;
    Some(array)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_urgency() -> impl Strategy<Value = Urgency> {
        prop_oneof![
            Just(Urgency::VeryLow),
            Just(Urgency::Low),
            Just(Urgency::Normal),
            Just(Urgency::High)
        ]
    }

    fn any_private() -> impl Strategy<Value = PrivateTopic> {
        "[a-zé/]{1,40}".prop_map(|name| PrivateTopic::new(&name).unwrap())
    }

    fn any_bytes() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    fn any_content() -> impl Strategy<Value = Content> {
        let notification = (any::<[u8; 16]>(), any_urgency(), any::<bool>());
        prop_oneof![
            notification.prop_map(|(id, urgency, muted)| Content::Notification {
                id: NotificationId::from_bytes(id),
                permission: PermissionId::from_bytes(id),
                urgency,
                muted,
            }),
            (any_private(), any_bytes(), any::<(bool, [u8; 16])>()).prop_map(
                |(topic, properties, (retain, publisher))| Content::Private {
                    topic,
                    properties,
                    retain,
                    publisher: DeviceId::from_bytes(publisher),
                }
            ),
        ]
    }

    fn any_notice() -> impl Strategy<Value = Notice> {
        let user = UserId::from_bytes([1; 16]);
        let publisher = || proptest::option::of(any::<[u8; 16]>().prop_map(DeviceId::from_bytes));
        let stored = (any_content(), any_bytes(), any::<(u32, bool)>());
        let topic = prop_oneof![
            Just(Topic::Events),
            any_private().prop_map(Topic::Private),
            any::<[u8; 16]>().prop_map(|id| Topic::Notification(PermissionId::from_bytes(id))),
            any::<[u8; 16]>().prop_map(|id| Topic::Presence(DeviceId::from_bytes(id))),
            any::<[u8; 16]>().prop_map(|id| Topic::Seen(DeviceId::from_bytes(id))),
        ];
        let options = (
            publisher(),
            proptest::option::of(any_urgency()),
            proptest::option::of(any::<u32>()),
        );
        let live = (topic, any_bytes(), options, any::<(bool, bool)>());
        prop_oneof![
            stored.prop_map(move |(content, payload, (time, seen))| Notice::Stored {
                user,
                entry: Entry {
                    meta: EntryMeta {
                        seq: Seq(time.into()),
                        content,
                        sent: Timestamp::from_millis(time.into()),
                        expires: Timestamp::from_millis(u64::from(time) * 2),
                        seen,
                    },
                    payload,
                },
            }),
            live.prop_map(move |(topic, bytes, options, flags)| Notice::Live {
                user,
                message: Live {
                    topic,
                    properties: bytes.clone(),
                    payload: bytes,
                    publisher: options.0,
                    retain: flags.0,
                    at_least_once: flags.1,
                    urgency: options.1,
                    expires: options.2.map(|time| Timestamp::from_millis(time.into())),
                },
            }),
            Just(Notice::Forget {
                user,
                permission: PermissionId::from_bytes([2; 16]),
            }),
            (any::<u64>(), proptest::collection::vec(any::<u64>(), 0..5)).prop_map(
                move |(acked, holes)| Notice::Acknowledged {
                    user,
                    device: DeviceId::from_bytes([3; 16]),
                    acked: Seq(acked),
                    holes: holes.into_iter().map(Seq).collect(),
                }
            ),
            proptest::collection::vec(any::<[u8; 16]>(), 0..5).prop_map(move |ids| {
                Notice::Unowed {
                    user,
                    ids: ids.into_iter().map(NotificationId::from_bytes).collect(),
                }
            }),
            any::<u32>().prop_map(move |secs| Notice::AwayGrace {
                user,
                grace: Duration::from_secs(secs.into()),
            }),
            (any::<[u8; 16]>(), any_urgency()).prop_map(move |(device, urgency_min)| {
                Notice::UrgencyMin {
                    user,
                    device: DeviceId::from_bytes(device),
                    urgency_min,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_notice_reads_back(counter: u64, notice in any_notice()) {
            let stamp = Stamp {
                counter,
                sent_micros: counter ^ 7,
            };
            let bytes = encode(stamp, &notice);
            prop_assert_eq!(decode(bytes), Some((stamp, notice)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any_bytes(), notice in any_notice(), cut in 0usize..100) {
            let _ = decode(bytes);
            let stamp = Stamp {
                counter: 0,
                sent_micros: 0,
            };
            let mut whole = encode(stamp, &notice);
            let _ = decode(whole.split_to(cut.min(whole.len())));
        }
    }
}
