//! Promise: what an admin blocks is refused on the next request and its connections end, until the ban is
//! lifted or ends; and nobody gets another blocked.

use crate::admins::{AdminApi, admin_command_at};
use crate::harness::{PASSWORD, Setup, TestServer, User, marked_body, post, roomy};
use crate::mqtt::{Client, Version};
use belfry_client::server::NewPermission;
use belfry_client::vapid::VapidKey;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const SITE: &str = "https://news.example";

/// Blocks it, and gives the ban.
async fn ban(admin: &AdminApi, kind: &str, value: &str, ends: Value) -> Value {
    let new = json!({"kind": kind, "value": value, "reason": "spam", "ends": ends});
    let (status, made) = admin.post("/bans", new).await;
    assert_eq!(status, 201, "{made}");
    made
}

async fn lift(admin: &AdminApi, ban: &Value) {
    let path = format!("/bans/{}", ban["id"].as_str().expect("an id"));
    assert_eq!(admin.delete(&path).await.0, 204);
}

/// An endpoint that takes posts of this key alone.
async fn restricted(user: &User, origin: &str, key: &VapidKey) -> String {
    let new = NewPermission {
        site: origin.parse().expect("an origin"),
        name: None,
        application_server_key: Some(key.public()),
        receipts: false,
    };
    let made = user.server.create_permission(&new).await;
    made.expect("a permission").endpoint
}

async fn post_by(server: &TestServer, key: &VapidKey, endpoint: &str) -> (u16, Value) {
    let proof = key.authorization(&server.url(), "mailto:ops@news.example", SystemTime::now());
    let request = reqwest::Client::new()
        .post(endpoint)
        .header("Authorization", proof)
        .header("TTL", "60")
        .header("Content-Encoding", "crypto-box")
        .body(marked_body(1));
    crate::admins::answer(request).await
}

async fn status_of(endpoint: &str) -> u16 {
    let answer = post(&reqwest::Client::new(), endpoint, marked_body(1)).await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_site_that_posts_at_full_speed_is_refused_from_the_answer_on() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let site = Arc::new(user.approve(SITE).await);
    let other = user.approve("https://mail.example").await;
    let blocked = Arc::new(AtomicBool::new(false));
    let mut posters = Vec::new();
    for poster in 0..8u64 {
        let (site, blocked) = (Arc::clone(&site), Arc::clone(&blocked));
        posters.push(tokio::spawn(async move {
            let http = reqwest::Client::new();
            for number in 0.. {
                let after = blocked.load(Ordering::SeqCst);
                let body = marked_body(poster << 32 | number);
                let answer = post(&http, &site.permission.endpoint, body).await;
                match answer.expect("an answer").status().as_u16() {
                    201 => assert!(!after, "accepted after the ban was answered"),
                    403 => return number,
                    other => panic!("{other}"),
                }
            }
            0
        }));
    }
    // Each poster is at full speed once a few dozen entries are there.
    while user
        .server
        .notifications(0, 100)
        .await
        .expect("a page")
        .len()
        < 50
    {}
    let made = ban(&admin, "site", SITE, Value::Null).await;
    blocked.store(true, Ordering::SeqCst);
    for poster in posters {
        assert!(poster.await.expect("it ends") > 0, "it had posted before");
    }
    assert_eq!(status_of(&other.permission.endpoint).await, 201);
    lift(&admin, &made).await;
    assert_eq!(status_of(&site.permission.endpoint).await, 201);
}

#[tokio::test]
async fn a_ban_outlives_a_crash_and_so_does_that_it_was_lifted() {
    let mut server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let (site, other) = (
        user.approve(SITE).await,
        user.approve("https://mail.example").await,
    );
    ban(&admin, "site", SITE, Value::Null).await;
    let lifted = ban(&admin, "site", "https://mail.example", Value::Null).await;
    assert_eq!(status_of(&other.permission.endpoint).await, 403);
    lift(&admin, &lifted).await;
    server.kill_nine();
    server.restart();
    assert_eq!(status_of(&site.permission.endpoint).await, 403);
    assert_eq!(status_of(&other.permission.endpoint).await, 201);
}

