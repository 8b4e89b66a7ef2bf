//! Who gets in, how, and for how long.

use super::*;

#[tokio::test]
async fn only_who_may_administer_signs_in_and_others_learn_nothing() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    server.account("bob", Role::None).await;
    let mut browser = server.browser();
    let mut details = Vec::new();
    for (from, name, password) in [
        (2, "ada", "wrong password"),
        (3, "bob", PASSWORD),
        (4, "nobody", PASSWORD),
    ] {
        browser.from = from;
        let answer = server.sign_in(&mut browser, name, password).await;
        assert_eq!(answer.kind(), (401, "wrong-credentials"), "{name}");
        details.push(answer.json);
        assert_eq!(browser.cookie, None);
    }
    assert!(
        details.windows(2).all(|pair| pair[0] == pair[1]),
        "{details:?}"
    );
    let answer = server.sign_in(&mut browser, "ADA", PASSWORD).await;
    assert_eq!((answer.status, &answer.json["needs"]), (200, &json!([])));
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for part in [
        "__Host-belfry-admin=",
        "HttpOnly",
        "SameSite=Strict",
        "Secure",
        "Path=/",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let session = server.get(&mut browser, "/session").await;
    assert_eq!(
        (session.status, &session.json["username"]),
        (200, &json!("ada"))
    );
    assert_eq!(session.json["role"], "admin");
    server.admin.write_failures().await.unwrap();
    let acts = server.acts().await;
    let failed = ("sign-in.failed".to_owned(), Some("ada".to_owned()));
    assert_eq!(acts[..2], [failed, ("sign-in".to_owned(), None)]);
    assert_eq!(
        server
            .ask(&mut browser, "POST", "/sign-out", json!({}))
            .await
            .status,
        204
    );
    assert_eq!(browser.cookie, None);
}

#[tokio::test]
async fn a_cookie_that_was_signed_out_is_worth_nothing() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut browser = server.signed_in("ada").await;
    let mut thief = browser.clone();
    server
        .ask(&mut browser, "POST", "/sign-out", json!({}))
        .await;
    let answer = server.get(&mut thief, "/session").await;
    assert_eq!(answer.kind(), (401, "signed-out"));
}

#[tokio::test]
async fn a_role_counts_as_it_is_at_each_request() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let user = server.account("bob", Role::Admin).await;
    let mut bob = server.signed_in("bob").await;
    let invite = json!({"ends": null});
    let wrote = server
        .ask(&mut bob, "POST", "/invites", invite.clone())
        .await;
    assert_eq!(wrote.status, 201);
    let set = async |role| {
        let (directory, now) = (&server.admin.directory, server.admin.now());
        let set = directory.set_role(user, role, &Actor::Operator, now).await;
        assert!(set.unwrap());
    };
    set(Role::Viewer).await;
    let refused = server.ask(&mut bob, "POST", "/invites", invite).await;
    assert_eq!(refused.kind(), (403, "viewer"));
    assert_eq!(server.get(&mut bob, "/audit").await.status, 200);
    set(Role::None).await;
    let ended = server.get(&mut bob, "/audit").await;
    assert_eq!(ended.kind(), (401, "signed-out"));
    assert_eq!(ended.json["ended"], "role");
}

#[tokio::test]
async fn a_session_ends_where_nobody_is_at_it() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    server.later(29 * 60);
    // Somebody is there: the header says so.
    assert_eq!(server.get(&mut ada, "/session").await.status, 200);
    server.later(29 * 60);
    ada.ours = false;
    // An open page that reads by itself.
    assert_eq!(server.get(&mut ada, "/session").await.status, 200);
    server.later(60);
    let ended = server.get(&mut ada, "/session").await;
    assert_eq!(ended.kind(), (401, "signed-out"));
    assert_eq!(ended.json["ended"], "expired");
}

#[tokio::test]
async fn a_session_ends_after_a_day_of_work() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    for _ in 0..12 * 4 - 1 {
        server.later(15 * 60);
        assert_eq!(server.get(&mut ada, "/session").await.status, 200);
    }
    server.later(15 * 60);
    assert_eq!(
        server.get(&mut ada, "/session").await.json["ended"],
        "expired"
    );
}

