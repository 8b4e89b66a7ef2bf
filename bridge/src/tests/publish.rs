//! Many items in one call.

use super::*;
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_store::directory::{Actor, SiteKey, VapidKey};
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const KEY: &str = "belfry_site_one";
fn origin() -> Origin {
    SITE.parse().unwrap()
}

const NDJSON: &str = "application/x-ndjson";

fn key_id() -> SiteKeyId {
    SiteKeyId::from_bytes([1; 16])
}

fn endpoint(number: u8) -> String {
    format!("https://push.example/push/{}", secret(number).expose())
}

fn item(number: u8, mark: u8) -> Value {
    json!({
        "endpoint": endpoint(number), "ttl": 60, "encoding": "crypto-box",
        "body": URL_SAFE_NO_PAD.encode(body(mark)),
    })
}

fn with(mut item: Value, name: &str, value: impl Into<Value>) -> Value {
    item[name] = value.into();
    item
}

impl Site {
    /// One with a proven site that has an API key.
    async fn publishing(limits: PushLimits) -> Self {
        let site = Self::limited(limits).await;
        site.add_site(SITE, KEY, 1).await;
        site.directory
            .prove_site(&origin(), &Actor::Operator, at(START))
            .await
            .unwrap();
        site
    }

    async fn add_site(&self, origin: &str, key: &str, number: u8) {
        let origin = origin.parse().unwrap();
        let made = self
            .directory
            .create_site(&origin, "proof", &Actor::Operator, at(START));
        made.await.unwrap();
        let made = SiteKey {
            id: SiteKeyId::from_bytes([number; 16]),
            name: None,
            created: at(START),
            last_used: None,
            revoked: None,
        };
        let hash = SecretHash::of(key.as_bytes());
        let made = self
            .directory
            .create_site_key(&origin, &made, hash, &Actor::Operator);
        made.await.unwrap();
    }

    async fn publish_with(&self, key: &str, items: &[Value]) -> Answer {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("Authorization", &*authorization),
            ("Content-Type", "application/json"),
        ];
        let body = json!({ "items": items }).to_string();
        self.ask("POST", "/v1/publish", &headers, body.into()).await
    }

    /// The results of one call.
    async fn publish(&self, items: &[Value]) -> Vec<Value> {
        let answer = self.publish_with(KEY, items).await;
        assert_eq!(answer.status, 200, "{}", answer.problem);
        let results = answer.problem["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), items.len());
        results
    }

    /// A stream of items, whose answers are read line by line.
    async fn stream(&self) -> (mpsc::UnboundedSender<Vec<u8>>, Results) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let pieces = stream::unfold(receiver, async |mut receiver| {
            let piece: Vec<u8> = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), receiver))
        });
        let request = Request::post("/v1/publish")
            .header("Authorization", format!("Bearer {KEY}"))
            .header("Content-Type", NDJSON)
            .body(Body::from_stream(pieces))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], NDJSON);
        let results = Results {
            body: response.into_body(),
            read: Vec::new(),
        };
        (sender, results)
    }
}

struct Results {
    body: Body,
    read: Vec<u8>,
}

