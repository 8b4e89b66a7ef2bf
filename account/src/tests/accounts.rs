//! Making an account, its password, and its end.

use super::devices::Connection;
use super::*;

async fn sign_up(server: &Server, from: u8, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    let headers = [("Content-Type", "application/json")];
    server
        .ask_from(from, "POST", "/v1/accounts", &headers, body.to_string())
        .await
}

#[tokio::test]
async fn an_account_has_a_name_that_is_its_own_in_any_case() {
    let server = Server::new().await;
    let made = sign_up(&server, 1, "Ada.Lovelace", PASSWORD).await;
    assert_eq!(made.status, 201);
    let id: UserId = made.text("user_id").parse().unwrap();
    assert_eq!(
        made.json,
        json!({"user_id": id.to_string(), "username": "Ada.Lovelace"})
    );
    for taken in ["Ada.Lovelace", "ada.lovelace", "ADA.LOVELACE"] {
        let answer = sign_up(&server, 1, taken, PASSWORD).await;
        assert_eq!(answer.fault(), (409, "username"), "{taken}");
    }
    let token = server.sign_in("ada.LOVELACE").await;
    let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
    let with_grace = json!({"away_grace": 30, "user_id": made.json["user_id"],
        "username": "Ada.Lovelace"});
    assert_eq!((me.status, me.json), (200, with_grace));
}