#[tokio::test]
async fn a_blocked_users_connections_end_and_signing_in_says_why() {
    let server = TestServer::start();
    let admin = server.admin();
    let (user, bystander) = (server.user("ada").await, server.user("grace").await);
    let device = user.device("laptop").await;
    let other = bystander.device("phone").await;
    let mut connected = Client::connect(server.mqtt, &device, Version::V5).await;
    let mut old = Client::connect(server.mqtt, &user.device("old").await, Version::V311).await;
    let mut unharmed = Client::connect(server.mqtt, &other, Version::V5).await;
    let wanted = json!({"kind": "user", "value": "ada", "reason": "x", "ends": null});
    let (status, would) = admin.post("/bans?dry_run=true", wanted).await;
    assert_eq!(
        (status, &would["connections"], &would["users"]),
        (200, &2.into(), &1.into())
    );

    let made = ban(&admin, "user", "ada", json!("2099-01-01T00:00:00Z")).await;
    let answered = Instant::now();
    let last = connected.read().await.expect("a DISCONNECT");
    assert_eq!(
        (last.first, last.body[0]),
        (0xe0, 0x98),
        "administrative action"
    );
    assert!(
        old.read().await.is_err(),
        "3.1.1 has no DISCONNECT to say so"
    );
    assert!(
        answered.elapsed() < Duration::from_secs(1),
        "{:?}",
        answered.elapsed()
    );
    unharmed.ping().await.expect("nobody else's ends");

    for (version, code) in [(Version::V5, 0x8a), (Version::V311, 5)] {
        let access = &device.mqtt;
        let (id, name, password) = (&access.client_id, &access.username, &access.password);
        let refused = Client::try_connect(server.mqtt, version, id, name, password).await;
        assert_eq!(refused.expect("a CONNACK").1, code);
    }
    let refused = user.server.me().await.expect_err("refused");
    assert_eq!(refused.status(), Some(403));
    let said = refused.to_string();
    assert!(said.contains("spam") && said.contains("2099"), "{said}");
    let refused = server.client().sign_in("ada", PASSWORD, None).await;
    let said = refused.err().expect("refused").to_string();
    assert!(said.contains("spam") && said.contains("2099"), "{said}");
    let wrong = server
        .client()
        .sign_in("ada", "another password", None)
        .await;
    assert_eq!(
        wrong.err().expect("refused").status(),
        Some(401),
        "nobody else learns it"
    );

    lift(&admin, &made).await;
    Client::connect(server.mqtt, &device, Version::V5).await;
    user.server.me().await.expect("as before");
}

#[tokio::test]
async fn a_blocked_range_is_refused_on_both_ports_and_can_be_lifted_from_the_machine() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let site = user.approve(SITE).await;
    let device = user.device("laptop").await;
    let mut connected = Client::connect(server.mqtt, &device, Version::V5).await;
    let made = ban(&admin, "address", "127.0.0.0/8", Value::Null).await;
    assert_eq!(connected.read().await.expect("a DISCONNECT").body[0], 0x98);
    assert_eq!(status_of(&site.permission.endpoint).await, 403);
    let refused = user.server.me().await.expect_err("refused");
    assert!(refused.to_string().contains("spam"), "{refused}");
    for (version, code) in [(Version::V5, 0x8a), (Version::V311, 5)] {
        let refused = Client::try_connect(server.mqtt, version, "x", "x", "x").await;
        assert_eq!(refused.expect("a CONNACK").1, code);
    }
    lift(&admin, &made).await;
    assert_eq!(status_of(&site.permission.endpoint).await, 201);
    Client::connect(server.mqtt, &device, Version::V5).await;
}