impl Results {
    /// The next result; nothing at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let Some(frame) = self.body.frame().await else {
                assert!(self.read.is_empty(), "half a line");
                return None;
            };
            self.read.extend(frame.unwrap().into_data().unwrap());
        }
    }

    async fn statuses(mut self) -> Vec<u64> {
        let mut statuses = Vec::new();
        while let Some(result) = self.next().await {
            statuses.push(status(&result));
        }
        statuses
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn status(result: &Value) -> u64 {
    let status = result["status"].as_u64().unwrap();
    let problem = &result["problem"];
    if status == 201 {
        assert_eq!(problem, &Value::Null);
    } else {
        assert_eq!(problem["status"], status, "{result}");
        assert!(problem["detail"].is_string() && problem["type"].is_string());
    }
    status
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(status).collect()
}

fn lines(items: &[Value]) -> Vec<u8> {
    let line = |item: &Value| format!("{item}\n");
    items.iter().map(line).collect::<String>().into_bytes()
}

fn roomy() -> PushLimits {
    PushLimits {
        permission_burst: 100_000,
        site_per_second: 100_000,
        ..limits()
    }
}

#[tokio::test]
async fn each_item_has_the_answer_that_a_post_of_its_own_would_have() {
    let site = Site::publishing(limits()).await;
    let mut revoked = site.approve(2, None).await;
    revoked.state = PermissionState::Revoked;
    let changed = site.directory.update_permission(user(), &revoked).await;
    changed.unwrap();
    let results = site
        .publish(&[
            item(1, 1),
            item(9, 1),
            item(2, 1),
            with(item(1, 1), "ttl", Value::Null),
            with(item(1, 1), "encoding", "aesgcm"),
            with(item(1, 1), "body", ""),
            with(item(1, 1), "body", URL_SAFE_NO_PAD.encode([1; 4097])),
            with(item(1, 1), "body", URL_SAFE_NO_PAD.encode([1; 100])),
            with(item(1, 1), "endpoint", "https://other.example/push/x"),
            json!([]),
            with(item(1, 2), "ttl", 99_999),
        ])
        .await;
    assert_eq!(
        statuses(&results),
        [201, 404, 410, 400, 415, 400, 413, 400, 404, 400, 201]
    );
    let fields = [
        "", "", "", "ttl", "encoding", "body", "body", "body", "endpoint", "item", "",
    ];
    for (result, field) in results.iter().zip(fields) {
        let named = result["problem"]["field"].as_str().unwrap_or_default();
        assert_eq!(named, field, "{result}");
    }
    assert_eq!(
        (&results[0]["ttl"], &results[10]["ttl"]),
        (&60.into(), &TTL_MAX.into())
    );
    assert_eq!(site.stored().await, 2);
    let message = results[0]["location"].as_str().unwrap();
    let message = message.strip_prefix("https://push.example").unwrap();
    let withdrawn = site.ask("DELETE", message, &[], Vec::new()).await;
    assert_eq!((withdrawn.status.as_u16(), site.stored().await), (204, 1));
}

#[tokio::test]
async fn an_item_says_what_headers_would() {
    let site = Site::publishing(roomy()).await;
    let topical = with(with(item(1, 2), "topic", "score"), "urgency", "high");
    let results = site.publish(&[topical, with(item(1, 3), "ttl", 0)]).await;
    assert_eq!(statuses(&results), [201, 201]);
    let all = HistoryRange::After(Seq(0));
    let stored = site.mailbox.history(user(), all, 9).await.unwrap();
    assert_eq!(stored.len(), 1, "one with TTL: 0 is not stored");
    // After its answer the listener has been told of what was before it.
    site.command(Command::Seen {
        user: user(),
        ids: Vec::new(),
    })
    .await;
    assert_eq!(site.transient.load(Ordering::SeqCst), 1);
    let payload: Value = serde_json::from_slice(&stored[0].payload).unwrap();
    let expected = json!({
        "urgency": "high", "topic": "score", "encoding": "crypto-box", "site": SITE,
        "body": URL_SAFE_NO_PAD.encode(body(2)),
        "expires": at(START + 60_000).to_string(),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&payload[name], value, "{name}");
    }
}

#[tokio::test]
async fn only_a_proven_sites_key_counts_and_only_until_it_is_revoked() {
    let site = Site::publishing(limits()).await;
    site.add_site("https://shop.example", "belfry_site_two", 2)
        .await;
    let check = async |key: &str, expected: u16, detail: &str| {
        let answer = site.publish_with(key, &[item(1, 1)]).await;
        assert_eq!(answer.status, expected, "{}", answer.problem);
        let said = answer.problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail), "{said}");
    };
    check(KEY, 200, "").await;
    check("belfry_site_none", 401, "unknown, or was revoked").await;
    let place = "let https://shop.example/.well-known/belfry-site answer with the line \
                 belfry-site=proof, or put that line into a TXT record of _belfry-site.shop.example";
    check("belfry_site_two", 403, place).await;
    let shop = "https://shop.example".parse().unwrap();
    site.directory
        .prove_site(&shop, &Actor::Operator, at(START))
        .await
        .unwrap();
    // Proven now, it is still another site.
    let answer = site.publish_with("belfry_site_two", &[item(1, 1)]).await;
    assert_eq!(answer.status, 200);
    let result = &answer.problem["results"][0];
    assert_eq!(status(result), 403);
    assert!(
        result["problem"]["type"]
            .as_str()
            .unwrap()
            .ends_with("/other-site")
    );
    let news = SITE.parse().unwrap();
    let revoked = site
        .directory
        .revoke_site_key(&news, key_id(), &Actor::Operator, at(START))
        .await;
    assert!(revoked.unwrap());
    check(KEY, 401, "unknown, or was revoked").await;
    assert_eq!(site.stored().await, 1);

    let none = site.ask("POST", "/v1/publish", &[], Vec::new()).await;
    assert_eq!(
        (none.status.as_u16(), none.header("www-authenticate")),
        (401, "Bearer")
    );
    let basic = [("Authorization", "Basic eDp5")];
    let basic = site.ask("POST", "/v1/publish", &basic, Vec::new()).await;
    assert_eq!(basic.status, 401);
}

