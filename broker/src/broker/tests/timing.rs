//! What ends or begins by itself: with tokio's clock, so that nothing waits.

use super::device::Connect;
use super::*;
use tokio::time::{Instant, pause, resume};

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