#[tokio::test]
async fn behind_a_proxy_the_client_is_blocked_and_not_the_proxy() {
    let mut environment = roomy();
    environment.push(("BELFRY__TRUSTED_PROXIES".to_owned(), "127.0.0.1".to_owned()));
    let server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let admin = server.admin();
    ban(&admin, "address", "2001:db8::1", Value::Null).await;
    let status = async |from: &str| {
        let url = format!("{}/healthz", server.url());
        let request = reqwest::Client::new()
            .get(url)
            .header("X-Forwarded-For", from);
        crate::admins::answer(request).await.0
    };
    assert_eq!(status("2001:db8::ffff").await, 403, "of the same /64");
    assert_eq!(status("2001:db8:0:1::1").await, 200);
    assert_eq!(status("192.0.2.1").await, 200);
    let url = format!("{}/admin/v1/bans", server.url());
    let far = reqwest::Client::new()
        .get(url)
        .header("X-Forwarded-For", "2001:db8::2");
    let (status, _) = crate::admins::answer(far.bearer_auth(&admin.token)).await;
    assert_eq!(status, 403, "an admin too, unless at the machine");
}

#[tokio::test]
async fn a_ban_ends_by_itself_in_its_time() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let site = user.approve(SITE).await;
    let end = SystemTime::now() + Duration::from_secs(2);
    let end = belfry_protocol::time::Timestamp::of(end);
    ban(&admin, "site", SITE, json!(end)).await;
    assert_eq!(status_of(&site.permission.endpoint).await, 403);
    while status_of(&site.permission.endpoint).await == 403 {
        let now = belfry_protocol::time::Timestamp::of(SystemTime::now());
        let late = Duration::from_secs(1);
        assert!(now < end.plus(late), "it holds no longer than its end");
    }
    assert!(belfry_protocol::time::Timestamp::of(SystemTime::now()) >= end);
    assert_eq!(status_of(&site.permission.endpoint).await, 201);
    let (_, listed) = admin.get("/bans").await;
    assert_eq!(listed["items"], json!([]));
    let (_, listed) = admin.get("/bans?ended=true").await;
    assert_eq!(listed["items"][0]["ended"], true, "{listed}");
    // Another over the same is possible again.
    ban(&admin, "site", SITE, Value::Null).await;
}

#[tokio::test]
async fn a_stranger_who_names_a_site_neither_blocks_it_nor_spends_what_it_may() {
    let server = TestServer::start();
    let admin = server.admin();
    let (user, stranger) = (server.user("ada").await, server.user("mallory").await);
    let reader = server.user("grace").await;
    let (news, evil) = (VapidKey::generate(), VapidKey::generate());
    restricted(&reader, SITE, &news).await;
    let real = restricted(&user, SITE, &news).await;
    assert_eq!(post_by(&server, &news, &real).await.0, 201);
    // Under the stranger's own name, but restricted to the news's key, and handed to the news as an
    // endpoint of a reader.
    let bait = restricted(&stranger, "https://evil.example", &news).await;
    assert_eq!(post_by(&server, &news, &bait).await.0, 201);
    // Under the news's name, with the stranger's key.
    let named = restricted(&stranger, SITE, &evil).await;
    let own = json!({"site_per_second": 3});
    let path = format!(
        "/sites/{}/limits",
        SITE.replace(':', "%3A").replace('/', "%2F")
    );
    assert_eq!(admin.ask(Method::PUT, &path, Some(own)).await.0, 204);
    let mut refused = false;
    for _ in 0..20 {
        refused |= post_by(&server, &evil, &named).await.0 == 429;
    }
    assert!(refused, "the stranger is at the limit");
    assert_eq!(
        post_by(&server, &news, &real).await.0,
        201,
        "which is nobody else's"
    );

    ban(&admin, "site", "https://evil.example", Value::Null).await;
    assert_eq!(post_by(&server, &news, &bait).await.0, 403);
    assert_eq!(
        post_by(&server, &news, &real).await.0,
        201,
        "the news is not blocked"
    );
    // An origin's own keys are.
    let elsewhere = restricted(&stranger, "https://elsewhere.example", &news).await;
    assert_eq!(post_by(&server, &news, &elsewhere).await.0, 201);
    let would = json!({"kind": "site", "value": SITE, "reason": "", "ends": null});
    let (_, would) = admin.post("/bans?dry_run=true", would).await;
    assert_eq!(
        (&would["permissions"], &would["users"]),
        (&3.into(), &3.into()),
        "{would}"
    );
    ban(&admin, "site", SITE, Value::Null).await;
    assert_eq!(post_by(&server, &news, &real).await.0, 403);
    assert_eq!(post_by(&server, &news, &elsewhere).await.0, 403);
}

