//! Promise: admins see all users and sites, sorted and searched, in pages that others' coming and going
//! does not upset, by count and never by content; and what they decide about one holds at once.

use crate::admins::{AdminApi, Said, admin_command, admin_command_at, answer};
use crate::harness::{PASSWORD, PATIENCE, TestServer, marked_body, post};
use crate::mqtt::{Client, Version};
use crate::sites::{Web, item};
use reqwest::Method;
use serde_json::{Value, json};

/// The generator of P-256 (SP 800-186 §3.2.1.3): a public key for sure.
const POINT: &str =
    "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

/// The path of a site.
fn of(site: &str) -> String {
    let encoded = site.replace(':', "%3A").replace('/', "%2F");
    format!("/sites/{encoded}")
}

/// What a list has in one of its columns.
async fn column(admin: &AdminApi, path: &str, column: &str) -> Vec<String> {
    let (status, page) = admin.get(path).await;
    assert_eq!(status, 200, "{page}");
    let items = page["items"].as_array().expect("items").iter();
    let text = |item: &Value| match &item[column] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    items.map(text).collect()
}

/// What is wrong, by the last part of its type.
fn kind(problem: &Value) -> &str {
    let kind = problem["type"].as_str().expect("a type");
    kind.rsplit('/').next().expect("a last part")
}

