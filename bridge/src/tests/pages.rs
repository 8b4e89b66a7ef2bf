//! What a page of any origin may do, and what the framework's own errors look like.

use super::*;

const PAGE: (&str, &str) = ("Origin", "https://page.example");

#[tokio::test]
async fn a_page_of_any_origin_may_post_and_read_the_answer() {
    let site = Site::new().await;
    let endpoint = format!("/push/{}", secret(1).expose());
    let wanted =
        "authorization,content-encoding,content-type,idempotency-key,prefer,topic,ttl,urgency";
    let message = format!("/push/message/{}", "A".repeat(64));
    let receipts = format!("/push/receipts/{}", "A".repeat(43));
    for (path, method) in [
        (&endpoint, "POST"),
        (&message, "DELETE"),
        (&receipts, "GET"),
        (&receipts, "DELETE"),
    ] {
        let asked = [
            PAGE,
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", wanted),
        ];
        let answer = site.ask("OPTIONS", path, &asked, Vec::new()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let methods = answer.header("access-control-allow-methods");
        assert!(methods.split(',').any(|one| one.trim() == method));
        let allowed = answer.header("access-control-allow-headers");
        let allowed: Vec<_> = allowed.split(',').map(str::trim).collect();
        for name in wanted.split(',') {
            assert!(allowed.contains(&name), "{name} of {allowed:?}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let answer = site.post(1, &[PAGE], body(1)).await;
    assert_eq!(answer.status, 201);
    let exposed = answer.header("access-control-expose-headers");
    for name in [
        "location",
        "ttl",
        "retry-after",
        "link",
        "preference-applied",
    ] {
        assert!(exposed.split(',').any(|one| one.trim() == name), "{name}");
    }
}

#[tokio::test]
async fn every_error_is_a_problem_that_a_page_can_read() {
    let site = Site::new().await;
    let endpoint = format!("/push/{}", secret(1).expose());
    let message = format!("/push/message/{}", "A".repeat(64));
    let check = async |method: &str, path: &str, status: u16, allow: &str| {
        let answer = site.ask(method, path, &[PAGE], Vec::new()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.problem["status"], status, "{method} {path}");
        assert!(answer.problem["detail"].is_string());
    };
    check("PUT", &endpoint, 405, "POST,GET,HEAD").await;
    check("DELETE", &endpoint, 405, "POST,GET,HEAD").await;
    check("GET", &message, 405, "DELETE").await;
    check("POST", &message, 405, "DELETE").await;
    check("DELETE", &message, 404, "").await;
    let receipts = format!("/push/receipts/{}", "A".repeat(43));
    check("POST", &receipts, 405, "GET,HEAD,DELETE").await;
    check("GET", &receipts, 404, "").await;
    check("DELETE", &receipts, 404, "").await;
    check("POST", "/push/", 404, "").await;
    check("POST", "/push/a/b", 404, "").await;
    check("GET", "/v1/nothing", 404, "").await;
}

#[tokio::test]
async fn what_is_no_endpoint_is_answered_alike_whatever_it_is() {
    let site = Site::new().await;
    let unknown = site.ask("POST", "/push/short", &[], body(1)).await;
    let long = format!("/push/{}", "a".repeat(5_000));
    let stranger = format!("/push/{}", secret(7).expose());
    for path in ["/push/%ff", "/push/%zz", "/push/%00", &long, &stranger] {
        let answer = site.ask("POST", path, &[], body(1)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.problem, unknown.problem, "{path}");
        assert_eq!(answer.headers, unknown.headers, "{path}");
    }
    let message = format!("/push/message/{}", "A".repeat(64));
    let unknown = site.ask("DELETE", &message, &[], Vec::new()).await;
    for path in ["/push/message/%ff", "/push/message/x"] {
        let answer = site.ask("DELETE", path, &[], Vec::new()).await;
        assert_eq!(answer.problem, unknown.problem, "{path}");
    }
}
