use super::*;
use crate::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_store::mailbox::{Content, SubscriptionOptions};
use bytes::Bytes;
use std::time::Duration;

const HERE: Situation = Situation {
    own: Presence::Active,
    any_active: true,
    away_grace: Duration::ZERO,
    urgency_min: Urgency::VeryLow,
};
const AWAY: Situation = Situation {
    own: Presence::Away,
    any_active: false,
    away_grace: Duration::ZERO,
    urgency_min: Urgency::VeryLow,
};
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn permission() -> PermissionId {
    PermissionId::from_bytes([4; 16])
}

fn meta(seq: u64) -> EntryMeta {
    EntryMeta {
        seq: Seq(seq),
        content: Content::Notification {
            id: belfry_protocol::id::NotificationId::from_bytes([9; 16]),
            permission: permission(),
            urgency: Urgency::Normal,
            muted: false,
        },
        sent: NOW,
        expires: Timestamp::NEVER,
        seen: false,
    }
}

fn filter(filter: Filter, at_least_once: bool) -> SubscribedFilter {
    SubscribedFilter {
        filter,
        options: SubscriptionOptions {
            at_least_once,
            no_local: false,
            retain_as_published: false,
            identifier: None,
        },
        start: Seq(0),
    }
}

fn delivery(rule: ReleaseRule) -> Delivery {
    let view = View {
        filters: vec![filter(Filter::Notifications, true)],
        acked: Seq(0),
        holes: Vec::new(),
    };
    Delivery::attach(view, Seq(0), rule)
}

fn hold_while_away(_: Parcel, situation: Situation, now: Timestamp) -> Release {
    match situation.own {
        Presence::Active => Release::Send,
        Presence::Away => Release::HoldUntil(now.plus(Duration::from_secs(30))),
    }
}

fn live(topic: Topic, publisher: Option<DeviceId>) -> Live {
    Live {
        topic,
        properties: Bytes::new(),
        payload: Bytes::new(),
        publisher,
        retain: false,
        at_least_once: false,
        urgency: None,
        expires: None,
    }
}

#[test]
fn what_is_settled_here_or_there_is_settled() {
    let seqs = |seqs: &[u64]| seqs.iter().copied().map(Seq).collect::<Vec<_>>();
    let check = |own: (u64, &[u64]), theirs: (u64, &[u64]), expected: (u64, &[u64])| {
        let mut delivery = delivery(|_, _, _| Release::Send);
        delivery.view.acked = Seq(own.0);
        delivery.view.holes = seqs(own.1);
        delivery.adopt(&Settled {
            acked: Seq(theirs.0),
            holes: seqs(theirs.1),
        });
        let view = delivery.view();
        assert_eq!(
            (view.acked, view.holes.clone()),
            (Seq(expected.0), seqs(expected.1)),
            "{own:?} and {theirs:?}"
        );
    };
    check((0, &[]), (0, &[]), (0, &[]));
    // The mailbox has not heard of 5 yet, and nothing of 2 came here.
    check((5, &[2, 3]), (4, &[3]), (5, &[3]));
    // What was not read here yet is still owed.
    check((2, &[]), (9, &[3, 7]), (9, &[3, 7]));
    check((9, &[4]), (2, &[1]), (9, &[4]));
    check((9, &[]), (9, &[4]), (9, &[]));
}

fn none(_: Seq) -> bool {
    false
}

#[test]
fn the_next_hint_is_taken_a_later_one_sends_to_the_mailbox_and_an_earlier_one_is_old() {
    let mut delivery = delivery(crate::presence::release);
    assert!(delivery.is_live());
    assert_eq!(
        delivery.hint(&meta(1), false, none, HERE, NOW),
        Verdict::Send
    );
    assert_eq!(
        delivery.hint(&meta(1), false, none, HERE, NOW),
        Verdict::PassOver
    );
    assert_eq!(
        delivery.hint(&meta(3), false, none, HERE, NOW),
        Verdict::Behind
    );
    assert!(!delivery.is_live());
    // The one between was lost, so nothing may overtake it.
    assert_eq!(
        delivery.hint(&meta(2), false, none, HERE, NOW),
        Verdict::Behind
    );
    assert_eq!(delivery.position(), Seq(1));
    assert_eq!(
        delivery.read(&meta(2), false, none, HERE, NOW),
        Verdict::Send
    );
    assert_eq!(
        delivery.read(&meta(3), false, none, HERE, NOW),
        Verdict::Send
    );
    delivery.page_read(Seq(0), Seq(3), Seq(3));
    assert!(delivery.is_live());
    assert_eq!(
        delivery.hint(&meta(4), false, none, HERE, NOW),
        Verdict::Send
    );
}

