//! Which sites may notify.

use super::devices::Connection;
use super::*;

#[tokio::test]
async fn an_approved_site_gets_an_endpoint_that_is_shown_once() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let made = server.approve(&token, "https://News.Example:443/").await;
    assert_eq!(made.status, 201);
    let (id, endpoint) = (made.text("permission_id"), made.text("endpoint"));
    let expected = json!({
        "permission_id": id, "site": SITE, "state": "allowed", "endpoint": endpoint, "expirationTime": null,
    });
    assert_eq!(made.json, expected);
    let secret = endpoint.strip_prefix("https://push.example/push/").unwrap();
    assert!(secret.len() >= 27, "160 bits");
    for path in [
        "/v1/permissions".to_owned(),
        format!("/v1/permissions/{id}"),
    ] {
        let answer = server.ask("GET", &path, &token.0, Value::Null).await;
        let text = String::from_utf8_lossy(&answer.bytes);
        assert!(
            answer.status == 200 && text.contains(id) && !text.contains(secret),
            "{text}"
        );
    }
    let again = server.approve(&token, SITE).await;
    assert_ne!(again.text("permission_id"), id);
    assert_ne!(again.text("endpoint"), endpoint);
    // Ending one leaves the other.
    let path = format!("/v1/permissions/{id}");
    assert_eq!(
        server
            .ask("DELETE", &path, &token.0, Value::Null)
            .await
            .status,
        204
    );
    let other = format!("/v1/permissions/{}", again.text("permission_id"));
    assert_eq!(
        server
            .ask("GET", &other, &token.0, Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_permission_is_named() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let check = async |change: Value, field: &str| {
        let mut body = json!({"site": SITE});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = server.ask("POST", "/v1/permissions", &token.0, body).await;
        assert_eq!(answer.fault(), (422, field), "{change}");
    };
    for site in [
        "",
        "news.example",
        "http://news.example",
        "ftp://news.example",
        "https://news.example/path",
        "https://news.example/?query",
        "https://news.example#part",
        "https://me@news.example",
        "https://me:secret@news.example",
        "javascript:alert(1)",
        "https://",
    ] {
        check(json!({"site": site}), "site").await;
    }
    check(json!({"site": null}), "site").await;
    check(json!({"receipts": "yes"}), "receipts").await;
    check(json!({"name": "a\u{1b}[31m"}), "name").await;
    let point =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let off_curve = format!("{}x", &point[..86]);
    let compressed = "AyVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx";
    for key in ["", "AAAA", "!", &off_curve, compressed] {
        check(
            json!({"application_server_key": key}),
            "application_server_key",
        )
        .await;
    }
    for body in [
        json!({"site": "http://localhost:3000", "receipts": true, "name": "here"}),
        json!({"site": SITE, "application_server_key": point}),
    ] {
        let made = server.ask("POST", "/v1/permissions", &token.0, body).await;
        assert_eq!(made.status, 201, "{}", made.json);
    }
}

#[tokio::test]
async fn a_permission_is_muted_renamed_and_revoked_and_devices_are_told() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let mut connection = Connection::open(&server, &device).await.unwrap();
    let made = server.approve(&token, SITE).await;
    let id = made.text("permission_id");
    let path = format!("/v1/permissions/{id}");
    assert_eq!(connection.event().await, "permission.granted");
    let change = async |body: Value| server.ask("PATCH", &path, &token.0, body).await;
    let muted = change(json!({"state": "muted", "name": "News", "receipts": true})).await;
    let created = Timestamp::from_millis(START).to_string();
    let expected = json!({
        "permission_id": id, "site": SITE, "name": "News", "state": "muted", "receipts": true,
        "created": created, "accepted": 0, "last_used": null,
    });
    assert_eq!((muted.status, &muted.json), (200, &expected));
    let got = server.ask("GET", &path, &token.0, Value::Null).await;
    assert_eq!(got.json, expected);
    assert_eq!(change(json!({})).await.json, expected);
    assert_eq!(
        change(json!({"name": null})).await.json["name"],
        Value::Null
    );
    for state in ["revoked", "asleep", "Muted"] {
        assert_eq!(
            change(json!({"state": state})).await.fault(),
            (422, "state"),
            "{state}"
        );
    }
    assert_eq!(change(json!({"name": ""})).await.fault(), (422, "name"));
    assert_eq!(
        change(json!({"state": "allowed"})).await.text("state"),
        "allowed"
    );
    let id: PermissionId = id.parse().unwrap();
    let user = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
    let user: UserId = user.text("user_id").parse().unwrap();
    let now = Timestamp::from_millis(START + 5_000);
    let site = SITE.parse().unwrap();
    for _ in 0..7 {
        server.directory.note_use(user, id, &site, now);
    }
    let used = server.ask("GET", &path, &token.0, Value::Null).await;
    assert_eq!(
        (&used.json["accepted"], used.text("last_used")),
        (&json!(7), &*now.to_string())
    );
    assert_eq!(
        server
            .ask("DELETE", &path, &token.0, Value::Null)
            .await
            .status,
        204
    );
    for event in ["muted", "allowed", "revoked"] {
        assert_eq!(connection.event().await, format!("permission.{event}"));
    }
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({"state": "allowed"})),
        ("DELETE", Value::Null),
    ] {
        assert_eq!(
            server.ask(method, &path, &token.0, body).await.status,
            404,
            "{method}"
        );
    }
    let listed = server
        .ask("GET", "/v1/permissions", &token.0, Value::Null)
        .await;
    assert_eq!(listed.json, json!({"items": [], "next": null}));
}

#[tokio::test]
async fn a_permission_is_its_users_alone() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let made = server.approve(&ada, SITE).await;
    let path = format!("/v1/permissions/{}", made.text("permission_id"));
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({"state": "muted"})),
        ("DELETE", Value::Null),
    ] {
        assert_eq!(
            server.ask(method, &path, &eve.0, body).await.status,
            404,
            "{method}"
        );
    }
    assert_eq!(
        server
            .ask("GET", &path, &ada.0, Value::Null)
            .await
            .text("state"),
        "allowed"
    );
}

#[tokio::test]
async fn a_user_has_so_many_permissions_that_are_not_revoked() {
    let server = Arc::new(Server::new().await);
    let token = Arc::new(server.user("ada").await);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (server, token) = (Arc::clone(&server), Arc::clone(&token));
        asking.spawn(async move { server.approve(&token, SITE).await });
    }
    let answers = asking.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 4);
    for answer in refused {
        assert_eq!(
            (answer.status, answer.kind()),
            (409, "too-many-permissions")
        );
        assert_eq!(answer.json["limit"], 4);
    }
    let path = format!("/v1/permissions/{}", made[0].text("permission_id"));
    assert_eq!(
        server
            .ask("DELETE", &path, &token.0, Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(server.approve(&token, SITE).await.status, 201);
}
