//! Every error is a problem (RFC 9457), also of a request that reaches no route.

use crate::harness::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn ask(server: &TestServer, request: &str) -> (String, serde_json::Value) {
    let mut stream = TcpStream::connect(server.http).await.expect("connected");
    // The server may close before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect(request);
    let problem = serde_json::from_str(body).unwrap_or_else(|_| panic!("{request}: {answer}"));
    (head.to_owned(), problem)
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let server = TestServer::start();
    let many = "X-A: 1\r\n".repeat(300);
    let long = "a".repeat(70_000);
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nbad header: x\r\n\r\n".to_owned(), 400),
        (
            "POST /push/x HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 431),
        (
            "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
            404,
        ),
        (
            "PATCH /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
            405,
        ),
    ] {
        let (head, problem) = ask(&server, &request).await;
        let request = &request[..request.len().min(60)];
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{request}: {head}");
        let head = head.to_ascii_lowercase();
        let kind = "\r\ncontent-type: application/problem+json";
        assert!(head.contains(kind), "{request}: {head}");
        assert_eq!(problem["status"], status, "{request}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{request}: {problem}");
        }
    }
}
