//! What ends or begins by itself: with tokio's clock, so that nothing waits.

use super::device::{Connect, Will};
use super::*;
use tokio::time::{Instant, advance, pause, resume};

/// The two clocks differ by what timers round.
fn is_about(measured: Duration, expected: u64) {
    let expected = Duration::from_secs(expected);
    let rounding = Duration::from_millis(10);
    assert!(
        (expected - rounding..expected + rounding).contains(&measured),
        "{measured:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_does_not_come_whole_in_time_ends_the_connection() {
    let server = Server::start(Settings::default()).await;
    for begun in [&[][..], &[0x10], &[0x10, 0x40, 0, 4, b'M']] {
        let begin = Instant::now();
        let mut one = server.beside(4);
        one.send(begun.to_vec()).await;
        one.is_closed().await;
        is_about(begin.elapsed(), 5);
    }
}

#[tokio::test]
async fn a_silent_device_is_let_go_after_one_and_a_half_keep_alives() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.beside(version);
        let connect = Connect {
            keep_alive_secs: 10,
            ..Connect::new(1)
        };
        one.connect_as(&connect).await;
        // Not before: while the mailbox's own thread is waited for, time would leap.
        pause();
        tokio::time::sleep(Duration::from_secs(14)).await;
        one.ping().await;
        let begin = Instant::now();
        if version == 5 {
            assert_eq!(one.next().await.disconnect_reason(), 0x8d);
        }
        one.is_closed().await;
        is_about(begin.elapsed(), 15);
        resume();
    }
}

/// Lets time pass at once, and then as it does.
async fn pass(secs: u64) {
    pause();
    advance(Duration::from_secs(secs)).await;
    resume();
}

/// One that hears of the private space, and one with a will that is to wait for 80 seconds.
async fn with_a_will_to_come(server: &Server) -> (Device, Device) {
    let mut two = server.beside(4);
    two.connect(2, true).await;
    two.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    let mut one = server.beside(5);
    let will = topic("x/will");
    let connect = Connect {
        will: Some(Will {
            topic: &will,
            payload: b"gone",
            retain: false,
            delay_secs: 80,
        }),
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    (one, two)
}

/// Whether the next that comes is what the device publishes now: nothing was before it.
async fn nothing_came(two: &mut Device) {
    two.publish(&topic("x/mark"), b"", 0, 0, false).await;
    assert_eq!(two.next().await.topic(), topic("x/mark"));
}

async fn is_gone(server: &Server, number: u8) {
    let online = || server.broker.online(user());
    while online().iter().any(|(id, _)| *id == device(number)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_will_waits_for_its_delay() {
    let server = Server::start(Settings::default()).await;
    let (one, mut two) = with_a_will_to_come(&server).await;
    drop(one);
    is_gone(&server, 1).await;
    pass(70).await;
    nothing_came(&mut two).await;
    pass(11).await;
    assert_eq!(two.next().await.topic(), topic("x/will"));
}

#[tokio::test]
async fn a_device_that_comes_back_in_time_leaves_no_will() {
    let server = Server::start(Settings::default()).await;
    let (one, mut two) = with_a_will_to_come(&server).await;
    drop(one);
    is_gone(&server, 1).await;
    let mut one = server.beside(5);
    assert!(one.connect(1, false).await);
    pass(81).await;
    nothing_came(&mut two).await;
    one.ping().await;
}

#[tokio::test]
async fn a_disconnect_takes_the_will_away_unless_it_asks_for_it() {
    let server = Server::start(Settings::default()).await;
    let (mut one, mut two) = with_a_will_to_come(&server).await;
    one.disconnect().await;
    is_gone(&server, 1).await;
    pass(81).await;
    nothing_came(&mut two).await;
    let (mut one, _) = with_a_will_to_come(&server).await;
    let mut three = server.beside(4);
    three.connect(3, true).await;
    three.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    one.disconnect_with(0x04, &[]).await;
    one.is_closed().await;
    is_gone(&server, 1).await;
    pass(81).await;
    assert_eq!(three.next().await.topic(), topic("x/will"));
}
