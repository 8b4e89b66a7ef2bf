//! What RFC 8030, 8291 and 8292 ask of a push service, where no other room tries it.

use super::*;

/// A body that is a push message in form, with this key as its sender's.
fn aes128gcm(sender_key: &[u8]) -> Vec<u8> {
    let mut body = vec![1; 16];
    body.extend(4096_u32.to_be_bytes());
    body.push(65);
    body.extend(sender_key);
    body.extend([2; 40]);
    body
}

#[tokio::test]
async fn a_vapid_key_that_also_encrypts_is_refused() {
    let site = Site::new().await;
    let check = async |headers: &[(&str, &str)], body: Vec<u8>, status: u16| {
        let answer = site.post(1, headers, body).await;
        assert_eq!(answer.status, status, "{}", answer.problem);
        answer.problem
    };
    let encoding = ("Content-Encoding", "aes128gcm");
    let (own, other) = (vapid(&key(7)), vapid(&key(8)));
    let body = aes128gcm(&public(&key(7)));
    let reused = [encoding, ("Authorization", &own)];
    let problem = check(&reused, body.clone(), 400).await;
    assert_eq!(problem["field"], "body");
    assert!(problem["detail"].as_str().unwrap().contains("RFC 8292"));
    assert_eq!(site.stored().await, 0);
    let apart = [encoding, ("Authorization", &other)];
    check(&apart, body.clone(), 201).await;
    check(&[encoding], body, 201).await;
}

#[tokio::test]
async fn a_token_is_good_for_post_after_post_until_it_expires() {
    let site = Site::new().await;
    site.approve(2, Some(public(&key(7)))).await;
    let token = vapid(&key(7));
    let proven = [("Authorization", &*token)];
    for _ in 0..10 {
        assert_eq!(site.post(2, &proven, body(1)).await.status, 201);
        site.now.fetch_add(59_900, Ordering::SeqCst);
    }
    // 599 seconds later: its last one.
    assert_eq!(site.post(2, &proven, body(1)).await.status, 201);
    site.now.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(site.post(2, &proven, body(1)).await.status, 403);
}

#[tokio::test]
async fn no_answer_is_kept_by_a_cache() {
    let site = Site::new().await;
    let endpoint = format!("/push/{}", secret(1).expose());
    let posted = site.post(1, &[], body(1)).await;
    let message = posted.message().to_owned();
    let mut answers = vec![posted, site.post(7, &[], body(1)).await];
    for (method, path) in [
        ("GET", &endpoint),
        ("PUT", &endpoint),
        ("DELETE", &message),
        ("GET", &message),
    ] {
        answers.push(site.ask(method, path, &[], Vec::new()).await);
    }
    for answer in answers {
        let status = answer.status;
        assert_eq!(answer.header("cache-control"), "no-store", "{status}");
    }
}

#[tokio::test]
async fn whatever_is_no_more_than_4096_bytes_is_not_too_large() {
    let site = Site::new().await;
    let mut largest = aes128gcm(&public(&key(7)));
    largest.resize(4096, 2);
    let encoding = [("Content-Encoding", "aes128gcm")];
    assert_eq!(site.post(1, &encoding, largest.clone()).await.status, 201);
    assert_eq!(site.post(1, &[], vec![1; 4096]).await.status, 201);
    largest.push(2);
    assert_eq!(site.post(1, &encoding, largest).await.status, 413);
    for bytes in [1, 85, 102, 167, 4095] {
        let answer = site.post(1, &[], vec![1; bytes]).await;
        assert_ne!(answer.status, 413, "{bytes}");
    }
}

#[tokio::test]
async fn an_endpoint_says_that_it_is_one_for_unifiedpush_whichever_it_is() {
    let site = Site::new().await;
    let known = format!("/push/{}", secret(1).expose());
    let stranger = format!("/push/{}", secret(7).expose());
    for path in [&*known, &*stranger, "/push/short"] {
        let answer = site.ask("GET", path, &[], Vec::new()).await;
        assert_eq!(answer.status, 200);
        let expected = serde_json::json!({"unifiedpush": {"version": 1}});
        assert_eq!(answer.problem, expected, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}
