//! Promise: one address that opens connections or tries passwords without end is bounded, and others
//! are served meanwhile.

use crate::harness::{PASSWORD, PATIENCE, Setup, TestServer, roomy};
use crate::hostile::{Bystander, open_from_elsewhere, packet, rest, text};
use crate::mqtt::{Client, Version};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

const PER_ADDRESS: usize = 40;

fn with_few_connections() -> Setup {
    let mut environment = roomy();
    let key = "BELFRY__LIMITS__CONNECTIONS_PER_ADDRESS".to_owned();
    environment.push((key, PER_ADDRESS.to_string()));
    Setup {
        environment,
        ..Setup::default()
    }
}

/// CONNECT of a device that there is not, in 3.1.1.
fn unknown() -> Vec<u8> {
    let body = [&text("MQTT")[..], &[4, 2, 0, 60], &text("x")].concat();
    packet(0x10, &body)
}

#[tokio::test]
async fn wrong_passwords_are_refused_one_by_one_however_many_come() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let stranger = server.user("stranger").await.device("laptop").await;
    let mut flood = JoinSet::new();
    for number in 0..600 {
        let (mqtt, access) = (server.mqtt, stranger.mqtt.clone());
        flood.spawn(async move {
            let version = [Version::V311, Version::V5][number % 2];
            let guess = format!("guess-{number}");
            Client::try_connect(mqtt, version, &access.client_id, &access.username, &guess).await
        });
        if number % 100 == 0 {
            bystander.is_unharmed(&server).await;
        }
    }
    while let Some(refused) = flood.join_next().await {
        let (_, code) = refused.expect("no panic").expect("a CONNACK");
        assert!(matches!(code, 5 | 0x86), "{code:#x}");
    }
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn one_device_that_connects_again_and_again_has_one_connection() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let mut connections = Vec::new();
    for number in 0..200 {
        connections.push(Client::connect(server.mqtt, &device, Version::V5).await);
        if number % 50 == 0 {
            bystander.is_unharmed(&server).await;
        }
    }
    let mut last = connections.pop().expect("the newest");
    last.ping().await.expect("the newest is served");
    for mut older in connections {
        let goodbye = older.read().await.expect("a DISCONNECT");
        assert_eq!((goodbye.first, goodbye.body[0]), (0xe0, 0x8e));
    }
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn connections_beyond_an_addresss_share_are_closed_on_both_ports() {
    let server = TestServer::start_with(with_few_connections());
    let mut bystander = Bystander::of(&server).await;
    for address in [server.mqtt, server.http] {
        let mut held = Vec::new();
        for _ in 0..PER_ADDRESS {
            let mut stream = open_from_elsewhere(address).await;
            let begun: &[u8] = if address == server.http {
                b"GET /h"
            } else {
                b"\x10"
            };
            let sent = stream.write_all(begun).await;
            sent.expect("it is there");
            held.push(stream);
        }
        for _ in 0..PER_ADDRESS {
            let mut stream = open_from_elsewhere(address).await;
            // Over MQTT who is turned away is told: Server unavailable (3.1.1 §3.2.2.3).
            let told: &[u8] = if address == server.mqtt {
                let sent = stream.write_all(&unknown()).await;
                sent.expect("CONNECT is sent");
                &[0x20, 2, 0, 3]
            } else {
                b""
            };
            assert_eq!(rest(&mut stream).await, told, "one too many");
        }
        bystander.is_unharmed(&server).await;
        // A place that is given back is there again.
        drop(held);
        let served = async {
            loop {
                let mut stream = open_from_elsewhere(address).await;
                let (asks, expected): (Vec<u8>, &[u8]) = if address == server.http {
                    (b"GET /healthz HTTP/1.0\r\n\r\n".to_vec(), b"HTTP/1.")
                } else {
                    (unknown(), &[0x20, 2, 0, 5])
                };
                if stream.write_all(&asks).await.is_ok()
                    && rest(&mut stream).await.starts_with(expected)
                {
                    return;
                }
            }
        };
        let served = tokio::time::timeout(PATIENCE, served).await;
        served.expect("there is room again");
    }
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn guesses_from_one_address_leave_others_room_to_sign_in() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let elsewhere = reqwest::Client::builder()
        .local_address("127.0.0.2".parse::<std::net::IpAddr>().expect("an address"))
        .build()
        .expect("a client");
    let url = format!("{}/v1/sessions", server.url());
    let mut flood = JoinSet::new();
    for number in 0..200 {
        let guess = json!({"username": format!("user-{number}"), "password": "guess"});
        let asking = elsewhere.post(&url).json(&guess);
        flood.spawn(async move { asking.send().await.expect("an answer") });
    }
    // Some of them are there when the first is answered.
    let mut answers = vec![flood.join_next().await.expect("one").expect("no panic")];
    let signed_in = server.client().sign_in("bystander", PASSWORD, None).await;
    signed_in.expect("a place for another address");
    bystander.is_unharmed(&server).await;
    while let Some(answer) = flood.join_next().await {
        answers.push(answer.expect("no panic"));
    }
    let of = |status: u16| answers.iter().filter(|a| a.status() == status).count();
    assert_eq!(of(401) + of(503), 200);
    assert!(of(401) >= 1 && of(503) >= 1, "{} and {}", of(401), of(503));
    let told = answers.iter().filter(|a| a.status() == 503);
    for answer in told {
        assert!(answer.headers().contains_key("retry-after"));
    }
}
