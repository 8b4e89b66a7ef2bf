//! One's own account: the second half of a sign-in, the password, and the sessions.

use super::*;
use crate::totp;
use data_encoding::BASE32_NOPAD;

impl Server {
    /// The code that an authenticator with this secret shows now.
    fn code(&self, secret: &str) -> String {
        let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let step = self.admin.now().as_millis() / 1_000 / 30;
        format!("{:06}", totp::code_of(&secret, step))
    }

    /// Has codes asked for; the secret.
    async fn set_totp_up(&self, browser: &mut Browser) -> String {
        let offered = self.ask(browser, "POST", "/account/totp", json!({})).await;
        assert_eq!(offered.status, 200, "{}", offered.json);
        let secret = offered.json["secret"].as_str().unwrap().to_owned();
        let uri = offered.json["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("otpauth://totp/") && uri.contains(&secret),
            "{uri}"
        );
        let body = json!({"code": self.code(&secret)});
        let on = self
            .ask(browser, "POST", "/account/totp/confirm", body)
            .await;
        assert_eq!(on.status, 204, "{}", on.json);
        secret
    }

    async fn give_code(&self, browser: &mut Browser, challenge: &Value, code: &str) -> Answer {
        let body = json!({"challenge": challenge, "code": code});
        self.ask(browser, "POST", "/sign-in/totp", body).await
    }
}

#[tokio::test]
async fn a_code_is_asked_for_once_it_was_confirmed_and_is_good_once() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    let offered = server
        .ask(&mut ada, "POST", "/account/totp", json!({}))
        .await;
    assert_eq!(offered.status, 200);
    let wrong = json!({"code": "not it"});
    let refused = server
        .ask(&mut ada, "POST", "/account/totp/confirm", wrong)
        .await;
    assert_eq!(
        (refused.status, &refused.json["field"]),
        (422, &json!("code"))
    );
    // Not on yet: the password alone is enough.
    server.signed_in("ada").await;
    let secret = server.set_totp_up(&mut ada).await;
    let again = server
        .ask(&mut ada, "POST", "/account/totp", json!({}))
        .await;
    assert_eq!(again.kind(), (409, "exists"));
    assert!(server.get(&mut ada, "/account").await.json["totp_since"].is_string());

    let mut other = server.browser();
    let half = server.sign_in(&mut other, "ada", PASSWORD).await;
    assert_eq!((half.status, &half.json["needs"]), (200, &json!(["totp"])));
    assert_eq!(other.cookie, None);
    let challenge = &half.json["challenge"];
    // The code that confirmed it was used.
    let used = server
        .give_code(&mut other, challenge, &server.code(&secret))
        .await;
    assert_eq!(used.kind(), (401, "wrong-code"));
    server.later(30);
    let code = server.code(&secret);
    let answer = server.give_code(&mut other, challenge, &code).await;
    assert_eq!(answer.status, 204, "{}", answer.json);
    assert_eq!(server.get(&mut other, "/session").await.status, 200);
    // Neither the challenge nor the code is good again.
    let mut thief = server.browser();
    let over = server.give_code(&mut thief, challenge, &code).await;
    assert_eq!(over.kind(), (410, "expired"));
    let half = server.sign_in(&mut thief, "ada", PASSWORD).await;
    let replayed = server
        .give_code(&mut thief, &half.json["challenge"], &code)
        .await;
    assert_eq!(replayed.kind(), (401, "wrong-code"));
    let off = server
        .ask(&mut ada, "DELETE", "/account/totp", Value::Null)
        .await;
    assert_eq!(off.status, 204);
    server.signed_in("ada").await;
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    server.set_totp_up(&mut ada).await;
    let mut thief = server.browser();
    thief.from = 66;
    let mut wrong = 0;
    // The password is known; it forgives no wrong code.
    let end = loop {
        let half = server.sign_in(&mut thief, "ada", PASSWORD).await;
        if half.status != 200 {
            break half;
        }
        let answer = server
            .give_code(&mut thief, &half.json["challenge"], "000000")
            .await;
        assert_eq!(answer.kind(), (401, "wrong-code"));
        wrong += 1;
        assert!(wrong <= 5, "as many as passwords");
    };
    assert_eq!(end.kind(), (429, "rate-limited"));
    assert_eq!(wrong, 5);
    assert_eq!(thief.cookie, None);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sign_ins() {
    let server = Server::new().await;
    server.account("ada", Role::Viewer).await;
    let mut here = server.signed_in("ada").await;
    let mut there = server.signed_in("ada").await;
    let change = async |browser: &mut Browser, old: &str, new: &str| {
        let body = json!({"old": old, "new": new});
        server.ask(browser, "PUT", "/account/password", body).await
    };
    let next = "another battery staple";
    let wrong = change(&mut here, "wrong password", next).await;
    assert_eq!(wrong.kind(), (403, "wrong-password"));
    assert_eq!(wrong.json["field"], "old");
    let weak = change(&mut here, PASSWORD, "password").await;
    assert_eq!((weak.status, &weak.json["field"]), (422, &json!("new")));
    assert_eq!(change(&mut here, PASSWORD, next).await.status, 204);
    assert_eq!(server.get(&mut here, "/session").await.status, 200);
    assert_eq!(server.get(&mut there, "/session").await.status, 401);
    let mut browser = server.browser();
    assert_eq!(
        server.sign_in(&mut browser, "ada", PASSWORD).await.status,
        401
    );
    assert_eq!(server.sign_in(&mut browser, "ada", next).await.status, 200);
}

