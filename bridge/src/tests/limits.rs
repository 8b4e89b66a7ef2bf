//! What is posted beyond a rate.

use super::*;
use axum::extract::ConnectInfo;
use std::net::{Ipv4Addr, SocketAddr};

impl Site {
    /// A post without VAPID from an address that ends in `host`.
    async fn post_from(&self, host: u8, number: u8) -> Answer {
        let mut request = Request::post(format!("/push/{}", secret(number).expose()))
            .header("TTL", "60")
            .header("Content-Encoding", "crypto-box")
            .body(Body::from(body(number)))
            .unwrap();
        let peer = SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), 1));
        request.extensions_mut().insert(ConnectInfo(peer));
        self.answer(request).await
    }
}

fn check(over: &Answer, scope: &str, limit: u64, resets_in: u64, rate: &str) {
    assert_eq!(over.status, 429, "{}", over.problem);
    let problem = &over.problem;
    assert_eq!(problem["scope"], scope, "{problem}");
    assert_eq!(
        (&problem["limit"], &problem["used"]),
        (&limit.into(), &limit.into())
    );
    let resets = Timestamp::from_millis(START + resets_in).to_string();
    assert_eq!(problem["resets"], resets, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with(rate), "{detail}");
    let after: u64 = over.header("retry-after").parse().unwrap();
    assert!(detail.ends_with(&format!("try again in {after} s")));
    assert_eq!(over.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_refusal_names_the_rate_of_the_permission() {
    let site = Site::new().await;
    for number in 0..BURST {
        assert_eq!(site.post(1, &[], body(number as u8)).await.status, 201);
    }
    let over = site.post(1, &[], body(9)).await;
    check(
        &over,
        "permission",
        3,
        3_000,
        "this permission takes 60 notifications a minute, 3 at once",
    );
    site.approve(2, None).await;
    assert_eq!(site.post(2, &[], body(1)).await.status, 201);
    site.now.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(site.post(1, &[], body(9)).await.status, 201);
}

#[tokio::test]
async fn a_refusal_names_the_rate_of_the_address() {
    let site = Site::new().await;
    // Of two users, so that neither's own rate is reached.
    for number in 2..=7 {
        let owner = if number % 2 == 0 { user() } else { other() };
        site.approve_for(owner, number, None).await;
    }
    for post in 0..ADDRESS {
        let answer = site.post_from(1, 2 + (post % 6) as u8).await;
        assert_eq!(answer.status, 201);
    }
    let over = site.post_from(1, 7).await;
    check(
        &over,
        "address",
        u64::from(ADDRESS),
        1_000,
        "an address may post 16 a second",
    );
}

#[tokio::test]
async fn a_permission_takes_its_burst_from_a_sender_who_proves_nothing() {
    let site = Site::limited(PushLimits {
        unproven_per_second: 2,
        ..limits()
    });
    let site = site.await;
    for number in 0..BURST {
        let answer = site.post(1, &[], body(number as u8)).await;
        assert_eq!(answer.status, 201);
    }
}

/// What a site sees of an answer, but for when it was written and the URL of its message.
fn seen(answer: Answer) -> (u16, HeaderMap, serde_json::Value) {
    let mut headers = answer.headers;
    let location = headers.remove("location");
    let length = location.map_or(0, |url| url.len());
    headers.insert("location-length", length.into());
    (answer.status.as_u16(), headers, answer.problem)
}

#[tokio::test]
async fn endpoints_of_one_user_answer_a_flood_as_those_of_many_do() {
    const ENDPOINTS: u8 = 5;
    let site = Site::new().await;
    for number in 0..ENDPOINTS {
        site.approve_for(user(), 10 + number, None).await;
        let stranger = UserId::from_bytes([50 + number; 16]);
        let name = format!("stranger-{number}");
        let now = Timestamp::from_millis(START);
        let made = site.directory.create_account(stranger, &name, "x", now);
        made.await.unwrap();
        site.approve_for(stranger, 50 + number, None).await;
    }
    // Three a second to an endpoint that takes three at once and one a second, the first ones at once.
    let mut refused = 0;
    for round in 0..60 {
        for number in 0..ENDPOINTS {
            let of_one = seen(site.post_from(number, 10 + number).await);
            let of_many = seen(site.post_from(number + 50, 50 + number).await);
            assert_eq!(of_one, of_many, "endpoint {number}");
            refused += u32::from(of_one.0 == 429);
        }
        let passed = if round < 10 { 0 } else { 334 };
        site.now.fetch_add(passed, Ordering::SeqCst);
    }
    assert!(refused > 100, "a flood, of which {refused} were refused");
}

#[tokio::test]
async fn that_more_endpoints_share_a_mailbox_is_not_said() {
    let site = Site::limited(PushLimits {
        permission_burst: 1,
        ..limits()
    });
    let site = site.await;
    for number in 2..=12 {
        site.approve(number, None).await;
    }
    // Many addresses, so that only the user's own rate is reached.
    for number in 2..=11 {
        let answer = site.post_from(number, number).await;
        assert_eq!(answer.status, 201);
    }
    // Nothing was posted under this one.
    let over = site.post_from(1, 12).await;
    check(
        &over,
        "permission",
        u64::from(UNPROVEN),
        1_000,
        "this permission takes 10 notifications a second",
    );
    let text = over.problem.to_string();
    assert!(
        !text.contains("user") && !text.contains("mailbox"),
        "{text}"
    );
}

#[tokio::test]
async fn a_proven_site_is_counted_by_its_key_and_not_by_address_or_user() {
    let site = Site::new().await;
    let proof = vapid(&key(7));
    let proven = [("Authorization", &*proof)];
    for number in 2..=8 {
        site.approve(number, None).await;
    }
    for post in 0..SITE_PER_SECOND {
        let answer = site.post(2 + (post % 7) as u8, &proven, body(1)).await;
        assert_eq!(answer.status, 201, "more than an address or a user may");
    }
    let over = site.post(1, &proven, body(1)).await;
    check(
        &over,
        "site",
        u64::from(SITE_PER_SECOND),
        1_000,
        "a site may post 16 a second",
    );
    let other = vapid(&key(8));
    let other = [("Authorization", &*other)];
    assert_eq!(site.post(1, &other, body(1)).await.status, 201);
}
