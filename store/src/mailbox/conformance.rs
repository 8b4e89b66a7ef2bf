//! What every mailbox engine has to do, tried from outside through the trait: tables and a model. An
//! engine's own tests implement [`Engine`] and call [`holds_for`]; what is an engine's alone, such as
//! its journal, is tried beside it.

#![allow(clippy::unwrap_used)]

mod model;
mod outbox;
mod reads;
mod space;
mod tables;
mod wills;

use super::*;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{DeviceId, PermissionId};
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::topic::Filter;
use bytes::Bytes;
pub(super) use model::{steps, walk};
pub(super) use outbox::*;
pub(super) use reads::*;
pub(super) use space::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
pub(super) use tables::*;
pub(super) use wills::*;

pub(super) const USER: UserId = UserId::from_bytes([1; 16]);
pub(super) const EXPIRY: Duration = Duration::from_secs(1_000);

/// The time that a trial's mailbox is told.
pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A kind of mailbox with a place of its own for each trial.
pub(super) trait Engine: Sized {
    type Mailbox: Mailbox;

    /// A new, empty place.
    fn new() -> Self;

    /// Opens what is there; the one opened before is closed.
    async fn open(
        &self,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> Self::Mailbox;

    /// Removes all that is over.
    async fn prune(mailbox: &Self::Mailbox);
}

/// A mailbox under trial, its clock and all that it told its listener.
pub(super) struct Trial<E: Engine> {
    pub(super) engine: E,
    now: Arc<AtomicU64>,
    limits: MailboxLimits,
    mailbox: Option<E::Mailbox>,
    commits: Arc<Mutex<Vec<Commit>>>,
    ids: u64,
}

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

fn permission(number: u8) -> PermissionId {
    PermissionId::from_bytes([number; 16])
}

fn at_least_once(no_local: bool) -> SubscriptionOptions {
    SubscriptionOptions {
        at_least_once: true,
        no_local,
        retain_as_published: false,
        identifier: None,
    }
}

impl<E: Engine> Trial<E> {
    pub(super) async fn new(limits: MailboxLimits) -> Self {
        let mut trial = Self {
            engine: E::new(),
            now: Arc::new(AtomicU64::new(1_000_000)),
            limits,
            mailbox: None,
            commits: Arc::default(),
            ids: 0,
        };
        trial.reopen().await;
        trial
    }

    pub(super) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)))
    }

    async fn reopen(&mut self) {
        self.mailbox = None;
        let commits = Arc::clone(&self.commits);
        let listener = Box::new(move |new| commits.lock().unwrap().extend(new));
        let opening = self
            .engine
            .open(self.limits.clone(), self.clock(), listener);
        self.mailbox = Some(opening.await);
    }

    /// What the listener was told since this was last asked.
    async fn told(&self) -> Vec<Commit> {
        // An answer may come before the listener is told; the next one does not.
        let (user, blocked) = (USER, false);
        self.ask(Command::BlockUser { user, blocked })
            .await
            .unwrap();
        std::mem::take(&mut *self.commits.lock().unwrap())
    }

    pub(super) async fn prune(&self) {
        E::prune(self.mailbox()).await;
    }

    /// With permissions 1 to 3, and device 1 subscribed to all notifications.
    pub(super) async fn with_device() -> Self {
        let mut trial = Self::new(MailboxLimits::default()).await;
        trial.permit().await;
        trial.connect(1, &Filter::Notifications).await;
        trial
    }

    pub(super) async fn permit(&mut self) {
        for number in 1..=3 {
            self.set_permission(number).await.unwrap();
        }
    }

    async fn set_permission(&self, number: u8) -> Result<Outcome, Refusal> {
        self.ask(Command::SetPermission {
            user: USER,
            permission: permission(number),
            site: "https://example.com".parse().unwrap(),
            muted: false,
            receipts: false,
            endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
        })
        .await
    }

    pub(super) fn mailbox(&self) -> &E::Mailbox {
        self.mailbox.as_ref().unwrap()
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub(super) async fn ask(&self, command: Command) -> Result<Outcome, Refusal> {
        self.mailbox().apply(vec![command]).await.remove(0)
    }

    async fn open_session(&self, number: u8, clean: bool) {
        let command = Command::OpenSession {
            user: USER,
            device: device(number),
            clean,
            expiry: EXPIRY,
            will: None,
        };
        self.ask(command).await.unwrap();
    }

    async fn subscribe(&self, number: u8, filter: &Filter) -> Result<Outcome, Refusal> {
        self.ask(Command::Subscribe {
            user: USER,
            device: device(number),
            filters: vec![(filter.clone(), at_least_once(false))],
        })
        .await
    }

    async fn connect(&self, number: u8, filter: &Filter) {
        self.open_session(number, false).await;
        self.subscribe(number, filter).await.unwrap();
    }

    pub(super) fn accept(
        &mut self,
        number: u8,
        collapse: Option<&str>,
        ttl: Duration,
        body: usize,
    ) -> Accept {
        self.ids += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.ids.to_be_bytes());
        let sent = Timestamp::from_millis(self.now());
        Accept {
            user: USER,
            envelope: Envelope {
                id: NotificationId::from_bytes(id),
                permission: permission(number),
                site: "https://example.com".parse().unwrap(),
                sent,
                expires: sent.plus(ttl),
                urgency: Urgency::Normal,
                collapse: collapse.map(|key| key.parse().unwrap()),
                encoding: ContentEncoding::Aes128gcm,
                body: Bytes::from(vec![7; body]),
            },
            idempotency: None,
            receipts: None,
        }
    }

    async fn post(&mut self, number: u8, collapse: Option<&str>) -> Accepted {
        let accept = self.accept(number, collapse, Duration::from_secs(3_600), 10);
        self.send(accept).await.unwrap()
    }

    pub(super) async fn send(&self, accept: Accept) -> Result<Accepted, Refusal> {
        match self.ask(Command::Accept(Box::new(accept))).await? {
            Outcome::Accepted(accepted) => Ok(accepted),
            other => panic!("not an answer to an accept: {other:?}"),
        }
    }

    async fn settle(&self, number: u8, seqs: &[u64]) -> Result<Outcome, Refusal> {
        self.ask(Command::Settle {
            user: USER,
            device: device(number),
            seqs: seqs.iter().copied().map(Seq).collect(),
        })
        .await
    }

    /// What a stored session is owed; `None` where it does not exist.
    async fn owed(&self, number: u8) -> Option<Vec<u64>> {
        let command = Command::Subscribe {
            user: USER,
            device: device(number),
            filters: Vec::new(),
        };
        let view = match self.ask(command).await {
            Ok(Outcome::Session { row, .. }) => View::from(&row),
            Err(Refusal::UnknownSession) => return None,
            other => panic!("not an answer about a session: {other:?}"),
        };
        let mut seqs = Vec::new();
        let mut after = Seq(0);
        loop {
            let page = self.mailbox().owed(USER, view.clone(), after, 2).await;
            let page = page.unwrap();
            seqs.extend(page.entries.iter().map(|entry| entry.meta.seq.0));
            after = page.considered;
            if page.considered == page.head {
                return Some(seqs);
            }
        }
    }

    pub(super) async fn history(&self) -> Vec<u64> {
        let range = HistoryRange::After(Seq(0));
        let entries = self.mailbox().history(USER, range, 10_000).await.unwrap();
        entries.iter().map(|entry| entry.meta.seq.0).collect()
    }
}

