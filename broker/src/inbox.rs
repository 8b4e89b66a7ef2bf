//! What waits for one connection: a bounded queue that costs nothing while it is empty.
//!
//! Not a channel: a channel keeps a block of slots for each idle connection, and cannot forget what
//! it holds when the connection falls behind. A full inbox drops what comes and remembers only how
//! far the log has got, since the mailbox has it all.

use crate::delivery::Settled;
use crate::notice::Notice;
use crate::presence::Presence;
use belfry_protocol::id::{DeviceId, PermissionId};
use belfry_protocol::push::Urgency;
use belfry_store::mailbox::{Content, Seq};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Notices that wait for one connection: two windows' worth, after which reading the mailbox in
/// pages is the cheaper way to catch up.
const NOTICES_MAX: usize = 64;
/// Bytes that those notices keep alive.
const NOTICES_BYTES_MAX: usize = 256 * 1024;

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The same device connected again.
    TakenOver,
    /// The server stops.
    ShuttingDown,
    /// The device was removed, or an operator said so.
    Administrative,
    /// Its user or its address was blocked.
    Banned,
}

/// One connection's inbox, shared between it and the registry.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) device: DeviceId,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    notices: VecDeque<Arc<Notice>>,
    bytes: usize,
    slow: bool,
    head: Seq,
    close: Option<CloseCause>,
    forget: Vec<PermissionId>,
    acknowledged: Option<Settled>,
    presence: Presence,
    /// Two bytes, where an idle connection has room for them.
    away_grace_secs: u16,
    urgency_min: Urgency,
    /// Whether the bus told of the one or the other, which is newer than anything that was read before.
    grace_heard: bool,
    urgency_min_heard: bool,
    situation_changed: bool,
    missed: bool,
}

/// What an inbox held.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// What to look at, oldest first.
    pub(crate) notices: VecDeque<Arc<Notice>>,
    /// The log reaches at least this far.
    pub(crate) head: Seq,
    /// The connection is to end.
    pub(crate) close: Option<CloseCause>,
    /// Exact filters that are to go.
    pub(crate) forget: Vec<PermissionId>,
    /// What was acknowledged over HTTP.
    pub(crate) acknowledged: Option<Settled>,
    /// The presence of a device of the user changed.
    pub(crate) situation_changed: bool,
    /// Something else that was for this connection was lost on the bus.
    pub(crate) missed: bool,
}

impl Inbox {
    pub(crate) fn new(device: DeviceId) -> Self {
        Self {
            device,
            state: Mutex::new(State {
                notices: VecDeque::new(),
                bytes: 0,
                slow: false,
                head: Seq(0),
                close: None,
                forget: Vec::new(),
                acknowledged: None,
                // Until its session is open: what the device last said is in there.
                presence: Presence::Away,
                away_grace_secs: 0,
                urgency_min: Urgency::VeryLow,
                grace_heard: false,
                urgency_min_heard: false,
                situation_changed: false,
                missed: false,
            }),
            wake: Notify::new(),
        }
    }

    /// Resolves when there may be something to [`Inbox::take`].
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> Mail {
        let mut state = self.lock();
        state.bytes = 0;
        Mail {
            notices: std::mem::take(&mut state.notices),
            head: state.head,
            close: state.close,
            forget: std::mem::take(&mut state.forget),
            acknowledged: state.acknowledged.take(),
            situation_changed: std::mem::take(&mut state.situation_changed),
            missed: std::mem::take(&mut state.missed),
        }
    }

    /// A slow connection takes no notices: the inbox only remembers how far the log is.
    /// When it has caught up it looks again, since the log may have grown meanwhile without a word.
    pub(crate) fn set_slow(&self, slow: bool) {
        let was = std::mem::replace(&mut self.lock().slow, slow);
        if was && !slow {
            self.wake.notify_one();
        }
    }

