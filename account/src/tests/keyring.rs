//! The sealed keyring and its wraps.

use super::devices::Connection;
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

async fn put(server: &Server, token: &Token, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut all = vec![("Authorization", &*token.0)];
    all.extend_from_slice(headers);
    server.ask_from(1, "PUT", "/v1/keyring", &all, body).await
}

#[tokio::test]
async fn of_two_devices_that_change_the_keyring_one_is_told_to_merge() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let get = async || {
        server
            .ask("GET", "/v1/keyring", &token.0, Value::Null)
            .await
    };
    assert_eq!(get().await.status, 404);
    let matching = |tag: &str| [("If-Match", tag.to_owned())];
    let put = async |headers: &[(&str, String)], body: &[u8]| {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        put(&server, &token, &headers, body.to_vec()).await
    };
    let nothing_yet = [("If-None-Match", "*".to_owned())];
    for tag in ["*", "\"0\"", "\"1\""] {
        assert_eq!(
            put(&matching(tag), b"no").await.fault(),
            (412, "If-Match"),
            "{tag}"
        );
    }
    let first = put(&nothing_yet, b"\x00first\xff").await;
    assert_eq!(first.status, 204);
    let got = get().await;
    assert_eq!((got.status, &*got.bytes), (200, &b"\x00first\xff"[..]));
    assert_eq!(got.header("content-type"), "application/octet-stream");
    let tag = got.header("etag").to_owned();
    assert_eq!(first.header("etag"), tag);
    assert!(tag.starts_with('"') && tag.ends_with('"'));

    assert_eq!(put(&nothing_yet, b"late").await.status, 412);
    assert_eq!(put(&[], b"late").await.status, 412);
    let second = put(&matching(&tag), b"second").await;
    assert_eq!(second.status, 204);
    assert_ne!(second.header("etag"), tag);
    assert_eq!(
        put(&matching(&tag), b"late").await.fault(),
        (412, "If-Match")
    );
    let weak = format!("W/{}", second.header("etag"));
    for never in [&*weak, "\"0\"", "\"99\"", "\"nonsense\"", "nonsense", ""] {
        assert_eq!(put(&matching(never), b"late").await.status, 412, "{never}");
    }
    assert_eq!(get().await.bytes, &b"second"[..]);
    let either = format!("\"77\", {}", second.header("etag"));
    assert_eq!(put(&matching(&either), b"third").await.status, 204);
    assert_eq!(put(&matching("*"), b"fourth").await.status, 204);
    let wrong = [("If-None-Match", tag.clone())];
    assert_eq!(put(&wrong, b"late").await.fault(), (400, "If-None-Match"));
    let both = [("If-None-Match", "*".to_owned()), ("If-Match", tag)];
    assert_eq!(put(&both, b"late").await.status, 400);
    assert_eq!(get().await.bytes, &b"fourth"[..]);
}

#[tokio::test]
async fn a_keyring_and_a_wrap_have_a_largest_size_and_devices_hear_of_them() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let device = server.device(&token, "laptop").await;
    let mut connection = Connection::open(&server, &device).await.unwrap();
    assert_eq!(
        put(&server, &token, &[], vec![1; 256 * 1024 + 1])
            .await
            .fault(),
        (413, "body")
    );
    let missing = server
        .ask("GET", "/v1/keyring", &token.0, Value::Null)
        .await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        put(&server, &token, &[], vec![1; 256 * 1024]).await.status,
        204
    );
    assert_eq!(connection.event().await, "keyring.changed");
    let auth = [("Authorization", &*token.0)];
    let path = "/v1/keyring/wraps/recovery";
    let wrap = async |bytes| server.ask_from(1, "PUT", path, &auth, vec![2; bytes]).await;
    assert_eq!(wrap(1_025).await.fault(), (413, "body"));
    assert_eq!(wrap(1_024).await.status, 204);
    assert_eq!(connection.event().await, "keyring.changed");
}

