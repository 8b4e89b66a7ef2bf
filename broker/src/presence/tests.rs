use super::*;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId};
use belfry_protocol::topic::PrivateTopic;
use belfry_store::mailbox::Seq;
use bytes::Bytes;

/// Seconds after it was sent.
fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000).plus(Duration::from_secs(secs))
}

/// Sent at 0 with a TTL of 1,000 seconds.
fn entry(urgency: Urgency, muted: bool) -> EntryMeta {
    EntryMeta {
        seq: Seq(1),
        content: Content::Notification {
            id: NotificationId::from_bytes([1; 16]),
            permission: PermissionId::from_bytes([2; 16]),
            urgency,
            muted,
        },
        sent: at(0),
        expires: at(1_000),
        seen: false,
    }
}

fn alone(own: Presence) -> Situation {
    Situation {
        own,
        any_active: own == Presence::Active,
        away_grace: Duration::from_secs(30),
        urgency_min: Urgency::VeryLow,
    }
}

fn beside_an_active_one(own: Presence) -> Situation {
    Situation {
        any_active: true,
        ..alone(own)
    }
}

const EVERY_URGENCY: [Urgency; 4] = [
    Urgency::VeryLow,
    Urgency::Low,
    Urgency::Normal,
    Urgency::High,
];

fn check(meta: &EntryMeta, situation: Situation, secs: u64, until: Option<u64>) {
    let expected = until.map_or(Release::Send, |until| Release::HoldUntil(at(until)));
    let decided = release(meta.into(), situation, at(secs));
    assert_eq!(decided, expected, "{meta:?} {situation:?} after {secs} s");
}

#[test]
fn an_active_device_has_everything_at_once() {
    for urgency in EVERY_URGENCY {
        for muted in [false, true] {
            for situation in [alone, beside_an_active_one] {
                check(&entry(urgency, muted), situation(Presence::Active), 0, None);
            }
        }
    }
}

#[test]
fn an_away_device_waits_as_the_urgency_says() {
    for (urgency, situation, secs, until) in [
        (Urgency::High, alone(Presence::Away), 0, None),
        (Urgency::High, beside_an_active_one(Presence::Away), 0, None),
        // Nobody has it to themselves where nobody is there.
        (Urgency::Normal, alone(Presence::Away), 0, None),
        (
            Urgency::Normal,
            beside_an_active_one(Presence::Away),
            0,
            Some(30),
        ),
        (
            Urgency::Normal,
            beside_an_active_one(Presence::Away),
            29,
            Some(30),
        ),
        (
            Urgency::Normal,
            beside_an_active_one(Presence::Away),
            30,
            None,
        ),
        (
            Urgency::Normal,
            beside_an_active_one(Presence::Away),
            999,
            None,
        ),
        (Urgency::Low, alone(Presence::Away), 0, Some(500)),
        (
            Urgency::Low,
            beside_an_active_one(Presence::Away),
            31,
            Some(500),
        ),
        (
            Urgency::Low,
            beside_an_active_one(Presence::Away),
            499,
            Some(500),
        ),
        (Urgency::Low, alone(Presence::Away), 500, None),
        (Urgency::VeryLow, alone(Presence::Away), 0, Some(500)),
        (
            Urgency::VeryLow,
            beside_an_active_one(Presence::Away),
            0,
            Some(500),
        ),
        (
            Urgency::VeryLow,
            beside_an_active_one(Presence::Away),
            500,
            None,
        ),
    ] {
        check(&entry(urgency, false), situation, secs, until);
    }
}

#[test]
fn what_is_muted_waits_as_very_low() {
    for urgency in EVERY_URGENCY {
        check(&entry(urgency, true), alone(Presence::Away), 0, Some(500));
        let beside = beside_an_active_one(Presence::Away);
        check(&entry(urgency, true), beside, 499, Some(500));
        check(&entry(urgency, true), beside, 500, None);
    }
}

#[test]
fn the_grace_is_the_users() {
    for (secs, until) in [(0, None), (1, Some(1)), (3_600, Some(3_600))] {
        let situation = Situation {
            away_grace: Duration::from_secs(secs),
            ..beside_an_active_one(Presence::Away)
        };
        check(&entry(Urgency::Normal, false), situation, 0, until);
        check(&entry(Urgency::Low, false), situation, 0, Some(500));
    }
}

#[test]
fn the_private_space_is_never_held() {
    let topic = PrivateTopic::new("notes").expect("a topic");
    let meta = EntryMeta {
        content: Content::Private {
            topic,
            properties: Bytes::new(),
            retain: false,
            publisher: DeviceId::from_bytes([3; 16]),
        },
        ..entry(Urgency::Low, true)
    };
    for situation in [alone, beside_an_active_one] {
        check(&meta, situation(Presence::Away), 0, None);
    }
}

#[test]
fn what_is_below_the_devices_minimum_waits_whoever_is_there() {
    for urgency_min in EVERY_URGENCY {
        for urgency in EVERY_URGENCY {
            let meta = entry(urgency, false);
            for situation in [
                alone(Presence::Active),
                beside_an_active_one(Presence::Away),
            ] {
                let taking = |urgency_min| Situation {
                    urgency_min,
                    ..situation
                };
                let decided =
                    |urgency_min, secs| release((&meta).into(), taking(urgency_min), at(secs));
                for secs in [0, 999] {
                    let expected = match urgency < urgency_min {
                        true => Release::Hold,
                        false => decided(Urgency::VeryLow, secs),
                    };
                    assert_eq!(decided(urgency_min, secs), expected, "{meta:?} {secs}");
                }
            }
        }
    }
    // What is muted is very-low, and what has no urgency is never held.
    let low = Situation {
        urgency_min: Urgency::Low,
        ..alone(Presence::Active)
    };
    let muted = entry(Urgency::High, true);
    assert_eq!(release((&muted).into(), low, at(0)), Release::Hold);
    let private = Parcel {
        urgency: None,
        ..(&muted).into()
    };
    assert_eq!(release(private, low, at(0)), Release::Send);
}