    pub(crate) fn push(&self, notice: &Arc<Notice>) {
        let mut state = self.lock();
        match &**notice {
            Notice::Forget { permission, .. } => {
                if !state.forget.contains(permission) {
                    state.forget.push(*permission);
                }
                state.drop_waiting(|content| match content {
                    Content::Notification { permission: of, .. } => of == permission,
                    Content::Private { .. } => false,
                });
            }
            Notice::Unowed { ids, .. } => state.drop_waiting(|content| match content {
                Content::Notification { id, .. } => ids.contains(id),
                Content::Private { .. } => false,
            }),
            Notice::Acknowledged {
                device,
                acked,
                holes,
                ..
            } => {
                if *device != self.device {
                    return;
                }
                // The later one knows all that the earlier one did.
                state.acknowledged = Some(Settled {
                    acked: *acked,
                    holes: holes.clone(),
                });
            }
            Notice::AwayGrace { grace, .. } => {
                state.away_grace_secs = seconds(*grace);
                state.grace_heard = true;
                state.situation_changed = true;
            }
            Notice::UrgencyMin {
                device,
                urgency_min,
                ..
            } => {
                if *device != self.device {
                    return;
                }
                state.urgency_min = *urgency_min;
                state.urgency_min_heard = true;
                state.situation_changed = true;
            }
            Notice::Stored { .. } | Notice::Live { .. } => {
                let seq = match &**notice {
                    Notice::Stored { entry, .. } => entry.meta.seq,
                    _ => Seq(0),
                };
                state.head = state.head.max(seq);
                let fits = state.notices.len() < NOTICES_MAX
                    && state.bytes + notice.weight() <= NOTICES_BYTES_MAX;
                if state.slow {
                    return;
                }
                if fits {
                    state.bytes += notice.weight();
                    state.notices.push_back(Arc::clone(notice));
                }
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The log reaches this far, whatever was heard of.
    pub(crate) fn reached(&self, head: Seq) {
        let mut state = self.lock();
        if state.head < head {
            state.head = head;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Something for this connection was lost on the bus.
    pub(crate) fn missed(&self) {
        self.lock().missed = true;
        self.wake.notify_one();
    }

    pub(crate) fn close(&self, cause: CloseCause) {
        self.lock().close.get_or_insert(cause);
        self.wake.notify_one();
    }

    /// Whether the connection is to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().close.is_some()
    }

    pub(crate) fn presence(&self) -> Presence {
        self.lock().presence
    }

    pub(crate) fn set_presence(&self, presence: Presence) {
        self.lock().presence = presence;
    }

    pub(crate) fn away_grace(&self) -> Duration {
        Duration::from_secs(self.lock().away_grace_secs.into())
    }

    pub(crate) fn urgency_min(&self) -> Urgency {
        self.lock().urgency_min
    }

    /// The grace and the minimum are about to be read: what the bus tells of them from here on is newer.
    pub(crate) fn reading_holds(&self) {
        let mut state = self.lock();
        (state.grace_heard, state.urgency_min_heard) = (false, false);
    }

    /// What was read, unless the bus told of a change meanwhile.
    pub(crate) fn read_holds(&self, grace: Duration, urgency_min: Urgency) {
        let mut state = self.lock();
        let before = (state.away_grace_secs, state.urgency_min);
        if !state.grace_heard {
            state.away_grace_secs = seconds(grace);
        }
        if !state.urgency_min_heard {
            state.urgency_min = urgency_min;
        }
        if before != (state.away_grace_secs, state.urgency_min) {
            state.situation_changed = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    pub(crate) fn situation_changed(&self) {
        self.lock().situation_changed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A grace is of whole seconds, and at most an hour.
fn seconds(grace: Duration) -> u16 {
    u16::try_from(grace.as_secs()).unwrap_or(u16::MAX)
}

impl State {
    /// Takes out what is not to be sent any more. The next one does not follow its predecessor then,
    /// so the connection reads the mailbox on from there.
    fn drop_waiting(&mut self, unwanted: impl Fn(&Content) -> bool) {
        let bytes = &mut self.bytes;
        self.notices.retain(|notice| match &**notice {
            Notice::Stored { entry, .. } if unwanted(&entry.meta.content) => {
                *bytes -= notice.weight();
                false
            }
            _ => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_protocol::id::{NotificationId, UserId};
    use belfry_protocol::time::Timestamp;
    use belfry_protocol::topic::Topic;
    use belfry_store::mailbox::{Entry, EntryMeta};
    use bytes::Bytes;

    fn live(bytes: usize) -> Arc<Notice> {
        Arc::new(Notice::Live {
            user: UserId::from_bytes([1; 16]),
            message: crate::notice::Live {
                topic: Topic::Events,
                properties: Bytes::new(),
                payload: vec![0; bytes].into(),
                publisher: None,
                retain: false,
                at_least_once: false,
                urgency: None,
                expires: None,
            },
        })
    }

    fn user() -> UserId {
        UserId::from_bytes([1; 16])
    }

    fn id(seq: u8) -> NotificationId {
        NotificationId::from_bytes([seq; 16])
    }

    fn stored(seq: u8, permission: u8) -> Arc<Notice> {
        let content = Content::Notification {
            id: id(seq),
            permission: PermissionId::from_bytes([permission; 16]),
            urgency: Urgency::Normal,
            muted: false,
        };
        Arc::new(Notice::Stored {
            user: user(),
            entry: Entry {
                meta: EntryMeta {
                    seq: Seq(seq.into()),
                    content,
                    sent: Timestamp::default(),
                    expires: Timestamp::NEVER,
                    seen: false,
                },
                payload: vec![0; 100 * 1024].into(),
            },
        })
    }

    #[test]
    fn what_is_owed_to_nobody_any_more_does_not_wait() {
        let check = |unwanted: Notice, left: &[u64]| {
            let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
            inbox.push(&stored(1, 1));
            inbox.push(&stored(2, 2));
            inbox.push(&Arc::new(unwanted));
            // There is room for it only since the other one went.
            inbox.push(&stored(3, 3));
            let mail = inbox.take();
            let seqs = mail.notices.iter().map(|notice| match &**notice {
                Notice::Stored { entry, .. } => entry.meta.seq.0,
                other => panic!("{other:?}"),
            });
            assert_eq!(seqs.collect::<Vec<_>>(), left);
            assert_eq!(mail.head, Seq(3), "the log reaches as far as before");
        };
        let ids = vec![id(2), id(9)];
        check(Notice::Unowed { user: user(), ids }, &[1, 3]);
        let permission = PermissionId::from_bytes([1; 16]);
        let user = user();
        check(Notice::Forget { user, permission }, &[2, 3]);
    }

    #[test]
    fn it_is_bounded_in_count_and_in_bytes() {
        let check = |bytes, expected| {
            let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
            for _ in 0..1_000 {
                inbox.push(&live(bytes));
            }
            assert_eq!(inbox.take().notices.len(), expected, "{bytes}");
            inbox.push(&live(bytes));
            assert_eq!(inbox.take().notices.len(), 1, "{bytes}");
        };
        check(10, NOTICES_MAX);
        check(64 * 1024, 4);
    }

    #[test]
    fn a_grace_that_the_bus_tells_of_is_newer_than_one_that_was_being_read() {
        let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
        let secs = Duration::from_secs;
        let told = |grace| {
            inbox.push(&Arc::new(Notice::AwayGrace {
                user: user(),
                grace,
            }))
        };
        inbox.reading_holds();
        inbox.read_holds(secs(30), Urgency::Low);
        assert_eq!(inbox.away_grace(), secs(30));
        assert!(inbox.take().situation_changed);
        told(secs(5));
        assert_eq!(inbox.away_grace(), secs(5));
        assert!(inbox.take().situation_changed);
        inbox.reading_holds();
        inbox.read_holds(secs(4), Urgency::Low);
        assert_eq!(inbox.away_grace(), secs(4), "what was told is older");
        inbox.reading_holds();
        told(secs(6));
        inbox.read_holds(secs(4), Urgency::Low);
        assert_eq!(inbox.away_grace(), secs(6), "what was read is older");
    }

    #[test]
    fn a_minimum_is_for_its_device_and_newer_than_one_that_was_being_read() {
        let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
        let told = |device, urgency_min| {
            inbox.push(&Arc::new(Notice::UrgencyMin {
                user: user(),
                device: DeviceId::from_bytes([device; 16]),
                urgency_min,
            }));
        };
        let grace = Duration::from_secs(30);
        inbox.reading_holds();
        inbox.read_holds(grace, Urgency::Normal);
        assert!(inbox.take().situation_changed);
        told(3, Urgency::High);
        assert_eq!(inbox.urgency_min(), Urgency::Normal, "another device's");
        assert!(!inbox.take().situation_changed);
        told(2, Urgency::High);
        assert_eq!(inbox.urgency_min(), Urgency::High);
        assert!(inbox.take().situation_changed);
        inbox.reading_holds();
        told(2, Urgency::Low);
        // The grace was not told of, so that it is what was read.
        inbox.read_holds(Duration::from_secs(5), Urgency::High);
        assert_eq!(inbox.urgency_min(), Urgency::Low, "what was read is older");
        assert_eq!(inbox.away_grace(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn one_that_was_slow_looks_again() {
        let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
        inbox.set_slow(true);
        inbox.push(&live(1));
        inbox.set_slow(false);
        inbox.filled().await;
        inbox.push(&live(1));
        assert_eq!(inbox.take().notices.len(), 1);
    }

    #[test]
    fn a_slow_one_takes_no_messages_but_is_told_to_end() {
        let inbox = Inbox::new(DeviceId::from_bytes([2; 16]));
        inbox.set_slow(true);
        inbox.push(&live(1));
        inbox.close(CloseCause::TakenOver);
        inbox.close(CloseCause::ShuttingDown);
        let mail = inbox.take();
        assert!(mail.notices.is_empty());
        assert_eq!(mail.close, Some(CloseCause::TakenOver));
    }
}