#[tokio::test]
async fn the_grace_is_set_within_an_hour_or_left_to_the_server() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let grace = async |token: &Token| {
        let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
        me.json["away_grace"].clone()
    };
    let change = async |body: Value| server.ask("PATCH", "/v1/me", &ada.0, body).await;
    for (given, in_force) in [
        (json!(0), 0),
        (json!(3_600), 3_600),
        (Value::Null, 30),
        (json!(5), 5),
    ] {
        let answer = change(json!({"away_grace": given})).await;
        assert_eq!(answer.status, 200, "{given}");
        assert_eq!(answer.text("username"), "ada");
        assert_eq!(answer.json["away_grace"], in_force, "{given}");
        assert_eq!(grace(&ada).await, in_force, "{given}");
    }
    for wrong in [json!(3_601), json!(-1), json!(1.5), json!("5"), json!([5])] {
        let answer = change(json!({"away_grace": wrong})).await;
        let field = answer.fault().1.to_owned();
        assert!(field.starts_with("away_grace"), "{wrong}: {field}");
        assert_eq!(answer.status, 422, "{wrong}");
    }
    // What is not named stays.
    assert_eq!(change(json!({})).await.json["away_grace"], 5);
    assert_eq!(
        (grace(&ada).await, grace(&eve).await),
        (json!(5), json!(30))
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_named() {
    let server = Server::new().await;
    let long = "x".repeat(65);
    for name in [
        "",
        " ",
        "a b",
        "a/b",
        "a\n",
        "ada ",
        "..",
        "@",
        "a\u{202e}b",
        &long,
    ] {
        let answer = sign_up(&server, 1, name, PASSWORD).await;
        assert_eq!(answer.fault(), (422, "username"), "{name:?}");
    }
    let huge = "correct horse ".repeat(80);
    for password in ["", "short", "aaaaaaaaaaaa", "password123", &huge] {
        let answer = sign_up(&server, 1, "ada", password).await;
        assert_eq!(answer.fault(), (422, "password"), "{password:?}");
    }
    let raw = async |media: &'static str, body: &'static str| {
        let headers = [("Content-Type", media)];
        server
            .ask_from(1, "POST", "/v1/accounts", &headers, body)
            .await
    };
    let media = "application/json";
    assert_eq!(
        raw(media, "{\"username\":\"ada\"}").await.fault(),
        (422, "password")
    );
    assert_eq!(
        raw(media, "{\"username\":7,\"password\":\"\"}")
            .await
            .fault(),
        (422, "username")
    );
    assert_eq!(raw(media, "[]").await.status, 422);
    for body in [
        "",
        "{",
        "\"",
        "{\"username\":\"ada\",\"password\":\"x\"}{}",
        "nonsense",
    ] {
        assert_eq!(raw(media, body).await.fault(), (400, "body"), "{body}");
    }
    assert_eq!(raw("text/plain", "{}").await.fault(), (415, "Content-Type"));
    let large = format!("{{\"username\":\"{}\"", "x".repeat(64 * 1024));
    let headers = [("Content-Type", media)];
    let answer = server
        .ask_from(1, "POST", "/v1/accounts", &headers, large)
        .await;
    assert_eq!(answer.fault(), (413, "body"));
    // None of it counted as an account, and the right one passes.
    assert_eq!(sign_up(&server, 1, "ада-é_1@x", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn an_address_makes_so_many_accounts_an_hour() {
    let server = Server::new().await;
    for number in 0..5 {
        let name = format!("user{number}");
        assert_eq!(sign_up(&server, 1, &name, PASSWORD).await.status, 201);
        // A name that is taken is no account.
        assert_eq!(
            sign_up(&server, 1, &name, PASSWORD).await.status,
            if number < 4 { 409 } else { 429 }
        );
    }
    let refused = sign_up(&server, 1, "another", PASSWORD).await;
    assert_eq!((refused.status, refused.kind()), (429, "rate-limited"));
    assert_eq!(refused.header("retry-after"), "720");
    let told = ["limit", "used", "scope", "resets"].map(|member| refused.json[member].clone());
    let resets = Timestamp::from_millis(START + 720_000).to_string();
    assert_eq!(
        told,
        [json!(5), json!(5), json!("accounts/address"), json!(resets)]
    );
    assert_eq!(sign_up(&server, 2, "elsewhere", PASSWORD).await.status, 201);
    server.later(720);
    assert_eq!(sign_up(&server, 1, "another", PASSWORD).await.status, 201);
    assert_eq!(sign_up(&server, 1, "too-soon", PASSWORD).await.status, 429);
}

#[tokio::test]
async fn nobody_lists_names_by_trying_them() {
    let server = Server::new().await;
    assert_eq!(sign_up(&server, 1, "ada", PASSWORD).await.status, 201);
    for _ in 0..60 {
        assert_eq!(sign_up(&server, 1, "ada", PASSWORD).await.status, 409);
    }
    let refused = sign_up(&server, 1, "ada", PASSWORD).await;
    assert_eq!(
        (refused.status, refused.text("scope")),
        (429, "names/address")
    );
}

#[tokio::test]
async fn where_registration_is_not_open_nobody_comes_in() {
    for (registration, uninvited) in [
        (Registration::Invite, "accounts are made by invitation here"),
        (Registration::Closed, "no accounts are made here"),
    ] {
        nobody_comes_in(registration, uninvited).await;
    }
}

async fn nobody_comes_in(registration: Registration, uninvited: &str) {
    let mut settings = settings();
    settings.registration = registration;
    let server = Server::with(settings).await;
    let providers = server
        .ask("GET", "/v1/auth/providers", "", Value::Null)
        .await;
    assert_eq!(
        providers.json,
        json!({"password": true, "oidc": null, "registration": false})
    );
    let with = json!({"username": "ada", "password": PASSWORD, "invite": "made-up"});
    let without = json!({"username": "ada", "password": PASSWORD});
    let invited = server.ask("POST", "/v1/accounts", "", with).await;
    assert_eq!(invited.status, 403);
    let refused = server.ask("POST", "/v1/accounts", "", without).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text("detail").starts_with(uninvited));
}

impl Server {
    /// What is behind an invitation that an admin made, or behind a reset of a user's password.
    async fn link(&self, of: Option<UserId>) -> String {
        let (directory, operator) = (&self.directory, Actor::Operator);
        let now = Timestamp::from_millis(self.now.load(Ordering::SeqCst));
        let ends = now.plus(Duration::from_secs(3_600));
        let secret = Secret::from_random(random().unwrap());
        let link = LinkId::from_bytes(random().unwrap());
        match of {
            None => directory
                .create_invite(link, secret.hash(), ends, &operator, now)
                .await
                .unwrap(),
            Some(user) => {
                let link = (link, secret.hash());
                let made = directory.create_reset(user, link, ends, &operator, now);
                assert!(made.await.unwrap());
            }
        }
        secret.expose().to_owned()
    }
}

#[tokio::test]
async fn an_invitation_lets_one_in_and_is_used_up_by_that_alone() {
    for registration in [
        Registration::Invite,
        Registration::Closed,
        Registration::Open,
    ] {
        let mut settings = settings();
        settings.registration = registration;
        let server = Server::with(settings).await;
        let invite = server.link(None).await;
        let come = async |name: &str, password: &str, invite: &str| {
            let body = json!({"username": name, "password": password, "invite": invite});
            server.ask("POST", "/v1/accounts", "", body).await.status
        };
        assert_eq!(come("ada", PASSWORD, "made-up").await, 403);
        assert_eq!(come("ada", "password", &invite).await, 422);
        assert_eq!(come("ada", PASSWORD, &invite).await, 201);
        assert_eq!(come("bob", PASSWORD, &invite).await, 403);
        server.sign_in("ada").await;
        let other = server.link(None).await;
        // A name that is taken uses nothing up.
        assert_eq!(come("ada", PASSWORD, &other).await, 409);
        server.now.fetch_add(3_600_000, Ordering::SeqCst);
        assert_eq!(come("bob", PASSWORD, &other).await, 403, "it has ended");
    }
}

#[tokio::test]
async fn a_reset_sets_a_password_once_and_ends_every_sign_in() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
    let user = me.text("user_id").parse().unwrap();
    let link = server.link(Some(user)).await;
    let next = "another battery staple";
    let reset = async |link: &str, password: &str| {
        let body = json!({"token": link, "password": password});
        server.ask("POST", "/v1/resets", "", body).await
    };
    assert_eq!(reset("made-up", next).await.status, 410);
    assert_eq!(reset(&link, "password").await.fault(), (422, "password"));
    assert_eq!(reset(&link, next).await.status, 204);
    assert_eq!(reset(&link, PASSWORD).await.status, 410);
    let me = server.ask("GET", "/v1/me", &token.0, Value::Null).await;
    assert_eq!(me.status, 401);
    let signs_in = async |password: &str| {
        let body = json!({"username": "ada", "password": password});
        server.ask("POST", "/v1/sessions", "", body).await.status
    };
    assert_eq!((signs_in(PASSWORD).await, signs_in(next).await), (401, 201));
}

#[tokio::test]
async fn a_new_password_ends_the_other_sign_ins_and_no_device() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let other = server.sign_in("ada").await;
    let device = server.device(&token, "laptop").await;
    let change = async |token: &Token, old: &str, new: &str| {
        let body = json!({"old": old, "new": new});
        server.ask("PUT", "/v1/me/password", &token.0, body).await
    };
    let next = "another battery staple";
    assert_eq!(
        change(&token, "wrong password", next).await.fault(),
        (403, "old")
    );
    assert_eq!(
        change(&token, PASSWORD, "short").await.fault(),
        (422, "new")
    );
    assert_eq!(change(&token, PASSWORD, next).await.status, 204);
    let me = async |token: &Token| {
        server
            .ask("GET", "/v1/me", &token.0, Value::Null)
            .await
            .status
    };
    assert_eq!((me(&token).await, me(&other).await), (200, 401));
    Connection::open(&server, &device)
        .await
        .expect("it has a password of its own");
    let signs_in = async |password: &str| {
        let body = json!({"username": "ada", "password": password});
        server.ask("POST", "/v1/sessions", "", body).await.status
    };
    assert_eq!((signs_in(PASSWORD).await, signs_in(next).await), (401, 201));
}

#[tokio::test]
async fn an_old_password_is_not_guessed_through_a_stolen_token() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    for attempt in 0..7 {
        let body = json!({"old": "wrong password", "new": "another battery"});
        let answer = server.ask("PUT", "/v1/me/password", &token.0, body).await;
        assert_eq!(answer.status, if attempt < 5 { 403 } else { 429 });
    }
}

