//! A permission in the RFCs' own form.

use super::*;

const POINT: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const OPTIONS: (&str, &str) = ("Content-Type", "application/webpush-options+json");

async fn subscribe(
    server: &Server,
    token: &Token,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut all = vec![("Authorization", &*token.0)];
    all.extend(headers);
    let path = format!("/v1/subscribe{query}");
    let body = body.to_owned();
    server.ask_from(1, "POST", &path, &all, body).await
}

const NEWS: &str = "?site=https://news.example";

#[tokio::test]
async fn a_subscription_is_named_in_headers_and_ended_where_it_is() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let made = subscribe(&server, &token, NEWS, &[], "").await;
    assert_eq!(made.status, 201, "{}", made.json);
    let id = made.text("permission_id");
    let location = format!("https://push.example/v1/permissions/{id}");
    assert_eq!(made.header("location"), location);
    let link = format!("<{}>; rel=\"urn:ietf:params:push\"", made.text("endpoint"));
    assert_eq!(made.header("link"), link);
    // It is the same thing as by the other way.
    let path = location.strip_prefix("https://push.example").unwrap();
    let one = server.ask("GET", path, &token.0, Value::Null).await;
    assert_eq!((one.status, one.text("site")), (200, SITE));
    for status in [204, 404] {
        let ended = server.ask("DELETE", path, &token.0, Value::Null).await;
        assert_eq!(ended.status, status);
    }
    // As many as one likes, none of which is like another.
    let again = subscribe(&server, &token, NEWS, &[], "").await;
    assert_ne!(again.header("link"), link);
}

#[tokio::test]
async fn a_key_in_the_options_restricts_it_and_what_else_is_sent_is_passed_over() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let restricted = async |headers: &[(&str, &str)], body: &str| {
        let made = subscribe(&server, &token, NEWS, headers, body).await;
        assert_eq!(made.status, 201, "{body} {}", made.json);
        let secret = made.text("endpoint").rsplit('/').next().unwrap();
        let hash = belfry_protocol::secret::SecretHash::of(secret.as_bytes());
        let endpoint = server.directory.endpoint(hash).await.unwrap().unwrap();
        // A user may have few of them.
        let path = format!("/v1/permissions/{}", made.text("permission_id"));
        let ended = server.ask("DELETE", &path, &token.0, Value::Null).await;
        assert_eq!(ended.status, 204);
        endpoint.application_server_key.is_some()
    };
    let key = json!({"vapid": POINT, "unknown": {"vapid": 1}}).to_string();
    assert!(restricted(&[OPTIONS], &key).await);
    let cased = ("Content-Type", "Application/WebPush-Options+JSON; a=b");
    assert!(restricted(&[cased], &key).await);
    assert!(!restricted(&[OPTIONS], "{}").await);
    assert!(!restricted(&[("Content-Type", "application/json")], &key).await);
    assert!(!restricted(&[("Content-Type", "text/plain")], "no JSON").await);
    assert!(!restricted(&[], &key).await);
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_named() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let check = async |query: &str, headers: &[(&str, &str)], body: &str, fault: (u16, &str)| {
        let answer = subscribe(&server, &token, query, headers, body).await;
        assert_eq!(answer.fault(), fault, "{query} {headers:?} {body}");
    };
    check("", &[], "", (400, "site")).await;
    check("?site=news.example", &[], "", (422, "site")).await;
    check("?site=http://news.example", &[], "", (422, "site")).await;
    let link = "<https://push.example/set/1>; rel=\"urn:ietf:params:push:set\"";
    check(NEWS, &[("Link", link)], "", (400, "Link")).await;
    check(NEWS, &[OPTIONS], "no JSON", (400, "body")).await;
    check(NEWS, &[OPTIONS], "", (400, "body")).await;
    check(NEWS, &[OPTIONS], "[]", (422, "body")).await;
    check(NEWS, &[OPTIONS], r#"{"vapid":7}"#, (422, "vapid")).await;
    check(NEWS, &[OPTIONS], r#"{"vapid":"AAAA"}"#, (422, "vapid")).await;
    check(NEWS, &[OPTIONS], &" ".repeat(4_097), (413, "body")).await;
    let stranger = Token("Bearer nothing".to_owned());
    let answer = subscribe(&server, &stranger, NEWS, &[], "").await;
    assert_eq!(answer.status, 401);
    let list = server.ask("GET", "/v1/permissions", &token.0, Value::Null);
    assert_eq!(list.await.json["items"], json!([]));
}
