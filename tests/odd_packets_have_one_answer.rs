//! Promise: whatever packets and frames a device sends, each has its one bounded answer, and nobody
//! else notices.

use crate::harness::{PASSWORD, TestServer};
use crate::hostile::{
    Bystander, connect, frame, open, packet, rest, server_frame, text, websocket,
};
use crate::mqtt::{Client, Packet, Version};
use belfry_client::keys::BoxSecretKey;
use belfry_client::server::{Device, DeviceKind};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The largest packet that is taken: as shipped.
const PACKET_BYTES_MAX: usize = 64 * 1024;

async fn device(server: &TestServer) -> (String, Device) {
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    (user.id, device)
}

async fn next(client: &mut Client, first: u8) -> Packet {
    loop {
        let packet = client.read().await.expect("a packet");
        if packet.first == first {
            return packet;
        }
    }
}

#[tokio::test]
async fn ten_thousand_subscriptions_in_one_packet_are_refused_one_by_one() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let (_, device) = device(&server).await;
    for (version, refused) in [(Version::V311, &[0x80][..]), (Version::V5, &[0x87, 0x97])] {
        let mut client = Client::connect(server.mqtt, &device, version).await;
        let mut body = vec![0, 7];
        client.no_properties(&mut body);
        for number in 0..10_000 {
            body.extend(text(&format!("{number:03x}")[..3]));
            body.push(1);
        }
        client.send(&packet(0x82, &body)).await;
        let answer = next(&mut client, 0x90).await;
        let codes = &answer.body[answer.body.len() - 10_000..];
        assert!(codes.iter().all(|code| refused.contains(code)), "{codes:?}");
        client.ping().await.expect("it goes on");
        assert_eq!(client.subscribe(&device.topics.notifications).await, 1);
        bystander.is_unharmed(&server).await;
        client.disconnect().await;
    }
}

#[tokio::test]
async fn a_packet_as_large_as_may_be_is_taken_and_a_larger_one_is_not_waited_for() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let (user, device) = device(&server).await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    let topic = format!("u/{user}/x/large");
    // Four bytes of fixed header, the topic with its length, a packet id, no properties.
    let room = PACKET_BYTES_MAX - 4 - 2 - topic.len() - 2 - 1;
    let reason = client.publish(&topic, &vec![0x5a; room]).await;
    assert_eq!(reason.expect("a PUBACK"), 0);
    // One more, of which nothing comes but its length.
    client.send(&[0x30, 0x81, 0x80, 0x04]).await;
    let goodbye = next(&mut client, 0xe0).await;
    assert_eq!(goodbye.body[0], 0x95);
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_packet_in_frames_of_one_byte_is_whole_again_and_a_giant_frame_is_refused_at_once() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let (user, device) = device(&server).await;
    let mut stream = websocket(server.http).await;
    let connecting = frame(0x82, &connect(&device, Version::V5, 60));
    stream.write_all(&connecting).await.expect("CONNECT");
    assert_eq!(server_frame(&mut stream).await.1[..1], [0x20]);
    let publish = [&text(&format!("u/{user}/x/split"))[..], &[0, 9, 0]].concat();
    let publish = packet(0x32, &[publish, vec![0x5a; 50_000]].concat());
    let last = publish.len() - 1;
    let mut frames = Vec::new();
    for (index, byte) in publish.iter().enumerate() {
        let first = if index == 0 { 0x02 } else { 0x00 };
        let fin = if index == last { 0x80 } else { 0 };
        frames.extend(frame(first | fin, &[*byte]));
        if index == last / 2 {
            frames.extend(frame(0x89, b"between"));
        }
    }
    let sent = stream.write_all(&frames).await;
    sent.expect("the fragments are sent");
    let pong = server_frame(&mut stream).await;
    assert_eq!(pong, (0x8a, b"between".to_vec()));
    let puback = server_frame(&mut stream).await;
    assert_eq!(puback, (0x82, vec![0x40, 2, 0, 9]));
    bystander.is_unharmed(&server).await;

    // A frame longer than any packet: not one byte of it is waited for.
    let mut giant = vec![0x82, 0xff];
    giant.extend((1_u64 << 40).to_be_bytes());
    stream.write_all(&giant).await.expect("its header is sent");
    let close = server_frame(&mut stream).await;
    assert_eq!(close, (0x88, 1009_u16.to_be_bytes().to_vec()));
    assert_eq!(rest(&mut stream).await, b"");
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_packet_id_used_twice_is_one_message_at_qos_2_and_two_at_qos_1() {
    let server = TestServer::start();
    let (user, device) = device(&server).await;
    let topic = format!("u/{user}/x/chat");
    for version in [Version::V311, Version::V5] {
        let mut client = Client::connect(server.mqtt, &device, version).await;
        client.subscribe(&format!("u/{user}/x/#")).await;
        let publish = |first: u8, payload: &str| {
            let mut body = [&text(&topic)[..], &[0, 5]].concat();
            if version == Version::V5 {
                body.push(0);
            }
            body.extend(payload.as_bytes());
            packet(first, &body)
        };
        let at_qos_2 = [publish(0x34, "once"), publish(0x3c, "once")].concat();
        client.send(&at_qos_2).await;
        let mut told = Vec::new();
        let mut delivered = Vec::new();
        while told.len() < 2 || delivered.is_empty() {
            let packet = client.read().await.expect("a packet");
            match packet.first >> 4 {
                3 => delivered.push(packet),
                _ => told.push(packet),
            }
        }
        assert!(told.iter().all(|packet| packet.first == 0x50), "{told:?}");
        client.send(&[0x62, 2, 0, 5, 0x62, 2, 0, 5]).await;
        for again in [false, true] {
            let pubcomp = next(&mut client, 0x70).await;
            let reason = pubcomp.body.get(2).copied().unwrap_or(0);
            let expected = if again && version == Version::V5 {
                0x92
            } else {
                0
            };
            assert_eq!((&pubcomp.body[..2], reason), (&[0, 5][..], expected));
        }
        let at_qos_1 = [publish(0x32, "first"), publish(0x32, "second")].concat();
        client.send(&at_qos_1).await;
        let mut payloads = Vec::new();
        while payloads.len() < 2 {
            let packet = client.read().await.expect("a packet");
            if packet.first >> 4 == 3 {
                payloads.push(String::from_utf8_lossy(&packet.body).into_owned());
            }
        }
        let of = |text: &str| payloads.iter().filter(|p| p.ends_with(text)).count();
        assert_eq!((of("once"), of("first"), of("second")), (0, 1, 1));
        assert_eq!(delivered.len(), 1);
        client.disconnect().await;
    }
}

