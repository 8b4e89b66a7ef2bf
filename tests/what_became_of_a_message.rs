//! Promise: by a message URL an admin sees what became of a notification, without what it says, whose it
//! is or where it went; its site sees that it was accepted and stored, and nothing of the mailbox.

use crate::admins::AdminApi;
use crate::harness::{Approved, PASSWORD, Setup, TestServer, marked_body, roomy};
use crate::mqtt::{Client, Version};
use serde_json::{Value, json};
use std::time::Duration;

/// Posts, and gives the message URL.
async fn post(site: &Approved, headers: &[(&str, &str)]) -> String {
    let mut request = reqwest::Client::new()
        .post(&site.permission.endpoint)
        .header("Content-Encoding", "crypto-box")
        .body(marked_body(1));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().expect("text");
    location.to_owned()
}

async fn trace(admin: &AdminApi, message: &str) -> Value {
    let (status, trace) = admin.post("/trace", json!({"message": message})).await;
    assert_eq!(status, 200, "{trace}");
    trace
}

fn milestones(trace: &Value) -> Vec<&str> {
    let milestones = trace["milestones"].as_array().expect("a list");
    let what = milestones.iter().map(|milestone| &milestone["what"]);
    what.map(|what| what.as_str().expect("a word")).collect()
}

/// What its site is answered.
async fn seen_by_site(server: &TestServer, message: &str) -> (u16, Value) {
    let sealed = message.rsplit('/').next().expect("a last part");
    let url = format!("{}/v1/messages/{sealed}", server.url());
    crate::admins::answer(reqwest::Client::new().get(url)).await
}

#[tokio::test]
async fn an_admin_sees_what_became_of_it_and_its_site_that_it_was_stored() {
    let mut server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;

    let delivered = post(&site, &[("TTL", "600"), ("Urgency", "high")]).await;
    let before = seen_by_site(&server, &delivered).await;
    let got = client.next().await.expect("it comes");
    let seen = trace(&admin, &delivered).await;
    assert_eq!(milestones(&seen), ["accepted", "stored"]);
    assert_eq!(
        (&seen["site"], &seen["urgency"], &seen["bytes"]),
        (&"https://news.example".into(), &"high".into(), &168.into())
    );
    client.acknowledge(&got).await.expect("sent");
    // Settled state is durable within 200 ms; the tracing sees it then.
    while milestones(&trace(&admin, &delivered).await) != ["accepted", "stored", "delivered"] {}
    client.disconnect().await;

    let replaced = post(&site, &[("TTL", "600"), ("Topic", "score")]).await;
    let withdrawn = post(&site, &[("TTL", "600"), ("Topic", "score")]).await;
    let gone = reqwest::Client::new().delete(&withdrawn).send().await;
    assert_eq!(gone.expect("an answer").status(), 204);
    let waiting = post(&site, &[("TTL", "600")]).await;
    assert_eq!(
        milestones(&trace(&admin, &replaced).await),
        ["accepted", "stored", "replaced"]
    );
    assert_eq!(
        milestones(&trace(&admin, &withdrawn).await),
        ["accepted", "stored", "withdrawn"]
    );
    assert_eq!(
        milestones(&trace(&admin, &waiting).await),
        ["accepted", "stored"]
    );
    assert!(server.terminate().success());
    server.restart();
    let (admin, signed_in) = (
        server.admin(),
        server.client().sign_in("ada", PASSWORD, None).await,
    );
    let signed_in = signed_in.expect("a sign-in");
    let client = server.client().with_token(signed_in.access_token);
    let revoked = client.revoke_permission(site.permission.permission_id);
    revoked.await.expect("revoked");
    assert_eq!(
        milestones(&trace(&admin, &waiting).await),
        ["accepted", "stored", "revoked"]
    );
    assert_eq!(
        milestones(&trace(&admin, &replaced).await),
        ["accepted", "stored", "replaced"]
    );

    for message in [&delivered, &replaced, &withdrawn, &waiting] {
        let (status, said) = seen_by_site(&server, message).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(
            said["milestones"], before.1["milestones"],
            "whatever has become of it"
        );
        let text = trace(&admin, message).await.to_string();
        for private in [
            &user.id,
            &device.device_id.to_string(),
            &site.permission.permission_id.to_string(),
        ] {
            assert!(!text.contains(private.as_str()), "{text}");
        }
    }
    assert_eq!(milestones(&before.1), ["accepted", "stored"]);
}

#[tokio::test]
async fn one_that_expired_or_was_never_stored_is_told_apart() {
    let mut environment = roomy();
    environment.push(("BELFRY__RETENTION__HISTORY".to_owned(), "1h".to_owned()));
    let server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let admin = server.admin();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    client.disconnect().await;
    let short = post(&site, &[("TTL", "1")]).await;
    let expired = async {
        while milestones(&trace(&admin, &short).await) != ["accepted", "stored", "expired"] {}
    };
    let expired = tokio::time::timeout(Duration::from_secs(20), expired).await;
    expired.expect("it expires");
    assert_eq!(seen_by_site(&server, &short).await.0, 404);
    let never = post(&site, &[("TTL", "0")]).await;
    for unknown in [
        never.as_str(),
        "https://push.example/push/message/x",
        "",
        &short[..short.len() - 1],
    ] {
        let (status, _) = admin.post("/trace", json!({"message": unknown})).await;
        assert_eq!(status, 404, "{unknown}");
    }
    assert_eq!(seen_by_site(&server, &never).await.0, 404);
    let viewer = server.admin_as("viewer");
    assert_eq!(
        viewer.post("/trace", json!({"message": short})).await.0,
        200
    );
}
