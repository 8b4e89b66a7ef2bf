//! The mailbox over HTTP.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::NotificationId;
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::topic::Filter;
use belfry_store::mailbox::Accept;

/// A user with a device and a permission.
struct Mailbox {
    server: Server,
    token: Token,
    basic: Token,
    user: UserId,
    device: DeviceId,
    permission: PermissionId,
}

impl Mailbox {
    async fn new() -> Self {
        let server = Server::new().await;
        let token = server.user("ada").await;
        let made = server.device(&token, "laptop").await;
        let permission = server.approve(&token, SITE).await;
        let mqtt = |member: &str| made.json["mqtt"][member].as_str().unwrap();
        let basic = STANDARD.encode(format!("{}:{}", mqtt("client_id"), mqtt("password")));
        Self {
            user: mqtt("username").parse().unwrap(),
            device: mqtt("client_id").parse().unwrap(),
            permission: permission.text("permission_id").parse().unwrap(),
            basic: Token(format!("Basic {basic}")),
            token,
            server,
        }
    }

    async fn command(&self, command: Command) {
        let outcomes = self.server.mailbox.apply(vec![command]).await;
        outcomes
            .into_iter()
            .for_each(|outcome| drop(outcome.unwrap()));
    }

    async fn store(&self, number: u8) {
        let now = self.server.now.load(Ordering::SeqCst);
        let envelope = Envelope {
            id: id(number),
            permission: self.permission,
            site: SITE.parse().unwrap(),
            sent: Timestamp::from_millis(now),
            expires: Timestamp::from_millis(now + 60_000),
            urgency: Urgency::High,
            collapse: None,
            encoding: ContentEncoding::CryptoBox,
            body: Bytes::from(vec![number; 168]),
        };
        let (user, idempotency) = (self.user, None);
        let accept = Accept {
            user,
            envelope,
            idempotency,
            receipts: None,
        };
        self.command(Command::Accept(Box::new(accept))).await;
    }

    async fn get(&self, path: &str) -> Answer {
        self.server
            .ask("GET", path, &self.token.0, Value::Null)
            .await
    }