#[test]
fn the_mailbox_says_where_the_log_ends() {
    let mut delivery = delivery(crate::presence::release);
    delivery.reached(Seq(9));
    // A part of it, with more behind; then nothing more of it; then the rest.
    assert!(delivery.page_read(Seq(3), Seq(4), Seq(8)));
    assert!(!delivery.page_read(Seq(4), Seq(4), Seq(8)));
    // All of a page may have been settled before it was read.
    assert!(delivery.page_read(Seq(3), Seq(4), Seq(8)));
    assert!(!delivery.is_live());
    assert!(delivery.page_read(Seq(4), Seq(8), Seq(8)));
    assert!(delivery.is_live(), "whatever else was heard of");
    // The user was erased.
    delivery.reached(Seq(9));
    assert!(delivery.page_read(Seq(8), Seq(0), Seq(0)));
    assert!(delivery.is_live());
    assert_eq!(delivery.position(), Seq(8));
}

#[test]
fn what_is_not_owed_is_passed_over_and_counts_as_considered() {
    let mut delivery = delivery(crate::presence::release);
    let mut expired = meta(1);
    expired.expires = NOW;
    assert_eq!(
        delivery.hint(&expired, false, none, HERE, NOW),
        Verdict::PassOver
    );
    let mut seen = meta(2);
    seen.seen = true;
    assert_eq!(
        delivery.hint(&seen, false, none, HERE, NOW),
        Verdict::PassOver
    );
    delivery.forget(permission());
    assert_eq!(
        delivery.hint(&meta(3), false, none, HERE, NOW),
        Verdict::Send
    );
    assert!(delivery.is_live());
}

#[test]
fn a_revoked_permission_takes_its_exact_filter_away() {
    let mut delivery = delivery(crate::presence::release);
    let exact = filter(Filter::Notification(permission()), true);
    delivery.set_filters(vec![exact], Seq(0));
    assert_eq!(
        delivery.hint(&meta(1), false, none, HERE, NOW),
        Verdict::Send
    );
    delivery.forget(permission());
    assert_eq!(
        delivery.hint(&meta(2), false, none, HERE, NOW),
        Verdict::PassOver
    );
}

#[test]
fn it_attaches_below_the_first_hole() {
    let view = View {
        filters: vec![filter(Filter::Notifications, true)],
        acked: Seq(10),
        holes: vec![Seq(4), Seq(8)],
    };
    let mut delivery = Delivery::attach(view, Seq(12), crate::presence::release);
    assert_eq!(delivery.position(), Seq(3));
    let sent = |seq: Seq| seq == Seq(8);
    assert_eq!(
        delivery.read(&meta(4), false, sent, HERE, NOW),
        Verdict::Send
    );
    assert_eq!(
        delivery.read(&meta(6), false, sent, HERE, NOW),
        Verdict::PassOver
    );
    assert_eq!(
        delivery.read(&meta(8), false, sent, HERE, NOW),
        Verdict::Wait
    );
    assert_eq!(
        delivery.read(&meta(11), false, sent, HERE, NOW),
        Verdict::Send
    );
}

#[test]
fn settling_out_of_order_leaves_holes_that_later_ones_fill() {
    let mut delivery = delivery(crate::presence::release);
    let in_flight = |seqs: &'static [u64]| seqs.iter().copied().map(Seq);
    delivery.page_read(Seq(0), Seq(5), Seq(5));
    delivery.settle(Seq(3), in_flight(&[1, 2, 5]));
    assert_eq!(delivery.view().acked, Seq(3));
    assert_eq!(delivery.view().holes, [Seq(1), Seq(2)]);
    delivery.settle(Seq(1), in_flight(&[2, 5]));
    assert_eq!(delivery.view().holes, [Seq(2)]);
    delivery.settle(Seq(5), in_flight(&[2]));
    assert_eq!(delivery.view().holes, [Seq(2)]);
    delivery.settle(Seq(2), in_flight(&[]));
    assert_eq!(delivery.view().holes, []);
    assert_eq!(delivery.view().acked, Seq(5));
}