/// Makes a test of each promise for an engine.
macro_rules! holds_for {
    ($engine:ty) => {
        $crate::mailbox::conformance::holds_for! { $engine:
            settling_out_of_order_leaves_holes
            the_newer_replaces_the_older_of_its_collapse_key
            a_repeat_has_the_first_answer
            revoking_takes_all_of_it_and_stays
            a_revoked_permission_has_no_filter_again
            what_expired_or_was_taken_back_is_owed_to_nobody
            a_permission_holds_a_quarter_at_most
            what_is_owed_to_nobody_takes_no_room_from_what_is
            a_connected_session_outlives_what_memory_forgets
            what_a_forgotten_session_was_owed_is_history
            no_local_is_not_owed_the_publishers_own
            a_filter_lowered_to_at_most_once_leaves_nothing_owed
            delivered_is_settled_by_a_first_device
            an_acknowledgement_over_http_is_told_of
            a_command_may_name_many_and_each_counts_once
            the_end_of_an_older_connection_is_not_that_of_a_newer_one
            nothing_of_an_erased_user_comes_back
            what_follows_a_revocation_in_its_batch_is_refused
            a_full_private_space_refuses_or_drops_its_oldest
            what_may_not_wait_is_judged_but_never_stored
            history_is_kept_for_its_time
            a_session_outlives_its_connection_as_long_as_allowed
            a_full_mailbox_gives_up_the_oldest_and_says_so
            bytes_count_as_entries_do
            private_messages_take_no_room_from_history
            retained_messages_are_kept_replaced_and_removed
            a_packet_sent_twice_is_stored_once
            a_remembered_answer_is_found_without_posting
            entries_are_read_by_place_by_id_and_by_page
            what_is_owed_to_some_device_is_counted_by_user
            a_block_refuses_until_it_is_lifted
            a_muted_permission_is_kept_and_never_urgent
            retained_messages_make_room_where_nobody_can_be_told
            a_will_waits_for_its_delay_and_comes_once
            the_wills_of_lost_connections_come_after_a_restart
            a_will_is_forgotten_in_order_or_by_who_goes_on
            a_will_does_not_outlive_its_session
            a_will_is_stored_and_retained_as_any_message
            what_a_device_said_of_itself_stays_with_its_session
            a_receipt_says_when_a_first_device_has_it_and_once
            what_the_site_ends_is_given_up_at_once_and_all_else_at_its_expiry
            a_receipt_is_heeded_where_it_is_allowed_and_never_after
            as_many_outcomes_wait_as_notifications_may
            a_receipt_subscription_ends_with_what_it_holds
            a_site_is_told_while_its_log_is_open
            an_erased_user_is_told_of_as_revoked
            a_log_keeps_its_newest_rows_for_their_time
            a_log_that_is_opened_again_gives_no_place_twice
        }

        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig {
                cases: 96,
                failure_persistence: None,
                ..Default::default()
            })]

            #[test]
            fn every_session_is_owed_what_the_model_says(
                steps in $crate::mailbox::conformance::steps()
            ) {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on($crate::mailbox::conformance::walk::<$engine>(steps));
            }
        }
    };
    ($engine:ty: $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::mailbox::conformance::$promise::<$engine>().await;
            }
        )*
    };
}
pub(super) use holds_for;