    async fn seqs(&self, query: &str) -> (Vec<u64>, Value) {
        let answer = self.get(&format!("/v1/notifications{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.json);
        let items = answer.json["items"].as_array().unwrap();
        let seqs = items.iter().map(|item| item["seq"].as_u64().unwrap());
        (seqs.collect(), answer.json["next"].clone())
    }

    async fn acknowledge(&self, auth: &Token, ids: Value) -> Answer {
        let path = "/v1/notifications/ack";
        self.server
            .ask("POST", path, &auth.0, json!({"ids": ids}))
            .await
    }
}

fn id(number: u8) -> NotificationId {
    NotificationId::from_bytes([number; 16])
}

#[tokio::test]
async fn a_user_and_a_device_read_the_mailbox() {
    let mailbox = Mailbox::new().await;
    mailbox.store(1).await;
    let path = format!("/v1/notifications/{}", id(1));
    let seen = Command::Seen {
        user: mailbox.user,
        ids: vec![id(1)],
    };
    for expected in [false, true] {
        let one = mailbox.get(&path).await;
        assert_eq!(one.status, 200);
        assert_eq!(one.json["seen"], expected);
        assert_eq!(one.text("id"), id(1).to_string());
        let sent: Timestamp = one.text("sent").parse().unwrap();
        assert_eq!(one.header("last-modified"), sent.http_date());
        for member in [
            "permission",
            "site",
            "sent",
            "expires",
            "urgency",
            "encoding",
            "body",
        ] {
            assert!(one.json[member].is_string(), "{member} in {}", one.json);
        }
        assert!(one.json.get("topic").is_none());
        let whole = json!({"items": [one.json], "next": null});
        assert_eq!(mailbox.get("/v1/notifications").await.json, whole);
        for auth in [&mailbox.token, &mailbox.basic] {
            let list = mailbox
                .server
                .ask("GET", "/v1/notifications", &auth.0, Value::Null)
                .await;
            assert_eq!(list.json, whole);
            let again = mailbox.server.ask("GET", &path, &auth.0, Value::Null).await;
            assert_eq!(again.json, one.json);
        }
        mailbox.command(seen.clone()).await;
    }
    let eve = mailbox.server.user("eve").await;
    let answer = mailbox.server.ask("GET", &path, &eve.0, Value::Null).await;
    assert_eq!(answer.status, 404);
    assert_eq!(mailbox.get("/v1/notifications/nonsense").await.status, 404);
    mailbox.server.later(60);
    assert_eq!(mailbox.get(&path).await.status, 404, "expired");
}

#[tokio::test]
async fn the_mailbox_is_paged_by_seq_both_ways() {
    let mailbox = Mailbox::new().await;
    for number in 1..=5 {
        mailbox.store(number).await;
    }
    let check = async |query: &str, expected: &[u64], more: bool| {
        let (seqs, next) = mailbox.seqs(query).await;
        assert_eq!((&*seqs, !next.is_null()), (expected, more), "{query}");
        next
    };
    check("", &[1, 2, 3, 4, 5], false).await;
    check("?after=3", &[4, 5], false).await;
    check("?after=5", &[], false).await;
    check("?before=3", &[2, 1], false).await;
    check("?before=18446744073709551615&limit=2", &[5, 4], true).await;
    check("?after=18446744073709551615", &[], false).await;
    check("?limit=5", &[1, 2, 3, 4, 5], false).await;
    let next = check("?after=1&limit=2", &[2, 3], true).await;
    let next = next.as_str().unwrap();
    check(&format!("?limit=2&cursor={next}"), &[4, 5], false).await;
    let next = check("?before=5&limit=2", &[4, 3], true).await;
    let next = next.as_str().unwrap();
    for goes_on in [
        format!("?limit=2&cursor={next}"),
        format!("?before=5&limit=2&cursor={next}"),
    ] {
        mailbox.store(6).await;
        check(&goes_on, &[2, 1], false).await;
    }
    for (query, status, field) in [
        ("after=x", 400, "after"),
        ("before=-1", 400, "before"),
        ("after=1&before=2", 400, "before"),
        ("limit=0", 422, "limit"),
        ("cursor=3", 400, "cursor"),
        ("cursor=x3", 400, "cursor"),
        ("cursor=", 400, "cursor"),
        ("cursor=%C3%A9", 400, "cursor"),
    ] {
        let answer = mailbox.get(&format!("/v1/notifications?{query}")).await;
        assert_eq!(answer.fault(), (status, field), "{query}");
    }
}

#[tokio::test]
async fn a_device_acknowledges_over_http_as_by_puback() {
    let mailbox = Mailbox::new().await;
    mailbox.store(1).await;
    // Nothing is owed to a device that never connected.
    assert_eq!(
        mailbox
            .acknowledge(&mailbox.basic, json!([id(1)]))
            .await
            .status,
        204
    );
    let (user, device) = (mailbox.user, mailbox.device);
    let expiry = Duration::from_secs(3_600);
    mailbox
        .command(Command::OpenSession {
            user,
            device,
            clean: false,
            expiry,
            will: None,
        })
        .await;
    let filter = Filter::Everything;
    let options = belfry_store::mailbox::SubscriptionOptions {
        at_least_once: true,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    };
    mailbox
        .command(Command::Subscribe {
            user,
            device,
            filters: vec![(filter, options)],
        })
        .await;
    mailbox.store(2).await;
    mailbox.store(3).await;
    let ids = json!([id(2), id(9), id(2)]);
    assert_eq!(mailbox.acknowledge(&mailbox.basic, ids).await.status, 204);
    let acked = Command::OpenSession {
        user,
        device,
        clean: false,
        expiry,
        will: None,
    };
    let outcome = mailbox
        .server
        .mailbox
        .apply(vec![acked])
        .await
        .remove(0)
        .unwrap();
    let belfry_store::mailbox::Outcome::Session { row, .. } = outcome else {
        panic!("a session");
    };
    assert_eq!((row.acked.0, row.holes.len()), (2, 0));
}

#[tokio::test]
async fn what_is_wrong_with_an_acknowledgement_is_named() {
    let mailbox = Mailbox::new().await;
    let refused = mailbox.acknowledge(&mailbox.token, json!([])).await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, "Basic")
    );
    let other = Token(format!(
        "Basic {}",
        STANDARD.encode(format!("{}:wrong", mailbox.device))
    ));
    assert_eq!(mailbox.acknowledge(&other, json!([])).await.status, 401);
    for ids in [
        json!(null),
        json!("x"),
        json!(["nonsense"]),
        json!(vec![id(1); 1_001]),
    ] {
        let answer = mailbox.acknowledge(&mailbox.basic, ids).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text("field").starts_with("ids"), "{}", answer.json);
    }
    let most = json!(vec![id(1); 1_000]);
    assert_eq!(mailbox.acknowledge(&mailbox.basic, most).await.status, 204);
    assert_eq!(
        mailbox.acknowledge(&mailbox.basic, json!([])).await.status,
        204
    );
}
