//! Devices, with MQTT connections of their own.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A connected device (MQTT 3.1.1), which hears its user's events.
pub(super) struct Connection {
    stream: TcpStream,
    device: String,
}

/// The longest wait for what must come: a failure, never a rhythm.
const PATIENCE: Duration = Duration::from_secs(30);

impl Connection {
    /// `None` where it is refused.
    pub(super) async fn open(server: &Server, device: &Answer) -> Option<Self> {
        let mqtt = &device.json["mqtt"];
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0xc2, 0, 60];
        for member in ["client_id", "username", "password"] {
            push_text(&mut body, mqtt[member].as_str().unwrap());
        }
        let mut connection = Self {
            stream: TcpStream::connect(server.mqtt).await.unwrap(),
            device: device.text("device_id").to_owned(),
        };
        connection.send(0x10, &body).await;
        let (first, answer) = connection.receive().await?;
        assert_eq!(first, 0x20);
        if answer[1] != 0 {
            assert_eq!(answer[1], 5, "not authorised");
            return None;
        }
        let mut body = vec![0, 1];
        push_text(&mut body, device.json["topics"]["events"].as_str().unwrap());
        body.push(0);
        connection.send(0x82, &body).await;
        let (first, answer) = connection.receive().await?;
        assert_eq!((first, answer[2]), (0x90, 0));
        Some(connection)
    }

    async fn send(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut left = body.len();
        loop {
            let byte = (left % 128) as u8;
            left /= 128;
            packet.push(if left > 0 { byte | 0x80 } else { byte });
            if left == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet).await.unwrap();
    }

    /// `None` where the connection ended.
    async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }

    /// Waits for the next event and gives its name; that of the device's own making, which may come
    /// late, is passed over.
    pub(super) async fn event(&mut self) -> String {
        let own = json!({"event": "device.added", "device": self.device});
        loop {
            let waiting = tokio::time::timeout(PATIENCE, self.receive());
            let (first, body) = waiting.await.expect("in time").expect("an event");
            assert_eq!(first, 0x30, "QoS 0");
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            let event: Value = serde_json::from_slice(&body[2 + topic..]).unwrap();
            if event != own {
                return event["event"].as_str().unwrap().to_owned();
            }
        }
    }

    /// Waits for the server to end it.
    pub(super) async fn ended(&mut self) {
        let ended = async { while self.receive().await.is_some() {} };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("it ends");
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

#[tokio::test]
async fn a_device_is_told_all_it_needs_once() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let made = server.device(&token, "laptop").await;
    assert_eq!(made.status, 201);
    let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
    let (user, id) = (me.text("user_id"), made.text("device_id"));
    let password = made.json["mqtt"]["password"].as_str().unwrap();
    let expected = json!({
        "device_id": id,
        "mqtt": {
            "url": "wss://push.example/mqtt", "tcp": "mqtts://push.example:8883",
            "client_id": id, "username": user, "password": password,
        },
        "topics": {
            "notifications": format!("u/{user}/n/+"), "events": format!("u/{user}/events"),
            "presence": format!("u/{user}/d/{id}/presence"), "seen": format!("u/{user}/d/{id}/seen"),
            "private": format!("u/{user}/x/#"),
        },
    });
    assert_eq!(made.json, expected);
    assert!(password.len() >= 27, "160 bits");
    let listed = server
        .ask("GET", "/v1/devices", &token.0, Value::Null)
        .await;
    let created = Timestamp::from_millis(START).to_string();
    let offline = json!({
        "device_id": id, "name": "laptop", "kind": "cli", "public_key": KEY, "urgency_min": "very-low", "created": created,
        "online": false, "presence": null, "last_seen": null,
    });
    assert_eq!(listed.json, json!({"items": [offline], "next": null}));
    let _connection = Connection::open(&server, &made).await.unwrap();
    let listed = server
        .ask("GET", "/v1/devices", &token.0, Value::Null)
        .await;
    let item = &listed.json["items"][0];
    let online = (&item["online"], &item["presence"], &item["last_seen"]);
    assert_eq!(online, (&json!(true), &json!("active"), &json!(created)));
}

