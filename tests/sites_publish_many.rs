//! Promise: a site publishes any number of items in one call, each answered in its place once it is on
//! stable storage, whatever becomes of the connection or the server meanwhile.

use crate::harness::{Approved, PATIENCE, Setup, TestServer, User, mark_of, marked_body, roomy};
use crate::hostile::Bystander;
use crate::sites::{Publisher, item};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Mailboxes that take all that a test puts there.
fn large() -> Vec<(String, String)> {
    let mut environment = roomy();
    for (key, value) in [
        ("LIMITS__MAILBOX_NOTIFICATIONS", "1000000"),
        ("LIMITS__MAILBOX_BYTES", "1GiB"),
    ] {
        environment.push((format!("BELFRY__{key}"), value.to_owned()));
    }
    environment
}

fn server_with(environment: Vec<(String, String)>) -> TestServer {
    TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    })
}

/// The marks in a user's mailbox.
async fn stored(user: &User) -> BTreeSet<u64> {
    let (mut marks, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = user.server.notifications(after, 100).await.expect("a page");
        let Some(last) = page.last() else {
            return marks;
        };
        after = last.notification.seq.expect("stored");
        for entry in page {
            let body = URL_SAFE_NO_PAD.decode(entry.notification.body);
            marks.insert(mark_of(&body.expect("base64url")));
        }
    }
}

fn lines(site: &Approved, marks: std::ops::Range<u64>) -> Vec<u8> {
    let mut text = String::new();
    for mark in marks {
        writeln!(text, "{}", item(site, &marked_body(mark))).expect("a string takes it");
    }
    text.into_bytes()
}

#[tokio::test]
async fn results_come_while_the_request_goes_on() {
    let server = server_with(large());
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut stream = publisher.stream(&server).await;
    let sender = stream.sender.take().expect("open");
    // Each piece is answered before the next is sent, and the request has not ended.
    let mut mark = 0;
    for items in [1, 300, 1] {
        let piece = lines(&site, mark..mark + items);
        mark += items;
        sender.send(piece).await.expect("sent");
        for _ in 0..items {
            let result = stream.results.next().await.expect("no error");
            assert_eq!(result.expect("a result")["status"], 201);
        }
    }
    let last = lines(&site, mark..mark + 1);
    sender
        .send(last[..last.len() - 1].to_vec())
        .await
        .expect("sent");
    drop(sender);
    let result = stream.results.next().await.expect("no error");
    assert_eq!(result.expect("the last line has no newline")["status"], 201);
    assert_eq!(stream.results.next().await.expect("in order"), None);
    assert_eq!(stored(&user).await, (0..mark + 1).collect());
}