#[tokio::test]
async fn a_wrap_is_for_the_recovery_key_or_a_device_of_the_same_user() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let own = server.device(&ada, "laptop").await;
    let foreign = server.device(&eve, "laptop").await;
    let path = |name: &str| format!("/v1/keyring/wraps/{name}");
    let put = async |name: &str, wrap: &'static [u8]| {
        let auth = [("Authorization", &*ada.0)];
        server
            .ask_from(1, "PUT", &path(name), &auth, wrap)
            .await
            .status
    };
    let get = async |token: &Token, name: &str| {
        server.ask("GET", &path(name), &token.0, Value::Null).await
    };
    let own_id = own.text("device_id").to_owned();
    for name in ["recovery", &*own_id] {
        assert_eq!(get(&ada, name).await.status, 404, "{name}");
        assert_eq!(put(name, b"one").await, 204);
        assert_eq!(put(name, b"two").await, 204);
        let got = get(&ada, name).await;
        assert_eq!((got.status, &*got.bytes), (200, &b"two"[..]));
        assert_eq!(get(&eve, name).await.status, 404, "{name}");
    }
    for name in [foreign.text("device_id"), "nonsense", "Recovery"] {
        assert_eq!(
            (put(name, b"no").await, get(&ada, name).await.status),
            (404, 404),
            "{name}"
        );
    }
    let device = format!("/v1/devices/{own_id}");
    let fresh = server.sign_in("ada").await;
    assert_eq!(
        server
            .ask("DELETE", &device, &fresh.0, Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(get(&fresh, &own_id).await.status, 404);
}

/// A keyring with wraps, as base64url.
fn whole(sealed: &[u8], wraps: &[(&str, &[u8])]) -> Value {
    let wraps = wraps.iter().map(|(recipient, wrap)| {
        let wrap = Value::from(URL_SAFE_NO_PAD.encode(wrap));
        ((*recipient).to_owned(), wrap)
    });
    let wraps: serde_json::Map<_, _> = wraps.collect();
    json!({"sealed": URL_SAFE_NO_PAD.encode(sealed), "wraps": wraps})
}

async fn put_whole(server: &Server, token: &Token, tag: &str, body: &Value) -> Answer {
    let condition = if tag == "*" {
        "If-None-Match"
    } else {
        "If-Match"
    };
    let headers = [("Content-Type", "application/json"), (condition, tag)];
    put(server, token, &headers, body.to_string().into()).await
}

#[tokio::test]
async fn a_keyring_and_its_wraps_change_together_or_not_at_all() {
    let server = Server::new().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let laptop = server.device(&ada, "laptop").await;
    let foreign = server.device(&eve, "laptop").await;
    let (own, foreign) = (laptop.text("device_id"), foreign.text("device_id"));
    let mut connection = Connection::open(&server, &laptop).await.unwrap();
    let get = async |path: &str| {
        let path = format!("/v1/keyring{path}");
        let got = server.ask("GET", &path, &ada.0, Value::Null).await;
        (got.status == 200).then(|| got.bytes.to_vec())
    };
    let state = async || {
        let wraps = (
            get("/wraps/recovery").await,
            get(&format!("/wraps/{own}")).await,
        );
        (get("").await, wraps)
    };
    let is = |sealed: &[u8], wrap: &[u8]| {
        let wrap = || Some(wrap.to_vec());
        (Some(sealed.to_vec()), (wrap(), wrap()))
    };
    let first = whole(b"\x00first\xff", &[("recovery", b"one"), (own, b"one")]);
    let answer = put_whole(&server, &ada, "*", &first).await;
    assert_eq!(answer.status, 204);
    let tag = answer.header("etag").to_owned();
    assert_eq!(state().await, is(b"\x00first\xff", b"one"));
    assert_eq!(connection.event().await, "keyring.changed");

    // Nothing of what is refused changes anything.
    let large = vec![7; 256 * 1024 + 1];
    let large_wrap = vec![7; 1_025];
    let late = whole(b"no", &[("recovery", b"no"), (own, b"no")]);
    for (condition, body, status, field) in [
        ("*", late.clone(), 412, "If-Match"),
        ("\"77\"", late, 412, "If-Match"),
        (
            &*tag,
            whole(b"no", &[("recovery", b"no"), (foreign, b"no")]),
            422,
            foreign,
        ),
        (
            &*tag,
            whole(b"no", &[(own, b"no"), ("nobody", b"no")]),
            422,
            "nobody",
        ),
        (&*tag, whole(&large, &[(own, b"no")]), 413, "sealed"),
        (
            &*tag,
            whole(b"no", &[("recovery", b"no"), (own, &large_wrap)]),
            413,
            own,
        ),
        (&*tag, json!({"sealed": "bm8=", "wraps": {}}), 422, "sealed"),
        (
            &*tag,
            json!({"sealed": "bm8", "wraps": {"recovery": "!"}}),
            422,
            "recovery",
        ),
        (
            &*tag,
            json!({"sealed": "bm8", "wraps": {"recovery": 7}}),
            422,
            "recovery",
        ),
        (&*tag, json!({"sealed": "bm8"}), 422, "wraps"),
        (&*tag, json!({"wraps": {}}), 422, "sealed"),
        (&*tag, json!([]), 422, "body"),
    ] {
        let answer = put_whole(&server, &ada, condition, &body).await;
        let (got, at) = answer.fault();
        assert_eq!(got, status, "{body}");
        assert!(at.ends_with(field), "{at} is not {field}");
        assert_eq!(state().await, is(b"\x00first\xff", b"one"), "{body}");
    }
    let huge = vec![b' '; 512 * 1024 + 1];
    let json = [("Content-Type", "application/json"), ("If-Match", &*tag)];
    assert_eq!(put(&server, &ada, &json, huge).await.fault(), (413, "body"));

    // The largest that there may be, and no second word of what was refused.
    let wraps: &[(&str, &[u8])] = &[("recovery", &large_wrap[1..]), (own, &large_wrap[1..])];
    let largest = whole(&large[1..], wraps);
    assert_eq!(put_whole(&server, &ada, &tag, &largest).await.status, 204);
    assert_eq!(state().await, is(&large[1..], &large_wrap[1..]));
    assert_eq!(connection.event().await, "keyring.changed");
    // A wrap that is not named stays.
    let alone = whole(b"alone", &[]);
    assert_eq!(put_whole(&server, &ada, "\"2\"", &alone).await.status, 204);
    assert_eq!(state().await, is(b"alone", &large_wrap[1..]));
    assert_eq!(
        put(&server, &ada, &[("If-Match", "*")], b"bytes".into())
            .await
            .status,
        204
    );
    assert_eq!(get("").await.unwrap(), b"bytes");
}
