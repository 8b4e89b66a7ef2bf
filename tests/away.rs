//! Who is there has a notification first: an away device waits as long as its urgency says, and what
//! was seen meanwhile never comes to it. What waits survives the server.

use crate::a_notification_arrives::mark;
use crate::harness::{Approved, PASSWORD, Setup, TestServer, User, marked_body, roomy};
use crate::mqtt::{Client, Version};
use belfry_client::server::Device;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longer than any test takes.
const NEVER: &str = "1h";

/// A user at a desk, with a phone lying elsewhere.
struct Home {
    server: TestServer,
    user: User,
    site: Approved,
    desk: Device,
    phone: Device,
    token: String,
    http: reqwest::Client,
}

impl Home {
    async fn with_grace(grace: &str) -> Self {
        let mut environment = roomy();
        environment.push(("BELFRY__AWAY_GRACE".to_owned(), grace.to_owned()));
        let server = TestServer::start_with(Setup {
            environment,
            ..Setup::default()
        });
        let user = server.user("ada").await;
        let http = reqwest::Client::new();
        let signed_in = http
            .post(format!("{}/v1/sessions", server.url()))
            .json(&json!({"username": "ada", "password": PASSWORD}))
            .send();
        let signed_in: Value = signed_in
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        Self {
            site: user.approve("https://news.example").await,
            desk: user.device("desk").await,
            phone: user.device("phone").await,
            token: signed_in["access_token"]
                .as_str()
                .expect("a token")
                .to_owned(),
            server,
            user,
            http,
        }
    }

    fn restart(&mut self) {
        self.server.restart();
        // None of the connections that it keeps leads anywhere.
        self.http = reqwest::Client::new();
    }

    async fn connect(&self, device: &Device) -> Client {
        let mut client = Client::connect(self.server.mqtt, device, Version::V5).await;
        if !client.session_present {
            assert_eq!(client.subscribe(&device.topics.notifications).await, 1);
        }
        client
    }

    /// Somebody at the desk, and nobody at the phone.
    async fn both(&self) -> (Client, Client) {
        let desk = self.connect(&self.desk).await;
        let mut phone = self.connect(&self.phone).await;
        self.says(&mut phone, &self.phone, "away").await;
        (desk, phone)
    }

    async fn says(&self, client: &mut Client, device: &Device, presence: &str) {
        let topic = &device.topics.presence;
        let answer = client.publish(topic, presence.as_bytes()).await;
        assert_eq!(answer.expect("a PUBACK"), 0);
    }

    /// At QoS 0: what follows from it would else be read on the way to the PUBACK.
    async fn becomes_active(&self, client: &mut Client, device: &Device) {
        let topic = device.topics.presence.as_bytes();
        let mut packet = vec![
            0x30,
            0,
            0,
            u8::try_from(topic.len()).expect("a short topic"),
        ];
        packet.extend(topic);
        packet.push(0);
        packet.extend(b"active");
        packet[1] = u8::try_from(packet.len() - 2).expect("a short packet");
        client.send(&packet).await;
    }

    async fn post(&self, number: u64, urgency: &str) {
        self.post_to(&self.site, number, urgency, 86_400).await;
    }

    async fn post_to(&self, site: &Approved, number: u64, urgency: &str, ttl: u32) {
        let request = self.http.post(&site.permission.endpoint);
        let answer = request
            .header("TTL", ttl)
            .header("Urgency", urgency)
            .header("Content-Encoding", "crypto-box")
            .body(marked_body(number))
            .send();
        assert_eq!(answer.await.expect("an answer").status(), 201);
    }

    async fn me(&self, change: Option<Value>) -> Value {
        let url = format!("{}/v1/me", self.server.url());
        let request = match change {
            None => self.http.get(url),
            Some(change) => self.http.patch(url).json(&change),
        };
        let answer = request.bearer_auth(&self.token).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }
}

/// Acknowledges the next notifications, which have to be these.
async fn gets(client: &mut Client, expected: &[u64]) {
    for expected in expected {
        let delivered = client.next().await.expect("a notification");
        assert_eq!(mark(&delivered), *expected);
        client.acknowledge(&delivered).await.expect("sent");
    }
}

async fn gets_no_more(client: &mut Client) {
    let more = client.ping().await.expect("a PINGRESP");
    let more: Vec<u64> = more.iter().map(mark).collect();
    assert_eq!(more, [0; 0]);
}

