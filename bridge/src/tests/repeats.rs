//! Posts that name an idempotency key.

use super::*;

#[tokio::test]
async fn a_repeat_has_the_first_answer_and_costs_nothing() {
    let site = Site::new().await;
    let named = [("Idempotency-Key", "one")];
    let first = site.post(1, &named, body(1)).await;
    for _ in 0..BURST * 2 {
        let again = site.post(1, &named, body(1)).await;
        assert_eq!(
            (again.status.as_u16(), again.message()),
            (201, first.message())
        );
    }
    assert_eq!(site.post(1, &named, body(2)).await.status, 422);
    assert_eq!(site.stored().await, 1);
}

#[tokio::test]
async fn what_may_not_wait_is_refused_and_repeated_like_any_other() {
    let site = Site::new().await;
    let once = [("TTL", "0"), ("Idempotency-Key", "one")];
    let first = site.post(1, &once, body(1)).await;
    site.now.fetch_add(5_000, Ordering::SeqCst);
    for _ in 0..BURST * 2 {
        let again = site.post(1, &once, body(1)).await;
        assert_eq!((again.status.as_u16(), again.header("ttl")), (201, "0"));
        assert_eq!(again.message(), first.message());
    }
    assert_eq!(site.post(1, &once, body(2)).await.status, 422);
    let block = |blocked| Command::BlockSite {
        site: SITE.parse().unwrap(),
        blocked,
    };
    site.command(block(true)).await;
    assert_eq!(site.transient.load(Ordering::SeqCst), 1);
    assert_eq!(site.post(1, &[("TTL", "0")], body(1)).await.status, 403);
    site.command(block(false)).await;
    // The mailbox has the last word, whatever the directory's cache says.
    let revoke = Command::Revoke {
        user: user(),
        permission: PermissionId::from_bytes([1; 16]),
    };
    site.command(revoke).await;
    assert_eq!(site.post(1, &[("TTL", "0")], body(1)).await.status, 410);
}

#[tokio::test]
async fn a_repeat_names_the_first_ttl() {
    let site = Site::new().await;
    let named = [("TTL", "60"), ("Idempotency-Key", "one")];
    assert_eq!(site.post(1, &named, body(1)).await.header("ttl"), "60");
    site.now.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(site.post(1, &named, body(1)).await.header("ttl"), "60");
}

#[tokio::test]
async fn a_repeat_of_what_is_under_way_waits_for_its_answer_and_costs_nothing() {
    let site = Site::new().await;
    let named = [("Idempotency-Key", "one")];
    let post = || site.post(1, &named, body(1));
    // More of them at once than the permission takes.
    let (a, b, c, d, e) = tokio::join!(post(), post(), post(), post(), post());
    for answer in [&b, &c, &d, &e] {
        assert_eq!(answer.status, 201, "{}", answer.problem);
        assert_eq!(answer.message(), a.message());
    }
    assert_eq!(site.stored().await, 1);
    for number in 1..BURST {
        let other = site.post(1, &[], body(number as u8)).await;
        assert_eq!(other.status, 201, "one of the five was counted");
    }
    assert_eq!(site.post(1, &[], body(9)).await.status, 429);
    assert_eq!(post().await.status, 201);
}

#[tokio::test]
async fn a_repeat_is_refused_where_the_first_would_be_now() {
    let site = Site::new().await;
    let named = [("Idempotency-Key", "one")];
    assert_eq!(site.post(1, &named, body(1)).await.status, 201);
    let block = |blocked| Command::BlockSite {
        site: SITE.parse().unwrap(),
        blocked,
    };
    site.command(block(true)).await;
    assert_eq!(site.post(1, &named, body(1)).await.status, 403);
    assert_eq!(site.post(1, &named, body(2)).await.status, 403);
    site.command(block(false)).await;
    assert_eq!(site.post(1, &named, body(1)).await.status, 201);
    let revoke = Command::Revoke {
        user: user(),
        permission: PermissionId::from_bytes([1; 16]),
    };
    site.command(revoke).await;
    assert_eq!(site.post(1, &named, body(1)).await.status, 410);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let site = Site::new().await;
    let named = [("Idempotency-Key", "one")];
    for number in 0..BURST {
        assert_eq!(site.post(1, &[], body(number as u8)).await.status, 201);
    }
    assert_eq!(site.post(1, &named, body(1)).await.status, 429);
    site.now.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(site.post(1, &named, body(2)).await.status, 201);
}