#[tokio::test]
async fn an_origins_ban_covers_the_key_that_was_seen_with_it_under_any_name() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let key = VapidKey::generate();
    let first = restricted(&user, SITE, &key).await;
    let second = restricted(&user, "https://second.example", &key).await;
    let open = user.approve("https://third.example").await;
    let elsewhere = [&second, &open.permission.endpoint];
    for endpoint in [&first, elsewhere[0], elsewhere[1]] {
        assert_eq!(post_by(&server, &key, endpoint).await.0, 201);
    }
    let made = ban(&admin, "site", SITE, Value::Null).await;
    for endpoint in elsewhere {
        assert_eq!(post_by(&server, &key, endpoint).await.0, 403);
    }
    lift(&admin, &made).await;
    for endpoint in elsewhere {
        assert_eq!(post_by(&server, &key, endpoint).await.0, 201);
    }
}

#[tokio::test]
async fn one_made_up_permission_neither_takes_a_key_along_nor_lets_it_escape() {
    let server = TestServer::start();
    let admin = server.admin();
    let (ada, grace) = (server.user("ada").await, server.user("grace").await);
    let mallory = server.user("mallory").await;
    // The stranger is first: the news has posted to nobody yet.
    let news = VapidKey::generate();
    let bait = restricted(&mallory, "https://evil.example", &news).await;
    assert_eq!(post_by(&server, &news, &bait).await.0, 201);
    let real = restricted(&ada, SITE, &news).await;
    // Nor does it help where the readers of the news restrict nothing.
    let mail = VapidKey::generate();
    let open = grace.approve("https://mail.example").await;
    let bait = restricted(&mallory, "https://evil.example", &mail).await;
    for endpoint in [&bait, &open.permission.endpoint] {
        assert_eq!(post_by(&server, &mail, endpoint).await.0, 201);
    }
    let made = ban(&admin, "site", "https://evil.example", Value::Null).await;
    assert_eq!(post_by(&server, &news, &real).await.0, 201);
    let open = open.permission.endpoint;
    assert_eq!(post_by(&server, &mail, &open).await.0, 201);
    lift(&admin, &made).await;

    // The other way round: an accomplice is first, under a name that nobody blocks.
    let spam = VapidKey::generate();
    let away = restricted(&mallory, "https://throwaway.example", &spam).await;
    assert_eq!(post_by(&server, &spam, &away).await.0, 201);
    for user in [&ada, &grace] {
        let endpoint = restricted(user, "https://spam.example", &spam).await;
        assert_eq!(post_by(&server, &spam, &endpoint).await.0, 201);
    }
    ban(&admin, "site", "https://spam.example", Value::Null).await;
    assert_eq!(post_by(&server, &spam, &away).await.0, 403);
}