#[test]
fn what_is_settled_before_it_is_read_settles_nothing_else() {
    let mut delivery = delivery(hold_while_away);
    delivery.reached(Seq(4));
    // On their way since an earlier connection, and acknowledged as 2 waited for the window.
    delivery.settle(Seq(3), std::iter::once(Seq(1)));
    delivery.settle(Seq(1), std::iter::empty());
    assert!(delivery.has_settled(Seq(1)) && delivery.has_settled(Seq(3)));
    assert_eq!(delivery.view().acked, Seq(0));
    let verdicts = (1..=4).map(|seq| delivery.read(&meta(seq), false, none, AWAY, NOW));
    let expected = [
        Verdict::PassOver,
        Verdict::Wait,
        Verdict::PassOver,
        Verdict::Wait,
    ];
    assert_eq!(Vec::from_iter(verdicts), expected);
    assert_eq!(delivery.reconsider(&meta(4), HERE, NOW), Verdict::Send);
    delivery.settle(Seq(4), std::iter::empty());
    assert_eq!(
        (delivery.view().acked, &*delivery.view().holes),
        (Seq(4), &[Seq(2)][..])
    );
    assert!(delivery.ahead.is_none(), "the view has it all");
}

#[test]
fn a_held_entry_is_skipped_and_goes_out_on_release_with_its_own_seq() {
    let mut delivery = delivery(hold_while_away);
    assert_eq!(
        delivery.hint(&meta(1), false, none, AWAY, NOW),
        Verdict::Wait
    );
    assert_eq!(
        delivery.hint(&meta(2), false, none, HERE, NOW),
        Verdict::Send
    );
    delivery.settle(Seq(2), std::iter::empty());
    assert_eq!(delivery.view().holes, [Seq(1)]);

    let due_at = delivery.next_due().expect("one is held");
    assert_eq!(due_at, NOW.plus(Duration::from_secs(30)));
    assert_eq!(delivery.due(NOW, None, 10), []);
    assert_eq!(delivery.due(due_at, None, 10), [Seq(1)]);
    // Somebody came back before that.
    assert_eq!(delivery.due(NOW, Some(Seq(0)), 10), [Seq(1)]);
    assert_eq!(delivery.due(NOW, Some(Seq(1)), 10), []);

    assert_eq!(delivery.reconsider(&meta(1), AWAY, NOW), Verdict::Wait);
    assert_eq!(delivery.reconsider(&meta(1), HERE, NOW), Verdict::Send);
    assert_eq!(delivery.next_due(), None);
    delivery.settle(Seq(1), std::iter::empty());
    assert_eq!(delivery.view().holes, []);
}

#[test]
fn what_is_below_the_minimum_is_never_due_and_goes_out_when_that_is_lowered() {
    let picky = Situation {
        urgency_min: Urgency::High,
        ..HERE
    };
    let mut delivery = delivery(crate::presence::release);
    // More than the away rule may hold: none goes out early for that.
    let many = HELD_MAX as u64 + 10;
    for seq in 1..=many {
        let verdict = delivery.hint(&meta(seq), false, none, picky, NOW);
        assert_eq!(verdict, Verdict::Wait, "{seq}");
    }
    let expiry = meta(1).expires;
    assert_eq!(delivery.next_due(), Some(expiry), "to be forgotten");
    let before = Timestamp::from_millis(expiry.as_millis() - 1);
    assert_eq!(delivery.due(before, None, 10), []);
    assert_eq!(delivery.due(expiry, None, 1), [Seq(1)]);
    assert_eq!(delivery.due(NOW, Some(Seq(0)), 2), [Seq(1), Seq(2)]);
    assert_eq!(delivery.reconsider(&meta(1), picky, NOW), Verdict::Wait);
    assert_eq!(delivery.reconsider(&meta(1), HERE, NOW), Verdict::Send);
    // Those that are gone do not gather: they are looked at whenever they have doubled.
    assert!(delivery.is_crowded());
    delivery.reviewed();
    assert!(!delivery.is_crowded());
    for seq in many + 1..=3 * many {
        delivery.hint(&meta(seq), false, none, picky, NOW);
    }
    assert!(delivery.is_crowded());
    (2..=3 * many).for_each(|seq| delivery.gone(Seq(seq)));
    delivery.reviewed();
    let many = 3 * many;
    // And what goes by once goes by.
    delivery.set_filters(vec![filter(Filter::Everything, false)], Seq(0));
    let verdict = delivery.hint(&meta(many + 1), false, none, picky, NOW);
    assert_eq!(verdict, Verdict::PassOver);
}

