//! Promise: a right that is taken away counts for nothing, also for a request that was begun before and
//! whose body was held back.

use crate::harness::{PASSWORD, PATIENCE, TestServer};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// A request whose caller was let in, and whose body did not come yet.
struct HeldBack {
    stream: TcpStream,
    body: String,
}

impl HeldBack {
    /// `route` is method and path. The server asks for a body when it wants to read it, and not before.
    fn begin(server: &TestServer, route: &str, token: &str, body: &str) -> Self {
        let address = server.url();
        let address = address.strip_prefix("http://").expect("plain http");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        let head = format!(
            "{route} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut asked).expect("it is asked for");
        assert!(asked.starts_with(b"HTTP/1.1 100 "), "{asked:?}");
        let body = body.to_owned();
        Self { stream, body }
    }

    /// The status.
    fn end(mut self) -> u16 {
        self.stream.write_all(self.body.as_bytes()).expect("sent");
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }
}

#[tokio::test]
async fn an_admins_token_that_was_ended_makes_no_other() {
    let server = TestServer::start();
    let (admin, other) = (server.admin(), server.admin());
    let new = r#"{"name":"more","role":"admin","ends":null}"#;
    let begin = |token: &str| HeldBack::begin(&server, "POST /admin/v1/tokens", token, new);
    assert_eq!(begin(&other.token).end(), 201, "nothing was taken away");
    let held = begin(&other.token);
    let ended = admin.delete(&format!("/tokens/{}", other.token_id)).await;
    assert_eq!(ended.0, 204);
    assert_eq!(held.end(), 401);
}

#[tokio::test]
async fn a_users_sign_in_that_was_ended_makes_no_device() {
    let server = TestServer::start();
    server.user("ada").await;
    let [token, other] = [
        server.client().sign_in("ada", PASSWORD, None).await,
        server.client().sign_in("ada", PASSWORD, None).await,
    ]
    .map(|signed_in| signed_in.expect("a sign-in").access_token);
    let new = json!({"name": "more", "kind": "cli", "public_key": "A".repeat(43)}).to_string();
    let held = HeldBack::begin(&server, "POST /v1/devices", &token, &new);
    let http = server.http_client();
    let change = http.put(format!("{}/v1/me/password", server.url()));
    let passwords = json!({"old": PASSWORD, "new": "another one that is long"});
    let changed = change.bearer_auth(&other).json(&passwords).send().await;
    assert_eq!(changed.expect("an answer").status(), 204);
    assert_eq!(held.end(), 401);
}

#[tokio::test]
async fn a_banned_user_approves_nothing_more() {
    let server = TestServer::start();
    server.user("ada").await;
    let signed_in = server.client().sign_in("ada", PASSWORD, None).await;
    let token = signed_in.expect("a sign-in").access_token;
    let new = r#"{"site":"https://news.example"}"#;
    let begin = || HeldBack::begin(&server, "POST /v1/permissions", &token, new);
    assert_eq!(begin().end(), 201, "nothing was taken away");
    let held = begin();
    let ban = json!({"kind": "user", "value": "ada", "reason": "", "ends": null});
    assert_eq!(server.admin().post("/bans", ban).await.0, 201);
    assert_eq!(held.end(), 403);
}