#[tokio::test]
async fn a_lowered_limit_is_answered_with_its_numbers_at_once() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let key = VapidKey::generate();
    let endpoint = restricted(&user, SITE, &key).await;
    // By another key, which is counted by itself.
    let other = VapidKey::generate();
    let unlimited = restricted(&user, SITE, &other).await;
    for _ in 0..3 {
        assert_eq!(post_by(&server, &other, &unlimited).await.0, 201);
    }
    let lower = json!({"limits.site_per_day": 2, "limits.devices_per_user": 1});
    assert_eq!(admin.ask(Method::PUT, "/limits", Some(lower)).await.0, 204);
    for _ in 0..2 {
        assert_eq!(post_by(&server, &key, &endpoint).await.0, 201);
    }
    let (status, problem) = post_by(&server, &key, &endpoint).await;
    assert_eq!(status, 429, "{problem}");
    assert_eq!(
        (&problem["limit"], &problem["used"], &problem["scope"]),
        (&2.into(), &2.into(), &"site".into())
    );
    assert!(problem["resets"].is_string(), "{problem}");
    let (_, limits) = admin.get("/limits").await;
    let items = limits["items"].as_array().expect("a list");
    let per_day = items
        .iter()
        .find(|item| item["name"] == "limits.site_per_day");
    let per_day = per_day.expect("there");
    assert_eq!(
        (
            &per_day["set"],
            &per_day["in_force"],
            &per_day["configured"]
        ),
        (&2.into(), &2.into(), &5_000_000.into())
    );
    user.device("first").await;
    let keys = belfry_client::keys::BoxSecretKey::generate().public();
    let second = user
        .server
        .create_device("second", belfry_client::server::DeviceKind::Cli, &keys);
    assert_eq!(
        second.await.err().expect("one too many").status(),
        Some(409)
    );
    let (status, problem) = admin
        .ask(
            Method::PUT,
            "/limits",
            Some(json!({"limits.site_per_day": 0})),
        )
        .await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &"limits.site_per_day".into())
    );
    let back = json!({"limits.site_per_day": null});
    assert_eq!(admin.ask(Method::PUT, "/limits", Some(back)).await.0, 204);
    assert_eq!(post_by(&server, &key, &endpoint).await.0, 201);
}

#[tokio::test]
async fn bans_go_from_one_server_to_another_as_a_table() {
    let (server, other) = (TestServer::start(), TestServer::start());
    let (from, to) = (server.admin(), other.admin());
    ban(&from, "site", SITE, Value::Null).await;
    ban(
        &from,
        "address",
        "2001:db8::7",
        json!("2099-01-01T00:00:00Z"),
    )
    .await;
    let key = VapidKey::generate().public();
    let quoted =
        json!({"kind": "vapid", "value": key, "reason": "says \"hi\", often", "ends": null});
    assert_eq!(from.post("/bans", quoted).await.0, 201);
    let table = from.request(Method::GET, "/bans.csv").send().await;
    let table = table.expect("an answer").text().await.expect("a table");
    assert!(table.starts_with("kind,value,reason,ends\n"), "{table}");
    let import = async |admin: &AdminApi, path: &str, table: &str| {
        let request = admin.request(Method::POST, path);
        let request = request
            .header("Content-Type", "text/csv")
            .body(table.to_owned());
        crate::admins::answer(request).await
    };
    let (status, would) = import(&to, "/bans/import?dry_run=true", &table).await;
    assert_eq!((status, &would["added"]), (200, &3.into()), "{would}");
    assert_eq!(to.get("/bans").await.1["items"], json!([]));
    let (_, done) = import(&to, "/bans/import", &table).await;
    assert_eq!(
        done,
        json!({"added": 3, "changed": 0, "unchanged": 0, "problems": []})
    );
    let again = to.request(Method::GET, "/bans.csv").send().await;
    let again = again.expect("an answer").text().await.expect("a table");
    let sorted = |table: &str| {
        let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&again), sorted(&table));
    let (_, done) = import(&to, "/bans/import", &table.replace("spam", "other")).await;
    assert_eq!(
        (&done["changed"], &done["unchanged"]),
        (&2.into(), &1.into()),
        "{done}"
    );
    let wrong = format!("{table}site,not an origin,,\nplanet,mars,,\n");
    let (_, done) = import(&to, "/bans/import", &wrong).await;
    let lines: Vec<_> = done["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert_eq!(
        (&lines[0]["line"], &lines[1]["line"]),
        (&5.into(), &6.into()),
        "{done}"
    );
    let wrong = format!("{table}site,https://more.example,,\nplanet,mars,,\n");
    let (_, done) = import(&to, "/bans/import", &wrong.replace("spam", "third")).await;
    assert_eq!(
        (&done["added"], &done["changed"]),
        (&0.into(), &0.into()),
        "{done}"
    );
    assert_eq!(done["problems"].as_array().map(Vec::len), Some(1), "{done}");
    let (_, acts) = to.get("/audit?act=ban.&sort=n").await;
    let acts = acts["items"].as_array().expect("a list");
    let words: Vec<_> = acts.iter().map(|act| &act["act"]).collect();
    assert_eq!(
        words,
        [
            "ban.create",
            "ban.create",
            "ban.create",
            "ban.import",
            "ban.change",
            "ban.change",
            "ban.import"
        ]
    );
    assert_eq!(acts[0]["target"], SITE);
    assert_eq!(acts[0]["after"]["reason"], "spam");
    assert_eq!(acts[4]["before"]["reason"], "spam");
    assert_eq!(acts[4]["after"]["reason"], "other");
    let (_, verified) = to.post("/audit/verify", json!({})).await;
    assert_eq!(verified["ok"], true, "{verified}");
}