#[tokio::test]
async fn what_cannot_be_undone_needs_a_fresh_sign_in() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let path = format!("/v1/devices/{}", device.text("device_id"));
    server.later(601);
    let passwords = json!({"old": PASSWORD, "new": "another battery"});
    let new = json!({"name": "phone", "kind": "ios", "public_key": KEY});
    for (method, path, body) in [
        ("PUT", "/v1/me/password", passwords),
        ("DELETE", "/v1/me", Value::Null),
        ("POST", "/v1/devices", new),
        ("DELETE", &*path, Value::Null),
    ] {
        let answer = server.ask(method, path, &token.0, body).await;
        assert_eq!(
            (answer.status, answer.kind()),
            (401, "sign-in-again"),
            "{method} {path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    // Everything else is still good.
    assert_eq!(server.approve(&token, SITE).await.status, 201);
    let again = server.sign_in("ada").await;
    assert_eq!(
        server
            .ask("DELETE", &path, &again.0, Value::Null)
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn the_last_admin_is_not_erased_and_loses_nothing() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let promote = async |name: &str| {
        let account = server.directory.account_by_name(name).await.unwrap();
        let (user, now) = (account.unwrap().user, server.accounts.0.now());
        let by = Actor::Operator;
        let given = server.directory.set_role(user, Role::Admin, &by, now).await;
        assert!(given.unwrap());
        user
    };
    let user = promote("ada").await;
    let _connection = Connection::open(&server, &device).await.unwrap();
    let refused = server.ask("DELETE", "/v1/me", &token.0, Value::Null).await;
    assert_eq!((refused.status, refused.kind()), (409, "last-admin"));
    assert_eq!(server.accounts.0.broker.online(user).len(), 1);
    assert_eq!(server.directory.role(user).await.unwrap(), Role::Admin);
    server.user("bob").await;
    promote("bob").await;
    let erased = server.ask("DELETE", "/v1/me", &token.0, Value::Null).await;
    assert_eq!(erased.status, 204);
}

#[tokio::test]
async fn an_erased_account_leaves_nothing() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let permission = server.approve(&token, SITE).await;
    let secret = permission.text("endpoint").rsplit('/').next().unwrap();
    let secret = SecretHash::of(secret.as_bytes());
    assert!(server.directory.endpoint(secret).await.unwrap().is_some());
    let mut connection = Connection::open(&server, &device).await.unwrap();
    let erased = server.ask("DELETE", "/v1/me", &token.0, Value::Null).await;
    assert_eq!(erased.status, 204);
    connection.ended().await;
    assert!(Connection::open(&server, &device).await.is_none());
    assert!(server.directory.endpoint(secret).await.unwrap().is_none());
    for path in ["/v1/me", "/v1/devices", "/v1/permissions", "/v1/keyring"] {
        let answer = server.ask("GET", path, &token.0, Value::Null).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    let body = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(
        server.ask("POST", "/v1/sessions", "", body).await.status,
        401
    );
    // The name is free, and its new owner finds nothing of the old.
    let new = server.user("ada").await;
    let permissions = server
        .ask("GET", "/v1/permissions", &new.0, Value::Null)
        .await;
    assert_eq!(permissions.json, json!({"items": [], "next": null}));
}
