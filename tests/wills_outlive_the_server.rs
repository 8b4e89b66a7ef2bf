//! The will of a device comes though the server was killed or stopped, and what the device said of
//! itself holds.

use crate::harness::{PASSWORD, TestServer};
use crate::mqtt::{Client, Version, Will};
use belfry_client::server::Device;
use serde_json::{Value, json};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// How a server goes.
#[derive(Debug, Clone, Copy)]
enum Goes {
    Killed,
    InOrder,
}

async fn presence(server: &TestServer, name: &str, device: &Device) -> Value {
    let http = reqwest::Client::new();
    let signed_in = http
        .post(format!("{}/v1/sessions", server.url()))
        .json(&json!({"username": name, "password": PASSWORD}))
        .send()
        .await
        .expect("an answer");
    let signed_in: Value = signed_in.json().await.expect("a sign-in");
    let devices = http
        .get(format!("{}/v1/devices", server.url()))
        .bearer_auth(signed_in["access_token"].as_str().expect("a token"))
        .send()
        .await
        .expect("an answer");
    let devices: Value = devices.json().await.expect("devices");
    let devices = devices["items"].as_array().expect("a page");
    let own = |info: &&Value| info["device_id"] == json!(device.device_id.to_string());
    devices.iter().find(own).expect("the device")["presence"].clone()
}

async fn comes_after(goes: Goes) {
    let mut server = TestServer::start();
    let user = server.user("ana").await;
    let listener = user.device("listener").await;
    let mut listening = Client::connect(server.mqtt, &listener, Version::V5).await;
    let space = format!("u/{}/x/", user.id);
    assert_eq!(listening.subscribe(&format!("{space}#")).await, 1);
    let mut connected = Vec::new();
    for (number, version) in VERSIONS.into_iter().enumerate() {
        // 3.1.1 has no delay.
        for delay_secs in [0, 1] {
            let device = user.device("leaving").await;
            let will = Will {
                topic: &format!("{space}gone"),
                payload: &[b'0' + u8::try_from(2 * number).expect("few") + delay_secs],
                delay_secs: delay_secs.into(),
            };
            connected.push(Client::connect_leaving(server.mqtt, &device, version, &will).await);
        }
    }
    let away = user.device("away").await;
    let mut present = Client::connect(server.mqtt, &away, Version::V311).await;
    let own = format!("u/{}/d/{}/presence", user.id, away.device_id);
    assert_eq!(present.publish(&own, b"away").await.expect("a PUBACK"), 0);
    match goes {
        Goes::Killed => server.kill_nine(),
        Goes::InOrder => assert!(server.terminate().success()),
    }
    server.restart();

    let mut listening = Client::connect(server.mqtt, &listener, Version::V5).await;
    assert!(listening.session_present);
    let mut wills = Vec::new();
    while wills.len() < connected.len() {
        let will = listening.next().await.expect("a will");
        listening.acknowledge(&will).await.expect("sent");
        assert_eq!(will.topic, format!("{space}gone"));
        wills.push(String::from_utf8(will.payload).expect("a number"));
    }
    wills.sort();
    assert_eq!(wills, ["0", "1", "2", "3"], "{goes:?}");
    assert!(listening.ping().await.expect("a PINGRESP").is_empty());
    assert_eq!(presence(&server, "ana", &away).await, Value::Null);
    let present = Client::connect(server.mqtt, &away, Version::V311).await;
    assert!(present.session_present);
    assert_eq!(presence(&server, "ana", &away).await, "away", "{goes:?}");
}

#[tokio::test]
async fn wills_and_presence_outlive_a_kill() {
    comes_after(Goes::Killed).await;
}

#[tokio::test]
async fn wills_and_presence_outlive_a_restart() {
    comes_after(Goes::InOrder).await;
}