#[tokio::test]
async fn a_restricted_endpoint_takes_items_of_whom_its_key_is_registered_for() {
    let site = Site::publishing(limits()).await;
    site.approve(2, Some(public(&key(7)))).await;
    assert_eq!(
        statuses(&site.publish(&[item(1, 1), item(2, 1)]).await),
        [201, 403]
    );
    let origin = SITE.parse().unwrap();
    let register = async |with: Option<SiteKeyId>, number: u8| {
        let key = VapidKey {
            with,
            public: public(&key(number)),
            created: at(START),
        };
        let registered = site
            .directory
            .register_vapid_key(&origin, &key, &Actor::Operator)
            .await;
        registered.unwrap();
    };
    register(None, 8).await;
    register(Some(SiteKeyId::from_bytes([9; 16])), 7).await;
    assert_eq!(
        statuses(&site.publish(&[item(2, 1)]).await),
        [403],
        "with another API key"
    );
    register(Some(key_id()), 7).await;
    assert_eq!(statuses(&site.publish(&[item(2, 1)]).await), [201]);
}

#[tokio::test]
async fn two_of_one_idempotency_key_in_one_call_are_one() {
    let site = Site::publishing(limits()).await;
    let named = |mark| with(item(1, mark), "idempotency_key", "one");
    // More of them than the permission takes.
    let results = site
        .publish(&[named(1), named(1), named(2), named(1), named(1), named(1)])
        .await;
    assert_eq!(statuses(&results), [201, 201, 422, 201, 201, 201]);
    assert_eq!(results[2]["problem"]["field"], "idempotency_key");
    for repeat in [1, 3, 4, 5] {
        assert_eq!(results[repeat], results[0]);
    }
    assert_eq!(site.stored().await, 1);
    let again = site.publish(&[named(1)]).await;
    assert_eq!(again[0], results[0]);
    // The same name that a post of its own has.
    let post = site.post(1, &[("Idempotency-Key", "one")], body(1)).await;
    assert_eq!(
        post.header("location"),
        results[0]["location"].as_str().unwrap()
    );
    let rest = site.publish(&[item(1, 2), item(1, 3), item(1, 4)]).await;
    assert_eq!(statuses(&rest), [201, 201, 429], "one of all was counted");
}

#[tokio::test]
async fn a_site_is_counted_whatever_key_it_has_and_not_by_address_or_user() {
    let site = Site::publishing(PushLimits {
        permission_burst: 100,
        ..limits()
    })
    .await;
    let items: Vec<_> = (0..SITE_PER_SECOND)
        .map(|mark| item(1, mark as u8))
        .collect();
    let results = site.publish(&items).await;
    assert_eq!(statuses(&results), vec![201; items.len()]);
    let made = SiteKey {
        id: SiteKeyId::from_bytes([2; 16]),
        name: None,
        created: at(START),
        last_used: None,
        revoked: None,
    };
    let hash = SecretHash::of(b"belfry_site_new");
    let made = site
        .directory
        .create_site_key(&origin(), &made, hash, &Actor::Operator)
        .await;
    made.unwrap();
    let over = site.publish_with("belfry_site_new", &[item(1, 1)]).await;
    let over = &over.problem["results"][0];
    assert_eq!(status(over), 429);
    assert_eq!(
        (&over["problem"]["scope"], &over["retry_after"]),
        (&"site".into(), &1.into())
    );
    // Its VAPID key is counted by itself.
    let proof = vapid(&key(7));
    let post = site.post(1, &[("Authorization", &proof)], body(1)).await;
    assert_eq!(post.status, 201);
}