#[tokio::test]
async fn acknowledgements_for_nothing_change_nothing() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let (_, device) = device(&server).await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let mut acknowledgements = Vec::new();
    for id in 1..=40_u16 {
        let [high, low] = id.to_be_bytes();
        for first in [0x40, 0x50, 0x62, 0x70] {
            acknowledgements.extend([first, 2, high, low]);
        }
    }
    client.send(&acknowledgements).await;
    client.send_ping().await.expect("it goes on");
    let mut answers = std::collections::BTreeMap::new();
    loop {
        let answer = client.read().await.expect("an answer");
        if answer.first == 0xd0 {
            break;
        }
        assert_eq!(answer.body[2], 0x92, "there is no such packet: {answer:?}");
        *answers.entry(answer.first).or_insert(0) += 1;
    }
    // PUBREC is answered with PUBREL and PUBREL with PUBCOMP; the others end an exchange.
    assert_eq!(answers, [(0x62, 40), (0x70, 40)].into());
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_device_that_floods_is_read_slowly_and_can_still_be_removed_at_once() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    server.user("ada").await;
    // A sign-in ends with the device that was made with it, so each has its own.
    let sign_in = async || {
        let client = server.client();
        let signed_in = client
            .sign_in("ada", PASSWORD, None)
            .await
            .expect("a sign-in");
        client.with_token(signed_in.access_token)
    };
    let new_device = async |name| {
        let key = BoxSecretKey::generate().public();
        let user = sign_in().await;
        let made = user.create_device(name, DeviceKind::Cli, &key).await;
        made.expect("a device")
    };
    let (laptop, phone) = (new_device("laptop").await, new_device("phone").await);
    let mut over_tcp = open(server.mqtt).await;
    let connecting = connect(&laptop, Version::V5, 60);
    over_tcp.write_all(&connecting).await.expect("CONNECT");
    let mut over_websocket = websocket(server.http).await;
    let connecting = frame(0x82, &connect(&phone, Version::V5, 60));
    over_websocket
        .write_all(&connecting)
        .await
        .expect("CONNECT");
    let pings = packet(0xc0, b"").repeat(100_000);
    // Legal, endless and empty.
    let frames = [frame(0x8a, b""), frame(0x82, b"")].concat().repeat(50_000);
    let mut floods = Vec::new();
    for (mut stream, bytes, device) in [(over_tcp, pings, laptop), (over_websocket, frames, phone)]
    {
        // Into the buffers of both ends, for a second; then the rest would have to be read.
        let sending = async { while stream.write_all(&bytes).await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(1), sending).await;
        assert!(ended.is_err(), "it stays connected");
        floods.push((stream, device.device_id));
        bystander.is_unharmed(&server).await;
    }
    let remover = sign_in().await;
    for (mut stream, device) in floods {
        remover.delete_device(device).await.expect("removed");
        // In the midst of what has not been read.
        rest(&mut stream).await;
    }
    assert_eq!(remover.devices().await.expect("a list").len(), 0);
    bystander.is_unharmed(&server).await;
}