#[tokio::test]
async fn what_is_wrong_with_a_device_is_named() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let check = async |change: Value, field: &str| {
        let mut body = json!({"name": "laptop", "kind": "cli", "public_key": KEY});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = server.ask("POST", "/v1/devices", &token.0, body).await;
        assert_eq!(answer.fault(), (422, field), "{change}");
    };
    let long = "x".repeat(101);
    for name in ["", "  ", "a\u{7}b", "a\nb", &long] {
        check(json!({"name": name}), "name").await;
    }
    check(json!({"name": null}), "name").await;
    for kind in ["", "Browser", "toaster"] {
        check(json!({"kind": kind}), "kind").await;
    }
    // RFC 7748 §6.1: what every secret key meets with zero.
    let low = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
        "4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA",
        "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc",
        "7P________________________________________8",
        "7f________________________________________8",
        "7v________________________________________8",
    ];
    for key in low
        .iter()
        .copied()
        .chain(["", "CQAA", "not base64url!", &format!("{KEY}AA")])
    {
        check(json!({"public_key": key}), "public_key").await;
    }
    for kind in ["browser", "extension", "ios", "android", "desktop", "cli"] {
        let body = json!({"name": kind, "kind": kind, "public_key": format!("{KEY}=")});
        let token = server.sign_in("ada").await;
        let made = server.ask("POST", "/v1/devices", &token.0, body).await;
        assert_eq!(made.status, 201, "{kind}");
        let path = format!("/v1/devices/{}", made.text("device_id"));
        assert_eq!(
            server
                .ask("DELETE", &path, &token.0, Value::Null)
                .await
                .status,
            204
        );
    }
}

#[tokio::test]
async fn a_user_has_so_many_devices_however_they_are_made() {
    let server = Arc::new(Server::new().await);
    let token = Arc::new(server.user("ada").await);
    let mut making = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (server, token) = (Arc::clone(&server), Arc::clone(&token));
        making.spawn(async move { server.device(&token, "laptop").await });
    }
    let answers = making.join_all().await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 201)
        .collect();
    assert_eq!(refused.len(), 7);
    for answer in refused {
        assert_eq!((answer.status, answer.kind()), (409, "too-many-devices"));
        assert_eq!(
            (&answer.json["limit"], &answer.json["used"]),
            (&json!(3), &json!(3))
        );
    }
    let eve = server.user("eve").await;
    assert_eq!(server.device(&eve, "laptop").await.status, 201);
}

#[tokio::test]
async fn a_device_says_what_is_urgent_enough_for_it() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let device = server.device(&ada, "laptop").await;
    let path = format!("/v1/devices/{}", device.text("device_id"));
    let change =
        async |token: &Token, body: Value| server.ask("PATCH", &path, &token.0, body).await;
    let listed = async || {
        let list = server.ask("GET", "/v1/devices", &ada.0, Value::Null).await;
        list.json["items"][0].clone()
    };
    assert_eq!(listed().await["urgency_min"], "very-low");
    let changed = change(&ada, json!({"urgency_min": "high"})).await;
    assert_eq!((changed.status, changed.text("urgency_min")), (200, "high"));
    assert_eq!(changed.text("name"), "laptop");
    let renamed = change(&ada, json!({"name": "desk"})).await;
    assert_eq!(renamed.text("urgency_min"), "high");
    assert_eq!(listed().await, renamed.json);
    for wrong in [json!("urgent"), json!(""), json!("HIGH"), json!(3)] {
        let answer = change(&ada, json!({"urgency_min": wrong})).await;
        assert_eq!(answer.fault(), (422, "urgency_min"), "{wrong}");
    }
    assert_eq!(
        change(&eve, json!({"urgency_min": "low"})).await.status,
        404
    );
    assert_eq!(listed().await["urgency_min"], "high");
}