#[tokio::test]
async fn bans_that_are_handed_over_at_once_are_made_once() {
    const LINES: usize = 300;
    let server = TestServer::start();
    let admin = server.admin();
    let mut table = "kind,value,reason,ends\n".to_owned();
    for number in 0..LINES {
        table += &format!("site,https://spam-{number}.example,spam,\n");
    }
    let import = async || {
        let request = admin.request(Method::POST, "/bans/import");
        let request = request.header("Content-Type", "text/csv");
        crate::admins::answer(request.body(table.clone())).await
    };
    let (first, second, third) = tokio::join!(import(), import(), import());
    let added = [first, second, third].map(|(status, done)| {
        assert_eq!(status, 200, "{done}");
        done["added"].as_u64().expect("a number")
    });
    assert_eq!(added.iter().sum::<u64>(), LINES as u64, "{added:?}");
    let exported = admin.request(Method::GET, "/bans.csv").send().await;
    let exported = exported.expect("an answer").text().await.expect("a table");
    assert_eq!(exported.lines().count(), LINES + 1);
}

#[tokio::test]
async fn a_ban_that_is_lifted_while_it_is_changed_stays_lifted() {
    let server = TestServer::start();
    let admin = server.admin();
    for _ in 0..50 {
        let made = ban(&admin, "site", SITE, Value::Null).await;
        let path = format!("/bans/{}", made["id"].as_str().expect("an id"));
        let change = async || {
            let change = json!({"reason": "more spam"});
            admin.ask(Method::PATCH, &path, Some(change)).await.0
        };
        let (changed, other, ()) = tokio::join!(change(), change(), lift(&admin, &made));
        for status in [changed, other] {
            // 409 where it was over when it was looked at, 404 where it was lifted since.
            assert!([200, 404, 409].contains(&status), "{status}");
        }
        let (_, listed) = admin.get("/bans").await;
        assert_eq!(listed["items"], json!([]), "it came back");
    }
}