#[tokio::test]
async fn a_call_that_is_no_call_is_refused_whole() {
    let site = Site::publishing(limits()).await;
    let check = async |media: &str, body: String, expected: u16| {
        let authorization = format!("Bearer {KEY}");
        let headers = [("Authorization", &*authorization), ("Content-Type", media)];
        let answer = site
            .ask("POST", "/v1/publish", &headers, body.into_bytes())
            .await;
        assert_eq!(answer.status, expected, "{}", answer.problem);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    };
    check("application/json", "{".to_owned(), 400).await;
    check("application/json", "[]".to_owned(), 400).await;
    check("application/json", "{\"items\":7}".to_owned(), 400).await;
    check("text/plain", "{\"items\":[]}".to_owned(), 415).await;
    let many = |count| format!("{{\"items\":[{}]}}", vec!["7"; count].join(","));
    check("application/json", many(1_001), 413).await;
    check("application/json", " ".repeat(8 * 1_024 * 1_000 + 1), 413).await;
    assert_eq!(site.stored().await, 0);
    assert_eq!(site.publish(&[]).await.len(), 0);
    assert_eq!(site.publish(&vec![json!(7); 1_000]).await.len(), 1_000);
    site.bridge.drain();
    check("application/json", many(1), 503).await;
}

#[tokio::test]
async fn a_stream_is_answered_item_by_item_while_it_goes_on() {
    let site = Site::publishing(roomy()).await;
    let (sender, mut results) = site.stream().await;
    for mark in 1..=3 {
        sender.send(lines(&[item(1, mark)])).unwrap();
        // Nothing else is sent before this is read.
        assert_eq!(status(&results.next().await.unwrap()), 201);
        assert_eq!(site.stored().await, usize::from(mark));
    }
    let mut piece = b"\n7\n{\"endpoint\n".to_vec();
    piece.extend(vec![b'a'; 9_000]);
    sender.send(piece).unwrap();
    sender.send(b"\n".to_vec()).unwrap();
    for field in ["item", "item", "item"] {
        let result = results.next().await.unwrap();
        assert_eq!(
            (status(&result), &result["problem"]["field"]),
            (400, &field.into())
        );
    }
    // The last line has no newline.
    let last = lines(&[item(1, 4), item(9, 4), item(1, 5)]);
    sender.send(last[..last.len() - 1].to_vec()).unwrap();
    drop(sender);
    assert_eq!(results.statuses().await, [201, 404, 201]);
    assert_eq!(site.stored().await, 5);
}

#[tokio::test]
async fn a_stream_has_any_number_of_items_in_their_order() {
    let site = Site::publishing(roomy()).await;
    let (sender, results) = site.stream().await;
    let text: Vec<u8> = (0..1_000u32)
        .flat_map(|number| {
            let number_of = if number % 7 == 0 { 9 } else { 1 };
            lines(&[item(number_of, number as u8)])
        })
        .collect();
    for piece in text.chunks(10_007) {
        sender.send(piece.to_vec()).unwrap();
    }
    drop(sender);
    let statuses = results.statuses().await;
    let expected: Vec<u64> = (0..1_000)
        .map(|n| if n % 7 == 0 { 404 } else { 201 })
        .collect();
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn a_stream_keeps_the_pace_of_its_site() {
    const PER_SECOND: u32 = 200;
    let site = Site::publishing(PushLimits {
        site_per_second: PER_SECOND,
        ..roomy()
    });
    let site = site.await;
    let (sender, results) = site.stream().await;
    let items: Vec<_> = (0..PER_SECOND + 60)
        .map(|mark| item(1, mark as u8))
        .collect();
    sender.send(lines(&items)).unwrap();
    drop(sender);
    // The server's clock goes on while the stream waits.
    let (now, began) = (Arc::clone(&site.now), std::time::Instant::now());
    let clock = async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            now.store(START + began.elapsed().as_millis() as u64, Ordering::SeqCst);
        }
    };
    let statuses = tokio::select! {
        statuses = results.statuses() => statuses,
        () = clock => unreachable!("it goes on"),
    };
    assert_eq!(statuses, vec![201; items.len()], "none is refused");
    let took = site.now.load(Ordering::SeqCst) - START;
    assert!(took >= 295, "60 more than at once took {took} ms");
}