#[tokio::test]
async fn what_was_read_as_created_is_there_after_a_kill() {
    let mut server = server_with(large());
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut mark = 0;
    let mut created = BTreeSet::new();
    for round in 1..=3 {
        let mut stream = publisher.stream(&server).await;
        let sender = stream.sender.take().expect("open");
        let first = mark;
        let endless = lines(&site, first..first + 20_000);
        mark += 20_000;
        let sending = tokio::spawn(async move {
            for piece in endless.chunks(8_000) {
                if sender.send(piece.to_vec()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let enough = first + 400 * round;
        let mut read = first;
        loop {
            match stream.results.next().await {
                Ok(Some(result)) => {
                    assert_eq!(result["status"], 201, "{result}");
                    created.insert(read);
                    read += 1;
                    if read == enough {
                        server.kill_nine();
                    }
                }
                Ok(None) => panic!("a killed server ends nothing in order"),
                Err(_) => break,
            }
        }
        sending.abort();
        server.restart();
        let stored = stored(&user).await;
        assert!(created.is_subset(&stored), "all that was answered is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_streams_in_order() {
    let mut server = server_with(large());
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut idle = publisher.stream(&server).await;
    let mut busy = publisher.stream(&server).await;
    let sender = busy.sender.take().expect("open");
    let pieces = lines(&site, 0..100_000);
    let sending = tokio::spawn(async move {
        for piece in pieces.chunks(8_000) {
            if sender.send(piece.to_vec()).await.is_err() {
                return;
            }
        }
    });
    let mut created = 0;
    while created < 300 {
        let result = busy.results.next().await.expect("no error");
        assert_eq!(result.expect("a result")["status"], 201);
        created += 1;
    }
    let reading = tokio::spawn(async move {
        while let Some(result) = busy.results.next().await.expect("it ends in order") {
            assert_eq!(result["status"], 201, "{result}");
            created += 1;
        }
        created
    });
    let status = tokio::task::block_in_place(|| server.terminate());
    assert_eq!(status.code(), Some(0));
    assert_eq!(idle.results.next().await.expect("in order"), None);
    let created = reading.await.expect("read");
    sending.abort();
    server.restart();
    let stored = stored(&user).await;
    assert!(stored.is_superset(&(0..created).collect()), "{created}");
    assert!(created < 100_000, "it was cut short");
}

#[tokio::test]
async fn a_site_that_reads_no_answer_is_let_go_and_holds_no_memory() {
    let mut environment = large();
    environment.push(("BELFRY__HTTP__WRITE_TIMEOUT".to_owned(), "1s".to_owned()));
    let server = server_with(environment);
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut bystander = Bystander::of(&server).await;
    let mut stream = TcpStream::connect(server.http).await.expect("connected");
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 4000000000\r\n\r\n",
        server.http, publisher.key
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // Not for this server, so that nothing is to be written down for it.
    let mut wrong = site;
    wrong.permission.endpoint += "x";
    let many = lines(&wrong, 0..1_000);
    let mut taken = 0_u64;
    let sending = async {
        while let Ok(bytes) = stream.write(&many).await {
            taken += bytes as u64;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, sending).await;
    ended.expect("the server closes");
    assert!(taken < 64 * 1024 * 1024, "{taken} bytes were taken");
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_stream_that_the_server_ends_is_answered_although_its_client_goes_on() {
    let server = server_with(large());
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut stream = TcpStream::connect(server.http).await.expect("connected");
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 4000000000\r\n\r\n",
        server.http, publisher.key
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&lines(&site, 0..1)).await.expect("sent");
    let (mut reading, mut writing) = stream.into_split();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("\"status\":201") {
        let read = reading.read_buf(&mut answer).await.expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    let data = server.data().to_owned();
    let (origin, key) = (publisher.web.origin.clone(), publisher.key_id.clone());
    let revoking = tokio::task::spawn_blocking(move || {
        crate::sites::admin_site(&data, &["revoke-key", &origin, &key]).one()
    });
    revoking.await.expect("revoked");
    let more = lines(&site, 1..200);
    let sending = async {
        // It is never told to stop but by the end of the connection.
        while writing.write_all(&more).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let reads = async {
        let read = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await;
        read.expect("the server closes")
    };
    let (read, ()) = tokio::join!(reads, sending);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("\"status\":401"), "{answer}");
    assert!(
        answer.ends_with("0\r\n\r\n"),
        "ended in order: {read:?} {answer}"
    );
}

#[tokio::test]
async fn a_stream_from_an_address_that_is_blocked_ends() {
    let server = server_with(large());
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let site = user.approve(&publisher.web.origin).await;
    let mut stream = TcpStream::connect(server.http).await.expect("connected");
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 4000000000\r\n\r\n",
        server.http, publisher.key
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&lines(&site, 0..1)).await.expect("sent");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("\"status\":201") {
        let read = stream.read_buf(&mut answer).await.expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    let admin = server.admin();
    let ban = json!({"kind": "address", "value": "127.0.0.1", "reason": "", "ends": null});
    assert_eq!(admin.post("/bans", ban).await.0, 201);
    // The client says nothing more: it is the ban that ends it.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = ended.expect("the server closes");
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answer.matches("\"status\"").count(), 1, "{answer}");
}