#[tokio::test]
async fn a_viewer_blocks_nobody_and_what_is_done_is_written_down() {
    let server = TestServer::start();
    let (admin, viewer) = (server.admin(), server.admin_as("viewer"));
    let new = json!({"kind": "site", "value": SITE, "reason": "spam", "ends": null});
    assert_eq!(viewer.post("/bans", new.clone()).await.0, 403);
    assert_eq!(viewer.post("/bans?dry_run=true", new.clone()).await.0, 200);
    let lower = json!({"limits.site_per_day": 2});
    assert_eq!(viewer.ask(Method::PUT, "/limits", Some(lower)).await.0, 403);
    let made = ban(&admin, "site", SITE, Value::Null).await;
    let (status, problem) = admin.post("/bans", new).await;
    assert_eq!((status, &problem["id"]), (409, &made["id"]), "{problem}");
    let path = format!("/bans/{}", made["id"].as_str().expect("an id"));
    assert_eq!(viewer.delete(&path).await.0, 403);
    let change = json!({"reason": "more spam"});
    let (status, changed) = admin.ask(Method::PATCH, &path, Some(change)).await;
    assert_eq!((status, &changed["reason"]), (200, &"more spam".into()));
    lift(&admin, &made).await;
    lift(&admin, &made).await;
    let (_, acts) = admin.get("/audit?act=ban.").await;
    let acts = acts["items"].as_array().expect("a list");
    let words: Vec<_> = acts.iter().map(|act| &act["act"]).collect();
    assert_eq!(words, ["ban.lift", "ban.change", "ban.create"]);
    assert_eq!(acts[1]["before"]["reason"], "spam");
    assert_eq!(acts[1]["after"]["reason"], "more spam");
    let (_, verified) = admin.post("/audit/verify", json!({})).await;
    assert_eq!(verified["ok"], true, "{verified}");
}

#[tokio::test]
async fn the_command_line_does_the_same_at_a_server_that_runs() {
    let server = TestServer::start();
    let admin = server.admin();
    let user = server.user("ada").await;
    let site = user.approve(SITE).await;
    let run = |arguments: &[&str]| admin_command_at(&server.url(), &admin.token, arguments);
    let add = ["ban", "add", "site", SITE, "--reason", "spam"];
    let would = run(&[&add[..], &["--dry-run"]].concat()).one();
    assert_eq!(would["permissions"], 1, "{would}");
    let made = run(&add).one();
    assert_eq!(status_of(&site.permission.endpoint).await, 403);
    assert_eq!(run(&["ban", "list", "--search", "NEWS spam"]).one(), made);
    let again = run(&add);
    assert!(again.error.contains("already"), "{}", again.error);
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("bans.csv");
    let written = format!("kind,value,reason,ends\nsite,{SITE},worse,\nuser,ada,,\n");
    std::fs::write(&table, written).expect("written");
    let table = table.to_str().expect("text");
    let imported = run(&["ban", "import", table]).one();
    assert_eq!(
        (&imported["added"], &imported["changed"]),
        (&1.into(), &1.into())
    );
    let id = made["id"].as_str().expect("an id");
    run(&["ban", "lift", id]).one();
    let ada = run(&["ban", "list", "--kind", "user"]).one();
    run(&["ban", "lift", ada["id"].as_str().expect("an id")]).one();
    assert_eq!(status_of(&site.permission.endpoint).await, 201);

    run(&[
        "limits",
        "set",
        "limits.permission_burst=1",
        "retention.history=60",
    ])
    .one();
    run(&["limits", "user", "ada", "devices_per_user=1"]).one();
    run(&["limits", "site", SITE, "site_per_second=5"]).one();
    let listed = run(&["limits", "list"]);
    let listed = |name: &str| {
        let found = listed.lines.iter().find(|limit| limit["name"] == name);
        found.expect("there").clone()
    };
    assert_eq!(listed("limits.permission_burst")["in_force"], 1);
    assert_eq!(listed("limits.devices_per_user")["overrides"], 1);
    assert_eq!(listed("retention.history")["set"], 60);
    assert_eq!(run(&["retention"]).lines.len(), 5);
    let dry = run(&["limits", "set", "retention.history=1", "--dry-run"]);
    assert_eq!(dry.lines.len(), 5, "{}", dry.error);
    let wrong = run(&["limits", "set", "limits.permission_burst=0"]);
    assert!(
        wrong.error.contains("limits.permission_burst is from 1"),
        "{}",
        wrong.error
    );
    run(&["limits", "set", "limits.permission_burst=default"]).one();
    let unknown = run(&["trace", "https://push.example/push/message/x"]);
    assert!(
        unknown.error.contains("no such message"),
        "{}",
        unknown.error
    );
    let nowhere = crate::admins::admin_command(server.data(), &["ban", "list"]);
    assert!(!nowhere.succeeded);
}