#[tokio::test]
async fn a_draining_server_ends_a_stream_with_what_was_begun() {
    let site = Site::publishing(roomy()).await;
    let (sender, mut results) = site.stream().await;
    sender.send(lines(&[item(1, 1)])).unwrap();
    assert_eq!(status(&results.next().await.unwrap()), 201);
    let waits = async { results.next().await };
    let drains = async {
        site.bridge.drain();
        let _ = sender.send(lines(&[item(1, 2)]));
    };
    let (ended, ()) = tokio::join!(waits, drains);
    assert_eq!(ended, None, "in order, and without another answer");
    assert_eq!(site.stored().await, 1);
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_stream() {
    let site = Site::publishing(roomy()).await;
    let (sender, mut results) = site.stream().await;
    sender.send(lines(&[item(1, 1)])).unwrap();
    assert_eq!(status(&results.next().await.unwrap()), 201);
    let news = origin();
    let revoked = site
        .directory
        .revoke_site_key(&news, key_id(), &Actor::Operator, at(START));
    assert!(revoked.await.unwrap());
    sender.send(lines(&[item(1, 2), item(1, 3)])).unwrap();
    assert_eq!(results.statuses().await, [401]);
    assert_eq!(site.stored().await, 1);
}

#[tokio::test]
async fn a_stream_that_stops_is_let_go() {
    let site = Site::publishing(roomy()).await;
    let (sender, mut results) = site.stream().await;
    sender.send(lines(&[item(1, 1)])).unwrap();
    assert_eq!(status(&results.next().await.unwrap()), 201);
    let (_silent, mut nothing) = site.stream().await;
    // From here on nothing is asked of the directory, which has clocks of its own.
    tokio::time::pause();
    sender.send(b"{\"endpoint\":".to_vec()).unwrap();
    let began = tokio::time::Instant::now();
    let late = results.next().await.unwrap();
    assert_eq!((status(&late), began.elapsed().as_secs()), (408, 60));
    assert_eq!(results.next().await, None);
    let began = tokio::time::Instant::now();
    assert_eq!(nothing.next().await, None, "there was nothing to answer");
    assert_eq!(began.elapsed().as_secs(), 60);
    tokio::time::resume();
    assert_eq!(site.stored().await, 1);
}

#[tokio::test]
async fn a_site_has_some_calls_under_way_and_no_more() {
    let site = Site::publishing(roomy()).await;
    site.add_site("https://other.example", "belfry_site_other", 2)
        .await;
    let other = "https://other.example".parse().unwrap();
    let proven = site
        .directory
        .prove_site(&other, &Actor::Operator, at(START));
    proven.await.unwrap();
    let stream_with = async |key: &str| {
        let authorization = format!("Bearer {key}");
        let headers = [("Authorization", &*authorization), ("Content-Type", NDJSON)];
        let answer = site.ask("POST", "/v1/publish", &headers, Vec::new());
        answer.await
    };
    let mut open = vec![site.stream().await, site.stream().await];
    let refused = stream_with(KEY).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "10")
    );
    assert_eq!(stream_with("belfry_site_other").await.status, 200);
    assert_eq!(
        site.publish(&[item(1, 1)]).await.len(),
        1,
        "others than streams"
    );
    drop(open.pop());
    assert_eq!(stream_with(KEY).await.status, 200);

    let never = || {
        let request = Request::post("/v1/publish")
            .header("Authorization", format!("Bearer {KEY}"))
            .header("Content-Type", "application/json")
            .body(Body::from_stream(
                stream::pending::<std::io::Result<Vec<u8>>>(),
            ))
            .unwrap();
        tokio::spawn(site.router.clone().oneshot(request))
    };
    let begun = [never(), never()];
    while site.bridge.0.calls.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = site.publish_with(KEY, &[item(1, 2)]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "10")
    );
    let other = site.publish_with("belfry_site_other", &[item(1, 2)]).await;
    assert_eq!(other.status, 200);
    for call in begun {
        call.abort();
        let _ = call.await;
    }
    assert_eq!(site.publish(&[item(1, 2)]).await.len(), 1);
}
