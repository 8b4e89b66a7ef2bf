//! Signing in and out.

use super::*;

async fn try_from(server: &Server, from: u8, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    let headers = [("Content-Type", "application/json")];
    server
        .ask_from(from, "POST", "/v1/sessions", &headers, body.to_string())
        .await
}

#[tokio::test]
async fn a_token_is_for_its_user_and_lives_by_use() {
    let server = Server::new().await;
    server.user("ada").await;
    let signed_in = try_from(&server, 1, "ada", PASSWORD).await;
    assert_eq!(signed_in.status, 201);
    assert_eq!(signed_in.text("token_type"), "Bearer");
    assert_eq!(signed_in.json["expires_in"], 30 * 86_400);
    signed_in.text("user_id").parse::<UserId>().unwrap();
    assert_eq!(signed_in.json.as_object().unwrap().len(), 4);
    let token = format!("bearer {}", signed_in.text("access_token"));
    let me = async || {
        server
            .ask("GET", "/v1/me", &token, Value::Null)
            .await
            .status
    };
    for _ in 0..3 {
        server.later(29 * 86_400);
        assert_eq!(me().await, 200);
    }
    server.later(30 * 86_400 + 1);
    assert_eq!(me().await, 401);
}

#[tokio::test]
async fn no_token_and_a_bad_one_are_refused_with_what_to_send() {
    let server = Server::new().await;
    for auth in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer made-up",
        "Token x",
        "Basic !",
        "Basic YTpi",
    ] {
        let answer = server.ask("GET", "/v1/me", auth, Value::Null).await;
        assert_eq!(answer.status, 401, "{auth}");
    }
    let answer = server.ask("GET", "/v1/me", "", Value::Null).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let server = Server::new().await;
    server.user("ada").await;
    let name = try_from(&server, 1, "nobody", PASSWORD).await;
    let password = try_from(&server, 1, "ada", "wrong password").await;
    assert_eq!((name.status, password.status), (401, 401));
    assert_eq!(name.bytes, password.bytes);
    let long = try_from(&server, 1, &"x".repeat(10_000), PASSWORD).await;
    assert_eq!(long.bytes, name.bytes);
}

#[tokio::test]
async fn failures_bring_waits_that_grow_until_the_right_password() {
    let server = Server::new().await;
    server.user("ada").await;
    for _ in 0..5 {
        assert_eq!(
            try_from(&server, 1, "ada", "wrong password").await.status,
            401
        );
    }
    let mut waits = Vec::new();
    for _ in 0..12 {
        let refused = try_from(&server, 1, "Ada", PASSWORD).await;
        assert_eq!(refused.status, 429, "even the right one");
        assert_eq!(refused.json["limit"], 5);
        assert!(refused.json["resets"].is_string() && refused.json["scope"].is_string());
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        server.later(wait);
        waits.push(wait);
        assert_eq!(
            try_from(&server, 1, "ada", "wrong password").await.status,
            401
        );
    }
    assert_eq!(waits[..5], [12, 24, 48, 96, 192]);
    assert!(waits.is_sorted() && waits[11] == 3_600, "{waits:?}");
    // Another name and another address are free.
    assert_eq!(try_from(&server, 1, "nobody", PASSWORD).await.status, 401);
    assert_eq!(try_from(&server, 2, "ada", PASSWORD).await.status, 201);
    server.later(3_600);
    assert_eq!(try_from(&server, 1, "ada", PASSWORD).await.status, 201);
    for _ in 0..4 {
        assert_eq!(
            try_from(&server, 1, "ada", "wrong password").await.status,
            401
        );
    }
    assert_eq!(try_from(&server, 1, "ada", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn unknown_names_are_counted_like_known_ones() {
    let server = Server::new().await;
    for attempt in 0..6 {
        let answer = try_from(&server, 1, "nobody", PASSWORD).await;
        assert_eq!(answer.status, if attempt < 5 { 401 } else { 429 });
    }
}

#[tokio::test]
async fn a_few_failures_are_forgotten_after_a_minute() {
    let server = Server::new().await;
    server.user("ada").await;
    for _ in 0..5 {
        for _ in 0..4 {
            assert_eq!(
                try_from(&server, 1, "ada", "wrong password").await.status,
                401
            );
        }
        server.later(60);
    }
}

#[tokio::test]
async fn guesses_sent_at_once_are_judged_one_after_the_other() {
    let server = Arc::new(Server::new().await);
    server.user("ada").await;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let server = Arc::clone(&server);
        guesses.spawn(async move { try_from(&server, 1, "ada", "wrong password").await.status });
    }
    let mut answers = guesses.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers[..5], [401; 5]);
    assert_eq!(answers[5..], [429; 15]);
    // The right password may come as often at once as its owner likes.
    let mut sign_ins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let server = Arc::clone(&server);
        sign_ins.spawn(async move { try_from(&server, 2, "ada", PASSWORD).await.status });
    }
    assert_eq!(sign_ins.join_all().await, [201; 20]);
}

#[tokio::test]
async fn sign_ins_are_listed_and_ended() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    server.later(1);
    let newer = server.sign_in("ada").await;
    let list = async |token: &Token| {
        server
            .ask("GET", "/v1/sessions", &token.0, Value::Null)
            .await
    };
    let listed = list(&ada).await;
    let items = listed.json["items"].as_array().unwrap().clone();
    let current: Vec<_> = items.iter().map(|item| item["current"].clone()).collect();
    assert_eq!(current, [false, true], "newest first");
    assert!(
        !String::from_utf8_lossy(&listed.bytes).contains(ada.0.strip_prefix("Bearer ").unwrap())
    );
    let path = format!("/v1/sessions/{}", items[0]["id"].as_str().unwrap());
    let end = async |token: &Token, path: &str| {
        server
            .ask("DELETE", path, &token.0, Value::Null)
            .await
            .status
    };
    assert_eq!(end(&eve, &path).await, 404, "another user's");
    assert_eq!(end(&ada, "/v1/sessions/nonsense").await, 404);
    assert_eq!(list(&newer).await.status, 200);
    assert_eq!(end(&ada, &path).await, 204);
    assert_eq!(end(&ada, &path).await, 404);
    assert_eq!(list(&newer).await.status, 401);
    assert_eq!(end(&ada, "/v1/sessions/current").await, 204);
    assert_eq!(end(&ada, "/v1/sessions/current").await, 401);
    assert_eq!(list(&eve).await.status, 200);
}

#[tokio::test]
async fn a_user_has_so_many_sign_ins_and_the_oldest_goes() {
    let server = Server::new().await;
    let first = server.user("ada").await;
    let user = server.ask("GET", "/v1/me", &first.0, Value::Null).await;
    let user: UserId = user.text("user_id").parse().unwrap();
    let now = Timestamp::from_millis(START + 1_000);
    for number in 0..998_u16 {
        let mut id = [1; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let sign_in = belfry_store::directory::SignIn {
            id: belfry_protocol::id::SessionId::from_bytes(id),
            user,
            device: None,
            created: now,
            used: now,
            expires: now.plus(SIGN_IN_LIFETIME),
        };
        let token = SecretHash::of(&number.to_be_bytes());
        server
            .directory
            .create_sign_in(token, &sign_in)
            .await
            .unwrap();
    }
    let me = async |token: &Token| {
        server
            .ask("GET", "/v1/me", &token.0, Value::Null)
            .await
            .status
    };
    assert_eq!(me(&first).await, 200);
    server.later(2);
    let last = server.sign_in("ada").await;
    assert_eq!((me(&first).await, me(&last).await), (401, 200));
}
