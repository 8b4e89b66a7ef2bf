//! How far sites have been told.

use super::*;
use belfry_protocol::site::Origin;

fn trouble(failures: u32, next_try: Option<Timestamp>) -> Trouble {
    Trouble {
        failures,
        since: now(),
        failure: "the status 500".to_owned(),
        next_try,
    }
}

pub(super) async fn everything(directory: &Directory) {
    let site: Origin = "https://news.example".parse().unwrap();
    directory
        .create_site(&site, "proof", &Actor::Operator, now())
        .await
        .unwrap();
    assert_eq!(directory.site_outbox(&site).await.unwrap(), None);
    for _ in 0..2 {
        directory.open_site_outbox(&site, now()).await.unwrap();
    }
    let read = async || directory.site_outbox(&site).await.unwrap().unwrap();
    let opened = read().await;
    assert_eq!((opened.webhook, opened.told), (None, 0));
    let before = opened.generation;
    let sent = async || {
        let sent = directory.webhooks(None, 9).await.unwrap();
        sent.into_iter().map(|outbox| outbox.told).next()
    };
    let set = async |url: &str, newest| {
        directory
            .set_webhook(&site, url, newest, now())
            .await
            .unwrap();
        read().await
    };
    let first = set("https://hooks.example/a", 7).await;
    assert_eq!((first.generation, first.told), (before + 1, 7));
    let (first, next) = (before + 1, before + 2);
    assert_eq!(sent().await, None, "the site is not proven");
    directory
        .prove_site(&site, &Actor::Operator, now())
        .await
        .unwrap();
    assert_eq!(sent().await, Some(7));

    directory.webhook_took(&site, first, 8).await.unwrap();
    let later = now().plus(Duration::from_secs(60));
    for failures in 1..=2 {
        let trouble = trouble(failures, Some(later));
        directory
            .webhook_failed(&site, first, &trouble)
            .await
            .unwrap();
        assert_eq!(read().await.trouble, Some(trouble));
    }
    assert_eq!(sent().await, Some(8));
    let given_up = trouble(3, None);
    directory
        .webhook_failed(&site, first, &given_up)
        .await
        .unwrap();
    assert_eq!(read().await.trouble, Some(given_up));
    assert_eq!(sent().await, None);

    // Set anew it goes on where it was, and the former one has no say.
    let second = set("https://hooks.example/b", 99).await;
    let shown = (second.generation, second.told, second.trouble);
    assert_eq!(shown, (next, 8, None));
    directory.webhook_took(&site, first, 50).await.unwrap();
    let late = trouble(1, None);
    directory.webhook_failed(&site, first, &late).await.unwrap();
    assert_eq!(sent().await, Some(8));
    directory.webhook_took(&site, next, 9).await.unwrap();

    assert!(directory.remove_webhook(&site).await.unwrap());
    assert!(!directory.remove_webhook(&site).await.unwrap());
    assert_eq!(sent().await, None);
    assert_eq!(set("https://hooks.example/c", 99).await.told, 99);

    let removed = async || directory.outboxes_of_removed_sites(9).await.unwrap();
    assert!(removed().await.is_empty());
    directory
        .remove_site(&site, &Actor::Operator, now())
        .await
        .unwrap();
    assert_eq!(sent().await, None);
    assert_eq!(read().await.webhook, None, "added anew it has none");
    assert_eq!(removed().await, std::slice::from_ref(&site));
    directory.forget_site_outbox(&site).await.unwrap();
    assert!(removed().await.is_empty());

    // Added anew it has no secret of before.
    let later = now().plus(Duration::from_secs(1));
    directory
        .create_site(&site, "proof", &Actor::Operator, later)
        .await
        .unwrap();
    let last = before + 4;
    directory.open_site_outbox(&site, later).await.unwrap();
    assert!(set("https://hooks.example/d", 0).await.generation > last);
}
