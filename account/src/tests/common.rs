//! What is so of all routes.

use super::*;

#[tokio::test]
async fn a_wrong_path_and_a_wrong_method_are_problems_too() {
    let server = Server::new().await;
    let raw = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], parts.status.as_u16());
        (parts.status.as_u16(), parts.headers.get("allow").cloned())
    };
    assert_eq!(raw("GET", "/v1/nothing").await, (404, None));
    assert_eq!(raw("GET", "/v1/devices/%ff").await.0, 405);
    let (status, allow) = raw("PUT", "/v1/devices").await;
    assert_eq!(status, 405);
    let allow = allow.unwrap();
    let allow = allow.to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn pages_of_any_origin_may_call_without_credentials() {
    let server = Server::new().await;
    let ask = async |method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri("/v1/me");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        server.router.clone().oneshot(request).await.unwrap()
    };
    let origin = ("Origin", "https://app.example");
    let wanted = (
        "Access-Control-Request-Headers",
        "authorization,content-type",
    );
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let asked = ("Access-Control-Request-Method", method);
        let answer = ask("OPTIONS", &[origin, wanted, asked]).await;
        assert!(answer.status().is_success());
        let header = |name: &str| {
            answer.headers()[name]
                .to_str()
                .unwrap()
                .to_ascii_lowercase()
        };
        assert_eq!(header("access-control-allow-origin"), "*");
        assert!(header("access-control-allow-headers").contains("authorization"));
        assert!(header("access-control-allow-methods").contains(&method.to_ascii_lowercase()));
        assert!(
            !answer
                .headers()
                .contains_key("access-control-allow-credentials")
        );
    }
    let refused = ask("GET", &[origin]).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["access-control-allow-origin"], "*");
    let exposed = refused.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for name in ["etag", "retry-after"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

#[tokio::test]
async fn every_route_that_is_not_open_asks_who_calls() {
    let server = Server::new().await;
    let id = DeviceId::from_bytes([7; 16]);
    for (method, path) in [
        ("GET", "/v1/sessions".to_owned()),
        ("DELETE", "/v1/sessions/current".to_owned()),
        ("DELETE", format!("/v1/sessions/{id}")),
        ("GET", "/v1/me".to_owned()),
        ("PATCH", "/v1/me".to_owned()),
        ("DELETE", "/v1/me".to_owned()),
        ("PUT", "/v1/me/password".to_owned()),
        ("POST", "/v1/devices".to_owned()),
        ("GET", "/v1/devices".to_owned()),
        ("PATCH", format!("/v1/devices/{id}")),
        ("DELETE", format!("/v1/devices/{id}")),
        ("GET", "/v1/notifications".to_owned()),
        ("GET", format!("/v1/notifications/{id}")),
        ("POST", "/v1/notifications/ack".to_owned()),
        ("GET", "/v1/keyring".to_owned()),
        ("PUT", "/v1/keyring".to_owned()),
        ("GET", "/v1/keyring/wraps/recovery".to_owned()),
        ("PUT", "/v1/keyring/wraps/recovery".to_owned()),
        ("POST", "/v1/permissions".to_owned()),
        ("GET", "/v1/permissions".to_owned()),
        ("GET", format!("/v1/permissions/{id}")),
        ("PATCH", format!("/v1/permissions/{id}")),
        ("DELETE", format!("/v1/permissions/{id}")),
    ] {
        for auth in ["", "Bearer made-up"] {
            let answer = server.ask(method, &path, auth, json!({})).await;
            assert_eq!(answer.status, 401, "{method} {path} {auth}");
        }
    }
}
