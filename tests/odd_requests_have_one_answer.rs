//! Promise: whatever an HTTP client sends, it has one answer that says what was wrong, nothing that it
//! hides in one request is taken for another, and nobody else notices.

use crate::harness::{TestServer, marked_body};
use crate::hostile::{Bystander, head, open, rest};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The statuses that these bytes are answered with until the server closes.
async fn statuses(server: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = open(server).await;
    // The server may be done before all is sent.
    let _ = stream.write_all(bytes).await;
    let answers = rest(&mut stream).await;
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let begin = answers.split("HTTP/1.1 ").skip(1);
    begin
        .map(|answer| answer[..3].parse().expect("a status"))
        .collect()
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_or_ends_the_connection() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n";
    let post = "POST /v1/sessions HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n";
    let check = async |request: String, expected: &[u16]| {
        let found = statuses(server.http, request.as_bytes()).await;
        assert_eq!(found, expected, "{request:?}");
    };
    // Two lengths: neither is chosen.
    let two = format!("{post}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}{hidden}");
    check(two, &[400]).await;
    // A length and chunks: the chunks count, and the connection ends (RFC 9112 §6.3).
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    check(format!("{post}{both}{hidden}"), &[422]).await;
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    check(format!("{post}{both}{hidden}"), &[422]).await;
    for wrong in [
        "Content-Length: -1",
        "Content-Length: +2",
        "Content-Length: 0x2",
        "Content-Length: 99999999999999999999",
        "Content-Length : 2",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "X: a\r\n folded: b",
        "X: a\0b",
        "no colon",
    ] {
        check(format!("{post}{wrong}\r\n\r\n{{}}{hidden}"), &[400]).await;
    }
    let old = post.replace("HTTP/1.1", "HTTP/1.0");
    let chunks = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    check(format!("{old}{chunks}{hidden}"), &[400]).await;
    for chunk in ["fffffffffffffffff\r\n{}", "-2\r\n{}", "2\n{}\r\n0\r\n\r\n"] {
        let request = format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunk}{hidden}");
        check(request, &[400]).await;
    }
    // HTTP/2 was not agreed on: there is no way to say so in it.
    check(format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"), &[]).await;
    check("\0\u{1}\u{2}".to_owned(), &[400]).await;
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn heads_are_bounded_in_number_and_in_size() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let check = async |path: &str, headers: &str, expected: &[u16]| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n{headers}\r\n");
        let found = statuses(server.http, request.as_bytes()).await;
        let known = found.iter().all(|status| expected.contains(status));
        assert!(
            known && found.len() <= 1,
            "{path:.9} {headers:.9}: {found:?}"
        );
    };
    check("/healthz", &"X: y\r\n".repeat(90), &[200]).await;
    check("/healthz", &"X: y\r\n".repeat(200), &[431]).await;
    check("/healthz", &"X: y\r\n".repeat(100_000), &[431]).await;
    check(
        "/healthz",
        &format!("X: {}\r\n", "y".repeat(20_000)),
        &[200],
    )
    .await;
    check(
        "/healthz",
        &format!("X: {}\r\n", "y".repeat(100_000)),
        &[431],
    )
    .await;
    check(
        "/healthz",
        &format!("X: {}\r\n", "y".repeat(9_000_000)),
        &[431],
    )
    .await;
    let long = format!("/{}", "a".repeat(100_000));
    check(&long, "", &[414, 431]).await;
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn json_is_bounded_in_size_and_in_depth() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let http = reqwest::Client::new();
    let url = format!("{}/v1/sessions", server.url());
    let check = async |body: String, expected: u16| {
        let begin: String = body.chars().take(40).collect();
        let request = http.post(&url).header("Content-Type", "application/json");
        let answer = request.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), expected, "{begin}…");
        let problem: serde_json::Value = answer.json().await.expect("a problem");
        assert_eq!(problem["status"], expected);
    };
    check("[".repeat(60_000), 422).await;
    check(format!("{{\"username\":{}", "[".repeat(60_000)), 400).await;
    check(format!("{{\"other\":{}", "[".repeat(60_000)), 400).await;
    check(format!("{{\"username\":\"{}\"}}", "a".repeat(60_000)), 422).await;
    check(format!("{{\"username\":\"{}\"}}", "a".repeat(70_000)), 413).await;
    check(format!("{{{}}}", "\"a\":1,".repeat(10_000)), 400).await;
    check(
        "{\"username\":\"\\ud800\",\"password\":\"\"}".to_owned(),
        400,
    )
    .await;
    // Answered by its length, or after what is too much of it, with the rest still to come.
    let head = "POST /v1/sessions HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n";
    let long = format!("{head}Content-Length: 20000000\r\n\r\n");
    let spaces = " ".repeat(70_000);
    assert_eq!(
        statuses(server.http, (long + &spaces).as_bytes()).await,
        [413]
    );
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n11170\r\n{spaces}");
    assert_eq!(statuses(server.http, chunked.as_bytes()).await, [413]);
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_thousand_requests_at_once_on_one_connection_are_answered_in_order() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let mut stream = open(server.http).await;
    let mut requests = String::new();
    for number in 0..1_000 {
        let path = if number % 2 == 0 {
            "healthz"
        } else {
            "nothing"
        };
        requests.push_str(&format!("GET /{path} HTTP/1.1\r\nHost: b\r\n\r\n"));
    }
    let (mut reading, mut writing) = stream.split();
    let send = async { writing.write_all(requests.as_bytes()).await };
    let read = async {
        let (mut answers, mut more) = (String::new(), vec![0; 65_536]);
        while answers.matches("HTTP/1.1 ").count() < 1_000 {
            let count = reading.read(&mut more).await.expect("answers");
            assert!(count > 0, "it goes on");
            answers.push_str(&String::from_utf8_lossy(&more[..count]));
        }
        answers
    };
    let (sent, answers) = tokio::join!(send, read);
    sent.expect("all are sent");
    let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    for (number, answer) in answers.iter().enumerate() {
        let expected = if number % 2 == 0 { "200" } else { "404" };
        assert!(answer.starts_with(expected), "{number}: {answer}");
    }
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn absurd_headers_of_a_post_are_capped_or_refused() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let path = site.permission.endpoint.replace(&server.url(), "");
    let body = String::from_utf8(marked_body(1)).unwrap_or_default();
    let check = async |headers: &str, expected: u16| {
        let mut stream = open(server.http).await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: b\r\nContent-Encoding: crypto-box\r\n{headers}\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let head = head(&mut stream).await.expect("an answer");
        assert!(
            head.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{headers}{head}"
        );
        head.to_ascii_lowercase()
    };
    let huge = "9".repeat(10_000);
    let capped = check(&format!("TTL: {huge}\r\n"), 201).await;
    assert!(capped.contains("\r\nttl: 2592000\r\n"), "{capped}");
    for ttl in ["-1", "1e9", "0x10", "", "1 2", "\u{661}"] {
        check(&format!("TTL: {ttl}\r\n"), 400).await;
    }
    check("TTL: 1\r\nTTL: 2\r\n", 400).await;
    let topic = |topic: &str| format!("TTL: 60\r\nTopic: {topic}\r\n");
    check(&topic(&"a".repeat(32)), 201).await;
    check(&topic(&"a".repeat(33)), 400).await;
    check(&topic(&"a".repeat(20_000)), 400).await;
    check(&topic("../../etc"), 400).await;
    let key = |key: &str| format!("TTL: 60\r\nIdempotency-Key: {key}\r\n");
    check(&key(&"k".repeat(64)), 201).await;
    check(&key(&"k".repeat(20_000)), 400).await;
    let token = "a".repeat(20_000);
    check(
        &format!("TTL: 60\r\nAuthorization: vapid t={token}, k={token}\r\n"),
        403,
    )
    .await;
    bystander.is_unharmed(&server).await;
}