#[test]
fn a_held_entry_that_was_withdrawn_is_forgotten() {
    let mut delivery = delivery(hold_while_away);
    delivery.hint(&meta(1), false, none, AWAY, NOW);
    delivery.hint(&meta(2), false, none, HERE, NOW);
    delivery.settle(Seq(2), std::iter::empty());
    delivery.gone(Seq(1));
    assert_eq!(delivery.next_due(), None);
    assert_eq!(delivery.view().holes, []);
}

#[test]
fn the_first_filters_start_at_the_head() {
    let view = View::default();
    let mut delivery = Delivery::attach(view, Seq(5), crate::presence::release);
    let mut notifications = filter(Filter::Notifications, true);
    notifications.start = Seq(9);
    delivery.set_filters(vec![notifications], Seq(9));
    assert!(delivery.is_live());
    assert_eq!(
        delivery.hint(&meta(9), false, none, HERE, NOW),
        Verdict::PassOver
    );
    assert_eq!(
        delivery.hint(&meta(10), false, none, HERE, NOW),
        Verdict::Send
    );
}

#[test]
fn qos_0_filters_get_what_passes_by_once() {
    let mut delivery = delivery(hold_while_away);
    delivery.set_filters(vec![filter(Filter::Everything, false)], Seq(0));
    assert_eq!(
        delivery.hint(&meta(1), false, none, HERE, NOW),
        Verdict::SendOnce
    );
    assert_eq!(
        delivery.hint(&meta(2), false, none, AWAY, NOW),
        Verdict::PassOver
    );
    assert_eq!(delivery.next_due(), None);
}

#[test]
fn a_device_does_not_get_its_own_where_it_said_so() {
    let own = DeviceId::from_bytes([1; 16]);
    let topic = belfry_protocol::topic::PrivateTopic::new("a").expect("valid");
    let mut delivery = delivery(crate::presence::release);
    let mut quiet = filter(Filter::Private("#".into()), true);
    quiet.options.no_local = true;
    delivery.set_filters(vec![quiet.clone()], Seq(0));
    let mut entry = meta(1);
    entry.content = Content::Private {
        topic: topic.clone(),
        properties: Bytes::new(),
        retain: false,
        publisher: own,
    };
    assert_eq!(
        delivery.hint(&entry, true, none, HERE, NOW),
        Verdict::Settle
    );
    entry.seq = Seq(2);
    assert_eq!(delivery.hint(&entry, false, none, HERE, NOW), Verdict::Send);
    let message = live(Topic::Private(topic.clone()), Some(own));
    assert_eq!(delivery.live(&message, own, HERE, NOW), Verdict::PassOver);
    let other = live(Topic::Private(topic), None);
    assert_eq!(delivery.live(&other, own, HERE, NOW), Verdict::SendOnce);
    delivery.set_filters(
        vec![quiet.clone(), filter(Filter::Everything, true)],
        Seq(0),
    );
    entry.seq = Seq(3);
    assert_eq!(delivery.hint(&entry, true, none, HERE, NOW), Verdict::Send);
    delivery.reached(Seq(5));
    entry.seq = Seq(4);
    assert_eq!(delivery.read(&entry, true, none, HERE, NOW), Verdict::Send);
    // A filter that is younger than the entry does not ask for it.
    let mut younger = filter(Filter::Everything, true);
    younger.start = Seq(5);
    delivery.set_filters(vec![quiet, younger], Seq(0));
    entry.seq = Seq(5);
    let read = delivery.read(&entry, true, none, HERE, NOW);
    assert_eq!(read, Verdict::Settle);
}

#[test]
fn what_is_never_stored_is_not_held_but_missed() {
    let own = DeviceId::from_bytes([1; 16]);
    let delivery = delivery(hold_while_away);
    let message = live(Topic::Notification(permission()), None);
    assert_eq!(delivery.live(&message, own, HERE, NOW), Verdict::SendOnce);
    assert_eq!(delivery.live(&message, own, AWAY, NOW), Verdict::PassOver);
    let event = live(Topic::Events, None);
    assert_eq!(delivery.live(&event, own, HERE, NOW), Verdict::PassOver);
}
