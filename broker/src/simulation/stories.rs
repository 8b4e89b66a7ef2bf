//! What the simulator found, told once more in order: each was a seed before it was a story.
//!
//! The judge watches these worlds as it does all others, so a story only has to go where it went wrong.

use super::acts::{Connecting, Profile};
use super::bus::BusFaults;
use super::chance::Chance;
use super::contract::Violation;
use super::device::Acknowledging;
use super::time::millis;
use super::world::{Trace, World};
use super::{USER, permission_id, simulated};
use crate::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_store::mailbox::Command;

const PERSISTENT: Connecting = Connecting {
    version: 5,
    clean: false,
    expiry_secs: 3_600,
    receive_maximum: None,
};

/// Goes through a story in a calm world of two devices, and then lets everything heal.
fn holds(profile: Profile, story: impl AsyncFnOnce(&mut World) -> Result<(), Violation>) {
    let (lived, last) = simulated(async {
        let mut world = World::with(Chance::new(1), profile, Trace::new(true, false));
        let lived = async {
            world.start()?;
            world.permit_one(permission_id(1), false);
            story(&mut world).await?;
            world.heal().await
        };
        let lived = lived.await;
        (lived, world.trace.lines)
    });
    if let Err(wrong) = lived {
        let last: Vec<String> = last.into_iter().collect();
        panic!("{}\n{wrong}", last.join("\n"));
    }
}

impl World {
    async fn connected(&mut self, device: usize, connecting: Connecting) -> Result<(), Violation> {
        self.connect(device, &connecting);
        self.pass(200).await
    }

    async fn subscribed(&mut self, device: usize, filter: &str) -> Result<(), Violation> {
        self.subscribe_to(device, vec![(filter.to_owned(), true, false)]);
        self.pass(200).await
    }

    async fn posted(&mut self, urgency: Urgency) -> Result<(), Violation> {
        self.post_one(permission_id(1), urgency, 86_400, None, 10);
        self.pass(200).await
    }

    async fn said(&mut self, device: usize, presence: Presence) -> Result<(), Violation> {
        self.say(device, presence);
        self.pass(200).await
    }

    async fn gone(&mut self, device: usize) -> Result<(), Violation> {
        if let Some(connection) = self.devices[device].current() {
            connection.say_goodbye(None);
        }
        self.pass(200).await
    }

    fn fail_disk(&mut self, lasts: u64) {
        self.disk_fails_until = millis() + lasts;
    }
}

#[test]
fn acknowledgements_that_could_not_be_written_at_the_end_are_before_the_next_beginning() {
    holds(Profile::calm(), async |world| {
        world.connected(0, PERSISTENT).await?;
        world.subscribed(0, "n/#").await?;
        world.fail_disk(0);
        world.posted(Urgency::High).await?;
        world.pass(1_000).await?;
        world.post_one(permission_id(1), Urgency::High, 86_400, None, 10);
        world.pass(20).await?;
        // It is acknowledged by now, and not yet written.
        world.fail_disk(2_000);
        world.keep_alive();
        world.pass(10).await?;
        world.gone(0).await?;
        world.pass(3_000).await
    });
}

#[test]
fn acknowledgements_that_could_not_be_written_do_not_wait_until_after_the_next_beginning() {
    holds(Profile::calm(), async |world| {
        world.connected(0, PERSISTENT).await?;
        world.subscribed(0, "n/#").await?;
        world.posted(Urgency::High).await?;
        world.pass(1_000).await?;
        // One is on its way and another acknowledged, though not durably, as the connection ends.
        world.devices[0].connections[0].acknowledging = Acknowledging::Never;
        world.post_one(permission_id(1), Urgency::High, 86_400, None, 10);
        world.pass(20).await?;
        world.fail_disk(10_000);
        world.devices[0].connections[0].acknowledge_all(millis());
        world.pass(10).await?;
        world.keep_alive();
        world.gone(0).await?;
        world.fail_disk(0);
        world.pass(1).await?;
        world.connected(0, PERSISTENT).await
    });
}

#[test]
fn a_filter_that_could_not_be_taken_away_is_not_said_to_be_gone() {
    holds(Profile::calm(), async |world| {
        let connecting = Connecting {
            version: 4,
            ..PERSISTENT
        };
        world.connected(0, connecting).await?;
        world.subscribed(0, "n/#").await?;
        world.fail_disk(1_000);
        world.unsubscribe_from(0, "n/#");
        world.pass(2_000).await
    });
}

#[test]
fn a_connection_that_was_not_waited_for_does_not_end_the_session_of_the_next() {
    holds(Profile::calm(), async |world| {
        let short = Connecting {
            expiry_secs: 60,
            ..PERSISTENT
        };
        world.connected(0, short).await?;
        world.subscribed(0, "n/#").await?;
        // The mailbox takes longer than a takeover waits.
        world.hold_writes(9_000);
        world.publish_to(0, "x/d", 1, false, 0);
        world.pass(1).await?;
        world.connect(0, &PERSISTENT);
        world.pass(20_000).await?;
        world.pass(120_000).await?;
        world.posted(Urgency::High).await
    });
}