#[tokio::test]
async fn a_device_is_renamed_by_its_user_alone() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let made = server.device(&ada, "laptop").await;
    let path = format!("/v1/devices/{}", made.text("device_id"));
    let rename = async |token: &Token, path: &str, name: &str| {
        server
            .ask("PATCH", path, &token.0, json!({"name": name}))
            .await
    };
    let renamed = rename(&ada, &path, " desk ").await;
    assert_eq!((renamed.status, renamed.text("name")), (200, "desk"));
    assert_eq!(rename(&eve, &path, "mine").await.status, 404);
    assert_eq!(rename(&ada, "/v1/devices/nonsense", "x").await.status, 404);
    assert_eq!(rename(&ada, &path, "").await.fault(), (422, "name"));
    assert_eq!(
        server
            .ask("DELETE", &path, &eve.0, Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(rename(&ada, &path, "laptop").await.text("name"), "laptop");
}

#[tokio::test]
async fn a_removed_device_is_gone_with_its_connection_and_its_sign_ins() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let other = server.sign_in("ada").await;
    let listening = server.device(&other, "phone").await;
    let third = server.sign_in("ada").await;
    let mut connection = Connection::open(&server, &device).await.unwrap();
    let mut phone = Connection::open(&server, &listening).await.unwrap();
    let path = format!("/v1/devices/{}", device.text("device_id"));
    assert_eq!(
        server
            .ask("DELETE", &path, &third.0, Value::Null)
            .await
            .status,
        204
    );
    connection.ended().await;
    assert_eq!(phone.event().await, "device.removed");
    assert!(Connection::open(&server, &device).await.is_none());
    let me = async |token: &Token| {
        server
            .ask("GET", "/v1/me", &token.0, Value::Null)
            .await
            .status
    };
    assert_eq!(
        (me(&token).await, me(&other).await, me(&third).await),
        (401, 200, 200)
    );
    assert_eq!(
        server
            .ask("DELETE", &path, &third.0, Value::Null)
            .await
            .status,
        404
    );
    server.device(&third, "tablet").await;
    assert_eq!(phone.event().await, "device.added");
}

#[tokio::test]
async fn a_device_that_signs_in_again_takes_that_sign_in_along_too() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let laptop = server.device(&token, "laptop").await;
    let others = server.device(&server.user("bob").await, "laptop").await;
    let sign_in_as = async |id: &str, password: &str| {
        let basic = STANDARD.encode(format!("{id}:{password}"));
        let body = json!({"username": "ada", "password": PASSWORD});
        let basic = format!("Basic {basic}");
        let signed_in = server.ask("POST", "/v1/sessions", &basic, body).await;
        assert_eq!(signed_in.status, 201, "{}", signed_in.json);
        let token = Token(format!("Bearer {}", signed_in.text("access_token")));
        (signed_in.json["device_id"].clone(), token)
    };
    let sign_in = async |device: &Answer, password: &str| {
        sign_in_as(device.text("device_id"), password).await
    };
    let password = |device: &Answer| device.json["mqtt"]["password"].as_str().unwrap().to_owned();
    let (on, own) = sign_in(&laptop, &password(&laptop)).await;
    assert_eq!(on, laptop.json["device_id"]);
    let (on, wrong) = sign_in(&laptop, "guessed").await;
    assert_eq!(on, Value::Null);
    let (on, another) = sign_in(&others, &password(&others)).await;
    assert_eq!(on, Value::Null);
    let path = format!("/v1/devices/{}", laptop.text("device_id"));
    let removed = server.ask("DELETE", &path, &wrong.0, Value::Null).await;
    assert_eq!(removed.status, 204);
    for (token, expected) in [(own, 401), (token, 401), (wrong, 200), (another, 200)] {
        let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
        assert_eq!(me.status, expected);
    }
    // What is no device's at all, a proxy's say.
    assert_eq!(sign_in_as("proxy", "secret").await.0, Value::Null);
    // It is not there any more.
    assert_eq!(sign_in(&laptop, &password(&laptop)).await.0, Value::Null);
}

#[tokio::test]
async fn a_removal_that_the_mailbox_refuses_may_be_tried_again() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let made = server.device(&token, "laptop").await;
    server.mailbox.close();
    let path = format!("/v1/devices/{}", made.text("device_id"));
    for _ in 0..2 {
        let refused = server.ask("DELETE", &path, &token.0, Value::Null).await;
        assert_eq!(refused.status, 503, "and not that there is none");
    }
}
