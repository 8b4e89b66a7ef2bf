//! Promise: whoever holds a token of the role `admin` administers until it is ended, a viewer sees all
//! and changes nothing, nobody else gets in, and what was done is written down.

use crate::admins::{admin_command, answer};
use crate::harness::{PASSWORD, Setup, TestServer, roomy};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_token_administers_until_it_is_ended() {
    let server = TestServer::start();
    let admin = server.admin();
    let new = json!({"name": "ci", "role": "viewer", "ends": null});
    let (status, made) = admin.post("/tokens", new.clone()).await;
    assert_eq!(status, 201, "{made}");
    let (status, listed) = admin.get("/tokens").await;
    assert_eq!(status, 200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["items"][0]["id"], made["id"]);
    let ended = admin_command(server.data(), &["token", "end", &admin.token_id]);
    assert!(ended.succeeded, "{}", ended.error);
    let (status, problem) = admin.get("/tokens").await;
    assert_eq!(status, 401, "{problem}");
    assert_eq!(admin.post("/tokens", new).await.0, 401);
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() {
    let server = TestServer::start();
    let (admin, viewer) = (server.admin(), server.admin_as("viewer"));
    assert_eq!(viewer.get("/tokens").await.0, 200);
    assert_eq!(viewer.get("/audit").await.0, 200);
    let before = admin.get("/tokens").await.1["items"]
        .as_array()
        .map(Vec::len);
    let new = json!({"name": "mine", "role": "admin", "ends": null});
    let (status, problem) = viewer.post("/tokens", new).await;
    assert_eq!(status, 403);
    assert!(
        problem["type"]
            .as_str()
            .expect("a type")
            .ends_with("/viewer")
    );
    let end = viewer.delete(&format!("/tokens/{}", admin.token_id)).await;
    assert_eq!(end.0, 403);
    let after = admin.get("/tokens").await.1["items"]
        .as_array()
        .map(Vec::len);
    assert_eq!(before, after);
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let server = TestServer::start();
    let admin = server.admin();
    server.user("ada").await;
    let signed_in = server.client().sign_in("ada", PASSWORD, None).await;
    let http = server.http_client();
    let url = format!("{}/admin/v1/tokens", server.url());
    let token = signed_in.expect("a sign-in").access_token;
    for request in [
        http.get(&url),
        http.get(&url).bearer_auth("belfry_admin_made-up"),
        http.get(&url).bearer_auth(token),
        http.get(&url).basic_auth("ada", Some("made-up")),
    ] {
        let (status, problem) = answer(request).await;
        assert_eq!(status, 401, "{problem}");
        assert!(
            problem["type"]
                .as_str()
                .expect("a type")
                .ends_with("/signed-out")
        );
    }
    // Nor does the admins' token open what is the users'.
    let me = http
        .get(format!("{}/v1/me", server.url()))
        .bearer_auth(&admin.token);
    assert_eq!(answer(me).await.0, 401);
}

#[tokio::test]
async fn what_was_done_is_written_down_and_tampering_shows() {
    let server = TestServer::start();
    let admin = server.admin();
    let new = json!({"name": "ci", "role": "viewer", "ends": null});
    let (_, made) = admin.post("/tokens", new).await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(admin.delete(&format!("/tokens/{id}")).await.0, 204);
    let (_, listed) = admin.get("/audit").await;
    let acts: Vec<_> = listed["items"].as_array().expect("items").iter().collect();
    let told: Vec<_> = acts
        .iter()
        .map(|row| {
            (
                row["act"].as_str(),
                row["target"].as_str(),
                row["actor_kind"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("token.end"), Some("ci"), Some("token")),
            (Some("token.create"), Some("ci"), Some("token")),
            (Some("token.create"), Some("test"), Some("operator")),
        ]
    );
    let (_, found) = admin.get("/audit?act=token.end&search=CÍ").await;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    let (_, first) = admin.get("/audit?limit=2&sort=n").await;
    let next = first["next"].as_str().expect("more").to_owned();
    let (_, second) = admin
        .get(&format!("/audit?limit=2&sort=n&cursor={next}"))
        .await;
    assert_eq!(
        (&first["items"][0]["n"], &second["items"][0]["n"]),
        (&json!(1), &json!(3))
    );
    let (_, verified) = admin.post("/audit/verify", json!({})).await;
    assert_eq!(
        (&verified["ok"], &verified["rows"]),
        (&json!(true), &json!(3))
    );
    let head = verified["head"].as_str().expect("a hash");
    let known = format!("/audit/verify?n=3&hash={head}");
    assert_eq!(admin.post(&known, json!({})).await.1["ok"], true);
    let other = format!("/audit/verify?n=2&hash={head}");
    assert_eq!(admin.post(&other, json!({})).await.1["broken_at"], 2);
    let export = admin.request(Method::GET, "/audit.ndjson").send().await;
    let lines = export.expect("an answer").text().await.expect("a body");
    assert_eq!(lines.lines().count(), 3);
    assert!(!lines.contains(&admin.token));
}

#[tokio::test]
async fn admins_may_have_an_address_of_their_own() {
    let mut environment = roomy();
    let key = "BELFRY__ADMIN__LISTEN".to_owned();
    environment.push((key, "127.0.0.1:0".to_owned()));
    let server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let token = server.admin().token;
    server.user("ada").await;
    let promoted = admin_command(server.data(), &["user", "role", "ada", "admin"]);
    assert!(promoted.succeeded, "{}", promoted.error);
    let own = format!("http://{}", server.admin_address.expect("one is bound"));
    let http = server.http_client();
    let status = async |url: String| answer(http.get(url).bearer_auth(&token)).await.0;
    for path in ["/admin/v1/tokens", "/admin"] {
        assert_eq!(status(format!("{own}{path}")).await, 200, "{path}");
        assert_eq!(
            status(format!("{}{path}", server.url())).await,
            404,
            "{path}"
        );
    }
    for path in ["/v1/auth/providers", "/", "/metrics", "/openapi.json"] {
        assert_eq!(status(format!("{own}{path}")).await, 404, "{path}");
        assert_eq!(
            status(format!("{}{path}", server.url())).await,
            200,
            "{path}"
        );
    }
    let sign_in = async |origin: &str| {
        let body = json!({"username": "ada", "password": PASSWORD});
        let request = http.post(format!("{own}/admin/v1/sign-in")).json(&body);
        let request = request.header("Origin", origin);
        answer(request.header("X-Belfry-Admin", "1")).await.0
    };
    assert_eq!(sign_in(&own).await, 200);
    // A page of what is served to users is another site here.
    assert_eq!(sign_in(&server.url()).await, 403);
}