#[test]
fn what_was_acknowledged_over_http_is_not_released_though_its_hint_was_lost() {
    holds(Profile::calm(), async |world| {
        for device in 0..2 {
            world.connected(device, PERSISTENT).await?;
            world.subscribed(device, "n/#").await?;
        }
        world.said(0, Presence::Away).await?;
        world.said(1, Presence::Active).await?;
        world.posted(Urgency::Low).await?;
        world.profile.bus = BusFaults {
            delay_max: 0,
            loss_percent: 100,
        };
        world.pass(10).await?;
        let id = world.notification(1);
        let device = world.devices[0].id;
        world.ask(vec![Command::Acknowledge {
            user: USER,
            device,
            ids: vec![id],
        }]);
        world.pass(200).await?;
        world.profile.bus = BusFaults::default();
        // The next one tells of the gap.
        world.pass(10).await?;
        for _ in 0..8 {
            world.posted(Urgency::High).await?;
        }
        world.pass(2_000).await?;
        world.said(0, Presence::Active).await
    });
}

#[test]
fn a_message_that_is_read_behind_does_not_go_back_to_a_publisher_with_no_local() {
    holds(Profile::calm(), async |world| {
        for device in 0..2 {
            world.connected(device, PERSISTENT).await?;
        }
        world.subscribe_to(0, vec![("x/#".to_owned(), true, true)]);
        world.subscribed(1, "x/#").await?;
        world.profile.bus = BusFaults {
            delay_max: 0,
            loss_percent: 100,
        };
        world.pass(10).await?;
        world.publish_to(0, "x/d", 1, false, 0);
        world.pass(200).await?;
        world.profile.bus = BusFaults::default();
        world.pass(60_000).await
    });
}

#[test]
fn a_filter_made_again_without_no_local_does_not_bring_back_what_was_published_before() {
    let profile = Profile {
        window: 1,
        ..Profile::calm()
    };
    holds(profile, async |world| {
        for device in 0..2 {
            world.connected(device, PERSISTENT).await?;
        }
        world.subscribe_to(
            0,
            vec![
                ("n/#".to_owned(), true, false),
                ("x/#".to_owned(), true, true),
            ],
        );
        world.subscribed(1, "x/#").await?;
        // It is behind, since its window is full.
        world.devices[0].connections[0].acknowledging = Acknowledging::Never;
        world.posted(Urgency::High).await?;
        world.publish_to(0, "x/d", 1, false, 0);
        world.pass(200).await?;
        world.subscribed(0, "x/#").await
    });
}

#[test]
fn what_is_acknowledged_on_a_resumed_session_leaves_what_was_held_below_it_owed() {
    let profile = Profile {
        window: 1,
        ..Profile::calm()
    };
    holds(profile, async |world| {
        for device in 0..2 {
            world.connected(device, PERSISTENT).await?;
            world.subscribed(device, "n/#").await?;
        }
        world.said(1, Presence::Active).await?;
        world.said(0, Presence::Away).await?;
        world.devices[0].connections[0].acknowledging = Acknowledging::Never;
        world.posted(Urgency::Low).await?;
        world.posted(Urgency::High).await?;
        // On its way is the later one; it fills the window when it comes again.
        world.gone(0).await?;
        world.connected(0, PERSISTENT).await
    });
}

#[test]
fn a_device_that_reads_nothing_costs_nothing_while_something_is_due() {
    let profile = Profile {
        window: 32,
        narrow_percent: 100,
        ..Profile::calm()
    };
    holds(profile, async |world| {
        for device in 0..2 {
            world.connected(device, PERSISTENT).await?;
            world.subscribed(device, "n/#").await?;
        }
        world.said(1, Presence::Active).await?;
        world.said(0, Presence::Away).await?;
        // Held for ten seconds, while more waits to be written than is added to.
        world.post_one(permission_id(1), Urgency::Low, 20, None, 10);
        world.pass(100).await?;
        world.devices[0].connections[0].stalled_until = millis() + 20_000;
        for _ in 0..14 {
            world.post_one(permission_id(1), Urgency::High, 86_400, None, 4_000);
        }
        world.pass(25_000).await
    });
}

#[test]
fn an_attempt_that_failed_does_not_make_the_next_forget_what_was_on_its_way() {
    holds(Profile::calm(), async |world| {
        world.connected(0, PERSISTENT).await?;
        world.subscribed(0, "n/#").await?;
        world.devices[0].connections[0].acknowledging = Acknowledging::Never;
        world.posted(Urgency::High).await?;
        world.gone(0).await?;
        world.fail_disk(1_000);
        world.connected(0, PERSISTENT).await?;
        world.pass(2_000).await?;
        world.connected(0, PERSISTENT).await
    });
}
