//! MQTT clients that nobody here wrote receive from a persistent session, in order.

use crate::harness::{TestServer, marked_body, peers, post};
use belfry_client::server::Device;
use serde_json::{Value, json};
use std::process::Command;

const MESSAGES: u64 = 20;

/// Runs a client with a plan until it ends, and gives the payloads' marks in the order of arrival.
fn run(program: &str, script: &str, plan: &Value) -> Vec<Value> {
    let output = Command::new(program)
        .args([script, &plan.to_string()])
        .current_dir(peers())
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; ./dev test installs the foreign clients")
        });
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert!(output.status.success(), "{script} {plan}: {text}");
    lines
}

/// A session is made, filled while its device is away, and read by the same client.
async fn receives_in_order(
    name: &str,
    program: &str,
    script: &str,
    scheme: &str,
    versions: [u8; 2],
) {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    for version in versions {
        let device = user.device(name).await;
        let url = match scheme {
            "ws" => format!("ws://{}/mqtt", server.http),
            _ => format!("mqtt://{}", server.mqtt),
        };
        let plan = |count: u64| plan(&device, &url, version, count);
        let script = script.to_owned();
        let program = program.to_owned();
        let lines = run_aside(&program, &script, plan(0)).await;
        assert!(
            lines
                .iter()
                .any(|line| line["event"] == "subscribed" && line["granted"] == json!([1]))
        );
        for number in 0..MESSAGES {
            let answer = post(&http, &site.permission.endpoint, marked_body(number))
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 201);
        }
        let lines = run_aside(&program, &script, plan(MESSAGES)).await;
        let connected = lines
            .iter()
            .find(|line| line["event"] == "connected")
            .expect("connected");
        assert_eq!(
            connected["sessionPresent"], true,
            "{name} {scheme} {version}"
        );
        let seqs: Vec<u64> = lines
            .iter()
            .filter(|line| line["event"] == "message")
            .map(|line| {
                let payload: Value =
                    serde_json::from_str(line["payload"].as_str().expect("text")).expect("JSON");
                assert_eq!(line["qos"], 1);
                payload["seq"].as_u64().expect("a seq")
            })
            .collect();
        let first = seqs[0];
        assert_eq!(
            seqs,
            (first..first + MESSAGES).collect::<Vec<_>>(),
            "{name} {scheme} {version}"
        );
    }
}

fn plan(device: &Device, url: &str, version: u8, count: u64) -> Value {
    json!({
        "url": url,
        "protocolVersion": version,
        "clientId": device.mqtt.client_id,
        "username": device.mqtt.username,
        "password": device.mqtt.password,
        "filters": [device.topics.notifications],
        "clean": false,
        "sessionExpiry": 3600,
        "count": count,
    })
}

async fn run_aside(program: &str, script: &str, plan: Value) -> Vec<Value> {
    let (program, script) = (program.to_owned(), script.to_owned());
    tokio::task::spawn_blocking(move || run(&program, &script, &plan))
        .await
        .expect("it ran")
}

#[tokio::test]
async fn mqtt_js_over_websocket() {
    receives_in_order("mqtt.js", "node", "mqtt_js.mjs", "ws", [4, 5]).await;
}

#[tokio::test]
async fn paho_over_tcp() {
    let python = peers().join(".venv/bin/python");
    receives_in_order(
        "paho",
        &python.to_string_lossy(),
        "mqtt_paho.py",
        "mqtt",
        [4, 5],
    )
    .await;
}

#[tokio::test]
async fn paho_over_websocket() {
    let python = peers().join(".venv/bin/python");
    receives_in_order(
        "paho",
        &python.to_string_lossy(),
        "mqtt_paho.py",
        "ws",
        [4, 5],
    )
    .await;
}

#[tokio::test]
async fn mosquitto_sub() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    for version in ["mqttv311", "mqttv5"] {
        let device = user.device("mosquitto").await;
        let subscriber = |more: &[&str]| {
            let mut command = Command::new("mosquitto_sub");
            command
                .args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &server.mqtt.port().to_string(),
                    "-V",
                    version,
                ])
                .args(["-i", &device.mqtt.client_id, "-u", &device.mqtt.username])
                .args([
                    "-P",
                    &device.mqtt.password,
                    "-c",
                    "-q",
                    "1",
                    "-t",
                    &device.topics.notifications,
                ])
                .args(if version == "mqttv5" {
                    &["-x", "3600"][..]
                } else {
                    &[]
                })
                .args(more);
            let output = tokio::task::spawn_blocking(move || command.output());
            async move {
                let output = output.await.expect("it ran");
                output.expect("mosquitto_sub runs; ./dev test installs the foreign clients")
            }
        };
        assert!(subscriber(&["-E"]).await.status.success());
        for number in 0..MESSAGES {
            let answer = post(&http, &site.permission.endpoint, marked_body(number))
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 201);
        }
        let output = subscriber(&["-C", &MESSAGES.to_string(), "-W", "20", "-F", "%J"]).await;
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let seqs: Vec<u64> = text
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).expect("JSON");
                line["payload"]["seq"].as_u64().expect("a seq")
            })
            .collect();
        let first = *seqs.first().expect("something came");
        assert_eq!(
            seqs,
            (first..first + MESSAGES).collect::<Vec<_>>(),
            "{version}"
        );
    }
}
