//! Invitations and resets.

use super::*;

#[tokio::test]
async fn links_are_made_listed_and_ended() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let bob = server.account("bob", Role::None).await;
    let mut ada = server.signed_in("ada").await;
    let invite = server.ask(&mut ada, "POST", "/invites", json!({})).await;
    assert_eq!(invite.status, 201, "{}", invite.json);
    let link = invite.json["link"].as_str().unwrap();
    assert!(link.starts_with("https://push.example/#invite="), "{link}");
    let reset = format!("/users/{bob}/reset");
    server.later(1);
    let first = server.ask(&mut ada, "POST", &reset, json!({})).await;
    let second = server.ask(&mut ada, "POST", &reset, json!({})).await;
    assert_eq!((first.status, second.status), (201, 201));
    let token = |answer: &Answer| {
        let link = answer.json["link"].as_str().unwrap();
        let token = link.strip_prefix("https://push.example/#reset=").unwrap();
        belfry_protocol::secret::SecretHash::of(token.as_bytes())
    };
    let reset_of = async |answer: &Answer| {
        let of = server
            .admin
            .directory
            .reset_of(token(answer), server.admin.now());
        of.await.unwrap().map(|(_, name)| name)
    };
    assert_eq!(reset_of(&first).await, None, "the newer one voids it");
    assert_eq!(reset_of(&second).await.as_deref(), Some("bob"));
    let listed = server.get(&mut ada, "/links").await;
    let items = listed.json["items"].as_array().unwrap();
    let kinds: Vec<_> = items
        .iter()
        .map(|item| (&item["kind"], &item["about"]))
        .collect();
    assert_eq!(
        kinds,
        [
            (&json!("reset"), &json!("bob")),
            (&json!("invite"), &Value::Null)
        ]
    );
    assert!(!listed.json.to_string().contains(link));
    let path = format!("/links/{}", second.json["id"].as_str().unwrap());
    assert_eq!(
        server
            .ask(&mut ada, "DELETE", &path, Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        server
            .ask(&mut ada, "DELETE", &path, Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(reset_of(&second).await, None);
    server.later(7 * 86_400);
    let mut ada = server.signed_in("ada").await;
    assert_eq!(
        server.get(&mut ada, "/links").await.json["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_link_ends_at_most_30_days_ahead() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    let at = |days: u64| Timestamp::from_millis(START).plus(Duration::from_secs(days * 86_400));
    for (ends, status) in [(0, 422), (1, 201), (30, 201), (31, 422)] {
        let body = json!({"ends": at(ends)});
        let answer = server.ask(&mut ada, "POST", "/invites", body).await;
        assert_eq!(answer.status, status, "{ends} days: {}", answer.json);
    }
    let nobody = format!("/users/{}/reset", UserId::from_bytes([9; 16]));
    let answer = server.ask(&mut ada, "POST", &nobody, json!({})).await;
    assert_eq!(answer.status, 404);
}
