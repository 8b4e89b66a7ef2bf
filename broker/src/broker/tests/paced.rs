//! What one connection may send, and what it still gets when it sends more.

use super::*;
use tokio::time::{Instant, pause, resume};

fn at(packets_per_second: u32) -> Settings {
    Settings {
        packets_per_second,
        ..Settings::default()
    }
}

#[tokio::test]
async fn beyond_a_second_of_packets_they_are_dealt_with_evenly() {
    let server = Server::start(at(100)).await;
    let mut one = server.beside(4);
    one.connect(1, true).await;
    pause();
    let begin = Instant::now();
    one.send([0xc0, 0].repeat(200)).await;
    for _ in 0..200 {
        assert_eq!(one.next().await.kind(), 13);
    }
    // CONNECT is one of the hundred that are free.
    let expected = Duration::from_millis(1_000);
    let took = begin.elapsed();
    let rounding = Duration::from_millis(30);
    assert!(took.abs_diff(expected) <= rounding, "{took:?}");
    resume();
}

#[tokio::test]
async fn frames_that_hold_no_packet_are_counted_like_packets() {
    let server = Server::start(at(1_000)).await;
    let mut one = Device::open(server.http, 4, Via::WebSocket).await;
    one.connect(1, true).await;
    let empty = [0x8a, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0];
    let begin = Instant::now();
    one.send_raw(&empty.repeat(2_000)).await;
    one.ping().await;
    // One read of 8 KiB holds 1,365 of these; the last is not waited for.
    assert!(begin.elapsed() >= Duration::from_millis(1_500));
}

#[tokio::test]
async fn acknowledgements_of_what_was_sent_are_free() {
    let server = Server::start(at(1)).await;
    let mut one = server.subscribed(1, 4).await;
    for _ in 0..60 {
        let number = server.post(1).await;
        let id = gets(&mut one, number.0).await;
        one.puback(id).await;
    }
    // At a packet a second this would be half a minute away, and the device gives up before.
    one.ping().await;
}

#[tokio::test]
async fn one_that_sends_too_much_still_gets_its_mail_and_its_end() {
    let server = Server::start(at(1)).await;
    let mut one = server.subscribed(1, 5).await;
    one.send_raw(&[0xc0, 0].repeat(2_000)).await;
    let number = server.post(1).await;
    loop {
        let packet = one.next().await;
        if packet.kind() == 3 {
            assert_eq!(seq(&packet), number.0);
            break;
        }
    }
    server
        .broker
        .disconnect_device(user(), device(1), CloseCause::Administrative);
    loop {
        let packet = one.next().await;
        if packet.kind() == 14 {
            assert_eq!(packet.disconnect_reason(), 0x98);
            return;
        }
    }
}

#[tokio::test]
async fn garbage_is_not_gathered_while_the_server_stops() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.beside(5);
    one.connect(1, true).await;
    let broker = server.broker.clone();
    let draining = tokio::spawn(async move { broker.drain().await });
    // From here on only acknowledgements are looked for.
    assert_eq!(one.next().await.disconnect_reason(), 0x8b);
    let mut taken = 0;
    let garbage = [0xff; 8 * 1024];
    while one.try_send_raw(&garbage).await {
        taken += garbage.len();
    }
    draining.await.unwrap();
    assert!(taken <= 1024 * 1024, "{taken} bytes");
}