#[tokio::test]
async fn users_are_found_sorted_and_counted() {
    let server = TestServer::start();
    let admin = server.admin_as("viewer");
    let (zoe, ada, emil) = (
        server.user("Zoë").await,
        server.user("ada").await,
        server.user("Émil").await,
    );
    for name in ["laptop", "phone"] {
        zoe.device(name).await;
    }
    ada.device("laptop").await;
    let site = emil.approve("https://news.example").await;
    zoe.approve("https://news.example").await;
    zoe.approve("https://shop.example").await;
    let all = column(&admin, "/users", "username").await;
    assert_eq!(all, ["ada", "Émil", "Zoë"]);
    for (query, found) in [
        ("search=zoe", vec!["Zoë"]),
        ("search=EM", vec!["Émil"]),
        ("search=nobody", vec![]),
        ("sort=-username", vec!["Zoë", "Émil", "ada"]),
        ("sort=created", vec!["Zoë", "ada", "Émil"]),
        ("sort=-devices", vec!["Zoë", "ada", "Émil"]),
        ("sort=-permissions", vec!["Zoë", "Émil", "ada"]),
    ] {
        let path = format!("/users?{query}");
        assert_eq!(column(&admin, &path, "username").await, found, "{query}");
    }
    for query in [
        "sort=mailbox_bytes",
        "sort=password_hash",
        "search=a+b+c+d+e",
    ] {
        let (status, problem) = admin.get(&format!("/users?{query}")).await;
        assert_eq!((status, kind(&problem)), (422, "invalid"), "{query}");
    }

    let device = emil.device("laptop").await;
    let mut connected = Client::connect(server.mqtt, &device, Version::V5).await;
    connected.subscribe(&device.topics.notifications).await;
    connected.disconnect().await;
    let http = server.http_client();
    let posted = post(&http, &site.permission.endpoint, marked_body(1)).await;
    assert_eq!(posted.expect("an answer").status(), 201);
    let path = format!("/users/{}", emil.id);
    let (_, user) = admin.get(&path).await;
    assert_eq!(
        (
            &user["mailbox_depth"],
            &user["mailbox_bytes"],
            &user["role"]
        ),
        (&json!(1), &json!(marked_body(1).len()), &json!("none"))
    );
    assert_eq!(user["devices_by_kind"], json!({"cli": 1}));
    assert_eq!(user["permissions_by_state"], json!({"allowed": 1}));
    assert_eq!(user["ban"], Value::Null);
    let shown = user.to_string();
    for secret in [
        "news.example",
        "laptop",
        &site.permission.permission_id.to_string(),
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let nobody = admin.get("/users/aaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!(nobody.0, 404);
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_whoever_comes_between() {
    let server = TestServer::start();
    let admin = server.admin();
    for name in ["bea", "dan", "fay"] {
        server.user(name).await;
    }
    let (_, first) = admin.get("/users?limit=2").await;
    let next = first["next"].as_str().expect("more");
    for name in ["abe", "cat", "eve", "gus"] {
        server.user(name).await;
    }
    let rest = format!("/users?limit=200&cursor={next}");
    let rest = column(&admin, &rest, "username").await;
    assert_eq!(rest, ["eve", "fay", "gus"]);
    let foreign = format!("/users?sort=created&cursor={next}");
    assert_eq!(admin.get(&foreign).await.0, 400, "of another order");
    assert_eq!(admin.get("/users?cursor=mine").await.0, 400);

    let user = server.user("zed").await;
    for site in ["b", "d", "f"] {
        user.approve(&format!("https://{site}.example")).await;
    }
    let (_, first) = admin.get("/sites?sort=site&limit=2").await;
    let next = first["next"].as_str().expect("more");
    for site in ["a", "c", "e"] {
        user.approve(&format!("https://{site}.example")).await;
    }
    let rest = format!("/sites?sort=site&cursor={next}");
    let rest = column(&admin, &rest, "site").await;
    assert_eq!(rest, ["https://e.example", "https://f.example"]);
}

#[tokio::test]
async fn sites_are_those_that_somebody_approved_or_that_are_registered() {
    let server = TestServer::start();
    let (admin, viewer) = (server.admin(), server.admin_as("viewer"));
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let used = ada.approve("https://news.example").await;
    bob.approve("https://news.example").await;
    ada.approve("https://shop.example").await;
    let (status, made) = admin
        .post("/sites", json!({"site": "https://new.example"}))
        .await;
    assert_eq!(status, 201, "{made}");
    let line = made["proof"].as_str().expect("a line");
    assert!(line.starts_with("belfry-site="), "{line}");
    let again = admin
        .post("/sites", json!({"site": "https://new.example"}))
        .await;
    assert_eq!((again.0, kind(&again.1)), (409, "exists"));
    let path = admin
        .post("/sites", json!({"site": "https://new.example/path"}))
        .await;
    assert_eq!((path.0, &path.1["field"]), (422, &json!("site")));

    let by_count = column(&viewer, "/sites?sort=-permissions", "site").await;
    let (news, shop, new) = (
        "https://news.example",
        "https://shop.example",
        "https://new.example",
    );
    assert_eq!(by_count, [news, shop, new]);
    assert_eq!(
        column(&viewer, "/sites?search=NEW&sort=site", "site").await,
        [new, news]
    );
    assert_eq!(
        column(&viewer, "/sites?search=shop+EXAMPLE", "site").await,
        [shop]
    );
    let http = server.http_client();
    let posted = post(&http, &used.permission.endpoint, marked_body(1)).await;
    assert_eq!(posted.expect("an answer").status(), 201);
    assert_eq!(
        column(&viewer, "/sites?sort=-last_used&limit=1", "site").await,
        [news]
    );
    let (_, site) = viewer.get(&of(news)).await;
    assert_eq!(
        (&site["permissions"], &site["registered"]),
        (&json!(2), &json!(false))
    );
    assert!(site["last_used"].is_string(), "{site}");
    assert_eq!(
        (&site["accepted"], &site["refused"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        column(&viewer, "/sites?limit=1", "site").await,
        [news],
        "who posts most"
    );
    assert_eq!(site["proof"], Value::Null);
    assert_eq!(viewer.get(&of("https://other.example")).await.0, 404);

    assert_eq!(admin.delete(&of(new)).await.0, 204);
    assert_eq!(admin.delete(&of(new)).await.0, 404);
    assert_eq!(viewer.get(&of(new)).await.0, 404);
}

#[tokio::test]
async fn a_sites_key_ends_at_once() {
    let server = TestServer::start();
    let admin = server.admin();
    let web = Web::start().await;
    let user = server.user("ada").await;
    let approved = user.approve(&web.origin).await;
    let site = of(&web.origin);
    let (_, made) = admin.post("/sites", json!({"site": web.origin})).await;
    let (status, key) = admin
        .post(&format!("{site}/api-keys"), json!({"name": "newsroom"}))
        .await;
    assert_eq!(status, 201, "{key}");
    let publish = async || {
        let request = server
            .http_client()
            .post(format!("{}/v1/publish", server.url()))
            .bearer_auth(key["key"].as_str().expect("a key"))
            .json(&json!({"items": [item(&approved, &marked_body(1))]}));
        answer(request).await
    };
    assert_eq!(publish().await.0, 403, "not proven yet");
    let verify = format!("{site}/verify");
    let (_, looked) = admin.post(&verify, json!({})).await;
    assert_eq!(looked["proven"], false);
    assert!(
        looked["detail"]
            .as_str()
            .expect("words")
            .contains("found an empty file")
    );
    web.place(made["proof"].as_str().expect("a line"));
    let (_, looked) = admin.post(&verify, json!({})).await;
    assert_eq!(looked["proven"], true, "{looked}");
    let (status, published) = publish().await;
    assert_eq!(
        (status, &published["results"][0]["status"]),
        (200, &json!(201))
    );
    let (_, detail) = admin.get(&site).await;
    assert_eq!(detail["api_keys"][0]["name"], "newsroom");
    assert!(detail["api_keys"][0]["last_used"].is_string(), "{detail}");
    assert!(detail["proven_since"].is_string(), "{detail}");

    let id = key["id"].as_str().expect("an id");
    let end = format!("{site}/api-keys/{id}");
    assert_eq!(admin.delete(&end).await.0, 204);
    assert_eq!(publish().await.0, 401);
    assert_eq!(admin.delete(&end).await.0, 404);
    let acts = column(&admin, "/audit?act=site.&sort=n", "act").await;
    assert_eq!(
        acts,
        [
            "site.register",
            "site.key.create",
            "site.verify",
            "site.key.end"
        ]
    );
    let (_, audit) = admin.get("/audit").await;
    let secret = key["key"].as_str().expect("a key");
    assert!(!audit.to_string().contains(secret));
}

#[tokio::test]
async fn a_vapid_key_is_registered_and_forgotten() {
    let server = TestServer::start();
    let admin = server.admin();
    let site = of("https://news.example");
    admin
        .post("/sites", json!({"site": "https://news.example"}))
        .await;
    let path = format!("{site}/vapid/{POINT}");
    let put = async |path: &str| admin.ask(Method::PUT, path, Some(json!({}))).await;
    assert_eq!(put(&path).await.0, 204);
    assert_eq!(put(&path).await.0, 204, "once more changes nothing");
    let (_, detail) = admin.get(&site).await;
    assert_eq!(detail["vapid_keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (
            &detail["vapid_keys"][0]["key"],
            &detail["vapid_keys"][0]["registered"]
        ),
        (&json!(POINT), &json!(true))
    );
    assert_eq!(put(&format!("{site}/vapid/AAAA")).await.0, 422);
    let other = of("https://other.example");
    assert_eq!(put(&format!("{other}/vapid/{POINT}")).await.0, 404);
    assert_eq!(admin.delete(&path).await.0, 204);
    assert_eq!(admin.delete(&path).await.0, 404);
    let acts = column(&admin, "/audit?act=site.vapid", "act").await;
    assert_eq!(acts.len(), 2);
}

#[tokio::test]
async fn a_user_is_made_with_a_role_and_the_last_admin_keeps_it() {
    let server = TestServer::start();
    let admin = server.admin();
    let new =
        |name: &str, role: &str| json!({"username": name, "password": PASSWORD, "role": role});
    let (status, made) = admin.post("/users", new("Ada", "admin")).await;
    assert_eq!(status, 201, "{made}");
    let signed_in = server.client().sign_in("ada", PASSWORD, None).await;
    signed_in.expect("the password is good");
    let taken = admin.post("/users", new("ADA", "none")).await;
    assert_eq!((taken.0, kind(&taken.1)), (409, "taken"));
    for (body, field) in [
        (new("a/b", "none"), "username"),
        (
            json!({"username": "bob", "password": "short", "role": "none"}),
            "password",
        ),
        (new("bob", "owner"), "role"),
    ] {
        let (status, problem) = admin.post("/users", body).await;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{problem}"
        );
    }
    let role = format!("/users/{}/role", made["id"].as_str().expect("an id"));
    let put = async |path: &str, role: &str| {
        admin
            .ask(Method::PUT, path, Some(json!({"role": role})))
            .await
    };
    let refused = put(&role, "viewer").await;
    assert_eq!((refused.0, kind(&refused.1)), (409, "last-admin"));
    let (_, second) = admin.post("/users", new("bob", "none")).await;
    let second = format!("/users/{}", second["id"].as_str().expect("an id"));
    assert_eq!(put(&format!("{second}/role"), "admin").await.0, 204);
    assert_eq!(admin.get(&second).await.1["role"], "admin");
    assert_eq!(put(&role, "none").await.0, 204);
    assert_eq!(column(&admin, "/users", "role").await, ["none", "admin"]);
    let nobody = "/users/aaaaaaaaaaaaaaaaaaaaaaaaaa/role";
    assert_eq!(put(nobody, "viewer").await.0, 404);
    let acts = column(&admin, "/audit?act=user.&sort=n", "act").await;
    assert_eq!(
        acts,
        ["user.create", "user.create", "user.role", "user.role"]
    );
}

#[tokio::test]
async fn a_role_that_is_taken_away_counts_for_nothing_at_the_next_request() {
    let server = TestServer::start();
    let admin = server.admin();
    for (name, role) in [("ada", "admin"), ("bob", "admin")] {
        let new = json!({"username": name, "password": PASSWORD, "role": role});
        assert_eq!(admin.post("/users", new).await.0, 201);
    }
    let http = server.http_client();
    let api = format!("{}/admin/v1", server.url());
    let signing_in = http
        .post(format!("{api}/sign-in"))
        .header("Origin", server.url())
        .header("X-Belfry-Admin", "1")
        .json(&json!({"username": "bob", "password": PASSWORD}));
    let signed_in = signing_in.send().await.expect("an answer");
    assert_eq!(signed_in.status(), 200);
    let cookie = signed_in.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let ask = async |method: Method, path: &str| {
        let request = http.request(method, format!("{api}{path}"));
        let request = request
            .header("Cookie", &cookie)
            .header("Origin", server.url())
            .header("X-Belfry-Admin", "1")
            .json(&json!({}));
        answer(request).await
    };
    let (_, page) = admin.get("/users?search=bob").await;
    let bob = format!("/users/{}", page["items"][0]["id"].as_str().expect("an id"));
    let disconnect = format!("{bob}/disconnect");
    assert_eq!(ask(Method::POST, &disconnect).await.0, 200);
    let put = async |role: &str| {
        let role = json!({"role": role});
        admin
            .ask(Method::PUT, &format!("{bob}/role"), Some(role))
            .await
            .0
    };
    assert_eq!(put("viewer").await, 204);
    assert_eq!(ask(Method::GET, &bob).await.0, 200);
    let refused = ask(Method::POST, &disconnect).await;
    assert_eq!((refused.0, kind(&refused.1)), (403, "viewer"));
    assert_eq!(put("none").await, 204);
    assert_eq!(ask(Method::GET, &bob).await.0, 401);
}

#[tokio::test]
async fn what_was_decided_is_said_of_sites_and_users() {
    let server = TestServer::start();
    let admin = server.admin();
    let ada = server.user("ada").await;
    ada.approve("https://news.example").await;
    let (site, user) = (of("https://news.example"), format!("/users/{}", ada.id));
    for (value, ban_kind) in [("https://news.example", "site"), ("ada", "user")] {
        let ban = json!({"kind": ban_kind, "value": value, "reason": "spam", "ends": null});
        let (status, made) = admin.post("/bans", ban).await;
        assert_eq!(status, 201, "{made}");
    }
    for (path, list, limit) in [
        (&site, "/sites", "site_per_second"),
        (&user, "/users", "mailbox_notifications"),
    ] {
        let (_, one) = admin.get(path).await;
        assert_eq!(
            (&one["ban"]["reason"], &one["has_own_limits"]),
            (&json!("spam"), &json!(false))
        );
        let own = json!({limit: 7});
        let put = admin
            .ask(Method::PUT, &format!("{path}/limits"), Some(own))
            .await;
        assert_eq!(put.0, 204, "{}", put.1);
        let (_, one) = admin.get(path).await;
        let limits = one["limits"].as_array().expect("limits").iter();
        let own: Vec<_> = limits.filter(|limit| limit["own"] == 7).collect();
        assert_eq!((own.len(), &own[0]["name"]), (1, &json!(limit)));
        let (_, page) = admin.get(list).await;
        let listed = &page["items"][0];
        assert_eq!(
            (&listed["ban"]["reason"], &listed["has_own_limits"]),
            (&json!("spam"), &json!(true))
        );
    }
}

#[tokio::test]
async fn a_user_who_is_disconnected_may_come_back() {
    let server = TestServer::start();
    let admin = server.admin();
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let (laptop, other) = (ada.device("laptop").await, bob.device("laptop").await);
    let mut connected = Client::connect(server.mqtt, &laptop, Version::V5).await;
    let mut bystander = Client::connect(server.mqtt, &other, Version::V5).await;
    let path = format!("/users/{}", ada.id);
    assert_eq!(admin.get(&path).await.1["connected"], 1);
    let (status, ended) = admin.post(&format!("{path}/disconnect"), json!({})).await;
    assert_eq!((status, &ended), (200, &json!({"connections": 1})));
    let packet = tokio::time::timeout(PATIENCE, connected.read()).await;
    let packet = packet.expect("in time").expect("a packet");
    // DISCONNECT, Administrative action.
    assert_eq!((packet.first, packet.body[0]), (0xe0, 0x98));
    bystander.ping().await.expect("others stay");
    let mut again = Client::connect(server.mqtt, &laptop, Version::V5).await;
    again.ping().await.expect("it is back");
    let acts = column(&admin, "/audit?act=user.disconnect", "target").await;
    assert_eq!(acts, ["ada"]);
}

#[tokio::test]
async fn a_viewer_decides_nothing_about_users_and_sites() {
    let server = TestServer::start();
    let viewer = server.admin_as("viewer");
    let ada = server.user("ada").await;
    let (user, site) = (format!("/users/{}", ada.id), of("https://news.example"));
    for (method, path, body) in [
        (
            Method::POST,
            "/users".to_owned(),
            json!({"username": "b", "password": PASSWORD}),
        ),
        (
            Method::PUT,
            format!("{user}/role"),
            json!({"role": "admin"}),
        ),
        (Method::POST, format!("{user}/disconnect"), json!({})),
        (
            Method::POST,
            "/sites".to_owned(),
            json!({"site": "https://news.example"}),
        ),
        (Method::DELETE, site.clone(), Value::Null),
        (Method::POST, format!("{site}/verify"), json!({})),
        (
            Method::POST,
            format!("{site}/api-keys"),
            json!({"name": "mine"}),
        ),
        (
            Method::DELETE,
            format!("{site}/api-keys/aaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Value::Null,
        ),
        (Method::PUT, format!("{site}/vapid/AAAA"), json!({})),
        (Method::DELETE, format!("{site}/vapid/AAAA"), Value::Null),
        (Method::POST, "/apns/test".to_owned(), json!({})),
    ] {
        let (status, problem) = viewer.ask(method.clone(), &path, Some(body)).await;
        assert_eq!((status, kind(&problem)), (403, "viewer"), "{method} {path}");
    }
    let (_, audit) = viewer.get("/audit?act=site.").await;
    assert_eq!(audit["items"], json!([]));
    let (_, apns) = viewer.get("/apns").await;
    assert_eq!(apns["configured"], false);
    let tried = server.admin().post("/apns/test", json!({})).await;
    assert_eq!((tried.0, kind(&tried.1)), (409, "not-configured"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_the_same_of_the_directory_and_at_a_server() {
    let server = TestServer::start();
    let admin = server.admin();
    let web = Web::start().await;
    let here = async |arguments: &[&str]| {
        let said = tokio::task::block_in_place(|| admin_command(server.data(), arguments));
        assert!(said.succeeded, "{arguments:?}: {}", said.error);
        said.lines
    };
    let there = async |arguments: &[&str]| {
        let run = || admin_command_at(&server.url(), &admin.token, arguments);
        let said = tokio::task::block_in_place(run);
        assert!(said.succeeded, "{arguments:?}: {}", said.error);
        said.lines
    };
    there(&["user", "create", "Ada", "--role", "admin"]).await;
    there(&["user", "create", "bob"]).await;
    there(&["user", "role", "BOB", "viewer"]).await;
    let site = web.origin.as_str();
    let added = there(&["site", "add", site]).await;
    assert_eq!(here(&["site", "add", site]).await, added);
    web.place(added[0]["proof"]["line"].as_str().expect("a line"));
    let proven = there(&["site", "verify", site]).await;
    assert!(proven[0]["proven"].is_string(), "{proven:?}");
    let key = there(&["site", "key", site, "--name", "newsroom"]).await;
    let key_id = key[0]["key_id"].as_str().expect("an id");
    there(&["site", "vapid", site, POINT, "--key", key_id]).await;
    for arguments in [
        &["site", "keys", site][..],
        &["token", "list"],
        &["audit", "list", "--act", "site.", "--limit", "3"],
        &["audit", "export"],
    ] {
        let (one, other) = (here(arguments).await, there(arguments).await);
        assert!(!one.is_empty(), "{arguments:?}");
        assert_eq!(one, other, "{arguments:?}");
    }
    let (one, other) = (
        here(&["user", "list"]).await,
        there(&["user", "list"]).await,
    );
    assert_eq!((one.len(), other.len()), (2, 2));
    for (one, other) in one.iter().zip(&other) {
        for (name, value) in one.as_object().expect("an object") {
            assert_eq!(value, &other[name], "{name}");
        }
        assert_eq!(other["connected"], 0);
    }
    assert_eq!(one[1]["role"], "viewer");
    let vapid = there(&["site", "vapid", site]).await;
    assert_eq!(
        (&vapid[0]["public_key"], &vapid[0]["with"]),
        (&json!(POINT), &json!(key_id))
    );
    there(&["user", "invite"]).await;
    here(&["user", "reset", "bob"]).await;
    let (one, other) = (
        here(&["link", "list"]).await,
        there(&["link", "list"]).await,
    );
    assert_eq!((one.len(), &one), (2, &other));
    for link in &one {
        there(&["link", "end", link["id"].as_str().expect("an id")]).await;
    }
    assert!(there(&["link", "list"]).await.is_empty());
    let ended = there(&["user", "disconnect", "bob"]).await;
    assert_eq!(ended[0]["connections"], 0);
    let apns = there(&["api", "GET", "/apns"]).await;
    assert_eq!(apns[0]["configured"], false);
    there(&["site", "revoke-key", site, key_id]).await;
    there(&["site", "remove", site]).await;
    assert_eq!(there(&["audit", "verify"]).await[0]["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_it_lacks() {
    let server = TestServer::start();
    let viewer = server.admin_as("viewer");
    let fails = |said: Said, words: &str| {
        assert!(!said.succeeded, "{:?}", said.lines);
        assert!(said.error.contains(words), "{}", said.error);
    };
    let url = server.url();
    tokio::task::block_in_place(|| {
        let disconnect = ["user", "disconnect", "ada"];
        fails(admin_command(server.data(), &disconnect), "--server");
        let list = ["user", "list"];
        fails(
            admin_command_at(&url, "", &list),
            "BELFRY_ADMIN_TOKEN is not set",
        );
        fails(
            admin_command_at(&url, "belfry_admin_made-up", &list),
            "BELFRY_ADMIN_TOKEN",
        );
        let create = ["user", "create", "ada"];
        fails(
            admin_command_at(&url, &viewer.token, &create),
            "your role is viewer",
        );
        fails(
            admin_command_at(&url, &viewer.token, &disconnect),
            "there is no user ada",
        );
        let last = admin_command(server.data(), &["user", "role", "ada", "admin"]);
        fails(last, "there is no user ada");
    });
}
