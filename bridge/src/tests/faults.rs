//! Posts that are not as they must be, and those that look so.

use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn each_fault_has_its_status_and_names_its_field() {
    let site = Site::new().await;
    let check = async |headers: &[(&str, &str)], body: Vec<u8>, status: u16, field: &str| {
        let answer = site.post(1, headers, body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{headers:?} {}",
            answer.problem
        );
        assert_eq!(answer.problem["field"], field, "{headers:?}");
        assert_eq!(answer.problem["status"], status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    };
    for ttl in [
        "absent", "", "-1", "+5", " 5", "5 ", "1e3", "1.5", "0x10", "five", "1, 2", "1;2",
    ] {
        check(&[("TTL", ttl)], body(1), 400, "TTL").await;
    }
    for urgency in ["", "asap", "high, low", "very_low", "normal;q=1"] {
        check(&[("Urgency", urgency)], body(1), 400, "Urgency").await;
    }
    let (longest, longer) = ("a".repeat(32), "a".repeat(33));
    for topic in ["", &*longer, "a b", "YWI=", "a+b", "a/b", "a.b", "a,b"] {
        check(&[("Topic", topic)], body(1), 400, "Topic").await;
    }
    let named = "Idempotency-Key";
    let longer = "k".repeat(65);
    for value in ["", &*longer, "a b", "a\tb"] {
        check(&[(named, value)], body(1), 400, named).await;
    }
    for name in ["TTL", "Urgency", "Topic", named] {
        let value = if name == "Urgency" { "low" } else { "7" };
        let twice = [(name, value), (name, value)];
        check(&twice, body(1), 400, name).await;
    }
    let encoding = "Content-Encoding";
    for value in [
        "absent",
        "",
        "gzip",
        "identity",
        "aesgcm",
        "crypto-box, gzip",
        "aes128gcm;v=1",
    ] {
        check(&[(encoding, value)], body(1), 415, encoding).await;
    }
    let twice = [(encoding, "crypto-box"), (encoding, "aes128gcm")];
    check(&twice, body(1), 415, encoding).await;
    check(&[(encoding, "aes128gcm")], body(1), 400, "body").await;
    check(&[], Vec::new(), 400, "body").await;
    check(&[], vec![0; 167], 400, "body").await;
    check(&[], vec![0; 4097], 413, "body").await;
    check(
        &[("Authorization", "vapid t=a.b.c,k=d")],
        body(1),
        403,
        "Authorization",
    )
    .await;
    let good = vapid(&key(7));
    let twice = [("Authorization", &*good), ("Authorization", &*good)];
    check(&twice, body(1), 400, "Authorization").await;
    for draft in ["WebPush a.b.c", "Bearer abc", "vapid"] {
        check(&[("Authorization", draft)], body(1), 401, "Authorization").await;
    }
    assert_eq!(site.stored().await, 0);
    assert_eq!(site.post(1, &[], vec![0; 4096]).await.status, 201);
    let edge = [
        ("Topic", &*longest),
        (named, &*"k".repeat(64)),
        ("Urgency", "Very-Low"),
    ];
    assert_eq!(site.post(1, &edge, body(1)).await.status, 201);
    assert_eq!(site.stored().await, 2);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_too_large() {
    let site = Site::new().await;
    let check = async |pieces: Vec<Result<Vec<u8>, std::io::Error>>, status: u16| {
        let request = Request::post(format!("/push/{}", secret(1).expose()))
            .header("TTL", "60")
            .header("Content-Encoding", "crypto-box")
            .body(Body::from_stream(futures_util::stream::iter(pieces)))
            .unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    };
    let broken = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    check(vec![Ok(vec![1; 100]), Ok(vec![1; 68])], 201).await;
    check(vec![Ok(vec![1; 168]), broken()], 400).await;
    // Refused as soon as it is too much: the rest is not read.
    check(vec![Ok(vec![1; 4096]), Ok(vec![1; 1]), broken()], 413).await;
    assert_eq!(site.stored().await, 1);
}

#[tokio::test]
async fn drafts_of_the_standards_are_told_what_replaced_them() {
    let site = Site::new().await;
    let aesgcm = [("Content-Encoding", "aesgcm"), ("Encryption", "salt=x")];
    let answer = site.post(1, &aesgcm, body(1)).await;
    assert_eq!(answer.status, 415);
    let detail = answer.problem["detail"].to_string();
    for remedy in [
        "RFC 8291",
        "aes128gcm",
        "web-push for Node",
        "3.3.4",
        "pywebpush",
    ] {
        assert!(detail.contains(remedy), "{detail}");
    }
    let webpush = [
        ("Authorization", "WebPush a.b.c"),
        ("Crypto-Key", "p256ecdsa=BAAA"),
    ];
    let answer = site.post(1, &webpush, body(1)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("www-authenticate")),
        (401, "vapid")
    );
    let detail = answer.problem["detail"].to_string();
    assert!(
        detail.contains("vapid t=") && detail.contains("RFC 8292"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_ttl_is_capped_however_long_and_what_is_not_known_is_passed_over() {
    let site = Site::new().await;
    for (number, ttl) in ["2147483648", "18446744073709551616", "00000000000003601"]
        .into_iter()
        .enumerate()
    {
        let headers = [
            ("TTL", ttl),
            ("Prefer", "wait=5, handling=lenient"),
            ("X-Other", "1"),
        ];
        let answer = site.post(1, &headers, body(number as u8)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("ttl")),
            (201, "3600"),
            "{ttl}"
        );
    }
    site.now.fetch_add(10_000, Ordering::SeqCst);
    let async_preferred = [("Prefer", "respond-async")];
    assert_eq!(site.post(1, &async_preferred, body(9)).await.status, 201);
    let case = [("Content-Encoding", "Crypto-Box")];
    assert_eq!(site.post(1, &case, body(9)).await.status, 201);
}

#[tokio::test]
async fn a_muted_permission_is_answered_as_an_allowed_one() {
    let site = Site::new().await;
    let allowed = site.approve(2, None).await;
    let mut muted = site.approve(3, None).await;
    muted.state = PermissionState::Muted;
    site.directory
        .update_permission(user(), &muted)
        .await
        .unwrap();
    let mute = Command::SetPermission {
        user: user(),
        permission: muted.id,
        site: allowed.site.clone(),
        muted: true,
        receipts: false,
        endpoint: secret(2).hash(),
    };
    site.command(mute).await;
    for (headers, status) in [
        (&[("TTL", "0")][..], 201),
        (&[("TTL", "60"), ("Topic", "a"), ("Urgency", "high")], 201),
        (&[("TTL", "x")], 400),
        (&[("Idempotency-Key", "one")], 201),
        (&[("Idempotency-Key", "one")], 201),
        (&[], 429),
    ] {
        let mut answers = Vec::new();
        for number in [2, 3] {
            let mut answer = site.post(number, headers, body(1)).await;
            assert_eq!(answer.status, status, "{headers:?}");
            let location = answer.headers.remove("location");
            answers.push((
                answer.headers,
                answer.problem,
                location.map(|url| url.len()),
            ));
        }
        assert_eq!(answers[0], answers[1], "{headers:?}");
    }
}

#[test]
fn whatever_is_sent_has_an_answer_that_is_described() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(Site::new());
    let endpoint = format!("/push/{}", secret(1).expose());
    let value = || {
        prop_oneof![
            "[0-9]{1,22}",
            "[a-z0-9-]{0,12}",
            "vapid t=[A-Za-z0-9._-]{0,60}, ?k=[A-Za-z0-9_=-]{0,90}",
            "[ -~]{0,80}",
        ]
    };
    let names = [
        "TTL",
        "Urgency",
        "Topic",
        "Authorization",
        "Idempotency-Key",
        "Content-Encoding",
    ];
    let headers = proptest::collection::vec((0..names.len(), value()), 0..4);
    let bodies = proptest::collection::vec(any::<u8>(), 0..400);
    let config = ProptestConfig::with_cases(200);
    proptest!(config, |(headers in headers, body in bodies, fill in 0usize..4_200, aes in any::<bool>())| {
        let encoding = if aes { "aes128gcm" } else { "crypto-box" };
        let mut request = Request::post(&endpoint).header("TTL", "5").header("Content-Encoding", encoding);
        for (name, value) in &headers {
            // Mostly in place of the good one.
            if value.len() % 4 > 0 {
                request.headers_mut().unwrap().remove(names[*name]);
            }
            request = request.header(names[*name], value);
        }
        let body = body.repeat(fill / 100);
        let answer = runtime.block_on(site.answer(request.body(Body::from(body)).unwrap()));
        site.now.fetch_add(5_000, Ordering::SeqCst);
        let status = answer.status.as_u16();
        prop_assert!([201, 400, 401, 403, 413, 415, 422].contains(&status), "{status} {headers:?}");
        if status == 201 {
            let ttl = answer.header("ttl").parse::<u64>().unwrap();
            prop_assert!(ttl <= TTL_MAX && answer.message().len() > 64);
        } else {
            prop_assert_eq!(answer.header("content-type"), "application/problem+json");
            prop_assert_eq!(&answer.problem["status"], status);
            prop_assert!(answer.problem["field"].is_string(), "{}", answer.problem);
        }
    });
}