#[tokio::test]
async fn what_is_urgent_reaches_all_at_once_and_the_rest_who_is_there() {
    let home = Home::with_grace(NEVER).await;
    let (mut desk, mut phone) = home.both().await;
    home.post(1, "normal").await;
    home.post(2, "low").await;
    home.post(3, "very-low").await;
    home.post(4, "high").await;
    gets(&mut desk, &[1, 2, 3, 4]).await;
    gets(&mut phone, &[4]).await;
    gets_no_more(&mut phone).await;
    // And somebody takes up the phone.
    home.becomes_active(&mut phone, &home.phone).await;
    gets(&mut phone, &[1, 2, 3]).await;
    home.post(5, "very-low").await;
    gets(&mut phone, &[5]).await;
    gets_no_more(&mut phone).await;
}

#[tokio::test]
async fn what_is_muted_waits_as_very_low_does() {
    let home = Home::with_grace(NEVER).await;
    let (mut desk, mut phone) = home.both().await;
    let muted = home.user.approve("https://loud.example").await;
    let id = &muted.permission.permission_id;
    let mute = home
        .http
        .patch(format!("{}/v1/permissions/{id}", home.server.url()))
        .bearer_auth(&home.token)
        .json(&json!({"state": "muted"}));
    assert_eq!(mute.send().await.expect("an answer").status(), 200);
    home.post_to(&muted, 1, "high", 86_400).await;
    home.post(2, "high").await;
    gets(&mut desk, &[1, 2]).await;
    gets(&mut phone, &[2]).await;
    gets_no_more(&mut phone).await;
    home.becomes_active(&mut phone, &home.phone).await;
    gets(&mut phone, &[1]).await;
}

#[tokio::test]
async fn a_device_is_sent_what_is_urgent_enough_for_it() {
    let mut home = Home::with_grace(NEVER).await;
    let takes = async |home: &Home, urgency: &str| {
        let url = format!("{}/v1/devices/{}", home.server.url(), home.desk.device_id);
        let change = home.http.patch(url).bearer_auth(&home.token);
        let answer = change.json(&json!({"urgency_min": urgency})).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["urgency_min"], urgency);
    };
    let mut desk = home.connect(&home.desk).await;
    let mut phone = home.connect(&home.phone).await;
    takes(&home, "high").await;
    home.post(1, "normal").await;
    home.post(2, "high").await;
    gets(&mut phone, &[1, 2]).await;
    gets(&mut desk, &[2]).await;
    gets_no_more(&mut desk).await;
    // What waits, and the minimum, outlive the server.
    home.server.terminate();
    home.restart();
    let mut desk = home.connect(&home.desk).await;
    gets_no_more(&mut desk).await;
    takes(&home, "low").await;
    gets(&mut desk, &[1]).await;
    home.post(3, "very-low").await;
    home.post(4, "low").await;
    gets(&mut desk, &[4]).await;
    gets_no_more(&mut desk).await;
}

#[tokio::test]
async fn after_the_grace_it_comes_to_the_others_too() {
    let grace = Duration::from_secs(2);
    let home = Home::with_grace("2s").await;
    let (mut desk, mut phone) = home.both().await;
    let before = Instant::now();
    home.post(1, "normal").await;
    gets(&mut desk, &[1]).await;
    gets(&mut phone, &[1]).await;
    let waited = before.elapsed();
    assert!(waited >= grace, "it came after {waited:?}");
    gets_no_more(&mut phone).await;
}

#[tokio::test]
async fn after_half_of_its_time_it_waits_for_nobody() {
    let home = Home::with_grace("0s").await;
    let (mut desk, mut phone) = home.both().await;
    let before = Instant::now();
    home.post_to(&home.site, 1, "low", 10).await;
    gets(&mut desk, &[1]).await;
    gets(&mut phone, &[1]).await;
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(5), "it came after {waited:?}");
}

#[tokio::test]
async fn while_nobody_is_there_everybody_has_it_at_once() {
    let home = Home::with_grace(NEVER).await;
    let (mut desk, mut phone) = home.both().await;
    home.says(&mut desk, &home.desk, "away").await;
    home.post(1, "low").await;
    home.post(2, "normal").await;
    for client in [&mut desk, &mut phone] {
        gets(client, &[2]).await;
        gets_no_more(client).await;
    }
}

#[tokio::test]
async fn when_the_last_one_leaves_what_waited_comes() {
    let home = Home::with_grace(NEVER).await;
    let (mut desk, mut phone) = home.both().await;
    for (number, in_order) in [(1, true), (3, false)] {
        home.post(number, "normal").await;
        home.post(number + 1, "high").await;
        gets(&mut desk, &[number, number + 1]).await;
        gets(&mut phone, &[number + 1]).await;
        gets_no_more(&mut phone).await;
        if in_order {
            desk.disconnect().await;
        } else {
            drop(desk);
        }
        gets(&mut phone, &[number]).await;
        desk = home.connect(&home.desk).await;
    }
    home.post(5, "normal").await;
    home.post(6, "high").await;
    gets(&mut phone, &[6]).await;
    home.says(&mut desk, &home.desk, "away").await;
    gets(&mut phone, &[5]).await;
}