#[tokio::test]
async fn sessions_are_ones_own_to_end() {
    let server = Server::new().await;
    server.account("ada", Role::Viewer).await;
    server.account("bob", Role::Viewer).await;
    let mut ada = server.signed_in("ada").await;
    server.later(1);
    let mut phone = server.signed_in("ada").await;
    let mut bob = server.signed_in("bob").await;
    let listed = server.get(&mut ada, "/sessions").await;
    let items = listed.json["items"].as_array().unwrap();
    let current: Vec<_> = items.iter().map(|item| &item["current"]).collect();
    assert_eq!(current, [&json!(false), &json!(true)]);
    assert_eq!(items[0]["address"], "192.0.2.1");
    let id = items[0]["id"].as_str().unwrap();
    let path = format!("/sessions/{id}");
    let others = server.ask(&mut bob, "DELETE", &path, Value::Null).await;
    assert_eq!(others.status, 404);
    assert_eq!(server.get(&mut phone, "/session").await.status, 200);
    let ended = server.ask(&mut ada, "DELETE", &path, Value::Null).await;
    assert_eq!(ended.status, 204);
    assert_eq!(server.get(&mut phone, "/session").await.status, 401);
    let all = server
        .ask(&mut ada, "DELETE", "/sessions", Value::Null)
        .await;
    assert_eq!((all.status, &ada.cookie), (204, &None));
    assert_eq!(server.get(&mut bob, "/session").await.status, 200);
    let token = desk::create_token(
        &server.admin.directory,
        desk::NewToken {
            name: "ci".to_owned(),
            role: Role::Admin,
            ends: None,
        },
        &Actor::Operator,
        server.admin.now(),
    );
    let (_, token) = token.await.unwrap();
    let request =
        Request::get("/admin/v1/sessions").header("Authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 403, "a token has none");
}

#[tokio::test]
async fn a_right_password_elsewhere_forgives_no_wrong_code() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut seated = server.signed_in("ada").await;
    let secret = server.set_totp_up(&mut seated).await;
    let mut thief = server.browser();
    (seated.from, thief.from) = (66, 66);
    let guess = async |thief: &mut Browser| {
        let half = server.sign_in(thief, "ada", PASSWORD).await;
        match half.status {
            200 => {
                let challenge = &half.json["challenge"];
                server.give_code(thief, challenge, "000000").await
            }
            _ => half,
        }
    };
    for wrong in 0..6 {
        let right = json!({"password": PASSWORD});
        let again = server.ask(&mut seated, "POST", "/sign-in/again", right);
        assert_eq!(again.await.status, 204);
        let expected = match wrong {
            5 => (429, "rate-limited"),
            _ => (401, "wrong-code"),
        };
        assert_eq!(guess(&mut thief).await.kind(), expected, "{wrong}");
    }
    // What a minute brings is one more, not five.
    server.later(60);
    assert_eq!(guess(&mut thief).await.kind(), (401, "wrong-code"));
    assert_eq!(guess(&mut thief).await.kind(), (429, "rate-limited"));
    // Ada herself, from where she is.
    let mut ada = server.browser();
    let half = server.sign_in(&mut ada, "ada", PASSWORD).await;
    let code = server.code(&secret);
    let answer = server.give_code(&mut ada, &half.json["challenge"], &code);
    assert_eq!(answer.await.status, 204);
}