#[tokio::test]
async fn what_another_site_has_a_browser_send_changes_nothing() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    ada.ours = false;
    for (method, path) in [
        ("POST", "/invites"),
        ("POST", "/tokens"),
        ("POST", "/sign-out"),
        ("DELETE", "/sessions"),
        ("POST", "/sign-in"),
        ("POST", "/setup"),
        ("PUT", "/account/password"),
    ] {
        let body = json!({"ends": null, "name": "x", "role": "admin", "username": "ada", "password": PASSWORD});
        let answer = server.ask(&mut ada, method, path, body).await;
        assert_eq!(answer.kind(), (403, "cross-site"), "{method} {path}");
    }
    assert_eq!(server.get(&mut ada, "/session").await.status, 200);
    assert_eq!(
        server.get(&mut ada, "/links").await.json["items"],
        json!([])
    );
}

#[tokio::test]
async fn guessing_locks_out_one_address_and_nobody_elsewhere() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut stranger = server.browser();
    stranger.from = 66;
    for _ in 0..5 {
        let answer = server.sign_in(&mut stranger, "ada", "wrong password").await;
        assert_eq!(answer.status, 401);
    }
    let locked = server.sign_in(&mut stranger, "ada", PASSWORD).await;
    assert_eq!(locked.kind(), (429, "rate-limited"));
    assert!(locked.headers.contains_key(header::RETRY_AFTER));
    // Ada herself, from where she is.
    server.signed_in("ada").await;
}

#[tokio::test]
async fn what_matters_most_asks_for_the_password_again() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let user = server.account("bob", Role::None).await;
    let mut ada = server.signed_in("ada").await;
    let token = json!({"name": "ci", "role": "viewer", "ends": null});
    let made = server.ask(&mut ada, "POST", "/tokens", token.clone()).await;
    assert_eq!(made.status, 201);
    server.later(601);
    let reset = format!("/users/{user}/reset");
    for (method, path, body) in [
        ("POST", "/tokens", token.clone()),
        ("POST", &*reset, json!({})),
        (
            "PUT",
            "/account/password",
            json!({"old": PASSWORD, "new": PASSWORD}),
        ),
        ("POST", "/account/totp", json!({})),
        ("DELETE", "/account/totp", Value::Null),
    ] {
        let answer = server.ask(&mut ada, method, path, body).await;
        assert_eq!(answer.kind(), (401, "sign-in-again"), "{method} {path}");
    }
    let again = async |ada: &mut Browser, password: &str| {
        let body = json!({"password": password});
        server.ask(ada, "POST", "/sign-in/again", body).await
    };
    let wrong = again(&mut ada, "wrong password").await;
    assert_eq!(wrong.kind(), (401, "wrong-credentials"));
    assert_eq!(again(&mut ada, PASSWORD).await.status, 204);
    let made = server.ask(&mut ada, "POST", "/tokens", token).await;
    assert_eq!(made.status, 201);
}

#[tokio::test]
async fn who_is_blocked_is_told_why_and_administers_nothing() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    server.account("bob", Role::Admin).await;
    let (mut ada, mut bob) = (server.signed_in("ada").await, server.signed_in("bob").await);
    let ban = json!({"kind": "user", "value": "bob", "reason": "on leave", "ends": null});
    let banned = server.ask(&mut ada, "POST", "/bans", ban).await;
    assert_eq!(banned.status, 201, "{}", banned.json);
    let told = |answer: &Answer| {
        assert_eq!(answer.kind(), (403, "banned"));
        assert!(answer.json["detail"].as_str().unwrap().contains("on leave"));
    };
    told(&server.get(&mut bob, "/audit").await);
    let mut browser = server.browser();
    told(&server.sign_in(&mut browser, "bob", PASSWORD).await);
    assert_eq!(browser.cookie, None);
    // Only who knows the password is told.
    let guess = server.sign_in(&mut browser, "bob", "wrong password").await;
    assert_eq!(guess.kind(), (401, "wrong-credentials"));
}