#[tokio::test]
async fn what_was_seen_within_the_grace_never_comes_to_the_other() {
    let home = Home::with_grace(NEVER).await;
    let (mut desk, mut phone) = home.both().await;
    home.post(1, "normal").await;
    home.post(2, "normal").await;
    home.post(3, "low").await;
    let mut ids = Vec::new();
    for _ in 1..=3 {
        let delivered = desk.next().await.expect("a notification");
        desk.acknowledge(&delivered).await.expect("sent");
        ids.push(delivered.json()["id"].clone());
    }
    let seen = json!({"ids": [ids[0], ids[2]]}).to_string();
    let answer = desk.publish(&home.desk.topics.seen, seen.as_bytes()).await;
    assert_eq!(answer.expect("a PUBACK"), 0);
    // From now on the grace is over soon, whenever they were sent.
    let me = home.me(Some(json!({"away_grace": 1}))).await;
    assert_eq!(me["away_grace"], 1);
    gets(&mut phone, &[2]).await;
    gets_no_more(&mut phone).await;
    home.becomes_active(&mut phone, &home.phone).await;
    home.post(4, "high").await;
    gets(&mut phone, &[4]).await;
    gets_no_more(&mut phone).await;
}

#[tokio::test]
async fn the_grace_is_the_users_and_holds_at_once() {
    let mut home = Home::with_grace(NEVER).await;
    assert_eq!(home.me(None).await["away_grace"], 3_600);
    let (mut desk, mut phone) = home.both().await;
    home.post(1, "normal").await;
    home.post(2, "high").await;
    gets(&mut desk, &[1, 2]).await;
    gets(&mut phone, &[2]).await;
    gets_no_more(&mut phone).await;
    home.me(Some(json!({"away_grace": 0}))).await;
    gets(&mut phone, &[1]).await;
    home.post(3, "normal").await;
    gets(&mut phone, &[3]).await;
    // It is read again where the server is another, and for who connects later.
    home.server.kill_nine();
    home.restart();
    assert_eq!(home.me(None).await["away_grace"], 0);
    let (mut desk, mut phone) = home.both().await;
    home.post(4, "normal").await;
    loop {
        let delivered = phone.next().await.expect("a notification");
        phone.acknowledge(&delivered).await.expect("sent");
        // What was acknowledged just before the kill may come again.
        if mark(&delivered) == 4 {
            break;
        }
    }
    let me = home.me(Some(json!({"away_grace": null}))).await;
    assert_eq!(me["away_grace"], 3_600);
    desk.ping().await.expect("a PINGRESP");
    home.post(5, "normal").await;
    home.post(6, "high").await;
    gets(&mut phone, &[6]).await;
    gets_no_more(&mut phone).await;
}

/// How a server goes.
#[derive(Debug, Clone, Copy)]
enum Goes {
    Killed,
    InOrder,
}

async fn survives(goes: Goes) {
    let grace = Duration::from_secs(3);
    let mut home = Home::with_grace("3s").await;
    let (mut desk, mut phone) = home.both().await;
    let before = Instant::now();
    home.post(1, "normal").await;
    home.post(2, "low").await;
    gets(&mut desk, &[1, 2]).await;
    match goes {
        Goes::Killed => home.server.kill_nine(),
        Goes::InOrder => assert!(home.server.terminate().success()),
    }
    home.restart();
    // Somebody is at the desk again before the phone comes back.
    let _desk = home.connect(&home.desk).await;
    let mut phone_again = home.connect(&home.phone).await;
    assert!(phone_again.session_present);
    gets(&mut phone_again, &[1]).await;
    let waited = before.elapsed();
    assert!(waited >= grace, "{goes:?}: it came after {waited:?}");
    gets_no_more(&mut phone_again).await;
    home.becomes_active(&mut phone_again, &home.phone).await;
    gets(&mut phone_again, &[2]).await;
    gets_no_more(&mut phone_again).await;
    // Nothing of it had come before.
    assert!(phone.next().await.is_err(), "{goes:?}");
}

#[tokio::test]
async fn what_is_held_survives_a_kill_and_comes_at_its_time() {
    survives(Goes::Killed).await;
}

#[tokio::test]
async fn what_is_held_survives_a_restart_and_comes_at_its_time() {
    survives(Goes::InOrder).await;
}
